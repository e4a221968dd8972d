/* isa.c: which instruction sets there are, which one is in use, and whether it computes rightly. */
#include "isa.h"

#include <stdatomic.h>

static const struct isa *const known[] = {
    &secagg_portable,
#if defined(__x86_64__)
    &secagg_aesni,
    &secagg_vaes,
#endif
};

enum { KNOWN = sizeof known / sizeof *known };

/* NULL until first asked for. */
static _Atomic(const struct isa *) current;

static const struct isa *available(size_t i) {
    for (size_t j = 0; j < KNOWN; j++)
        if (known[j]->supported() && i-- == 0)
            return known[j];
    return NULL;
}

static const struct isa *fastest(void) {
    size_t j = KNOWN - 1;
    while (!known[j]->supported())
        j--;
    return known[j];
}

const struct isa *secagg_isa_current(void) {
    const struct isa *isa = atomic_load_explicit(&current, memory_order_relaxed);
    if (isa)
        return isa;
    const struct isa *chosen = fastest();
    return atomic_compare_exchange_strong(&current, &isa, chosen) ? chosen : isa;
}

const char *secagg_isa_available(size_t i) {
    const struct isa *isa = available(i);
    return isa ? isa->name : NULL;
}

const char *secagg_isa(void) { return secagg_isa_current()->name; }

int secagg_isa_use(const char *name) {
    const struct isa *isa = name ? NULL : fastest();
    for (size_t j = 0; j < KNOWN && name; j++)
        if (known[j]->supported() && strcmp(known[j]->name, name) == 0)
            isa = known[j];
    if (isa)
        atomic_store_explicit(&current, isa, memory_order_relaxed);
    return isa ? 0 : -1;
}

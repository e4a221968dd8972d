/* test_isa.c: each instruction set of this CPU caps all subjects, and what a subject takes has its kernels.  Arguments,
 * if any, are the instruction sets that this CPU has, oldest first. */
#include <stdio.h>
#include <string.h>

#include "isa.h"

static int failures;

static void check(int holds, const char *what) {
    if (!holds) {
        printf("FAILED: %s, %s\n", what, secagg_isa());
        failures++;
    }
}

static size_t age(const char *name) {
    size_t i = 0;
    while (secagg_isa_available(i) && strcmp(secagg_isa_available(i), name) != 0)
        i++;
    return i;
}

static int has_kernels(const struct isa *row, enum secagg_subject subject) {
    switch (subject) {
    case SECAGG_MASKS:
        return row->mask_sum != NULL;
    case SECAGG_PACKING:
        return row->packing != NULL;
    case SECAGG_HKDF:
        return row->hkdf != NULL;
    case SECAGG_AGREEMENT:
        return row->agreement != NULL;
    case SECAGG_TURBOSHAKE:
        return row->turboshake != NULL;
    case SECAGG_NOISE:
        return row->scan != NULL;
    case SECAGG_SIGNATURES:
        return row->signature != NULL;
    case SECAGG_SHAMIR:
        return row->shamir != NULL;
    case SECAGG_ROUNDING:
        return row->round != NULL;
    default:
        return 0;
    }
}

static int is_among_its_rows(enum secagg_subject subject, const char *name) {
    for (size_t i = 0; secagg_isa_with(subject, i); i++)
        if (strcmp(secagg_isa_with(subject, i), name) == 0)
            return 1;
    return 0;
}

static void test_cap(const char *name) {
    check(secagg_isa_use(name) == 0 && strcmp(secagg_isa(), name) == 0, "is in use");
    for (unsigned s = 0; s < SECAGG_SUBJECTS; s++) {
        const char *of = secagg_isa_of(s);
        check(strcmp(of, secagg_isa_row(s)->name) == 0, "a name is the row's");
        check(age(of) <= age(name), "no subject uses anything newer");
        check(is_among_its_rows(s, of), "a subject uses one of its rows");
        check(has_kernels(secagg_isa_row(s), s), "a subject's row has its kernels");
    }
    check(secagg_isa_use("abacus") == -1 && strcmp(secagg_isa(), name) == 0, "an unknown name changes nothing");
}

static int is_built(const char *name) {
    size_t i = 0;
    while (secagg_isa_built(i) && strcmp(secagg_isa_built(i), name) != 0)
        i++;
    return secagg_isa_built(i) != NULL;
}

/* A row without kernels of its own would be a name for another. */
static int is_of_use(const char *name) {
    for (unsigned s = 0; s < SECAGG_SUBJECTS; s++)
        if (is_among_its_rows(s, name))
            return 1;
    return 0;
}

static void test_available(char **names) {
    size_t i = 0;
    for (; names[i] && secagg_isa_available(i); i++)
        check(strcmp(secagg_isa_available(i), names[i]) == 0, "has this row");
    check(names[i] == NULL && secagg_isa_available(i) == NULL, "has as many rows");
}

int main(int argc, char **argv) {
    size_t n = 0;
    if (argc > 1)
        test_available(argv + 1);
    for (; secagg_isa_available(n); n++) {
        test_cap(secagg_isa_available(n));
        check(is_of_use(secagg_isa_available(n)), "a row is of use");
        check(is_built(secagg_isa_available(n)), "what is available is built in");
    }
    check(strcmp(secagg_isa_available(0), "portable") == 0, "the oldest is portable");
    check(secagg_api_version() == SECAGG_API_VERSION, "the header is the library's");
    check(secagg_isa_use(NULL) == 0 && age(secagg_isa()) == n - 1, "the newest is the default");
    check(secagg_isa_of(SECAGG_SUBJECTS) == NULL && secagg_isa_with(SECAGG_SUBJECTS, 0) == NULL, "no such subject");
    if (failures == 0)
        puts("test_isa: ok");
    return failures != 0;
}

/* isa.c: the table of instruction sets, and the choice from it.
 *
 * Nothing else looks at the CPU.  A new instruction set is a row here, and its place in the lists of those subjects that
 * it has kernels for. */
#include "isa.h"

#include <stdatomic.h>
#include <string.h>

#include "agreement/p256_kernel.h"
#include "agreement/x25519.h"
#include "hkdf/hkdf.h"
#include "mask/mask.h"
#include "noise/scan.h"
#include "rounding/rounding.h"
#include "shamir/shamir_kernel.h"
#include "signature/ed25519.h"
#include "turboshake/turboshake.h"
#include "vector/pack.h"

/* Oldest first, of every architecture: a CPU has no rows of another's.  The newest in use is a cap: no subject takes a
 * kernel of a newer row. */
enum row { PORTABLE, AESNI, AVX2, VAES, VAES512, NEON, ARMV8, SHA3, ROWS };

static int any_cpu(void) { return 1; }

#if defined(__x86_64__)
#include <cpuid.h>

static int has_aesni(void) { return __builtin_cpu_supports("aes") && __builtin_cpu_supports("avx"); }

static int has_avx2(void) { return has_aesni() && __builtin_cpu_supports("avx2"); }

/* CPUID leaf 7, ECX bit 9; "avx2" says that the operating system saves the 256-bit registers, too. */
static int has_vaes(void) {
    unsigned eax, ebx, ecx, edx;
    return has_avx2() && __get_cpuid_count(7, 0, &eax, &ebx, &ecx, &edx) && (ecx & 1u << 9);
}

/* Every CPU with VAES on 512 bits has AVX-512's F, BW and IFMA (Ice Lake, Zen 4 and later). */
static int has_vaes512(void) {
    return has_vaes() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512ifma");
}

#elif defined(__aarch64__)

/* EXTENSION(Linux's bit, Apple's name): whether the operating system says that the CPU has it; of any other system
 * nothing is known. */
#if defined(__linux__)
#include <sys/auxv.h>
#define EXTENSION(hwcap, name) ((getauxval(AT_HWCAP) & (hwcap)) != 0)
#elif defined(__APPLE__)
#include <sys/sysctl.h>
#define EXTENSION(hwcap, name) is_set("hw.optional.arm." name)

static int is_set(const char *name) {
    int value = 0;
    size_t size = sizeof value;
    return sysctlbyname(name, &value, &size, NULL, 0) == 0 && value;
}
#else
#define EXTENSION(hwcap, name) 0
#endif

static int has_armv8(void) { return EXTENSION(HWCAP_AES, "FEAT_AES") && EXTENSION(HWCAP_SHA2, "FEAT_SHA256"); }

static int has_sha3(void) { return has_armv8() && EXTENSION(HWCAP_SHA3, "FEAT_SHA3"); }
#endif

static const struct isa rows[ROWS] = {
    [PORTABLE] = {"portable", any_cpu, secagg_mask_sum_portable, secagg_pack_portable, secagg_hkdf_portable,
                  &secagg_p256_portable, &secagg_x25519_portable, &secagg_turboshake_portable, secagg_scan_portable,
                  &secagg_ed25519_portable, &secagg_shamir_portable, secagg_round_portable},
#if defined(__x86_64__)
    [AESNI] = {.name = "aesni", .supported = has_aesni, .mask_sum = secagg_mask_sum_aesni},
    [AVX2] = {.name = "avx2",
              .supported = has_avx2,
              .packing = secagg_pack_avx2,
              .hkdf = secagg_hkdf_avx2,
              .agreement = &secagg_p256_avx2,
              .x25519 = &secagg_x25519_avx2,
              .turboshake = &secagg_turboshake_avx2,
              .scan = secagg_scan_avx2,
              .signature = &secagg_ed25519_avx2,
              .round = secagg_round_avx2},
    [VAES] = {.name = "vaes", .supported = has_vaes, .mask_sum = secagg_mask_sum_vaes},
    [VAES512] = {.name = "vaes512",
                 .supported = has_vaes512,
                 .mask_sum = secagg_mask_sum_vaes512,
                 .agreement = &secagg_p256_ifma,
                 .x25519 = &secagg_x25519_ifma,
                 .turboshake = &secagg_turboshake_avx512,
                 .signature = &secagg_ed25519_ifma,
                 .shamir = &secagg_shamir_ifma},
#elif defined(__aarch64__)
    [NEON] = {.name = "neon", .supported = any_cpu, .packing = secagg_pack_neon},
    [ARMV8] = {.name = "armv8", .supported = has_armv8, .mask_sum = secagg_mask_sum_armv8, .hkdf = secagg_hkdf_armv8},
    [SHA3] = {.name = "sha3", .supported = has_sha3, .turboshake = &secagg_turboshake_sha3},
#endif
};

/* A subject's rows in the order of its preference, as measured (bench/RESULTS.md) but for ARM's, which are in the order of
 * their age.  What is left of a list is 0, the portable row. */
struct preference {
    enum row rows[ROWS];
    const char *reason;
};

static const struct preference preferred[SECAGG_SUBJECTS] = {
    [SECAGG_MASKS] = {{VAES512, VAES, AESNI, ARMV8}, "512 bits are 5 to 20 % faster than 256 on Sapphire Rapids"},
    [SECAGG_PACKING] = {{AVX2, NEON}, "the one kernel with vectors"},
    [SECAGG_HKDF] = {{AVX2, ARMV8}, "the one kernel that is not portable"},
    [SECAGG_AGREEMENT] = {{VAES512, AVX2}, "IFMA is 3 times as fast as AVX2 on Zen 4"},
    [SECAGG_TURBOSHAKE] = {{VAES512, AVX2, SHA3}, "8 messages at a time, for 4 with AVX2"},
    [SECAGG_NOISE] = {{AVX2}, "the one kernel with vectors"},
    [SECAGG_SIGNATURES] = {{VAES512, AVX2}, "8 signatures at a time, for 4 with AVX2"},
    [SECAGG_SHAMIR] = {{VAES512}, "IFMA is 5 times as fast as portable code on Sapphire Rapids"},
    [SECAGG_ROUNDING] = {{AVX2}, "the one kernel with vectors"},
};

/* Families of CPUs on which a subject has another order of the same rows. */
enum family { ANY_FAMILY, ZEN4 };

static const struct {
    enum family family;
    enum secagg_subject subject;
    struct preference preference;
} exceptions[] = {
    {ZEN4, SECAGG_MASKS, {{VAES, VAES512, AESNI}, "512 bits are 2 to 5 % slower than 256 on Zen 4"}},
};

/* Family 19h is Zen 3, too, which has no 512 bits. */
static enum family family_of(const char *vendor, unsigned family) {
    return strcmp(vendor, "AuthenticAMD") == 0 && family == 0x19 ? ZEN4 : ANY_FAMILY;
}

#if defined(__x86_64__)
static enum family family_of_this_cpu(void) {
    unsigned eax = 0, vendor[4] = {0}, unused;
    __get_cpuid(0, &eax, &vendor[0], &vendor[2], &vendor[1]); /* 12 letters, and a 0 after them */
    __get_cpuid(1, &eax, &unused, &unused, &unused);
    unsigned family = eax >> 8 & 15;
    return family_of((const char *)vendor, family == 15 ? family + (eax >> 20 & 255) : family);
}
#else
static enum family family_of_this_cpu(void) { return family_of("", 0); }
#endif

static const struct preference *preference(enum secagg_subject subject, enum family family) {
    for (size_t i = 0; i < sizeof exceptions / sizeof *exceptions; i++)
        if (exceptions[i].subject == subject && exceptions[i].family == family)
            return &exceptions[i].preference;
    return &preferred[subject];
}

static const struct isa *first(const struct preference *preference, unsigned usable) {
    const enum row *row = preference->rows;
    while (!(usable >> *row & 1))
        row++;
    return &rows[*row];
}

/* Bit r says that this CPU has row r, and bits from FAMILY on of which family it is; 0 until first asked for. */
#define FAMILY 16
static atomic_uint present;
static atomic_uint newest = ROWS - 1;

static unsigned rows_present(void) {
    unsigned bits = atomic_load_explicit(&present, memory_order_relaxed);
    if (bits == 0) {
        for (unsigned r = 0; r < ROWS; r++)
            if (rows[r].supported && rows[r].supported())
                bits |= 1u << r;
        bits |= family_of_this_cpu() << FAMILY;
        atomic_store_explicit(&present, bits, memory_order_relaxed);
    }
    return bits;
}

/* The rows that the CPU has and that may be used. */
static unsigned rows_in_use(void) {
    return rows_present() & ((2u << atomic_load_explicit(&newest, memory_order_relaxed)) - 1);
}

static int prefers(enum secagg_subject subject, unsigned row) {
    for (size_t i = 0; i < ROWS; i++)
        if (preferred[subject].rows[i] == row)
            return 1;
    return 0;
}

static const struct preference *own_preference(enum secagg_subject subject) {
    return preference(subject, rows_present() >> FAMILY);
}

/* A row that is named caps, and is then taken where it has kernels, whatever the CPU prefers: tests and benchmarks reach
 * every row. */
const struct isa *secagg_isa_row(enum secagg_subject subject) {
    int capped = atomic_load_explicit(&newest, memory_order_relaxed) < ROWS - 1;
    return first(capped ? &preferred[subject] : own_preference(subject), rows_in_use());
}

const char *secagg_isa_reason(enum secagg_subject subject) {
#if defined(__x86_64__)
    return own_preference(subject)->reason;
#else
    (void)subject;
    return "the newest: speed on this architecture has not been measured";
#endif
}

const char *secagg_isa_chosen(enum secagg_subject subject, const char *vendor, unsigned family, unsigned built) {
    unsigned usable = 0;
    for (unsigned r = 0; r < ROWS; r++) {
        usable |= (rows[r].supported && built & 1) << r;
        built >>= rows[r].supported != NULL;
    }
    return first(preference(subject, family_of(vendor, family)), usable)->name;
}

const char *secagg_isa_available(size_t i) {
    for (unsigned r = 0; r < ROWS; r++)
        if (rows_present() >> r & 1 && i-- == 0)
            return rows[r].name;
    return NULL;
}

const char *secagg_isa_built(size_t i) {
    for (unsigned r = 0; r < ROWS; r++)
        if (rows[r].supported && i-- == 0)
            return rows[r].name;
    return NULL;
}

const char *secagg_isa_with(enum secagg_subject subject, size_t i) {
    for (unsigned r = 0; r < ROWS && (unsigned)subject < SECAGG_SUBJECTS; r++)
        if (rows_present() >> r & 1 && prefers(subject, r) && i-- == 0)
            return rows[r].name;
    return NULL;
}

const char *secagg_isa(void) { return rows[31 - __builtin_clz(rows_in_use())].name; }

const char *secagg_isa_of(enum secagg_subject subject) {
    return (unsigned)subject < SECAGG_SUBJECTS ? secagg_isa_row(subject)->name : NULL;
}

int secagg_isa_use(const char *name) {
    unsigned row = name ? 0 : ROWS - 1;
    while (name && row < ROWS && !(rows_present() >> row & 1 && strcmp(rows[row].name, name) == 0))
        row++;
    if (row == ROWS)
        return -1;
    atomic_store_explicit(&newest, row, memory_order_relaxed);
    return 0;
}

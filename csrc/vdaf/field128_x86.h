/* field128_x86.h: Field128's additions and multiplications in assembly; field128.h has the same in C.
 *
 * p = -28 * 2^64 + 1 mod 2^128: where a borrow says so, p is added back as the mask's lowest bit and its -28. */

#define FE_ADD_BACK(low, high, mask, spare)                                                                            \
    "sbb " mask ", " mask "\n\t"                                                                                       \
    "mov " mask ", " spare "\n\t"                                                                                      \
    "neg " mask "\n\t"                                                                                                 \
    "and $-28, " spare "\n\t"                                                                                          \
    "add " mask ", " low "\n\t"                                                                                        \
    "adc " spare ", " high "\n\t"

static inline fe_t fe_sub(fe_t a, fe_t b) {
    uint64_t mask, spare;
    __asm__("sub %[b0], %[a0]\n\t"
            "sbb %[b1], %[a1]\n\t" FE_ADD_BACK("%[a0]", "%[a1]", "%[mask]", "%[spare]")
            : [a0] "+&r"(a.low), [a1] "+&r"(a.high), [mask] "=&r"(mask), [spare] "=&r"(spare)
            : [b0] "rm"(b.low), [b1] "rm"(b.high)
            : "cc");
    return a;
}

/* a - (p - b). */
static inline fe_t fe_add(fe_t a, fe_t b) {
    uint64_t mask = 1, spare = (uint64_t)-28;
    __asm__("sub %[b0], %[mask]\n\t"
            "sbb %[b1], %[spare]\n\t"
            "sub %[mask], %[a0]\n\t"
            "sbb %[spare], %[a1]\n\t" FE_ADD_BACK("%[a0]", "%[a1]", "%[mask]", "%[spare]")
            : [a0] "+&r"(a.low), [a1] "+&r"(a.high), [mask] "+&r"(mask), [spare] "+&r"(spare)
            : [b0] "rm"(b.low), [b1] "rm"(b.high)
            : "cc");
    return a;
}

/* t := a * b, four words. */
#define FE_PRODUCT                                                                                                     \
    "mov %[a0], %%rax\n\t"                                                                                             \
    "mulq %[b0]\n\t"                                                                                                   \
    "mov %%rax, %[t0]\n\t"                                                                                             \
    "mov %%rdx, %[t1]\n\t"                                                                                             \
    "mov %[a0], %%rax\n\t"                                                                                             \
    "mulq %[b1]\n\t"                                                                                                   \
    "mov %%rdx, %[t2]\n\t"                                                                                             \
    "add %%rax, %[t1]\n\t"                                                                                             \
    "adc $0, %[t2]\n\t"                                                                                                \
    "mov %[a1], %%rax\n\t"                                                                                             \
    "mulq %[b0]\n\t"                                                                                                   \
    "xor %k[t3], %k[t3]\n\t"                                                                                           \
    "add %%rax, %[t1]\n\t"                                                                                             \
    "adc %%rdx, %[t2]\n\t"                                                                                             \
    "adc $0, %[t3]\n\t"                                                                                                \
    "mov %[a1], %%rax\n\t"                                                                                             \
    "mulq %[b1]\n\t"                                                                                                   \
    "add %%rax, %[t2]\n\t"                                                                                             \
    "adc %%rdx, %[t3]\n\t"

/* a * b / R, as fe_reduce has it: t0 and t1 become q0 and q1. */
static inline fe_t fe_mul(fe_t a, fe_t b) {
    uint64_t t0, t1, t2, t3;
    __asm__(FE_PRODUCT "mov $28, %%eax\n\t"
                       "mulq %[t0]\n\t"
                       "add %%rax, %[t1]\n\t"
                       "adc %%rdx, %[t2]\n\t"
                       "adc $0, %[t3]\n\t"
                       "mov $28, %%eax\n\t"
                       "mulq %[t1]\n\t"
                       "add %%rax, %[t2]\n\t"
                       "adc %%rdx, %[t3]\n\t"
                       "sub %[t0], %[t2]\n\t"
                       "sbb %[t1], %[t3]\n\t" FE_ADD_BACK("%[t2]", "%[t3]", "%[t0]", "%[t1]")
            : [t0] "=&r"(t0), [t1] "=&r"(t1), [t2] "=&r"(t2), [t3] "=&r"(t3)
            : [a0] "rm"(a.low), [a1] "rm"(a.high), [b0] "rm"(b.low), [b1] "rm"(b.high)
            : "rax", "rdx", "cc");
    return (fe_t){t2, t3};
}

/* sum += a * b */
static inline void fe_sum_muladd(fe_sum_t *sum, fe_t a, fe_t b) {
    uint64_t t0, t1, t2, t3;
    __asm__(FE_PRODUCT "add %[t0], %[s0]\n\t"
                       "adc %[t1], %[s1]\n\t"
                       "adc %[t2], %[s2]\n\t"
                       "adc %[t3], %[s3]\n\t"
                       "adcq $0, %[s4]\n\t"
            : [t0] "=&r"(t0), [t1] "=&r"(t1), [t2] "=&r"(t2), [t3] "=&r"(t3), [s0] "+&rm"(sum->word[0]),
              [s1] "+&rm"(sum->word[1]), [s2] "+&rm"(sum->word[2]), [s3] "+&rm"(sum->word[3]), [s4] "+&rm"(sum->word[4])
            : [a0] "rm"(a.low), [a1] "rm"(a.high), [b0] "rm"(b.low), [b1] "rm"(b.high)
            : "rax", "rdx", "cc");
}

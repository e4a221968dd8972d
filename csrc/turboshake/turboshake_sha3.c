/* TurboSHAKE128 on ARMv8.2's SHA-3 instructions, two states at a time. */
#ifdef __aarch64__
#ifdef __clang__
#pragma clang attribute push(__attribute__((target("sha3"))), apply_to = function)
#else
#pragma GCC target("arch=armv8.2-a+sha3")
#endif
#include <stdint.h>

#define LANES 2
typedef uint64_t lanes_t __attribute__((vector_size(8 * LANES)));
#define LANE(x, l) ((x)[l])

/* x := an instruction of these operands.  By assembly, since each compiler wants something else before it knows the
 * intrinsics; by macros, since a rotation's distance is part of its instruction. */
#define STEP(instruction, ...)                                                                                         \
    __extension__({                                                                                                    \
        lanes_t x_;                                                                                                    \
        __asm__(instruction : "=w"(x_) : __VA_ARGS__);                                                                 \
        x_;                                                                                                            \
    })
#define XOR3(a, b, c) STEP("eor3 %0.16b, %1.16b, %2.16b, %3.16b", "w"(a), "w"(b), "w"(c))
#define RAX1(a, b) STEP("rax1 %0.2d, %1.2d, %2.2d", "w"(a), "w"(b))
#define XAR(a, b, n) STEP("xar %0.2d, %1.2d, %2.2d, %3", "w"(a), "w"(b), "i"(64 - (n))) /* rotates right */
#define BCAX(a, b, c) STEP("bcax %0.16b, %1.16b, %2.16b, %3.16b", "w"(a), "w"(b), "w"(c))

#include "turboshake.inc"

const struct turboshake secagg_turboshake_sha3 = {LANES, run, &secagg_turboshake_portable};
#ifdef __clang__
#pragma clang attribute pop
#endif
#endif

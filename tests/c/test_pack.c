/* Vector arithmetic and packing against bit-by-bit forms, for every instruction set.  Packed bytes and elements lie at
 * the very end of their allocations, so that sanitizers see an access past them; with SECAGG_CT_VALGRIND their contents
 * are undefined during the calls, so that valgrind reports a branch or an address that depends on them. */
#include "secagg.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef SECAGG_CT_VALGRIND
#include <valgrind/memcheck.h>
#define SECRET(p, bytes) VALGRIND_MAKE_MEM_UNDEFINED(p, bytes)
#define PUBLIC(p, bytes) VALGRIND_MAKE_MEM_DEFINED(p, bytes)
#else
#define SECRET(p, bytes) ((void)(p), (void)(bytes))
#define PUBLIC(p, bytes) ((void)(p), (void)(bytes))
#endif

typedef unsigned __int128 u128;

static int failures;

static void expect(int ok, const char *what, size_t n, uint64_t modulus) {
    if (ok)
        return;
    failures++;
    printf("%s: %s fails for n = %zu, modulus = %llu\n", secagg_isa(), what, n, (unsigned long long)modulus);
}

static uint64_t random_u64(void) { /* splitmix64 */
    static uint64_t state = 1;
    uint64_t x = state += 0x9e3779b97f4a7c15;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
    x = (x ^ x >> 27) * 0x94d049bb133111eb;
    return x ^ x >> 31;
}

/* --- Either size of element behind one interface --------------------------------------------------------------- */

struct modulus {
    uint64_t argument; /* as the C API takes it */
    u128 R;
    unsigned bits;
    size_t element_bytes;
};

static struct modulus modulus_of(u128 R) {
    unsigned bits = 0;
    while ((u128)1 << bits < R)
        bits++;
    return (struct modulus){(uint64_t)R, R, bits, R > (u128)1 << 32 ? 8 : 4};
}

static size_t packed_bytes(size_t n, unsigned bits) { return (n * bits + 7) / 8; }

static uint64_t get(const void *vector, size_t i, struct modulus m) {
    return m.element_bytes == 8 ? ((const uint64_t *)vector)[i] : ((const uint32_t *)vector)[i];
}

static void set(void *vector, size_t i, uint64_t x, struct modulus m) {
    if (m.element_bytes == 8)
        ((uint64_t *)vector)[i] = x;
    else
        ((uint32_t *)vector)[i] = (uint32_t)x;
}

/* malloc(0) may be NULL, which is no argument for memcpy. */
static void *allocate(size_t bytes) { return malloc(bytes ? bytes : 1); }

static void *random_vector(size_t n, struct modulus m) {
    void *vector = allocate(n * m.element_bytes);
    for (size_t i = 0; i < n; i++)
        set(vector, i, random_u64() % 4 ? (uint64_t)(random_u64() % m.R) : (uint64_t)(m.R - 1), m);
    return vector;
}

static void *copy(const void *from, size_t bytes) { return memcpy(allocate(bytes), from, bytes); }

#define CALL(name, m, a, ...)                                                                                          \
    ((m).element_bytes == 8 ? name##_u64((uint64_t *)(a), __VA_ARGS__) : name##_u32((uint32_t *)(a), __VA_ARGS__))

static int call_add(void *a, const void *b, size_t n, struct modulus m) {
    return CALL(secagg_add, m, a, b, n, m.argument);
}

static int call_subtract(void *a, const void *b, size_t n, struct modulus m) {
    return CALL(secagg_subtract, m, a, b, n, m.argument);
}

static int call_reduce(void *a, const void *b, size_t n, struct modulus m) {
    (void)b;
    return CALL(secagg_reduce, m, a, n, m.argument);
}

static int call_unpack(void *a, const void *b, size_t n, struct modulus m) {
    return CALL(secagg_unpack, m, a, b, n, m.argument);
}

static int call_packed_add(void *a, const void *b, size_t n, struct modulus m) {
    return CALL(secagg_packed_add, m, a, b, n, m.argument);
}

static int call_pack(uint8_t *out, const void *in, size_t n, struct modulus m) {
    return m.element_bytes == 8 ? secagg_pack_u64(out, in, n, m.argument) : secagg_pack_u32(out, in, n, m.argument);
}

/* --- The naive forms ------------------------------------------------------------------------------------------- */

static uint64_t naive_add(uint64_t a, uint64_t b, u128 R) { return (uint64_t)(((u128)a + b) % R); }
static uint64_t naive_subtract(uint64_t a, uint64_t b, u128 R) { return (uint64_t)((a + R - b) % R); }
static uint64_t naive_reduce(uint64_t a, uint64_t b, u128 R) { return (void)b, (uint64_t)(a % R); }
static uint64_t naive_second(uint64_t a, uint64_t b, u128 R) { return (void)a, (void)R, b; }

static uint8_t *naive_pack(const void *vector, size_t n, struct modulus m) {
    uint8_t *packed = allocate(packed_bytes(n, m.bits));
    memset(packed, 0, packed_bytes(n, m.bits));
    for (size_t bit = 0; bit < n * m.bits; bit++)
        packed[bit / 8] |= (uint8_t)((get(vector, bit / m.bits, m) >> bit % m.bits & 1) << bit % 8);
    return packed;
}

/* --- The tests ------------------------------------------------------------------------------------------------- */

typedef int call_in_place(void *a, const void *b, size_t n, struct modulus m);
typedef uint64_t naive_element(uint64_t a, uint64_t b, u128 R);

/* call(a, b or b packed) is to turn each element of a into naive(a, b). */
static void test_in_place(const char *what, call_in_place *call, naive_element *naive, int is_packed, const void *a,
                          const void *b, size_t n, struct modulus m) {
    size_t bytes = n * m.element_bytes, argument_bytes = is_packed ? packed_bytes(n, m.bits) : bytes;
    void *result = copy(a, bytes), *argument = is_packed ? naive_pack(b, n, m) : copy(b, bytes);
    SECRET(result, bytes);
    SECRET(argument, argument_bytes);
    int ok = call(result, argument, n, m) == 0;
    PUBLIC(result, bytes);
    for (size_t i = 0; i < n; i++)
        ok &= get(result, i, m) == naive(get(a, i, m), get(b, i, m), m.R);
    expect(ok, what, n, m.argument);
    free(result);
    free(argument);
}

static void test_pack(const void *vector, size_t n, struct modulus m) {
    size_t bytes = packed_bytes(n, m.bits);
    uint8_t *expected = naive_pack(vector, n, m), *packed = allocate(bytes);
    void *secret = copy(vector, n * m.element_bytes);
    SECRET(secret, n * m.element_bytes);
    int ok = call_pack(packed, secret, n, m) == 0;
    PUBLIC(packed, bytes);
    expect(ok && memcmp(packed, expected, bytes) == 0, "pack", n, m.argument);
    free(expected);
    free(packed);
    free(secret);
}

static int check(const uint8_t *packed, size_t n, struct modulus m) {
    uint8_t *secret = copy(packed, packed_bytes(n, m.bits));
    SECRET(secret, packed_bytes(n, m.bits));
    int verdict = secagg_packed_check(secret, n, m.argument);
    PUBLIC(&verdict, sizeof verdict);
    free(secret);
    return verdict;
}

static void test_check(const void *vector, size_t n, struct modulus m) {
    uint8_t *packed = naive_pack(vector, n, m);
    expect(check(packed, n, m) == 0, "packed_check of a valid vector", n, m.argument);
    for (size_t bit = n * m.bits; bit < 8 * packed_bytes(n, m.bits); bit++) {
        packed[bit / 8] ^= (uint8_t)(1 << bit % 8);
        expect(check(packed, n, m) == -1, "packed_check of an unused bit", n, m.argument);
        packed[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    free(packed);
}

/* An element of R, which b bits can hold unless R = 2^b, at each place where a kernel may change over. */
static void test_check_range(const void *vector, size_t n, struct modulus m) {
    if (m.R == (u128)1 << m.bits)
        return;
    for (size_t i = 0; i < n; i = i < 24 || i + 24 >= n ? i + 1 : n - 24) {
        void *wrong = copy(vector, n * m.element_bytes);
        set(wrong, i, m.argument, m);
        uint8_t *packed = naive_pack(wrong, n, m);
        expect(check(packed, n, m) == -1, "packed_check of an element of R", n, m.argument);
        free(packed);
        free(wrong);
    }
}

static void test_all(size_t n, u128 R) {
    struct modulus m = modulus_of(R), any = modulus_of(R > (u128)1 << 32 ? (u128)1 << 64 : (u128)1 << 32);
    void *a = random_vector(n, m), *b = random_vector(n, m), *unreduced = random_vector(n, any);
    test_in_place("add", call_add, naive_add, 0, a, b, n, m);
    test_in_place("subtract", call_subtract, naive_subtract, 0, a, b, n, m);
    test_in_place("reduce", call_reduce, naive_reduce, 0, unreduced, b, n, m);
    test_in_place("unpack", call_unpack, naive_second, 1, a, b, n, m);
    test_in_place("packed_add", call_packed_add, naive_add, 1, a, b, n, m);
    test_pack(a, n, m);
    test_check(a, n, m);
    test_check_range(a, n, m);
    free(a);
    free(b);
    free(unreduced);
}

static void test_modulus(u128 R) {
    static const size_t lengths[] = {0, 1, 2, 3, 5, 7, 8, 9, 15, 16, 17, 31, 33, 64, 71, 129, 137, 300};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++)
        test_all(lengths[i], R);
}

static void test_refusals(void) {
    uint32_t narrow = 0;
    uint64_t wide = 0;
    uint8_t packed[8] = {0};
    static const uint64_t not_u32[] = {0, 1, ((uint64_t)1 << 32) + 1, UINT64_MAX},
                          not_u64[] = {1, 2, (uint64_t)1 << 32};
    for (size_t i = 0; i < sizeof not_u32 / sizeof *not_u32; i++) {
        uint64_t R = not_u32[i];
        int refused = secagg_add_u32(&narrow, &narrow, 1, R) & secagg_subtract_u32(&narrow, &narrow, 1, R) &
                      secagg_reduce_u32(&narrow, 1, R) & secagg_pack_u32(packed, &narrow, 1, R) &
                      secagg_unpack_u32(&narrow, packed, 1, R) & secagg_packed_add_u32(&narrow, packed, 1, R);
        expect(refused == -1, "refusal of a modulus for 32 bits", 1, R);
    }
    for (size_t i = 0; i < sizeof not_u64 / sizeof *not_u64; i++) {
        uint64_t R = not_u64[i];
        int refused = secagg_add_u64(&wide, &wide, 1, R) & secagg_subtract_u64(&wide, &wide, 1, R) &
                      secagg_reduce_u64(&wide, 1, R) & secagg_pack_u64(packed, &wide, 1, R) &
                      secagg_unpack_u64(&wide, packed, 1, R) & secagg_packed_add_u64(&wide, packed, 1, R);
        expect(refused == -1, "refusal of a modulus for 64 bits", 1, R);
    }
    expect(secagg_packed_check(packed, 1, 1) == -1, "refusal of a modulus by packed_check", 1, 1);
}

static void test_isa(const char *name) {
    if (secagg_isa_use(name) != 0) {
        failures++;
        printf("%s: cannot be used\n", name);
        return;
    }
    for (unsigned b = 1; b <= 64; b++) {
        test_modulus((u128)1 << b);
        if (b > 1)
            test_modulus(((u128)1 << b) - 1);
        if (b > 2)
            test_modulus(((u128)1 << (b - 1)) + 1);
    }
    test_modulus(((u128)1 << 24) - 3);
    test_modulus(((u128)1 << 33) - 9);
    test_modulus(((u128)1 << 64) - 59);
    test_all(2100, ((u128)1 << 24) - 3); /* more than one tile of packed_check */
    test_all(2100, ((u128)1 << 33) - 9);
    test_refusals();
}

int main(void) {
    for (size_t i = 0; secagg_isa_available(i); i++)
        test_isa(secagg_isa_available(i));
    if (failures)
        printf("test_pack: %d failures\n", failures);
    return failures != 0;
}

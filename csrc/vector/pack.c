/* Packed vectors: secagg.h's functions on top of the kernels, which work on whole groups and touch PACK_SLACK bytes
 * more. */
#include "pack.h"
#include "isa.h"
#include "modulus.h"
#include <string.h>

static size_t packed_bytes(size_t n, unsigned bits) { return (n * bits + 7) / 8; }

static const struct pack_kernels *kernels_for(size_t element_bytes, unsigned bits) {
    /* Two elements of 63 bits can lie across 17 bytes, and a register lane has 16. */
    const struct pack_kernels *kernels = bits == 63 ? secagg_pack_portable : secagg_isa_row(SECAGG_PACKING)->packing;
    return &kernels[element_bytes == sizeof(uint64_t)];
}

/* How many groups a kernel can do in place; fewer than b + PACK_SLACK packed bytes remain. */
static size_t groups_in_place(size_t n, unsigned bits) {
    size_t bytes = packed_bytes(n, bits);
    return bytes < PACK_SLACK ? 0 : (bytes - PACK_SLACK) / bits;
}

/* Room for the rest: most elements when b = 1, most bytes when b = 64. */
struct rest {
    unsigned char elements[(1 + PACK_SLACK) * 8 * sizeof(uint64_t)];
    uint8_t packed[2 * 64 + 2 * PACK_SLACK];
};

static void pack(uint8_t *out, const void *in, size_t n, uint64_t modulus, size_t element_bytes) {
    unsigned bits = modulus_bits(modulus);
    pack_kernel *kernel = kernels_for(element_bytes, bits)->pack;
    size_t groups = groups_in_place(n, bits), left = n - groups * PACK_GROUP;
    kernel(out, in, groups, bits);
    struct rest rest = {0};
    memcpy(rest.elements, (const unsigned char *)in + groups * PACK_GROUP * element_bytes, left * element_bytes);
    kernel(rest.packed, rest.elements, (left + PACK_GROUP - 1) / PACK_GROUP, bits);
    memcpy(out + groups * bits, rest.packed, packed_bytes(left, bits));
}

static void unpack(unpack_kernel *kernel, void *out, const uint8_t *in, size_t n, uint64_t modulus,
                   size_t element_bytes) {
    unsigned bits = modulus_bits(modulus);
    size_t groups = groups_in_place(n, bits), left = n - groups * PACK_GROUP;
    kernel(out, in, groups, bits, modulus);
    struct rest rest = {0};
    unsigned char *last = (unsigned char *)out + groups * PACK_GROUP * element_bytes;
    memcpy(rest.elements, last, left * element_bytes);
    memcpy(rest.packed, in + groups * bits, packed_bytes(left, bits));
    kernel(rest.elements, rest.packed, (left + PACK_GROUP - 1) / PACK_GROUP, bits, modulus);
    memcpy(last, rest.elements, left * element_bytes);
}

static void store(void *out, const uint8_t *in, size_t n, uint64_t modulus, size_t element_bytes) {
    unpack(kernels_for(element_bytes, modulus_bits(modulus))->unpack, out, in, n, modulus, element_bytes);
}

static void add(void *acc, const uint8_t *in, size_t n, uint64_t modulus, size_t element_bytes) {
    const struct pack_kernels *kernels = kernels_for(element_bytes, modulus_bits(modulus));
    unpack_kernel *kernel = modulus_is_power(modulus) ? kernels->add_power : kernels->add_modulus;
    unpack(kernel, acc, in, n, modulus, element_bytes);
}

int secagg_pack_u32(uint8_t *out, const uint32_t *in, size_t n, uint64_t modulus) {
    if (!modulus_fits_u32(modulus))
        return -1;
    if (n)
        pack(out, in, n, modulus, sizeof *in);
    return 0;
}

int secagg_pack_u64(uint8_t *out, const uint64_t *in, size_t n, uint64_t modulus) {
    if (!modulus_fits_u64(modulus))
        return -1;
    if (n)
        pack(out, in, n, modulus, sizeof *in);
    return 0;
}

int secagg_unpack_u32(uint32_t *out, const uint8_t *in, size_t n, uint64_t modulus) {
    if (!modulus_fits_u32(modulus))
        return -1;
    if (n)
        store(out, in, n, modulus, sizeof *out);
    return 0;
}

int secagg_unpack_u64(uint64_t *out, const uint8_t *in, size_t n, uint64_t modulus) {
    if (!modulus_fits_u64(modulus))
        return -1;
    if (n)
        store(out, in, n, modulus, sizeof *out);
    return 0;
}

int secagg_packed_add_u32(uint32_t *acc, const uint8_t *in, size_t n, uint64_t modulus) {
    if (!modulus_fits_u32(modulus))
        return -1;
    if (n)
        add(acc, in, n, modulus, sizeof *acc);
    return 0;
}

int secagg_packed_add_u64(uint64_t *acc, const uint8_t *in, size_t n, uint64_t modulus) {
    if (!modulus_fits_u64(modulus))
        return -1;
    if (n)
        add(acc, in, n, modulus, sizeof *acc);
    return 0;
}

/* Non-zero if one of n elements is R or more; a tile stays in the first-level cache. */
enum { TILE = 1024 };

static uint64_t excess_u32(const uint8_t *in, size_t n, uint64_t modulus) {
    uint32_t tile[TILE], excess = 0;
    store(tile, in, n, modulus, sizeof *tile);
    for (size_t i = 0; i < n; i++)
        excess |= (uint32_t)(modulus - 1) < tile[i];
    return excess;
}

static uint64_t excess_u64(const uint8_t *in, size_t n, uint64_t modulus) {
    uint64_t tile[TILE], excess = 0;
    store(tile, in, n, modulus, sizeof *tile);
    for (size_t i = 0; i < n; i++)
        excess |= modulus - 1 < tile[i];
    return excess;
}

static uint64_t unused_bits(const uint8_t *in, size_t n, unsigned bits) {
    unsigned used = (unsigned)(n * bits % 8);
    return used ? in[packed_bytes(n, bits) - 1] >> used : 0;
}

int secagg_packed_check(const uint8_t *in, size_t n, uint64_t modulus) {
    if (modulus == 1)
        return -1;
    unsigned bits = modulus_bits(modulus);
    uint64_t bad = n ? unused_bits(in, n, bits) : 0;
    if (!modulus_is_power(modulus)) {
        for (size_t i = 0; i < n; i += TILE) {
            size_t length = n - i < TILE ? n - i : TILE;
            const uint8_t *tile = in + i / 8 * bits;
            bad |= modulus_fits_u32(modulus) ? excess_u32(tile, length, modulus) : excess_u64(tile, length, modulus);
        }
    }
    return -(int)((bad | -bad) >> 63);
}

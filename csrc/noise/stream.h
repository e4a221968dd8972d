/* stream.h: random words one at a time, from what secagg.h calls a struct secagg_random. */
#ifndef SECAGG_STREAM_H
#define SECAGG_STREAM_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "kernel.h"
#include "secagg.h"
#include "wipe.h"

#define STREAM_WORDS 2048

struct stream {
    struct secagg_random *source;
    uint64_t fetched; /* words taken from the source */
    size_t at, size;  /* of those in the buffer */
    uint64_t words[STREAM_WORDS];
};

static inline void stream_open(struct stream *s, struct secagg_random *source) {
    s->source = source;
    s->fetched = source->used;
    s->at = s->size = 0;
}

/* Refills start small, so that one sample is cheap, and double.  Past the end of words given come others, known to
 * everyone, on which every sampler ends. */
static __attribute__((noinline)) void stream_fill(struct stream *s) {
    static const uint8_t zeros[SECAGG_SEED_BYTES];
    const struct secagg_random *source = s->source;
    uint64_t left = source->words && s->fetched < source->count ? source->count - s->fetched : 0;
    s->size = s->size == 0 ? 16 : s->size < STREAM_WORDS ? 2 * s->size : STREAM_WORDS;
    secagg_expand_u64(s->words, s->size, source->words ? zeros : source->seed, 0, source->words ? zeros : source->nonce,
                      s->fetched);
    if (left)
        memcpy(s->words, source->words + s->fetched, (left < s->size ? left : s->size) * sizeof *s->words);
    s->fetched += s->size;
    s->at = 0;
}

static inline uint64_t stream_next(struct stream *s) {
    if (s->at == s->size)
        stream_fill(s);
    return s->words[s->at++];
}

/* 128 bits, the low word first. */
static inline uint128_t stream_next_128(struct stream *s) {
    uint64_t low = stream_next(s);
    return (uint128_t)stream_next(s) << 64 | low;
}

/* Tells the source how many words were used: 0, or -1 if it had less. */
static inline int stream_close(struct stream *s) {
    struct secagg_random *source = s->source;
    source->used = s->fetched - (s->size - s->at);
    wipe(s, sizeof *s);
    return source->words && source->used > source->count ? -1 : 0;
}

#endif

/* Erasing secrets from memory that is about to be left. */
#ifndef SECAGG_WIPE_H
#define SECAGG_WIPE_H

#include <stddef.h>
#include <string.h>

/* Sets size bytes at p to 0; the barrier keeps the compiler from dropping the store as dead. */
static inline void wipe(void *p, size_t size) {
    memset(p, 0, size);
    __asm__ __volatile__("" : : "r"(p) : "memory");
}

#endif

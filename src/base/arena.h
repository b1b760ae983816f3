/*
 * Bump allocation for things that die together: a request, a parsed document. arena_reset keeps one block, so a steady
 * stream of requests allocates nothing. Memory is returned by arena_reset / arena_free only. One thread at a time.
 */
#ifndef CROCKET_BASE_ARENA_H
#define CROCKET_BASE_ARENA_H

#include "base/str.h"

struct arena_block;

struct arena {
    struct arena_block *block;
    size_t used;
};

void *arena_alloc(struct arena *a, size_t size);     /* 16-byte aligned, not zeroed; NULL when out of memory */
void *arena_calloc(struct arena *a, size_t size);    /* zeroed */
struct str arena_str(struct arena *a, struct str s); /* a copy, NUL-terminated behind its end; null stays null */
char *arena_strz(struct arena *a, struct str s);
char *arena_printf(struct arena *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void arena_reset(struct arena *a);
void arena_free(struct arena *a);

#endif

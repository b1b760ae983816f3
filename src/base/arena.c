#include "base/arena.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { BLOCK_SIZE = 16 * 1024, ALIGN = 16 };

struct arena_block {
    struct arena_block *next;
    size_t size;
    _Alignas(ALIGN) unsigned char data[];
};

static bool grow(struct arena *a, size_t size)
{
    size_t want = size > BLOCK_SIZE ? size : BLOCK_SIZE;
    if (want > SIZE_MAX - sizeof(struct arena_block))
        return false;
    struct arena_block *b = malloc(sizeof *b + want);
    if (b == NULL)
        return false;
    b->next = a->block;
    b->size = want;
    a->block = b;
    a->used = 0;
    return true;
}

void *arena_alloc(struct arena *a, size_t size)
{
    if (size > SIZE_MAX - ALIGN)
        return NULL;
    size = (size + ALIGN - 1) & ~(size_t)(ALIGN - 1);
    if ((a->block == NULL || a->block->size - a->used < size) && !grow(a, size))
        return NULL;
    void *p = a->block->data + a->used;
    a->used += size;
    return p;
}

void *arena_calloc(struct arena *a, size_t size)
{
    void *p = arena_alloc(a, size);
    if (p)
        memset(p, 0, size);
    return p;
}

char *arena_strz(struct arena *a, struct str s)
{
    char *p = arena_alloc(a, s.len + 1);
    if (p == NULL)
        return NULL;
    if (s.len)
        memcpy(p, s.ptr, s.len);
    p[s.len] = '\0';
    return p;
}

struct str arena_str(struct arena *a, struct str s)
{
    if (str_is_null(s))
        return s;
    char *p = arena_strz(a, s);
    return p ? str_make(p, s.len) : STR_NULL;
}

char *arena_printf(struct arena *a, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    char *p = n < 0 ? NULL : arena_alloc(a, (size_t)n + 1);
    if (p == NULL)
        return NULL;
    va_start(ap, fmt);
    vsnprintf(p, (size_t)n + 1, fmt, ap);
    va_end(ap);
    return p;
}

void arena_reset(struct arena *a)
{
    struct arena_block *b = a->block;
    if (b == NULL)
        return;
    /* Keep the oldest block, of the usual size; big ones were made for one big request. */
    while (b->next) {
        struct arena_block *next = b->next;
        free(b);
        b = next;
    }
    if (b->size > BLOCK_SIZE) {
        free(b);
        b = NULL;
    }
    a->block = b;
    a->used = 0;
}

void arena_free(struct arena *a)
{
    for (struct arena_block *b = a->block; b;) {
        struct arena_block *next = b->next;
        free(b);
        b = next;
    }
    *a = (struct arena){0};
}

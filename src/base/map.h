/*
 * Hash map from a string key to a pointer. The map copies the key; the value is the caller's.
 * Open addressing with backward-shift deletion. Iteration order is arbitrary. The caller locks; one thread at a time.
 */
#ifndef CROCKET_BASE_MAP_H
#define CROCKET_BASE_MAP_H

#include "base/str.h"

struct map_slot {
    uint64_t hash; /* 0 = empty */
    struct str key;
    void *value;
};

struct map {
    struct map_slot *slots;
    size_t cap; /* power of two or 0 */
    size_t count;
};

void *map_get(const struct map *m, struct str key); /* NULL when absent */
/* Puts or replaces; the replaced value is stored in *old when old is not NULL. False when out of memory. */
bool map_put(struct map *m, struct str key, void *value, void **old);
void *map_del(struct map *m, struct str key); /* the removed value or NULL */
void map_clear(struct map *m, void (*free_value)(void *));
void map_free(struct map *m, void (*free_value)(void *)); /* free_value may be NULL */

/* Visits each entry: for (struct map_slot *s = NULL; (s = map_next(m, s));) . No changes while iterating. */
struct map_slot *map_next(const struct map *m, struct map_slot *after);

/* The entries sorted by key in byte order: a malloc'd array of count slots (shallow copies), NULL when empty or out of
 * memory. */
struct map_slot *map_sorted(const struct map *m);

#endif

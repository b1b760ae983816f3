/*
 * For each message key the newest queue offset, in bounded memory: keys are known by a 128-bit hash, so that a map of n
 * bytes holds at least n / 96 of them whatever their length. Owner: whoever made it. One thread at a time.
 */
#ifndef CROCKET_STORE_COMPACTION_KEY_MAP_H
#define CROCKET_STORE_COMPACTION_KEY_MAP_H

#include "base/str.h"

struct key_map {
    struct key_slot *slots;
    size_t cap, count;
    size_t bytes_max;
    uint64_t seed;
};

void key_map_init(struct key_map *m, size_t bytes_max); /* at least 100 keys always fit, as in Java */
void key_map_free(struct key_map *m);
/* Offsets come in ascending order. False: full, or out of memory; nothing changed. */
bool key_map_put(struct key_map *m, struct str key, int64_t offset);
int64_t key_map_get(const struct key_map *m, struct str key); /* -1: absent */

#endif

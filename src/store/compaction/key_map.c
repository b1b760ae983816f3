#include "store/compaction/key_map.h"

#include "os/host.h"

#include <stdlib.h>

enum { FIRST_CAP = 256 };

struct key_slot {
    uint64_t hash[2];
    int64_t offset_plus_1; /* 0: free */
};

void key_map_init(struct key_map *m, size_t bytes_max)
{
    size_t least = 2 * FIRST_CAP * sizeof(struct key_slot);
    *m = (struct key_map){.bytes_max = bytes_max < least ? least : bytes_max};
    host_random(&m->seed, sizeof m->seed);
}

void key_map_free(struct key_map *m)
{
    free(m->slots);
    m->slots = NULL;
    m->cap = m->count = 0;
}

static struct key_slot *find(const struct key_map *m, const uint64_t hash[2])
{
    size_t i = (size_t)hash[0] & (m->cap - 1);
    for (;; i = (i + 1) & (m->cap - 1)) {
        struct key_slot *s = &m->slots[i];
        if (s->offset_plus_1 == 0 || (s->hash[0] == hash[0] && s->hash[1] == hash[1]))
            return s;
    }
}

/* Old and new table stand side by side for a moment: both count. */
static bool grow(struct key_map *m)
{
    size_t cap = m->cap ? m->cap * 2 : FIRST_CAP;
    if ((cap + m->cap) * sizeof *m->slots > m->bytes_max)
        return false;
    struct key_map bigger = *m;
    bigger.slots = calloc(cap, sizeof *bigger.slots);
    bigger.cap = cap;
    if (bigger.slots == NULL)
        return false;
    for (size_t i = 0; i < m->cap; i++)
        if (m->slots[i].offset_plus_1)
            *find(&bigger, m->slots[i].hash) = m->slots[i];
    free(m->slots);
    *m = bigger;
    return true;
}

bool key_map_put(struct key_map *m, struct str key, int64_t offset)
{
    uint64_t hash[2];
    str_hash128(key, m->seed, hash);
    struct key_slot *s = m->cap ? find(m, hash) : NULL;
    if (s == NULL || s->offset_plus_1 == 0) {
        if ((m->count + 1) * 4 > m->cap * 3 && !grow(m))
            return false;
        s = find(m, hash);
        s->hash[0] = hash[0];
        s->hash[1] = hash[1];
        m->count++;
    }
    s->offset_plus_1 = offset + 1;
    return true;
}

int64_t key_map_get(const struct key_map *m, struct str key)
{
    uint64_t hash[2];
    if (m->cap == 0)
        return -1;
    str_hash128(key, m->seed, hash);
    return find(m, hash)->offset_plus_1 - 1;
}

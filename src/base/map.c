#include "base/map.h"

#include <stdlib.h>

static uint64_t hash_of(struct str key)
{
    uint64_t h = str_hash(key);
    return h ? h : 1;
}

static struct map_slot *find(const struct map *m, uint64_t hash, struct str key)
{
    if (m->cap == 0)
        return NULL;
    for (size_t i = hash & (m->cap - 1);; i = (i + 1) & (m->cap - 1)) {
        struct map_slot *s = &m->slots[i];
        if (s->hash == 0)
            return NULL;
        if (s->hash == hash && str_eq(s->key, key))
            return s;
    }
}

static void place(struct map *m, struct map_slot slot)
{
    size_t i = slot.hash & (m->cap - 1);
    while (m->slots[i].hash)
        i = (i + 1) & (m->cap - 1);
    m->slots[i] = slot;
}

static bool grow(struct map *m)
{
    size_t cap = m->cap ? m->cap * 2 : 16;
    struct map bigger = {calloc(cap, sizeof *bigger.slots), cap, m->count};
    if (bigger.slots == NULL)
        return false;
    for (size_t i = 0; i < m->cap; i++)
        if (m->slots[i].hash)
            place(&bigger, m->slots[i]);
    free(m->slots);
    *m = bigger;
    return true;
}

void *map_get(const struct map *m, struct str key)
{
    struct map_slot *s = m->cap ? find(m, hash_of(key), key) : NULL;
    return s ? s->value : NULL;
}

bool map_put(struct map *m, struct str key, void *value, void **old)
{
    uint64_t hash = hash_of(key);
    struct map_slot *s = find(m, hash, key);
    if (old)
        *old = s ? s->value : NULL;
    if (s) {
        s->value = value;
        return true;
    }
    if ((m->count + 1) * 4 > m->cap * 3 && !grow(m))
        return false;
    char *copy = str_dupz(key);
    if (copy == NULL)
        return false;
    place(m, (struct map_slot){hash, str_make(copy, key.len), value});
    m->count++;
    return true;
}

static void free_key(struct map_slot *s)
{
    free((void *)(uintptr_t)s->key.ptr);
}

void *map_del(struct map *m, struct str key)
{
    struct map_slot *s = find(m, hash_of(key), key);
    if (s == NULL)
        return NULL;
    void *value = s->value;
    free_key(s);
    size_t mask = m->cap - 1;
    size_t hole = (size_t)(s - m->slots);
    for (size_t i = (hole + 1) & mask; m->slots[i].hash; i = (i + 1) & mask) {
        size_t home = m->slots[i].hash & mask;
        if (((i - home) & mask) >= ((i - hole) & mask)) {
            m->slots[hole] = m->slots[i];
            hole = i;
        }
    }
    m->slots[hole].hash = 0;
    m->count--;
    return value;
}

void map_clear(struct map *m, void (*free_value)(void *))
{
    for (size_t i = 0; i < m->cap; i++) {
        if (m->slots[i].hash == 0)
            continue;
        free_key(&m->slots[i]);
        if (free_value)
            free_value(m->slots[i].value);
        m->slots[i].hash = 0;
    }
    m->count = 0;
}

void map_free(struct map *m, void (*free_value)(void *))
{
    map_clear(m, free_value);
    free(m->slots);
    *m = (struct map){0};
}

struct map_slot *map_next(const struct map *m, struct map_slot *after)
{
    for (size_t i = after ? (size_t)(after - m->slots) + 1 : 0; i < m->cap; i++)
        if (m->slots[i].hash)
            return &m->slots[i];
    return NULL;
}

static int by_key(const void *a, const void *b)
{
    return str_cmp(((const struct map_slot *)a)->key, ((const struct map_slot *)b)->key);
}

struct map_slot *map_sorted(const struct map *m)
{
    struct map_slot *all = m->count ? malloc(m->count * sizeof *all) : NULL;
    if (all == NULL)
        return NULL;
    size_t n = 0;
    for (struct map_slot *s = NULL; (s = map_next(m, s));)
        all[n++] = *s;
    qsort(all, n, sizeof *all, by_key);
    return all;
}

#include "broker/offset/consumer_offset_int.h"

#include "base/log.h"
#include "broker/config/config_file.h"
#include "broker/config/config_journal.h"
#include "broker/topic/topic_manager.h"
#include "os/clock.h"
#include "os/thread.h"
#include <stdlib.h>

enum { KEY_MAX = 768, COMMITS_A_VERSION = 500 };

struct offset_manager *offset_manager_new(const char *config_dir, bool lmq)
{
    struct offset_manager *m = calloc(1, sizeof *m);
    if (m == NULL)
        return NULL;
    m->lmq = lmq;
    m->path = config_file_path(config_dir, lmq ? "lmqConsumerOffset.json" : "consumerOffset.json");
    m->old_path = lmq ? config_file_path(config_dir, "consumerOffset.json") : NULL;
    m->journal = m->path ? config_journal_new(m->path) : NULL;
    if (m->journal == NULL || (lmq && m->old_path == NULL)) {
        config_journal_free(m->journal);
        free(m->old_path);
        free(m->path);
        free(m);
        return NULL;
    }
    for (size_t i = 0; i < SHARDS; i++)
        mutex_init_adaptive(&m->shards[i].lock);
    pthread_mutex_init(&m->save_lock, NULL);
    pthread_mutex_init(&m->version_lock, NULL);
    m->version.timestamp = clock_wall_ms();
    return m;
}

static void free_entry(void *value)
{
    struct entry *e = value;
    free((void *)(uintptr_t)e->key.ptr);
    free(e->queues);
    free(e);
}

void offset_manager_free(struct offset_manager *m)
{
    if (m == NULL)
        return;
    for (size_t i = 0; i < SHARDS; i++) {
        map_free(&m->shards[i].entries, free_entry);
        pthread_mutex_destroy(&m->shards[i].lock);
    }
    pthread_mutex_destroy(&m->save_lock);
    pthread_mutex_destroy(&m->version_lock);
    config_journal_free(m->journal);
    free(m->path);
    free(m->old_path);
    free(m);
}

/* ---- finding ---- */

struct key {
    char text[KEY_MAX];
    struct str s;
};

/* False: longer than any legal topic and group. */
static bool make_key(struct key *k, struct str group, struct str topic)
{
    if (topic.len + group.len + 1 > sizeof k->text)
        return false;
    if (topic.ptr)
        memcpy(k->text, topic.ptr, topic.len);
    k->text[topic.len] = '@';
    if (group.ptr)
        memcpy(k->text + topic.len + 1, group.ptr, group.len);
    k->s = str_make(k->text, topic.len + group.len + 1);
    return true;
}

static struct shard *shard_of(struct offset_manager *m, struct str key)
{
    return &m->shards[str_hash(key) >> 60 & (SHARDS - 1)];
}

static struct entry *new_entry(struct shard *s, struct str key, size_t topic_len)
{
    struct entry *e = calloc(1, sizeof *e);
    char *copy = e ? str_dupz(key) : NULL;
    if (copy == NULL || !map_put(&s->entries, key, e, NULL)) {
        free(copy);
        free(e);
        return NULL;
    }
    e->key = str_make(copy, key.len);
    e->topic_len = topic_len;
    return e;
}

/* Where queue_id is or belongs. */
static size_t place(const struct entry *e, int32_t queue_id)
{
    size_t low = 0, high = e->count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (e->queues[middle].queue_id < queue_id)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static struct queue_offset *find_queue(const struct entry *e, int32_t queue_id)
{
    size_t at = place(e, queue_id);
    return at < e->count && e->queues[at].queue_id == queue_id ? &e->queues[at] : NULL;
}

static struct queue_offset *add_queue(struct entry *e, int32_t queue_id, bool only)
{
    size_t at = place(e, queue_id);
    if (at < e->count && e->queues[at].queue_id == queue_id)
        return &e->queues[at];
    if (e->count == e->cap) {
        size_t cap = e->cap ? e->cap * 2 : only ? 1 : 4;
        struct queue_offset *more = realloc(e->queues, cap * sizeof *more);
        if (more == NULL)
            return NULL;
        e->queues = more;
        e->cap = cap;
    }
    memmove(&e->queues[at + 1], &e->queues[at], (e->count - at) * sizeof *e->queues);
    e->count++;
    e->queues[at] = (struct queue_offset){queue_id, NONE, NONE, NONE};
    return &e->queues[at];
}

/* ---- commit and query ---- */

enum which { COMMITTED, PULLED, RESET };

static int64_t *member(struct queue_offset *q, enum which which)
{
    return which == COMMITTED ? &q->committed : which == PULLED ? &q->pulled : &q->reset;
}

static void note_changed(struct shard *s, struct entry *e)
{
    if (e->changed)
        return;
    e->changed = true;
    e->changed_next = s->changed;
    s->changed = e;
}

/* Sets one value; the one before in *old. False: nothing changed. */
static bool set(struct offset_manager *m, struct str group, struct str topic, int32_t queue_id, enum which which,
                int64_t offset, int64_t *old)
{
    struct key k;
    bool lmq = offset_is_lmq_group(m, group);
    if (lmq)
        queue_id = MSG_LMQ_QUEUE_ID;
    if (queue_id < 0 || queue_id >= TOPIC_MAX_QUEUES || !make_key(&k, group, topic))
        return false;
    struct shard *s = shard_of(m, k.s);
    pthread_mutex_lock(&s->lock);
    struct entry *e = map_get(&s->entries, k.s);
    if (e == NULL)
        e = new_entry(s, k.s, topic.len);
    struct queue_offset *q = e ? add_queue(e, queue_id, lmq) : NULL;
    if (q) {
        *old = *member(q, which);
        *member(q, which) = offset;
        if (which == COMMITTED)
            note_changed(s, e);
    }
    pthread_mutex_unlock(&s->lock);
    return q != NULL;
}

static int64_t get(struct offset_manager *m, struct str group, struct str topic, int32_t queue_id, enum which which,
                   bool take)
{
    struct key k;
    int64_t offset = NONE;
    if (!make_key(&k, group, topic))
        return NONE;
    if (offset_is_lmq_group(m, group))
        queue_id = MSG_LMQ_QUEUE_ID;
    struct shard *s = shard_of(m, k.s);
    pthread_mutex_lock(&s->lock);
    struct entry *e = map_get(&s->entries, k.s);
    struct queue_offset *q = e ? find_queue(e, queue_id) : NULL;
    if (q) {
        offset = *member(q, which);
        if (take)
            *member(q, which) = NONE;
    }
    pthread_mutex_unlock(&s->lock);
    return offset;
}

bool offset_take(struct offset_manager *m, struct str group, struct str topic, int32_t queue_id, int64_t offset)
{
    int64_t old;
    return set(m, group, topic, queue_id, COMMITTED, offset, &old);
}

static void count_commit(struct offset_manager *m)
{
    atomic_fetch_add_explicit(&m->changes, 1, memory_order_relaxed);
    if ((atomic_fetch_add_explicit(&m->commits, 1, memory_order_relaxed) + 1) % COMMITS_A_VERSION == 0) {
        pthread_mutex_lock(&m->version_lock);
        data_version_next(&m->version, 0, clock_wall_ms());
        pthread_mutex_unlock(&m->version_lock);
    }
}

int64_t offset_query(struct offset_manager *m, struct str group, struct str topic, int32_t queue_id)
{
    return get(m, group, topic, queue_id, COMMITTED, false);
}

void offset_commit(struct offset_manager *m, struct str group, struct str topic, int32_t queue_id, int64_t offset)
{
    int64_t old;
    if (!set(m, group, topic, queue_id, COMMITTED, offset, &old))
        return;
    if (old == offset)
        return;
    if (offset < old)
        LOG_LIMITED(LOG_WARN, "broker", "group %.*s set its offset of topic %.*s queue %d back from %lld to %lld",
                    STR_ARG(group), STR_ARG(topic), queue_id, (long long)old, (long long)offset);
    count_commit(m);
}

void offset_commit_pull(struct offset_manager *m, struct str group, struct str topic, int32_t queue_id, int64_t offset)
{
    int64_t old;
    set(m, group, topic, queue_id, PULLED, offset, &old);
}

int64_t offset_query_pull(struct offset_manager *m, struct str group, struct str topic, int32_t queue_id)
{
    int64_t pulled = get(m, group, topic, queue_id, PULLED, false);
    return pulled != NONE ? pulled : offset_query(m, group, topic, queue_id);
}

void offset_reset(struct offset_manager *m, struct str group, struct str topic, int32_t queue_id, int64_t offset)
{
    int64_t old;
    offset_commit(m, group, topic, queue_id, offset);
    if (set(m, group, topic, queue_id, RESET, offset, &old) && old == NONE)
        atomic_fetch_add(&m->resets, 1);
}

int64_t offset_take_reset(struct offset_manager *m, struct str group, struct str topic, int32_t queue_id)
{
    int64_t offset = get(m, group, topic, queue_id, RESET, true);
    if (offset != NONE)
        atomic_fetch_sub(&m->resets, 1);
    return offset;
}

bool offset_has_reset(struct offset_manager *m, struct str group, struct str topic, int32_t queue_id)
{
    return offset_any_reset(m) && get(m, group, topic, queue_id, RESET, false) != NONE;
}

bool offset_any_reset(const struct offset_manager *m)
{
    return atomic_load_explicit(&m->resets, memory_order_relaxed) > 0;
}

/* ---- several at once ---- */

bool offset_entry_has_committed(const struct entry *e)
{
    for (size_t i = 0; i < e->count; i++)
        if (e->queues[i].committed != NONE)
            return true;
    return false;
}

/* A copy of the queues of topic@group, malloc'd; NULL when there is none. */
static struct queue_offset *copy_queues(struct offset_manager *m, struct str group, struct str topic, size_t *n)
{
    struct key k;
    struct queue_offset *copy = NULL;
    *n = 0;
    if (!make_key(&k, group, topic))
        return NULL;
    struct shard *s = shard_of(m, k.s);
    pthread_mutex_lock(&s->lock);
    const struct entry *e = map_get(&s->entries, k.s);
    if (e && e->count && (copy = malloc(e->count * sizeof *copy)) != NULL) {
        memcpy(copy, e->queues, e->count * sizeof *copy);
        *n = e->count;
    }
    pthread_mutex_unlock(&s->lock);
    return copy;
}

void offset_each(struct offset_manager *m, struct str group, struct str topic,
                 void (*fn)(void *arg, int32_t queue_id, int64_t offset), void *arg)
{
    size_t n;
    struct queue_offset *queues = copy_queues(m, group, topic, &n);
    for (size_t i = 0; i < n; i++)
        if (queues[i].committed != NONE)
            fn(arg, queues[i].queue_id, queues[i].committed);
    free(queues);
}

void offset_clone(struct offset_manager *m, struct str src_group, struct str dest_group, struct str topic)
{
    size_t n;
    struct queue_offset *queues = copy_queues(m, src_group, topic, &n);
    for (size_t i = 0; i < n; i++)
        if (queues[i].committed != NONE)
            offset_commit(m, dest_group, topic, queues[i].queue_id, queues[i].committed);
    free(queues);
}

static bool set_back_entry(struct entry *e, int64_t (*end)(void *arg, struct str topic, int32_t queue_id), void *arg)
{
    bool changed = false;
    for (size_t i = 0; i < e->count; i++) {
        struct queue_offset *q = &e->queues[i];
        int64_t max = q->committed > 0 ? end(arg, offset_entry_topic(e), q->queue_id) : NONE;
        if (max < 0 || q->committed <= max)
            continue;
        LOG_LIMITED(LOG_WARN, "broker",
                    "group %.*s had consumed topic %.*s queue %d up to %lld, but it ends at %lld: going on there",
                    STR_ARG(offset_entry_group(e)), STR_ARG(offset_entry_topic(e)), q->queue_id,
                    (long long)q->committed, (long long)max);
        q->committed = max;
        changed = true;
    }
    return changed;
}

void offset_set_back(struct offset_manager *m, int64_t (*end)(void *arg, struct str topic, int32_t queue_id), void *arg)
{
    bool any = false;
    for (size_t i = 0; i < SHARDS; i++) {
        struct shard *s = &m->shards[i];
        pthread_mutex_lock(&s->lock);
        for (struct map_slot *slot = NULL; (slot = map_next(&s->entries, slot));) {
            if (!set_back_entry(slot->value, end, arg))
                continue;
            note_changed(s, slot->value);
            any = true;
        }
        pthread_mutex_unlock(&s->lock);
    }
    if (any)
        count_commit(m);
}

/* The other halves of all keys one half of which is `half`. */
static void names_of(struct offset_manager *m, struct str half, bool half_is_group, struct arena *a, struct str **names,
                     size_t *n)
{
    size_t cap = 16;
    *n = 0;
    *names = arena_alloc(a, cap * sizeof **names);
    for (size_t i = 0; *names && i < SHARDS; i++) {
        struct shard *s = &m->shards[i];
        pthread_mutex_lock(&s->lock);
        for (struct map_slot *slot = NULL; (slot = map_next(&s->entries, slot));) {
            const struct entry *e = slot->value;
            if (!str_eq(half_is_group ? offset_entry_group(e) : offset_entry_topic(e), half) ||
                !offset_entry_has_committed(e))
                continue;
            if (*n == cap) {
                struct str *more = arena_alloc(a, 2 * cap * sizeof *more);
                if (more == NULL)
                    break;
                memcpy(more, *names, cap * sizeof *more);
                *names = more;
                cap *= 2;
            }
            (*names)[(*n)++] = arena_str(a, half_is_group ? offset_entry_topic(e) : offset_entry_group(e));
        }
        pthread_mutex_unlock(&s->lock);
    }
}

void offset_topics_of(struct offset_manager *m, struct str group, struct arena *a, struct str **names, size_t *n)
{
    names_of(m, group, true, a, names, n);
}

void offset_groups_of(struct offset_manager *m, struct str topic, struct arena *a, struct str **names, size_t *n)
{
    names_of(m, topic, false, a, names, n);
}

/* ---- deleting ---- */

static void drop(struct offset_manager *m, struct shard *s, struct entry *e)
{
    struct entry **at = &s->changed;
    while (*at && *at != e)
        at = &(*at)->changed_next;
    if (*at)
        *at = e->changed_next;
    atomic_store(&m->whole_wanted, true);
    for (size_t i = 0; i < e->count; i++)
        if (e->queues[i].reset != NONE)
            atomic_fetch_sub(&m->resets, 1);
    map_del(&s->entries, e->key);
    free_entry(e);
    atomic_fetch_add(&m->changes, 1);
}

static struct entry *match(const struct shard *s, struct str half, bool half_is_group)
{
    for (struct map_slot *slot = NULL; (slot = map_next(&s->entries, slot));) {
        struct entry *e = slot->value;
        if (str_eq(half_is_group ? offset_entry_group(e) : offset_entry_topic(e), half))
            return e;
    }
    return NULL;
}

static void delete_all(struct offset_manager *m, struct str half, bool half_is_group)
{
    for (size_t i = 0; i < SHARDS; i++) {
        struct shard *s = &m->shards[i];
        struct entry *e;
        pthread_mutex_lock(&s->lock);
        while ((e = match(s, half, half_is_group)) != NULL)
            drop(m, s, e);
        pthread_mutex_unlock(&s->lock);
    }
}

void offset_delete_group(struct offset_manager *m, struct str group)
{
    delete_all(m, group, true);
}

void offset_delete_topic(struct offset_manager *m, struct str topic)
{
    delete_all(m, topic, false);
}

void offset_delete(struct offset_manager *m, struct str group, struct str topic)
{
    struct key k;
    if (!make_key(&k, group, topic))
        return;
    struct shard *s = shard_of(m, k.s);
    pthread_mutex_lock(&s->lock);
    struct entry *e = map_get(&s->entries, k.s);
    if (e)
        drop(m, s, e);
    pthread_mutex_unlock(&s->lock);
}

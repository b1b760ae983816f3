#include "broker/pop/pop_queue.h"

#include "base/map.h"
#include "broker/pop/pop_wait.h"
#include "os/thread.h"
#include <stdlib.h>

enum { QUEUES_MAX = 65536 };

struct pop_table {
    pthread_rwlock_t lock;
    struct map groups; /* topic@group -> struct pop_group * */
    struct broker *broker;
    unsigned loops;
};

struct pop_table *pop_table_new(struct broker *b, unsigned loops)
{
    struct pop_table *t = calloc(1, sizeof *t);
    if (t == NULL)
        return NULL;
    t->broker = b;
    t->loops = loops;
    pthread_rwlock_init(&t->lock, NULL);
    return t;
}

static void queue_free(struct pop_queue *q)
{
    if (q == NULL)
        return;
    pop_order_clear(&q->order);
    pthread_mutex_destroy(&q->lock);
    free(q);
}

static void group_free(void *arg)
{
    struct pop_group *g = arg;
    for (int32_t i = 0; i < g->queue_count; i++)
        queue_free(g->queues[i]);
    pop_holds_free(g->holds);
    pthread_mutex_destroy(&g->lock);
    free(g->queues);
    free((char *)(uintptr_t)g->topic.ptr);
    free((char *)(uintptr_t)g->group.ptr);
    free(g);
}

void pop_table_free(struct pop_table *t)
{
    if (t == NULL)
        return;
    map_free(&t->groups, group_free);
    pthread_rwlock_destroy(&t->lock);
    free(t);
}

static bool key_of(char *key, size_t size, struct str topic, struct str group, struct str *out)
{
    if (topic.len + group.len + 1 > size)
        return false;
    memcpy(key, topic.ptr, topic.len);
    key[topic.len] = '@';
    memcpy(key + topic.len + 1, group.ptr, group.len);
    *out = str_make(key, topic.len + 1 + group.len);
    return true;
}

static struct pop_group *group_new(struct pop_table *t, struct str topic, struct str group)
{
    struct pop_group *g = calloc(1, sizeof *g);
    if (g == NULL)
        return NULL;
    g->kind = pop_kind_of(topic);
    g->topic = (struct str){str_dupz(topic), topic.len};
    g->group = (struct str){str_dupz(group), group.len};
    mutex_init_adaptive(&g->lock);
    if (g->kind == POP_NORMAL)
        g->holds = pop_holds_new(t->broker, g, t->loops);
    if (g->topic.ptr && g->group.ptr && (g->holds || g->kind != POP_NORMAL))
        return g;
    group_free(g);
    return NULL;
}

static struct pop_group *add(struct pop_table *t, struct str key, struct str topic, struct str group)
{
    struct pop_group *g = map_get(&t->groups, key);
    if (g || (g = group_new(t, topic, group)) == NULL)
        return g;
    if (map_put(&t->groups, key, g, NULL))
        return g;
    group_free(g);
    return NULL;
}

static struct pop_group *add_retry(struct pop_table *t, struct str topic, struct str group, enum pop_kind kind)
{
    struct buf name = {0};
    char text[1024];
    struct str key;
    pop_retry_topic(&name, topic, group, kind);
    struct pop_group *g = buf_ok(&name) && key_of(text, sizeof text, buf_str(&name), group, &key)
                              ? add(t, key, buf_str(&name), group)
                              : NULL;
    buf_free(&name);
    return g;
}

struct pop_group *pop_table_group(struct pop_table *t, struct str topic, struct str group, bool create)
{
    char text[1024];
    struct str key;
    if (!key_of(text, sizeof text, topic, group, &key))
        return NULL;
    pthread_rwlock_rdlock(&t->lock);
    struct pop_group *g = map_get(&t->groups, key);
    pthread_rwlock_unlock(&t->lock);
    if (g || !create)
        return g;
    pthread_rwlock_wrlock(&t->lock);
    g = add(t, key, topic, group);
    if (g && g->kind == POP_NORMAL && g->retry[POP_RETRY_V1] == NULL) {
        g->retry[POP_RETRY_V2] = add_retry(t, topic, group, POP_RETRY_V2);
        g->retry[POP_RETRY_V1] = add_retry(t, topic, group, POP_RETRY_V1);
        if (!g->retry[POP_RETRY_V1] || !g->retry[POP_RETRY_V2])
            g = NULL;
    }
    pthread_rwlock_unlock(&t->lock);
    return g;
}

static bool grow(struct pop_group *g, int32_t queue_id)
{
    int32_t want = g->queue_count ? g->queue_count : 8;
    while (want <= queue_id)
        want *= 2;
    struct pop_queue **grown = realloc(g->queues, (size_t)want * sizeof *grown);
    if (grown == NULL)
        return false;
    memset(grown + g->queue_count, 0, (size_t)(want - g->queue_count) * sizeof *grown);
    g->queues = grown;
    g->queue_count = want;
    return true;
}

static struct pop_queue *queue_new(struct pop_group *g, int32_t queue_id)
{
    struct pop_queue *q = calloc(1, sizeof *q);
    if (q == NULL)
        return NULL;
    q->group = g;
    q->id = queue_id;
    q->owner = -1;
    mutex_init_adaptive(&q->lock);
    return q;
}

struct pop_queue *pop_group_queue(struct pop_group *g, int32_t queue_id, bool create)
{
    struct pop_queue *q = NULL;
    if (queue_id < 0 || queue_id >= QUEUES_MAX)
        return NULL;
    pthread_mutex_lock(&g->lock);
    if (queue_id < g->queue_count)
        q = g->queues[queue_id];
    if (q == NULL && create && (queue_id < g->queue_count || grow(g, queue_id)))
        q = g->queues[queue_id] = queue_new(g, queue_id);
    pthread_mutex_unlock(&g->lock);
    return q;
}

struct pop_queue *pop_table_queue(struct pop_table *t, struct str topic, struct str group, int32_t queue_id)
{
    struct pop_group *g = pop_table_group(t, topic, group, false);
    return g ? pop_group_queue(g, queue_id, false) : NULL;
}

void pop_table_each(struct pop_table *t, void (*fn)(void *arg, struct pop_queue *q), void *arg)
{
    pthread_rwlock_rdlock(&t->lock);
    for (struct map_slot *s = NULL; (s = map_next(&t->groups, s));) {
        struct pop_group *g = s->value;
        pthread_mutex_lock(&g->lock);
        for (int32_t i = 0; i < g->queue_count; i++)
            if (g->queues[i])
                fn(arg, g->queues[i]);
        pthread_mutex_unlock(&g->lock);
    }
    pthread_rwlock_unlock(&t->lock);
}

/* ---- popping ---- */

bool pop_queue_busy(struct pop_queue *q, unsigned loop)
{
    pthread_mutex_lock(&q->lock);
    bool busy = q->owner >= 0 && q->owner != (int)loop;
    if (busy)
        q->refused |= UINT64_C(1) << loop;
    pthread_mutex_unlock(&q->lock);
    return busy;
}

bool pop_queue_enter(struct pop_queue *q, unsigned loop)
{
    pthread_mutex_lock(&q->lock);
    bool free_for_us = q->owner < 0 || q->owner == (int)loop;
    if (free_for_us)
        q->owner = (int)loop;
    else
        q->refused |= UINT64_C(1) << loop;
    pthread_mutex_unlock(&q->lock);
    return free_for_us;
}

int64_t pop_queue_start(struct pop_queue *q, int64_t committed)
{
    pthread_mutex_lock(&q->lock);
    int64_t start = q->pending && q->next > committed ? q->next : committed;
    pthread_mutex_unlock(&q->lock);
    return start;
}

void pop_queue_put(struct pop_queue *q, int64_t next)
{
    pthread_mutex_lock(&q->lock);
    q->pending++;
    q->next = next;
    pthread_mutex_unlock(&q->lock);
}

bool pop_queue_skip(struct pop_queue *q, int64_t next)
{
    pthread_mutex_lock(&q->lock);
    bool idle = q->pending == 0;
    if (!idle)
        q->next = next;
    pthread_mutex_unlock(&q->lock);
    return idle;
}

bool pop_queue_done(struct pop_queue *q, bool ok, int64_t start, int64_t *commit)
{
    pthread_mutex_lock(&q->lock);
    if (!ok && start < q->next)
        q->next = start;
    bool last = --q->pending == 0;
    *commit = q->next;
    pthread_mutex_unlock(&q->lock);
    return last;
}

uint64_t pop_queue_leave(struct pop_queue *q)
{
    uint64_t wake = 0;
    pthread_mutex_lock(&q->lock);
    if (q->pending == 0) {
        q->owner = -1;
        wake = q->refused;
        q->refused = 0;
    }
    pthread_mutex_unlock(&q->lock);
    return wake;
}

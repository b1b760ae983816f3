#include "broker/client/lock_manager.h"

#include "base/log.h"
#include "base/map.h"
#include "os/clock.h"
#include "os/thread.h"
#include <stdio.h>
#include <stdlib.h>

enum { KEY_MAX = 1024 };

struct queue_lock {
    char *client_id;
    int64_t since_ms; /* monotonic, refreshed by its client */
};

struct lock_manager {
    pthread_mutex_t lock;
    struct map groups; /* name -> struct map of queue key -> struct queue_lock */
    int64_t max_live_ms;
};

struct lock_manager *lock_manager_new(int64_t max_live_ms)
{
    struct lock_manager *m = calloc(1, sizeof *m);
    if (m == NULL)
        return NULL;
    mutex_init_adaptive(&m->lock);
    m->max_live_ms = max_live_ms;
    return m;
}

static void free_lock(void *value)
{
    struct queue_lock *l = value;
    free(l->client_id);
    free(l);
}

static void free_group(void *value)
{
    map_free(value, free_lock);
    free(value);
}

void lock_manager_free(struct lock_manager *m)
{
    if (m == NULL)
        return;
    map_free(&m->groups, free_group);
    pthread_mutex_destroy(&m->lock);
    free(m);
}

/* "id@topic@broker"; the null view when that is longer than any real one. */
static struct str queue_key(char text[KEY_MAX], struct str topic, struct str broker, int32_t queue_id)
{
    int n = snprintf(text, KEY_MAX, "%d@%.*s@%.*s", queue_id, STR_ARG(topic), STR_ARG(broker));
    return n < 0 || n >= KEY_MAX ? STR_NULL : str_make(text, (size_t)n);
}

static bool expired(const struct lock_manager *m, const struct queue_lock *l)
{
    return clock_mono_ms() - l->since_ms > m->max_live_ms;
}

static struct map *group_of(struct lock_manager *m, struct str name)
{
    struct map *g = map_get(&m->groups, name);
    if (g)
        return g;
    g = calloc(1, sizeof *g);
    if (g && !map_put(&m->groups, name, g, NULL)) {
        free(g);
        g = NULL;
    }
    return g;
}

static bool take(struct queue_lock *l, struct str client_id)
{
    char *id = str_dupz(client_id);
    if (id == NULL)
        return false;
    free(l->client_id);
    l->client_id = id;
    l->since_ms = clock_mono_ms();
    return true;
}

static bool add(struct map *group, struct str key, struct str client_id)
{
    struct queue_lock *l = calloc(1, sizeof *l);
    if (l && take(l, client_id) && map_put(group, key, l, NULL))
        return true;
    if (l)
        free_lock(l);
    return false;
}

bool lock_try(struct lock_manager *m, struct str group, struct str topic, struct str broker, int32_t queue_id,
              struct str client_id)
{
    char text[KEY_MAX];
    struct str key = queue_key(text, topic, broker, queue_id);
    if (key.ptr == NULL)
        return false;
    bool granted = false;
    pthread_mutex_lock(&m->lock);
    struct map *g = group_of(m, group);
    struct queue_lock *l = g ? map_get(g, key) : NULL;
    if (g && l == NULL) {
        granted = add(g, key, client_id);
    } else if (l && str_eqz(client_id, l->client_id)) {
        l->since_ms = clock_mono_ms();
        granted = true;
    } else if (l && expired(m, l)) {
        LOG(LOG_INFO, "broker", "group %.*s: client %.*s takes the expired lock of %s on topic %.*s queue %d",
            STR_ARG(group), STR_ARG(client_id), l->client_id, STR_ARG(topic), queue_id);
        granted = take(l, client_id);
    }
    pthread_mutex_unlock(&m->lock);
    return granted;
}

void lock_release(struct lock_manager *m, struct str group, struct str topic, struct str broker, int32_t queue_id,
                  struct str client_id)
{
    char text[KEY_MAX];
    struct str key = queue_key(text, topic, broker, queue_id);
    if (key.ptr == NULL)
        return;
    pthread_mutex_lock(&m->lock);
    struct map *g = map_get(&m->groups, group);
    struct queue_lock *l = g ? map_get(g, key) : NULL;
    if (l && str_eqz(client_id, l->client_id)) {
        free_lock(map_del(g, key));
        if (g->count == 0)
            free_group(map_del(&m->groups, group));
    }
    pthread_mutex_unlock(&m->lock);
}

bool lock_any_held(struct lock_manager *m, struct str group)
{
    bool held = false;
    pthread_mutex_lock(&m->lock);
    const struct map *g = map_get(&m->groups, group);
    for (struct map_slot *s = NULL; g && !held && (s = map_next(g, s));)
        held = !expired(m, s->value);
    pthread_mutex_unlock(&m->lock);
    return held;
}

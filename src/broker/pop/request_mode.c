#include "broker/pop/request_mode.h"

#include "base/map.h"
#include "broker/broker_int.h"
#include "broker/config/config_file.h"
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

struct mode {
    enum request_mode mode;
    int32_t pop_share;
};

struct request_modes {
    pthread_mutex_t lock;
    struct map topics; /* topic -> struct map * of group -> struct mode * */
    char *path;
};

const char *request_mode_name(enum request_mode mode)
{
    return mode == REQUEST_MODE_POP ? "POP" : "PULL";
}

static void free_groups(void *arg)
{
    map_free(arg, free);
    free(arg);
}

struct request_modes *request_modes_new(const char *config_dir)
{
    struct request_modes *m = calloc(1, sizeof *m);
    if (m == NULL)
        return NULL;
    pthread_mutex_init(&m->lock, NULL);
    m->path = config_file_path(config_dir, "messageRequestMode.json");
    if (m->path)
        return m;
    request_modes_free(m);
    return NULL;
}

void request_modes_free(struct request_modes *m)
{
    if (m == NULL)
        return;
    map_free(&m->topics, free_groups);
    pthread_mutex_destroy(&m->lock);
    free(m->path);
    free(m);
}

static bool put(struct request_modes *m, struct str topic, struct str group, struct mode value)
{
    struct map *groups = map_get(&m->topics, topic);
    if (groups == NULL) {
        groups = calloc(1, sizeof *groups);
        if (groups == NULL || !map_put(&m->topics, topic, groups, NULL)) {
            free(groups);
            return false;
        }
    }
    struct mode *known = map_get(groups, group);
    if (known == NULL) {
        known = malloc(sizeof *known);
        if (known == NULL || !map_put(groups, group, known, NULL)) {
            free(known);
            return false;
        }
    }
    *known = value;
    return true;
}

int request_modes_load(struct request_modes *m, struct err *err)
{
    struct arena arena = {0};
    const struct json *j = NULL;
    int r = config_file_load(m->path, &arena, &j, err);
    JSON_EACH(topic, json_get(j, "messageRequestModeMap"))
    {
        JSON_EACH(group, topic)
        {
            struct mode value = {
                str_eqz(json_str(group, "mode"), "POP") ? REQUEST_MODE_POP : REQUEST_MODE_PULL,
                (int32_t)json_i64(group, "popShareQueueNum", 0),
            };
            if (!put(m, json_text(topic->key), json_text(group->key), value))
                r = err_set(err, ENOMEM, "out of memory for the modes of consumer groups");
        }
    }
    arena_free(&arena);
    return r;
}

bool request_mode_get(struct request_modes *m, struct str topic, struct str group, enum request_mode *mode,
                      int32_t *pop_share)
{
    pthread_mutex_lock(&m->lock);
    const struct map *groups = map_get(&m->topics, topic);
    const struct mode *known = groups ? map_get(groups, group) : NULL;
    if (known) {
        *mode = known->mode;
        *pop_share = known->pop_share;
    }
    pthread_mutex_unlock(&m->lock);
    return known != NULL;
}

static void write_groups(struct jw *w, struct str topic, const struct map *groups)
{
    struct map_slot *sorted = map_sorted(groups);
    for (size_t i = 0; sorted && i < groups->count; i++) {
        const struct mode *mode = sorted[i].value;
        jw_key(w, sorted[i].key);
        jw_begin_object(w);
        jw_kstr(w, "consumerGroup", sorted[i].key);
        jw_kstr(w, "mode", str_from(request_mode_name(mode->mode)));
        jw_ki64(w, "popShareQueueNum", mode->pop_share);
        jw_kstr(w, "topic", topic);
        jw_end_object(w);
    }
    free(sorted);
}

static void write_all(struct request_modes *m, struct jw *w)
{
    struct map_slot *sorted = map_sorted(&m->topics);
    jw_begin_object(w);
    jw_kobject(w, "messageRequestModeMap");
    for (size_t i = 0; sorted && i < m->topics.count; i++) {
        jw_key(w, sorted[i].key);
        jw_begin_object(w);
        write_groups(w, sorted[i].key, sorted[i].value);
        jw_end_object(w);
    }
    jw_end_object(w);
    jw_end_object(w);
    free(sorted);
}

void request_modes_write(struct request_modes *m, struct jw *w)
{
    pthread_mutex_lock(&m->lock);
    write_all(m, w);
    pthread_mutex_unlock(&m->lock);
}

int request_mode_set(struct request_modes *m, struct str topic, struct str group, enum request_mode mode,
                     int32_t pop_share, struct err *err)
{
    struct buf text = {0};
    struct jw w;
    jw_init(&w, &text);
    w.pretty = true;
    /* Saved under the lock, so that of two changes the later one is in the file. */
    pthread_mutex_lock(&m->lock);
    int r = put(m, topic, group, (struct mode){mode, pop_share}) ? 0 : -1;
    write_all(m, &w);
    r = r == 0 && buf_ok(&text) ? config_file_save(m->path, buf_str(&text), err)
                                : err_set(err, ENOMEM, "out of memory for the modes of consumer groups");
    pthread_mutex_unlock(&m->lock);
    buf_free(&text);
    return r;
}

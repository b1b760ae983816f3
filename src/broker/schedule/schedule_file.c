/* config/delayOffset.json: {"dataVersion":{..},"offsetTable":{LEVEL:OFFSET, ..}} */
#include "base/log.h"
#include "broker/config/config_file.h"
#include "broker/schedule/schedule_int.h"
#include "os/clock.h"
#include <errno.h>

enum { UPDATES_A_VERSION = 200 };

struct cq *schedule_queue(struct schedule *s, int level)
{
    return store_queue(s->b->store, STR_LIT(SCHEDULE_TOPIC), level - 1, false);
}

/* ---- offsets ---- */

void schedule_set_offset(struct schedule *s, int level, int64_t offset)
{
    pthread_mutex_lock(&s->lock);
    if (s->offset[level] != offset) {
        s->offset[level] = offset;
        if (++s->updates % UPDATES_A_VERSION == 0)
            data_version_next(&s->version, 0, clock_wall_ms());
    }
    pthread_mutex_unlock(&s->lock);
}

void schedule_progress(struct schedule *s, int level, int64_t *offset, int64_t *end)
{
    struct cq *q = level >= 1 && level <= s->levels.count ? schedule_queue(s, level) : NULL;
    *end = q ? cq_max(q) : 0;
    pthread_mutex_lock(&s->lock);
    *offset = q && s->offset[level] > 0 ? s->offset[level] : 0;
    pthread_mutex_unlock(&s->lock);
}

static void write_offsets(const struct schedule *s, const int64_t *offsets, struct jw *w)
{
    jw_begin_object(w);
    jw_key(w, STR_LIT("dataVersion"));
    data_version_write(w, &s->version);
    jw_kobject(w, "offsetTable");
    for (int level = 1; level <= DELAY_LEVELS_MAX; level++) {
        if (offsets[level] < 0)
            continue;
        jw_key_i64(w, level, false);
        jw_i64(w, offsets[level]);
    }
    jw_end_object(w);
    jw_end_object(w);
}

void schedule_write_offsets(struct schedule *s, struct jw *w)
{
    pthread_mutex_lock(&s->lock);
    write_offsets(s, s->offset, w);
    pthread_mutex_unlock(&s->lock);
}

int schedule_save(struct schedule *s, const int64_t *offsets, struct err *err)
{
    struct buf text = {0};
    struct jw w;
    jw_init(&w, &text);
    w.pretty = true;
    pthread_mutex_lock(&s->lock);
    write_offsets(s, offsets, &w);
    pthread_mutex_unlock(&s->lock);
    int r = buf_ok(&text) ? config_file_save(s->path, buf_str(&text), err)
                          : err_set(err, ENOMEM, "out of memory while saving %s", s->path);
    buf_free(&text);
    return r;
}

static void take_snapshot(struct schedule *s)
{
    pthread_mutex_lock(&s->lock);
    s->has_snapshot = s->updates != s->saved_updates;
    s->saved_updates = s->updates;
    memcpy(s->snapshot, s->offset, sizeof s->snapshot);
    pthread_mutex_unlock(&s->lock);
    s->snapshot_end = s->delivered_end;
}

/* An offset on the disk that is ahead of the messages there would lose them when the machine fails. */
void schedule_save_when_due(struct schedule *s, int64_t now_ms)
{
    struct err err;
    if (!s->has_snapshot && now_ms >= s->next_save_ms) {
        s->next_save_ms = now_ms + s->b->store_conf->flushDelayOffsetInterval;
        take_snapshot(s);
    }
    if (!s->has_snapshot || store_flushed(s->b->store) < s->snapshot_end)
        return;
    s->has_snapshot = false;
    if (schedule_save(s, s->snapshot, &err) < 0) {
        LOG_LIMITED(LOG_ERROR, "broker", "%s", err.text);
        s->saved_updates--; /* try again with the next interval */
    }
}

/* A store from which messages were removed, or that lost its end, does not have the saved offsets any more. */
static void clamp(struct schedule *s, int level)
{
    struct cq *q = schedule_queue(s, level);
    int64_t offset = s->offset[level];
    if (q == NULL || offset < 0)
        return;
    int64_t corrected = offset < cq_min(q) ? cq_min(q) : offset > cq_max(q) ? cq_max(q) : offset;
    if (corrected != offset)
        LOG(LOG_WARN, "broker",
            "delay level %d was delivered up to %lld, but its queue has %lld to %lld: going on at %lld", level,
            (long long)offset, (long long)cq_min(q), (long long)cq_max(q), (long long)corrected);
    s->offset[level] = corrected;
}

void schedule_clamp(struct schedule *s)
{
    pthread_mutex_lock(&s->lock);
    for (int level = 1; level <= s->levels.count; level++)
        clamp(s, level);
    pthread_mutex_unlock(&s->lock);
}

int schedule_load(struct schedule *s, struct err *err)
{
    struct arena a = {0};
    const struct json *doc;
    if (delay_levels_parse(&s->levels, str_from(s->b->store_conf->messageDelayLevel), err) < 0 ||
        config_file_load(s->path, &a, &doc, err) < 0) {
        arena_free(&a);
        return -1;
    }
    struct data_version v;
    JSON_EACH(member, json_get(doc, "offsetTable"))
    {
        int64_t level = json_int(member->key, -1), offset = json_int(member, -1);
        if (level >= 1 && level <= DELAY_LEVELS_MAX && offset >= 0)
            s->offset[level] = offset;
        else
            LOG(LOG_WARN, "broker", "%s: leaving out level '%.*s', it is none", s->path,
                STR_ARG(json_text(member->key)));
    }
    if (data_version_read(json_get(doc, "dataVersion"), &v))
        s->version = v;
    arena_free(&a);
    return 0;
}

/* What the pops of a broker share, and config/consumerOrderInfo.json: {"table":{"TOPIC@GROUP":{QUEUE:{..}}}} */
#include "base/log.h"
#include "broker/config/config_file.h"
#include "broker/pop/pop.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static void read_group(struct pop_state *s, const struct json *group)
{
    struct str name = json_text(group->key);
    const char *at = name.len ? memchr(name.ptr, '@', name.len) : NULL;
    struct pop_group *g = at ? pop_table_group(s->table, str_make(name.ptr, (size_t)(at - name.ptr)),
                                               str_skip(name, (size_t)(at - name.ptr) + 1), true)
                             : NULL;
    if (g == NULL)
        return;
    JSON_EACH(queue, group)
    {
        struct pop_queue *q = pop_group_queue(g, (int32_t)json_int(queue->key, -1), true);
        if (q)
            pop_order_read(&q->order, queue);
    }
}

static int load(struct pop_state *s, struct err *err)
{
    struct arena arena = {0};
    const struct json *j = NULL;
    int r = config_file_load(s->order_path, &arena, &j, err);
    JSON_EACH(group, json_get(j, "table"))
    {
        read_group(s, group);
    }
    arena_free(&arena);
    return r;
}

int pop_state_new(struct broker *b, struct err *err)
{
    char revive[300];
    struct pop_state *s = b->pop = calloc(1, sizeof *s);
    if (s == NULL)
        return err_set(err, ENOMEM, "out of memory for pops");
    snprintf(revive, sizeof revive, "rmq_sys_REVIVE_LOG_%s", b->conf->cluster_name);
    s->revive_topic = topic_find(b->topics, str_from(revive));
    s->table = pop_table_new(b, b->pool->count);
    s->loops = calloc(b->pool->count, sizeof *s->loops);
    s->checkpoints = stats_item(b->stats, STATS_BROKER_CK_NUMS, str_from(b->conf->cluster_name));
    s->acks = stats_item(b->stats, STATS_BROKER_ACK_NUMS, str_from(b->conf->cluster_name));
    s->order_path = config_file_path(b->config_dir, "consumerOrderInfo.json");
    if (!s->revive_topic || !s->table || !s->loops || !s->checkpoints || !s->acks || !s->order_path)
        return err_set(err, ENOMEM, "out of memory for pops");
    return load(s, err);
}

void pop_state_free(struct broker *b)
{
    struct pop_state *s = b->pop;
    if (s == NULL)
        return;
    for (unsigned i = 0; s->loops && i < b->pool->count; i++) {
        buf_free(&s->loops[i].body);
        buf_free(&s->loops[i].properties);
    }
    pop_table_free(s->table);
    free(s->loops);
    free(s->order_path);
    free(s);
    b->pop = NULL;
}

/* The queues come group by group. */
struct writing {
    struct jw w;
    struct pop_group *group;
};

static void write_queue(void *arg, struct pop_queue *q)
{
    struct writing *wr = arg;
    pthread_mutex_lock(&q->lock);
    if (q->order.known) {
        if (wr->group != q->group) {
            char key[1024];
            if (wr->group)
                jw_end_object(&wr->w);
            int n = snprintf(key, sizeof key, "%s@%s", q->group->topic.ptr, q->group->group.ptr);
            jw_key(&wr->w, str_make(key, (size_t)n));
            jw_begin_object(&wr->w);
            wr->group = q->group;
        }
        jw_key_i64(&wr->w, q->id, false);
        pop_order_write(&q->order, &wr->w);
    }
    pthread_mutex_unlock(&q->lock);
}

int pop_state_persist(struct broker *b, struct err *err)
{
    struct pop_state *s = b->pop;
    uint64_t changes = atomic_load(&s->order_changes);
    if (changes == s->order_saved)
        return 0;
    struct buf text = {0};
    struct writing wr = {0};
    jw_init(&wr.w, &text);
    wr.w.pretty = true;
    jw_begin_object(&wr.w);
    jw_kobject(&wr.w, "table");
    pop_table_each(s->table, write_queue, &wr);
    if (wr.group)
        jw_end_object(&wr.w);
    jw_end_object(&wr.w);
    jw_end_object(&wr.w);
    int r = buf_ok(&text) ? config_file_save(s->order_path, buf_str(&text), err)
                          : err_set(err, ENOMEM, "out of memory while saving %s", s->order_path);
    buf_free(&text);
    if (r == 0)
        s->order_saved = changes;
    return r;
}

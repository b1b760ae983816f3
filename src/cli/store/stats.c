/* "crocket store stats": what a store directory holds, by topic. */
#include "base/map.h"
#include "cli/cmd.h"
#include "cli/store/store_tool.h"
#include "store/store_dump.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

struct topic_sum {
    int64_t messages, bytes, body_bytes, largest, first_time, last_time;
};

struct sums {
    struct map topics; /* name -> struct topic_sum */
    struct topic_sum all;
    int64_t damaged_bytes;
    bool no_memory;
};

static void add(struct topic_sum *t, const struct msg_view *v)
{
    if (t->messages++ == 0)
        t->first_time = v->m.store_time;
    t->last_time = v->m.store_time;
    t->bytes += v->size;
    t->body_bytes += (int64_t)v->m.body.len;
    if (t->largest < (int64_t)v->size)
        t->largest = v->size;
}

static void message(void *arg, const struct msg_view *v, int64_t offset)
{
    struct sums *s = arg;
    struct topic_sum *t = map_get(&s->topics, v->m.topic);
    if (t == NULL) {
        t = calloc(1, sizeof *t);
        if (t == NULL || !map_put(&s->topics, v->m.topic, t, NULL)) {
            free(t);
            s->no_memory = true;
            return;
        }
    }
    add(t, v);
    add(&s->all, v);
}

static void damage(void *arg, const char *file, int64_t offset, int64_t bytes)
{
    ((struct sums *)arg)->damaged_bytes += bytes;
}

static void json_sum(struct jw *w, const struct topic_sum *t)
{
    jw_ki64(w, "messages", t->messages);
    jw_ki64(w, "bytes", t->bytes);
    jw_ki64(w, "bodyBytes", t->body_bytes);
    jw_ki64(w, "largestRecord", t->largest);
    jw_ki64(w, "firstStoreTimestamp", t->first_time);
    jw_ki64(w, "lastStoreTimestamp", t->last_time);
}

static void print_json(const struct sums *s, const struct map_slot *topics)
{
    struct buf out = {0};
    struct jw w;
    jw_init(&w, &out);
    jw_begin_object(&w);
    json_sum(&w, &s->all);
    jw_ki64(&w, "damagedBytes", s->damaged_bytes);
    jw_kobject(&w, "topics");
    for (size_t i = 0; i < s->topics.count; i++) {
        jw_key(&w, topics[i].key);
        jw_begin_object(&w);
        json_sum(&w, topics[i].value);
        jw_end_object(&w);
    }
    jw_end_object(&w);
    jw_end_object(&w);
    printf("%.*s\n", STR_ARG(buf_str(&out)));
    buf_free(&out);
}

static void print_row(struct str name, const struct topic_sum *t)
{
    char first[40] = "", last[40] = "";
    if (t->messages) {
        store_tool_time(t->first_time, first);
        store_tool_time(t->last_time, last);
    }
    printf("%-40.*s %12" PRId64 " %16" PRId64 " %10" PRId64 "  %s  %s\n", STR_ARG(name), t->messages, t->bytes,
           t->largest, first, last);
}

static void print_text(const struct sums *s, const struct map_slot *topics)
{
    printf("%-40s %12s %16s %10s  %-23s  %s\n", "topic", "messages", "bytes", "largest", "first stored", "last stored");
    for (size_t i = 0; i < s->topics.count; i++)
        print_row(topics[i].key, topics[i].value);
    print_row(STR_LIT("all"), &s->all);
    if (s->damaged_bytes)
        printf("%" PRId64 " bytes of the commit log hold no valid message\n", s->damaged_bytes);
}

int store_tool_stats(const struct args *a, const char *dir)
{
    struct err err = {0};
    struct sums s = {.no_memory = false};
    struct store_dump_filter f;
    struct store_dump_sink sink = {&s, message, damage, store_tool_progress};
    if (store_tool_filter(a, &f, &err))
        return cmd_fail(&err);
    int64_t n = store_dump_messages(fs_real(), dir, args_get(a, "commitlog"), &f, &sink, &err);
    store_tool_progress_end();
    struct map_slot *topics = map_sorted(&s.topics);
    if (n >= 0 && (s.no_memory || (topics == NULL && s.topics.count)))
        n = err_set(&err, ENOMEM, "out of memory");
    if (n >= 0 && args_has(a, "json"))
        print_json(&s, topics);
    else if (n >= 0)
        print_text(&s, topics);
    free(topics);
    map_free(&s.topics, free);
    return n < 0 ? cmd_fail(&err) : s.damaged_bytes ? 2 : 0;
}

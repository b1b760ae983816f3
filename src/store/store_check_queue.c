/* Consume queues against the log: every message has its entry, every entry its message. */
#include "store/store_check_int.h"

#include "message/multi_dispatch.h"
#include "store/consumequeue_int.h"
#include "store/store_int.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    KEY_SIZE = 300,
    PAGE_ENTRIES = 64,
};

static struct str key_of(struct str topic, int32_t id, char out[KEY_SIZE])
{
    int n = snprintf(out, KEY_SIZE, "%.*s/%d", (int)topic.len, topic.ptr, id);
    return str_make(out, n < KEY_SIZE ? (size_t)n : KEY_SIZE - 1);
}

static void free_queue(void *value)
{
    struct check_queue *q = value;
    queue_files_free(&q->files);
    free(q->page);
    free(q);
}

static struct check_queue *add_queue(struct check *c, struct str key)
{
    struct check_queue *q = calloc(1, sizeof *q);
    if (q == NULL || !map_put(&c->queues, key, q, NULL)) {
        free(q);
        return NULL;
    }
    q->next = q->matched = -1;
    return q;
}

static void check_shape(struct check *c, const struct queue_files *f)
{
    if (f->n && f->file_size == 0)
        check_problem(c, "consume queue", f->dir, -1,
                      "its files have different or impossible sizes and cannot be read");
    else if (f->n && f->starts[0] / f->unit != f->first)
        check_problem(c, "consume queue", f->dir, f->first, "files before this queue offset are missing");
}

/* After a clean stop every entry's message is in the log. */
static void raise_promise(struct check *c, const struct queue_files *f)
{
    struct store_entry e;
    if (f->end > f->first && queue_files_read(c->fs, f, f->end - 1, &e, 1) == 1 && !cq_entry_preblank(&e) &&
        cq_entry_valid(&e) && e.physical_offset + e.size > c->promised_end && e.size < 1 << 30)
        c->promised_end = e.physical_offset + e.size;
}

static int take_queue(void *arg, struct queue_files *f)
{
    struct check *c = arg;
    char key[KEY_SIZE];
    struct check_queue *q = add_queue(c, key_of(str_from(f->topic), f->id, key));
    if (q == NULL)
        return -ENOMEM;
    check_shape(c, f);
    q->files = *f;
    q->at = f->first;
    c->report->queues++;
    if (!check_lenient(c))
        raise_promise(c, f);
    return 0;
}

int check_queues_load(struct check *c, struct err *err)
{
    return queue_files_each(c->fs, c->options->dir, take_queue, c, err);
}

/* The entry at offset from the page read last. */
static bool read_entry(struct check *c, struct check_queue *q, int64_t offset, struct store_entry *out)
{
    if (offset < q->page_at || offset >= q->page_at + q->page_n) {
        if (q->page == NULL && (q->page = calloc(PAGE_ENTRIES, sizeof *q->page)) == NULL)
            return false;
        int n = queue_files_read(c->fs, &q->files, offset, q->page, PAGE_ENTRIES);
        q->page_at = offset;
        q->page_n = n > 0 ? n : 0;
        if (n <= 0)
            return false;
    }
    *out = q->page[offset - q->page_at];
    return true;
}

/* The queue says itself that it has no messages at [from, to): a repair gave them up. */
static bool are_blank(struct check *c, struct check_queue *q, int64_t from, int64_t to)
{
    struct store_entry e;
    while (from < to && read_entry(c, q, from, &e) && cq_entry_preblank(&e))
        from++;
    return from >= to;
}

static void check_numbering(struct check *c, struct check_queue *q, const struct msg_view *v, const char *name,
                            int64_t offset)
{
    if (q->next >= 0 && v->m.queue_offset > q->next && are_blank(c, q, q->next, v->m.queue_offset))
        check_note(c, "consume queue", name, q->next, "%" PRId64 " messages are missing here, as the queue says",
                   v->m.queue_offset - q->next);
    else if (q->next >= 0 && v->m.queue_offset != q->next)
        check_problem(c, "commit log", name, offset, "queue offset %" PRId64 " follows %" PRId64 " in its queue",
                      v->m.queue_offset, q->next - 1);
    q->next = v->m.queue_offset + 1;
}

static void check_entry(struct check *c, struct check_queue *q, const struct msg_view *v, const char *name,
                        int64_t offset)
{
    int64_t at = v->m.queue_offset;
    struct store_entry e;
    if (at >= q->files.end) {
        q->missing++;
        return;
    }
    if (!read_entry(c, q, at, &e)) {
        check_problem(c, "consume queue", name, at, "has no entry for the message at log offset %" PRId64, offset);
        return;
    }
    c->report->queue_entries++;
    if (q->matched < 0)
        q->matched = at;
    if (at >= q->matched_end)
        q->matched_end = at + 1;
    if (e.physical_offset != offset || e.size != (int32_t)v->size)
        check_problem(c, "consume queue", name, at,
                      "its entry points to log offset %" PRId64 ", %d bytes, but the message stands at %" PRId64
                      ", %u bytes",
                      e.physical_offset, e.size, offset, v->size);
    else if (!str_eqz(v->m.topic, "SCHEDULE_TOPIC_XXXX") && !store_is_extension(e.tags_code) &&
             e.tags_code != msg_tags_code(v->m.properties))
        /* Delayed messages have their delivery time there, extended entries an address below all hash codes. */
        check_problem(c, "consume queue", name, at, "its entry has tags code %" PRId64 ", the message's is %" PRId64,
                      e.tags_code, msg_tags_code(v->m.properties));
}

/* A message of a batch queue: its entry is the next one in the order of the log. */
static void check_batch(struct check *c, struct check_queue *q, const struct msg_view *v, const char *name,
                        int64_t offset)
{
    struct store_entry e = {0};
    int64_t base = v->m.queue_offset;
    int32_t messages = 1;
    msg_inner_batch(v->m.properties, &base, &messages);
    while (q->at < q->files.end && read_entry(c, q, q->at, &e) && e.physical_offset < offset)
        q->at++;
    if (q->next >= 0 && base != q->next)
        check_note(c, "batch consume queue", name, q->next, "%" PRId64 " messages are missing here", base - q->next);
    q->next = base + messages;
    if (q->at >= q->files.end) {
        q->missing++;
        return;
    }
    if (e.physical_offset != offset) {
        check_problem(c, "batch consume queue", name, base, "has no entry for the message at log offset %" PRId64,
                      offset);
        return;
    }
    c->report->queue_entries++;
    if (q->matched < 0)
        q->matched = q->at;
    q->matched_end = q->at + 1;
    if (e.size != (int32_t)v->size || e.queue_offset != base || e.messages != messages ||
        e.store_time != v->m.store_time || e.tags_code != msg_tags_code(v->m.properties))
        check_problem(c, "batch consume queue", name, base,
                      "its entry says %d bytes, queue offset %" PRId64 ", %d messages, store time %" PRId64
                      ", tags code %" PRId64 ", which does not agree with the message at log offset %" PRId64,
                      e.size, e.queue_offset, e.messages, e.store_time, e.tags_code, offset);
}

/* The light message queues that have files: whether the broker dispatches at all stands in its configuration. */
static void check_multi(struct check *c, const struct msg_view *v, int64_t offset)
{
    struct msg_multi m;
    struct msg_view light = *v;
    struct str name;
    if (!msg_multi_begin(&m, v->m.topic, v->m.properties))
        return;
    while (msg_multi_queue(&m, &name, &light.m.queue_offset)) {
        char key[KEY_SIZE];
        struct check_queue *q = map_get(&c->queues, key_of(name, MSG_LMQ_QUEUE_ID, key));
        if (q == NULL || q->files.n == 0)
            continue;
        check_numbering(c, q, &light, key, offset);
        check_entry(c, q, &light, key, offset);
    }
}

void check_queues_record(struct check *c, const struct msg_view *v, int64_t offset)
{
    char name[KEY_SIZE];
    if (!store_is_queued(v->m.sys_flag))
        return;
    struct str key = key_of(v->m.topic, v->m.queue_id, name);
    struct check_queue *q = map_get(&c->queues, key);
    if (q == NULL && (q = add_queue(c, key)) == NULL)
        return;
    if (queue_files_batch(&q->files) || (v->m.sys_flag & MSG_FLAG_INNER_BATCH)) {
        check_batch(c, q, v, name, offset);
        return;
    }
    check_numbering(c, q, v, name, offset);
    check_entry(c, q, v, name, offset);
    check_multi(c, v, offset);
}

/* Entries of [from, to) that no message of the log has: right only before the log's first message. */
static void check_others(struct check *c, struct check_queue *q, const char *name, int64_t from, int64_t to)
{
    for (struct store_entry e; from < to && read_entry(c, q, from, &e); from++) {
        if (cq_entry_preblank(&e) || e.physical_offset < c->report->log_min)
            continue;
        if (check_lenient(c) && e.physical_offset >= c->report->log_end) {
            check_note(c, "consume queue", name, from,
                       "%" PRId64 " entries point behind the end of the log; the next start cuts them off", to - from);
            return;
        }
        check_problem(c, "consume queue", name, from,
                      "its entry points to log offset %" PRId64 ", where no message of this queue stands",
                      e.physical_offset);
    }
}

static void finish_queue(struct check *c, struct check_queue *q, const char *name)
{
    if (q->missing) {
        c->report->not_queued_yet += q->missing;
        if (!check_lenient(c))
            check_problem(c, "consume queue", name, q->files.end, "has no entries for the last %" PRId64 " messages",
                          q->missing);
    }
    if (q->matched < 0) {
        check_others(c, q, name, q->files.first, q->files.end);
    } else {
        check_others(c, q, name, q->files.first, q->matched);
        check_others(c, q, name, q->matched_end, q->files.end);
    }
}

void check_queues_finish(struct check *c)
{
    struct map_slot *sorted = map_sorted(&c->queues);
    for (size_t i = 0; sorted && i < c->queues.count; i++) {
        char name[KEY_SIZE];
        snprintf(name, sizeof name, "%.*s", STR_ARG(sorted[i].key));
        finish_queue(c, sorted[i].value, name);
    }
    free(sorted);
    if (c->report->not_queued_yet && check_lenient(c))
        check_note(c, "consume queue", "all queues", -1,
                   "%" PRId64 " messages at the end of the log have no entries in the files yet",
                   c->report->not_queued_yet);
}

void check_queues_free(struct check *c)
{
    map_free(&c->queues, free_queue);
}

/* Consume queues against the log: every message has its entry, every entry its message. */
#include "store/store_check_int.h"

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
    PATH_SIZE = 4096,
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
    else if (f->n && f->starts[0] / CQ_ENTRY_SIZE != f->first)
        check_problem(c, "consume queue", f->dir, f->first, "files before this queue offset are missing");
}

/* After a clean stop every entry's message is in the log. */
static void raise_promise(struct check *c, const struct queue_files *f)
{
    struct store_entry e;
    if (f->end > f->first && queue_files_read(c->fs, f, f->end - 1, &e, 1) == 1 && !cq_entry_preblank(&e) &&
        e.physical_offset + e.size > c->promised_end && e.size < 1 << 30)
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
    c->report->queues++;
    if (!check_lenient(c))
        raise_promise(c, f);
    return 0;
}

int check_queues_load(struct check *c, struct err *err)
{
    char path[PATH_SIZE];
    int r = check_path(c, "consumequeue", path);
    return r ? err_sys(err, -r, "cannot check the store directory %s", c->options->dir)
             : queue_files_each(c->fs, path, take_queue, c, err);
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

void check_queues_record(struct check *c, const struct msg_view *v, int64_t offset)
{
    char name[KEY_SIZE];
    if (!store_is_queued(v->m.sys_flag) || (v->m.sys_flag & MSG_FLAG_INNER_BATCH))
        return;
    struct str key = key_of(v->m.topic, v->m.queue_id, name);
    struct check_queue *q = map_get(&c->queues, key);
    if (q == NULL && (q = add_queue(c, key)) == NULL)
        return;
    check_numbering(c, q, v, name, offset);
    check_entry(c, q, v, name, offset);
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

/* Entries of a light message queue belong to messages of other topics. */
static bool has_own_messages(const char *name)
{
    return strncmp(name, "%LMQ%", 5) != 0;
}

static void finish_queue(struct check *c, struct check_queue *q, const char *name)
{
    if (q->missing) {
        c->report->not_queued_yet += q->missing;
        if (!check_lenient(c))
            check_problem(c, "consume queue", name, q->files.end, "has no entries for the last %" PRId64 " messages",
                          q->missing);
    }
    if (!has_own_messages(name))
        return;
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

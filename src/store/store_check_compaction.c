/* Compaction logs: each unit has its whole message, numbers rise, the two folders have the same files. */
#include "store/store_check_int.h"

#include "store/compaction/unit.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PART "compaction log"

enum { PATH_SIZE = 4096, KEY_SIZE = 300, NAME_DIGITS = 20, RECORD_MAX = 1 << 30 };

/* One queue of a compaction topic. */
struct walk {
    struct check *c;
    struct str topic;
    int32_t id;
    char name[KEY_SIZE]; /* "TOPIC/ID" */
    char log_dir[PATH_SIZE], queue_dir[PATH_SIZE];
    char file[PATH_SIZE]; /* the queue file being read */
    int64_t last;         /* queue offset of the message before, -1 */
    uint8_t *record;
    size_t cap;
    bool last_file;
};

static bool is_base(const char *name, int64_t *base)
{
    return strlen(name) == NAME_DIGITS && strspn(name, "0123456789") == NAME_DIGITS && str_to_i64(str_from(name), base);
}

/* The whole message at the unit's place; a text says what is wrong. */
static const char *look(struct walk *w, int fd, int64_t base, const struct cunit *u)
{
    struct msg_view v;
    if (u->position < base || u->size < MSG_FIXED_V4 || u->size > RECORD_MAX)
        return "points outside of its log file";
    if ((size_t)u->size > w->cap) {
        uint8_t *grown = realloc(w->record, (size_t)u->size);
        if (grown == NULL)
            return "could not be read: out of memory";
        w->record = grown;
        w->cap = (size_t)u->size;
    }
    if (fs_read_all(w->c->fs, fd, w->record, (size_t)u->size, u->position - base))
        return "points outside of its log file";
    if (msg_decode(w->record, (size_t)u->size, &v) != MSG_OK || v.size != (uint32_t)u->size ||
        v.m.physical_offset != u->position)
        return "has no message at its place in the log";
    if (v.m.queue_offset != u->queue_offset || v.m.queue_id != w->id || !str_eq(v.m.topic, w->topic))
        return "has another message at its place in the log";
    if (!msg_crc_ok(&v))
        return "has a message whose body does not match its CRC";
    if (u->tags_code != msg_tags_code(v.m.properties))
        return "has another tags code than its message";
    return NULL;
}

/* False: the rest of the file is not looked at. */
static bool check_unit(struct walk *w, int log_fd, int64_t base, const struct cunit *u, int64_t number)
{
    const char *wrong = look(w, log_fd, base, u);
    if (wrong == NULL && u->queue_offset <= w->last)
        wrong = "does not have a greater queue offset than the one before";
    if (wrong && w->last_file && check_lenient(w->c)) {
        check_note(w->c, PART, w->file, number, "the unit %s: the next start cuts off what was not completely written",
                   wrong);
        return false;
    }
    if (wrong)
        check_problem(w->c, PART, w->file, number, "the unit of queue offset %" PRId64 " %s", u->queue_offset, wrong);
    w->last = u->queue_offset > w->last ? u->queue_offset : w->last;
    w->c->report->compacted_messages++;
    return true;
}

static int check_file(struct walk *w, int64_t base)
{
    const struct fs *fs = w->c->fs;
    char log[PATH_SIZE];
    uint8_t raw[CUNIT_SIZE];
    struct fs_stat st;
    int n = snprintf(log, sizeof log, "%.4000s/%020" PRId64, w->log_dir, base);
    int m = snprintf(w->file, sizeof w->file, "%.4000s/%020" PRId64, w->queue_dir, base);
    if (n < 0 || n >= PATH_SIZE || m < 0 || m >= PATH_SIZE)
        return -ENAMETOOLONG;
    int log_fd = fs->open(fs, log, FS_READ), fd = fs->open(fs, w->file, FS_READ);
    int r = log_fd < 0 ? log_fd : fd < 0 ? fd : fs->fstat(fs, fd, &st);
    bool more = r == 0;
    for (int64_t at = 0; more && at + CUNIT_SIZE <= st.size; at += CUNIT_SIZE) {
        struct cunit u;
        r = fs_read_all(fs, fd, raw, sizeof raw, at);
        more = r == 0 && cunit_read(raw, &u) && check_unit(w, log_fd, base, &u, at / CUNIT_SIZE);
    }
    if (log_fd >= 0)
        fs->close(fs, log_fd);
    if (fd >= 0)
        fs->close(fs, fd);
    return r == -ENOENT ? 0 : r; /* replaced meanwhile, on a live store */
}

struct names {
    char **at;
    size_t n;
};

static int list(const struct check *c, const char *dir, bool dirs, struct names *out)
{
    *out = (struct names){0};
    int r = fs_list_sorted(c->fs, dir, dirs, &out->at, &out->n);
    return r == -ENOENT ? 0 : r;
}

static bool has(const struct names *names, const char *name)
{
    for (size_t i = 0; i < names->n; i++)
        if (strcmp(names->at[i], name) == 0)
            return true;
    return false;
}

/* A compaction was interrupted: which files count is decided by the next start. */
static bool is_unsettled(struct walk *w, const struct names *log, const struct names *queue)
{
    struct names subs;
    bool found = false;
    if (list(w->c, w->log_dir, true, &subs) == 0) {
        found = has(&subs, "crocket-compacting");
        fs_names_free(subs.at, subs.n);
    }
    for (size_t i = 0; i < log->n + queue->n; i++)
        found |= strstr(i < log->n ? log->at[i] : queue->at[i - log->n], ".delete") != NULL;
    if (found)
        check_note(w->c, PART, w->name, -1, "%s",
                   w->c->report->live ? "it is being compacted and was not checked"
                                      : "a compaction was interrupted; the next start finishes or undoes it");
    return found;
}

static void check_pairs(struct walk *w, const struct names *a, const char *dir, const struct names *b)
{
    int64_t base;
    for (size_t i = 0; i < a->n; i++)
        if (is_base(a->at[i], &base) && !has(b, a->at[i]) && !w->c->report->live)
            check_problem(w->c, PART, w->name, base, "file %s is missing in %s", a->at[i], dir);
}

static int check_queue_files(struct walk *w, const struct names *log, const struct names *queue)
{
    int64_t base;
    int r = 0;
    check_pairs(w, log, w->queue_dir, queue);
    check_pairs(w, queue, w->log_dir, log);
    for (size_t i = 0; i < log->n && r == 0; i++) {
        w->last_file = i + 1 == log->n;
        if (is_base(log->at[i], &base) && has(queue, log->at[i]))
            r = check_file(w, base);
    }
    const struct check_queue *q = map_get(&w->c->queues, str_from(w->name));
    if (q && w->last >= q->files.end && !check_lenient(w->c))
        check_problem(w->c, PART, w->name, w->last, "it has a message behind the end of the consume queue, %" PRId64,
                      q->files.end);
    return r;
}

static int check_queue(struct check *c, const char *root, const char *topic, const char *id)
{
    struct walk w = {.c = c, .topic = str_from(topic), .last = -1};
    struct names log, queue;
    if (!str_to_i32(str_from(id), &w.id) || w.id < 0)
        return 0;
    int n = snprintf(w.name, sizeof w.name, "%s/%s", topic, id);
    int m = snprintf(w.log_dir, sizeof w.log_dir, "%s/compactionLog/%s/%s", root, topic, id);
    int k = snprintf(w.queue_dir, sizeof w.queue_dir, "%s/compactionCq/%s/%s", root, topic, id);
    if (n >= KEY_SIZE || m >= PATH_SIZE || k >= PATH_SIZE)
        return -ENAMETOOLONG;
    c->report->compacted_queues++;
    int r = list(c, w.log_dir, false, &log), s = list(c, w.queue_dir, false, &queue);
    if (r == 0 && s == 0 && !is_unsettled(&w, &log, &queue))
        r = check_queue_files(&w, &log, &queue);
    fs_names_free(log.at, log.n);
    fs_names_free(queue.at, queue.n);
    free(w.record);
    return r ? r : s;
}

static int check_topic(struct check *c, const char *root, const char *dir, const char *topic)
{
    char path[PATH_SIZE];
    struct names ids;
    int n = snprintf(path, sizeof path, "%s/%s", dir, topic);
    int r = n < 0 || n >= PATH_SIZE ? -ENAMETOOLONG : list(c, path, true, &ids);
    if (r)
        return r;
    for (size_t i = 0; i < ids.n && r == 0; i++)
        r = check_queue(c, root, topic, ids.at[i]);
    fs_names_free(ids.at, ids.n);
    return r;
}

int check_compaction(struct check *c, struct err *err)
{
    char root[PATH_SIZE], dir[PATH_SIZE];
    struct names topics = {0};
    int r = check_path(c, "compaction", root);
    if (r == 0)
        r = check_path(c, "compaction/compactionLog", dir);
    if (r == 0)
        r = list(c, dir, true, &topics);
    for (size_t i = 0; i < topics.n && r == 0; i++)
        r = check_topic(c, root, dir, topics.at[i]);
    fs_names_free(topics.at, topics.n);
    return r ? err_sys(err, -r, "cannot check the compaction logs of %s", c->options->dir) : 0;
}

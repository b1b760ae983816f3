#include "store/store_check.h"

#include "store/store_check_int.h"
#include "store/store_int.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum {
    PATH_SIZE = 4096,
    PROGRESS_BYTES = 64 << 20,
    TIME_SLACK_MS = 3000,
};

/* ---- findings
 * ---------------------------------------------------------------------------------------------------------- */

static void report(struct check *c, bool problem, const char *part, const char *where, int64_t offset, const char *text)
{
    struct store_finding f = {problem, part, where, offset, text};
    if (problem)
        c->report->problems++;
    else
        c->report->notes++;
    c->options->finding(c->options->arg, &f);
}

#define REPORT(problem)                                                                                                \
    char text[600];                                                                                                    \
    va_list ap;                                                                                                        \
    va_start(ap, fmt);                                                                                                 \
    vsnprintf(text, sizeof text, fmt, ap);                                                                             \
    va_end(ap);                                                                                                        \
    report(c, problem, part, where, offset, text)

void check_problem(struct check *c, const char *part, const char *where, int64_t offset, const char *fmt, ...)
{
    REPORT(true);
}

void check_note(struct check *c, const char *part, const char *where, int64_t offset, const char *fmt, ...)
{
    REPORT(false);
}

int check_path(const struct check *c, const char *name, char out[4096])
{
    int n = snprintf(out, PATH_SIZE, "%s/%s", c->options->dir, name);
    return n < 0 || n >= PATH_SIZE ? -ENAMETOOLONG : 0;
}

/* ---- state of the store
 * ------------------------------------------------------------------------------------------------ */

/* Takes the lock for the time of the check if nobody has it, so that no broker starts meanwhile. The descriptor, or -1.
 */
static int look_at_lock(struct check *c)
{
    char path[PATH_SIZE];
    if (check_path(c, "lock", path))
        return -1;
    int fd = c->fs->open(c->fs, path, FS_WRITE);
    if (fd < 0)
        return -1; /* never started, or not ours to write: then nobody of our rights runs it */
    if (c->fs->lock(c->fs, fd) == -EAGAIN) {
        c->report->live = true;
        c->fs->close(c->fs, fd);
        check_note(c, "store", c->options->dir, -1,
                   "a broker is running on it: what it wrote during the check is left out");
        return -1;
    }
    return fd;
}

static int open_parts(struct check *c, struct err *err)
{
    char path[PATH_SIZE];
    struct fs_stat st;
    int r = c->fs->stat(c->fs, c->options->dir, &st);
    if (r || !st.is_dir)
        return err_sys(err, r ? -r : ENOTDIR, "cannot check the store directory %s", c->options->dir);
    if ((r = check_path(c, "abort", path)))
        return err_sys(err, -r, "cannot check the store directory %s", c->options->dir);
    c->report->after_crash = store_abort_file(c->fs, path) == ABORT_NOT_CLEAN;
    check_path(c, "checkpoint", path);
    if (checkpoint_read(&c->checkpoint, c->fs, path, err))
        return -1;
    check_path(c, "commitlog", path);
    return log_files_open(&c->log, c->fs, c->options->commitlog ? c->options->commitlog : path, err);
}

/* ---- the commit log
 * ---------------------------------------------------------------------------------------------------- */

static const char *file_name(struct check *c, int64_t offset)
{
    const struct log_file *f = log_files_find(c->log, offset);
    return f ? f->path : c->options->dir;
}

static void check_names(struct check *c)
{
    for (size_t i = 0; i < log_files_count(c->log); i++) {
        const struct log_file *f = log_files_at(c->log, i), *before = i ? log_files_at(c->log, i - 1) : f;
        if (f->size != before->size)
            check_problem(c, "commit log", f->path, f->base, "has %" PRId64 " bytes, the file before it %" PRId64,
                          f->size, before->size);
        else if (i && before->base + before->size != f->base)
            check_problem(c, "commit log", f->path, f->base, "files for offsets %" PRId64 " to %" PRId64 " are missing",
                          before->base + before->size, f->base - 1);
    }
}

static void check_record(struct check *c, const struct msg_view *v, int64_t offset)
{
    c->report->messages++;
    if (v->m.store_time > c->last_store_time)
        c->last_store_time = v->m.store_time;
    if (!msg_crc_ok(v)) {
        char id[56];
        size_t n = msg_id_format(id, &v->m.store_host, offset);
        check_problem(c, "commit log", file_name(c, offset), offset,
                      "the body of message %.*s (topic %.*s, queue %d, queue offset %" PRId64
                      ") does not match its CRC",
                      (int)n, id, STR_ARG(v->m.topic), v->m.queue_id, v->m.queue_offset);
    }
    check_queues_record(c, v, offset);
    check_index_record(c, v, offset);
}

/* What stands at the scan's position is no record. True: the scan goes on behind it. */
static bool pass_damage(struct check *c, struct log_scan *scan)
{
    int64_t at = scan->pos;
    bool used;
    bool more = log_scan_resync(scan, &used);
    if (at >= c->promised_end) {
        /* Behind what was promised: a torn last record, or rests of a longer log that a recovery cut off. */
        if (used)
            check_note(c, "commit log", file_name(c, at), at,
                       check_lenient(c)
                           ? "the log ends here; what stands behind was not completely written and is cut off by "
                             "the next start"
                           : "the log ends here; behind it stand rests of a longer log");
        return false;
    }
    if (more)
        check_problem(c, "commit log", file_name(c, at), at, "%" PRId64 " bytes hold no valid message", scan->pos - at);
    else
        check_problem(c, "commit log", file_name(c, at), at,
                      "the log ends here although it was complete up to offset %" PRId64, c->promised_end);
    return more;
}

static void check_log(struct check *c, struct err *err, int *result)
{
    struct log_scan scan;
    int64_t reported = log_files_min(c->log), total = log_files_end(c->log);
    log_scan_init(&scan, c->log, reported);
    for (bool go = true; go;) {
        struct msg_view v;
        int64_t offset;
        int error;
        switch (log_scan_next(&scan, &v, &offset, &error)) {
        case SCAN_RECORD:
            check_record(c, &v, offset);
            break;
        case SCAN_END:
            go = false;
            break;
        case SCAN_BAD:
            go = pass_damage(c, &scan);
            break;
        case SCAN_FAILED:
            *result = err_sys(err, -error, "cannot read the commit log at offset %" PRId64 " (%s)", scan.pos,
                              file_name(c, scan.pos));
            go = false;
            break;
        }
        if (c->options->progress && scan.pos - reported >= PROGRESS_BYTES) {
            reported = scan.pos;
            c->options->progress(c->options->arg, scan.pos - log_files_min(c->log), total - log_files_min(c->log));
        }
    }
    c->report->log_end = scan.pos;
    log_scan_free(&scan);
}

/* ---- the checkpoint
 * ----------------------------------------------------------------------------------------------------- */

static void check_checkpoint(struct check *c)
{
    char path[PATH_SIZE];
    const struct checkpoint *p = &c->checkpoint;
    const struct {
        const char *name;
        int64_t time;
    } times[] = {
        {"commit log", p->log_time},
        {"consume queues", p->queues_time},
        {"index", p->index_time},
    };
    if (check_path(c, "checkpoint", path) || c->report->messages == 0 || c->report->live)
        return;
    for (size_t i = 0; i < sizeof times / sizeof times[0]; i++)
        if (times[i].time > TIME_SLACK_MS && times[i].time - TIME_SLACK_MS > c->last_store_time)
            check_problem(c, "checkpoint", path, -1,
                          "says that the %s are safe up to %" PRId64 " ms, but the newest message is of %" PRId64 " ms",
                          times[i].name, times[i].time, c->last_store_time);
    /* After a crash the queues can be durable further than the log; the next start lowers their mark. */
    int64_t mark = !c->report->after_crash && p->queues_mark > p->log_mark ? p->queues_mark : p->log_mark;
    if (p->have_marks && mark > c->report->log_end)
        check_problem(c, "checkpoint", path, -1,
                      "says that the log is safe up to offset %" PRId64 ", but it ends at %" PRId64, mark,
                      c->report->log_end);
}

int store_check(const struct fs *fs, const struct store_check_options *options, struct store_report *out,
                struct err *err)
{
    struct check c = {.fs = fs, .options = options, .report = out};
    memset(out, 0, sizeof *out);
    int result = open_parts(&c, err);
    int lock = result ? -1 : look_at_lock(&c);
    if (result == 0) {
        if (c.report->after_crash && !c.report->live)
            check_note(&c, "store", options->dir, -1,
                       "the abort file is there: the broker did not end cleanly, its next start recovers");
        c.promised_end = c.checkpoint.have_marks ? c.checkpoint.log_mark : -1;
        out->log_files = (int64_t)log_files_count(c.log);
        out->log_min = log_files_min(c.log);
        result = check_queues_load(&c, err);
    }
    if (result == 0)
        result = check_index_load(&c, err);
    if (result == 0) {
        check_names(&c);
        check_log(&c, err, &result);
    }
    if (result == 0) {
        result = check_compaction(&c, err);
    }
    if (result == 0) {
        check_queues_finish(&c);
        check_index_finish(&c);
        check_checkpoint(&c);
    }
    check_queues_free(&c);
    check_index_free(&c);
    log_files_close(c.log);
    if (lock >= 0)
        fs->close(fs, lock);
    return result;
}

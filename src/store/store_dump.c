#include "store/store_dump.h"

#include "store/log_files.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { PATH_SIZE = 4096, PROGRESS_BYTES = 64 << 20 };

static bool matches(const struct store_dump_filter *f, const struct msg_view *v)
{
    return (f->topic == NULL || str_eqz(v->m.topic, f->topic)) && (f->queue_id < 0 || v->m.queue_id == f->queue_id) &&
           v->m.store_time >= f->since && (v->m.store_time < f->until || f->until == INT64_MAX) &&
           (f->key == NULL || msg_has_key(v->m.properties, str_from(f->key)));
}

static int64_t dump(struct log_files *log, const struct store_dump_filter *filter, const struct store_dump_sink *sink,
                    struct err *err)
{
    struct log_scan scan;
    int64_t min = log_files_min(log), start = filter->from > min ? filter->from : min, told = start, n = 0;
    log_scan_init(&scan, log, start);
    while (scan.pos < filter->to && n != filter->count) {
        struct msg_view v;
        int64_t offset;
        int error;
        enum log_scan_step step = log_scan_next(&scan, &v, &offset, &error);
        if (step == SCAN_END || (step == SCAN_RECORD && offset >= filter->to))
            break;
        if (step == SCAN_FAILED) {
            n = err_sys(err, -error, "cannot read the commit log at offset %" PRId64, scan.pos);
            break;
        }
        if (step == SCAN_BAD) {
            int64_t at = scan.pos;
            const struct log_file *f = log_files_find(log, at);
            bool used;
            if (!log_scan_resync(&scan, &used))
                break;
            /* A start in the middle of a message is no damage. */
            if (at != start || start == min)
                sink->damage(sink->arg, f ? f->path : "", at, scan.pos - at);
            continue;
        }
        if (matches(filter, &v)) {
            sink->message(sink->arg, &v, offset);
            n++;
        }
        if (sink->progress && scan.pos - told >= PROGRESS_BYTES) {
            told = scan.pos;
            sink->progress(sink->arg, scan.pos - min, log_files_end(log) - min);
        }
    }
    log_scan_free(&scan);
    return n;
}

int64_t store_dump_messages(const struct fs *fs, const char *dir, const char *commitlog,
                            const struct store_dump_filter *filter, const struct store_dump_sink *sink, struct err *err)
{
    char path[PATH_SIZE];
    struct log_files *log;
    int len = snprintf(path, sizeof path, "%s/commitlog", dir);
    if (len < 0 || len >= (int)sizeof path)
        return err_sys(err, ENAMETOOLONG, "cannot read the store directory %s", dir);
    if (log_files_open(&log, fs, commitlog ? commitlog : path, err))
        return -1;
    int64_t n = -1;
    if (log_files_count(log) == 0)
        err_set(err, ENOENT,
                "there are no commit log files in %s: give the directory that holds commitlog, consumequeue and "
                "config, or the log's own place with --commitlog",
                commitlog ? commitlog : path);
    else
        n = dump(log, filter, sink, err);
    log_files_close(log);
    return n;
}

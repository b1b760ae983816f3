#include "store/store_repair.h"

#include "base/bytes.h"
#include "store/checkpoint.h"
#include "store/log_files.h"
#include "store/store_files.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FILLER_TOPIC "DAMAGED"

enum {
    PATH_SIZE = 4096,
    PROGRESS_BYTES = 64 << 20,
    FILLER_MAX = 1 << 20, /* of one filler record: Java takes no record far above its largest message */
    COPY = 1 << 16,
    BLANK_SIZE = 8,
};

struct repair {
    const struct fs *fs;
    const struct repair_options *o;
    struct repair_report *report;
    struct log_files *log;
    char aside[PATH_SIZE]; /* the folder for what is taken out */
    int64_t cut;           /* log offset of the first damage, -1 none */
    struct err *err;
};

static void tell(struct repair *r, const char *file, int64_t offset, int64_t bytes, const char *text)
{
    struct repair_step s = {file, offset, bytes, text};
    r->o->step(r->o->arg, &s);
}

static int path_in(const struct repair *r, const char *name, char out[PATH_SIZE])
{
    int n = snprintf(out, PATH_SIZE, "%s/%s", r->o->dir, name);
    return n < 0 || n >= PATH_SIZE ? err_sys(r->err, ENAMETOOLONG, "cannot repair %s", r->o->dir) : 0;
}

/* ---- keeping what is taken out
 * -------------------------------------------------------------------------------------------- */

/* A name in the folder for what is taken out that is still free. */
static int aside_path(struct repair *r, const char *path, const char *more, char out[PATH_SIZE])
{
    const char *name = strrchr(path, '/') ? strrchr(path, '/') + 1 : path;
    int e = fs_mkdirs(r->fs, r->aside);
    if (e)
        return err_sys(r->err, -e, "cannot make the folder %s", r->aside);
    for (int i = 0; i < 1000; i++) {
        int n = i ? snprintf(out, PATH_SIZE, "%s/%s%s.%d", r->aside, name, more, i)
                  : snprintf(out, PATH_SIZE, "%s/%s%s", r->aside, name, more);
        if (n < 0 || n >= PATH_SIZE)
            break;
        if (!fs_exists(r->fs, out))
            return 0;
    }
    return err_set(r->err, EEXIST, "there is no free name for %s in %s: empty that folder", path, r->aside);
}

static int copy(struct repair *r, int from, int64_t at, int64_t n, int to)
{
    char *buf = malloc(COPY);
    int e = buf ? 0 : -ENOMEM;
    for (int64_t done = 0; done < n && e == 0; done += COPY) {
        size_t part = n - done < COPY ? (size_t)(n - done) : COPY;
        e = fs_read_all(r->fs, from, buf, part, at + done);
        if (e == 0)
            e = fs_write_all(r->fs, to, buf, part, done);
    }
    free(buf);
    return e;
}

/* Copies [offset, offset + n) of the log aside, durably; fd: its file. */
static int keep_range(struct repair *r, const struct log_file *f, int fd, int64_t offset, int64_t n)
{
    char path[PATH_SIZE], more[64];
    snprintf(more, sizeof more, ".from-%" PRId64, offset - f->base);
    if (aside_path(r, f->path, more, path))
        return -1;
    int to = r->fs->open(r->fs, path, FS_WRITE | FS_CREATE);
    int e = to < 0 ? to : copy(r, fd, offset - f->base, n, to);
    if (e == 0)
        e = r->fs->datasync(r->fs, to);
    if (to >= 0)
        r->fs->close(r->fs, to);
    if (e == 0)
        e = r->fs->sync_dir(r->fs, r->aside);
    return e ? err_sys(r->err, -e, "cannot copy the damaged bytes to %s", path) : 0;
}

static int move_aside(struct repair *r, const char *path)
{
    char to[PATH_SIZE];
    if (aside_path(r, path, "", to))
        return -1;
    int e = r->fs->rename(r->fs, path, to);
    return e ? err_sys(r->err, -e, "cannot move %s to %s", path, to) : 0;
}

/* ---- fillers
 * ------------------------------------------------------------------------------------------------------------- */

/* A record of exactly n bytes that every reader of the log passes over: rolled back, so no queue gets it. */
static bool encode_filler(uint8_t *at, size_t n, int64_t offset)
{
    struct msg m = {.topic = STR_LIT(FILLER_TOPIC), .sys_flag = MSG_FLAG_TRANSACTION_ROLLBACK};
    m.born_host.addr_len = m.store_host.addr_len = 4;
    size_t least = msg_record_size(&m);
    if (n < least) {
        m.topic.len = m.topic.len > least - n ? m.topic.len - (least - n) : 0;
        least = msg_record_size(&m);
    }
    if (m.topic.len == 0 || n < least)
        return false;
    char *body = calloc(1, n - least + 1);
    if (body == NULL)
        return false;
    m.body = str_make(body, n - least);
    msg_encode(at, &m);
    msg_patch(at, 0, offset, 0);
    free(body);
    return true;
}

/* Fills [offset, end) of one file. */
static int write_fillers(struct repair *r, const struct log_file *f, int fd, int64_t offset, int64_t end)
{
    uint8_t *buf = malloc(2 * FILLER_MAX);
    int e = buf ? 0 : -ENOMEM;
    if (e == 0 && end == f->base + f->size) {
        /* The rest of the file: the record that ends it. */
        put_be32(buf, (uint32_t)(end - offset));
        put_be32(buf + 4, MSG_MAGIC_BLANK);
        e = end - offset < BLANK_SIZE ? -EINVAL : fs_write_all(r->fs, fd, buf, BLANK_SIZE, offset - f->base);
        offset = end;
    }
    while (e == 0 && offset < end) {
        /* The last two share what is left, so that none is too short. */
        size_t left = (size_t)(end - offset), n = left > 2 * FILLER_MAX ? FILLER_MAX : left;
        e = encode_filler(buf, n, offset) ? fs_write_all(r->fs, fd, buf, n, offset - f->base) : -EINVAL;
        offset += (int64_t)n;
    }
    free(buf);
    return e ? e : r->fs->datasync(r->fs, fd);
}

static int fill(struct repair *r, const struct log_file *f, int64_t offset, int64_t end)
{
    int fd = r->fs->open(r->fs, f->path, FS_WRITE);
    if (fd < 0)
        return err_sys(r->err, -fd, "cannot open %s", f->path);
    int result = keep_range(r, f, fd, offset, end - offset);
    if (result == 0) {
        int e = write_fillers(r, f, fd, offset, end);
        if (e)
            result = err_sys(r->err, -e, "cannot fill %" PRId64 " bytes at position %" PRId64 " of %s", end - offset,
                             offset - f->base, f->path);
    }
    r->fs->close(r->fs, fd);
    return result;
}

/* ---- the log
 * ------------------------------------------------------------------------------------------------------------- */

/* [offset, end) holds no message; it may reach over files. */
static int damage(struct repair *r, int64_t offset, int64_t end, const char *what)
{
    r->report->damages++;
    r->report->damaged_bytes += end - offset;
    if (r->cut < 0)
        r->cut = offset;
    while (offset < end) {
        const struct log_file *f = log_files_find(r->log, offset);
        if (f == NULL)
            return err_set(r->err, ENOENT,
                           "the commit log file with offset %" PRId64
                           " is missing: bring it back, or choose --cut to end the log there",
                           offset);
        int64_t to = end < f->base + f->size ? end : f->base + f->size;
        char text[200];
        snprintf(text, sizeof text, "%s%s", what,
                 r->o->choice == REPAIR_SKIP  ? "; becomes a filler"
                 : r->o->choice == REPAIR_CUT ? "; the log is cut here"
                                              : "; left as it is");
        tell(r, f->path, offset, to - offset, text);
        if (r->o->choice == REPAIR_SKIP && !r->o->dry_run && fill(r, f, offset, to))
            return -1;
        offset = to;
    }
    return 0;
}

/* Goes through the log; with REPAIR_CUT only to the first damage. */
static int walk(struct repair *r)
{
    struct log_scan scan;
    int result = 0;
    int64_t min = log_files_min(r->log), told = min;
    log_scan_init(&scan, r->log, min);
    while (result == 0 && (r->o->choice != REPAIR_CUT || r->cut < 0)) {
        struct msg_view v;
        int64_t offset;
        int error;
        bool used;
        enum log_scan_step step = log_scan_next(&scan, &v, &offset, &error);
        if (step == SCAN_END)
            break;
        if (step == SCAN_FAILED) {
            result = err_sys(r->err, -error, "cannot read the commit log at offset %" PRId64, scan.pos);
        } else if (step == SCAN_BAD) {
            int64_t from = scan.pos;
            if (!log_scan_resync(&scan, &used))
                break; /* the end of the log, or a torn last record: the next start sees to it */
            result = damage(r, from, scan.pos, "holds no valid message");
        } else if (!msg_crc_ok(&v) || msg_record_crc(&v) == MSG_RECORD_CRC_WRONG) {
            result = damage(r, offset, scan.pos, "the message does not match its CRC");
        } else {
            r->report->messages++;
        }
        if (r->o->progress && scan.pos - told >= PROGRESS_BYTES) {
            told = scan.pos;
            r->o->progress(r->o->arg, told - min, log_files_end(r->log) - min);
        }
    }
    log_scan_free(&scan);
    return result;
}

/* Ends the log at r->cut: what stands behind is moved or copied aside. */
static int cut(struct repair *r)
{
    for (size_t i = log_files_count(r->log); i > 0; i--) {
        const struct log_file *f = log_files_at(r->log, i - 1);
        int64_t end = f->base + f->size;
        if (end <= r->cut)
            break;
        int64_t from = f->base >= r->cut ? f->base : r->cut;
        r->report->cut_bytes += end - from;
        tell(r, f->path, from, end - from, from == f->base ? "the file is taken out" : "is cleared");
        if (r->o->dry_run)
            continue;
        if (from == f->base) {
            if (move_aside(r, f->path))
                return -1;
            continue;
        }
        int fd = r->fs->open(r->fs, f->path, FS_WRITE);
        if (fd < 0)
            return err_sys(r->err, -fd, "cannot open %s", f->path);
        int result = keep_range(r, f, fd, from, end - from);
        int e = result ? 0 : r->fs->zero(r->fs, fd, from - f->base, end - from);
        if (result == 0 && e == 0)
            e = r->fs->datasync(r->fs, fd);
        r->fs->close(r->fs, fd);
        if (result || e)
            return result ? result : err_sys(r->err, -e, "cannot clear the end of %s", f->path);
    }
    return 0;
}

/* ---- queues and index
 * ---------------------------------------------------------------------------------------------------- */

/* A queue whose files a start would refuse. */
static int look_at_queue(void *arg, struct queue_files *q)
{
    struct repair *r = arg;
    int result = 0;
    if (q->n > 0 && q->file_size == 0) {
        tell(r, q->dir, -1, -1, "its files have different or impossible sizes; taken out and built again");
        result = r->o->dry_run ? 0 : move_aside(r, q->dir);
    }
    if (result == 0)
        queue_files_free(q);
    return result;
}

/* What the next start finds: no clean stop, and nothing known to be safe. Then it reads all of the log. */
static int want_rebuild(struct repair *r)
{
    char path[PATH_SIZE];
    struct checkpoint none = {0};
    tell(r, r->o->dir, -1, -1, "the next start builds consume queues and index again from the whole log");
    if (r->o->dry_run)
        return 0;
    if (path_in(r, "abort", path))
        return -1;
    int fd = r->fs->open(r->fs, path, FS_WRITE | FS_CREATE);
    if (fd < 0)
        return err_sys(r->err, -fd, "cannot make %s", path);
    r->fs->close(r->fs, fd);
    int e = r->fs->sync_dir(r->fs, r->o->dir);
    if (e)
        return err_sys(r->err, -e, "cannot sync the folder %s", r->o->dir);
    return path_in(r, "checkpoint", path) ? -1 : checkpoint_write(&none, r->fs, path, r->err);
}

static int work(struct repair *r)
{
    char path[PATH_SIZE];
    if (path_in(r, "commitlog", path))
        return -1;
    const char *dirs = r->o->commitlog ? r->o->commitlog : path;
    if (log_files_open(&r->log, r->fs, dirs, r->err))
        return -1;
    if (log_files_count(r->log) == 0)
        return err_set(r->err, ENOENT, "there are no commit log files in %s", dirs);
    if (path_in(r, "repaired", r->aside))
        return -1;
    /* The mark first: whatever happens in between, the next start reads everything. */
    if (want_rebuild(r) || walk(r) || (r->o->choice == REPAIR_CUT && r->cut >= 0 && cut(r)))
        return -1;
    return queue_files_each(r->fs, r->o->dir, look_at_queue, r, r->err);
}

int store_repair(const struct fs *fs, const struct repair_options *options, struct repair_report *out, struct err *err)
{
    struct repair r = {.fs = fs, .o = options, .report = out, .cut = -1, .err = err};
    char path[PATH_SIZE];
    memset(out, 0, sizeof *out);
    if (path_in(&r, "lock", path))
        return -1;
    int lock = fs->open(fs, path, FS_WRITE | FS_CREATE);
    if (lock < 0)
        return err_sys(err, -lock, "cannot open %s", path);
    int result = fs->lock(fs, lock) == -EAGAIN
                     ? err_set(err, EAGAIN, "a broker is running on %s: stop it first", options->dir)
                     : work(&r);
    log_files_close(r.log);
    fs->close(fs, lock);
    return result;
}

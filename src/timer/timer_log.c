#include "timer/timer_log.h"

#include "base/bytes.h"
#include "base/log.h"
#include "base/str.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* The end of a file that is full: remaining bytes, 0, magic. */
#define BLANK_MAGIC 0xCBD43194u

enum {
    BLANK = 16,
    NAME_DIGITS = 20,
    SCAN_BYTES = 5041 * TLOG_UNIT * 4, /* about a MiB of whole units */
    WINDOW_MIN = 4096,
    WINDOW_MAX = 256 * 1024,
};

struct tlog_file {
    int64_t base;
    int fd;
};

struct tlog {
    const struct fs *fs;
    char *dir;
    int64_t file_size;
    struct tlog_file *files;
    size_t n, cap;
    int64_t end, flushed;
    /* What was read last, for chains: small where units of a time lie far apart, large where they lie close. */
    uint8_t *window;
    int64_t window_at;
    size_t window_len, window_want;
};

/* ---- units ---- */

static bool unit_read(const uint8_t *p, struct tlog_unit *u)
{
    *u = (struct tlog_unit){
        .prev = (int64_t)get_be64(p + 4),
        .magic = (int32_t)get_be32(p + 12),
        .write_ms = (int64_t)get_be64(p + 16),
        .delay_ms = (int32_t)get_be32(p + 24),
        .physical_offset = (int64_t)get_be64(p + 28),
        .size = (int32_t)get_be32(p + 36),
        .topic_hash = (int32_t)get_be32(p + 40),
    };
    return get_be32(p) == TLOG_UNIT && (u->magic & ~0xF) == 0 && u->write_ms >= 0 && u->write_ms < INT64_MAX / 2 &&
           u->physical_offset >= 0 && u->physical_offset < INT64_MAX / 2;
}

static void unit_write(uint8_t *p, const struct tlog_unit *u)
{
    put_be32(p, TLOG_UNIT);
    put_be64(p + 4, (uint64_t)u->prev);
    put_be32(p + 12, (uint32_t)u->magic);
    put_be64(p + 16, (uint64_t)u->write_ms);
    put_be32(p + 24, (uint32_t)u->delay_ms);
    put_be64(p + 28, (uint64_t)u->physical_offset);
    put_be32(p + 36, (uint32_t)u->size);
    put_be32(p + 40, (uint32_t)u->topic_hash);
    put_be64(p + 44, 0);
}

/* ---- files ---- */

static char *path_of(const struct tlog *t, int64_t base)
{
    size_t n = strlen(t->dir) + NAME_DIGITS + 2;
    char *path = malloc(n);
    if (path)
        snprintf(path, n, "%s/%020" PRId64, t->dir, base);
    return path;
}

static int add_file(struct tlog *t, int64_t base, int flags)
{
    if (t->n == t->cap) {
        size_t cap = t->cap ? t->cap * 2 : 8;
        struct tlog_file *grown = realloc(t->files, cap * sizeof *grown);
        if (grown == NULL)
            return -ENOMEM;
        t->files = grown;
        t->cap = cap;
    }
    char *path = path_of(t, base);
    int fd = path ? t->fs->open(t->fs, path, flags) : -ENOMEM;
    free(path);
    if (fd >= 0)
        t->files[t->n++] = (struct tlog_file){base, fd};
    return fd < 0 ? fd : 0;
}

static int remove_file(struct tlog *t, size_t i)
{
    char *path = path_of(t, t->files[i].base);
    int r = path ? t->fs->unlink(t->fs, path) : -ENOMEM;
    free(path);
    if (r && r != -ENOENT)
        return r;
    t->fs->close(t->fs, t->files[i].fd);
    memmove(&t->files[i], &t->files[i + 1], (--t->n - i) * sizeof t->files[0]);
    return 0;
}

/* Files of the wrong size are no files of this log; Java would not start with them either. */
static int load_file(struct tlog *t, const char *name, struct err *err)
{
    int64_t base;
    struct fs_stat st;
    if (strlen(name) != NAME_DIGITS || !str_to_i64(str_from(name), &base))
        return 0;
    int r = add_file(t, base, FS_WRITE);
    if (r == 0)
        r = t->fs->fstat(t->fs, t->files[t->n - 1].fd, &st);
    if (r)
        return err_sys(err, -r, "cannot open the timer log file %s/%s", t->dir, name);
    if (st.size == t->file_size && base == (t->n == 1 ? base : t->files[t->n - 2].base + t->file_size))
        return 0;
    return err_set(err, EINVAL, "the timer log file %s/%s is not the one that belongs there: %" PRId64 " bytes", t->dir,
                   name, st.size);
}

static int drop_empty_last(struct tlog *t, char **names, size_t *n)
{
    struct fs_stat st;
    int64_t base;
    if (*n == 0 || !str_to_i64(str_from(names[*n - 1]), &base))
        return 0;
    char *path = path_of(t, base);
    int r = path ? t->fs->stat(t->fs, path, &st) : -ENOMEM;
    /* A crash while it was made. */
    if (r == 0 && st.size == 0) {
        r = t->fs->unlink(t->fs, path);
        (*n)--;
    }
    free(path);
    return r;
}

static int load(struct tlog *t, struct err *err)
{
    char **names;
    size_t n;
    int r = fs_list_sorted(t->fs, t->dir, false, &names, &n);
    if (r == -ENOENT)
        return 0;
    if (r)
        return err_sys(err, -r, "cannot list %s", t->dir);
    size_t used = n;
    r = drop_empty_last(t, names, &used);
    if (r)
        err_sys(err, -r, "cannot remove an empty file in %s", t->dir);
    for (size_t i = 0; i < used && r == 0; i++)
        r = load_file(t, names[i], err);
    fs_names_free(names, n);
    return r ? -1 : 0;
}

int tlog_open(struct tlog **out, const struct fs *fs, const char *dir, int64_t file_size, struct err *err)
{
    struct tlog *t = calloc(1, sizeof *t);
    if (t == NULL || (t->dir = strdup(dir)) == NULL || (t->window = malloc(WINDOW_MAX)) == NULL) {
        tlog_close(t);
        return err_set(err, ENOMEM, "out of memory for the timer log");
    }
    t->fs = fs;
    t->file_size = file_size;
    if (load(t, err) < 0) {
        tlog_close(t);
        return -1;
    }
    t->end = t->flushed = t->n ? t->files[t->n - 1].base + file_size : 0;
    *out = t;
    return 0;
}

void tlog_close(struct tlog *t)
{
    if (t == NULL)
        return;
    for (size_t i = 0; i < t->n; i++)
        t->fs->close(t->fs, t->files[i].fd);
    free(t->files);
    free(t->window);
    free(t->dir);
    free(t);
}

bool tlog_empty(const struct tlog *t)
{
    return t->n == 0;
}

int64_t tlog_min(const struct tlog *t)
{
    return t->n ? t->files[0].base : t->end;
}

int64_t tlog_end(const struct tlog *t)
{
    return t->end;
}

int64_t tlog_flushed(const struct tlog *t)
{
    return t->flushed;
}

static struct tlog_file *find(const struct tlog *t, int64_t pos)
{
    if (t->n == 0 || pos < t->files[0].base)
        return NULL;
    size_t i = (size_t)((pos - t->files[0].base) / t->file_size);
    return i < t->n ? &t->files[i] : NULL;
}

int64_t tlog_file_of(const struct tlog *t, int64_t pos)
{
    const struct tlog_file *f = find(t, pos);
    return f ? f->base : tlog_min(t);
}

/* ---- scanning ---- */

/* Units of one file from pos on. *end: behind the last good one; true when the file is full. */
static bool scan_file(struct tlog *t, const struct tlog_file *f, int64_t pos, uint8_t *buf, int64_t *end, int *error,
                      tlog_scan_fn fn, void *arg)
{
    struct tlog_unit u;
    for (;;) {
        int64_t left = f->base + t->file_size - pos;
        size_t want = left < SCAN_BYTES ? (size_t)left : SCAN_BYTES;
        ssize_t got = want ? t->fs->pread(t->fs, f->fd, buf, want, pos - f->base) : 0;
        *end = pos;
        if (got < 0)
            *error = (int)got;
        if (got < BLANK)
            return false;
        for (ssize_t at = 0; at + BLANK <= got; at += TLOG_UNIT, pos += TLOG_UNIT) {
            *end = pos;
            if (get_be32(buf + at + 12) == BLANK_MAGIC)
                return true;
            if (at + TLOG_UNIT > got)
                return false; /* no unit fits here, so none stands here */
            if (!unit_read(buf + at, &u) || u.prev >= pos || u.size <= 0 || !fn(arg, pos, &u))
                return false;
        }
        *end = pos;
    }
}

int64_t tlog_scan(struct tlog *t, int64_t pos, tlog_scan_fn fn, void *arg)
{
    int64_t end = pos;
    int error = 0;
    uint8_t *buf = malloc(SCAN_BYTES);
    struct tlog_file *f = find(t, pos);
    if (buf == NULL)
        return -ENOMEM;
    if (f == NULL) /* the beginning was removed, or there is nothing */
        end = pos = tlog_min(t), f = t->n ? &t->files[0] : NULL;
    while (f && scan_file(t, f, pos, buf, &end, &error, fn, arg) && f + 1 < t->files + t->n) {
        f++;
        end = pos = f->base;
    }
    free(buf);
    return error ? error : end;
}

int tlog_set_end(struct tlog *t, int64_t end, int64_t flushed, struct err *err)
{
    int r = 0;
    while (r == 0 && t->n && t->files[t->n - 1].base > end)
        r = remove_file(t, t->n - 1);
    struct tlog_file *f = find(t, end);
    if (r == 0 && f) {
        r = fs_all_zero(t->fs, f->fd, end - f->base, t->file_size);
        /* Old units there would be taken for good ones by a recovery that follows a shorter append. */
        if (r == 0) {
            r = t->fs->zero(t->fs, f->fd, end - f->base, t->file_size - (end - f->base));
            if (r == 0)
                r = t->fs->datasync(t->fs, f->fd);
        }
        if (r > 0)
            r = 0;
    }
    if (r)
        return err_sys(err, -r, "cannot end the timer log in %s at %" PRId64, t->dir, end);
    t->end = end;
    t->flushed = flushed < end ? flushed : end;
    t->window_len = 0;
    return 0;
}

/* ---- appending ---- */

static int new_file(struct tlog *t, int64_t base)
{
    int r = fs_mkdirs(t->fs, t->dir);
    if (r == 0)
        r = add_file(t, base, FS_WRITE | FS_CREATE);
    if (r)
        return r;
    r = t->fs->truncate(t->fs, t->files[t->n - 1].fd, t->file_size);
    if (r == 0)
        r = t->fs->datasync(t->fs, t->files[t->n - 1].fd);
    if (r == 0)
        r = t->fs->sync_dir(t->fs, t->dir);
    if (r)
        (void)remove_file(t, t->n - 1);
    return r;
}

/* Ends the last file with a blank unit. */
static int close_file(struct tlog *t, const struct tlog_file *f)
{
    uint8_t blank[BLANK] = {0};
    int64_t left = f->base + t->file_size - t->end;
    put_be32(blank, (uint32_t)left);
    put_be32(blank + 12, BLANK_MAGIC);
    return left < BLANK ? 0 : fs_write_all(t->fs, f->fd, blank, BLANK, t->end - f->base);
}

int64_t tlog_room(struct tlog *t)
{
    const struct tlog_file *f = find(t, t->end);
    int64_t left = f ? f->base + t->file_size - t->end : 0;
    if (left < TLOG_UNIT + BLANK) {
        int64_t base = f ? f->base + t->file_size : t->end;
        int r = f ? close_file(t, f) : 0;
        if (r == 0)
            r = new_file(t, base);
        if (r)
            return r;
        t->end = base;
        left = t->file_size;
    }
    return (left - BLANK) / TLOG_UNIT;
}

int tlog_append(struct tlog *t, const struct tlog_unit *u, size_t n)
{
    struct tlog_file *f = find(t, t->end);
    uint8_t *buf = f ? malloc(n * TLOG_UNIT) : NULL;
    if (buf == NULL)
        return -ENOMEM;
    for (size_t i = 0; i < n; i++)
        unit_write(buf + i * TLOG_UNIT, &u[i]);
    int r = fs_write_all(t->fs, f->fd, buf, n * TLOG_UNIT, t->end - f->base);
    free(buf);
    if (r == 0)
        t->end += (int64_t)(n * TLOG_UNIT);
    return r;
}

/* ---- chains ---- */

/* The bytes of the unit at pos, NULL when it cannot be read (*error, 0: there is no such unit). */
static const uint8_t *unit_at(struct tlog *t, int64_t pos, int *error)
{
    *error = 0;
    if (pos >= t->window_at && pos + TLOG_UNIT <= t->window_at + (int64_t)t->window_len)
        return t->window + (pos - t->window_at);
    struct tlog_file *f = find(t, pos);
    if (f == NULL || pos < 0 || pos + TLOG_UNIT > t->end || pos + TLOG_UNIT > f->base + t->file_size)
        return NULL;
    bool near = t->window_len && pos < t->window_at && t->window_at - pos <= (int64_t)t->window_len;
    t->window_want = !near ? WINDOW_MIN : t->window_want < WINDOW_MAX ? t->window_want * 2 : WINDOW_MAX;
    int64_t end = pos + TLOG_UNIT, at = end - (int64_t)t->window_want;
    if (at < f->base)
        at = f->base;
    t->window_len = 0;
    int r = fs_read_all(t->fs, f->fd, t->window, (size_t)(end - at), at - f->base);
    if (r) {
        *error = r;
        return NULL;
    }
    t->window_at = at;
    t->window_len = (size_t)(end - at);
    return t->window + (pos - at);
}

int64_t tlog_walk(struct tlog *t, int64_t pos, int64_t time_ms, int32_t span, struct tlog_unit *out, size_t max,
                  int64_t *next)
{
    size_t n = 0;
    while (n < max && pos >= 0) {
        int error;
        const uint8_t *p = unit_at(t, pos, &error);
        if (error)
            return error;
        if (p == NULL || !unit_read(p, &out[n]) || tlog_time(&out[n]) < time_ms ||
            tlog_time(&out[n]) >= time_ms + span || out[n].prev >= pos) {
            if (pos >= tlog_min(t))
                LOG_LIMITED(LOG_ERROR, "timer", "the timer log has no unit of %" PRId64 " at %" PRId64, time_ms, pos);
            pos = -1;
            break;
        }
        pos = out[n++].prev;
    }
    *next = pos;
    return (int64_t)n;
}

/* ---- durability and removal ---- */

int tlog_sync(struct tlog *t)
{
    int64_t end = t->end;
    for (size_t i = 0; i < t->n && t->flushed < end; i++) {
        int64_t file_end = t->files[i].base + t->file_size;
        if (file_end <= t->flushed)
            continue;
        int r = t->fs->datasync(t->fs, t->files[i].fd);
        if (r)
            return r;
        t->flushed = file_end < end ? file_end : end;
    }
    return 0;
}

/* Whether the last message that the full file knows stood before the offset. */
static int is_past(struct tlog *t, const struct tlog_file *f, int64_t physical_offset)
{
    uint8_t p[TLOG_UNIT];
    struct tlog_unit u;
    int64_t last = ((t->file_size - BLANK) / TLOG_UNIT - 1) * TLOG_UNIT;
    int r = fs_read_all(t->fs, f->fd, p, sizeof p, last);
    return r ? r : unit_read(p, &u) && u.physical_offset < physical_offset;
}

int tlog_remove_before(struct tlog *t, int64_t physical_offset)
{
    int removed = 0;
    while (t->n > 1) {
        int r = is_past(t, &t->files[0], physical_offset);
        if (r <= 0)
            return r < 0 ? r : removed;
        LOG(LOG_INFO, "timer", "removing the timer log file of %" PRId64 ": its messages are gone", t->files[0].base);
        r = remove_file(t, 0);
        if (r)
            return r;
        removed++;
    }
    return removed;
}

#include "broker/config/config_journal.h"

#include "base/crc.h"
#include "base/log.h"
#include "broker/config/config_file.h"
#include "os/fs.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    JOURNAL_MAX = 256 * 1024 * 1024,
    FILE_MAX = 1 << 30,
    WHOLE_MAX = 1024 * 1024 /* a file below is always written whole */
};

struct config_journal {
    char *path, *file_path;
    int64_t crc; /* of the file that the changes follow; -1: only its version counts */
    int fd;      /* -1: not open */
    int64_t size;
    bool failed; /* until it is cleared */
    bool named;  /* its name is durable; the syncing thread's */
    struct buf line;
};

struct config_journal *config_journal_new(const char *file_path)
{
    struct config_journal *j = calloc(1, sizeof *j);
    if (j == NULL)
        return NULL;
    j->fd = -1;
    j->crc = -1;
    j->file_path = strdup(file_path);
    if (j->file_path == NULL || asprintf(&j->path, "%s.changes", file_path) < 0) {
        free(j->file_path);
        free(j);
        return NULL;
    }
    return j;
}

void config_journal_free(struct config_journal *j)
{
    if (j == NULL)
        return;
    if (j->fd >= 0)
        fs_real()->close(fs_real(), j->fd);
    buf_free(&j->line);
    free(j->path);
    free(j->file_path);
    free(j);
}

static void fail(struct config_journal *j, int error)
{
    if (!j->failed)
        LOG(LOG_WARN, "broker", "cannot note changes in %s: %s; they are safe with the next save of all", j->path,
            strerror(error));
    j->failed = true;
}

static void begin_line(struct config_journal *j, struct jw *w)
{
    jw_init(w, &j->line);
    jw_begin_object(w);
}

static void end_line(struct config_journal *j, struct jw *w)
{
    jw_end_object(w);
    buf_add_byte(&j->line, '\n');
}

/* The folder comes into being with the first file in it. */
static int open_in_folder(const struct config_journal *j)
{
    const struct fs *fs = fs_real();
    int fd = fs->open(fs, j->path, FS_WRITE | FS_CREATE);
    if (fd != -ENOENT)
        return fd;
    int r = config_file_make_folder(j->path);
    return r < 0 ? r : fs->open(fs, j->path, FS_WRITE | FS_CREATE);
}

static bool open_file(struct config_journal *j)
{
    if (j->fd >= 0)
        return true;
    int fd = open_in_folder(j);
    if (fd < 0) {
        fail(j, -fd);
        return false;
    }
    j->fd = fd;
    return true;
}

void config_journal_begin(struct config_journal *j, const struct data_version *before)
{
    struct jw w;
    buf_clear(&j->line);
    if (j->size > 0)
        return;
    begin_line(j, &w);
    jw_key(&w, STR_LIT("base"));
    data_version_write(&w, before);
    if (j->crc >= 0)
        jw_ki64(&w, "crc", j->crc);
    end_line(j, &w);
}

void config_journal_put(struct config_journal *j, const struct data_version *after,
                        void (*write)(struct jw *w, const void *item), const void *item, struct str deleted)
{
    struct jw w;
    begin_line(j, &w);
    jw_key(&w, STR_LIT("version"));
    data_version_write(&w, after);
    if (write) {
        jw_key(&w, STR_LIT("item"));
        write(&w, item);
    }
    jw_kstr(&w, "deleted", deleted);
    end_line(j, &w);
}

void config_journal_commit(struct config_journal *j)
{
    if (j->failed || !open_file(j))
        return;
    int r = buf_ok(&j->line) ? fs_write_all(fs_real(), j->fd, j->line.data, j->line.len, j->size) : -ENOMEM;
    if (r < 0)
        fail(j, -r);
    else
        j->size += (int64_t)j->line.len;
}

void config_journal_add(struct config_journal *j, const struct data_version *before, const struct data_version *after,
                        void (*write)(struct jw *w, const void *item), const void *item, struct str deleted)
{
    if (j->failed)
        return;
    config_journal_begin(j, before);
    config_journal_put(j, after, write, item, deleted);
    config_journal_commit(j);
}

int config_journal_handle(const struct config_journal *j)
{
    return j->fd;
}

int config_journal_sync(struct config_journal *j, int handle)
{
    if (handle < 0)
        return 0;
    int r = fs_real()->datasync(fs_real(), handle);
    if (r == 0 && !j->named) {
        r = fs_sync_name(fs_real(), j->path);
        j->named = r == 0;
    }
    return r;
}

void config_journal_broken(struct config_journal *j, int error)
{
    fail(j, error);
}

bool config_journal_failed(const struct config_journal *j)
{
    return j->failed;
}

void config_journal_follow(struct config_journal *j, struct str text)
{
    j->crc = crc32_ieee(text.ptr, text.len);
}

bool config_journal_suffices(const struct config_journal *j, size_t file_bytes)
{
    return !j->failed && file_bytes >= WHOLE_MAX && (size_t)j->size < file_bytes / 2;
}

void config_journal_clear(struct config_journal *j)
{
    if (j->fd < 0 && !fs_exists(fs_real(), j->path))
        return;
    int r = open_file(j) ? fs_real()->truncate(fs_real(), j->fd, 0) : 0;
    j->failed = false;
    j->size = 0;
    if (r < 0)
        fail(j, -r);
}

/* ---- making changes again ---- */

/* The first line fits the file. */
static bool is_base(const struct config_journal *j, const struct json *entry, const struct data_version *v,
                    const struct data_version *have)
{
    int64_t crc = json_int(json_get(entry, "crc"), -1);
    char *text = NULL;
    size_t len;
    bool base = json_get(entry, "base") != NULL, same = have ? data_version_eq(v, have) : base && v->counter == 0;
    if (!same || crc < 0)
        return same;
    same = fs_load(fs_real(), j->file_path, FILE_MAX, &text, &len) == 0 && crc32_ieee(text, len) == crc;
    free(text);
    return same;
}

int64_t config_journal_replay(struct config_journal *j, const struct data_version *have, config_journal_fn fn,
                              void *arg)
{
    struct arena arena = {0};
    char *text = NULL;
    size_t len = 0;
    int64_t made = 0;
    bool follows = false;
    if (fs_load(fs_real(), j->path, JOURNAL_MAX, &text, &len) < 0)
        return 0;
    struct str rest = str_make(text, len), line;
    while (made >= 0 && str_split(&rest, '\n', &line)) {
        struct data_version v;
        bool whole = line.ptr + line.len < text + len;
        const struct json *entry = whole && line.len ? json_parse(&arena, line, NULL) : NULL;
        if (entry == NULL)
            break; /* the end, or a line that was being written when the machine failed */
        j->size = line.ptr + line.len + 1 - text;
        const struct json *base = json_get(entry, "base");
        if (!data_version_read(base ? base : json_get(entry, "version"), &v))
            break;
        if (follows)
            made = fn(arg, &arena, &v, json_get(entry, "item"), json_str(entry, "deleted")) ? made + 1 : -1;
        else
            follows = is_base(j, entry, &v, have);
        arena_reset(&arena);
    }
    arena_free(&arena);
    free(text);
    if (!follows)
        config_journal_clear(j);
    return made;
}

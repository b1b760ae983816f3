#include "broker/config/config_file.h"

#include "base/log.h"
#include "os/clock.h"
#include "os/fs.h"
#include "os/thread.h"
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { FILE_MAX = 1 << 30, RETRY_MS = 1000, REST_MIN_MS = 20, REST_FACTOR = 8, REST_MAX_MS = 2000, PATH_SIZE = 4096 };

char *config_file_path(const char *dir, const char *name)
{
    char *path = NULL;
    return asprintf(&path, "%s/%s", dir, name) < 0 ? NULL : path;
}

/* 0 with *out set, or NULL when absent or empty. */
static int load_one(const char *path, struct arena *arena, const struct json **out, struct err *err)
{
    char *text;
    size_t len;
    *out = NULL;
    int r = fs_load(fs_real(), path, FILE_MAX, &text, &len);
    if (r == -ENOENT)
        return 0;
    if (r < 0)
        return err_sys(err, -r, "cannot read the configuration file %s", path);
    /* The tree has views of the text: it lives as long. */
    struct str copy = arena_str(arena, str_make(text, len));
    free(text);
    if (str_blank(copy))
        return copy.ptr ? 0 : err_set(err, ENOMEM, "out of memory while reading %s", path);
    struct err why;
    *out = json_parse(arena, copy, &why);
    if (*out == NULL)
        return err_set(err, EINVAL, "the configuration file %s is damaged: %s", path, why.text);
    return 0;
}

int config_file_load(const char *path, struct arena *arena, const struct json **out, struct err *err)
{
    char bak[PATH_SIZE];
    struct err first = {0}, second = {0};
    int len = snprintf(bak, sizeof bak, "%s.bak", path);
    if (len < 0 || (size_t)len >= sizeof bak)
        return err_set(err, ENAMETOOLONG, "the path %s is too long", path);
    int r = load_one(path, arena, out, &first);
    if (*out)
        return 0;
    if (load_one(bak, arena, out, &second) < 0)
        return err_set(err, EINVAL, "%s; restore the file or remove it and its .bak to begin without it",
                       r < 0 ? first.text : second.text);
    if (r < 0 && *out == NULL)
        return err_set(err, first.code, "%s; there is no %s to use instead: restore the file or remove it", first.text,
                       bak);
    if (r < 0)
        LOG(LOG_WARN, "broker", "%s; using %s", first.text, bak);
    return 0;
}

static int write_file(const struct fs *fs, const char *path, struct str text)
{
    int fd = fs->open(fs, path, FS_WRITE | FS_CREATE | FS_TRUNCATE);
    if (fd < 0)
        return fd;
    int r = fs_write_all(fs, fd, text.ptr, text.len, 0);
    if (r == 0)
        r = fs->datasync(fs, fd);
    fs->close(fs, fd);
    return r;
}

int config_file_make_folder(const char *path)
{
    const struct fs *fs = fs_real();
    char dir[PATH_SIZE];
    if (!fs_parent(path, dir, sizeof dir))
        return -ENAMETOOLONG;
    int r = fs_mkdirs(fs, dir);
    return r ? r : fs_sync_name(fs, dir);
}

int config_file_save(const char *path, struct str text, struct err *err)
{
    const struct fs *fs = fs_real();
    char tmp[PATH_SIZE], bak[PATH_SIZE];
    if (strlen(path) + sizeof ".bak" > PATH_SIZE)
        return err_set(err, ENAMETOOLONG, "the path %s is too long", path);
    snprintf(tmp, sizeof tmp, "%s.tmp", path);
    snprintf(bak, sizeof bak, "%s.bak", path);
    int r = write_file(fs, tmp, text);
    if (r == -ENOENT) {
        r = config_file_make_folder(path);
        if (r == 0)
            r = write_file(fs, tmp, text);
    }
    if (r == 0) {
        r = fs->rename(fs, path, bak);
        if (r == 0 || r == -ENOENT)
            r = fs->rename(fs, tmp, path);
    }
    if (r == 0)
        r = fs_sync_name(fs, path);
    return r < 0 ? err_sys(err, -r, "cannot save the configuration file %s", path) : 0;
}

/* ---- saving in the background ---- */

struct config_saver {
    const char *thread_name;
    int (*save)(void *arg, struct err *err);
    void *arg;
    struct waker waker;
    struct thread thread;
    atomic_bool started, stopping;
};

static void rest(struct config_saver *s, int64_t ms)
{
    int64_t until = clock_mono_ms() + ms;
    while (ms > 0 && !atomic_load(&s->stopping)) {
        usleep((useconds_t)(ms < 20 ? ms : 20) * 1000);
        ms = until - clock_mono_ms();
    }
}

static void saver_run(void *arg)
{
    struct config_saver *s = arg;
    while (!atomic_load(&s->stopping)) {
        struct err err;
        int64_t begin = clock_mono_ms();
        if (s->save(s->arg, &err) < 0) {
            LOG(LOG_ERROR, "broker", "%s; trying again", err.text);
            rest(s, RETRY_MS);
            continue;
        }
        int64_t pause = (clock_mono_ms() - begin) * REST_FACTOR;
        rest(s, pause < REST_MIN_MS ? REST_MIN_MS : pause > REST_MAX_MS ? REST_MAX_MS : pause);
        if (!atomic_load(&s->stopping))
            waker_wait(&s->waker, INT32_MAX);
    }
}

struct config_saver *config_saver_new(const char *thread_name, int (*save)(void *arg, struct err *err), void *arg)
{
    struct config_saver *s = calloc(1, sizeof *s);
    if (s == NULL)
        return NULL;
    s->thread_name = thread_name;
    s->save = save;
    s->arg = arg;
    waker_init(&s->waker);
    return s;
}

void config_saver_wake(struct config_saver *s)
{
    if (!atomic_exchange(&s->started, true)) {
        int r = thread_start(&s->thread, s->thread_name, saver_run, s);
        if (r < 0) {
            /* Nothing is lost: the state is saved at the end. */
            LOG(LOG_ERROR, "broker", "cannot start the thread %s: %s", s->thread_name, strerror(-r));
            atomic_store(&s->started, false);
        }
        return;
    }
    waker_wake(&s->waker);
}

void config_saver_free(struct config_saver *s)
{
    if (s == NULL)
        return;
    atomic_store(&s->stopping, true);
    waker_wake(&s->waker);
    thread_join(&s->thread);
    waker_free(&s->waker);
    free(s);
}

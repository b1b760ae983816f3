#include "store/log_dirs.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"

enum { SEPARATOR = ',' };

static struct log_dir *find(const struct log_dirs *d, struct str path)
{
    for (size_t i = 0; i < d->count; i++)
        if (str_eqz(path, d->items[i].path))
            return &d->items[i];
    return NULL;
}

static int add(struct log_dirs *d, const char *paths, bool read_only)
{
    struct str rest = str_from(paths), piece;
    while (str_split(&rest, SEPARATOR, &piece)) {
        piece = str_trim(piece);
        struct log_dir *known = find(d, piece);
        if (piece.len == 0)
            continue;
        if (known) {
            known->read_only |= read_only;
            continue;
        }
        struct log_dir *grown = realloc(d->items, (d->count + 1) * sizeof *grown);
        if (grown == NULL)
            return -ENOMEM;
        d->items = grown;
        d->items[d->count] = (struct log_dir){.path = str_dupz(piece), .read_only = read_only};
        if (d->items[d->count].path == NULL)
            return -ENOMEM;
        d->count++;
    }
    return 0;
}

static int by_path(const void *a, const void *b)
{
    return strcmp(((const struct log_dir *)a)->path, ((const struct log_dir *)b)->path);
}

int log_dirs_make(struct log_dirs *d, const char *paths, const char *read_only, struct err *err)
{
    struct buf text = {0};
    *d = (struct log_dirs){0};
    int r = add(d, paths, false);
    if (r == 0 && read_only)
        r = add(d, read_only, true);
    if (d->count)
        qsort(d->items, d->count, sizeof d->items[0], by_path);
    for (size_t i = 0; i < d->count; i++) {
        d->writable += !d->items[i].read_only;
        buf_add_str(&text, str_from(i ? "," : ""));
        buf_add_str(&text, str_from(d->items[i].path));
    }
    if (r == 0 && buf_ok(&text) && d->writable)
        d->text = str_dupz(buf_str(&text));
    buf_free(&text);
    if (d->text)
        return 0;
    bool none = r == 0 && d->writable == 0;
    log_dirs_free(d);
    return none ? err_set(err, EINVAL,
                          "storePathCommitLog=%s, readOnlyCommitLogStorePaths=%s: no folder is left to write to", paths,
                          read_only ? read_only : "")
                : err_sys(err, ENOMEM, "cannot open the commit log in %s", paths);
}

void log_dirs_free(struct log_dirs *d)
{
    for (size_t i = 0; i < d->count; i++)
        free(d->items[i].path);
    free(d->items);
    free(d->text);
    *d = (struct log_dirs){0};
}

static bool is_available(const struct log_dir *dir)
{
    return !dir->read_only && !__atomic_load_n(&dir->full, __ATOMIC_RELAXED) &&
           !__atomic_load_n(&dir->failed, __ATOMIC_RELAXED);
}

struct log_dir *log_dirs_choose(const struct log_dirs *d, int64_t number)
{
    size_t available = 0;
    for (size_t i = 0; i < d->count; i++)
        available += is_available(&d->items[i]);
    int64_t nth = number % (int64_t)(available ? available : d->writable);
    for (size_t i = 0; i < d->count; i++) {
        struct log_dir *dir = &d->items[i];
        if ((available ? is_available(dir) : !dir->read_only) && nth-- == 0)
            return dir;
    }
    return NULL; /* never: there is one to write to */
}

void log_dir_set_full(struct log_dir *dir, bool full)
{
    __atomic_store_n(&dir->full, full, __ATOMIC_RELAXED);
}

void log_dir_set_failed(struct log_dir *dir, bool failed)
{
    __atomic_store_n(&dir->failed, failed, __ATOMIC_RELAXED);
}

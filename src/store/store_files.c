#include "store/store_files.h"

#include "base/map.h"
#include "store/checkpoint.h"
#include "store/consumequeue_int.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PATH_SIZE = 4096, PAGE_ENTRIES = 204 };

void queue_files_free(struct queue_files *q)
{
    free(q->dir);
    free(q->topic);
    free(q->starts);
    free(q->shared);
    memset(q, 0, sizeof *q);
}

static int open_file(const struct fs *fs, const struct queue_files *q, int64_t start)
{
    char path[PATH_SIZE];
    int n = snprintf(path, sizeof path, "%s/%020lld", q->dir, (long long)start);
    return n < 0 || n >= (int)sizeof path ? -ENAMETOOLONG : fs->open(fs, path, FS_READ);
}

/* Raw reading inside one file. */
static int read_in_file(const struct fs *fs, const struct queue_files *q, int64_t offset, struct store_entry *out,
                        int n)
{
    uint8_t buf[PAGE_ENTRIES * CQ_BATCH_ENTRY_SIZE];
    int64_t at = offset * q->unit, start = at - at % q->file_size;
    int64_t left = (start + q->file_size - at) / q->unit;
    if (n > left)
        n = (int)left;
    if (n > PAGE_ENTRIES)
        n = PAGE_ENTRIES;
    int fd = open_file(fs, q, start);
    if (fd < 0)
        return fd;
    ssize_t got = fs->pread(fs, fd, buf, (size_t)n * (size_t)q->unit, at - start);
    fs->close(fs, fd);
    if (got < 0)
        return (int)got;
    n = (int)(got / q->unit);
    for (int i = 0; i < n; i++)
        out[i] = cq_get_entry(buf + i * q->unit, q->unit, offset + i);
    return n;
}

int queue_files_read(const struct fs *fs, const struct queue_files *q, int64_t offset, struct store_entry *out, int n)
{
    if (offset < q->first || offset >= q->end)
        return 0;
    if (n > q->end - offset)
        n = (int)(q->end - offset);
    int done = 0;
    for (; q->shared && done < n; done++)
        out[done] = cq_get_entry(q->shared + (offset + done - q->first) * CQ_ENTRY_SIZE, CQ_ENTRY_SIZE, offset + done);
    while (done < n) {
        int r = read_in_file(fs, q, offset + done, out + done, n - done);
        if (r < 0)
            return done ? done : r;
        if (r == 0)
            break;
        done += r;
    }
    return done;
}

/* The entries of the last file that has any, read up to the first invalid one. */
static int find_end(const struct fs *fs, struct queue_files *q)
{
    struct store_entry page[PAGE_ENTRIES];
    int64_t per_file = q->file_size / q->unit;
    q->end = q->first;
    for (size_t i = q->n; i > 0; i--) {
        int64_t from = q->starts[i - 1] / q->unit, at = from;
        while (at < from + per_file) {
            int n = read_in_file(fs, q, at, page, PAGE_ENTRIES), k = 0;
            if (n < 0)
                return n;
            while (k < n && cq_entry_valid(&page[k]))
                k++;
            at += k;
            if (k < n || n == 0)
                break;
        }
        if (at > from) {
            q->end = at;
            return 0;
        }
    }
    return 0;
}

static int examine(const struct fs *fs, struct queue_files *q)
{
    for (size_t i = 0; i < q->n; i++) {
        struct fs_stat st;
        int fd = open_file(fs, q, q->starts[i]);
        int r = fd < 0 ? fd : fs->fstat(fs, fd, &st);
        if (fd >= 0)
            fs->close(fs, fd);
        if (r)
            return r;
        if (st.size == 0 && i + 1 == q->n) {
            q->n--; /* just being made */
            break;
        }
        if (i == 0)
            q->file_size = st.size;
        if (st.size == 0 || st.size != q->file_size || st.size % q->unit || q->starts[i] % st.size)
            q->file_size = 0;
        if (q->file_size == 0)
            return 0;
    }
    if (q->n == 0)
        return 0;
    size_t run = q->n - 1;
    while (run > 0 && q->starts[run] - q->starts[run - 1] == q->file_size)
        run--;
    q->first = q->starts[run] / q->unit;
    return find_end(fs, q);
}

/* ---- queues in the shared files ---- */

struct shared {
    char dir[PATH_SIZE];
    struct map queues; /* "TOPIC/ID" -> struct queue_files */
};

static void free_shared(void *value)
{
    queue_files_free(value);
    free(value);
}

static struct str key_of(struct str topic, int32_t id, char out[CQ_TOPIC_MAX + 16])
{
    int n = snprintf(out, CQ_TOPIC_MAX + 16, "%.*s/%d", STR_ARG(topic), id);
    return str_make(out, (size_t)n);
}

/* The newest block of a queue counts. */
static int take_block(void *arg, const struct sq_block *b)
{
    struct shared *s = arg;
    char key[CQ_TOPIC_MAX + 16];
    struct str k = key_of(b->topic, b->queue_id, key);
    struct queue_files *q = map_get(&s->queues, k);
    if (q) {
        map_del(&s->queues, k);
        free_shared(q);
    }
    if (b->kind != SQ_QUEUE)
        return 0;
    q = calloc(1, sizeof *q);
    if (q == NULL)
        return -ENOMEM;
    *q = (struct queue_files){
        .dir = strdup(s->dir), .topic = str_dupz(b->topic), .id = b->queue_id, .unit = CQ_ENTRY_SIZE};
    q->first = b->base;
    q->end = b->base + b->n;
    q->shared = malloc((size_t)b->n * CQ_ENTRY_SIZE + 1);
    if (q->dir == NULL || q->topic == NULL || q->shared == NULL || !map_put(&s->queues, k, q, NULL)) {
        free_shared(q);
        return -ENOMEM;
    }
    memcpy(q->shared, b->entries, (size_t)b->n * CQ_ENTRY_SIZE);
    return 0;
}

/* Nothing when a Java broker has gone past them: our marks are void then. */
static int load_shared(const struct fs *fs, const char *store_dir, struct shared *s, struct err *err)
{
    char path[PATH_SIZE];
    struct checkpoint c;
    *s = (struct shared){0};
    int n = snprintf(path, sizeof path, "%s/checkpoint", store_dir);
    int len = snprintf(s->dir, sizeof s->dir, "%s/sharedqueues", store_dir);
    if (n >= (int)sizeof path || len >= (int)sizeof s->dir)
        return err_sys(err, ENAMETOOLONG, "cannot read the store directory %s", store_dir);
    if (checkpoint_read(&c, fs, path, err))
        return -1;
    int r = c.have_marks && c.shared_mark >= 0 ? sq_each(fs, s->dir, take_block, s) : 0;
    return r ? err_sys(err, -r, "cannot read the files of small queues in %s", s->dir) : 0;
}

/* Hands the queues over. */
static int give_shared(struct shared *s, int (*fn)(void *arg, struct queue_files *q), void *arg)
{
    int r = 0;
    for (struct map_slot *slot = NULL; r == 0 && (slot = map_next(&s->queues, slot));) {
        struct queue_files *q = slot->value;
        r = fn(arg, q);
        if (r == 0)
            *q = (struct queue_files){0};
    }
    return r;
}

struct lister {
    const struct shared *shared;
    const struct fs *fs;
    const char *dir, *topic;
    int32_t unit;
    int (*fn)(void *arg, struct queue_files *q);
    void *arg;
    struct err *err;
};

static int list_starts(struct lister *l, struct queue_files *q)
{
    char **names;
    size_t n;
    int r = fs_list_sorted(l->fs, q->dir, false, &names, &n);
    if (r)
        return r;
    q->starts = calloc(n + 1, sizeof q->starts[0]);
    for (size_t i = 0; i < n && q->starts; i++)
        if (strlen(names[i]) == CQ_NAME_DIGITS && strspn(names[i], "0123456789") == CQ_NAME_DIGITS)
            q->n += str_to_i64(str_from(names[i]), &q->starts[q->n]);
    fs_names_free(names, n);
    return q->starts ? 0 : -ENOMEM;
}

static int visit_queue(void *arg, const char *name, bool is_dir)
{
    struct lister *l = arg;
    struct queue_files q = {.unit = l->unit};
    char key[CQ_TOPIC_MAX + 16];
    if (!is_dir || !str_to_i32(str_from(name), &q.id) || strlen(l->topic) > CQ_TOPIC_MAX ||
        (l->unit == CQ_ENTRY_SIZE && map_get(&l->shared->queues, key_of(str_from(l->topic), q.id, key))))
        return 0;
    char path[PATH_SIZE];
    int n = snprintf(path, sizeof path, "%s/%s/%s", l->dir, l->topic, name), r = -ENAMETOOLONG;
    if (n >= 0 && n < (int)sizeof path) {
        q.dir = strdup(path);
        q.topic = strdup(l->topic);
        r = q.dir && q.topic ? list_starts(l, &q) : -ENOMEM;
    }
    if (r == 0)
        r = examine(l->fs, &q);
    if (r)
        err_sys(l->err, -r, "cannot read the consume queue %s/%s/%s", l->dir, l->topic, name);
    else
        r = l->fn(l->arg, &q);
    if (r)
        queue_files_free(&q);
    return r;
}

static int each_in(const struct fs *fs, const char *dir, const struct shared *shared, int32_t unit,
                   int (*fn)(void *arg, struct queue_files *q), void *arg, struct err *err)
{
    char **topics;
    size_t n;
    int r = fs_list_sorted(fs, dir, true, &topics, &n);
    if (r == -ENOENT)
        return 0;
    if (r)
        return err_sys(err, -r, "cannot list the consume queue folder %s", dir);
    for (size_t i = 0; i < n && r == 0; i++) {
        char path[PATH_SIZE];
        struct lister l = {shared, fs, dir, topics[i], unit, fn, arg, err};
        int len = snprintf(path, sizeof path, "%s/%s", dir, topics[i]);
        if (len < 0 || len >= (int)sizeof path)
            r = err_sys(err, ENAMETOOLONG, "cannot list the consume queue folder %s", dir);
        else if ((r = fs->list(fs, path, visit_queue, &l)) == -ENOENT)
            r = 0; /* deleted meanwhile */
    }
    fs_names_free(topics, n);
    return r ? -1 : 0;
}

static int visit_all(const struct fs *fs, const char *store_dir, struct shared *shared,
                     int (*fn)(void *arg, struct queue_files *q), void *arg, struct err *err)
{
    static const struct {
        const char *name;
        int32_t unit;
    } kinds[] = {{"consumequeue", CQ_ENTRY_SIZE}, {"batchconsumequeue", CQ_BATCH_ENTRY_SIZE}};
    int r = give_shared(shared, fn, arg);
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0] && r == 0; i++) {
        char path[PATH_SIZE];
        int n = snprintf(path, sizeof path, "%s/%s", store_dir, kinds[i].name);
        if (n < 0 || n >= (int)sizeof path)
            return err_sys(err, ENAMETOOLONG, "cannot read the store directory %s", store_dir);
        r = each_in(fs, path, shared, kinds[i].unit, fn, arg, err);
    }
    return r;
}

int queue_files_each(const struct fs *fs, const char *store_dir, int (*fn)(void *arg, struct queue_files *q), void *arg,
                     struct err *err)
{
    struct shared shared;
    int r = load_shared(fs, store_dir, &shared, err);
    if (r == 0)
        r = visit_all(fs, store_dir, &shared, fn, arg, err);
    map_free(&shared.queues, free_shared);
    return r ? -1 : 0;
}

bool queue_files_batch(const struct queue_files *q)
{
    return q->unit == CQ_BATCH_ENTRY_SIZE;
}

void index_infos_free(struct index_info *infos, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free(infos[i].path);
    free(infos);
}

static int read_info(const struct fs *fs, struct index_info *info)
{
    uint8_t b[INDEX_HEADER_SIZE];
    struct fs_stat st;
    int fd = fs->open(fs, info->path, FS_READ);
    if (fd < 0)
        return fd;
    int r = fs->fstat(fs, fd, &st);
    info->size = r ? 0 : st.size;
    if (r == 0 && st.size >= INDEX_HEADER_SIZE && (r = fs_read_all(fs, fd, b, sizeof b, 0)) == 0)
        info->header = index_header_decode(b);
    fs->close(fs, fd);
    return r;
}

int index_infos(const struct fs *fs, const char *dir, struct index_info **out, size_t *count, struct err *err)
{
    char **names;
    size_t n;
    *out = NULL;
    *count = 0;
    int r = fs_list_sorted(fs, dir, false, &names, &n);
    if (r == -ENOENT)
        return 0;
    if (r)
        return err_sys(err, -r, "cannot list the index folder %s", dir);
    *out = calloc(n + 1, sizeof **out);
    for (size_t i = 0; i < n && r == 0 && *out; i++) {
        char path[PATH_SIZE];
        if (strlen(names[i]) >= INDEX_NAME_SIZE || strspn(names[i], "0123456789") != strlen(names[i]))
            continue;
        int len = snprintf(path, sizeof path, "%s/%s", dir, names[i]);
        struct index_info *info = &(*out)[*count];
        info->path = len > 0 && len < (int)sizeof path ? strdup(path) : NULL;
        r = info->path ? read_info(fs, info) : -ENOMEM;
        ++*count;
    }
    fs_names_free(names, n);
    if (r == 0 && *out)
        return 0;
    index_infos_free(*out, *count);
    *out = NULL;
    *count = 0;
    return err_sys(err, r ? -r : ENOMEM, "cannot read the index folder %s", dir);
}

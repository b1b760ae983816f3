#include "backlog.h"

#include "base/bytes.h"
#include "store/checkpoint.h"
#include "store/index.h"
#include "store/index_file.h"
#include "store/index_summary.h"

enum {
    PATH_SIZE = 4096,
    FILES_MAX = 5000,        /* queue files; with more they are made larger */
    LARGER_FILE = 600000000, /* bytes of one queue file then */
    DAYS_3_MS = 3 * 86400 * 1000,
    CHAIN_STEP = 5000, /* entries between two of a chain: another page each */
};

static const int64_t first_time = 1700000000000, first_name = 20231114000000000;

int64_t backlog_physical(const struct backlog *w, int64_t g)
{
    return g / w->a_segment * w->b->conf.mappedFileSizeCommitLog + g % w->a_segment * BACKLOG_RECORD;
}

int64_t backlog_time(const struct backlog *w, int64_t g)
{
    return first_time + g / w->per_ms;
}

void backlog_key(int64_t g, char out[BACKLOG_KEY])
{
    snprintf(out, BACKLOG_KEY, "KEY%013" PRId64, g);
}

/* ---- files
 * ------------------------------------------------------------------------------------------------------------ */

static void queue_path(const struct backlog *w, int64_t queue, int64_t position, char out[PATH_SIZE])
{
    int64_t file = position / w->a_file * w->a_file * CQ_ENTRY_SIZE;
    snprintf(out, PATH_SIZE, "%s/consumequeue/" BACKLOG_TOPIC "/%" PRId64 "/%020" PRId64, w->b->conf.storePathRootDir,
             queue, file);
}

static void log_path(const struct backlog *w, int64_t physical, char out[PATH_SIZE])
{
    int64_t size = w->b->conf.mappedFileSizeCommitLog;
    snprintf(out, PATH_SIZE, "%s/commitlog/%020" PRId64, w->b->conf.storePathRootDir, physical / size * size);
}

static void index_path(const struct backlog *w, int64_t i, char out[PATH_SIZE])
{
    snprintf(out, PATH_SIZE, "%s/index/%017" PRId64, w->b->conf.storePathRootDir, first_name + i);
}

/* Writes with one descriptor as long as the path stays the same. */
struct writer {
    char path[PATH_SIZE];
    int fd;
};

static void write_at(const struct backlog *w, struct writer *to, const char *path, const void *data, size_t n,
                     int64_t at)
{
    const struct fs *fs = fs_real();
    if (to->path[0] && strcmp(to->path, path) != 0) {
        fs->close(fs, to->fd);
        to->path[0] = '\0';
    }
    if (path[0] && to->path[0] == '\0') {
        snprintf(to->path, sizeof to->path, "%s", path);
        to->fd = fs->open(fs, path, FS_WRITE);
        if (to->fd < 0)
            die("cannot open a sparse file");
    }
    if (path[0] && fs_write_all(fs, to->fd, data, n, at))
        die("cannot write into a sparse file");
}

static void make_folder(const struct backlog *w, const char *name, int64_t n)
{
    char path[PATH_SIZE];
    int len = snprintf(path, sizeof path, "%s/", w->b->conf.storePathRootDir);
    snprintf(path + len, sizeof path - (size_t)len, "%s", name);
    if (n >= 0)
        snprintf(path + strlen(path), 32, "/%" PRId64, n);
    if (fs_mkdirs(fs_real(), path))
        die("cannot make a folder");
}

static struct index_geometry geometry_of(const struct backlog *w)
{
    return (struct index_geometry){w->b->conf.maxHashSlotNum, w->b->conf.maxIndexNum};
}

static void summaries_dir(const struct backlog *w, char out[PATH_SIZE])
{
    snprintf(out, PATH_SIZE, "%s/indexsummary", w->b->conf.storePathRootDir);
}

/* Of the full files, as the store has them after some time. */
static void make_summaries(struct backlog *w)
{
    char dir[PATH_SIZE];
    int64_t full = backlog_index_files(w) - 1;
    if (full < w->b->conf.indexSummaryFrom)
        return;
    w->summaries = calloc((size_t)full / INDEX_SUMMARY_FILES + 1, sizeof(struct index_summary *));
    summaries_dir(w, dir);
    for (int64_t i = 0; w->summaries && i < full; i += INDEX_SUMMARY_FILES) {
        struct index_covered covered[INDEX_SUMMARY_FILES] = {0};
        size_t n = full - i < INDEX_SUMMARY_FILES ? (size_t)(full - i) : INDEX_SUMMARY_FILES;
        for (size_t k = 0; k < n; k++) {
            int64_t first = (i + (int64_t)k) * w->an_index;
            snprintf(covered[k].name, sizeof covered[k].name, "%017" PRId64, first_name + i + (int64_t)k);
            covered[k].begin_offset = backlog_physical(w, first);
            covered[k].end_offset = backlog_physical(w, first + w->an_index - 1);
        }
        if (index_summary_blank(&w->summaries[w->n_summaries++], fs_real(), dir, geometry_of(w), covered, n))
            die("cannot make a summary of index files");
    }
}

static void make_index(struct backlog *w)
{
    struct index_geometry geometry = geometry_of(w);
    int64_t total = backlog_total(w);
    for (int64_t i = 0; i < backlog_index_files(w); i++) {
        char path[PATH_SIZE];
        uint8_t bytes[INDEX_HEADER_SIZE];
        int64_t first = i * w->an_index, last = first + w->an_index < total ? first + w->an_index - 1 : total - 1;
        struct index_header h = {
            .begin_time = backlog_time(w, first),
            .end_time = backlog_time(w, last),
            .begin_offset = backlog_physical(w, first),
            .end_offset = backlog_physical(w, last),
            .used_slots = geometry.slots,
            .count = (int32_t)(last - first + 2),
        };
        struct writer to = {0};
        index_path(w, i, path);
        sparse_file(w->b, path, index_file_size(geometry));
        index_header_encode(&h, bytes);
        write_at(w, &to, path, bytes, sizeof bytes, 0);
        write_at(w, &to, "", NULL, 0, 0);
    }
}

void backlog_make(struct backlog *w, struct bench *b, int64_t queues, int64_t each)
{
    int64_t files = queues * (each * CQ_ENTRY_SIZE / b->conf.mappedFileSizeConsumeQueue);
    if (files > FILES_MAX)
        b->conf.mappedFileSizeConsumeQueue = LARGER_FILE;
    *w = (struct backlog){
        .b = b,
        .queues = queues,
        .a_file = b->conf.mappedFileSizeConsumeQueue / CQ_ENTRY_SIZE,
        .a_segment = (b->conf.mappedFileSizeCommitLog - 8) / BACKLOG_RECORD,
        .an_index = b->conf.maxIndexNum - 1,
    };
    w->each = (each + w->a_file - 1) / w->a_file * w->a_file; /* whole files */
    int64_t total = backlog_total(w);
    w->per_ms = total > DAYS_3_MS ? total / DAYS_3_MS : 1;
    char path[PATH_SIZE];
    make_folder(w, "commitlog", -1);
    make_folder(w, "index", -1);
    for (int64_t p = 0; p <= backlog_physical(w, total); p += b->conf.mappedFileSizeCommitLog) {
        log_path(w, p, path);
        sparse_file(b, path, b->conf.mappedFileSizeCommitLog);
    }
    for (int64_t k = 0; k < queues; k++) {
        make_folder(w, "consumequeue/" BACKLOG_TOPIC, k);
        for (int64_t p = 0; p < w->each; p += w->a_file) {
            queue_path(w, k, p, path);
            sparse_file(b, path, b->conf.mappedFileSizeConsumeQueue);
        }
    }
    make_index(w);
    make_summaries(w);
    int64_t end = backlog_physical(w, total), time = backlog_time(w, total);
    struct checkpoint c = {.log_time = time, .queues_time = time, .index_time = time, .have_marks = true};
    c.log_mark = c.queues_mark = c.index_mark = end;
    c.shared_mark = -1;
    struct err err;
    snprintf(path, sizeof path, "%s/checkpoint", b->conf.storePathRootDir);
    if (checkpoint_write(&c, fs_real(), path, &err))
        die(err.text);
}

void backlog_free(struct backlog *w)
{
    for (size_t i = 0; i < w->n_summaries; i++)
        index_summary_free(w->summaries[i]);
    free(w->summaries);
    free(w->wanted);
}

/* ---- what is really there
 * --------------------------------------------------------------------------------------------- */

void backlog_want(struct backlog *w, int64_t queue, int64_t position)
{
    if (position < 0 || position >= w->each)
        return;
    if (w->n_wanted == w->cap_wanted) {
        w->cap_wanted = w->cap_wanted ? w->cap_wanted * 2 : 65536;
        w->wanted = realloc(w->wanted, w->cap_wanted * sizeof *w->wanted);
        if (w->wanted == NULL)
            die("out of memory");
    }
    w->wanted[w->n_wanted++] = (struct place){queue, position};
}

static int by_queue(const void *a, const void *b)
{
    const struct place *x = a, *y = b;
    if (x->queue != y->queue)
        return x->queue < y->queue ? -1 : 1;
    return x->position < y->position ? -1 : x->position > y->position;
}

static int by_position(const void *a, const void *b)
{
    const struct place *x = a, *y = b;
    if (x->position != y->position)
        return x->position < y->position ? -1 : 1;
    return x->queue < y->queue ? -1 : x->queue > y->queue;
}

static void write_entry(struct backlog *w, struct writer *to, const struct place *p)
{
    char path[PATH_SIZE];
    uint8_t entry[CQ_ENTRY_SIZE];
    put_be64(entry, (uint64_t)backlog_physical(w, p->position * w->queues + p->queue));
    put_be32(entry + 8, BACKLOG_RECORD);
    put_be64(entry + 12, 0);
    queue_path(w, p->queue, p->position, path);
    write_at(w, to, path, entry, sizeof entry, p->position % w->a_file * CQ_ENTRY_SIZE);
}

static void write_record(struct backlog *w, struct writer *to, const struct place *p)
{
    char path[PATH_SIZE], key[BACKLOG_KEY], props[64], body[BACKLOG_RECORD];
    uint8_t record[BACKLOG_RECORD];
    int64_t g = p->position * w->queues + p->queue, physical = backlog_physical(w, g);
    backlog_key(g, key);
    int n = snprintf(props, sizeof props, "UNIQ_KEY\x01%s\x02", key);
    memset(body, 'b', sizeof body);
    struct msg m = {.topic = STR_LIT(BACKLOG_TOPIC),
                    .properties = str_make(props, (size_t)n),
                    .queue_id = (int32_t)p->queue,
                    .born_host = {.addr_len = 4},
                    .store_host = {.addr_len = 4}};
    m.body = str_make(body, sizeof record - msg_record_size(&m));
    msg_encode(record, &m);
    msg_patch(record, p->position, physical, backlog_time(w, g));
    log_path(w, physical, path);
    write_at(w, to, path, record, sizeof record, physical % w->b->conf.mappedFileSizeCommitLog);
}

void backlog_write(struct backlog *w)
{
    struct writer to = {0};
    qsort(w->wanted, w->n_wanted, sizeof *w->wanted, by_queue);
    for (size_t i = 0; i < w->n_wanted; i++)
        write_entry(w, &to, &w->wanted[i]);
    qsort(w->wanted, w->n_wanted, sizeof *w->wanted, by_position);
    for (size_t i = 0; i < w->n_wanted; i++)
        write_record(w, &to, &w->wanted[i]);
    write_at(w, &to, "", NULL, 0, 0);
    w->n_wanted = 0;
}

static void write_index_entry(struct backlog *w, struct writer *to, const char *path, int32_t n, int32_t hash,
                              int64_t g, int64_t i, int32_t previous)
{
    uint8_t entry[INDEX_ENTRY_SIZE];
    put_be32(entry, (uint32_t)hash);
    put_be64(entry + 4, (uint64_t)backlog_physical(w, g));
    put_be32(entry + 12, (uint32_t)((backlog_time(w, g) - backlog_time(w, i * w->an_index)) / 1000));
    put_be32(entry + 16, (uint32_t)previous);
    write_at(w, to, path, entry, sizeof entry,
             INDEX_HEADER_SIZE + (int64_t)w->b->conf.maxHashSlotNum * INDEX_SLOT_SIZE + (int64_t)n * INDEX_ENTRY_SIZE);
}

void backlog_write_key(struct backlog *w, int64_t g, int64_t i)
{
    char path[PATH_SIZE], key[BACKLOG_KEY];
    uint8_t slot[INDEX_SLOT_SIZE];
    struct writer to = {0};
    int32_t slots = w->b->conf.maxHashSlotNum, previous = 0, hash, at[4];
    int64_t total = backlog_total(w), from = i * w->an_index;
    int64_t here = total - from < w->an_index ? total - from : w->an_index;
    bool mine = g / w->an_index == i;
    int64_t middle = mine ? g - from : here / 2;
    backlog_key(g, key);
    hash = index_key_hash(STR_LIT(BACKLOG_TOPIC), str_from(key));
    index_path(w, i, path);
    for (int k = 0; k < 4; k++) /* the key's entry is the newest of the chain, so that no other chain can cut it off */
        at[k] = (int32_t)(middle - (3 - k) * CHAIN_STEP - (k < 3));
    for (int k = 0; k < 4; k++) {
        if (at[k] < 0 || at[k] >= here)
            continue;
        int32_t other = hash >= slots ? hash - slots : hash + slots;
        write_index_entry(w, &to, path, at[k] + 1, k == 3 && mine ? hash : other, from + at[k], i, previous);
        previous = at[k] + 1;
    }
    put_be32(slot, (uint32_t)previous);
    write_at(w, &to, path, slot, sizeof slot, INDEX_HEADER_SIZE + (int64_t)(hash % slots) * INDEX_SLOT_SIZE);
    write_at(w, &to, "", NULL, 0, 0);
}

void backlog_write_summaries(struct backlog *w, int64_t g)
{
    char key[BACKLOG_KEY], dir[PATH_SIZE], path[PATH_SIZE];
    struct writer to = {0};
    uint64_t random = (uint64_t)g;
    backlog_key(g, key);
    summaries_dir(w, dir);
    int32_t hash = index_key_hash(STR_LIT(BACKLOG_TOPIC), str_from(key));
    for (size_t i = 0; i < w->n_summaries; i++) {
        uint8_t row[INDEX_SUMMARY_FILES * INDEX_SUMMARY_BLOCK] = {0};
        size_t n = index_summary_files(w->summaries[i]);
        if (snprintf(path, sizeof path, "%s/%s", dir, index_summary_name(w->summaries[i])) >= (int)sizeof path)
            die("the path is too long");
        int64_t row_at = index_summary_row(w->summaries[i], hash);
        write_at(w, &to, path, row, 0, row_at);
        if (fs_read_all(fs_real(), to.fd, row, n * INDEX_SUMMARY_BLOCK, row_at))
            die("cannot read a summary of index files");
        bool fresh = row[0] == 0 && memcmp(row, row + 1, n * INDEX_SUMMARY_BLOCK - 1) == 0;
        for (size_t at = 0; fresh && at < sizeof row; at += sizeof random) {
            uint64_t half = next_random(&random); /* half of the bits, as in a full file */
            memcpy(row + at, &half, sizeof half);
        }
        int64_t mine = g / w->an_index - (int64_t)(i * INDEX_SUMMARY_FILES);
        if (mine >= 0 && mine < (int64_t)n)
            index_summary_mark(row + mine * INDEX_SUMMARY_BLOCK, hash);
        write_at(w, &to, path, row, n * INDEX_SUMMARY_BLOCK, row_at);
    }
    write_at(w, &to, "", NULL, 0, 0);
}

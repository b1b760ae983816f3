#include "store/index_summary.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/crc.h"
#include "base/log.h"

enum {
    PATH_SIZE = 4096,
    HEAD_SIZE = 24,
    ALIGN = 4096,
    BITS_A_KEY = 12,
    BLOCK_BITS = INDEX_SUMMARY_BLOCK * 8,
    HASHES = 7,
    CHUNK = 1 << 20,
    SUMMARY_NAME_SIZE = INDEX_NAME_SIZE + 8,
};

static const char magic[8] = "CROCKIS1";

struct index_summary {
    const struct fs *fs;
    int fd;
    uint32_t blocks;
    size_t n;
    _Atomic size_t used;
    char name[SUMMARY_NAME_SIZE];
    struct index_covered covered[];
};

/* ---- blocks
 * ---------------------------------------------------------------------------------------------------------- */

static uint64_t mix(uint64_t z)
{
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return z ^ z >> 31;
}

static uint32_t blocks_for(struct index_geometry g)
{
    return (uint32_t)(((int64_t)g.entries * BITS_A_KEY + BLOCK_BITS - 1) / BLOCK_BITS);
}

static uint32_t block_of(int32_t hash, uint32_t blocks)
{
    return (uint32_t)((mix((uint32_t)hash) >> 32) * blocks >> 32);
}

/* Seven of the block's bits. */
static uint64_t bits_of(int32_t hash)
{
    return mix((uint64_t)(uint32_t)hash + 0x9E3779B97F4A7C15u);
}

void index_summary_mark(uint8_t block[INDEX_SUMMARY_BLOCK], int32_t hash)
{
    uint64_t bits = bits_of(hash);
    for (int i = 0; i < HASHES; i++, bits >>= 8)
        block[bits % BLOCK_BITS / 8] |= (uint8_t)(1u << bits % 8);
}

static bool has_all(const uint8_t block[INDEX_SUMMARY_BLOCK], uint64_t bits)
{
    for (int i = 0; i < HASHES; i++, bits >>= 8)
        if (!(block[bits % BLOCK_BITS / 8] >> bits % 8 & 1))
            return false;
    return true;
}

static size_t head_size(size_t files)
{
    return (HEAD_SIZE + files * INDEX_SUMMARY_COVERED + ALIGN - 1) / ALIGN * ALIGN;
}

int64_t index_summary_row(const struct index_summary *s, int32_t hash)
{
    return (int64_t)head_size(s->n) + (int64_t)block_of(hash, s->blocks) * (int64_t)s->n * INDEX_SUMMARY_BLOCK;
}

uint64_t index_summary_ask(const struct index_summary *s, int32_t hash)
{
    uint8_t row[INDEX_SUMMARY_FILES * INDEX_SUMMARY_BLOCK];
    uint64_t columns = 0, bits = bits_of(hash);
    int r = fs_read_all(s->fs, s->fd, row, s->n * INDEX_SUMMARY_BLOCK, index_summary_row(s, hash));
    if (r) {
        LOG_LIMITED(LOG_ERROR, "store", "cannot read the index summary %s: %s; check the disk", s->name, strerror(-r));
        return UINT64_MAX;
    }
    for (size_t i = 0; i < s->n; i++)
        columns |= (uint64_t)has_all(row + i * INDEX_SUMMARY_BLOCK, bits) << i;
    return columns;
}

/* ---- one of them
 * ----------------------------------------------------------------------------------------------------- */

static struct index_summary *summary_new(const struct fs *fs, size_t n, uint32_t blocks)
{
    struct index_summary *s = calloc(1, sizeof *s + n * sizeof s->covered[0]);
    if (s) {
        s->fs = fs;
        s->fd = -1;
        s->n = n;
        s->blocks = blocks;
    }
    return s;
}

void index_summary_free(struct index_summary *s)
{
    if (s == NULL)
        return;
    if (s->fd >= 0)
        s->fs->close(s->fs, s->fd);
    free(s);
}

const char *index_summary_name(const struct index_summary *s)
{
    return s->name;
}

size_t index_summary_files(const struct index_summary *s)
{
    return s->n;
}

const struct index_covered *index_summary_covered(const struct index_summary *s, size_t column)
{
    return &s->covered[column];
}

void index_summary_join(struct index_summary *s)
{
    s->used++;
}

void index_summary_leave(struct index_summary *s)
{
    s->used--;
}

bool index_summary_is_used(const struct index_summary *s)
{
    return s->used > 0;
}

/* ---- head
 * ------------------------------------------------------------------------------------------------------------ */

static void head_encode(const struct index_summary *s, uint8_t *head, size_t size)
{
    memset(head, 0, size);
    memcpy(head, magic, sizeof magic);
    put_be32(head + 12, (uint32_t)s->n);
    put_be32(head + 16, s->blocks);
    for (size_t i = 0; i < s->n; i++) {
        uint8_t *at = head + HEAD_SIZE + i * INDEX_SUMMARY_COVERED;
        memcpy(at, s->covered[i].name, INDEX_NAME_SIZE);
        put_be64(at + INDEX_NAME_SIZE, (uint64_t)s->covered[i].begin_offset);
        put_be64(at + INDEX_NAME_SIZE + 8, (uint64_t)s->covered[i].end_offset);
    }
    put_be32(head + 8, crc32_ieee(head + 12, size - 12));
}

static int head_decode(struct index_summary *s, const uint8_t *head, size_t size)
{
    if (get_be32(head + 8) != crc32_ieee(head + 12, size - 12))
        return -EILSEQ;
    for (size_t i = 0; i < s->n; i++) {
        const uint8_t *at = head + HEAD_SIZE + i * INDEX_SUMMARY_COVERED;
        memcpy(s->covered[i].name, at, INDEX_NAME_SIZE);
        s->covered[i].begin_offset = (int64_t)get_be64(at + INDEX_NAME_SIZE);
        s->covered[i].end_offset = (int64_t)get_be64(at + INDEX_NAME_SIZE + 8);
        if (s->covered[i].name[INDEX_NAME_SIZE - 1] != '\0')
            return -EILSEQ;
    }
    return 0;
}

static int path_of(const char *dir, const char *name, char out[PATH_SIZE])
{
    int n = snprintf(out, PATH_SIZE, "%s/%s", dir, name);
    return n < 0 || n >= PATH_SIZE ? -ENAMETOOLONG : 0;
}

static int64_t size_of(const struct index_summary *s)
{
    return (int64_t)head_size(s->n) + (int64_t)s->blocks * (int64_t)s->n * INDEX_SUMMARY_BLOCK;
}

int index_summary_open(struct index_summary **out, const struct fs *fs, const char *dir, const char *name,
                       struct index_geometry g)
{
    char path[PATH_SIZE];
    uint8_t head[HEAD_SIZE], *all = NULL;
    struct index_summary *s = NULL;
    struct fs_stat st;
    int r = strlen(name) < SUMMARY_NAME_SIZE ? path_of(dir, name, path) : -EILSEQ;
    int fd = r ? r : fs->open(fs, path, FS_READ);
    if (fd < 0)
        return fd;
    r = fs_read_all(fs, fd, head, sizeof head, 0);
    size_t n = r ? 0 : get_be32(head + 12);
    if (r || memcmp(head, magic, sizeof magic) != 0 || n == 0 || n > INDEX_SUMMARY_FILES ||
        get_be32(head + 16) != blocks_for(g)) {
        fs->close(fs, fd);
        return r && r != -ENODATA ? r : -EILSEQ;
    }
    s = summary_new(fs, n, blocks_for(g));
    all = malloc(head_size(n));
    if (s == NULL || all == NULL) {
        r = -ENOMEM;
        fs->close(fs, fd);
    } else {
        s->fd = fd;
        snprintf(s->name, sizeof s->name, "%s", name);
        r = fs_read_all(fs, fd, all, head_size(n), 0);
        if (r == 0)
            r = head_decode(s, all, head_size(n));
        if (r == 0)
            r = fs->fstat(fs, fd, &st);
        if (r == 0 && st.size != size_of(s))
            r = -EILSEQ;
    }
    free(all);
    if (r) {
        index_summary_free(s);
        return r == -ENODATA ? -EILSEQ : r;
    }
    *out = s;
    return 0;
}

/* ---- making
 * ---------------------------------------------------------------------------------------------------------- */

/* Writes the file under a name that no start takes for one, then gives it its own. */
static int make(struct index_summary *s, const char *dir, int (*rows)(struct index_summary *s, void *arg), void *arg)
{
    const struct fs *fs = s->fs;
    char path[PATH_SIZE], temporary[PATH_SIZE];
    size_t size = head_size(s->n);
    uint8_t *head = malloc(size);
    snprintf(s->name, sizeof s->name, "%s-%zu", s->covered[0].name, s->n);
    int r = head ? path_of(dir, s->name, path) : -ENOMEM;
    if (r == 0)
        r = path_of(dir, "making", temporary);
    if (r == 0)
        r = fs_mkdirs(fs, dir);
    if (r == 0) {
        s->fd = fs->open(fs, temporary, FS_WRITE | FS_CREATE | FS_TRUNCATE);
        r = s->fd < 0 ? s->fd : 0;
    }
    if (r == 0) {
        head_encode(s, head, size);
        r = fs_write_all(fs, s->fd, head, size, 0);
        if (r == 0)
            r = rows(s, arg);
        if (r == 0)
            r = fs->datasync(fs, s->fd);
        if (r == 0)
            r = fs->rename(fs, temporary, path);
        if (r == 0)
            r = fs->sync_dir(fs, dir);
        if (r)
            (void)fs->unlink(fs, temporary);
    }
    free(head);
    return r;
}

struct source {
    const char *index_file;
    struct index_geometry g;
};

/* The hashes of all entries of one index file. */
static int rows_of_index(struct index_summary *s, void *arg)
{
    const struct source *from = arg;
    const struct fs *fs = s->fs;
    const size_t chunk = CHUNK / INDEX_ENTRY_SIZE * INDEX_ENTRY_SIZE;
    int64_t at = INDEX_HEADER_SIZE + (int64_t)from->g.slots * INDEX_SLOT_SIZE + INDEX_ENTRY_SIZE;
    int64_t end = index_file_size(from->g);
    size_t bytes = (size_t)s->blocks * INDEX_SUMMARY_BLOCK;
    uint8_t *rows = calloc(1, bytes), *entries = malloc(chunk);
    int fd = rows && entries ? fs->open(fs, from->index_file, FS_READ) : -ENOMEM, r = fd < 0 ? fd : 0;
    while (r == 0 && at < end) {
        size_t n = end - at < (int64_t)chunk ? (size_t)(end - at) : chunk;
        r = fs_read_all(fs, fd, entries, n, at);
        for (size_t i = 0; r == 0 && i < n; i += INDEX_ENTRY_SIZE) {
            int32_t hash = (int32_t)get_be32(entries + i);
            index_summary_mark(rows + (size_t)block_of(hash, s->blocks) * INDEX_SUMMARY_BLOCK, hash);
        }
        at += (int64_t)n;
    }
    if (fd >= 0)
        fs->close(fs, fd);
    if (r == 0)
        r = fs_write_all(fs, s->fd, rows, bytes, (int64_t)head_size(s->n));
    free(rows);
    free(entries);
    return r;
}

int index_summary_build(struct index_summary **out, const struct fs *fs, const char *dir, const char *index_file,
                        struct index_geometry g, const struct index_covered *covered)
{
    struct index_summary *s = summary_new(fs, 1, blocks_for(g));
    if (s == NULL)
        return -ENOMEM;
    s->covered[0] = *covered;
    int r = make(s, dir, rows_of_index, &(struct source){index_file, g});
    if (r)
        index_summary_free(s);
    else
        *out = s;
    return r;
}

struct parts {
    struct index_summary *const *list;
    size_t n;
    bool (*stop)(void *arg);
    void *arg;
};

/* Rows [from, from + n) of all parts beside each other. */
static int join_rows(const struct index_summary *s, const struct parts *p, uint32_t from, uint32_t n, uint8_t *in,
                     uint8_t *out)
{
    size_t row = s->n * INDEX_SUMMARY_BLOCK, at = 0;
    for (size_t k = 0; k < p->n; k++) {
        const struct index_summary *part = p->list[k];
        size_t width = part->n * INDEX_SUMMARY_BLOCK;
        int r = fs_read_all(s->fs, part->fd, in, n * width, (int64_t)(head_size(part->n) + from * width));
        if (r)
            return r;
        for (uint32_t i = 0; i < n; i++)
            memcpy(out + i * row + at, in + i * width, width);
        at += width;
    }
    return fs_write_all(s->fs, s->fd, out, n * row, (int64_t)(head_size(s->n) + from * row));
}

static int rows_of_parts(struct index_summary *s, void *arg)
{
    const struct parts *p = arg;
    uint32_t step = (uint32_t)(CHUNK / (s->n * INDEX_SUMMARY_BLOCK));
    uint8_t *in = malloc(CHUNK), *out = malloc(CHUNK);
    int r = in && out ? 0 : -ENOMEM;
    for (uint32_t from = 0; r == 0 && from < s->blocks; from += step) {
        r = p->stop && p->stop(p->arg) ? -EINTR : 0;
        if (r == 0)
            r = join_rows(s, p, from, s->blocks - from < step ? s->blocks - from : step, in, out);
    }
    free(in);
    free(out);
    return r;
}

int index_summary_merge(struct index_summary **out, const struct fs *fs, const char *dir,
                        struct index_summary *const *parts, size_t n, bool (*stop)(void *arg), void *arg)
{
    size_t files = 0, at = 0;
    for (size_t k = 0; k < n; k++)
        files += parts[k]->n;
    if (n == 0 || files > INDEX_SUMMARY_FILES)
        return -EINVAL;
    struct index_summary *s = summary_new(fs, files, parts[0]->blocks);
    if (s == NULL)
        return -ENOMEM;
    for (size_t k = 0; k < n; k++)
        for (size_t i = 0; i < parts[k]->n; i++)
            s->covered[at++] = parts[k]->covered[i];
    int r = make(s, dir, rows_of_parts, &(struct parts){parts, n, stop, arg});
    if (r)
        index_summary_free(s);
    else
        *out = s;
    return r;
}

static int no_rows(struct index_summary *s, void *arg)
{
    return s->fs->truncate(s->fs, s->fd, size_of(s));
}

int index_summary_blank(struct index_summary **out, const struct fs *fs, const char *dir, struct index_geometry g,
                        const struct index_covered *covered, size_t n)
{
    struct index_summary *s = summary_new(fs, n, blocks_for(g));
    if (s == NULL)
        return -ENOMEM;
    memcpy(s->covered, covered, n * sizeof *covered);
    int r = make(s, dir, no_rows, NULL);
    if (r)
        index_summary_free(s);
    else
        *out = s;
    return r;
}

#include "store/index_file.h"

#include "base/bytes.h"
#include "base/crc.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
    PAGE = 4096, /* unit of reading and writing slots */
    SLOTS_PER_PAGE = PAGE / INDEX_SLOT_SIZE,
    PENDING_MAX = 3200,  /* entries kept until they are written together */
    RUN_PAGES = 64,      /* slot pages written by one call */
    CHAIN_MAX = 1 << 20, /* longer chains are damage */
    FLUSH_MARK = 0x43524f4b,
    FLUSH_MARK_SIZE = 12, /* magic, CRC of the header to come, CRC of the one it replaces */
};

struct index_writer {
    const struct fs *fs;
    int fd;
    struct index_geometry g;
    struct index_header *header;
    uint32_t header_crc; /* of the one in the file */
    bool dirty;

    /* Slots as in the file (big-endian). A page is valid once its bit in `loaded` is set. */
    uint8_t *slots;
    uint64_t *loaded, *changed;
    size_t pages;
    bool fresh; /* nothing in the file yet: slots need no reading */

    int32_t pending_from; /* number of the first entry in pending = entries in the file */
    uint8_t pending[PENDING_MAX * INDEX_ENTRY_SIZE];
};

struct index_header index_header_decode(const uint8_t *b)
{
    struct index_header h = {
        .begin_time = (int64_t)get_be64(b),
        .end_time = (int64_t)get_be64(b + 8),
        .begin_offset = (int64_t)get_be64(b + 16),
        .end_offset = (int64_t)get_be64(b + 24),
        .used_slots = (int32_t)get_be32(b + 32),
        .count = (int32_t)get_be32(b + 36),
    };
    if (h.count <= 0)
        h.count = 1;
    return h;
}

void index_header_encode(const struct index_header *h, uint8_t *b)
{
    put_be64(b, (uint64_t)h->begin_time);
    put_be64(b + 8, (uint64_t)h->end_time);
    put_be64(b + 16, (uint64_t)h->begin_offset);
    put_be64(b + 24, (uint64_t)h->end_offset);
    put_be32(b + 32, (uint32_t)h->used_slots);
    put_be32(b + 36, (uint32_t)h->count);
}

static int64_t entry_at(struct index_geometry g, int32_t n)
{
    return INDEX_HEADER_SIZE + (int64_t)g.slots * INDEX_SLOT_SIZE + (int64_t)n * INDEX_ENTRY_SIZE;
}

static uint32_t header_crc(const struct index_header *h)
{
    uint8_t b[INDEX_HEADER_SIZE];
    index_header_encode(h, b);
    return crc32_ieee(b, sizeof b);
}

int index_header_is_flushed(const struct fs *fs, int fd, struct index_geometry g, const uint8_t *bytes)
{
    uint8_t mark[FLUSH_MARK_SIZE];
    int r = fs_read_all(fs, fd, mark, sizeof mark, entry_at(g, 0));
    if (r)
        return r;
    uint32_t crc = crc32_ieee(bytes, INDEX_HEADER_SIZE);
    return get_be32(mark) == FLUSH_MARK && (get_be32(mark + 4) == crc || get_be32(mark + 8) == crc);
}

static struct index_entry entry_decode(const uint8_t *b)
{
    return (struct index_entry){(int32_t)get_be32(b), (int64_t)get_be64(b + 4), (int32_t)get_be32(b + 12),
                                (int32_t)get_be32(b + 16)};
}

static int read_entry(const struct fs *fs, int fd, struct index_geometry g, int32_t n, struct index_entry *out)
{
    uint8_t b[INDEX_ENTRY_SIZE];
    int r = fs_read_all(fs, fd, b, sizeof b, entry_at(g, n));
    if (r == 0)
        *out = entry_decode(b);
    return r;
}

struct index_writer *index_writer_new(const struct fs *fs, int fd, struct index_geometry g, struct index_header *h)
{
    struct index_writer *w = calloc(1, sizeof *w);
    if (w == NULL)
        return NULL;
    w->fs = fs;
    w->fd = fd;
    w->g = g;
    w->header = h;
    w->header_crc = header_crc(h);
    w->pending_from = h->count;
    w->fresh = h->count <= 1;
    w->pages = ((size_t)g.slots + SLOTS_PER_PAGE - 1) / SLOTS_PER_PAGE;
    return w;
}

void index_writer_free(struct index_writer *w)
{
    if (w == NULL)
        return;
    index_writer_rest(w);
    w->fs->close(w->fs, w->fd);
    free(w);
}

void index_writer_rest(struct index_writer *w)
{
    free(w->slots);
    free(w->loaded);
    free(w->changed);
    w->slots = NULL;
    w->loaded = w->changed = NULL;
}

/* Untouched pages of the big array cost nothing: the allocator maps it. */
static int slots_alloc(struct index_writer *w)
{
    size_t words = (w->pages + 63) / 64;
    w->slots = calloc(w->pages, PAGE);
    w->loaded = calloc(words, sizeof(uint64_t));
    w->changed = calloc(words, sizeof(uint64_t));
    if (w->slots && w->loaded && w->changed)
        return 0;
    index_writer_rest(w);
    return -ENOMEM;
}

static size_t page_bytes(const struct index_writer *w, size_t page)
{
    size_t left = (size_t)w->g.slots * INDEX_SLOT_SIZE - page * PAGE;
    return left < PAGE ? left : PAGE;
}

static int slot_get(struct index_writer *w, uint32_t slot, uint8_t **at)
{
    if (w->slots == NULL) {
        int r = slots_alloc(w);
        if (r)
            return r;
    }
    size_t page = slot / SLOTS_PER_PAGE;
    if (!(w->loaded[page / 64] >> (page % 64) & 1)) {
        int r = 0;
        if (!w->fresh)
            r = fs_read_all(w->fs, w->fd, w->slots + page * PAGE, page_bytes(w, page),
                            INDEX_HEADER_SIZE + (int64_t)page * PAGE);
        if (r)
            return r;
        w->loaded[page / 64] |= (uint64_t)1 << (page % 64);
    }
    *at = w->slots + (size_t)slot * INDEX_SLOT_SIZE;
    return 0;
}

static int write_pending(struct index_writer *w)
{
    int32_t n = w->header->count - w->pending_from;
    if (n == 0)
        return 0;
    int r = fs_write_all(w->fs, w->fd, w->pending, (size_t)n * INDEX_ENTRY_SIZE, entry_at(w->g, w->pending_from));
    if (r == 0)
        w->pending_from += n;
    return r;
}

/* A slot that points to no entry of this file counts as empty. */
static int32_t slot_value(const struct index_writer *w, const uint8_t *at)
{
    int32_t v = (int32_t)get_be32(at);
    return v <= 0 || v >= w->header->count ? 0 : v;
}

int32_t index_seconds(int64_t begin_time, int64_t store_time)
{
    if (begin_time <= 0 || store_time <= begin_time)
        return 0;
    int64_t seconds = (store_time - begin_time) / 1000;
    return seconds > INT32_MAX ? INT32_MAX : (int32_t)seconds;
}

int index_writer_put(struct index_writer *w, int32_t hash, int64_t offset, int64_t store_time)
{
    struct index_header *h = w->header;
    uint8_t *slot;
    int r = slot_get(w, (uint32_t)hash % (uint32_t)w->g.slots, &slot);
    if (r == 0 && h->count - w->pending_from == PENDING_MAX)
        r = write_pending(w);
    if (r)
        return r;
    int32_t previous = slot_value(w, slot);
    uint8_t *e = w->pending + (size_t)(h->count - w->pending_from) * INDEX_ENTRY_SIZE;
    put_be32(e, (uint32_t)hash);
    put_be64(e + 4, (uint64_t)offset);
    put_be32(e + 12, (uint32_t)index_seconds(h->begin_time, store_time));
    put_be32(e + 16, (uint32_t)previous);
    put_be32(slot, (uint32_t)h->count);
    size_t page = (size_t)(slot - w->slots) / PAGE;
    w->changed[page / 64] |= (uint64_t)1 << (page % 64);
    if (h->count == 1) {
        h->begin_offset = offset;
        h->begin_time = store_time;
    }
    h->used_slots += previous == 0;
    h->count++;
    h->end_offset = offset;
    h->end_time = store_time;
    w->dirty = true;
    return 0;
}

void index_writer_prefetch(const struct index_writer *w, int32_t hash)
{
    if (w->slots)
        __builtin_prefetch(w->slots + (size_t)((uint32_t)hash % (uint32_t)w->g.slots) * INDEX_SLOT_SIZE, 1);
}

bool index_writer_dirty(const struct index_writer *w)
{
    return w->dirty;
}

static bool is_changed(const struct index_writer *w, size_t page)
{
    return page < w->pages && (w->changed[page / 64] >> (page % 64) & 1);
}

static int write_flush_mark(struct index_writer *w)
{
    uint8_t mark[FLUSH_MARK_SIZE];
    put_be32(mark, FLUSH_MARK);
    put_be32(mark + 4, header_crc(w->header));
    put_be32(mark + 8, w->header_crc);
    return fs_write_all(w->fs, w->fd, mark, sizeof mark, entry_at(w->g, 0));
}

static int write_slots(struct index_writer *w)
{
    int e = write_flush_mark(w);
    if (e || w->slots == NULL)
        return e;
    for (size_t page = 0; page < w->pages; page++) {
        if (w->changed[page / 64] == 0) {
            page |= 63;
            continue;
        }
        size_t n = 0, bytes = 0;
        for (; n < RUN_PAGES && is_changed(w, page + n); n++)
            bytes += page_bytes(w, page + n);
        if (n == 0)
            continue;
        int r = fs_write_all(w->fs, w->fd, w->slots + page * PAGE, bytes, INDEX_HEADER_SIZE + (int64_t)page * PAGE);
        if (r)
            return r;
        for (size_t i = page; i < page + n; i++)
            w->changed[i / 64] &= ~((uint64_t)1 << (i % 64));
        page += n - 1;
    }
    return 0;
}

static int write_header(struct index_writer *w)
{
    uint8_t b[INDEX_HEADER_SIZE];
    index_header_encode(w->header, b);
    int r = fs_write_all(w->fs, w->fd, b, sizeof b, 0);
    if (r == 0)
        w->header_crc = crc32_ieee(b, sizeof b);
    return r;
}

int index_writer_write(struct index_writer *w, enum index_phase phase)
{
    static int (*const write[INDEX_PHASES])(struct index_writer *) = {
        [INDEX_WRITE_ENTRIES] = write_pending,
        [INDEX_WRITE_SLOTS] = write_slots,
        [INDEX_WRITE_HEADER] = write_header,
    };
    return write[phase](w);
}

int index_writer_sync(struct index_writer *w)
{
    return w->fs->datasync(w->fs, w->fd);
}

void index_writer_flushed(struct index_writer *w)
{
    w->fresh = false;
    w->dirty = false;
}

/* The newest entry below the header's count that the slot leads to. */
static int lead_back(struct index_writer *w, uint32_t slot, int32_t value, int32_t *out)
{
    for (int steps = 0; value >= w->header->count && steps < CHAIN_MAX; steps++) {
        struct index_entry e;
        if (value >= w->g.entries)
            break;
        int r = read_entry(w->fs, w->fd, w->g, value, &e);
        if (r)
            return r;
        if (e.hash < 0 || (uint32_t)e.hash % (uint32_t)w->g.slots != slot || e.previous >= value)
            break; /* not an entry of this slot: nothing to follow */
        value = e.previous;
    }
    *out = value > 0 && value < w->header->count ? value : 0;
    return 0;
}

int index_writer_repair(struct index_writer *w)
{
    uint8_t b[RUN_PAGES * PAGE];
    uint32_t slot = 0, n_slots = (uint32_t)w->g.slots;
    while (slot < n_slots) {
        size_t n = n_slots - slot < sizeof b / INDEX_SLOT_SIZE ? n_slots - slot : sizeof b / INDEX_SLOT_SIZE;
        int r = fs_read_all(w->fs, w->fd, b, n * INDEX_SLOT_SIZE, INDEX_HEADER_SIZE + (int64_t)slot * INDEX_SLOT_SIZE);
        if (r)
            return r;
        for (size_t i = 0; i < n; i++, slot++) {
            int32_t value = (int32_t)get_be32(b + i * INDEX_SLOT_SIZE), right;
            if (value >= 0 && value < w->header->count)
                continue;
            uint8_t *at;
            r = lead_back(w, slot, value, &right);
            if (r == 0)
                r = slot_get(w, slot, &at);
            if (r)
                return r;
            put_be32(at, (uint32_t)right);
            w->changed[slot / SLOTS_PER_PAGE / 64] |= (uint64_t)1 << (slot / SLOTS_PER_PAGE % 64);
            w->dirty = true;
        }
    }
    return 0;
}

/* One step; false at the end of the chain. */
static bool step(struct index_walk *walk, const struct index_entry *e)
{
    if (e->seconds < 0)
        return false;
    int64_t time = walk->begin_time + (int64_t)e->seconds * 1000;
    if (e->hash == walk->hash && time >= walk->begin && time <= walk->end)
        walk->offsets[walk->n++] = e->offset;
    /* Entries point to older ones only: this also ends a damaged chain. */
    if (e->previous <= 0 || e->previous >= walk->at || time < walk->begin)
        return false;
    walk->at = e->previous;
    return true;
}

int index_writer_walk(struct index_writer *w, struct index_walk *walk)
{
    uint8_t *slot;
    int r = slot_get(w, (uint32_t)walk->hash % (uint32_t)w->g.slots, &slot);
    if (r)
        return r;
    walk->at = slot_value(w, slot);
    while (walk->at >= w->pending_from && walk->at > 0 && walk->n < walk->max) {
        struct index_entry e = entry_decode(w->pending + (size_t)(walk->at - w->pending_from) * INDEX_ENTRY_SIZE);
        if (!step(walk, &e))
            walk->at = 0;
    }
    return 0;
}

int index_walk_start(const struct fs *fs, int fd, struct index_geometry g, struct index_walk *walk)
{
    uint8_t b[INDEX_SLOT_SIZE];
    uint32_t slot = (uint32_t)walk->hash % (uint32_t)g.slots;
    int r = fs_read_all(fs, fd, b, sizeof b, INDEX_HEADER_SIZE + (int64_t)slot * INDEX_SLOT_SIZE);
    if (r)
        return r;
    int32_t v = (int32_t)get_be32(b);
    walk->at = v > 0 && v < walk->limit ? v : 0;
    return 0;
}

int index_walk_file(const struct fs *fs, int fd, struct index_geometry g, struct index_walk *walk)
{
    while (walk->at > 0 && walk->n < walk->max) {
        struct index_entry e;
        int r = read_entry(fs, fd, g, walk->at, &e);
        if (r)
            return r;
        if (!step(walk, &e))
            walk->at = 0;
    }
    return 0;
}

/*
 * The index against the log. Entries stand in log order, so both are walked side by side: the entries of a message's
 * offset must be the hashes of its keys. Each file's chains are checked on the way: an entry must lead to the one
 * before it in its slot, the slot to the newest.
 */
#include "store/store_check_int.h"

#include "store/index.h"
#include "store/store_int.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    DEFAULT_SLOTS = 5000000,
    DEFAULT_ENTRIES = 20000000,
    BUFFER_ENTRIES = 8192,
    HASHES_MAX = 4096, /* keys of one message that are looked at */
    PATH_SIZE = 4096,
};

struct check_index {
    struct index_info *files;
    size_t n;
    struct index_geometry g;

    /* The entry to look at next. */
    size_t file;
    int32_t entry;
    int fd;
    uint8_t buf[BUFFER_ENTRIES * INDEX_ENTRY_SIZE];
    int32_t buf_from, buf_n;
    int32_t *newest; /* by slot, in this file so far */

    int32_t wanted[HASHES_MAX], found[HASHES_MAX];
    size_t n_wanted, n_found;

    /* A message whose last keys have no entry because its file was full. Nothing is wrong with that if the file that
     * had them is lost, so that those of the next message have none either. */
    const struct index_info *cut_file; /* NULL: none */
    char cut_text[PATH_SIZE];          /* the problem it is otherwise */
};

static struct index_entry decode(const uint8_t *b)
{
    return (struct index_entry){(int32_t)get_be32(b), (int64_t)get_be64(b + 4), (int32_t)get_be32(b + 12),
                                (int32_t)get_be32(b + 16)};
}

static const struct index_info *file_now(const struct check_index *ix)
{
    return ix->file < ix->n ? &ix->files[ix->file] : NULL;
}

/* ---- one file after the other
 * ------------------------------------------------------------------------------------------- */

static bool usable(struct check *c, const struct index_info *f)
{
    const struct check_index *ix = c->index;
    if (f->size == 0)
        return false; /* just being made */
    if (f->size != index_file_size(ix->g)) {
        check_problem(c, "index", f->path, -1,
                      "has %" PRId64 " bytes, %" PRId64 " are right for %d slots and %d entries; give the store's "
                      "maxHashSlotNum and maxIndexNum if they are others",
                      f->size, index_file_size(ix->g), ix->g.slots, ix->g.entries);
        return false;
    }
    if (f->header.count > ix->g.entries || f->header.used_slots > ix->g.slots ||
        f->header.used_slots >= f->header.count + (f->header.count == 1)) {
        check_problem(c, "index", f->path, -1, "its header counts %d entries in %d slots, which cannot be",
                      f->header.count - 1, f->header.used_slots);
        return false;
    }
    return f->header.count > 1;
}

static void open_file(struct check *c)
{
    struct check_index *ix = c->index;
    for (; ix->file < ix->n; ix->file++) {
        const struct index_info *f = &ix->files[ix->file];
        if (!usable(c, f))
            continue;
        ix->fd = c->fs->open(c->fs, f->path, FS_READ);
        if (ix->fd >= 0)
            break;
        if (!c->report->live)
            check_problem(c, "index", f->path, -1, "cannot be opened: %s", strerror(-ix->fd));
    }
    ix->entry = 1;
    ix->buf_n = 0;
    memset(ix->newest, 0, (size_t)ix->g.slots * sizeof ix->newest[0]);
}

/* All entries of the file were seen: its slots must point to the newest of each. */
static void check_slots(struct check *c)
{
    struct check_index *ix = c->index;
    const struct index_info *f = file_now(ix);
    uint8_t b[16384];
    int32_t used = 0;
    for (int64_t slot = 0; slot < ix->g.slots;) {
        size_t n = (size_t)(ix->g.slots - slot);
        n = n > sizeof b / INDEX_SLOT_SIZE ? sizeof b / INDEX_SLOT_SIZE : n;
        int r = fs_read_all(c->fs, ix->fd, b, n * INDEX_SLOT_SIZE, INDEX_HEADER_SIZE + slot * INDEX_SLOT_SIZE);
        if (r) {
            check_problem(c, "index", f->path, -1, "its slots cannot be read: %s", strerror(-r));
            return;
        }
        for (size_t i = 0; i < n; i++, slot++) {
            int32_t value = (int32_t)get_be32(b + i * INDEX_SLOT_SIZE), newest = ix->newest[slot];
            used += newest != 0;
            if (value != newest && !(check_lenient(c) && value >= f->header.count))
                check_problem(c, "index", f->path, slot, "slot points to entry %d, the newest of its chain is %d",
                              value, newest);
        }
    }
    if (used != f->header.used_slots && !check_lenient(c))
        check_problem(c, "index", f->path, -1, "its header says that %d slots are used, it is %d", f->header.used_slots,
                      used);
}

static void next_file(struct check *c)
{
    struct check_index *ix = c->index;
    const struct index_info *f = file_now(ix);
    if (ix->entry == f->header.count)
        check_slots(c);
    c->report->index_files++;
    c->fs->close(c->fs, ix->fd);
    ix->fd = -1;
    ix->file++;
    open_file(c);
}

/* The entry the walk stands at; false at the end of all files. */
static bool peek(struct check *c, struct index_entry *out)
{
    struct check_index *ix = c->index;
    for (const struct index_info *f; (f = file_now(ix)) != NULL; next_file(c)) {
        if (ix->entry >= f->header.count)
            continue;
        if (ix->entry < ix->buf_from || ix->entry >= ix->buf_from + ix->buf_n) {
            int32_t n = f->header.count - ix->entry;
            n = n > BUFFER_ENTRIES ? BUFFER_ENTRIES : n;
            int64_t at =
                INDEX_HEADER_SIZE + (int64_t)ix->g.slots * INDEX_SLOT_SIZE + (int64_t)ix->entry * INDEX_ENTRY_SIZE;
            int r = fs_read_all(c->fs, ix->fd, ix->buf, (size_t)n * INDEX_ENTRY_SIZE, at);
            if (r) {
                check_problem(c, "index", f->path, ix->entry, "cannot be read: %s", strerror(-r));
                ix->entry = f->header.count + 1; /* its slots are not known then */
                continue;
            }
            ix->buf_from = ix->entry;
            ix->buf_n = n;
        }
        *out = decode(ix->buf + (size_t)(ix->entry - ix->buf_from) * INDEX_ENTRY_SIZE);
        return true;
    }
    return false;
}

/* Steps over the entry e the walk stands at. */
static void take(struct check *c, const struct index_entry *e)
{
    struct check_index *ix = c->index;
    const struct index_info *f = file_now(ix);
    c->report->index_entries++;
    if (e->hash < 0) {
        check_problem(c, "index", f->path, ix->entry, "its entry has the impossible hash %d", e->hash);
    } else {
        int32_t *newest = &ix->newest[e->hash % ix->g.slots];
        if (e->previous != *newest)
            check_problem(c, "index", f->path, ix->entry,
                          "its entry leads to entry %d, the one before it in the chain is %d", e->previous, *newest);
        *newest = ix->entry;
    }
    ix->entry++;
}

/* ---- side by side with the log
 * ------------------------------------------------------------------------------------------ */

/* Entries of offsets below `offset` that no message claimed. */
static void skip_before(struct check *c, int64_t offset)
{
    for (struct index_entry e; peek(c, &e) && e.offset < offset; take(c, &e)) {
        if (e.offset >= c->report->log_min)
            check_problem(c, "index", file_now(c->index)->path, c->index->entry,
                          "its entry points to log offset %" PRId64 ", where no message with keys stands", e.offset);
    }
}

static void collect_wanted(struct check_index *ix, const struct msg_view *v)
{
    struct str uniq = msg_property(v->m.properties, STR_LIT(MSG_PROP_UNIQ_KEY));
    struct str keys = msg_property(v->m.properties, STR_LIT(MSG_PROP_KEYS)), key;
    ix->n_wanted = 0;
    if (uniq.len)
        ix->wanted[ix->n_wanted++] = index_key_hash(v->m.topic, uniq);
    while (ix->n_wanted < HASHES_MAX && str_split(&keys, ' ', &key))
        if (key.len)
            ix->wanted[ix->n_wanted++] = index_key_hash(v->m.topic, key);
}

static bool contains(const int32_t *hashes, size_t n, int32_t hash)
{
    for (size_t i = 0; i < n; i++)
        if (hashes[i] == hash)
            return true;
    return false;
}

/* The header repeats the place and time of the first and the last entry. */
static void check_header(struct check *c, const struct index_info *f, const struct msg_view *v, int64_t offset)
{
    const struct index_header *h = &f->header;
    int32_t entry = c->index->entry;
    if (entry == 1 && (h->begin_offset != offset || h->begin_time != v->m.store_time))
        check_problem(c, "index", f->path, -1,
                      "its header begins at log offset %" PRId64 ", its first entry at %" PRId64
                      " (or at another time)",
                      h->begin_offset, offset);
    if (entry == h->count - 1 && !check_lenient(c) && (h->end_offset != offset || h->end_time != v->m.store_time))
        check_problem(c, "index", f->path, -1,
                      "its header ends at log offset %" PRId64 ", its last entry at %" PRId64 " (or at another time)",
                      h->end_offset, offset);
}

static void collect_found(struct check *c, const struct msg_view *v, int64_t offset)
{
    struct check_index *ix = c->index;
    ix->n_found = 0;
    for (struct index_entry e; peek(c, &e) && e.offset == offset; take(c, &e)) {
        const struct index_info *f = file_now(ix);
        check_header(c, f, v, offset);
        if (!contains(ix->wanted, ix->n_wanted, e.hash) && ix->n_wanted < HASHES_MAX)
            check_problem(c, "index", f->path, ix->entry,
                          "its entry has a hash that none of the keys of the message at log offset %" PRId64 " has",
                          offset);
        /* The first entry's time counts from the file before. */
        if (ix->entry > 1 && e.seconds != index_seconds(f->header.begin_time, v->m.store_time))
            check_problem(c, "index", f->path, ix->entry,
                          "its entry is %d s after the file's begin, the message at log offset %" PRId64 " %d s",
                          e.seconds, offset, index_seconds(f->header.begin_time, v->m.store_time));
        if (ix->n_found < HASHES_MAX)
            ix->found[ix->n_found++] = e.hash;
    }
}

/* The files cover the offset: it is not in front of them, behind them, or where one was lost. */
static bool is_covered(const struct check_index *ix, size_t file_before, int64_t offset)
{
    for (size_t i = file_before; i < ix->n && i <= ix->file; i++) {
        const struct index_header *h = &ix->files[i].header;
        if (h->count > 1 && h->begin_offset <= offset && offset <= h->end_offset)
            return true;
    }
    return false;
}

/* The keys of the message behind the one that was cut off: `lost` when they are in no file. */
static void end_cut(struct check *c, bool lost)
{
    struct check_index *ix = c->index;
    if (ix->cut_file && lost)
        c->report->not_indexed++;
    else if (ix->cut_file)
        check_problem(c, "index", ix->cut_file->path, -1, "%s", ix->cut_text);
    ix->cut_file = NULL;
}

/* The full file that ends with the message, at which the walk was or from which it went on to the next; NULL: none. */
static const struct index_info *ends_full(const struct check_index *ix, size_t file_before, int64_t offset)
{
    for (size_t i = file_before; i < ix->n && i <= ix->file; i++) {
        const struct index_header *h = &ix->files[i].header;
        if (h->end_offset == offset && h->count >= ix->g.entries)
            return &ix->files[i];
    }
    return NULL;
}

void check_index_record(struct check *c, const struct msg_view *v, int64_t offset)
{
    struct check_index *ix = c->index;
    if (ix == NULL || (v->m.sys_flag & MSG_FLAG_TRANSACTION_MASK) == MSG_FLAG_TRANSACTION_ROLLBACK)
        return;
    collect_wanted(ix, v);
    skip_before(c, offset);
    size_t file = ix->file;
    collect_found(c, v, offset);
    if (ix->n_wanted == 0)
        return;
    bool covered = is_covered(ix, file, offset);
    end_cut(c, !covered);
    if (!covered) {
        c->report->not_indexed++;
        return;
    }
    bool last_found = contains(ix->found, ix->n_found, ix->wanted[ix->n_wanted - 1]);
    const struct index_info *full = last_found ? NULL : ends_full(ix, file, offset);
    for (size_t i = 0; i < ix->n_wanted; i++) {
        if (contains(ix->found, ix->n_found, ix->wanted[i]))
            continue;
        snprintf(ix->cut_text, sizeof ix->cut_text,
                 "key %zu of the message at log offset %" PRId64 " (topic %.*s) has no entry", i + 1, offset,
                 STR_ARG(v->m.topic));
        ix->cut_file = full ? full : &ix->files[file < ix->n ? file : ix->n - 1];
        if (full)
            return;
        end_cut(c, false);
    }
}

int check_index_load(struct check *c, struct err *err)
{
    char path[PATH_SIZE];
    struct index_info *files;
    size_t n;
    int r = check_path(c, "index", path);
    if (r)
        return err_sys(err, -r, "cannot check the store directory %s", c->options->dir);
    if (index_infos(c->fs, path, &files, &n, err))
        return -1;
    struct check_index *ix = n ? calloc(1, sizeof *ix) : NULL;
    if (ix == NULL) {
        index_infos_free(files, n);
        return n ? err_set(err, ENOMEM, "out of memory") : 0;
    }
    c->index = ix;
    ix->files = files;
    ix->n = n;
    ix->fd = -1;
    ix->g.slots = c->options->index_slots ? c->options->index_slots : DEFAULT_SLOTS;
    ix->g.entries = c->options->index_entries ? c->options->index_entries : DEFAULT_ENTRIES;
    ix->newest = calloc((size_t)ix->g.slots, sizeof ix->newest[0]);
    if (ix->newest == NULL)
        return err_set(err, ENOMEM, "out of memory");
    open_file(c);
    return 0;
}

void check_index_finish(struct check *c)
{
    struct check_index *ix = c->index;
    if (ix == NULL)
        return;
    int64_t behind = 0;
    end_cut(c, true); /* the next start takes the last message of a full last file again */
    for (struct index_entry e; peek(c, &e); take(c, &e)) {
        if (check_lenient(c) && e.offset >= c->report->log_end)
            behind++;
        else if (e.offset >= c->report->log_min)
            check_problem(c, "index", file_now(ix)->path, ix->entry,
                          "its entry points to log offset %" PRId64 ", where no message with keys stands", e.offset);
    }
    if (behind)
        check_note(c, "index", ix->files[ix->n - 1].path, -1, "%" PRId64 " entries point behind the end of the log",
                   behind);
    if (c->report->not_indexed)
        check_note(c, "index", "all files", -1,
                   "%" PRId64 " messages with keys lie outside of what the index files cover", c->report->not_indexed);
}

void check_index_free(struct check *c)
{
    struct check_index *ix = c->index;
    if (ix == NULL)
        return;
    if (ix->fd >= 0)
        c->fs->close(c->fs, ix->fd);
    index_infos_free(ix->files, ix->n);
    free(ix->newest);
    free(ix);
    c->index = NULL;
}

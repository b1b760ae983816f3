/*
 * One index file: header, slots, entries. A file being filled keeps its slots (read page by page when first needed) and
 * its newest entries in memory; both reach the file by pwrite, so a full disk is an error value and never a signal.
 *
 * What makes a crash harmless: entries are only ever added, and a flush writes entries, syncs, writes slots, syncs,
 * writes the header, syncs. The header on disk therefore counts entries that are durable; a slot on disk may only point
 * further when the process died inside a flush, and then to entries that were synced before, whose chain leads back.
 * A Java broker writes through a mapping, in no such order. So the room of entry 0, which neither uses, holds the CRCs
 * of the header about to be written and of the one it replaces, synced with the slots: a header with one of them is
 * ours.
 *
 * Threads: the caller locks around everything but index_writer_sync and the two functions that only read the file.
 */
#ifndef CROCKET_STORE_INDEX_FILE_H
#define CROCKET_STORE_INDEX_FILE_H

#include "base/err.h"
#include "os/fs.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    INDEX_HEADER_SIZE = 40,
    INDEX_SLOT_SIZE = 4,
    INDEX_ENTRY_SIZE = 20,
    INDEX_NAME_SIZE = 24, /* 17 digits and room */
};

struct index_geometry {
    int32_t slots, entries;
};

struct index_header {
    int64_t begin_time, end_time;
    int64_t begin_offset, end_offset;
    int32_t used_slots;
    int32_t count; /* next entry's number; entry 0 is never used */
};

struct index_entry {
    int32_t hash;
    int64_t offset;
    int32_t seconds; /* since begin_time */
    int32_t previous;
};

/* The file being filled. */
struct index_writer;

static inline int64_t index_file_size(struct index_geometry g)
{
    return INDEX_HEADER_SIZE + (int64_t)g.slots * INDEX_SLOT_SIZE + (int64_t)g.entries * INDEX_ENTRY_SIZE;
}

struct index_header index_header_decode(const uint8_t *bytes);
void index_header_encode(const struct index_header *h, uint8_t *bytes);

/* Whether the header of the open file, INDEX_HEADER_SIZE bytes, was written by a flush as above. 1, 0, or a negative
 * errno value. */
int index_header_is_flushed(const struct fs *fs, int fd, struct index_geometry g, const uint8_t *bytes);

/* What an entry says of its message's store time: seconds since that of the file's first. */
int32_t index_seconds(int64_t begin_time, int64_t store_time);

/* Takes over fd (closed by index_writer_free). h stays the caller's and must outlive the writer. NULL: out of memory.
 */
struct index_writer *index_writer_new(const struct fs *fs, int fd, struct index_geometry g, struct index_header *h);
void index_writer_free(struct index_writer *w);
/* After a crash: brings slots that point behind the header's count back to it. 0 or a negative errno value. */
int index_writer_repair(struct index_writer *w);
/* Adds one entry, with the header changes of Java. The file must not be full. 0 or a negative errno value: nothing
 * changed. */
int index_writer_put(struct index_writer *w, int32_t hash, int64_t offset, int64_t store_time);
/* Hint: an entry with this hash will be put soon. */
void index_writer_prefetch(const struct index_writer *w, int32_t hash);
/* A flush is three times write and sync, in this order. The caller need not hold its lock while syncing, as long as
 * nothing is put meanwhile. */
enum index_phase { INDEX_WRITE_ENTRIES, INDEX_WRITE_SLOTS, INDEX_WRITE_HEADER, INDEX_PHASES };
int index_writer_write(struct index_writer *w, enum index_phase phase);
int index_writer_sync(struct index_writer *w); /* after a failure the process must not go on */
void index_writer_flushed(struct index_writer *w);
bool index_writer_dirty(const struct index_writer *w);
/* Gives the slots' memory back; needs a flushed writer. */
void index_writer_rest(struct index_writer *w);

/* A walk along the chain of one slot, newest first. */
struct index_walk {
    int32_t hash, at; /* at: entry to look at next, 0 = end */
    int32_t limit;    /* entries at or above are not valid */
    int64_t begin, end, begin_time;
    int64_t *offsets;
    size_t max, n;
};

/* The part that is only in memory; leaves walk->at at the first entry in the file. */
int index_writer_walk(struct index_writer *w, struct index_walk *walk);
/* Start of the chain from the file itself. */
int index_walk_start(const struct fs *fs, int fd, struct index_geometry g, struct index_walk *walk);
/* The part in the file. 0 or a negative errno value. */
int index_walk_file(const struct fs *fs, int fd, struct index_geometry g, struct index_walk *walk);

#endif

/*
 * The shared files of small queues: many queues that have few entries each stand in one log of blocks instead of a
 * folder and a file each. A block holds all entries of one queue; the newest block of a queue counts, what stood before
 * is garbage, which goes when the oldest file is taken apart (sq_oldest, sq_drop_oldest).
 *
 * Format, big endian, files of some MiB named by the position of their first byte:
 *   magic u32, CRC-32 of all that follows u32, size u32 (a multiple of 8), kind u8, length of topic u8, entries u16,
 *   queue id i32, unused u32, queue offset of the first entry i64, topic, entries of 20 bytes, zeros up to size
 *
 * Ownership: the log owns its files and its buffer. Threads: sq_read from any; everything else from one at a time (the
 * consume queues' background work, under its lock). Positions are of one address space over all files.
 */
#ifndef CROCKET_STORE_SHARED_QUEUES_H
#define CROCKET_STORE_SHARED_QUEUES_H

#include <stdbool.h>

#include "base/err.h"
#include "base/str.h"
#include "os/fs.h"

enum {
    SQ_ENTRIES_MAX = 100, /* a queue with more gets files of its own */
    SQ_HEADER_SIZE = 32,
    SQ_BLOCK_MAX = SQ_HEADER_SIZE + 255 + SQ_ENTRIES_MAX * 20 + 8,
    SQ_FILE_SIZE = 32 * 1024 * 1024,
};

enum sq_kind {
    SQ_QUEUE = 1, /* all entries of a queue; none: it is empty and goes on at base */
    SQ_NONE,      /* the queue is not here any more: deleted, or with files of its own */
    SQ_END,       /* the log goes on in the next file */
};

struct sq_block {
    enum sq_kind kind;
    struct str topic;
    int32_t queue_id;
    int64_t base;           /* queue offset of the first entry */
    uint32_t n;             /* entries */
    const uint8_t *entries; /* in the format of queue files */
};

struct sq_log;

/* file_size: bytes after which the next file begins. NULL: out of memory. Touches no file. */
struct sq_log *sq_new(const struct fs *fs, const char *dir, int64_t file_size);
void sq_free(struct sq_log *log);
bool sq_is_used(const struct sq_log *log); /* there are files */

/* Reads all blocks from the oldest on. durable: the log was synced up to here; what is no block below is damage, and
 * what stands behind the first thing that is no block above is cut off. *damaged: something below `durable` is missing
 * or wrong; the blocks that are still whole were given all the same. fn: a result other than 0 ends it. */
int sq_load(struct sq_log *log, int64_t durable,
            int (*fn)(void *arg, const struct sq_block *b, int64_t pos, uint32_t size), void *arg, bool *damaged,
            struct err *err);
/* The same for tools: changes nothing. 0 also when there is no such folder. */
int sq_each(const struct fs *fs, const char *dir, int (*fn)(void *arg, const struct sq_block *b), void *arg);

uint32_t sq_size(size_t topic_len, uint32_t n); /* bytes of a block */
/* Adds a block; it can be read at *pos at once, and is in the file after sq_flush. 0 or a negative errno value: not
 * added. */
int sq_append(struct sq_log *log, const struct sq_block *b, int64_t *pos);
int sq_flush(struct sq_log *log);
/* sq_sync_begin flushes and says up to where the sync will reach; sq_sync may run beside appends and reads. 0 or a
 * negative errno value; after a failed sync the process must not go on. */
int sq_sync_begin(struct sq_log *log, int64_t *end);
int sq_sync(struct sq_log *log, int64_t end);
int64_t sq_end(const struct sq_log *log); /* position of the next block */

/* The block at pos, copied to buf (SQ_BLOCK_MAX bytes), checked. -EAGAIN: not in memory (only if !may_block), -ENOENT:
 * the file is gone, its blocks stand elsewhere; -EILSEQ: damaged. */
int sq_read(struct sq_log *log, int64_t pos, uint8_t *buf, bool may_block, struct sq_block *out);

/* There is more than one file; then the blocks of the oldest. fn as in sq_load. */
bool sq_has_oldest(const struct sq_log *log);
int sq_oldest(struct sq_log *log, int (*fn)(void *arg, const struct sq_block *b, int64_t pos, uint32_t size), void *arg,
              bool *damaged);
/* Takes the oldest file out of use; it is removed by the next sq_remove_dropped, to be called after a sync. */
void sq_drop_oldest(struct sq_log *log);
void sq_remove_dropped(struct sq_log *log);
/* The next block begins a new file. */
int sq_roll(struct sq_log *log);
int64_t sq_bytes(const struct sq_log *log);   /* of all files in use */
bool sq_is_damaged(const struct sq_log *log); /* sq_load found damage in the oldest file or in one behind it */
int sq_remove_all(struct sq_log *log);        /* all files and the folder; nobody reads any more */

#endif

/*
 * A summary of up to 64 full files of the key index: one read tells in which of them a key may be, so that a query that
 * does not know the time need not look into each. It is a bloom filter of each file's hashes, all with the same blocks,
 * and the blocks of one number stand together: a row. Summaries of eight files are made of eight of one, those of 64 of
 * eight of eight. They are only hints and can be made anew from the index files at any time.
 *
 * Format, big endian: magic 8 bytes, CRC-32 of the rest of the head u32, files u32, blocks u32, unused u32, for each
 * file its name of 24 bytes and begin and end offset i64; at the next multiple of 4096 the rows: for each file a block
 * of 32 bytes.
 *
 * Ownership: a summary owns its descriptor. Threads: index_summary_ask and _leave from any; everything else from one.
 */
#ifndef CROCKET_STORE_INDEX_SUMMARY_H
#define CROCKET_STORE_INDEX_SUMMARY_H

#include "store/index_file.h"

enum {
    INDEX_SUMMARY_FAN = 8,
    INDEX_SUMMARY_FILES = 64, /* most files in one */
    INDEX_SUMMARY_BLOCK = 32,
    INDEX_SUMMARY_COVERED = 40, /* bytes of a file in the head */
};

struct index_covered {
    char name[INDEX_NAME_SIZE];
    int64_t begin_offset, end_offset;
};

struct index_summary;

/* Makes the summary of one full, flushed index file, or one of several summaries, in the folder dir. Durable when it
 * returns 0; nothing is left behind otherwise. stop may be NULL; true ends it with -EINTR. */
int index_summary_build(struct index_summary **out, const struct fs *fs, const char *dir, const char *index_file,
                        struct index_geometry g, const struct index_covered *covered);
int index_summary_merge(struct index_summary **out, const struct fs *fs, const char *dir,
                        struct index_summary *const *parts, size_t n, bool (*stop)(void *arg), void *arg);
/* Opens the file dir/name. -EILSEQ: it is none for files of this geometry, or damaged. */
int index_summary_open(struct index_summary **out, const struct fs *fs, const char *dir, const char *name,
                       struct index_geometry g);
void index_summary_free(struct index_summary *s); /* the file stays */
const char *index_summary_name(const struct index_summary *s);

size_t index_summary_files(const struct index_summary *s);
const struct index_covered *index_summary_covered(const struct index_summary *s, size_t column);

/* How many of its files are still in the index. */
void index_summary_join(struct index_summary *s);
void index_summary_leave(struct index_summary *s);
bool index_summary_is_used(const struct index_summary *s);

/* A bit for each file: the key with this hash may be in it. All when it cannot be read. May block. */
uint64_t index_summary_ask(const struct index_summary *s, int32_t hash);

/* For measurements of indexes that are made up: a summary without any key in the folder dir, where the row of a hash
 * stands in its file, and how a block of the row gets it. */
int index_summary_blank(struct index_summary **out, const struct fs *fs, const char *dir, struct index_geometry g,
                        const struct index_covered *covered, size_t n);
int64_t index_summary_row(const struct index_summary *s, int32_t hash);
void index_summary_mark(uint8_t block[INDEX_SUMMARY_BLOCK], int32_t hash);

#endif

/*
 * The consume queues and index files of a store directory for tools: listing and reading them as they are, nothing
 * changed. Plain functions; who fills a struct frees it. Any thread; may block.
 */
#ifndef CROCKET_STORE_STORE_FILES_H
#define CROCKET_STORE_STORE_FILES_H

#include "base/err.h"
#include "os/fs.h"
#include "store/index_file.h"
#include "store/store.h"

struct queue_files {
    char *dir; /* .../consumequeue/TOPIC/ID, or under batchconsumequeue */
    char *topic;
    int32_t id;
    int64_t *starts; /* byte offsets of the files, ascending */
    size_t n;
    int32_t unit;       /* bytes of an entry */
    int64_t file_size;  /* of every file; 0 when they differ or there is none */
    int64_t first, end; /* entries [first, end) stand in the unbroken run of files at the new end */
    uint8_t *shared;    /* of a queue in the shared files, which dir then names: these entries; otherwise NULL */
};

/* Lists the queues of a store directory, also those in shared files, batch queues last, and calls fn for each; fn takes
 * the struct over when it answers 0 and ends the listing otherwise. 0 also when there are none. */
int queue_files_each(const struct fs *fs, const char *store_dir, int (*fn)(void *arg, struct queue_files *q), void *arg,
                     struct err *err);
bool queue_files_batch(const struct queue_files *q); /* a batch queue: entries are not counted by queue offsets */
void queue_files_free(struct queue_files *q);
/* Up to n entries from offset on, within [first, end); how many, or a negative errno value. */
int queue_files_read(const struct fs *fs, const struct queue_files *q, int64_t offset, struct store_entry *out, int n);

struct index_info {
    char *path;
    int64_t size;
    struct index_header header; /* of files that are large enough to have one */
};

/* The files of the index folder by age. *out is malloc'd, see index_infos_free; none: count 0. */
int index_infos(const struct fs *fs, const char *dir, struct index_info **out, size_t *count, struct err *err);
void index_infos_free(struct index_info *infos, size_t count);

#endif

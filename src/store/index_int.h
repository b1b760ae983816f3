/*
 * Inside of the key index, shared by index*.c: its list of files. index_file.h has what stands in one of them,
 * index_summary.h what tells in which of many to look.
 */
#ifndef CROCKET_STORE_INDEX_INT_H
#define CROCKET_STORE_INDEX_INT_H

#include <pthread.h>

#include "store/index.h"
#include "store/index_file.h"
#include "store/index_summary.h"

enum {
    INDEX_PATH_SIZE = 4096,
    INDEX_WAITING = 16, /* power of two: keys whose slots are on their way from memory while others are put */
};

/* Files are listed by name, oldest first. All but the last are full and closed, or full and waiting for a flush. */
struct index_file {
    char name[INDEX_NAME_SIZE];
    struct index_header header;
    struct index_writer *writer;   /* NULL: as in the file */
    struct index_summary *summary; /* covers it; NULL: none does */
    unsigned column;               /* its number there */
};

struct index {
    const struct fs *fs;
    char *dir;
    struct index_geometry g;
    pthread_mutex_t lock; /* of everything below; the dispatcher holds it for one message, a query while it looks in
                             memory */
    struct index_file **files;
    size_t n, cap;

    struct waiting_key {
        int32_t hash;
        int64_t offset, store_time;
    } waiting[INDEX_WAITING]; /* ring: added, their slots being fetched from memory, not yet in a file's buffer */
    unsigned first_waiting, n_waiting;
    int64_t last_offset; /* of the newest key in the ring */

    int64_t partial_offset; /* a message of which only partial_keys keys could be added, -1 none */
    int32_t partial_keys;
    bool sync_failed;
    bool quiet; /* nothing added since the last flush */

    /* index_summaries.c; the list and each file's summary change under both locks, this one taken first: a query holds
     * it for reading as long as it uses summaries. */
    pthread_rwlock_t summaries_lock;
    char *summaries_dir;   /* NULL: none are made */
    size_t summaries_from; /* closed files from which on they are */
    struct index_summary **summaries;
    size_t n_summaries, cap_summaries;
    bool may_lack_summaries; /* the flushing thread's: a file was closed since none was missing */
    int64_t summaries_retry; /* monotonic ms: not before, since the last one could not be made */
};

int index_path_of(const struct index *ix, const char *name, char out[INDEX_PATH_SIZE]);
void index_file_free(struct index_file *f);
bool index_file_is_full(const struct index *ix, const struct index_file *f);
/* Under the lock; NULL: there is none of the name. */
struct index_file *index_file_named(const struct index *ix, const char *name);
/* Under the lock: into the buffer of a file what was added. */
int index_put_waiting(struct index *ix, struct err *err);

/* index_summaries.c */
void index_summaries_load(struct index *ix);
void index_summaries_free(struct index *ix);

#endif

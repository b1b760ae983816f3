/*
 * A configuration table kept as a JSON file and a journal of the changes that the file does not have yet: topics,
 * subscription groups. The table itself is its owner's; this is its lock, its version and its way to the disk.
 *
 * Ownership: embedded in the owner, who calls config_table_end before it frees what the kind's functions use.
 * Threads: any; load and save may block.
 */
#ifndef CROCKET_BROKER_CONFIG_CONFIG_TABLE_H
#define CROCKET_BROKER_CONFIG_CONFIG_TABLE_H

#include "base/json.h"
#include "remoting/body/data_version.h"
#include <pthread.h>
#include <stdatomic.h>

struct config_saver;
struct config_journal;

struct config_table_kind {
    const char *what; /* "topics" */
    const char *thread_name;
    /* All members of the document but dataVersion, those of earlier names first. Under a lock. Out of memory: the
     * buffer's failed flag. */
    void (*write)(void *owner, struct jw *w);
    /* A loaded document. Under the write lock. */
    int (*take)(void *owner, struct arena *a, const struct json *doc, struct err *err);
    /* A change of the journal; item NULL: none, deleted null: nothing. Under the write lock. False: out of memory. */
    bool (*again)(void *owner, struct arena *a, const struct json *item, struct str deleted);
};

struct config_table {
    const struct config_table_kind *kind;
    void *owner;
    char *path;
    pthread_rwlock_t lock; /* the owner's table, and all below but `saved` */
    struct data_version version;
    _Atomic uint64_t changes; /* grows with every change that belongs into the file; read without the lock too */
    _Atomic uint64_t durable; /* changes that survive the loss of power */
    struct config_journal *journal;
    struct config_saver *saver;
    pthread_mutex_t sync_lock; /* one sync of the journal at a time */
    pthread_mutex_t save_lock; /* one save at a time */
    uint64_t saved;            /* changes that the file has; under save_lock */
    size_t saved_bytes;        /* of the file as it was written last, 0 not yet; likewise */
};

/* DIR/NAME. False: out of memory; config_table_end is still to be called. */
bool config_table_init(struct config_table *t, const struct config_table_kind *kind, void *owner, const char *dir,
                       const char *name);
void config_table_end(struct config_table *t); /* waits for a save that is under way */
int config_table_load(struct config_table *t, struct err *err);
/* Writes the file when something changed since the last time. */
int config_table_save(struct config_table *t, struct err *err);

/* Every change made before the call survives the loss of power; cheap when there is none. 0, or -1: a sync failed. */
int config_table_sync(struct config_table *t, struct err *err);

/* Under the write lock: the table is changed. write NULL: no item; deleted null: nothing deleted. The change survives
 * the death of the process from now on. config_table_save_soon is to follow, without the lock. */
void config_table_changed(struct config_table *t, void (*write)(struct jw *w, const void *item), const void *item,
                          struct str deleted);
void config_table_save_soon(struct config_table *t);

#endif

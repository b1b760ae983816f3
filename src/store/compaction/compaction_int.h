/*
 * Inside of the compaction store, shared by src/store/compaction/ only.
 *
 * Locks, in the order they are taken: disk_lock (making, replacing and removing files of queues: the copier for its
 * whole round, the compaction thread only while it replaces); table_lock (which queues there are); a queue's own lock
 * (its list of files, and opening them). The last file of a queue is written by the copier only, the others by nobody.
 */
#ifndef CROCKET_STORE_COMPACTION_COMPACTION_INT_H
#define CROCKET_STORE_COMPACTION_COMPACTION_INT_H

#include "base/buf.h"
#include "base/map.h"
#include "store/compaction/compaction.h"
#include "store/compaction/unit.h"
#include "store/store_int.h"

#include <stdatomic.h>

enum {
    CPATH_SIZE = 4096,
    CNAME_DIGITS = 20,
    CKEY_SIZE = 300, /* of "TOPIC_ID" */
    CLOSE_ROOM = 8,  /* the blank record that closes a log file */
};

enum cpart { CPART_LOG, CPART_QUEUE, CPARTS };

/* A log file with the queue file of the same name. Pinned by readers; the last release leaves it to compaction_reclaim,
 * for closing a removed file takes its time. */
struct cfile {
    struct compaction *c;
    int64_t base;            /* position in the compaction log of its first byte */
    struct log_segment *log; /* the open, mapped log file; NULL until somebody reads or writes it */
    int queue_fd;
    _Atomic int refs;
    _Atomic uint32_t units;      /* readable */
    _Atomic int64_t first, last; /* their queue offsets, -1 without units */
    int64_t end;                 /* written up to here in the log file; the writer's */
    bool closed;                 /* takes no more; the writer's */
    struct cfile *next_dead;
};

struct cfile_list {
    struct cfile **at; /* ascending */
    size_t n, cap;
};

struct compaction_queue {
    struct compaction *c;
    struct compaction_queue *next; /* in c->all */
    char *topic;
    int32_t id;
    _Atomic(struct cq *) queue; /* the ordinary queue; NULL: not a compaction topic now */
    pthread_mutex_t lock;
    struct cfile_list files;     /* under lock */
    _Atomic int64_t end;         /* messages below this queue offset are here, unless compacted away */
    _Atomic int64_t compacted;   /* up to this queue offset; -1 */
    _Atomic uint32_t life;       /* counts how often its topic was deleted */
    _Atomic int64_t durable_end; /* `end` at the last sync */
    atomic_bool dirty;           /* written since */
    int64_t due_ms, period_ms;   /* compaction thread, monotonic */
};

struct compaction {
    struct store *s;
    const struct fs *fs;
    char *dir; /* .../compaction */
    int64_t log_size, queue_size;
    pthread_mutex_t disk_lock, table_lock;
    struct map queues; /* "TOPIC_ID" -> struct compaction_queue */
    _Atomic(struct compaction_queue *) all;
    _Atomic(struct cfile *) dead;
    struct map positions; /* "TOPIC_ID" -> position as text, of queues that are not loaded */
    int64_t trash;        /* number of the last folder of deleted files; under disk_lock */
    atomic_bool have_trash;
};

/* ---- compaction.c ---- */
size_t ckey(char out[CKEY_SIZE], struct str topic, int32_t id);
/* Found or made; NULL: out of memory. With table_lock held. */
struct compaction_queue *compaction_queue_get(struct compaction *c, struct str topic, int32_t id);
void compaction_reclaim(struct compaction *c);
void compaction_empty_trash(struct compaction *c);

/* ---- file.c ---- */
/* The queue's folder (base -1) or a file in it; sub: a folder inside, or NULL. */
void cfile_path(const struct compaction_queue *q, enum cpart part, const char *sub, int64_t base, char out[CPATH_SIZE]);
bool cfile_name(const char *name, int64_t *base); /* 20 digits */
struct cfile *cfile_new(struct compaction *c, int64_t base);
void cfile_retain(struct cfile *f);
void cfile_release(struct cfile *f);
/* Opens both files of what has none open. 0 or a negative errno value. */
int cfile_open(const struct compaction_queue *q, const char *sub, struct cfile *f);
void cfile_shut(struct cfile *f); /* nobody may be reading it */
bool cfile_list_add(struct cfile_list *l, struct cfile *f);
void cfile_list_release(struct cfile_list *l); /* and empties it */
/* Reads up to n units from number `from` on; how many, -EAGAIN, or another error. */
int cfile_units(const struct cfile *f, uint32_t from, struct cunit *out, int n, bool may_block);
/* The first unit with a queue offset >= offset (units if none), -EAGAIN, or another error. */
int64_t cfile_find(const struct cfile *f, int64_t offset, bool may_block);
/* The bytes are the whole, undamaged record that the unit stands for. */
bool cfile_record_ok(const struct compaction_queue *q, const struct cunit *u, const uint8_t *at, struct msg_view *v);
/* The key that is compacted by; blank: there is none. */
static inline struct str cfile_key(const struct msg_view *v)
{
    return msg_property(v->m.properties, STR_LIT(MSG_PROP_KEYS));
}

/* Walks the units of an open file with their records. */
struct cscan {
    struct compaction_queue *q;
    struct cfile *f;
    uint32_t at, to; /* numbers of units */
    struct cunit *units;
    uint32_t units_at;
    int units_n;
    uint8_t *window;
    size_t window_cap, window_len;
    int64_t window_at;     /* in the log file */
    const uint8_t *record; /* in the window: the one given last */
};
enum cscan_step { CSCAN_RECORD, CSCAN_DAMAGED, CSCAN_END, CSCAN_FAILED };
void cscan_init(struct cscan *s, struct compaction_queue *q);
void cscan_free(struct cscan *s);
void cscan_begin(struct cscan *s, struct cfile *f, uint32_t from);
/* Views hold until the next call. DAMAGED: u is filled. FAILED: *error. */
enum cscan_step cscan_next(struct cscan *s, struct cunit *u, struct msg_view *v, int *error);

/* ---- writer.c ---- */
struct cwriter {
    struct compaction_queue *q;
    const char *sub;
    struct cfile_list *list; /* written to its last file; new ones are added */
    struct buf records, units;
    uint32_t n; /* units in the buffer */
    int64_t first, last;
};
void cwriter_init(struct cwriter *w, struct compaction_queue *q, const char *sub, struct cfile_list *list);
void cwriter_free(struct cwriter *w);
/* Takes a record of the queue; it is in a file, and can be read, after cwriter_flush. 0, 1: it does not fit into any
 * file, or a negative errno value (then nothing since the last flush was taken). */
int cwriter_put(struct cwriter *w, const struct msg_view *v, const uint8_t *record, int64_t tags_code);
int cwriter_flush(struct cwriter *w);
/* Flushes, closes and syncs the last file. */
int cwriter_close(struct cwriter *w);
int cfile_sync(const struct cfile *f);

/* ---- load.c ---- */
int compaction_load(struct compaction *c, struct err *err);
/* Takes out messages from this queue offset on; before anything is copied. */
int compaction_cut(struct compaction_queue *q, int64_t queue_offset);

/* ---- replace.c ---- */
#define COMPACTING_DIR "crocket-compacting"
/* Ends what a crash interrupted, of ours or of Java's. */
int compaction_settle(struct compaction_queue *q, struct err *err);
/* Puts the files of the compacting folder in the place of the first n ones; by is empty when they became the queue's,
 * which can be before a failure: the next compaction_settle goes on then. 0 or a negative errno value. With disk_lock
 * held. */
int compaction_replace(struct compaction_queue *q, size_t n, struct cfile_list *by);
int compaction_discard(struct compaction_queue *q); /* removes the compacting folders */

/* ---- position.c: compaction/position-checkpoint ---- */
int compaction_positions_load(struct compaction *c, struct err *err);
int compaction_positions_save(struct compaction *c, struct err *err);

#endif

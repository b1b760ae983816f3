/*
 * A made-up store: queues of one topic with any number of entries, each record 256 bytes, message g of all at position
 * g / queues of queue g % queues. All files are sparse; only what is asked for is written into them, so whoever reads
 * has to say before where it will look (backlog_want).
 */
#ifndef CROCKET_BENCH_BACKLOG_H
#define CROCKET_BENCH_BACKLOG_H

#include "scale.h"
#include "store/consumequeue.h"

enum { BACKLOG_RECORD = 256, BACKLOG_KEY = 20 };
#define BACKLOG_TOPIC "BacklogTopic"

struct place {
    int64_t queue, position;
};

struct backlog {
    struct bench *b;
    int64_t queues, each;             /* entries of each queue */
    int64_t a_file;                   /* entries of one queue file */
    int64_t a_segment;                /* records of one commit log file */
    int64_t an_index;                 /* keys of one index file */
    int64_t per_ms;                   /* messages stored in one millisecond */
    struct index_summary **summaries; /* of the full index files */
    size_t n_summaries;
    struct place *wanted;
    size_t n_wanted, cap_wanted;
};

static inline int64_t backlog_total(const struct backlog *w)
{
    return w->queues * w->each;
}

static inline int64_t backlog_index_files(const struct backlog *w)
{
    return (backlog_total(w) + w->an_index - 1) / w->an_index;
}

/* Makes the sparse files and a checkpoint that vouches for all. */
void backlog_make(struct backlog *w, struct bench *b, int64_t queues, int64_t each);
void backlog_free(struct backlog *w);

int64_t backlog_physical(const struct backlog *w, int64_t g);
int64_t backlog_time(const struct backlog *w, int64_t g);
void backlog_key(int64_t g, char out[BACKLOG_KEY]);

/* The entry and the record will be read; written by backlog_write. */
void backlog_want(struct backlog *w, int64_t queue, int64_t position);
void backlog_write(struct backlog *w);
/* The chain of the key's slot in the index file number i, four entries long; the message of key g is one of them if it
 * belongs there. */
void backlog_write_key(struct backlog *w, int64_t g, int64_t i);
/* What the summaries say of the key: the file that has it, and as many others as are wrong in a full one. */
void backlog_write_summaries(struct backlog *w, int64_t g);

#endif

/* Inside of the store check, shared by store_check*.c only. */
#ifndef CROCKET_STORE_STORE_CHECK_INT_H
#define CROCKET_STORE_STORE_CHECK_INT_H

#include "base/map.h"
#include "store/checkpoint.h"
#include "store/index_file.h"
#include "store/log_files.h"
#include "store/store_check.h"
#include "store/store_files.h"

struct check_queue {
    struct queue_files files;
    struct store_entry *page; /* entries read last */
    int64_t page_at;
    int page_n;
    int64_t at;                   /* of a batch queue: the entry looked at last */
    int64_t next;                 /* queue offset the log's next record of this queue must have; -1 unknown */
    int64_t matched, matched_end; /* entries [matched, matched_end) were found to belong to records */
    int64_t missing;              /* records at the end without an entry */
};

struct check_index; /* store_check_index.c */

struct check {
    const struct fs *fs;
    const struct store_check_options *options;
    struct store_report *report;
    struct log_files *log;
    struct checkpoint checkpoint;
    int64_t promised_end; /* the log must be whole up to here */
    int64_t last_store_time;
    struct map queues; /* "TOPIC/ID" -> struct check_queue */
    struct check_index *index;
};

/* A running or crashed store may lack at its end what the next start, or the next round, brings. */
static inline bool check_lenient(const struct check *c)
{
    return c->report->live || c->report->after_crash;
}

void check_problem(struct check *c, const char *part, const char *where, int64_t offset, const char *fmt, ...)
    __attribute__((format(printf, 5, 6)));
void check_note(struct check *c, const char *part, const char *where, int64_t offset, const char *fmt, ...)
    __attribute__((format(printf, 5, 6)));
int check_path(const struct check *c, const char *name, char out[4096]);

/* store_check_queue.c */
int check_queues_load(struct check *c, struct err *err);
void check_queues_record(struct check *c, const struct msg_view *v, int64_t offset);
void check_queues_finish(struct check *c);
void check_queues_free(struct check *c);

/* store_check_compaction.c: after check_queues_load */
int check_compaction(struct check *c, struct err *err);

/* store_check_index.c */
int check_index_load(struct check *c, struct err *err);
void check_index_record(struct check *c, const struct msg_view *v, int64_t offset);
void check_index_finish(struct check *c);
void check_index_free(struct check *c);

#endif

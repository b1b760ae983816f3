/*
 * The records of the revive log (rmq_sys_REVIVE_LOG_CLUSTER): a checkpoint says which messages a pop gave away and
 * until when, acknowledgements say which of them are done. JSON bodies as the Java broker 5.3 writes and reads them.
 *
 * Views point into what was parsed. Any thread.
 */
#ifndef CROCKET_BROKER_POP_POP_RECORD_H
#define CROCKET_BROKER_POP_POP_RECORD_H

#include "base/json.h"
#include "store/store.h"

enum { POP_MAX_MESSAGES = 32 }; /* of one pop: a checkpoint has as many bits */

/* One pop of one queue. */
struct pop_key {
    struct str topic, group, broker_name;
    int32_t queue_id;
    int64_t start_offset, pop_time;
};

struct pop_checkpoint {
    struct pop_key key;
    int64_t invisible_ms;
    uint32_t acked; /* bit i: the message at start_offset + diff[i] */
    uint32_t count; /* of messages */
    int32_t diff[POP_MAX_MESSAGES];
};

/* What was acknowledged: offsets of the queue. */
struct pop_acks {
    struct pop_key key;
    size_t count;
    int64_t offset[POP_MAX_MESSAGES];
};

enum pop_record_type { POP_RECORD_NONE, POP_RECORD_CHECKPOINT, POP_RECORD_ACKS };

struct pop_record {
    enum pop_record_type type;
    union {
        struct pop_checkpoint checkpoint;
        struct pop_acks acks;
    };
};

/* A record to be put: body and properties are views of the bufs. Fills m except queue and hosts. */
void pop_checkpoint_record(const struct pop_checkpoint *c, int64_t now, struct buf *body, struct buf *properties,
                           struct msg *m);
/* batch: as a batch acknowledgement, which may hold any number of offsets. */
void pop_acks_record(const struct pop_acks *a, bool batch, int64_t now, struct buf *body, struct buf *properties,
                     struct msg *m);

/* POP_RECORD_NONE: not a record of this kind. own_name: for acknowledgements that name no broker. */
enum pop_record_type pop_record_read(const struct msg *m, struct arena *arena, struct str own_name,
                                     struct pop_record *out);

/* Index of the message with this offset in the checkpoint, -1: none. */
int pop_checkpoint_index(const struct pop_checkpoint *c, int64_t offset);

#endif

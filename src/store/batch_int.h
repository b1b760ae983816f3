/* Inside of a batch of appends, shared by batch*.c only. */
#ifndef CROCKET_STORE_BATCH_INT_H
#define CROCKET_STORE_BATCH_INT_H

#include "store/store_int.h"

enum { BATCH_NO_QUEUE = -1, BATCH_NUMBER_MAX = 20 };

struct batch_record {
    uint32_t at, size;
    int32_t queue;                      /* index into queues, BATCH_NO_QUEUE: gets no queue entry */
    uint32_t nth;                       /* of the messages of that queue in this batch */
    int32_t messages;                   /* in the record */
    uint32_t filter_bits, filter_round; /* the bits hold for this round of filters */
    int64_t tags_code;
    int64_t delay_ms; /* >= 0: the tags code is the store time plus this */
};

/* A queue that occurs in the batch. */
struct batch_queue {
    struct cq *q;
    int64_t base; /* queue offset of the batch's first message of it */
    uint32_t count, appended;
    uint32_t last_record; /* newest record that stands in it, plus 1 */
    uint64_t loops;       /* to be told about the arrival */
};

struct batch_put {
    void *user;
    uint32_t first, count; /* records */
    size_t bytes;
    enum put_status status;
};

/* A queue offset that stands as decimal text in a record's properties: known only under the append lock. */
struct batch_number {
    uint32_t record;
    uint32_t properties, pos; /* where the properties and the first digit stand in the record */
    uint32_t digits;
    int32_t queue;
    uint32_t nth;
    bool entry; /* the record gets an entry there: a light message queue */
};

#define GROWING(type, name)                                                                                            \
    type *name;                                                                                                        \
    size_t n_##name, cap_##name

struct store_batch {
    struct store *s;
    uint8_t *data;
    size_t len, cap;
    GROWING(struct batch_record, records);
    GROWING(struct batch_queue, queues);
    GROWING(struct batch_put, puts);
    GROWING(struct batch_number, numbers); /* in the order of the data */
    struct buf text;                       /* properties being completed */
    int64_t *physical;                     /* as many as records have room */
    uint32_t *lookup;                      /* hash of queue -> index + 1, for the round `round` */
    uint32_t *lookup_round;
    size_t lookup_cap;
    uint32_t round;
    int64_t store_time;
};

/* batch.c. Index of the queue among the batch's, BATCH_NO_QUEUE when out of memory. */
int32_t batch_queue_index(struct store_batch *b, struct cq *q);
bool batch_grow(void **array, size_t *cap, size_t need, size_t item);

/*
 * batch_numbers.c. What the next record needs: *m is the message to encode, with properties in b->text if it has
 * numbers, which are noted from number `first` on with positions in that text. A status other than PUT_OK: refused.
 */
enum put_status batch_numbers_prepare(struct store_batch *b, const struct store_msg *given, struct msg *m);
/* Takes back the numbers from `first` on, of refused records. */
void batch_numbers_forget(struct store_batch *b, size_t first);
/* The record was encoded: its numbers, those from `first` on, get their positions in it. */
void batch_numbers_place(struct store_batch *b, size_t first, uint32_t record, size_t encoded);
/* Under the append lock, with the queues' bases known: writes all numbers. False: out of memory, or no room for more
 * digits. */
bool batch_numbers_fill(struct store_batch *b);

#endif

/*
 * Messages that stand in several queues, and batches that are kept as one record.
 *
 * Multi-dispatch: a message with the property INNER_MULTI_DISPATCH (names of light message queues, %LMQ%..., separated
 * by commas) gets an entry in queue 0 of each; its offsets there are its property INNER_MULTI_QUEUE_OFFSET, in the same
 * order. Inner batch: a record whose body is a whole batch has the properties INNER_NUM (how many messages) and
 * INNER_BASE (queue offset of the first) and the flag INNER_BATCH. All functions keep nothing; views point into the
 * caller's text. Any thread.
 */
#ifndef CROCKET_MESSAGE_MULTI_DISPATCH_H
#define CROCKET_MESSAGE_MULTI_DISPATCH_H

#include "message/message.h"

#define MSG_PROP_MULTI_DISPATCH "INNER_MULTI_DISPATCH"
#define MSG_PROP_MULTI_OFFSET   "INNER_MULTI_QUEUE_OFFSET"
#define MSG_LMQ_PREFIX          "%LMQ%"

enum { MSG_LMQ_QUEUE_ID = 0, MSG_INNER_MAX = 32767 };

/* The name is one of a light message queue (or of a consumer group that reads one). */
bool msg_is_lmq(struct str name);
/* Messages of this topic may be dispatched to light message queues: not those of retry, system and delay topics. */
bool msg_topic_dispatches(struct str topic);

/* The names of a message that is to be dispatched, null view when it is not. */
struct str msg_multi_names(struct str topic, struct str properties);
/* Takes the next name; false at the end. *bad: it can be no light message queue. */
bool msg_multi_next(struct str *names, struct str *name, bool *bad);

/* The queues of a stored message. */
struct msg_multi {
    struct str names, offsets;
};
bool msg_multi_begin(struct msg_multi *m, struct str topic, struct str properties);
/* Names that are no light message queue are passed over; the list ends at an offset that is none. */
bool msg_multi_queue(struct msg_multi *m, struct str *name, int64_t *offset);
/* The offset of a stored message in this light message queue, -1 when it is not there. */
int64_t msg_multi_offset(struct str topic, struct str properties, struct str queue);

/* A batch kept as one record: its first queue offset and number of messages. False: an ordinary message, nothing set.
 */
bool msg_inner_batch(struct str properties, int64_t *base, int32_t *messages);

#endif

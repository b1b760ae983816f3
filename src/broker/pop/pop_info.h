/*
 * Texts that pops and their clients exchange, and names: the handle of a popped message (POP_CK, extraInfo), the
 * offsets in a pop's answer, retry topics.
 *
 *   handle            START_OFFSET POP_TIME INVISIBLE_MS REVIVE_QUEUE KIND BROKER_NAME QUEUE OFFSET
 *   startOffsetInfo   KIND QUEUE START_OFFSET;...
 *   msgOffsetInfo     KIND QUEUE OFFSET,OFFSET...;...
 *   orderCountInfo    KIND QUEUE COUNT;KIND qoQUEUE%OFFSET COUNT;...
 *
 * Owns nothing. Any thread.
 */
#ifndef CROCKET_BROKER_POP_POP_INFO_H
#define CROCKET_BROKER_POP_POP_INFO_H

#include "base/buf.h"

enum { POP_ORDER_QUEUE = 999 }; /* "revive queue" of ordered pops, which have no checkpoints */

/* Where popped messages come from; the wire has the number. */
enum pop_kind { POP_NORMAL, POP_RETRY_V1, POP_RETRY_V2 };

struct pop_handle {
    int64_t start_offset, pop_time, invisible_ms;
    int32_t revive_queue;
    struct str broker_name;
};

/* What an acknowledgement needs of a handle. False: it is none. */
bool pop_handle_parse(struct str text, struct pop_handle *out);
void pop_handle_write(struct buf *out, const struct pop_handle *h, enum pop_kind kind, int32_t queue_id,
                      int64_t offset);

void pop_info_start(struct buf *out, enum pop_kind kind, int32_t queue_id, int64_t start_offset);
void pop_info_offsets(struct buf *out, enum pop_kind kind, int32_t queue_id, const int64_t *offsets, size_t n);
void pop_info_queue_count(struct buf *out, enum pop_kind kind, int32_t queue_id, int32_t count);
void pop_info_offset_count(struct buf *out, enum pop_kind kind, int32_t queue_id, int64_t offset, int32_t count);

enum pop_kind pop_kind_of(struct str topic);
/* The topic that holds the group's unacknowledged messages of `topic`, appended. kind: POP_RETRY_V1 or _V2. */
void pop_retry_topic(struct buf *out, struct str topic, struct str group, enum pop_kind kind);
/* The topic whose messages the retry topic of this group holds; a topic that is no such one is itself. */
struct str pop_normal_topic(struct str topic, struct str group);

#endif

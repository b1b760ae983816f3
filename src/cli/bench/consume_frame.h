/*
 * Requests of consumers: pull, pop, acknowledgement, queue locks, offsets. Appended to a buffer whose error the caller
 * looks at (buf_ok). Owns nothing. Any thread, each with its own buffer.
 */
#ifndef CROCKET_CLI_BENCH_CONSUME_FRAME_H
#define CROCKET_CLI_BENCH_CONSUME_FRAME_H

#include "broker/pop/pop_info.h"
#include "cli/bench/frame.h"

/* A queue as a consumer asks for it. */
struct pull_spec {
    const char *group, *topic, *broker_name;
    int queue;
    int64_t max_messages, max_bytes, suspend_ms;
    const char *sql; /* filter, which a heartbeat has told; or NULL: all messages */
    bool binary;
};

/* 11. commit: the offset before which all is consumed, below 0: none is told. */
void pull_frame_write(struct buf *out, const struct pull_spec *spec, int64_t offset, int64_t commit, uint32_t slot);
/* 15, oneway */
void commit_offset_frame_write(struct buf *out, const struct pull_spec *spec, int64_t offset);

/* 200050: of one queue, as the Java push consumer pops. */
void pop_frame_write(struct buf *out, const struct pull_spec *spec, int64_t invisible_ms, int64_t born_ms,
                     uint32_t slot);

/* What a pop's answer says of its messages. */
struct pop_answer {
    struct str starts, offsets; /* views into the answer; see pop_info.h */
    struct pop_handle handle;   /* all but start_offset */
};
bool pop_answer_read(const struct bench_response *r, struct str broker_name, struct pop_answer *out);
/* The messages of one queue. */
struct pop_answer_part {
    enum pop_kind kind;
    int32_t queue;
    int64_t start_offset;
    struct str offsets; /* "3,4,5" */
};
/* The next part, taken off *a. False: there is no more; *bad when the rest is not understood. */
bool pop_answer_next(struct pop_answer *a, struct pop_answer_part *out, bool *bad);

/* 200051 */
void ack_frame_write(struct buf *out, const struct pull_spec *spec, const struct pop_answer *a,
                     const struct pop_answer_part *part, int64_t offset, uint32_t slot);
/* 200151: all messages of these parts. */
void batch_ack_frame_write(struct buf *out, const struct pull_spec *spec, const struct pop_answer *a, uint32_t slot);

/* 41: locks the queues `ids` of the topic for this client. */
void lock_frame_write(struct buf *out, const struct pull_spec *spec, const char *client_id, const int *ids, size_t n,
                      uint32_t slot);

#endif

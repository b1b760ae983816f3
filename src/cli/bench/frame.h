/*
 * Request frames made once and stamped many times, and the least that must be read of a response.
 * Ownership: a template owns its bytes. Any thread may stamp from a template into its own buffer.
 */
#ifndef CROCKET_CLI_BENCH_FRAME_H
#define CROCKET_CLI_BENCH_FRAME_H

#include "base/buf.h"
#include "base/err.h"

enum { BENCH_OPAQUE_BASE = 1000000000, BENCH_OPAQUE_DIGITS = 10, BENCH_TIME_DIGITS = 13, BENCH_KEY_DIGITS = 12 };

/* Decimal digits of a message's number, in one of its properties. */
struct send_number {
    size_t at, digits, message;
};

/* A send request (310, or 320 when batch > 1). */
struct send_frame {
    struct buf bytes;
    size_t body_at;
    size_t opaque_at;
    bool binary;
    size_t time_at; /* bornTimestamp, 13 digits */
    size_t *key_at; /* the changing digits of each UNIQ_KEY */
    size_t key_count;
    struct send_number *number_at;
    size_t number_count;
    size_t *entry_at; /* body bytes of each message */
    size_t size;      /* of each body */
};

struct send_frame_spec {
    const char *group, *topic, *broker_name;
    int queue;
    size_t size, batch;
    bool binary;
    bool transaction;       /* half messages */
    const char *properties; /* "name=value;name=value": ### and longer in it becomes the message's number; or NULL */
    char key_prefix[21];    /* 20 upper-case hex digits, unique for the run */
};

int send_frame_make(struct send_frame *f, const struct send_frame_spec *spec, struct err *err);
void send_frame_free(struct send_frame *f);
/* Appends the frame to out with opaque BASE + slot, the time as text, and keys numbered from *key on. Returns the start
 * of the frame in out, or NULL when out of memory. */
uint8_t *send_frame_stamp(const struct send_frame *f, struct buf *out, uint32_t slot,
                          const char time[BENCH_TIME_DIGITS], uint64_t *key);

/* Code and slot of a whole response frame; the body as a view. False: the frame is no response that we can read (a
 * request of the broker's, or not the protocol): *is_request tells. */
struct bench_response {
    int32_t code;
    uint32_t slot;
    const uint8_t *header, *body;
    size_t header_len, body_len;
    bool binary;
};
bool bench_response_read(uint8_t *frame, size_t len, struct bench_response *out, bool *is_request);
enum { BENCH_ID_MAX = 56 };
/* A header field that holds a message id or the like, copied to out; its length, 0 when absent or longer. */
size_t bench_response_text(const struct bench_response *r, const char *key, char out[BENCH_ID_MAX]);
/* The same as a view, of any length: texts without escapes only. */
struct str bench_response_view(const struct bench_response *r, const char *key);
/* A oneway request that commits the half message of that answer. False: the answer does not say where it is. */
bool commit_frame_write(struct buf *out, const struct send_frame_spec *spec, const struct bench_response *r);
/* A header field that holds a number; absent: otherwise. */
int64_t bench_response_i64(const struct bench_response *r, const char *key, int64_t otherwise);
/* The remark, copied to out. */
void bench_response_remark(const struct bench_response *r, char *out, size_t cap);

#endif

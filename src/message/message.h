/*
 * The message record: what stands in the commit log is what a pull response carries. Facts: the layout below is
 * RocketMQ's message format v1 (magic 0xDAA320A7) and v2 (0xDAA320AB, two-byte topic length). All functions work on
 * caller's memory and keep nothing. Any thread.
 */
#ifndef CROCKET_MESSAGE_MESSAGE_H
#define CROCKET_MESSAGE_MESSAGE_H

#include "base/buf.h"
#include "base/str.h"

#define MSG_MAGIC_V1    0xDAA320A7u
#define MSG_MAGIC_V2    0xDAA320ABu
#define MSG_MAGIC_BLANK 0xCBD43194u

enum {
    MSG_POS_MAGIC = 4,
    MSG_POS_BODY_CRC = 8,
    MSG_POS_QUEUE_ID = 12,
    MSG_POS_QUEUE_OFFSET = 20,
    MSG_POS_PHYSICAL_OFFSET = 28,
    MSG_POS_SYS_FLAG = 36,
    MSG_POS_BORN_TIME = 40,
    MSG_POS_STORE_TIME_V4 = 56, /* with an IPv4 born host; 12 more with IPv6 */
    MSG_PROPERTIES_MAX = 32767,
    MSG_FIXED_V4 = 91, /* record bytes besides body, topic, properties: v1, two IPv4 hosts */
};

enum {
    MSG_FLAG_COMPRESSED = 0x1,
    MSG_FLAG_MULTI_TAGS = 0x2,
    MSG_FLAG_TRANSACTION_MASK = 0xC,
    MSG_FLAG_TRANSACTION_PREPARED = 0x4,
    MSG_FLAG_TRANSACTION_COMMIT = 0x8,
    MSG_FLAG_TRANSACTION_ROLLBACK = 0xC,
    MSG_FLAG_BORNHOST_V6 = 0x10,
    MSG_FLAG_STOREHOST_V6 = 0x20,
    MSG_FLAG_NEED_UNWRAP = 0x40,
    MSG_FLAG_INNER_BATCH = 0x80,
};

/* How a body with MSG_FLAG_COMPRESSED is packed; 0, from older clients, is zlib too. */
enum msg_compression { MSG_ZLIB_OF_OLD = 0, MSG_LZ4 = 1, MSG_ZSTD = 2, MSG_ZLIB = 3 };
static inline int msg_compression(int32_t sys_flag)
{
    return sys_flag >> 8 & 7;
}

/* An address as stored: 4 or 16 address bytes and a port. */
struct msg_host {
    uint8_t addr[16];
    uint8_t addr_len; /* 4 or 16 */
    int32_t port;
};

/* A message to encode. properties is the final text (name 0x01 value 0x02 ...). */
struct msg {
    struct str topic;
    struct str body;
    struct str properties;
    int32_t queue_id;
    int32_t flag;
    int32_t sys_flag; /* the V6 bits are set by the encoder from the hosts */
    int32_t reconsume_times;
    int64_t born_time;
    int64_t store_time;
    int64_t queue_offset;
    int64_t physical_offset;
    int64_t prepared_transaction_offset;
    struct msg_host born_host;
    struct msg_host store_host;
};

/* Size of the record of m, v2 when the topic is longer than 127 bytes. */
size_t msg_record_size(const struct msg *m);
/* Writes the record (msg_record_size bytes) with its body CRC. Queue offset, physical offset and store time are patched
 * later by msg_patch. */
void msg_encode(uint8_t *at, const struct msg *m);
void msg_patch(uint8_t *record, int64_t queue_offset, int64_t physical_offset, int64_t store_time);

/* A decoded record: views into it. */
struct msg_view {
    struct msg m;
    uint32_t size;
    uint32_t magic;
    uint32_t body_crc;
};

enum msg_decode_status {
    MSG_OK,
    MSG_BLANK,      /* the filler at the end of a segment: size = bytes to the segment's end */
    MSG_INCOMPLETE, /* avail is less than the record's size */
    MSG_BAD,        /* no record: size, magic or inner lengths are impossible */
};

/* Checks every length against the record's size; does not check the CRC. */
enum msg_decode_status msg_decode(const uint8_t *at, size_t avail, struct msg_view *out);
/* The body CRC agrees with the body. */
bool msg_crc_ok(const struct msg_view *v);

/* ---- the CRC of the whole record (enabledAppendPropCRC), a property behind all others ---- */

enum { MSG_RECORD_CRC_SIZE = 20 };
enum msg_record_crc { MSG_RECORD_CRC_NONE, MSG_RECORD_CRC_OK, MSG_RECORD_CRC_WRONG };
enum msg_record_crc msg_record_crc(const struct msg_view *v);
/* Properties without that of another record, which they may end with when a stored message is stored again. */
struct str msg_properties_own(struct str properties);
/* Bytes it adds to a record with these properties. */
size_t msg_record_crc_room(struct str properties);
/* Makes room for it at the end of an encoded record; properties: those it was encoded from. The CRC itself is written
 * by msg_record_crc_seal, after msg_patch. */
void msg_record_crc_append(uint8_t *record, struct str properties);
void msg_record_crc_seal(uint8_t *record);

/* Properties text. */
struct str msg_property(struct str properties, struct str name); /* null view when absent */
/* The key is the unique one, or one of KEYS. */
bool msg_has_key(struct str properties, struct str key);
/* Visits each pair; *rest starts as the whole text. Malformed chunks are skipped as Java skips them. */
bool msg_property_next(struct str *rest, struct str *name, struct str *value);
void msg_property_add(struct buf *out, struct str name, struct str value);
/* Appends all pairs except those whose name is in drop (n names). */
void msg_properties_without(struct buf *out, struct str properties, const struct str *drop, size_t n);

/* tagsCode of the consume queue: Java hash of TAGS, sign-extended; 0 without a tag. */
int64_t msg_tags_code(struct str properties);

/* Offset message id: upper-case hex of store host and physical offset; 32 or 56 characters. Returns the length. */
size_t msg_id_format(char out[56], const struct msg_host *store_host, int64_t physical_offset);
bool msg_id_parse(struct str id, struct msg_host *host, int64_t *physical_offset);

/* Client message id (UNIQ_KEY), 32 hex characters, unique in this process. */
size_t msg_unique_id(char out[32]);

/* One entry of a batch body (request 320 and inner batches). False at the end or when malformed (*bad = true). */
struct msg_batch_entry {
    int32_t flag;
    struct str body;
    struct str properties;
};
bool msg_batch_next(struct str *rest, struct msg_batch_entry *out, bool *bad);
void msg_batch_add(struct buf *out, int32_t flag, struct str body, struct str properties);

#define MSG_PROP_KEYS              "KEYS"
#define MSG_PROP_TAGS              "TAGS"
#define MSG_PROP_WAIT              "WAIT"
#define MSG_PROP_DELAY             "DELAY"
#define MSG_PROP_RETRY_TOPIC       "RETRY_TOPIC"
#define MSG_PROP_REAL_TOPIC        "REAL_TOPIC"
#define MSG_PROP_REAL_QID          "REAL_QID"
#define MSG_PROP_TRAN_MSG          "TRAN_MSG"
#define MSG_PROP_TRANSACTION_ID    "__transactionId__"
#define MSG_PROP_CHECK_TIMES       "TRANSACTION_CHECK_TIMES"
#define MSG_PROP_CHECK_IMMUNITY    "CHECK_IMMUNITY_TIME_IN_SECONDS"
#define MSG_PROP_PREPARED_OFFSET   "TRAN_PREPARED_QUEUE_OFFSET"
#define MSG_PROP_PGROUP            "PGROUP"
#define MSG_PROP_ORIGIN_MESSAGE_ID "ORIGIN_MESSAGE_ID"
#define MSG_PROP_RECONSUME_TIME    "RECONSUME_TIME"
#define MSG_PROP_MAX_RECONSUME     "MAX_RECONSUME_TIMES"
#define MSG_PROP_MSG_REGION        "MSG_REGION"
#define MSG_PROP_TRACE_ON          "TRACE_ON"
#define MSG_PROP_UNIQ_KEY          "UNIQ_KEY"
#define MSG_PROP_CLUSTER           "CLUSTER"
#define MSG_PROP_POP_CK            "POP_CK"
#define MSG_PROP_CORRELATION_ID    "CORRELATION_ID"
#define MSG_PROP_REPLY_TO_CLIENT   "REPLY_TO_CLIENT"
#define MSG_PROP_TTL               "TTL"
#define MSG_PROP_ARRIVE_TIME       "ARRIVE_TIME"
#define MSG_PROP_PUSH_REPLY_TIME   "PUSH_REPLY_TIME"
#define MSG_PROP_MSG_TYPE          "MSG_TYPE"
#define MSG_PROP_INNER_NUM         "INNER_NUM"
#define MSG_PROP_INNER_BASE        "INNER_BASE"
#define MSG_PROP_TIMER_DELAY_SEC   "TIMER_DELAY_SEC"
#define MSG_PROP_TIMER_DELAY_MS    "TIMER_DELAY_MS"
#define MSG_PROP_TIMER_DELIVER_MS  "TIMER_DELIVER_MS"
#define MSG_PROP_TIMER_OUT_MS      "TIMER_OUT_MS"
#define MSG_PROP_TIMER_ENQUEUE_MS  "TIMER_ENQUEUE_MS"
#define MSG_PROP_TIMER_DEQUEUE_MS  "TIMER_DEQUEUE_MS"
#define MSG_PROP_TIMER_ROLL_TIMES  "TIMER_ROLL_TIMES"
#define MSG_PROP_TIMER_DEL_UNIQKEY "TIMER_DEL_UNIQKEY"
#define MSG_PROP_BORN_TIMESTAMP    "BORN_TIMESTAMP"
#define MSG_PROP_CRC32             "__CRC32#"
#define MSG_PROP_DLQ_ORIGIN_TOPIC  "DLQ_ORIGIN_TOPIC"
#define MSG_PROP_DLQ_ORIGIN_MSG_ID "DLQ_ORIGIN_MESSAGE_ID"

#endif

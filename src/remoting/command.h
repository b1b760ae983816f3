/*
 * The remoting command: the frame of RocketMQ's TCP protocol and its header in both encodings, read without allocation.
 *
 *   totalLen i32 | type u8, headerLen u24 | header (JSON = 0, binary = 1) | body
 *
 * Decoding changes the given bytes in place (string escapes) and yields views into them; they live as long as the
 * bytes. Any thread, no state.
 */
#ifndef CROCKET_REMOTING_COMMAND_H
#define CROCKET_REMOTING_COMMAND_H

#include "base/buf.h"
#include "remoting/codes.h"

enum {
    REM_FLAG_RESPONSE = 1,
    REM_FLAG_ONEWAY = 2,
    REM_MAX_EXT = 128,                /* header fields of one command */
    REM_FRAME_MAX = 16 * 1024 * 1024, /* whole frame, the length word included */
    REM_VERSION = 479,                /* 5.3.3, as clients and brokers compare it */
};

enum rem_serialize { REM_JSON = 0, REM_BINARY = 1 };

enum rem_language {
    REM_LANG_JAVA = 0,
    REM_LANG_CPP = 1,
    REM_LANG_GO = 9,
    REM_LANG_UNKNOWN = 255,
};

struct rem_field {
    struct str key;
    struct str value; /* null: JSON null, or an empty value of the binary header */
};

struct rem_command {
    int32_t code;
    int32_t version;
    int32_t opaque;
    int32_t flag;
    enum rem_serialize serialize;
    uint8_t language;
    bool has_ext;
    uint32_t n_ext;
    struct str remark;
    struct str body;
    struct rem_field ext[REM_MAX_EXT];
};

enum rem_frame_status { REM_FRAME_OK, REM_FRAME_INCOMPLETE, REM_FRAME_BAD };

/* Looks at the first bytes of a stream: *total = length of the whole frame once 4 bytes are there (else 4). */
enum rem_frame_status rem_frame_peek(const uint8_t *data, size_t len, size_t *total);
/* Decodes one whole frame of `total` bytes. False: malformed, *why says what. */
bool rem_decode(uint8_t *frame, size_t total, struct rem_command *out, const char **why);
bool rem_decode_json_header(char *text, size_t len, struct rem_command *out, const char **why);
bool rem_decode_binary_header(const uint8_t *data, size_t len, struct rem_command *out, const char **why);

/* The value of a header field; null view when absent. */
struct str rem_ext(const struct rem_command *c, const char *key);
const char *rem_language_name(uint8_t language); /* "JAVA", ...; "OTHER" when unknown */

/*
 * Writing a frame: begin, fields, header_end, body bytes, finish. Always a JSON header: every peer reads it.
 */
struct rem_frame {
    struct buf *out;
    size_t at; /* of the frame in out */
    bool any;
};

void rem_frame_begin(struct rem_frame *f, struct buf *out, int32_t code);
void rem_frame_str(struct rem_frame *f, const char *key, struct str value); /* nothing when the view is null */
/* Fields written before: the text between the braces of extFields. For fields that stand in every answer. */
void rem_frame_fields(struct rem_frame *f, struct str fields);
void rem_frame_i64(struct rem_frame *f, const char *key, int64_t value);
void rem_frame_bool(struct rem_frame *f, const char *key, bool value);
/* remark: null view = none */
void rem_frame_header_end(struct rem_frame *f, int32_t flag, int32_t opaque, struct str remark);
/* What was appended to out since header_end is the body; more_body bytes of it will follow by other means. */
void rem_frame_finish(struct rem_frame *f, size_t more_body);

#endif

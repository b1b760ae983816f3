/*
 * Header schemas: one list of fields gives a struct, a table that fills it from the header fields of a command, and a
 * table that writes it. String members are views into the command; absent fields get the default of the list. Schemas
 * are static; rem_schema_ready builds a schema's lookup once (before the loops run). Decoding: any thread.
 *
 *   #define PULL_REQ(F)  F(STR, consumer_group, "consumerGroup", REQUIRED, STR_NULL)  F(I32, queue_id, "queueId",
 * REQUIRED, 0) REM_HEADER(pull_req, PULL_REQ)        in a header: struct pull_req and its schema pull_req_schema
 *   REM_HEADER_TABLE(pull_req, PULL_REQ)  in one .c file
 */
#ifndef CROCKET_REMOTING_SCHEMA_H
#define CROCKET_REMOTING_SCHEMA_H

#include "remoting/command.h"

enum rem_type { REM_TYPE_STR, REM_TYPE_I32, REM_TYPE_I64, REM_TYPE_BOOL };
enum { REM_OPTIONAL = 0, REM_REQUIRED = 1 };

struct rem_schema_field {
    const char *name;
    uint8_t name_len;
    uint8_t type;
    uint8_t required;
    uint16_t offset;
};

enum { REM_SCHEMA_SLOTS = 64, REM_HEADER_MAX = 1024 /* bytes of the largest header struct */ };

struct rem_schema {
    const char *name;
    const struct rem_schema_field *(*table)(size_t *count);
    void (*defaults)(void *header);
    size_t size;
    const struct rem_schema_field *fields;
    size_t count;
    uint8_t slot[REM_SCHEMA_SLOTS]; /* 1 + index of a field, by hash of its name; 0 empty */
};

#define REM_C_STR  struct str
#define REM_C_I32  int32_t
#define REM_C_I64  int64_t
#define REM_C_BOOL bool

#define REM_MEMBER_(type, member, wire, need, def) REM_C_##type member;
#define REM_FIELD_(type, member, wire, need, def)                                                                      \
    {wire, sizeof(wire) - 1, REM_TYPE_##type, REM_##need, offsetof(rem_self_, member)},
#define REM_DEFAULT_(type, member, wire, need, def) h->member = def;

#define REM_HEADER(hdr, LIST)                                                                                          \
    struct hdr {                                                                                                       \
        LIST(REM_MEMBER_)                                                                                              \
    };                                                                                                                 \
    extern struct rem_schema hdr##_schema;

#define REM_HEADER_TABLE(hdr, LIST)                                                                                    \
    static const struct rem_schema_field *hdr##_table(size_t *count)                                                   \
    {                                                                                                                  \
        typedef struct hdr rem_self_;                                                                                  \
        static const struct rem_schema_field table[] = {LIST(REM_FIELD_)};                                             \
        *count = sizeof table / sizeof table[0];                                                                       \
        return table;                                                                                                  \
    }                                                                                                                  \
    static void hdr##_defaults(void *header)                                                                           \
    {                                                                                                                  \
        struct hdr *h = header;                                                                                        \
        LIST(REM_DEFAULT_)                                                                                             \
    }                                                                                                                  \
    _Static_assert(sizeof(struct hdr) <= REM_HEADER_MAX, "raise REM_HEADER_MAX");                                      \
    struct rem_schema hdr##_schema = {                                                                                 \
        .name = #hdr, .table = hdr##_table, .defaults = hdr##_defaults, .size = sizeof(struct hdr)};

void rem_schema_ready(struct rem_schema *s);
/* Fills header (s->size bytes). False when a required field is missing or malformed: *bad names it.
 * A malformed optional number or boolean keeps its default, as in Java. */
bool rem_schema_decode(const struct rem_schema *s, const struct rem_command *c, void *header, const char **bad);
/* Writes all fields; strings that are null views are left out. */
void rem_schema_write(const struct rem_schema *s, const void *header, struct rem_frame *f);

#endif

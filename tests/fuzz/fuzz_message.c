/* Message records, properties, ids and batch bodies: whatever decodes must encode back to the same bytes. */
#include <stdlib.h>
#include <string.h>

#include "message/message.h"
#include "message/multi_dispatch.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_record(const uint8_t *data, size_t size)
{
    struct msg_view v;
    if (msg_decode(data, size, &v) != MSG_OK)
        return;
    size_t n = msg_record_size(&v.m);
    /* Only a negative properties length, which counts as none, and v2 with a short topic have another encoding. */
    if (n != v.size)
        return;
    uint8_t *copy = malloc(n);
    if (copy == NULL)
        abort();
    msg_encode(copy, &v.m);
    memcpy(copy + MSG_POS_BODY_CRC, data + MSG_POS_BODY_CRC, 4);
    if (v.magic == (v.m.topic.len > 127 ? MSG_MAGIC_V2 : MSG_MAGIC_V1) && v.m.properties.len &&
        memcmp(copy, data, n) != 0)
        abort();
    free(copy);
    (void)msg_crc_ok(&v);
}

static void check_properties(struct str text)
{
    struct buf out = {0}, again = {0};
    struct str rest = text, name, value;
    while (msg_property_next(&rest, &name, &value))
        if (str_is_null(msg_property(text, name)))
            abort();
    msg_properties_without(&out, text, NULL, 0);
    msg_properties_without(&again, buf_str(&out), NULL, 0);
    if (!str_eq(buf_str(&out), buf_str(&again)))
        abort();
    (void)msg_tags_code(text);
    buf_free(&out);
    buf_free(&again);
}

/* Every queue of a message is found again by its name. */
static void check_queues(struct str text)
{
    struct msg_multi m;
    struct str name;
    int64_t offset, base;
    int32_t messages;
    if (msg_multi_begin(&m, STR_LIT("T"), text))
        while (msg_multi_queue(&m, &name, &offset))
            if (!msg_is_lmq(name) || offset < 0 || msg_multi_offset(STR_LIT("T"), text, name) < 0)
                abort();
    if (msg_inner_batch(text, &base, &messages) && (base < 0 || messages <= 0))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str text = str_make(data, size), rest = text;
    struct msg_batch_entry e;
    struct msg_host host;
    int64_t offset;
    bool bad;
    check_record(data, size);
    check_properties(text);
    check_queues(text);
    while (msg_batch_next(&rest, &e, &bad))
        check_properties(e.properties);
    (void)msg_id_parse(text, &host, &offset);
    return 0;
}

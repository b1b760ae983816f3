/* Records of the revive log, batch acknowledgements, handles and order information: what was read can be written and
 * read again. The first byte chooses. */
#include <stdlib.h>

#include "broker/pop/pop_ack_body.h"
#include "broker/pop/pop_order.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_record(struct arena *arena, const char *tag, struct str body)
{
    struct buf properties = {0}, out = {0}, out_properties = {0};
    struct pop_record r, again;
    msg_property_add(&properties, STR_LIT(MSG_PROP_TAGS), str_from(tag));
    struct msg m = {.body = body, .properties = buf_str(&properties)};
    enum pop_record_type type = pop_record_read(&m, arena, STR_LIT("broker"), &r);
    if (type == POP_RECORD_CHECKPOINT)
        pop_checkpoint_record(&r.checkpoint, 1, &out, &out_properties, &m);
    else if (type == POP_RECORD_ACKS && r.acks.count > 0)
        pop_acks_record(&r.acks, r.acks.count > 1, 1, &out, &out_properties, &m);
    else
        type = POP_RECORD_NONE;
    if (type != POP_RECORD_NONE) {
        if (type == POP_RECORD_CHECKPOINT && pop_checkpoint_index(&r.checkpoint, r.checkpoint.key.start_offset) > 31)
            abort();
        m.properties = buf_str(&properties);
        if (r.type == POP_RECORD_CHECKPOINT && pop_record_read(&m, arena, STR_LIT("broker"), &again) != type)
            abort();
    }
    buf_free(&properties);
    buf_free(&out);
    buf_free(&out_properties);
}

static void check_order(struct arena *arena, const struct json *j)
{
    struct pop_order o = {0};
    struct buf out = {0};
    struct jw w;
    int64_t free_at;
    jw_init(&w, &out);
    if (pop_order_read(&o, j)) {
        pop_order_blocked(&o, STR_NULL, 1, 1, &free_at);
        pop_order_counts(&o, &out, POP_NORMAL, 0);
        buf_clear(&out);
        pop_order_write(&o, &w);
        if (!pop_order_read(&o, json_parse(arena, buf_str(&out), NULL)))
            abort();
    }
    pop_order_clear(&o);
    buf_free(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena = {0};
    struct pop_batch_ack ack;
    struct pop_handle handle;
    if (size == 0)
        return 0;
    struct str text = str_make(data + 1, size - 1);
    switch (data[0]) {
    case 'c':
        check_record(&arena, "ck", text);
        break;
    case 'a':
        check_record(&arena, "ack", text);
        check_record(&arena, "bAck", text);
        break;
    case 'b':
        (void)pop_batch_ack_read(&arena, json_parse(&arena, text, NULL), STR_LIT("broker"), &ack);
        break;
    case 'o':
        check_order(&arena, json_parse(&arena, text, NULL));
        break;
    default:
        (void)pop_handle_parse(text, &handle);
        (void)pop_normal_topic(text, STR_LIT("G"));
        break;
    }
    arena_free(&arena);
    return 0;
}

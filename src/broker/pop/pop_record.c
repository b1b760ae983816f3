#include "broker/pop/pop_record.h"

#define TAG_CHECKPOINT "ck"
#define TAG_ACK        "ack"
#define TAG_BATCH_ACK  "bAck"
#define PROP_DELIVER   "TIMER_DELIVER_MS"

/* ---- writing ---- */

/* offset: of the message acknowledged, or where the checkpoint starts; -1 for a batch. */
static void write_key(struct buf *out, const struct pop_key *k, int64_t offset)
{
    buf_add_str(out, k->topic);
    buf_add_byte(out, '@');
    buf_add_i64(out, k->queue_id);
    buf_add_byte(out, '@');
    buf_add_i64(out, offset);
    buf_add_byte(out, '@');
    buf_add_str(out, k->group);
    buf_add_byte(out, '@');
    buf_add_i64(out, k->pop_time);
    buf_add_byte(out, '@');
    buf_add_str(out, k->broker_name);
    buf_add_byte(out, '@');
}

/*
 * Java's broker sends these records through its timer, so that they get here when they are due, with the time they were
 * due in their properties; its revive service takes that time for the age of the log. Ours are written at once, so
 * theirs is the time of writing.
 */
static void finish(struct msg *m, const char *tag, int64_t now, struct buf *body, struct buf *properties)
{
    /* A batch's key ends like any acknowledgement's. */
    buf_add_str(properties, str_eqz(str_from(tag), TAG_CHECKPOINT) ? STR_LIT(TAG_CHECKPOINT) : STR_LIT(TAG_ACK));
    buf_add_byte(properties, 2);
    msg_property_add(properties, STR_LIT(MSG_PROP_TAGS), str_from(tag));
    char number[24];
    msg_property_add(properties, STR_LIT(PROP_DELIVER), str_make(number, fmt_i64(number, now)));
    *m = (struct msg){.body = buf_str(body), .properties = buf_str(properties), .born_time = now};
}

static void begin_properties(struct buf *properties)
{
    buf_clear(properties);
    buf_add_lit(properties, MSG_PROP_UNIQ_KEY "\1");
}

void pop_checkpoint_record(const struct pop_checkpoint *c, int64_t now, struct buf *body, struct buf *properties,
                           struct msg *m)
{
    struct jw w;
    buf_clear(body);
    jw_init(&w, body);
    jw_begin_object(&w);
    jw_ki64(&w, "bm", (int32_t)c->acked);
    jw_kstr(&w, "bn", c->key.broker_name);
    jw_kstr(&w, "c", c->key.group);
    jw_karray(&w, "d");
    for (uint32_t i = 0; i < c->count; i++)
        jw_i64(&w, c->diff[i]);
    jw_end_array(&w);
    jw_ki64(&w, "it", c->invisible_ms);
    jw_ki64(&w, "n", c->count);
    jw_ki64(&w, "pt", c->key.pop_time);
    jw_ki64(&w, "q", c->key.queue_id);
    jw_ki64(&w, "reviveTime", c->key.pop_time + c->invisible_ms);
    jw_ki64(&w, "ro", 0);
    jw_ki64(&w, "so", c->key.start_offset);
    jw_kstr(&w, "t", c->key.topic);
    jw_end_object(&w);
    begin_properties(properties);
    write_key(properties, &c->key, c->key.start_offset);
    finish(m, TAG_CHECKPOINT, now, body, properties);
}

void pop_acks_record(const struct pop_acks *a, bool batch, int64_t now, struct buf *body, struct buf *properties,
                     struct msg *m)
{
    struct jw w;
    buf_clear(body);
    jw_init(&w, body);
    jw_begin_object(&w);
    jw_ki64(&w, "ao", batch ? -1 : a->offset[0]);
    if (batch) {
        jw_karray(&w, "aol");
        for (size_t i = 0; i < a->count; i++)
            jw_i64(&w, a->offset[i]);
        jw_end_array(&w);
    }
    jw_kstr(&w, "bn", a->key.broker_name);
    jw_kstr(&w, "c", a->key.group);
    jw_ki64(&w, "pt", a->key.pop_time);
    jw_ki64(&w, "q", a->key.queue_id);
    jw_ki64(&w, "so", a->key.start_offset);
    jw_kstr(&w, "t", a->key.topic);
    jw_end_object(&w);
    begin_properties(properties);
    write_key(properties, &a->key, batch ? -1 : a->offset[0]);
    finish(m, batch ? TAG_BATCH_ACK : TAG_ACK, now, body, properties);
}

/* ---- reading ---- */

static bool read_key(const struct json *j, struct pop_key *k)
{
    int64_t queue = json_i64(j, "q", 0);
    *k = (struct pop_key){
        .topic = json_str(j, "t"),
        .group = json_str(j, "c"),
        .broker_name = json_str(j, "bn"),
        .queue_id = (int32_t)queue,
        .start_offset = json_i64(j, "so", 0),
        .pop_time = json_i64(j, "pt", 0),
    };
    return k->topic.len && k->group.len && queue >= 0 && queue <= INT32_MAX;
}

/* Checkpoints of old brokers have no differences: their offsets follow each other. */
static bool read_checkpoint(const struct json *j, struct pop_checkpoint *c)
{
    int64_t count = json_i64(j, "n", 0);
    const struct json *diffs = json_get(j, "d");
    if (!read_key(j, &c->key) || count < 0)
        return false;
    c->invisible_ms = json_i64(j, "it", 0);
    c->acked = (uint32_t)json_i64(j, "bm", 0);
    c->count = 0;
    if (diffs && diffs->kind == JSON_ARRAY && diffs->count > 0) {
        JSON_EACH(d, diffs)
        {
            int64_t diff = json_int(d, -1);
            if (c->count < POP_MAX_MESSAGES && c->count < count && diff >= 0 && diff <= INT32_MAX)
                c->diff[c->count++] = (int32_t)diff;
        }
        return true;
    }
    for (; c->count < POP_MAX_MESSAGES && c->count < count; c->count++)
        c->diff[c->count] = (int32_t)c->count;
    return true;
}

static bool read_acks(const struct json *j, bool batch, struct pop_acks *a)
{
    if (!read_key(j, &a->key))
        return false;
    a->count = 0;
    if (!batch) {
        a->offset[a->count++] = json_i64(j, "ao", -1);
        return true;
    }
    JSON_EACH(o, json_get(j, "aol"))
    {
        if (a->count < POP_MAX_MESSAGES)
            a->offset[a->count++] = json_int(o, -1);
    }
    return true;
}

enum pop_record_type pop_record_read(const struct msg *m, struct arena *arena, struct str own_name,
                                     struct pop_record *out)
{
    struct str tag = msg_property(m->properties, STR_LIT(MSG_PROP_TAGS));
    bool checkpoint = str_eqz(tag, TAG_CHECKPOINT), batch = str_eqz(tag, TAG_BATCH_ACK);
    out->type = POP_RECORD_NONE;
    if (!checkpoint && !batch && !str_eqz(tag, TAG_ACK))
        return POP_RECORD_NONE;
    const struct json *j = json_parse(arena, m->body, NULL);
    if (j == NULL || j->kind != JSON_OBJECT)
        return POP_RECORD_NONE;
    if (checkpoint && read_checkpoint(j, &out->checkpoint)) {
        out->type = POP_RECORD_CHECKPOINT;
    } else if (!checkpoint && read_acks(j, batch, &out->acks)) {
        out->type = POP_RECORD_ACKS;
        if (str_blank(out->acks.key.broker_name))
            out->acks.key.broker_name = own_name;
    }
    return out->type;
}

int pop_checkpoint_index(const struct pop_checkpoint *c, int64_t offset)
{
    for (uint32_t i = 0; i < c->count; i++)
        if (c->key.start_offset + c->diff[i] == offset)
            return (int)i;
    return -1;
}

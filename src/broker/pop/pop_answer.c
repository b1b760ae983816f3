/* The end of a pop: its checkpoints go into the log, then the group's offset moves and the client gets its messages. */
#include "broker/pop/pop.h"
#include "broker/pop/pop_wait.h"
#include "broker/send/send.h"
#include "os/clock.h"

static void write_header(struct rem_frame *f, const struct pop *p, struct str starts, struct str offsets)
{
    rem_frame_i64(f, "popTime", p->pop_time);
    rem_frame_i64(f, "invisibleTime", p->invisible_ms);
    rem_frame_i64(f, "reviveQid", p->revive_queue);
    rem_frame_i64(f, "restNum", p->rest);
    rem_frame_str(f, "startOffsetInfo", starts);
    rem_frame_str(f, "msgOffsetInfo", offsets);
    if (p->order)
        rem_frame_str(f, "orderCountInfo", buf_str(&p->counts));
}

void pop_answer_empty(struct broker_loop *bl, struct pop *p, int32_t code)
{
    struct rem_frame f;
    if (rem_token_begin(&p->token, &f, code)) {
        write_header(&f, p, STR_LIT(""), STR_LIT(""));
        rem_token_end(&p->token, &f, STR_LIT("NO_MESSAGE_IN_QUEUE"), STR_NULL);
    }
    pop_free(p);
}

static void answer_failed(struct pop *p)
{
    char remark[PUT_REMARK_MAX];
    struct rem_frame f;
    int32_t code = put_failure(p->broker, p->failure, remark);
    if (rem_token_begin(&p->token, &f, code))
        rem_token_end(&p->token, &f, str_from(remark), STR_NULL);
}

static void answer_found(struct broker_loop *bl, struct pop *p)
{
    struct buf starts = {0}, offsets = {0};
    struct rem_frame f;
    uint32_t count = 0;
    for (uint32_t i = 0; i < p->part_count; i++) {
        const struct pop_part *part = &p->parts[i];
        if (part->failed)
            continue;
        enum pop_kind kind = part->queue->group->kind;
        pop_info_start(&starts, kind, part->queue->id, part->start);
        pop_info_offsets(&offsets, kind, part->queue->id, p->offset + part->first, part->count);
        count += part->count;
    }
    if (count == 0) {
        answer_failed(p);
    } else if (rem_token_begin(&p->token, &f, RESP_SUCCESS)) {
        write_header(&f, p, buf_str(&starts), buf_str(&offsets));
        rem_token_header_end(&p->token, &f, STR_LIT("FOUND"));
        for (uint32_t i = 0; i < p->part_count; i++)
            if (!p->parts[i].failed)
                buf_add(f.out, p->body.data + p->parts[i].body_at, p->parts[i].body_len);
        rem_token_finish(&p->token, &f, 0);
        stats_add(bl->gets, count);
    }
    buf_free(&starts);
    buf_free(&offsets);
    if (p->rest > 0)
        pop_wait_wake(bl->broker, p->group, UINT64_C(1) << net_loop_id(bl->loop));
    pop_free(p);
}

/* All checkpoints are in the log, or failed. */
static void finish(struct broker_loop *bl, struct pop *p)
{
    struct broker *b = bl->broker;
    for (uint32_t i = 0; i < p->part_count; i++) {
        struct pop_part *part = &p->parts[i];
        struct pop_queue *q = part->queue;
        int64_t commit;
        if (!part->failed)
            atomic_fetch_add_explicit(&q->inflight, part->count, memory_order_relaxed);
        if (pop_queue_done(q, !part->failed, part->start, &commit))
            offset_commit(b->offsets, q->group->group, q->group->topic, q->id, commit);
        pop_wait_wake(b, p->group, pop_queue_leave(q));
    }
    answer_found(bl, p);
}

static void durable(struct broker_loop *bl, struct loop_put *put, bool flushed)
{
    struct pop *p = LIST_ENTRY(put, struct pop, put);
    /* Parked when the broker was freed: whom it would wake is about to go too. */
    if (bl->broker->store == NULL)
        pop_free(p);
    else
        finish(bl, p);
}

static void done(struct broker_loop *bl, struct loop_put *put, const struct put_result *r)
{
    struct broker *b = bl->broker;
    struct pop *p = LIST_ENTRY(put, struct pop, put);
    while (p->parts[p->done].failed) /* never got into the batch */
        p->done++;
    struct pop_part *part = &p->parts[p->done++];
    if (r->status != PUT_OK) {
        part->failed = true;
        p->failure = r->status;
    } else {
        p->log_end = r->end_offset;
        stats_add(b->pop->checkpoints, 1);
        pop_count(b, part->queue->group, POP_CK_NUMS, 1);
    }
    for (uint32_t i = p->done; i < p->part_count; i++)
        if (!p->parts[i].failed)
            return;
    if (store_sync_flush(b->store) && store_flushed(b->store) < p->log_end)
        broker_loop_park(bl, put, p->log_end);
    else
        finish(bl, p);
}

static enum put_status put_checkpoint(struct broker_loop *bl, struct pop *p, const struct pop_part *part)
{
    struct broker *b = bl->broker;
    struct pop_loop *pl = pop_loop_of(bl);
    const struct pop_group *g = part->queue->group;
    struct pop_checkpoint c = {
        .key =
            {
                .topic = g->topic,
                .group = g->group,
                .broker_name = str_from(b->conf->broker_name),
                .queue_id = part->queue->id,
                .start_offset = part->start,
                .pop_time = p->pop_time,
            },
        .invisible_ms = p->invisible_ms,
        .count = part->count,
    };
    struct msg m;
    for (uint32_t i = 0; i < part->count; i++)
        c.diff[i] = (int32_t)(p->offset[part->first + i] - part->start);
    pop_checkpoint_record(&c, clock_wall_ms(), &pl->body, &pl->properties, &m);
    if (!buf_ok(&pl->body) || !buf_ok(&pl->properties))
        return PUT_UNKNOWN_ERROR;
    return pop_log_add(b, bl->batch, p->revive_queue, &m, &p->put);
}

void pop_checkpoint_parts(struct broker_loop *bl, struct pop *p)
{
    bool any = false;
    if (p->order) {
        answer_found(bl, p);
        return;
    }
    p->put.done = done;
    p->put.durable = durable;
    for (uint32_t i = 0; i < p->part_count; i++) {
        enum put_status status = put_checkpoint(bl, p, &p->parts[i]);
        p->parts[i].failed = status != PUT_OK;
        if (status != PUT_OK)
            p->failure = status;
        else
            any = true;
    }
    if (!any)
        finish(bl, p);
}

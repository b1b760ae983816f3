/* In which queues a record stands, and with which entries: its own queue, and light message queues it is dispatched to.
 */
#include "message/multi_dispatch.h"
#include "store/store_int.h"

bool store_dispatches(const struct store *s)
{
    return s->conf.enableLmq && s->conf.enableMultiDispatch;
}

static struct store_entry entry_of(const struct store *s, const struct msg_view *v, int64_t queue_offset)
{
    return (struct store_entry){
        .physical_offset = v->m.physical_offset,
        .size = (int32_t)v->size,
        .messages = 1,
        .tags_code = store_tags_code(s, v->m.topic, v->m.properties, v->m.store_time),
        .queue_offset = queue_offset,
    };
}

bool store_place(const struct store *s, const struct cq *q, const struct msg_view *v, struct store_entry *e)
{
    if (!store_is_queued(v->m.sys_flag))
        return false;
    if (str_eq(v->m.topic, cq_topic(q))) {
        *e = entry_of(s, v, v->m.queue_offset);
        if (cq_is_batch(q)) {
            e->store_time = v->m.store_time;
            msg_inner_batch(v->m.properties, &e->queue_offset, &e->messages);
        }
        return v->m.queue_id == cq_id(q);
    }
    if (!msg_is_lmq(cq_topic(q)) || cq_id(q) != MSG_LMQ_QUEUE_ID)
        return false;
    *e = entry_of(s, v, msg_multi_offset(v->m.topic, v->m.properties, cq_topic(q)));
    return e->queue_offset >= 0;
}

bool store_multi_begin(const struct store *s, const struct cq *own, const struct msg_view *v, struct store_multi *it)
{
    if (!store_dispatches(s) || cq_is_batch(own) || !msg_multi_begin(&it->m, v->m.topic, v->m.properties))
        return false;
    it->e = entry_of(s, v, 0);
    return true;
}

bool store_multi_next(struct store *s, struct store_multi *it, struct cq **q)
{
    struct str name;
    if (!msg_multi_queue(&it->m, &name, &it->e.queue_offset))
        return false;
    *q = store_queue(s, name, MSG_LMQ_QUEUE_ID, true);
    return true;
}

#include "broker/broker_loop.h"

#include "os/clock.h"
#include <stdlib.h>

enum { PARKED_FEW = 8 };

static void put_done(void *arg, void *user, const struct put_result *r)
{
    struct loop_put *p = user;
    p->done(arg, p, r);
}

static void end_of_round(struct net_loop *loop, struct net_hook *hook)
{
    struct broker_loop *bl = LIST_ENTRY(hook, struct broker_loop, hook);
    if (store_batch_count(bl->batch) == 0)
        return;
    catch_up_new(bl);
    store_batch_commit(bl->batch, put_done, bl);
}

void broker_loop_park(struct broker_loop *bl, struct loop_put *p, int64_t end_offset)
{
    p->next = NULL;
    p->end_offset = end_offset;
    p->deadline_ms = net_loop_now_ms(bl->loop) + bl->broker->store_conf->syncFlushTimeout;
    *bl->parked_last = p;
    bl->parked_last = &p->next;
    if (atomic_fetch_add(&bl->parked_count, 1) == 0)
        net_timer_set(bl->loop, &bl->park_timer, bl->broker->store_conf->syncFlushTimeout);
    /* A flush that ended before the count went up told nobody. */
    if (store_flushed(bl->broker->store) >= end_offset)
        broker_loop_flushed(bl);
}

static void release_parked(struct broker_loop *bl)
{
    int64_t flushed = store_flushed(bl->broker->store), now = clock_mono_ms();
    struct loop_put *p;
    while ((p = bl->parked_first) && (p->end_offset <= flushed || p->deadline_ms <= now)) {
        bl->parked_first = p->next;
        if (bl->parked_first == NULL)
            bl->parked_last = &bl->parked_first;
        atomic_fetch_sub(&bl->parked_count, 1);
        p->durable(bl, p, p->end_offset <= flushed);
    }
    if (p)
        net_timer_set(bl->loop, &bl->park_timer, p->deadline_ms - now);
    else
        net_timer_cancel(bl->loop, &bl->park_timer);
}

static void flushed_task(struct net_loop *loop, struct net_task *t)
{
    struct broker_loop *bl = LIST_ENTRY(t, struct broker_loop, flushed_task);
    atomic_store(&bl->flushed_posted, false);
    if (bl->broker->store) /* closed: nobody waits any more */
        release_parked(bl);
}

void broker_loop_flushed(struct broker_loop *bl)
{
    unsigned parked = atomic_load(&bl->parked_count);
    if (parked == 0 || atomic_exchange(&bl->flushed_posted, true))
        return;
    /* A few answers are sent sooner by the flusher itself; many would keep it from the next sync. */
    if (parked <= PARKED_FEW)
        net_loop_post_near(bl->loop, &bl->flushed_task);
    else
        net_loop_post(bl->loop, &bl->flushed_task);
}

static void park_timeout(struct net_loop *loop, struct net_timer *t)
{
    release_parked(LIST_ENTRY(t, struct broker_loop, park_timer));
}

/* Rendered once: region and cluster do not change while the broker runs, and the trace switch has two positions. */
static bool render_stamps(struct broker_loop *bl, bool trace_on)
{
    const struct broker_conf *conf = bl->broker->conf;
    struct buf *stamp = &bl->stamp[trace_on], *answer = &bl->answer_stamp[trace_on];
    struct str trace = trace_on ? STR_LIT("true") : STR_LIT("false");
    msg_property_add(stamp, STR_LIT(MSG_PROP_MSG_REGION), str_from(conf->region_id));
    msg_property_add(stamp, STR_LIT(MSG_PROP_TRACE_ON), trace);
    msg_property_add(stamp, STR_LIT(MSG_PROP_CLUSTER), str_from(conf->cluster_name));
    buf_printf(answer, "\"MSG_REGION\":\"%s\",\"TRACE_ON\":\"%.*s\"", conf->region_id, STR_ARG(trace));
    return buf_ok(stamp) && buf_ok(answer);
}

struct broker_loop *broker_loop_new(struct broker *b, struct net_loop *loop)
{
    struct broker_loop *bl = calloc(1, sizeof *bl);
    if (bl == NULL)
        return NULL;
    bl->broker = b;
    bl->loop = loop;
    bl->hook.fn = end_of_round;
    bl->flushed_task.fn = flushed_task;
    bl->park_timer.fn = park_timeout;
    bl->parked_last = &bl->parked_first;
    catch_up_init(bl);
    bl->random = (uint32_t)clock_mono_ns() | 1;
    bl->puts = stats_item(b->stats, STATS_BROKER_PUT_NUMS, str_from(b->conf->cluster_name));
    bl->gets = stats_item(b->stats, STATS_BROKER_GET_NUMS, str_from(b->conf->cluster_name));
    bl->batch = store_batch_new(b->store);
    if (!render_stamps(bl, false) || !render_stamps(bl, true) || bl->batch == NULL || bl->puts == NULL ||
        bl->gets == NULL) {
        broker_loop_free(bl);
        return NULL;
    }
    net_loop_hook(loop, &bl->hook);
    return bl;
}

void broker_loop_free(struct broker_loop *bl)
{
    if (bl == NULL)
        return;
    if (bl->batch)
        store_batch_free(bl->batch);
    /* What is parked gets no answer any more. */
    while (bl->parked_first) {
        struct loop_put *p = bl->parked_first;
        bl->parked_first = p->next;
        p->durable(bl, p, false);
    }
    send_free_all(bl);
    catch_up_free(bl);
    while (bl->free_pins) {
        void *next = *(void **)(void *)bl->free_pins;
        free(bl->free_pins);
        bl->free_pins = next;
    }
    buf_free(&bl->scratch);
    for (int i = 0; i < 2; i++) {
        buf_free(&bl->stamp[i]);
        buf_free(&bl->answer_stamp[i]);
    }
    map_free(&bl->topics, NULL);
    free(bl);
}

struct topic *broker_loop_topic(struct broker_loop *bl, struct str name)
{
    uint64_t generation = topics_generation(bl->broker->topics);
    if (generation != bl->topics_generation) {
        map_clear(&bl->topics, NULL);
        bl->topics_generation = generation;
    }
    struct topic *t = map_get(&bl->topics, name);
    if (t == NULL) {
        t = topic_find(bl->broker->topics, name);
        if (t)
            map_put(&bl->topics, name, t, NULL);
    }
    return t;
}

/* xorshift: only spreads messages over queues. */
uint32_t broker_loop_random(struct broker_loop *bl)
{
    uint32_t x = bl->random;
    x ^= x << 13;
    x ^= x >> 17;
    x ^= x << 5;
    return bl->random = x;
}

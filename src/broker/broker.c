/*
 * The broker's life: open the store and the configuration files, listen, run, drain, close. The order of the start is
 * the order of need; the end is its mirror.
 */
#include "broker/broker_int.h"

#include "base/log.h"
#include "broker/background.h"
#include "broker/broker_loop.h"
#include "broker/filter/consumer_filter.h"
#include "broker/filter/filter_servers.h"
#include "broker/pull/cold_read.h"
#include "broker/pull/pull.h"
#include "broker/send/send.h"
#include "broker/timer/timer.h"
#include "broker/transaction/transaction.h"
#include "broker/waiting.h"
#include "os/clock.h"
#include "os/fs.h"
#include "os/thread.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { ADMIN_WORKERS = 4, COLD_READERS = 2, LOCK_LIVE_MS = 60000, DRAIN_MS = 200, ANY_PORT_TRIES = 20 };

/* ---- what the store tells ---- */

static void on_arrived(void *arg, struct cq *q, uint64_t loops)
{
    pull_arrived(arg, q, loops);
}

static void on_flushed(void *arg, int64_t flushed)
{
    struct broker *b = arg;
    for (unsigned i = 0; i < b->pool->count; i++)
        if (b->loops[i])
            broker_loop_flushed(b->loops[i]);
}

/* After a failed sync nobody knows what is on the disk: the only honest thing is to stop and recover from the log. */
void broker_die(struct broker *b, const char *text)
{
    LOG(LOG_ERROR, "broker", "stopping at once: %s", text);
    if (b->fatal == NULL)
        _exit(1);
    b->fatal(b->fatal_arg, text);
}

static void on_fatal(void *arg, const char *text)
{
    broker_die(arg, text);
}

/* The store has to know which topics have batch queues before it looks for its queues. */
static int on_opening(void *arg, struct err *err)
{
    struct broker *b = arg;
    return topic_manager_load(b->topics, err);
}

/* A message whose topic is forgotten is lost to its consumers. */
static int on_flushing(void *arg, struct err *err)
{
    struct broker *b = arg;
    if (topic_sync(b->topics, err))
        return -1;
    return b->groups ? group_sync(b->groups, err) : 0;
}

static bool on_batch_topic(void *arg, struct str topic)
{
    struct broker *b = arg;
    const struct topic *t = topic_find(b->topics, topic);
    return t && t->batch;
}

/* A queue that is not there has no messages, unless its topic is not there either. */
static int64_t end_of_queue(void *arg, struct str topic, int32_t queue_id)
{
    const struct broker *b = arg;
    const struct cq *q = store_queue(b->store, topic, queue_id, false);
    return q ? cq_max(q) : topic_find(b->topics, topic) ? 0 : -1;
}

/*
 * What follows queues takes their ends for what they are, so it needs whole ones. Where a loss of power took the end of
 * a queue, groups that had consumed it go on at what is the end now: else they would pass over as many new messages.
 */
static int load_followers(struct broker *b, struct err *err)
{
    offset_set_back(b->offsets, end_of_queue, b);
    return (b->timer && timer_load(b->timer, err) < 0) || pop_revive_load(b->revive, err) < 0 ? -1 : 0;
}

static int start_followers(struct broker *b, struct err *err)
{
    return schedule_start(b->schedule, err) < 0 || (b->timer && timer_start(b->timer, err) < 0) ||
                   transactions_start(b->transactions, err) < 0 || pop_revive_start(b->revive, err) < 0
               ? -1
               : 0;
}

static uint32_t on_filter_bits(void *arg, struct str topic, struct str properties)
{
    const struct broker *b = arg;
    return b->conf->calc_filter_bits ? consumer_filters_bits(b->filters, topic, properties) : 0;
}

static void on_rebuilt(void *arg)
{
    struct broker *b = arg;
    struct err err;
    if (load_followers(b, &err) < 0 || start_followers(b, &err) < 0) {
        broker_die(b, err.text);
        return;
    }
    atomic_store(&b->waits, false);
    LOG(LOG_INFO, "broker",
        "the consume queues are whole: messages are taken, consumers and producers find everything");
}

/* ---- consumers ---- */

static void group_gone(void *arg, struct str group)
{
    struct broker *b = arg;
    consumer_filters_unregister(b->filters, group);
}

/* ---- connections ---- */

static void conn_closed(void *role, struct net_conn *c)
{
    struct broker *b = role;
    consumer_conn_closed(b->consumers, net_conn_ref(c));
    producer_conn_closed(b->producers, net_conn_ref(c));
    if (filter_servers_closed(b->filter_servers, net_conn_ref(c)))
        registration_all_soon(b->registration);
}

/* ---- putting from background threads ---- */

enum put_status broker_put(struct broker *b, struct topic *t, struct msg *m, struct put_result *r)
{
    struct store_msg put = {.m = *m, .queue = topic_queue(b->topics, t, m->queue_id)};
    if (put.queue == NULL)
        return PUT_UNKNOWN_ERROR;
    put.m.topic = t->name;
    put.tags_code = msg_tags_code(m->properties);
    enum put_status status = store_put(b->store, &put, r);
    if (status == PUT_OK)
        topic_count_put(b->stats, t, r->count, r->bytes);
    return status;
}

/* ---- start ---- */

static int open_files(struct broker *b, struct err *err)
{
    const char *root = b->store_conf->storePathRootDir;
    char dir[4096];
    int n = snprintf(dir, sizeof dir, "%s/config", root);
    if (n < 0 || (size_t)n >= sizeof dir)
        return err_set(err, ENAMETOOLONG, "the store path '%s' is too long", root);
    struct store_events events = {
        .arg = b,
        .arrived = on_arrived,
        .flushed = on_flushed,
        .flushing = on_flushing,
        .fatal = on_fatal,
        .opening = on_opening,
        .batch_topic = on_batch_topic,
        .filter_bits = on_filter_bits,
        .rebuilt = on_rebuilt,
    };
    bool lmq = b->store_conf->enableLmq;
    b->topics = topic_manager_new(NULL, dir);
    if (b->topics == NULL)
        return err_set(err, ENOMEM, "out of memory for the broker's tables");
    topic_set_lmq(b->topics, lmq);
    if (store_open(&b->store, b->store_conf, fs_real(), &events, err) < 0)
        return -1;
    atomic_store(&b->waits, store_rebuilding(b->store));
    if (!topic_set_store(b->topics, b->store))
        return err_set(err, ENOMEM, "out of memory for the compaction topics");
    b->config_dir = strdup(dir);
    b->groups = group_manager_new(dir, b->conf->auto_create_group);
    b->offsets = offset_manager_new(dir, lmq);
    b->consumers = consumer_manager_new();
    b->filters = consumer_filters_new(dir, bloom_make(b->conf->bloom_error_percent, b->conf->bloom_consumers));
    b->filter_servers = filter_servers_new();
    b->producers = producer_manager_new();
    b->locks = lock_manager_new(LOCK_LIVE_MS);
    b->stats = stats_new(b->conf->cluster_name);
    b->schedule = schedule_new(b);
    b->timer = b->store_conf->timerWheelEnable ? timer_new(b) : NULL;
    b->transactions = transactions_new(b);
    b->registration = registration_new(b);
    b->revive = pop_revive_new(b);
    b->request_modes = request_modes_new(dir);
    if (!b->config_dir || !b->groups || !b->offsets || !b->consumers || !b->filters || !b->filter_servers ||
        !b->producers || !b->locks || !b->stats || !b->schedule || (b->store_conf->timerWheelEnable && !b->timer) ||
        !b->transactions || !b->registration || !b->revive || !b->request_modes)
        return err_set(err, ENOMEM, "out of memory for the broker's tables");
    consumer_filters_set_store(b->filters, b->store);
    consumer_on_change(b->consumers, notify_consumer_ids_changed, b);
    consumer_on_gone(b->consumers, group_gone, b);
    group_set_auto_create_system(b->groups, b->conf->auto_create_system_group);
    group_set_lmq(b->groups, lmq);
    if (group_manager_load(b->groups, err) < 0 || offset_manager_load(b->offsets, err) < 0 ||
        consumer_filters_load(b->filters, err) < 0 || schedule_load(b->schedule, err) < 0 ||
        transactions_load(b->transactions, err) < 0 || request_modes_load(b->request_modes, err) < 0)
        return -1;
    if (topic_create_system(b->topics, b->conf->cluster_name, b->conf->broker_name, b->conf->default_topic_queue_nums,
                            b->conf->auto_create_topic, b->conf->cluster_topic, b->conf->broker_topic, err) < 0)
        return -1;
    if (pop_state_new(b, err) < 0 || (!broker_waits(b) && load_followers(b, err) < 0))
        return -1;
    return !b->conf->trace_topic ||
                   topic_ensure(b->topics, str_from(b->conf->trace_topic_name), 1, PERM_READ | PERM_WRITE, 0, err)
               ? 0
               : -1;
}

static int add_tables(struct rem_server *s, bool with_pull, struct err *err)
{
    /* A row that comes later replaces one with its code: what is served wins over what is refused. */
    const struct broker_ops *const tables[] = {
        &unsupported_ops,
        &send_ops,
        &send_back_ops,
        &transaction_ops,
        &reply_ops,
        &client_ops,
        &lock_ops,
        &offset_ops,
        &query_ops,
        &filter_server_ops,
        &broker_admin_topic_ops,
        &broker_admin_group_ops,
        &broker_admin_consumer_ops,
        &broker_admin_ops,
        &timer_ops,
        &pop_ack_ops,
        &assignment_ops,
    };
    for (size_t i = 0; i < sizeof tables / sizeof tables[0]; i++)
        if (rem_server_add(s, tables[i]->ops, tables[i]->count, err) < 0)
            return -1;
    if (!with_pull)
        return 0;
    return rem_server_add(s, pull_ops.ops, pull_ops.count, err) < 0 ||
                   rem_server_add(s, pop_ops.ops, pop_ops.count, err) < 0 ||
                   rem_server_add(s, pop_peek_ops.ops, pop_peek_ops.count, err) < 0
               ? -1
               : 0;
}

static struct rem_server *new_server(struct broker *b, bool with_pull, struct err *err)
{
    struct rem_server_conf conf = {
        .what = with_pull ? "broker" : "broker-fast",
        .role = b,
        .idle_timeout_ms = (int64_t)b->conf->idle_seconds * 1000,
        .workers = with_pull ? (b->conf->workers > 0 ? (unsigned)b->conf->workers : ADMIN_WORKERS) : 1,
        .admit = waiting_admit,
        .closed = conn_closed,
    };
    struct rem_server *s = rem_server_new(&conf, NULL, 0, err);
    if (s && add_tables(s, with_pull, err) < 0) {
        rem_server_free(s);
        return NULL;
    }
    return s;
}

static int set_address(struct broker *b, struct err *err)
{
    struct net_address a;
    snprintf(b->address, sizeof b->address, "%s:%d", b->conf->broker_ip1, b->conf->listen_port);
    if (net_address_parse(&a, str_from(b->address), err) < 0)
        return -1;
    msg_host_from(&b->store_host, &a);
    return 0;
}

/* The main port and, two below it, the fast one. */
static int listen_pair(struct broker *b, struct str host, int32_t port, struct err *err)
{
    if (net_listen(&b->listener, b->pool, host, (uint16_t)port, rem_server_protocol(b->server), b->server, err) < 0)
        return -1;
    port = net_listener_port(b->listener);
    if (port > 2 && net_listen(&b->fast_listener, b->pool, host, (uint16_t)(port - 2),
                               rem_server_protocol(b->fast_server), b->fast_server, err) < 0) {
        net_listener_free(b->listener);
        b->listener = NULL;
        return -1;
    }
    b->conf->listen_port = port;
    return 0;
}

static int listen_ports(struct broker *b, const char *host, struct err *err)
{
    b->server = new_server(b, true, err);
    b->fast_server = b->server ? new_server(b, false, err) : NULL;
    if (b->fast_server == NULL)
        return -1;
    /* Of any free port the one two below may be taken: then another. */
    int tries = b->conf->listen_port == 0 ? ANY_PORT_TRIES : 1, r = -1;
    for (int i = 0; r < 0 && i < tries; i++)
        r = listen_pair(b, str_from(host), b->conf->listen_port, err);
    return r < 0 ? -1 : set_address(b, err);
}

int broker_create(struct broker **out, const struct broker_options *o, struct net_pool *pool, struct err *err)
{
    struct broker *b = calloc(1, sizeof *b);
    if (b == NULL)
        return err_set(err, ENOMEM, "out of memory for the broker");
    b->conf = o->conf;
    b->store_conf = o->store_conf;
    b->config_path = o->config_path ? strdup(o->config_path) : NULL;
    b->pool = pool;
    b->fatal = o->fatal;
    b->fatal_arg = o->fatal_arg;
    b->start_time = clock_wall_ms();
    if (open_files(b, err) < 0)
        goto fail;
    for (unsigned i = 0; i < pool->count; i++) {
        b->loops[i] = broker_loop_new(b, pool->loops[i]);
        if (b->loops[i] == NULL) {
            err_set(err, ENOMEM, "out of memory for the broker's event loops");
            goto fail;
        }
    }
    b->cold = cold_read_new(b->store, COLD_READERS, err);
    if (b->cold == NULL || listen_ports(b, o->listen_host, err) < 0)
        goto fail;
    *out = b;
    return 0;
fail:
    broker_free(b);
    return -1;
}

int broker_start(struct broker *b, struct err *err)
{
    bool later = broker_waits(b); /* on_rebuilt starts them */
    if (store_start(b->store, err) < 0 || (!later && start_followers(b, err) < 0) ||
        registration_start(b->registration, err) < 0)
        return -1;
    b->background = background_start(b, err);
    return b->background ? 0 : -1;
}

/* ---- end ---- */

void broker_drain(struct broker *b)
{
    atomic_store(&b->draining, true);
    store_stop_rebuild(b->store); /* nothing is started any more */
    registration_stop(b->registration);
    net_listener_stop(b->listener);
    if (b->fast_listener)
        net_listener_stop(b->fast_listener);
    schedule_stop(b->schedule);
    timer_stop(b->timer);
    transactions_stop(b->transactions);
    pop_revive_stop(b->revive);
    background_stop(b->background);
    b->background = NULL;
    /* What clients have sent already is answered before the loops end. */
    thread_sleep_ms(DRAIN_MS);
    cold_read_stop(b->cold);
}

static void free_waits(void *arg, struct cq *q)
{
    pull_free_queue(q);
}

static void persist(struct broker *b)
{
    struct err err;
    if (offset_persist(b->offsets, &err) < 0 || topic_persist(b->topics, &err) < 0 ||
        group_persist(b->groups, &err) < 0 ||
        consumer_filters_persist(b->filters, b->conf->filter_clean_ms, &err) < 0 ||
        (b->pop && pop_state_persist(b, &err) < 0))
        LOG(LOG_ERROR, "broker", "%s", err.text);
}

void broker_free(struct broker *b)
{
    if (b == NULL)
        return;
    if (b->store)
        store_stop_rebuild(b->store);
    net_listener_free(b->listener);
    net_listener_free(b->fast_listener);
    background_stop(b->background);
    if (b->cold)
        cold_read_stop(b->cold);
    rem_server_free(b->server);
    rem_server_free(b->fast_server);
    if (b->schedule)
        schedule_free(b->schedule);
    timer_free(b->timer);
    /* The last of the loops' and workers' work is done: nothing is added to what it writes down now. */
    transactions_free(b->transactions);
    pop_revive_free(b->revive);
    if (b->registration)
        registration_free(b->registration);
    if (b->store && b->topics && b->groups && b->offsets && b->filters)
        persist(b);
    if (b->store)
        store_each_queue_ever(b->store, free_waits, b);
    cold_read_free(b->cold);
    /* The store tells the loops of its last flush while it closes. */
    if (b->store)
        store_close(b->store);
    b->store = NULL;
    net_pool_run_posted(b->pool);
    for (unsigned i = 0; i < NET_MAX_LOOPS; i++)
        broker_loop_free(b->loops[i]);
    pop_state_free(b);
    request_modes_free(b->request_modes);
    topic_manager_free(b->topics);
    group_manager_free(b->groups);
    offset_manager_free(b->offsets);
    consumer_manager_free(b->consumers);
    consumer_filters_free(b->filters);
    filter_servers_free(b->filter_servers);
    producer_manager_free(b->producers);
    lock_manager_free(b->locks);
    stats_free(b->stats);
    free(b->config_path);
    free(b->config_dir);
    free(b);
}

uint16_t broker_port(const struct broker *b)
{
    return (uint16_t)b->conf->listen_port;
}

const char *broker_address(const struct broker *b)
{
    return b->address;
}

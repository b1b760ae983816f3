/* The life of the transactional messages: two threads, one that notes down, one that searches. */
#include "base/log.h"
#include "broker/config/config_file.h"
#include "broker/transaction/transaction_int.h"
#include "os/clock.h"
#include <errno.h>
#include <stdlib.h>

/* ---- half messages ---- */

struct topic *transaction_redirect(struct broker *b, struct msg *m, struct buf *props)
{
    /* What the broker sets is not taken from a client: it decides where the commit goes. */
    static const struct str dropped[] = {
        {MSG_PROP_REAL_TOPIC, sizeof MSG_PROP_REAL_TOPIC - 1},
        {MSG_PROP_REAL_QID, sizeof MSG_PROP_REAL_QID - 1},
        {MSG_PROP_TRANSACTION_ID, sizeof MSG_PROP_TRANSACTION_ID - 1},
        {MSG_PROP_PREPARED_OFFSET, sizeof MSG_PROP_PREPARED_OFFSET - 1},
    };
    char number[24];
    struct topic *t = topic_find(b->topics, STR_LIT(TRANSACTION_HALF_TOPIC));
    struct str id = msg_property(m->properties, STR_LIT(MSG_PROP_UNIQ_KEY));
    if (t == NULL)
        return NULL;
    msg_properties_without(props, m->properties, dropped, sizeof dropped / sizeof dropped[0]);
    if (id.len)
        msg_property_add(props, STR_LIT(MSG_PROP_TRANSACTION_ID), id);
    msg_property_add(props, STR_LIT(MSG_PROP_REAL_TOPIC), m->topic);
    msg_property_add(props, STR_LIT(MSG_PROP_REAL_QID), str_make(number, fmt_i64(number, m->queue_id)));
    m->properties = buf_str(props);
    m->topic = t->name;
    m->queue_id = 0;
    m->sys_flag &= ~MSG_FLAG_TRANSACTION_MASK;
    return t;
}

void transaction_prepared(struct transactions *t, struct str topic)
{
    transaction_metrics_add(&t->metrics, topic, 1);
}

/* ---- threads ---- */

static void save_metrics(struct transactions *t)
{
    struct err err;
    if (transaction_metrics_save(&t->metrics, &err) < 0)
        LOG_LIMITED(LOG_ERROR, "broker", "%s", err.text);
}

int64_t transactions_op_step(struct transactions *t)
{
    const struct broker_conf *conf = t->b->conf;
    int64_t now = clock_mono_ms();
    transaction_op_flush(t, now >= t->next_op);
    if (now >= t->next_op)
        t->next_op = now + conf->transaction_op_interval_ms;
    if (now >= t->next_save) {
        t->next_save = now + conf->transaction_metric_interval_ms;
        save_metrics(t);
    }
    return (t->next_op < t->next_save ? t->next_op : t->next_save) - clock_mono_ms();
}

int64_t transactions_check_step(struct transactions *t)
{
    /* The interval may change while it is waited for: look again every second. */
    int64_t left = t->last_check + t->b->conf->transaction_check_interval_ms - clock_mono_ms();
    if (left > 0)
        return left < 1000 ? left : 1000;
    transaction_check_all(t);
    t->last_check = clock_mono_ms();
    return 0;
}

static void run_ops(void *arg)
{
    struct transactions *t = arg;
    while (!atomic_load(&t->stopping)) {
        int64_t rest = transactions_op_step(t);
        if (rest > 0)
            waker_wait(&t->op_waker, rest);
    }
}

static void run_checks(void *arg)
{
    struct transactions *t = arg;
    while (!atomic_load(&t->stopping)) {
        int64_t rest = transactions_check_step(t);
        if (rest > 0)
            waker_wait(&t->check_waker, rest);
    }
}

/* ---- life ---- */

struct transactions *transactions_new(struct broker *b)
{
    struct transactions *t = calloc(1, sizeof *t);
    if (t == NULL)
        return NULL;
    t->b = b;
    mutex_init_adaptive(&t->ops.lock);
    pthread_mutex_init(&t->ops.writing, NULL);
    mutex_init_adaptive(&t->metrics.lock);
    waker_init(&t->op_waker);
    waker_init(&t->check_waker);
    t->metrics.version.timestamp = clock_wall_ms();
    t->metrics.path = config_file_path(b->config_dir, "transactionMetrics");
    t->ops.batch = store_batch_new(b->store);
    if (t->metrics.path && t->ops.batch)
        return t;
    transactions_free(t);
    return NULL;
}

int transactions_load(struct transactions *t, struct err *err)
{
    return transaction_metrics_load(&t->metrics, err);
}

int transactions_start(struct transactions *t, struct err *err)
{
    t->last_check = clock_mono_ms();
    t->next_op = t->last_check + t->b->conf->transaction_op_interval_ms;
    t->next_save = t->last_check + t->b->conf->transaction_metric_interval_ms;
    int r = thread_start(&t->op_thread, "transaction-op", run_ops, t);
    if (r == 0)
        r = thread_start(&t->check_thread, "transaction", run_checks, t);
    return r < 0 ? err_sys(err, -r, "cannot start the threads of the transactional messages") : 0;
}

void transactions_stop(struct transactions *t)
{
    if (t == NULL)
        return;
    atomic_store(&t->stopping, true);
    waker_wake(&t->op_waker);
    waker_wake(&t->check_waker);
    thread_join(&t->op_thread);
    thread_join(&t->check_thread);
}

void transactions_free(struct transactions *t)
{
    if (t == NULL)
        return;
    transactions_stop(t);
    if (t->ops.count)
        transaction_op_flush(t, true);
    save_metrics(t);
    map_free(&t->immune, free);
    transaction_metrics_free(&t->metrics);
    store_batch_free(t->ops.batch);
    buf_free(&t->ops.text);
    free(t->ops.offsets);
    pthread_mutex_destroy(&t->ops.lock);
    pthread_mutex_destroy(&t->ops.writing);
    waker_free(&t->op_waker);
    waker_free(&t->check_waker);
    free(t);
}

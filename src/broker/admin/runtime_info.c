/*
 * 28: the broker's state as a table of texts, with the keys of Java's broker. Tools and exporters read most of them as
 * numbers, so also what this broker does not have (thread pools, a transient store pool) is there, with the value it
 * has where it is idle.
 */
#include "broker/admin/admin_int.h"

#include "broker/timer/timer.h"
#include "broker/waiting.h"
#include "os/clock.h"
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

/* Requests that may wait for a worker; others never wait in a queue. */
enum { QUEUE_CAPACITY = 10000 };

static void put(struct jw *w, const char *key, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
static void put(struct jw *w, const char *key, const char *fmt, ...)
{
    char text[512];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    jw_kstr(w, key, str_from(text));
}

/* "1.5 GiB" */
static const char *human(int64_t bytes, char out[32])
{
    static const char units[] = "KMGTPE";
    double v = (double)bytes;
    int unit = -1;
    for (; v >= 1024 && unit < 5; unit++)
        v /= 1024;
    if (unit < 0)
        snprintf(out, 32, "%" PRId64 " B", bytes);
    else
        snprintf(out, 32, "%.1f %ciB", v, units[unit]);
    return out;
}

static void put_times(struct jw *w, const struct broker *b, int64_t now)
{
    int64_t seconds = (now - b->start_time) / 1000;
    put(w, "bootTimestamp", "%" PRId64, b->start_time);
    put(w, "runtime", "[ %" PRId64 " days, %" PRId64 " hours, %" PRId64 " minutes, %" PRId64 " seconds ]",
        seconds / 86400, seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    put(w, "brokerActive", "true");
    put(w, "brokerVersionDesc", "V5_3_3");
    put(w, "brokerVersion", "%d", REM_VERSION);
    put(w, "startAcceptSendRequestTimeStamp", "%" PRId64, b->conf->start_accept_send_ms);
}

static void put_counts(struct jw *w, struct broker *b, const struct store_stats *st)
{
    int64_t put_now, put_today, put_yesterday, got_now, got_today, got_yesterday;
    char text[64];
    stats_totals(b->stats, &put_now, &put_today, &put_yesterday, &got_now, &got_today, &got_yesterday);
    put(w, "msgPutTotalTodayNow", "%" PRId64, put_now);
    put(w, "msgPutTotalTodayMorning", "%" PRId64, put_today);
    put(w, "msgPutTotalYesterdayMorning", "%" PRId64, put_yesterday);
    put(w, "msgGetTotalTodayNow", "%" PRId64, got_now);
    put(w, "msgGetTotalTodayMorning", "%" PRId64, got_today);
    put(w, "msgGetTotalYesterdayMorning", "%" PRId64, got_yesterday);
    put(w, "putMessageTimesTotal", "%" PRId64, st->puts);
    put(w, "putMessageFailedTimes", "%" PRId64, st->put_failed);
    put(w, "putMessageSizeTotal", "%" PRId64, st->put_bytes);
    put(w, "putMessageAverageSize", "%.1f", st->puts ? (double)st->put_bytes / (double)st->puts : 0.0);
    stats_tps_text(b->stats, STATS_BROKER_PUT_NUMS, text);
    put(w, "putTps", "%s", text);
    stats_tps_text(b->stats, STATS_BROKER_GET_NUMS, text);
    put(w, "getTransferredTps", "%s", text);
    stats_rate_text(b->stats, 1u << STATS_RATE_FOUND, text);
    put(w, "getFoundTps", "%s", text);
    stats_rate_text(b->stats, 1u << STATS_RATE_MISSED, text);
    put(w, "getMissTps", "%s", text);
    stats_rate_text(b->stats, 1u << STATS_RATE_FOUND | 1u << STATS_RATE_MISSED, text);
    put(w, "getTotalTps", "%s", text);
}

/* Java measures each put; this broker appends whole rounds at once and measures none. */
static void put_latencies(struct jw *w)
{
    put(w, "putMessageDistributeTime", "null");
    put(w, "putMessageEntireTimeMax", "0");
    put(w, "getMessageEntireTimeMax", "0");
    put(w, "putLatency99", "0.00");
    put(w, "putLatency999", "0.00");
    put(w, "dispatchMaxBuffer", "0");
}

static void put_store(struct jw *w, struct broker *b, const struct store_stats *st)
{
    char key[4200], one[32], two[32];
    const char *path;
    double ratio;
    put(w, "commitLogDiskRatio", "%.4f", st->disk_ratio);
    for (size_t i = 0; (path = store_log_dir(b->store, i, &ratio)) != NULL; i++) {
        snprintf(key, sizeof key, "commitLogDiskRatio_%s", path);
        put(w, key, "%.4f", ratio);
    }
    put(w, "consumeQueueDiskRatio", "%.4f", st->disk_ratio);
    put(w, "commitLogMinOffset", "%" PRId64, st->log_min);
    put(w, "commitLogMaxOffset", "%" PRId64, st->log_max);
    put(w, "commitLogDirCapacity", "Total : %s, Free : %s.", human(st->disk_total, one), human(st->disk_free, two));
    put(w, "remainHowManyDataToFlush", "%s", human(st->log_max - st->flushed, one));
    put(w, "remainHowManyDataToCommit", "%s", human(0, one));
    put(w, "remainTransientStoreBufferNumbs", "%d", INT32_MAX);
    put(w, "dispatchBehindBytes", "%" PRId64, st->log_max - st->dispatched);
    put(w, "pageCacheLockTimeMills", "%" PRId64, st->put_lock_held_ms);
    char progress[PROGRESS_TEXT];
    if (store_progress(b->store, STORE_REBUILDS_QUEUES, progress))
        put(w, "consumeQueueRebuild", "%s", progress);
    if (store_progress(b->store, STORE_BUILDS_INDEX, progress))
        put(w, "keyIndexRebuild", "%s", progress);
    put(w, "earliestMessageTimeStamp", "%" PRId64, store_earliest_time(b->store));
}

static void put_queues(struct jw *w)
{
    static const char *const pools[] = {"send", "pull", "litePull", "query", "ack"};
    char key[64];
    for (size_t i = 0; i < sizeof pools / sizeof pools[0]; i++) {
        snprintf(key, sizeof key, "%sThreadPoolQueueSize", pools[i]);
        put(w, key, "0");
        snprintf(key, sizeof key, "%sThreadPoolQueueCapacity", pools[i]);
        put(w, key, "%d", QUEUE_CAPACITY);
        snprintf(key, sizeof key, "%sThreadPoolQueueHeadWaitTimeMills", pools[i]);
        put(w, key, "0");
    }
    put(w, "EndTransactionQueueSize", "0");
    put(w, "EndTransactionThreadPoolQueueCapacity", "%d", QUEUE_CAPACITY);
}

static void put_timer(struct jw *w, const struct broker *b)
{
    struct timer_progress p = {0};
    if (b->timer && !broker_waits(b))
        timer_progress(b->timer, &p);
    put(w, "timerReadBehind", "%" PRId64, p.read_behind_ms / 1000);
    put(w, "timerOffsetBehind", "%" PRId64, p.offset_behind);
    put(w, "timerCongestNum", "%" PRId64, p.waiting);
    put(w, "timerEnqueueTps", "%d.0", p.enqueue_tps);
    put(w, "timerDequeueTps", "%d.0", p.dequeue_tps);
}

/* scheduleMessageOffset_LEVEL = delivered up to, end of the level's queue */
static void put_schedule(struct jw *w, struct rem_request *rq)
{
    struct broker *b = broker_of(rq);
    struct buf text = {0};
    struct jw inner;
    jw_init(&inner, &text);
    schedule_write_offsets(b->schedule, &inner);
    const struct json *table = json_get(json_parse(rem_arena(rq), buf_str(&text), NULL), "offsetTable");
    JSON_EACH(entry, table)
    {
        char key[64];
        int64_t level = json_int(entry->key, 0);
        snprintf(key, sizeof key, "scheduleMessageOffset_%" PRId64, level);
        put(w, key, "%" PRId64 ",%" PRId64, json_int(entry, 0),
            broker_admin_queue_max(b, STR_LIT("SCHEDULE_TOPIC_XXXX"), (int32_t)level - 1));
    }
    buf_free(&text);
}

void broker_admin_runtime_info(struct rem_request *rq, const void *header)
{
    struct broker *b = broker_of(rq);
    struct store_stats st;
    struct buf body = {0};
    struct jw w;
    store_stats(b->store, &st);
    jw_init(&w, &body);
    jw_begin_object(&w);
    jw_kobject(&w, "table");
    put_times(&w, b, clock_wall_ms());
    put_counts(&w, b, &st);
    put_latencies(&w);
    put_store(&w, b, &st);
    put_queues(&w);
    put_timer(&w, b);
    put_schedule(&w, rq);
    jw_end_object(&w);
    jw_end_object(&w);
    broker_admin_reply_json(rq, &body);
}

/*
 * Messages with a delivery time, in a broker without clients:
 *
 *   timer_bench DIR [MESSAGES [BODY [QUEUES [WAITING]]]]      defaults: 500000 100 8 0
 *
 * puts WAITING messages for some time within a day, then MESSAGES that fall due in the same second, and prints how long
 * after the moment they are due the last of them stood in its topic, and the memory. The directory must be absent.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "broker/broker_int.h"
#include "broker/timer/timer.h"
#include "os/clock.h"

static struct broker_conf conf;
static struct store_conf store_conf;
static struct net_pool pool;
static struct broker *b;

static int64_t arg(int argc, char **argv, int i, int64_t absent)
{
    return argc > i ? strtoll(argv[i], NULL, 10) : absent;
}

static void start(const char *dir)
{
    struct err err = {0};
    int bad = conf_defaults(&broker_conf_table, &conf, &err) + conf_defaults(store_conf_table(), &store_conf, &err);
    store_conf.storePathRootDir = strdup(dir);
    conf.broker_name = strdup("broker-a");
    conf.broker_ip1 = strdup("127.0.0.1");
    conf.listen_port = 0;
    struct broker_options o = {
        .conf = &conf, .store_conf = &store_conf, .listen_host = "127.0.0.1", .config_path = NULL};
    if (bad || net_pool_init(&pool, 1, &err) || broker_create(&b, &o, &pool, &err) || net_pool_start(&pool, &err) ||
        broker_start(b, &err)) {
        fprintf(stderr, "%s\n", err.text);
        exit(1);
    }
}

static void print_memory(const char *when)
{
    char line[200];
    FILE *f = fopen("/proc/self/status", "r");
    printf("  %s:", when);
    while (f && fgets(line, sizeof line, f))
        if (strncmp(line, "RssAnon:", 8) == 0 || strncmp(line, "RssFile:", 8) == 0)
            printf(" %.8s %ld MiB", line, strtol(line + 8, NULL, 10) / 1024);
    printf("\n");
    if (f)
        fclose(f);
}

static void done(void *arg, void *user, const struct put_result *r)
{
    if (r->status != PUT_OK) {
        fprintf(stderr, "a message is not stored: %d\n", r->status);
        exit(1);
    }
}

/* As the send handler does, from this thread. spread: ms within which they fall due from `due` on. */
static void put(int64_t n, int64_t body, int64_t queues, int64_t due, int64_t spread)
{
    struct store_batch *batch = store_batch_new(b->store);
    char *text = calloc(1, (size_t)body + 1), properties[200];
    struct topic *to;
    for (int64_t i = 0; i < n; i++) {
        struct buf props = {0};
        int64_t out;
        snprintf(properties, sizeof properties, "UNIQ_KEY\1%032" PRId64 "\2TIMER_DELIVER_MS\1%" PRId64 "\2", i,
                 due + (spread ? (int64_t)((uint64_t)i * 2654435761u % (uint64_t)spread) : 0));
        struct store_msg m = {.m = {.topic = STR_LIT("T"),
                                    .queue_id = (int32_t)(i % queues),
                                    .body = str_make(text, (size_t)body),
                                    .properties = str_from(properties),
                                    .store_host = b->store_host,
                                    .born_host = b->store_host}};
        if (timer_redirect(b, &m.m, &props, &to, &out) != TIMER_MOVED) {
            fprintf(stderr, "too slow: the time is over\n");
            exit(1);
        }
        m.queue = topic_queue(b->topics, to, 0);
        store_batch_add(batch, &m, NULL);
        buf_free(&props);
        if (i % 64 == 63 || i + 1 == n)
            store_batch_commit(batch, done, NULL);
    }
    store_batch_free(batch);
    free(text);
}

static int64_t delivered(struct topic *t, int64_t queues)
{
    int64_t n = 0;
    for (int32_t q = 0; q < queues; q++)
        n += cq_max(topic_queue(b->topics, t, q));
    return n;
}

static void wait_until_read(void)
{
    struct timer_progress p;
    for (timer_progress(b->timer, &p); p.offset_behind; timer_progress(b->timer, &p))
        usleep(1000);
}

int main(int argc, char **argv)
{
    struct err err;
    int64_t n = arg(argc, argv, 2, 500000), body = arg(argc, argv, 3, 100), queues = arg(argc, argv, 4, 8),
            waiting = arg(argc, argv, 5, 0);
    if (argc < 2) {
        fprintf(stderr, "usage: timer_bench DIR [MESSAGES [BODY [QUEUES [WAITING]]]]\n");
        return 1;
    }
    log_set_level(LOG_WARN);
    start(argv[1]);
    struct topic *t = topic_ensure(b->topics, STR_LIT("T"), (int32_t)queues, PERM_READ | PERM_WRITE, 0, &err);
    print_memory("at the start");
    if (waiting) {
        int64_t from = clock_mono_ms();
        put(waiting, body, queues, clock_wall_ms() + 3600000, 86400000);
        wait_until_read();
        printf("%" PRId64 " put into the wheel in %" PRId64 " ms\n", waiting, clock_mono_ms() - from);
        print_memory("while they wait");
    }
    /* Time enough to put them, whatever the machine; the broker delivers a second's messages when the next begins. */
    int64_t begin = clock_wall_ms(), due = begin - begin % 1000 + 5500 + n / 100;
    put(n, body, queues, due, 0);
    printf("%" PRId64 " put in %" PRId64 " ms\n", n, clock_wall_ms() - begin);
    wait_until_read();
    printf("in the wheel after %" PRId64 " ms\n", clock_wall_ms() - begin);
    int64_t first = 0, time = due - due % 1000 + 1000;
    while (delivered(t, queues) < n) {
        if (first == 0 && delivered(t, queues) > 0)
            first = clock_wall_ms();
        usleep(1000);
    }
    printf("delivered: the first %" PRId64 " ms after their second, the last %" PRId64 " ms after it\n",
           first ? first - time : -1, clock_wall_ms() - time);
    print_memory("at the end");
    broker_drain(b);
    net_pool_stop(&pool);
    broker_free(b);
    net_pool_free(&pool);
    conf_free(&broker_conf_table, &conf);
    conf_free(store_conf_table(), &store_conf);
    return 0;
}

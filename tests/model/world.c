#include "world.h"

#include "base/log.h"
#include "broker/background.h"
#include "broker/pull/cold_read.h"
#include "broker/timer/timer.h"
#include "broker/transaction/transaction.h"
#include "net/loop_internal.h"
#include "store/store_int.h"
#include <arpa/inet.h>
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

enum { ANSWER_TURNS = 60, PASS_STEP_MS = 1000, BEGIN_MS = 1700000000 };

/* ---- turns ---- */

static void turn_schedule(struct world *w)
{
    schedule_step(w->b->schedule);
}

static void turn_timer(struct world *w)
{
    timer_step(w->b->timer);
}

static void turn_transaction_op(struct world *w)
{
    transactions_op_step(w->b->transactions);
}

static void turn_transaction_check(struct world *w)
{
    transactions_check_step(w->b->transactions);
}

static void turn_revive(struct world *w)
{
    pop_revive_step(w->b->revive);
}

static void turn_background(struct world *w)
{
    background_step(w->b->background);
}

static void turn_flusher(struct world *w)
{
    flusher_step(w->b->store);
}

static void turn_keeper(struct world *w)
{
    keeper_step(w->b->store, dice(w, 8) == 0);
}

static void turn_dispatcher(struct world *w)
{
    dispatcher_step(w->b->store);
    if (dice(w, 4) == 0)
        dispatcher_flush(w->b->store);
}

void world_save(struct world *w)
{
    struct err err;
    topic_persist(w->b->topics, &err);
    group_persist(w->b->groups, &err);
}

static void (*const chores[])(struct world *w) = {
    turn_schedule, turn_timer,   turn_transaction_op, turn_transaction_check, turn_revive,
    turn_keeper,   turn_flusher, turn_background,     turn_dispatcher,        world_save,
};
enum { CHORES = sizeof chores / sizeof chores[0] };

void world_turn(struct world *w)
{
    if (w->b == NULL || w->stepping)
        return;
    w->stepping = true;
    for (unsigned i = 0; i < LOOPS; i++)
        net_loop_round(w->pool.loops[i], false);
    while (rem_server_work(w->b->server) || cold_read_step(w->b->cold))
        ;
    preparer_step(w->b->store);
    if (w->sync)
        flusher_step(w->b->store);
    for (unsigned i = 0; i < LOOPS; i++)
        net_loop_round(w->pool.loops[i], false);
    w->stepping = false;
}

/* Somebody waits for the disk, or for the loops. */
static void while_waiting(void *arg)
{
    struct world *w = arg;
    if (w->b && !world_dead(w))
        flusher_step(w->b->store);
    world_turn(w);
}

void world_chore(struct world *w)
{
    if (!world_dead(w))
        chores[dice(w, CHORES)](w);
    world_turn(w);
}

void world_chores(struct world *w)
{
    size_t first = dice(w, CHORES);
    for (size_t i = 0; i < CHORES && !world_dead(w); i++) {
        chores[(first + i * 3) % CHORES](w);
        world_turn(w);
    }
}

void world_pass(struct world *w, int64_t ms)
{
    for (; ms > 0 && !world_dead(w); ms -= PASS_STEP_MS) {
        sim_clock_advance(ms < PASS_STEP_MS ? ms : PASS_STEP_MS);
        world_chores(w);
    }
}

/* ---- life ---- */

static void on_fatal(void *arg, const char *text)
{
    struct world *w = arg;
    SAY(w, "the broker stops: %s", text);
    w->fatal = true;
}

static void set(struct world *w, const char *key, const char *value)
{
    struct err err;
    const struct conf_table *t = conf_find(&broker_conf_table, str_from(key)) ? &broker_conf_table : store_conf_table();
    void *conf = t == &broker_conf_table ? (void *)&w->conf : (void *)&w->store_conf;
    CHECK(w, conf_set(t, conf, str_from(key), str_from(value), &err) == 0, "%s", err.text);
}

void world_make(struct world *w, uint64_t seed, bool verbose)
{
    struct err err;
    *w = (struct world){.seed = seed, .verbose = verbose};
    w->disk = fs_sim_new(seed);
    sim_clock_reset(BEGIN_MS * 1000ll);
    sim_os_use(w->disk);
    sim_on_wait(while_waiting, w);
    const struct fs *fs = fs_sim_fs(w->disk);
    fs->mkdir(fs, "/store");
    fs->sync_dir(fs, "/");
    for (int i = 0; i < PEERS; i++)
        w->peers[i].fd = -1;
    conf_defaults(&broker_conf_table, &w->conf, &err);
    conf_defaults(store_conf_table(), &w->store_conf, &err);
    w->sync = dice(w, 2);
    set(w, "storePathRootDir", "/store");
    set(w, "mappedFileSizeCommitLog", "262144");
    set(w, "mappedFileSizeConsumeQueue", "4000");
    set(w, "maxHashSlotNum", "200");
    set(w, "maxIndexNum", "800");
    set(w, "mappedFileSizeTimerLog", "65536");
    set(w, "timerFlushIntervalMs", "3000");
    set(w, "flushDiskType", w->sync ? "SYNC_FLUSH" : "ASYNC_FLUSH");
    w->sql = seed % 4 == 1;
    set(w, "enablePropertyFilter", w->sql ? "true" : "false");
    set(w, "enableCalcFilterBitMap", w->sql ? "true" : "false");
    set(w, "enableRetryTopicV2", dice(w, 2) ? "true" : "false");
    set(w, "timerPrecisionMs", dice(w, 2) ? "1000" : "100");
    set(w, "brokerName", "broker-a");
    set(w, "brokerIP1", "127.0.0.1");
    set(w, "listenPort", "0");
    set(w, "reviveQueueNum", "2");
    set(w, "recallMessageEnable", "true");
    set(w, "serverChannelMaxIdleTimeSeconds", "0");
    set(w, "popFromRetryProbability", dice(w, 2) ? "50" : "0");
    set(w, "cleanResourceInterval", "2000000000");
}

void world_free(struct world *w)
{
    sim_on_wait(NULL, NULL);
    conf_free(&broker_conf_table, &w->conf);
    conf_free(store_conf_table(), &w->store_conf);
    sim_os_use(NULL);
    fs_sim_free(w->disk);
}

bool world_dead(const struct world *w)
{
    return w->b == NULL || w->fatal || fs_sim_is_off(w->disk);
}

/* A client's end of a socket pair, and the broker's as if it had been accepted. */
static void connect_peer(struct world *w, int i)
{
    int pair[2];
    struct net_address from = {.len = sizeof(struct sockaddr_in)};
    struct sockaddr_in *in = (struct sockaddr_in *)(void *)&from.sa;
    struct net_loop *loop = w->pool.loops[i % LOOPS];
    in->sin_family = AF_INET;
    in->sin_port = htons((uint16_t)(50000 + i));
    in->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    CHECK(w, socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) == 0, "no socket pair");
    w->peers[i].fd = pair[0];
    atomic_fetch_add(&loop->conn_count, 1);
    net_conn_adopt(loop, pair[1], &from, rem_server_protocol(w->b->server), w->b->server);
}

static void disconnect_peers(struct world *w)
{
    for (int i = 0; i < PEERS; i++) {
        struct peer *p = &w->peers[i];
        if (p->fd >= 0)
            close(p->fd);
        p->fd = -1;
        buf_free(&p->in);
        buf_free(&p->frame);
        arena_free(&p->arena);
        p->json = NULL;
    }
}

static void let_go(struct world *w)
{
    disconnect_peers(w);
    net_pool_stop(&w->pool);
    broker_free(w->b);
    w->b = NULL;
    net_pool_free(&w->pool);
}

bool world_start(struct world *w)
{
    struct err err = {0};
    struct broker_options o = {
        .conf = &w->conf, .store_conf = &w->store_conf, .listen_host = "127.0.0.1", .fatal = on_fatal, .fatal_arg = w};
    w->fatal = false;
    w->conf.listen_port = 0;
    CHECK(w, net_pool_init(&w->pool, LOOPS, &err) == 0, "%s", err.text);
    if (broker_create(&w->b, &o, &w->pool, &err) < 0) {
        CHECK(w, fs_sim_is_off(w->disk), "the broker does not start: %s", err.text);
        w->b = NULL;
        net_pool_free(&w->pool);
        return false;
    }
    bool started = broker_start(w->b, &err) == 0;
    CHECK(w, started || fs_sim_is_off(w->disk), "the broker does not start: %s", err.text);
    /* Nobody else prepares the log's next file or flushes: as if the store had not started its threads. */
    w->b->store->running = false;
    clog_on_need(w->b->store->log, NULL, NULL);
    if (!started) {
        let_go(w);
        return false;
    }
    for (int i = 0; i < PEERS; i++)
        connect_peer(w, i);
    return true;
}

void world_stop(struct world *w)
{
    w->stepping = false;
    broker_drain(w->b);
    let_go(w);
}

void world_power_back(struct world *w)
{
    fs_sim_crash(w->disk);
    sim_boot();
}

void world_kill(struct world *w)
{
    fs_sim_power_off(w->disk);
    let_go(w);
    fs_sim_die(w->disk);
}

void world_crash(struct world *w)
{
    fs_sim_power_off(w->disk);
    let_go(w);
    world_power_back(w);
}

/* ---- requests ---- */

void peer_send(struct world *w, int peer, int32_t code, int32_t flag, struct str body, const char *const *fields)
{
    struct peer *p = &w->peers[peer];
    struct buf out = {0};
    struct rem_frame f;
    if (p->fd < 0)
        return;
    rem_frame_begin(&f, &out, code);
    for (; fields && fields[0]; fields += 2)
        rem_frame_str(&f, fields[0], str_from(fields[1]));
    rem_frame_header_end(&f, flag, ++p->opaque, STR_NULL);
    buf_add_str(&out, body);
    rem_frame_finish(&f, 0);
    ssize_t n = write(p->fd, out.data, out.len);
    CHECK(w, n == (ssize_t)out.len, "a request of %zu bytes could not be sent: %s", out.len, strerror(errno));
    buf_free(&out);
}

/* Takes what has arrived; true: the answer to the last request is there. */
static bool take(struct world *w, int peer)
{
    struct peer *p = &w->peers[peer];
    ssize_t n;
    do {
        uint8_t *at = buf_extend(&p->in, 65536);
        n = at ? read(p->fd, at, 65536) : -1;
        p->in.len -= 65536 - (n > 0 ? (size_t)n : 0);
    } while (n > 0);
    while (p->in.len >= 4) {
        const char *why;
        size_t total = 4 + (size_t)get_be32(p->in.data);
        if (p->in.len < total)
            return false;
        buf_clear(&p->frame);
        buf_add(&p->frame, p->in.data, total);
        memmove(p->in.data, p->in.data + total, p->in.len - total);
        p->in.len -= total;
        CHECK(w, rem_decode(p->frame.data, total, &p->answer, &why), "a bad frame: %s", why);
        if ((p->answer.flag & REM_FLAG_RESPONSE) && p->answer.opaque == p->opaque) {
            arena_reset(&p->arena);
            p->json = p->answer.body.len ? json_parse(&p->arena, p->answer.body, NULL) : NULL;
            return true;
        }
        if (!(p->answer.flag & REM_FLAG_RESPONSE) && w->on_request)
            w->on_request(w->on_request_arg, peer, &p->answer);
    }
    return false;
}

int32_t peer_poll(struct world *w, int peer)
{
    if (world_dead(w))
        return NO_ANSWER;
    world_turn(w);
    return take(w, peer) ? w->peers[peer].answer.code : NO_ANSWER;
}

int32_t peer_answer(struct world *w, int peer)
{
    for (int i = 0; i < ANSWER_TURNS; i++) {
        if (world_dead(w))
            return NO_ANSWER;
        world_turn(w);
        if (!take(w, peer))
            continue;
        /* A broker that has lost its disk may refuse; what it acknowledges even then is to be kept. */
        int32_t code = w->peers[peer].answer.code;
        return code != RESP_SUCCESS && world_dead(w) ? NO_ANSWER : code;
    }
    CHECK(w, world_dead(w), "a request gets no answer");
    return NO_ANSWER;
}

int32_t peer_ask(struct world *w, int peer, int32_t code, struct str body, const char *const *fields)
{
    if (world_dead(w))
        return NO_ANSWER;
    peer_send(w, peer, code, 0, body, fields);
    return peer_answer(w, peer);
}

int64_t peer_number(struct world *w, int peer, const char *field)
{
    int64_t n;
    struct str text = rem_ext(&w->peers[peer].answer, field);
    CHECK(w, str_to_i64(text, &n), "field %s of an answer is \"%.*s\": %.*s", field, STR_ARG(text),
          (int)w->peers[peer].frame.len - 8, (const char *)w->peers[peer].frame.data + 8);
    return n;
}

const char *text_of(int64_t number)
{
    static char texts[8][24];
    static unsigned next;
    char *t = texts[next++ % 8];
    t[fmt_i64(t, number)] = '\0';
    return t;
}

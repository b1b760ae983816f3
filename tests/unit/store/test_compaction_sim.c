/*
 * Compaction topics on a simulated disk: lives of a broker with random messages, copies, compactions and expiring
 * commit log files, each ended by a clean stop, the death of the process, the loss of power at any step, or a failing
 * call. After each the newest message of every key that was promised must be read, in order, each with its own content.
 *
 * SIM_SEEDS=n runs n seeds (default 400), SIM_SEED=s only that one.
 */
#include "unit/store/compaction_fixture.h"

#include <errno.h>

#include "os/fs_sim.h"

enum { KEYS = 12, LIVES = 6, STEPS = 70, MESSAGES_MAX = CTEST_MAX, SEEDS = 400 };

struct sim {
    uint64_t seed;
    bool verbose;
    struct fs_sim *disk;
    struct store_conf conf;
    struct store *s;
    struct ctest_read read;
    bool refused; /* the message behind the last one was: it may be there all the same */
    bool fatal, durable[MESSAGES_MAX], empty[MESSAGES_MAX];
    uint8_t key[MESSAGES_MAX];
    int64_t end[MESSAGES_MAX]; /* in the log */
    int64_t n;                 /* messages that are there: offsets 0 to n - 1 */
};

#define CHECK(m, ok, ...)                                                                                              \
    do {                                                                                                               \
        if (!(ok)) {                                                                                                   \
            print_error("seed %" PRIu64 ": ", (m)->seed);                                                              \
            print_error(__VA_ARGS__);                                                                                  \
            fail();                                                                                                    \
        }                                                                                                              \
    } while (0)

static uint64_t dice(struct sim *m, uint64_t n)
{
    return fs_sim_random(m->disk, n);
}

static void on_fatal(void *arg, const char *text)
{
    ((struct sim *)arg)->fatal = true;
}

static void put_some(struct sim *m)
{
    for (uint64_t i = 1 + dice(m, 12); i > 0 && !m->refused && m->n < CTEST_MAX; i--) {
        char key[24];
        struct put_result r;
        int64_t n = m->n;
        m->key[n] = (uint8_t)dice(m, KEYS);
        m->empty[n] = dice(m, 15) == 0;
        m->durable[n] = false;
        m->end[n] = INT64_MAX;
        snprintf(key, sizeof key, "k%d", m->key[n]);
        char body[64], props[128];
        int len = snprintf(props, sizeof props, "UNIQ_KEY\x01u\x02KEYS\x01%s\x02", key);
        struct store_msg put =
            fixture_msg(m->s, "K", 0, m->empty[n] ? STR_LIT("") : ctest_body(body, n), str_make(props, (size_t)len));
        enum put_status status = store_put(m->s, &put, &r);
        bool stored = status == PUT_OK || status == PUT_FLUSH_DISK_TIMEOUT;
        m->refused = !stored;
        if (!stored)
            return;
        m->end[n] = r.end_offset;
        m->n++;
        /* Something else in between, so that log files fill. */
        if (dice(m, 3) == 0) {
            struct store_msg other = fixture_msg(m->s, "plain", 0, STR_LIT("some other message's body, of some length"),
                                                 STR_LIT("UNIQ_KEY\x01u\x02"));
            store_put(m->s, &other, NULL);
        }
    }
}

static void expire(struct sim *m)
{
    struct commitlog *log = m->s->log;
    int64_t end = clog_min(log) + clog_segment_size(log);
    /* Files that expire are older than the last sync of the queues. */
    if (ctest_deletable(m->s) >= end && m->s->ckpt.have_marks && m->s->ckpt.queues_mark >= end)
        clog_remove_first(log);
    cq_set_truncate_front(m->s->queues, clog_min(log));
}

static void note_durable(struct sim *m)
{
    for (int64_t i = 0; i < m->n; i++)
        if (m->end[i] <= clog_flushed(m->s->log))
            m->durable[i] = true;
}

static void work(struct sim *m)
{
    for (int i = 0; i < STEPS && !m->fatal && !fs_sim_is_off(m->disk); i++) {
        switch (dice(m, 8)) {
        case 0:
            flusher_step(m->s);
            note_durable(m);
            break;
        case 1:
        case 2:
            keeper_step(m->s, dice(m, 2));
            break;
        case 3:
            compaction_run(m->s->compaction, true);
            break;
        case 4:
            preparer_step(m->s);
            expire(m);
            break;
        default:
            put_some(m);
        }
    }
    if (!m->fatal && !fs_sim_is_off(m->disk))
        note_durable(m);
}

/* kept_all: only the process died. */
static void check(struct sim *m, bool kept_all)
{
    int64_t newest[KEYS], there = cq_max(store_queue(m->s, STR_LIT("K"), 0, true));
    m->n += m->refused && there == m->n + 1;
    m->refused = false;
    CHECK(m, there <= m->n, "%" PRId64 " messages, only %" PRId64 " were put\n", there, m->n);
    for (int64_t i = there; i < m->n; i++)
        CHECK(m, !m->durable[i] && !kept_all, "message %" PRId64 " of %" PRId64 " is lost\n", i, m->n);
    m->n = there;
    for (int k = 0; k < KEYS; k++)
        newest[k] = -1;
    for (int64_t i = 0; i < m->n; i++)
        newest[m->key[i]] = i;
    ctest_read(m->s, 0, dice(m, 2), &m->read);
    CHECK(m, m->read.next == m->n, "reading ended at %" PRId64 " of %" PRId64 "\n", m->read.next, m->n);
    for (size_t i = 0; i < m->read.n; i++) {
        int64_t at = m->read.offset[i];
        char key[24];
        snprintf(key, sizeof key, "k%d", m->key[at]);
        CHECK(m, strcmp(key, m->read.key[i]) == 0, "message %" PRId64 " has key %s, not %s\n", at, m->read.key[i], key);
        CHECK(m, m->read.empty[i] == m->empty[at], "message %" PRId64 " has another body\n", at);
        if (newest[m->key[at]] == at)
            newest[m->key[at]] = -1;
    }
    for (int k = 0; k < KEYS; k++)
        CHECK(m, newest[k] < 0 || m->empty[newest[k]],
              "the newest message of key %d, %" PRId64 " of %" PRId64 ", is lost\n", k, newest[k], m->n);
}

static bool open_store(struct sim *m)
{
    struct err err = {0};
    struct store_events events = {.arg = m, .fatal = on_fatal};
    m->fatal = false;
    m->conf.flushDiskType = FLUSH_ASYNC;
    int r = store_open(&m->s, &m->conf, fs_sim_fs(m->disk), &events, &err);
    CHECK(m, r == 0 || fs_sim_is_off(m->disk), "cannot open: %s\n", err.text);
    if (r)
        return false;
    bool added = store_compact_topic(m->s, STR_LIT("K"), 1);
    r = store_mark_running(m->s, &err);
    CHECK(m, (added && r == 0) || fs_sim_is_off(m->disk), "cannot start: %s\n", err.text);
    return true;
}

static void throw_away(struct sim *m)
{
    fs_sim_power_off(m->disk);
    store_close(m->s);
}

static void plan_faults(struct sim *m)
{
    static const enum fs_sim_call calls[] = {FS_SIM_WRITE, FS_SIM_SHORT_WRITE, FS_SIM_SYNC, FS_SIM_WRITE};
    static const int errors[] = {EIO, EINTR, EIO, ENOSPC};
    uint64_t which = dice(m, 8);
    for (int i = 0; i < FS_SIM_CALLS; i++)
        fs_sim_fail(m->disk, (enum fs_sim_call)i, 0, 0);
    if (which < 4)
        fs_sim_fail(m->disk, calls[which], 1 + dice(m, 400), errors[which]);
    else if (which < 7)
        fs_sim_power_off_after(m->disk, 1 + dice(m, 900));
}

/* Whether all that was stored must be there again. */
static bool live(struct sim *m)
{
    plan_faults(m);
    work(m);
    bool power = fs_sim_is_off(m->disk) || dice(m, 3) == 0;
    if (power || dice(m, 2)) {
        power |= m->fatal;
        throw_away(m);
    } else {
        if (dice(m, 2))
            fs_sim_power_off_after(m->disk, 1 + dice(m, 60));
        store_close(m->s);
        power = m->fatal || fs_sim_is_off(m->disk);
    }
    if (m->verbose)
        print_message("life ended: %s, %" PRId64 " messages\n", power ? "power" : "process", m->n);
    if (power)
        fs_sim_crash(m->disk);
    else
        fs_sim_die(m->disk);
    return !power;
}

static void run_seed(uint64_t seed, bool verbose)
{
    struct sim *m = calloc(1, sizeof *m);
    assert_non_null(m);
    m->seed = seed;
    m->verbose = verbose;
    m->disk = fs_sim_new(seed);
    const struct fs *fs = fs_sim_fs(m->disk);
    fs->mkdir(fs, "/store");
    fs->sync_dir(fs, "/");
    fixture_conf(&m->conf, "/store");
    ctest_conf(&m->conf);
    m->conf.mappedFileSizeCommitLog = 8 * 1024;
    m->conf.mappedFileSizeConsumeQueue = 50 * 20;
    m->conf.messageIndexEnable = false;
    /* What a failed write left must not come back without its key. */
    m->conf.enabledAppendPropCRC = m->conf.forceVerifyPropCRC = true;
    m->conf.maxOffsetMapSize = 1;
    fs_sim_cold(m->disk, seed % 3 ? 0 : 20);
    bool kept_all = true;
    for (int life = 0; life <= LIVES; life++) {
        if (dice(m, 4) == 0)
            fs_sim_power_off_after(m->disk, 1 + dice(m, 60));
        bool open = open_store(m);
        if (fs_sim_is_off(m->disk)) {
            if (open)
                throw_away(m);
            fs_sim_crash(m->disk);
            kept_all = false;
            continue;
        }
        fs_sim_power_off_after(m->disk, 0);
        check(m, kept_all);
        if (life == LIVES) {
            throw_away(m);
            break;
        }
        kept_all = live(m);
    }
    fs_sim_free(m->disk);
    store_conf_free(&m->conf);
    free(m);
}

static void newest_of_each_key_survives(void **state)
{
    const char *one = getenv("SIM_SEED"), *count = getenv("SIM_SEEDS");
    if (one) {
        log_set_level(LOG_INFO);
        run_seed(strtoull(one, NULL, 10), true);
        return;
    }
    uint64_t n = count ? strtoull(count, NULL, 10) : SEEDS;
    log_set_fd(-1); /* the failures are meant */
    for (uint64_t seed = 1; seed <= n; seed++)
        run_seed(seed, false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(newest_of_each_key_survives)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}

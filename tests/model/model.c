/*
 * The model test: for every seed a few lives of a broker and its clients with random operations, ended by a clean stop,
 * the death of the process or, with synchronous flush, the loss of power; then all time passes, everything is consumed,
 * and what was promised is compared with what was seen.
 *
 *   model [SEEDS [FIRST]]     that many seeds (default 300)
 *   model --seed N            one, telling what happens
 */
#include "ops.h"

#include "base/log.h"
#include <time.h>

enum { LIVES = 3, STEPS = 70, SEEDS = 100, END_ROUNDS = 60, END_STEP_MS = 20000, LATE_MS = 120000 };

static void op_chore(struct clients *c)
{
    world_chore(c->w);
}

static void op_little_time(struct clients *c)
{
    world_pass(c->w, 1 + (int64_t)dice(c->w, 1500));
}

static void op_much_time(struct clients *c)
{
    world_pass(c->w, 1000 * (1 + (int64_t)dice(c->w, 40)));
}

/* In one step, as a clock that is set, or a machine that slept. */
static void op_clock_ahead(struct clients *c)
{
    sim_clock_advance(1000 * (int64_t)dice(c->w, 30));
    world_chores(c->w);
}

static void op_clock_back(struct clients *c)
{
    if (c->w->seed % 8)
        return;
    c->m->clock_went_back = true;
    sim_clock_set_back(1000 * (int64_t)dice(c->w, 5));
    world_chores(c->w);
}

static const struct {
    void (*fn)(struct clients *c);
    unsigned weight;
} ops[] = {
    {op_send, 4},       {op_send_many, 2},   {op_send_batch, 2}, {op_send_ordered, 6}, {op_send_level, 3},
    {op_send_timed, 4}, {op_recall, 1},      {op_send_half, 4},  {op_end_half, 3},     {op_pull, 8},
    {op_commit, 2},     {op_lock, 3},        {op_long_pull, 1},  {op_pop, 5},          {op_long_pop, 1},
    {op_ack, 5},        {op_ack_batch, 3},   {op_change, 2},     {op_pop_ordered, 3},  {op_ack_ordered, 5},
    {op_chore, 6},      {op_little_time, 4}, {op_much_time, 2},  {op_clock_ahead, 1},  {op_clock_back, 1},
};

static void any_op(struct clients *c)
{
    clients_heartbeat(c);
    unsigned all = 0, at;
    for (size_t i = 0; i < sizeof ops / sizeof ops[0]; i++)
        all += ops[i].weight;
    at = (unsigned)dice(c->w, all);
    size_t i = 0;
    for (; at >= ops[i].weight; i++)
        at -= ops[i].weight;
    ops[i].fn(c);
}

static void on_request(void *arg, int peer, const struct rem_command *request)
{
    transact_request(arg, peer, request);
}

static void died(struct clients *c)
{
    model_died(c->m);
    pop_died(c);
    pop_ordered_died(c);
}

/* A life's operations and its end; true: it ended in good order. */
static bool live(struct clients *c)
{
    struct world *w = c->w;
    bool power = w->sync && dice(w, 2);
    if (dice(w, 2))
        fs_sim_power_off_after(w->disk, 1 + dice(w, 400));
    for (int i = 0; i < STEPS && !world_dead(w); i++)
        any_op(c);
    if (!world_dead(w) && dice(w, 2)) {
        if (dice(w, 3) == 0)
            fs_sim_power_off_after(w->disk, 1 + dice(w, 40));
        world_stop(w);
        if (!world_dead(w) && !fs_sim_is_off(w->disk)) {
            fs_sim_die(w->disk);
            SAY(w, "stopped");
            return true;
        }
        /* Off in the middle of the stop. */
        if (power)
            world_power_back(w);
        else
            fs_sim_die(w->disk);
    } else if (power) {
        world_crash(w);
    } else {
        world_kill(w);
    }
    SAY(w, power ? "the power failed" : "the process died");
    died(c);
    return false;
}

/* False: the power failed while it started. */
static bool begin(struct clients *c, bool clean)
{
    if (dice(c->w, 6) == 0)
        fs_sim_power_off_after(c->w->disk, 1 + dice(c->w, 60));
    if (!world_start(c->w)) {
        if (fs_sim_is_off(c->w->disk)) {
            if (c->w->sync && dice(c->w, 2))
                world_power_back(c->w);
            else
                fs_sim_die(c->w->disk);
        }
        return false;
    }
    clients_begin(c, clean);
    return true;
}

static void everything_ends(struct clients *c)
{
    int quiet = 0;
    for (int late = 0; late < LATE_MS; late += END_STEP_MS) {
        world_pass(c->w, END_STEP_MS);
        clients_heartbeat(c);
    }
    for (int i = 0; quiet < 3; i++) {
        CHECK(c->w, i < END_ROUNDS, "there is no end of messages");
        clients_heartbeat(c);
        transact_decide_all(c);
        world_pass(c->w, END_STEP_MS);
        bool any = pull_all(c);
        any |= pop_all(c);
        any |= pop_ordered_all(c);
        quiet = any || transact_open(c) ? 0 : quiet + 1;
    }
    pull_final(c);
    pop_all(c);
    model_final(c->m);
    pop_final(c);
    pop_ordered_final(c);
}

static void run_seed(uint64_t seed, bool verbose)
{
    static struct world w;
    struct clients *c = calloc(1, sizeof *c);
    struct model *m = calloc(1, sizeof *m);
    world_make(&w, seed, verbose);
    CHECK(&w, c && m, "out of memory");
    m->w = c->w = &w;
    c->m = m;
    w.on_request = on_request;
    w.on_request_arg = c;
    CHECK(&w, world_start(&w), "the first start fails");
    clients_setup(c);
    /* The power may fail from now on: what an operator sets up is durable once it is saved. */
    world_save(&w);
    clients_begin(c, true);
    for (int life = 0; life < LIVES; life++) {
        bool clean = live(c);
        /* Only when it works is a power that fails while starting over. */
        while (!begin(c, clean)) {
            clean = false;
            died(c);
        }
    }
    fs_sim_power_off_after(w.disk, INT64_MAX / 2);
    if (world_dead(&w)) {
        world_kill(&w);
        died(c);
        CHECK(&w, world_start(&w), "the last start fails");
        clients_begin(c, false);
    }
    everything_ends(c);
    SAY(&w, "%d messages, %d deliveries", m->count, c->delivery_count);
    world_stop(&w);
    CHECK(&w, !fs_sim_is_off(w.disk), "the last stop fails");
    world_free(&w);
    free(m);
    free(c);
}

int main(int argc, char **argv)
{
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (argc == 3 && strcmp(argv[1], "--seed") == 0) {
        log_set_level(getenv("MODEL_INFO") ? LOG_INFO : LOG_WARN);
        run_seed(strtoull(argv[2], NULL, 10), true);
        return 0;
    }
    uint64_t n = argc > 1 ? strtoull(argv[1], NULL, 10) : SEEDS, first = argc > 2 ? strtoull(argv[2], NULL, 10) : 1;
    struct timespec begin_at, end_at;
    clock_gettime(CLOCK_MONOTONIC, &begin_at);
    log_set_fd(-1); /* the failures are meant */
    for (uint64_t seed = first; seed < first + n; seed++)
        run_seed(seed, false);
    clock_gettime(CLOCK_MONOTONIC, &end_at);
    printf("%" PRIu64 " seeds kept their promises, in %.1f s\n", n,
           (double)(end_at.tv_sec - begin_at.tv_sec) + (double)(end_at.tv_nsec - begin_at.tv_nsec) / 1e9);
    return 0;
}

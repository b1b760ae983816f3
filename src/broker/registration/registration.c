#include "broker/registration/registration_int.h"

#include "base/log.h"
#include "os/clock.h"
#include "os/deadline.h"

#include <errno.h>
#include <stdlib.h>

enum {
    LOOP_ID = NET_MAX_LOOPS, /* none of the broker's */
    FIRST_PERIOD_MS = 10000,
    PERIOD_MIN_MS = 10000,
    PERIOD_MAX_MS = 60000,
    START_WAIT_MS = 500, /* for the first answers */
    ACK_WAIT_MS = 100,   /* a new topic is in the routes when its creation is answered, unless a name server is slow */
};

/* ---- life ---- */

static void on_topics(void *arg, struct topic *const *changed, size_t n);

struct registration *registration_new(struct broker *b)
{
    struct registration *r = calloc(1, sizeof *r);
    if (r == NULL)
        return NULL;
    pthread_condattr_t attr;
    r->b = b;
    pthread_mutex_init(&r->lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&r->answered, &attr);
    pthread_condattr_destroy(&attr);
    topic_manager_on_change(b->topics, on_topics, r);
    return r;
}

static int check_address(struct str text, struct err *err)
{
    const char *colon = memrchr(text.ptr, ':', text.len);
    int32_t port;
    if (colon == NULL || colon == text.ptr || !str_to_i32(str_skip(text, (size_t)(colon - text.ptr) + 1), &port) ||
        port < 1 || port > 65535)
        return err_set(err, EINVAL, "namesrvAddr: '%.*s' is no address; give host:port, several separated by ;",
                       STR_ARG(text));
    return 0;
}

static int add_server(struct registration *r, struct str text, struct err *err)
{
    if (check_address(text, err) < 0)
        return -1;
    struct reg_server *more = realloc(r->servers, (r->count + 1) * sizeof *more);
    char *copy = more ? str_dupz(text) : NULL;
    if (more)
        r->servers = more;
    if (copy == NULL)
        return err_set(err, ENOMEM, "out of memory for the name servers");
    r->servers[r->count++] = (struct reg_server){.r = r, .text = copy, .full_wanted = true};
    return 0;
}

static int parse_servers(struct registration *r, struct err *err)
{
    struct str rest = str_from(r->b->conf->namesrv_addr), piece;
    if (str_blank(rest))
        return 0;
    while (str_split(&rest, ';', &piece)) {
        piece = str_trim(piece);
        if (piece.len && add_server(r, piece, err) < 0)
            return -1;
    }
    return 0;
}

static void loop_main(void *arg)
{
    net_loop_run(arg);
}

static void retry_now(struct net_loop *loop, struct net_timer *t)
{
    struct reg_server *s = LIST_ENTRY(t, struct reg_server, retry);
    s->resting = false;
    reg_server_pump(s);
}

static int64_t period_ms(const struct registration *r)
{
    int64_t ms = r->b->conf->register_period_ms;
    return ms < PERIOD_MIN_MS ? PERIOD_MIN_MS : ms > PERIOD_MAX_MS ? PERIOD_MAX_MS : ms;
}

static void period(struct net_loop *loop, struct net_timer *t)
{
    struct registration *r = LIST_ENTRY(t, struct registration, period);
    for (size_t i = 0; i < r->count; i++) {
        struct reg_server *s = &r->servers[i];
        if (!r->b->conf->force_register) {
            reg_server_ask_version(s);
            continue;
        }
        s->full_wanted = true;
        reg_server_pump(s);
    }
    net_timer_set(loop, t, period_ms(r));
}

static void first_round(struct net_loop *loop, struct net_task *task)
{
    struct registration *r = LIST_ENTRY(task, struct registration, changed);
    pthread_mutex_lock(&r->lock);
    r->posted = false;
    pthread_mutex_unlock(&r->lock);
    net_timer_set(loop, &r->period, FIRST_PERIOD_MS);
    for (size_t i = 0; i < r->count; i++)
        reg_server_pump(&r->servers[i]);
}

static bool all_tried(const struct registration *r)
{
    for (size_t i = 0; i < r->count; i++)
        if (!r->servers[i].tried)
            return false;
    return true;
}

int registration_start(struct registration *r, struct err *err)
{
    if (parse_servers(r, err) < 0)
        return -1;
    if (r->count == 0) {
        LOG(LOG_WARN, "broker", "no name server is configured (namesrvAddr): clients cannot find this broker");
        return 0;
    }
    r->loop = net_loop_new(LOOP_ID, err);
    if (r->loop == NULL)
        return -1;
    for (size_t i = 0; i < r->count; i++)
        r->servers[i].retry.fn = retry_now;
    r->period.fn = period;
    /* From here on changes are noted, so that none falls between the first registration and the next. */
    pthread_mutex_lock(&r->lock);
    r->running = true;
    r->posted = true;
    pthread_mutex_unlock(&r->lock);
    r->changed.fn = first_round;
    net_loop_post(r->loop, &r->changed);
    int e = thread_start(&r->thread, "registration", loop_main, r->loop);
    if (e < 0)
        return err_sys(err, -e, "cannot start the registration thread");
    struct timespec until = deadline_in(CLOCK_MONOTONIC, START_WAIT_MS);
    pthread_mutex_lock(&r->lock);
    while (!all_tried(r))
        if (pthread_cond_timedwait(&r->answered, &r->lock, &until))
            break;
    pthread_mutex_unlock(&r->lock);
    return 0;
}

/* ---- the end ---- */

void registration_left(struct registration *r)
{
    if (--r->leaving == 0)
        net_loop_stop(r->loop);
}

static void leave(struct net_loop *loop, struct net_task *task)
{
    struct registration *r = LIST_ENTRY(task, struct registration, changed);
    r->stopping = true;
    net_timer_cancel(loop, &r->period);
    r->leaving = 1;
    for (size_t i = 0; i < r->count; i++) {
        net_timer_cancel(loop, &r->servers[i].retry);
        reg_server_unregister(&r->servers[i]);
    }
    registration_left(r);
}

void registration_stop(struct registration *r)
{
    if (r == NULL || !r->thread.running)
        return;
    pthread_mutex_lock(&r->lock);
    r->running = false;
    bool posted = r->posted;
    pthread_mutex_unlock(&r->lock);
    while (posted) {
        /* The task is one: it can be posted again when its last run has begun. */
        struct timespec moment = {0, 1000000};
        nanosleep(&moment, NULL);
        pthread_mutex_lock(&r->lock);
        posted = r->posted;
        pthread_mutex_unlock(&r->lock);
    }
    r->changed.fn = leave;
    net_loop_post(r->loop, &r->changed);
    thread_join(&r->thread);
}

void registration_free(struct registration *r)
{
    if (r == NULL)
        return;
    registration_stop(r);
    topic_manager_on_change(r->b->topics, NULL, NULL);
    for (size_t i = 0; i < r->count; i++)
        rem_channel_free(r->servers[i].channel);
    net_loop_free(r->loop);
    for (size_t i = 0; i < r->count; i++)
        free(r->servers[i].text);
    free(r->servers);
    free(r->log);
    pthread_mutex_destroy(&r->lock);
    pthread_cond_destroy(&r->answered);
    free(r);
}

/* ---- changes ---- */

/* Under the lock: changes that every name server was sent are not needed any more. */
static void trim_log(struct registration *r)
{
    uint64_t least = r->log_base + r->log_len;
    for (size_t i = 0; i < r->count; i++)
        if (r->servers[i].sent < least)
            least = r->servers[i].sent;
    size_t gone = least > r->log_base ? (size_t)(least - r->log_base) : 0;
    if (gone == 0)
        return;
    r->log_len -= gone;
    memmove(r->log, r->log + gone, r->log_len * sizeof(struct topic *));
    r->log_base = least;
}

void registration_answered(struct reg_server *s, bool ok)
{
    struct registration *r = s->r;
    pthread_mutex_lock(&r->lock);
    s->tried = true;
    s->healthy = ok;
    s->lagging = false;
    if (ok)
        s->acked = s->sent;
    else
        s->sent = r->log_base + r->log_len; /* the next registration sends all topics */
    trim_log(r);
    pthread_cond_broadcast(&r->answered);
    pthread_mutex_unlock(&r->lock);
}

static void changed(struct net_loop *loop, struct net_task *task)
{
    struct registration *r = LIST_ENTRY(task, struct registration, changed);
    pthread_mutex_lock(&r->lock);
    r->posted = false;
    pthread_mutex_unlock(&r->lock);
    for (size_t i = 0; i < r->count; i++)
        reg_server_pump(&r->servers[i]);
}

/* Under the lock. */
static void post(struct registration *r)
{
    if (r->posted)
        return;
    r->posted = true;
    r->changed.fn = changed;
    net_loop_post(r->loop, &r->changed);
}

static bool append_log(struct registration *r, struct topic *const *topics, size_t n)
{
    if (r->log_cap - r->log_len < n) {
        size_t cap = r->log_cap * 2 > r->log_len + n ? r->log_cap * 2 : r->log_len + n + 16;
        struct topic **more = realloc(r->log, cap * sizeof(struct topic *));
        if (more == NULL)
            return false;
        r->log = more;
        r->log_cap = cap;
    }
    memcpy(r->log + r->log_len, topics, n * sizeof(struct topic *));
    r->log_len += n;
    return true;
}

static bool waited_for(const struct reg_server *s, uint64_t change)
{
    return s->healthy && !s->lagging && s->acked < change;
}

/* Under the lock: waits until the name servers that answer at all know of the change. */
static void wait_for(struct registration *r, uint64_t change)
{
    struct timespec until = deadline_in(CLOCK_MONOTONIC, ACK_WAIT_MS);
    for (size_t i = 0; i < r->count; i++) {
        while (waited_for(&r->servers[i], change))
            if (pthread_cond_timedwait(&r->answered, &r->lock, &until)) {
                r->servers[i].lagging = true;
                break;
            }
    }
}

static void on_topics(void *arg, struct topic *const *topics, size_t n)
{
    struct registration *r = arg;
    pthread_mutex_lock(&r->lock);
    if (r->running) {
        if (append_log(r, topics, n)) {
            uint64_t change = r->log_base + r->log_len;
            post(r);
            if (net_loop_current() == NULL)
                wait_for(r, change);
        } else {
            LOG(LOG_ERROR, "broker",
                "out of memory: %zu topics reach the name servers only with the next full registration", n);
        }
    }
    pthread_mutex_unlock(&r->lock);
}

struct all_task {
    struct net_task task;
    struct registration *r;
};

static void all_now(struct net_loop *loop, struct net_task *task)
{
    struct all_task *t = (struct all_task *)(void *)task;
    struct registration *r = t->r;
    for (size_t i = 0; i < r->count; i++) {
        r->servers[i].full_wanted = r->servers[i].fresh_wanted = true;
        reg_server_pump(&r->servers[i]);
    }
    free(t);
}

void registration_all_soon(struct registration *r)
{
    struct all_task *t = malloc(sizeof *t);
    pthread_mutex_lock(&r->lock);
    bool running = r->running && t;
    if (running) {
        *t = (struct all_task){.task = {.fn = all_now}, .r = r};
        net_loop_post(r->loop, &t->task);
    }
    pthread_mutex_unlock(&r->lock);
    if (!running)
        free(t);
}

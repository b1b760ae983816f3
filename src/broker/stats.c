/*
 * Windows as Java's: samples of the running totals every 10 s (kept for a minute), every 10 minutes (an hour) and every
 * hour (a day); a window's sum is what was counted since its first sample. All items are sampled at the same moments,
 * so the times stand once a window, not once an item.
 */
#include "broker/stats.h"

#include "base/map.h"
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum window { MINUTE, HOUR, DAY, WINDOWS };
enum { MINUTE_SAMPLES = 7, HOUR_SAMPLES = 7, DAY_SAMPLES = 25, RATE_SECONDS = 600 };

static const struct {
    int64_t every_ms;
    unsigned samples;
    unsigned at; /* of the window's samples in an item */
} windows[WINDOWS] = {
    [MINUTE] = {10000, MINUTE_SAMPLES, 0},
    [HOUR] = {600000, HOUR_SAMPLES, MINUTE_SAMPLES},
    [DAY] = {3600000, DAY_SAMPLES, MINUTE_SAMPLES + HOUR_SAMPLES},
};

static const char *const names[STATS_NAMES] = {
    [STATS_TOPIC_PUT_NUMS] = "TOPIC_PUT_NUMS",       [STATS_TOPIC_PUT_SIZE] = "TOPIC_PUT_SIZE",
    [STATS_GROUP_GET_NUMS] = "GROUP_GET_NUMS",       [STATS_GROUP_GET_SIZE] = "GROUP_GET_SIZE",
    [STATS_SNDBCK_PUT_NUMS] = "SNDBCK_PUT_NUMS",     [STATS_DLQ_PUT_NUMS] = "DLQ_PUT_NUMS",
    [STATS_BROKER_PUT_NUMS] = "BROKER_PUT_NUMS",     [STATS_BROKER_GET_NUMS] = "BROKER_GET_NUMS",
    [STATS_GROUP_GET_LATENCY] = "GROUP_GET_LATENCY", [STATS_TOPIC_PUT_LATENCY] = "TOPIC_PUT_LATENCY",
    [STATS_BROKER_CK_NUMS] = "BROKER_CK_NUMS",       [STATS_GROUP_CK_NUMS] = "GROUP_CK_NUMS",
    [STATS_BROKER_ACK_NUMS] = "BROKER_ACK_NUMS",     [STATS_GROUP_ACK_NUMS] = "GROUP_ACK_NUMS",
};

struct sample {
    int64_t value, times;
};

struct item {
    struct stats_item counters; /* what users hold */
    struct sample base;         /* counters when the item was made or forgotten: the value before the first sample */
    bool hidden;                /* forgotten, and not counted since */
    uint8_t taken[WINDOWS];     /* samples there, the base included */
    struct sample samples[MINUTE_SAMPLES + HOUR_SAMPLES + DAY_SAMPLES]; /* each window oldest first */
};

/* Times of the last samples of a window, oldest first. */
struct clock_ring {
    int64_t at[DAY_SAMPLES];
    unsigned count;
    int64_t next_ms;
};

/* Running totals, one a second. */
struct rate {
    int64_t totals[RATE_SECONDS + 1];
    int64_t at[RATE_SECONDS + 1];
    unsigned count, next;
};

struct stats {
    pthread_mutex_t lock;
    struct map items[STATS_NAMES];
    struct clock_ring clocks[WINDOWS];
    struct rate rates[STATS_RATES];
    struct stats_item *put, *got;
    int64_t now_ms; /* of the last stats_sample */
    int day;        /* of the year, local time; -1 before the first sample */
    int64_t put_today, put_yesterday, got_today, got_yesterday;
    struct stats_item sink; /* counts what could not be allocated */
};

struct stats *stats_new(const char *cluster)
{
    struct stats *s = calloc(1, sizeof *s);
    if (s == NULL)
        return NULL;
    pthread_mutex_init(&s->lock, NULL);
    s->day = -1;
    s->put = stats_item(s, STATS_BROKER_PUT_NUMS, str_from(cluster));
    s->got = stats_item(s, STATS_BROKER_GET_NUMS, str_from(cluster));
    return s;
}

void stats_free(struct stats *s)
{
    if (s == NULL)
        return;
    for (int i = 0; i < STATS_NAMES; i++)
        map_free(&s->items[i], free);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

static struct sample read_counters(const struct item *i)
{
    return (struct sample){
        atomic_load_explicit(&i->counters.value, memory_order_relaxed),
        atomic_load_explicit(&i->counters.times, memory_order_relaxed),
    };
}

struct stats_item *stats_item(struct stats *s, enum stats_name name, struct str key)
{
    pthread_mutex_lock(&s->lock);
    struct item *i = map_get(&s->items[name], key);
    if (i == NULL) {
        i = calloc(1, sizeof *i);
        if (i && !map_put(&s->items[name], key, i, NULL)) {
            free(i);
            i = NULL;
        }
    }
    pthread_mutex_unlock(&s->lock);
    return i ? &i->counters : &s->sink;
}

/* ---- sampling ---- */

static void take_sample(struct item *i, enum window w)
{
    struct sample *first = &i->samples[windows[w].at];
    unsigned max = windows[w].samples;
    if (i->taken[w] == 0) {
        first[0] = i->base;
        i->taken[w] = 1;
    }
    if (i->taken[w] == max) {
        memmove(first, first + 1, (max - 1) * sizeof *first);
        i->taken[w]--;
    }
    first[i->taken[w]++] = read_counters(i);
}

static void sample_window(struct stats *s, enum window w, int64_t now_ms)
{
    struct clock_ring *c = &s->clocks[w];
    unsigned max = windows[w].samples;
    if (c->count == 0)
        c->at[c->count++] = now_ms - windows[w].every_ms;
    if (c->count == max) {
        memmove(c->at, c->at + 1, (max - 1) * sizeof c->at[0]);
        c->count--;
    }
    c->at[c->count++] = now_ms;
    c->next_ms = now_ms + windows[w].every_ms;
    for (int n = 0; n < STATS_NAMES; n++)
        for (struct map_slot *slot = NULL; (slot = map_next(&s->items[n], slot));)
            take_sample(slot->value, w);
}

static void add_rate(struct rate *r, int64_t total, int64_t now_ms)
{
    r->totals[r->next] = total;
    r->at[r->next] = now_ms;
    r->next = (r->next + 1) % (RATE_SECONDS + 1);
    if (r->count <= RATE_SECONDS)
        r->count++;
}

static int64_t total(const struct stats_item *i)
{
    return atomic_load_explicit(&i->value, memory_order_relaxed);
}

/* At the first sample of a new day. */
static void turn_day(struct stats *s, int64_t now_ms)
{
    struct tm tm;
    time_t t = (time_t)(now_ms / 1000);
    localtime_r(&t, &tm);
    if (s->day >= 0 && tm.tm_yday != s->day) {
        s->put_yesterday = s->put_today;
        s->got_yesterday = s->got_today;
        s->put_today = total(s->put);
        s->got_today = total(s->got);
    }
    s->day = tm.tm_yday;
}

void stats_sample(struct stats *s, int64_t now_ms)
{
    pthread_mutex_lock(&s->lock);
    s->now_ms = now_ms;
    turn_day(s, now_ms);
    for (int w = 0; w < WINDOWS; w++)
        if (now_ms >= s->clocks[w].next_ms)
            sample_window(s, (enum window)w, now_ms);
    add_rate(&s->rates[STATS_RATE_PUT], total(s->put), now_ms);
    add_rate(&s->rates[STATS_RATE_TRANSFERRED], total(s->got), now_ms);
    pthread_mutex_unlock(&s->lock);
}

void stats_sample_gets(struct stats *s, int64_t found, int64_t missed, int64_t now_ms)
{
    pthread_mutex_lock(&s->lock);
    add_rate(&s->rates[STATS_RATE_FOUND], found, now_ms);
    add_rate(&s->rates[STATS_RATE_MISSED], missed, now_ms);
    pthread_mutex_unlock(&s->lock);
}

/* ---- reading ---- */

struct snapshot {
    int64_t sum;
    double tps, average;
};

/* From the window's first sample up to now: what was counted since the last one is not held back until the next. */
static struct snapshot compute(const struct stats *s, const struct item *i, enum window w)
{
    struct snapshot out = {0};
    const struct clock_ring *c = &s->clocks[w];
    unsigned n = i->taken[w];
    struct sample now = read_counters(i), first = n ? i->samples[windows[w].at] : i->base;
    int64_t times = now.times - first.times, ms = 0;
    if (c->count > 0)
        ms = s->now_ms - c->at[n ? c->count - n : c->count - 1];
    out.sum = now.value - first.value;
    out.tps = ms > 0 ? (double)out.sum * 1000.0 / (double)ms : 0;
    out.average = times > 0 ? (double)out.sum / (double)times : 0;
    return out;
}

/* NULL also for one that was forgotten and not counted since. */
static struct item *find(struct stats *s, enum stats_name name, struct str key)
{
    struct item *i = map_get(&s->items[name], key);
    if (i && i->hidden) {
        struct sample now = read_counters(i);
        if (now.value == i->base.value && now.times == i->base.times)
            return NULL;
        i->hidden = false;
    }
    return i;
}

static void write_window(struct jw *w, const char *name, struct snapshot s)
{
    jw_kobject(w, name);
    jw_kdouble(w, "avgpt", s.average);
    jw_ki64(w, "sum", s.sum);
    jw_kdouble(w, "tps", s.tps);
    jw_end_object(w);
}

bool stats_write(struct stats *s, struct str name, struct str key, struct jw *w)
{
    int n = 0;
    while (n < STATS_NAMES && !str_eqz(name, names[n]))
        n++;
    if (n == STATS_NAMES)
        return false;
    struct snapshot shot[WINDOWS];
    pthread_mutex_lock(&s->lock);
    const struct item *i = find(s, (enum stats_name)n, key);
    for (int k = 0; i && k < WINDOWS; k++)
        shot[k] = compute(s, i, (enum window)k);
    pthread_mutex_unlock(&s->lock);
    if (i == NULL)
        return false;
    jw_begin_object(w);
    write_window(w, "statsDay", shot[DAY]);
    write_window(w, "statsHour", shot[HOUR]);
    write_window(w, "statsMinute", shot[MINUTE]);
    jw_end_object(w);
    return true;
}

double stats_tps(struct stats *s, enum stats_name name, struct str key)
{
    pthread_mutex_lock(&s->lock);
    const struct item *i = find(s, name, key);
    double tps = i ? compute(s, i, MINUTE).tps : 0;
    pthread_mutex_unlock(&s->lock);
    return tps;
}

void stats_totals(struct stats *s, int64_t *put_now, int64_t *put_today_morning, int64_t *put_yesterday_morning,
                  int64_t *got_now, int64_t *got_today_morning, int64_t *got_yesterday_morning)
{
    pthread_mutex_lock(&s->lock);
    *put_now = total(s->put);
    *put_today_morning = s->put_today;
    *put_yesterday_morning = s->put_yesterday;
    *got_now = total(s->got);
    *got_today_morning = s->got_today;
    *got_yesterday_morning = s->got_yesterday;
    pthread_mutex_unlock(&s->lock);
}

static void hide(struct item *i)
{
    i->base = read_counters(i);
    i->hidden = true;
    memset(i->taken, 0, sizeof i->taken);
}

/* The key is the name, or name@group, or topic@name. */
static bool concerns(struct str key, struct str name)
{
    if (str_eq(key, name))
        return true;
    if (key.len <= name.len + 1)
        return false;
    if (str_starts(key, name) && key.ptr[name.len] == '@')
        return true;
    struct str tail = str_skip(key, key.len - name.len);
    return str_eq(tail, name) && tail.ptr[-1] == '@';
}

void stats_forget(struct stats *s, struct str topic_or_group)
{
    pthread_mutex_lock(&s->lock);
    for (int n = 0; n < STATS_NAMES; n++) {
        if (n == STATS_BROKER_PUT_NUMS || n == STATS_BROKER_GET_NUMS)
            continue;
        for (struct map_slot *slot = NULL; (slot = map_next(&s->items[n], slot));)
            if (concerns(slot->key, topic_or_group))
                hide(slot->value);
    }
    pthread_mutex_unlock(&s->lock);
}

/* ---- rates ---- */

/* Over the last `seconds`, or as long as there are samples. */
static double rate_over(const struct rate *r, unsigned seconds)
{
    if (r->count < 2)
        return 0;
    unsigned back = seconds < r->count - 1 ? seconds : r->count - 1;
    unsigned size = RATE_SECONDS + 1, last = (r->next + size - 1) % size, first = (last + size - back) % size;
    int64_t ms = r->at[last] - r->at[first];
    return ms > 0 ? (double)(r->totals[last] - r->totals[first]) * 1000.0 / (double)ms : 0;
}

void stats_rate_text(struct stats *s, unsigned which, char out[64])
{
    static const unsigned seconds[3] = {10, 60, 600};
    double v[3] = {0};
    pthread_mutex_lock(&s->lock);
    for (unsigned k = 0; k < 3; k++)
        for (unsigned r = 0; r < STATS_RATES; r++)
            if (which >> r & 1)
                v[k] += rate_over(&s->rates[r], seconds[k]);
    pthread_mutex_unlock(&s->lock);
    snprintf(out, 64, "%.4f %.4f %.4f", v[0], v[1], v[2]);
}

void stats_tps_text(struct stats *s, enum stats_name name, char out[64])
{
    stats_rate_text(s, 1u << (name == STATS_BROKER_GET_NUMS ? STATS_RATE_TRANSFERRED : STATS_RATE_PUT), out);
}

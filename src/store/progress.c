#include "store/progress.h"

#include <inttypes.h>
#include <stdio.h>

#include "os/clock.h"

enum { SAY_MS = 3000, WINDOW_MS = 1000 };

static int64_t get(const int64_t *value)
{
    return __atomic_load_n(value, __ATOMIC_RELAXED);
}

static void set(int64_t *value, int64_t to)
{
    __atomic_store_n(value, to, __ATOMIC_RELAXED);
}

void progress_begin(struct progress *p, int64_t from, int64_t to)
{
    set(&p->from, from);
    set(&p->to, to);
    set(&p->pos, from);
    set(&p->rate, 0);
    p->begun_ms = p->window_ms = p->said_ms = clock_mono_ms();
    p->window_at = from;
}

bool progress_move(struct progress *p, int64_t pos)
{
    int64_t now = clock_mono_ms(), took = now - p->window_ms;
    set(&p->pos, pos);
    if (took >= WINDOW_MS) {
        set(&p->rate, (pos - p->window_at) * 1000 / took);
        p->window_ms = now;
        p->window_at = pos;
    }
    if (now - p->said_ms < SAY_MS)
        return false;
    p->said_ms = now;
    return true;
}

void progress_text(const struct progress *p, char out[PROGRESS_TEXT])
{
    int64_t from = get(&p->from), all = get(&p->to) - from, done = get(&p->pos) - from, rate = get(&p->rate);
    if (done > all)
        done = all;
    double percent = all > 0 ? 100.0 * (double)done / (double)all : 100.0;
    int n = snprintf(out, PROGRESS_TEXT, "%.1f %% of %" PRId64 " MiB", percent, all >> 20);
    if (rate > 0 && n > 0 && n < PROGRESS_TEXT)
        snprintf(out + n, (size_t)(PROGRESS_TEXT - n), ", %" PRId64 " MB/s, %" PRId64 " s left", rate / 1000000,
                 (all - done + rate - 1) / rate);
}

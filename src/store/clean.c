#include "store/clean.h"

#include "base/str.h"

double clean_disk_ratio(const struct fs *fs, const char *path)
{
    int64_t total, usable;
    if (fs->space(fs, path, &total, &usable) || total <= 0 || usable < 0 || usable > total)
        return -1;
    double percent = (double)(total - usable) * 100.0 / (double)total;
    int64_t up = (int64_t)percent;
    up += percent > (double)up;
    return (double)up / 100.0;
}

bool clean_is_hour(const char *delete_when, int hour)
{
    struct str rest = str_from(delete_when), piece;
    while (str_split(&rest, ';', &piece)) {
        int32_t h;
        if (str_to_i32(str_trim(piece), &h) && h == hour)
            return true;
    }
    return false;
}

static double clamp(int percent, double low, double high)
{
    double ratio = percent / 100.0;
    return ratio < low ? low : ratio > high ? high : ratio;
}

double clean_forcibly_ratio(int percent)
{
    return clamp(percent, 0.30, 0.85);
}

/* Between the two ratios a full store stays full, so that it does not waver. */
static bool is_full(const struct clean_rules *rules, const struct clean_state *state)
{
    double warning = clamp(rules->warning_percent, 0.35, 0.90),
           forcibly = clean_forcibly_ratio(rules->forcibly_percent);
    if (state->log_ratio > warning || state->queue_ratio > warning)
        return true;
    return state->was_full && (state->log_ratio > forcibly || state->queue_ratio > forcibly);
}

static void remove_files(const struct clean_rules *rules, const struct clean_state *state,
                         const struct clean_hands *hands, struct clean_outcome *out)
{
    int64_t keep_ms = rules->reserved_hours * 3600 * 1000;
    while (out->removed < rules->files_max) {
        int64_t mtime = hands->first_mtime(hands->arg);
        if (mtime < 0 || (!out->at_once && state->now_ms - mtime < keep_ms))
            return;
        if (out->removed > 0 && rules->pause_ms > 0 && !hands->pause(hands->arg, rules->pause_ms))
            return;
        int r = hands->remove_first(hands->arg);
        if (r < 0)
            out->error = r;
        if (r <= 0)
            return;
        out->removed++;
        /* One file makes the room that was missing; more would cost messages for nothing. */
        if (state->no_room && state->log_ratio <= clean_forcibly_ratio(rules->forcibly_percent))
            return;
    }
}

struct clean_outcome clean_round(const struct clean_rules *rules, const struct clean_state *state,
                                 const struct clean_hands *hands)
{
    double forcibly = clean_forcibly_ratio(rules->forcibly_percent), used = clamp(rules->max_used_percent, 0.10, 0.95);
    struct clean_outcome out = {.full = is_full(rules, state)};
    bool pressed = state->log_ratio > forcibly || state->queue_ratio > forcibly || state->no_room;
    bool space = pressed || state->log_ratio < 0 || state->log_ratio > used || state->queue_ratio < 0 ||
                 state->queue_ratio > used;
    out.wanted = space || state->manual || clean_is_hour(rules->delete_when, state->hour);
    out.at_once = pressed && rules->may_force;
    if (out.wanted)
        remove_files(rules, state, hands, &out);
    return out;
}

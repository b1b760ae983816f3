#include "broker/pop/pop_order.h"

#include <stdlib.h>

void pop_order_clear(struct pop_order *o)
{
    free(o->attempt);
    *o = (struct pop_order){0};
}

static bool same_attempt(const struct pop_order *o, struct str attempt)
{
    return o->attempt && !str_is_null(attempt) && str_eqz(attempt, o->attempt);
}

static bool is_acked(const struct pop_order *o, uint32_t i)
{
    return o->acked & UINT64_C(1) << i;
}

bool pop_order_blocked(struct pop_order *o, struct str attempt, int64_t invisible_ms, int64_t now, int64_t *free_at)
{
    if (!o->known || o->count == 0 || same_attempt(o, attempt))
        return false;
    if (o->invisible_ms <= 0)
        o->invisible_ms = invisible_ms;
    int64_t until = 0;
    for (uint32_t i = 0; i < o->count; i++) {
        int64_t visible = o->visible[i] ? o->visible[i] : o->pop_time + o->invisible_ms;
        if (!is_acked(o, i) && visible > until)
            until = visible;
    }
    *free_at = until;
    return now < until;
}

static int index_of(const struct pop_order *o, int64_t offset)
{
    for (uint32_t i = 0; i < o->count; i++)
        if (o->offset[i] == offset)
            return (int)i;
    return -1;
}

bool pop_order_popped(struct pop_order *o, struct str attempt, int64_t pop_time, int64_t invisible_ms, int64_t now,
                      const int64_t *offsets, uint32_t n)
{
    char *copy = str_is_null(attempt) ? NULL : str_dupz(attempt);
    if (n > POP_MAX_MESSAGES || (copy == NULL && !str_is_null(attempt)))
        return false;
    /* A repeated attempt is not one more. */
    int more = same_attempt(o, attempt) ? 0 : 1;
    int32_t consumed[POP_MAX_MESSAGES] = {0};
    for (uint32_t i = 0; i < n; i++) {
        int before = index_of(o, offsets[i]);
        if (before >= 0)
            consumed[i] = o->consumed[before] + more;
    }
    free(o->attempt);
    *o = (struct pop_order){
        .known = true,
        .attempt = copy,
        .pop_time = pop_time,
        .invisible_ms = invisible_ms,
        .last_consumed = now,
        .count = n,
    };
    memcpy(o->offset, offsets, n * sizeof *offsets);
    memcpy(o->consumed, consumed, sizeof consumed);
    return true;
}

void pop_order_counts(const struct pop_order *o, struct buf *out, enum pop_kind kind, int32_t queue_id)
{
    int32_t least = INT32_MAX;
    for (uint32_t i = 0; i < o->count; i++) {
        if (o->consumed[i] > 0)
            pop_info_offset_count(out, kind, queue_id, o->offset[i], o->consumed[i]);
        if (o->consumed[i] < least)
            least = o->consumed[i];
    }
    /* Clients that know only queues. */
    pop_info_queue_count(out, kind, queue_id, o->count ? least : 0);
}

int64_t pop_order_ack(struct pop_order *o, int64_t offset, int64_t pop_time)
{
    if (!o->known)
        return offset + 1;
    if (o->count == 0)
        return POP_ORDER_ILLEGAL;
    if (pop_time != o->pop_time)
        return POP_ORDER_STALE;
    int at = index_of(o, offset);
    if (at < 0)
        return POP_ORDER_ILLEGAL;
    o->acked |= UINT64_C(1) << at;
    for (uint32_t i = 0; i < o->count; i++)
        if (!is_acked(o, i))
            return o->offset[i];
    return o->offset[o->count - 1] + 1;
}

void pop_order_set_visible(struct pop_order *o, int64_t offset, int64_t pop_time, int64_t visible)
{
    int at = o->known && o->pop_time == pop_time ? index_of(o, offset) : -1;
    if (at >= 0)
        o->visible[at] = visible;
}

/* ---- file ---- */

static void write_map(const struct pop_order *o, struct jw *w, const char *name, bool counts)
{
    jw_kobject(w, name);
    for (uint32_t i = 0; i < o->count; i++) {
        int64_t value = counts ? o->consumed[i] : o->visible[i];
        if (value == 0)
            continue;
        jw_key_i64(w, o->offset[i], false);
        jw_i64(w, value);
    }
    jw_end_object(w);
}

static bool any_visible(const struct pop_order *o)
{
    for (uint32_t i = 0; i < o->count; i++)
        if (o->visible[i])
            return true;
    return false;
}

void pop_order_write(const struct pop_order *o, struct jw *w)
{
    jw_begin_object(w);
    if (o->attempt)
        jw_kstr(w, "a", str_from(o->attempt));
    jw_ki64(w, "cm", (int64_t)o->acked);
    jw_ki64(w, "i", o->invisible_ms);
    jw_ki64(w, "l", o->last_consumed);
    jw_karray(w, "o");
    for (uint32_t i = 0; i < o->count; i++)
        jw_i64(w, i ? o->offset[i] - o->offset[0] : o->offset[0]);
    jw_end_array(w);
    write_map(o, w, "oc", true);
    if (any_visible(o))
        write_map(o, w, "ot", false);
    jw_ki64(w, "popTime", o->pop_time);
    jw_end_object(w);
}

/* A map's value for an offset; keys may be numbers or texts. */
static int64_t of_offset(const struct json *map, int64_t offset)
{
    char name[24];
    name[fmt_i64(name, offset)] = '\0';
    return map && map->kind == JSON_OBJECT ? json_i64(map, name, 0) : 0;
}

bool pop_order_read(struct pop_order *o, const struct json *j)
{
    const struct json *offsets = json_get(j, "o");
    struct str attempt = json_str(j, "a");
    pop_order_clear(o);
    if (j == NULL || j->kind != JSON_OBJECT)
        return false;
    o->attempt = str_is_null(attempt) ? NULL : str_dupz(attempt);
    o->pop_time = json_i64(j, "popTime", 0);
    o->invisible_ms = json_i64(j, "i", 0);
    o->last_consumed = json_i64(j, "l", 0);
    o->acked = (uint64_t)json_i64(j, "cm", 0);
    JSON_EACH(e, offsets)
    {
        if (o->count == POP_MAX_MESSAGES)
            break;
        int64_t value = json_int(e, 0);
        uint32_t i = o->count++;
        o->offset[i] = i ? o->offset[0] + value : value;
        o->consumed[i] = (int32_t)of_offset(json_get(j, "oc"), o->offset[i]);
        o->visible[i] = of_offset(json_get(j, "ot"), o->offset[i]);
    }
    o->known = true;
    return true;
}

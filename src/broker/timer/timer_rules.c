/* Which messages wait for a time, and until when. */
#include "broker/timer/timer.h"

#include "base/base64.h"
#include "broker/timer/timer_int.h"
#include "os/clock.h"
#include "os/host.h"
#include <inttypes.h>
#include <stdio.h>

/* The time asked for. 1: yes; 0: none; -1: no number. Of several the first in this order counts. */
static int asked(struct str properties, int64_t now, int64_t *deliver_ms)
{
    static const struct {
        struct str name;
        int64_t unit; /* 0: a time, not a delay */
    } ways[] = {
        {{MSG_PROP_TIMER_DELAY_SEC, sizeof MSG_PROP_TIMER_DELAY_SEC - 1}, 1000},
        {{MSG_PROP_TIMER_DELAY_MS, sizeof MSG_PROP_TIMER_DELAY_MS - 1}, 1},
        {{MSG_PROP_TIMER_DELIVER_MS, sizeof MSG_PROP_TIMER_DELIVER_MS - 1}, 0},
    };
    for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++) {
        struct str text = msg_property(properties, ways[i].name);
        int64_t number;
        if (str_is_null(text))
            continue;
        if (!str_to_i64(text, &number))
            return -1;
        if (ways[i].unit == 0)
            *deliver_ms = number;
        else if (__builtin_mul_overflow(number, ways[i].unit, &number) ||
                 __builtin_add_overflow(number, now, deliver_ms))
            return -1;
        return 1;
    }
    return 0;
}

/* Between the limit and twice the limit a part of the messages is refused, by Java's rule. */
static bool is_congested(const struct broker *b, int64_t out_ms)
{
    int64_t limit = b->store_conf->timerCongestNumEachSlot, n = timer_waiting_at(b->timer, out_ms);
    uint16_t dice;
    if (n <= limit)
        return false;
    if (n >= 2 * limit)
        return true;
    host_random(&dice, sizeof dice);
    return dice % 1000 > 1000.0 * (double)(n - limit) / ((double)limit + 0.1);
}

static void new_properties(struct buf *props, const struct msg *m, int64_t out_ms)
{
    static const struct str replaced[] = {
        {MSG_PROP_REAL_TOPIC, sizeof MSG_PROP_REAL_TOPIC - 1},
        {MSG_PROP_REAL_QID, sizeof MSG_PROP_REAL_QID - 1},
    };
    char number[24];
    msg_properties_without(props, m->properties, replaced, sizeof replaced / sizeof replaced[0]);
    msg_property_add(props, STR_LIT(MSG_PROP_TIMER_OUT_MS), str_make(number, fmt_i64(number, out_ms)));
    msg_property_add(props, STR_LIT(MSG_PROP_REAL_TOPIC), m->topic);
    msg_property_add(props, STR_LIT(MSG_PROP_REAL_QID), str_make(number, fmt_i64(number, m->queue_id)));
}

enum timer_verdict timer_redirect(struct broker *b, struct msg *m, struct buf *props, struct topic **to,
                                  int64_t *out_ms)
{
    int transaction = m->sys_flag & MSG_FLAG_TRANSACTION_MASK;
    int64_t now = clock_wall_ms(), deliver_ms;
    /* One that was in the wheel has been delivered. */
    if ((transaction != 0 && transaction != MSG_FLAG_TRANSACTION_COMMIT) || str_eqz(m->topic, TIMER_TOPIC) ||
        !str_is_null(msg_property(m->properties, STR_LIT(MSG_PROP_TIMER_OUT_MS))))
        return TIMER_NONE;
    int found = asked(m->properties, now, &deliver_ms);
    if (found == 0)
        return TIMER_NONE;
    if (b->timer == NULL)
        return TIMER_DISABLED;
    if (found < 0)
        return TIMER_ILLEGAL;
    if (deliver_ms <= now)
        return str_is_null(msg_property(m->properties, STR_LIT(MSG_PROP_TIMER_DEL_UNIQKEY))) ? TIMER_NONE
                                                                                             : TIMER_ILLEGAL;
    if (deliver_ms - now > b->store_conf->timerMaxDelaySec * INT64_C(1000))
        return TIMER_ILLEGAL;
    /* A time's messages come when the next begins: one that lies on the step comes with the step before. */
    int32_t step = timer_precision(b->timer);
    deliver_ms -= deliver_ms % step ? deliver_ms % step : step;
    if (is_congested(b, deliver_ms))
        return TIMER_FLOW_CONTROL;
    struct topic *t = topic_find(b->topics, STR_LIT(TIMER_TOPIC));
    if (t == NULL)
        return TIMER_DISABLED;
    new_properties(props, m, deliver_ms);
    m->properties = buf_str(props);
    m->topic = t->name;
    m->queue_id = 0;
    *to = t;
    *out_ms = deliver_ms;
    return TIMER_MOVED;
}

int32_t timer_refusal(const struct broker *b, enum timer_verdict v, char *remark, size_t size)
{
    int64_t limit = b->store_conf->timerCongestNumEachSlot;
    if (v == TIMER_ILLEGAL) {
        snprintf(remark, size,
                 "timer message illegal, the delay time should not be bigger than the max delay %" PRId64
                 "ms; or if set del msg, the delay time should be bigger than the current time",
                 b->store_conf->timerMaxDelaySec * INT64_C(1000));
        return RESP_MESSAGE_ILLEGAL;
    }
    if (v == TIMER_FLOW_CONTROL)
        snprintf(remark, size,
                 "timer message is under flow control, max num limit is %" PRId64
                 " or the current value is greater than %" PRId64 " and less than %" PRId64
                 ", trigger random flow control",
                 2 * limit, limit, 2 * limit);
    else
        snprintf(remark, size, "accurate timer message is not enabled, timerWheelEnable is %s",
                 b->store_conf->timerWheelEnable ? "true" : "false");
    return RESP_SYSTEM_ERROR;
}

void timer_recall_handle(struct buf *out, const struct broker *b, struct str topic, int64_t out_ms, struct str id)
{
    struct buf plain = {0};
    /* One more than the time, so that rounding leads back to it. */
    buf_printf(&plain, "v1 %.*s %s %" PRId64 " %.*s", STR_ARG(topic), b->conf->broker_name, out_ms + 1, STR_ARG(id));
    if (buf_ok(&plain))
        base64_url_add(out, buf_str(&plain));
    buf_free(&plain);
}

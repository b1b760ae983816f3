/* The rules of the search for undecided half messages, without its work. */
#include "broker/transaction/transaction_int.h"

/* -1 for what is no number, as Java reads it. */
static int64_t number_of(struct str text)
{
    int64_t n;
    return str_to_i64(text, &n) ? n : -1;
}

int32_t transaction_check_times(const struct msg *half)
{
    int32_t times;
    struct str text = msg_property(half->properties, STR_LIT(MSG_PROP_CHECK_TIMES));
    return str_is_null(text) ? 0 : str_to_i32(text, &times) ? times : -1;
}

static int64_t seconds_to_ms(int64_t seconds)
{
    return seconds > INT64_MAX / 1000 ? INT64_MAX : seconds < INT64_MIN / 1000 ? INT64_MIN : seconds * 1000;
}

int64_t transaction_immunity_ms(struct str seconds, int64_t timeout_ms)
{
    int64_t n, ms = str_to_i64(seconds, &n) ? seconds_to_ms(n) : 0;
    return ms < timeout_ms ? timeout_ms : ms;
}

enum transaction_verdict transaction_judge(const struct transaction_rules *rules, const struct msg *half, int64_t now,
                                           int64_t begin)
{
    int64_t age = now - (half->born_time < 0 ? 0 : half->born_time);
    struct str asked_for = msg_property(half->properties, STR_LIT(MSG_PROP_CHECK_IMMUNITY));
    /* Put back by this search: the one that is asked for the last time has until the next to answer. */
    if (half->store_time >= begin)
        return TRANSACTION_LATER;
    if (transaction_check_times(half) >= rules->check_max || age > rules->reserved_ms)
        return TRANSACTION_DISCARD;
    if (!str_is_null(asked_for)) {
        int64_t seconds = number_of(asked_for);
        int64_t immunity = seconds == -1 ? rules->timeout_ms : seconds_to_ms(seconds);
        return age < immunity ? TRANSACTION_IMMUNE : TRANSACTION_ASK;
    }
    /* Born in the future: its producer's clock tells nothing. */
    return age >= 0 && age < rules->timeout_ms ? TRANSACTION_LATER : TRANSACTION_ASK;
}

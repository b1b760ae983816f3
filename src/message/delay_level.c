#include "message/delay_level.h"

#include <errno.h>

static int64_t unit_ms(char unit)
{
    switch (unit) {
    case 's':
        return 1000;
    case 'm':
        return 60000;
    case 'h':
        return 3600000;
    case 'd':
        return 86400000;
    default:
        return 0;
    }
}

int delay_levels_parse(struct delay_levels *out, struct str text, struct err *err)
{
    struct str piece;
    out->count = 0;
    while (str_split(&text, ' ', &piece)) {
        int64_t number;
        if (piece.len == 0)
            continue;
        int64_t unit = unit_ms(piece.ptr[piece.len - 1]);
        if (unit == 0 || !str_to_i64(str_make(piece.ptr, piece.len - 1), &number) || number < 0 || number > INT32_MAX)
            return err_set(err, EINVAL,
                           "messageDelayLevel: '%.*s' is no delay; write a number and s, m, h or d, such as 30s",
                           STR_ARG(piece));
        if (out->count == DELAY_LEVELS_MAX)
            return err_set(err, EINVAL, "messageDelayLevel has more than %d levels", DELAY_LEVELS_MAX);
        out->ms[++out->count] = number * unit;
    }
    return 0;
}

int delay_level_of(const struct delay_levels *levels, struct str property)
{
    int32_t level;
    if (property.len == 0 || !str_to_i32(property, &level) || level <= 0)
        return 0;
    return level > levels->count ? levels->count : level;
}

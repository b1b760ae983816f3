#include "admin/time_text.h"

#include "os/clock.h"

#include <errno.h>
#include <stdio.h>
#include <time.h>

const char *time_text(int64_t ms, char out[TIME_TEXT])
{
    time_t seconds = (time_t)(ms / 1000);
    struct tm tm;
    localtime_r(&seconds, &tm);
    strftime(out, TIME_TEXT, "%Y-%m-%d %H:%M:%S", &tm);
    return out;
}

const char *time_text_ms(int64_t ms, char out[TIME_TEXT])
{
    time_text(ms, out);
    snprintf(out + strlen(out), 5, ",%03u", (unsigned)(ms % 1000) % 1000);
    return out;
}

int time_parse(const char *text, int64_t *ms, struct err *err)
{
    struct tm tm = {.tm_isdst = -1};
    int millis = 0, used = 0;
    if (strcmp(text, "now") == 0 || strcmp(text, "currentTimeMillis") == 0) {
        *ms = clock_wall_ms();
        return 0;
    }
    if (str_to_i64(str_trim(str_from(text)), ms))
        return 0;
    int n = sscanf(text, "%4d-%2d-%2d%*1[# T]%2d:%2d:%2d%n%*1[:.,]%3d%n", &tm.tm_year, &tm.tm_mon, &tm.tm_mday,
                   &tm.tm_hour, &tm.tm_min, &tm.tm_sec, &used, &millis, &used);
    if (n < 6 || text[used] != '\0')
        return err_set(err, EINVAL, "\"%s\" is no time; write now, milliseconds since 1970 or yyyy-MM-dd#HH:mm:ss:SSS",
                       text);
    tm.tm_year -= 1900;
    tm.tm_mon -= 1;
    time_t seconds = mktime(&tm);
    *ms = (int64_t)seconds * 1000 + millis;
    return 0;
}

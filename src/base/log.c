#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static int log_level_now = LOG_INFO;
static int log_fd = 2;

static const char *const names[] = {"ERROR", "WARN", "INFO", "DEBUG"};

void log_set_level(enum log_level level)
{
    __atomic_store_n(&log_level_now, (int)level, __ATOMIC_RELAXED);
}

void log_set_fd(int fd)
{
    log_fd = fd;
}

bool log_enabled(enum log_level level)
{
    return (int)level <= __atomic_load_n(&log_level_now, __ATOMIC_RELAXED);
}

bool log_level_parse(struct str name, enum log_level *out)
{
    for (int i = 0; i < 4; i++) {
        if (str_ieq(name, str_from(names[i]))) {
            *out = (enum log_level)i;
            return true;
        }
    }
    return false;
}

void log_write(enum log_level level, const char *module, const char *fmt, ...)
{
    char line[2048];
    struct timeval tv;
    struct tm tm;
    gettimeofday(&tv, NULL);
    localtime_r(&tv.tv_sec, &tm);
    size_t n = strftime(line, sizeof line, "%Y-%m-%d %H:%M:%S", &tm);
    n += (size_t)snprintf(line + n, sizeof line - n, ".%03d %-5s %-10s ", (int)(tv.tv_usec / 1000), names[level],
                          module);
    va_list ap;
    va_start(ap, fmt);
    int m = vsnprintf(line + n, sizeof line - n - 1, fmt, ap);
    va_end(ap);
    if (m > 0)
        n += (size_t)m < sizeof line - n - 1 ? (size_t)m : sizeof line - n - 2;
    line[n++] = '\n';
    /* A log line that cannot be written has nowhere to be reported. */
    ssize_t written = write(log_fd, line, n);
    (void)written;
}

bool log_limit(int64_t *last_second, unsigned *held, unsigned *dropped)
{
    int64_t now = (int64_t)time(NULL);
    if (__atomic_exchange_n(last_second, now, __ATOMIC_RELAXED) == now) {
        __atomic_add_fetch(held, 1, __ATOMIC_RELAXED);
        return false;
    }
    *dropped = __atomic_exchange_n(held, 0, __ATOMIC_RELAXED);
    return true;
}

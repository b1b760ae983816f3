/*
 * Log lines to stderr or a file: "2026-01-31 12:00:00.123 INFO  broker  text". Any thread; a line is written at once.
 * Not for the hot path: a call site that can repeat uses LOG_LIMITED.
 */
#ifndef CROCKET_BASE_LOG_H
#define CROCKET_BASE_LOG_H

#include "base/str.h"

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

void log_set_level(enum log_level level);
bool log_level_parse(struct str name, enum log_level *out);
bool log_enabled(enum log_level level);
void log_set_fd(int fd); /* where lines go; default 2 */
void log_write(enum log_level level, const char *module, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* Gives true at most once a second for one call site; *dropped tells how many were held back since. */
bool log_limit(int64_t *last_second, unsigned *held, unsigned *dropped);

#define LOG(level, module, ...)                                                                                        \
    do {                                                                                                               \
        if (log_enabled(level))                                                                                        \
            log_write(level, module, __VA_ARGS__);                                                                     \
    } while (0)

#define LOG_LIMITED(level, module, fmt, ...)                                                                           \
    do {                                                                                                               \
        static int64_t log_last_;                                                                                      \
        static unsigned log_held_;                                                                                     \
        unsigned log_dropped_ = 0;                                                                                     \
        if (log_enabled(level) && log_limit(&log_last_, &log_held_, &log_dropped_))                                    \
            log_write(level, module, fmt " (%u more like this)", __VA_ARGS__, log_dropped_);                           \
    } while (0)

#endif

/*
 * An error that a person will read: what happened, to what, and what to do. Filled by the one who failed,
 * printed or logged by the one who can do something. Plain value, no allocation. Any thread.
 */
#ifndef CROCKET_BASE_ERR_H
#define CROCKET_BASE_ERR_H

struct err {
    int code; /* errno value or a module's own code; 0 = none */
    char text[480];
};

/* Sets the text and is -1, so that a function can `return err_set(err, code, fmt, ...)`. err may be NULL. */
#define err_set(...) (err_fill(__VA_ARGS__), err_failed())
/* The same with ": strerror(code)" behind the text. */
#define err_sys(...) (err_fill_sys(__VA_ARGS__), err_failed())

void err_fill(struct err *err, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
void err_fill_sys(struct err *err, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* Inline: compilers and checkers see that a failed call is told by -1. */
static inline int err_failed(void)
{
    return -1;
}

#endif

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

/* Sets the text and returns -1, so that a function can `return err_set(...)`. err may be NULL. */
int err_set(struct err *err, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
/* The same with ": strerror(code)" behind the text. */
int err_sys(struct err *err, int code, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

#endif

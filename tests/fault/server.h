/*
 * The server under test as a process of its own. Ownership: whoever started it ends it. One thread.
 */
#ifndef CROCKET_FAULT_SERVER_H
#define CROCKET_FAULT_SERVER_H

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct server {
    const char *executable, *data, *log; /* log: a file that each start appends to */
    int port;                            /* of the broker; the name server has the one below */
    bool sync_flush;
    const char *const *settings; /* key=value, NULL ends them */
    pid_t pid;
    int64_t log_at; /* where this start's lines begin */
};

int server_spawn(struct server *s, struct err *err);      /* without waiting until it is ready */
int server_wait_ready(struct server *s, struct err *err); /* -1 also when it ended instead */
/* Sends the signal and waits for the end; the exit status as of waitpid. */
int server_end(struct server *s, int signal);
/* The last lines of its log, for a report. */
void server_show_log(const struct server *s);

#endif

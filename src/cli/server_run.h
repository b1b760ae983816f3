/*
 * Runs the roles of a configuration until SIGTERM or SIGINT: opens, listens, prints the start-up screen and "ready",
 * drains and closes at the end. Main thread only.
 */
#ifndef CROCKET_CLI_SERVER_RUN_H
#define CROCKET_CLI_SERVER_RUN_H

#include "cli/server_conf.h"

/* 0 after an orderly end; -1 with err when it could not start. */
int server_run(struct server_conf *c, struct err *err);

#endif

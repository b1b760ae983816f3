/*
 * The subcommands of the executable. Each takes its own argv (argv[0] is its name) and returns the exit code.
 * Main thread only.
 */
#ifndef CROCKET_CLI_CMD_H
#define CROCKET_CLI_CMD_H

#include "base/args.h"

int cmd_server(int argc, char **argv);  /* server_cmd.c: all roles in one process, or those of --roles */
int cmd_namesrv(int argc, char **argv); /* one role alone, with the options of the Java scripts */
int cmd_broker(int argc, char **argv);
int cmd_admin(int argc, char **argv); /* argv[1]: the administration command */
int cmd_send(int argc, char **argv);
int cmd_tail(int argc, char **argv);
int cmd_bench(int argc, char **argv); /* bench/bench_cmd.c */
int cmd_store(int argc, char **argv); /* store_cmd.c */

/* Prints usage line, text and options to stdout. */
void cmd_help(const char *usage, const char *text, const struct arg_option *options, size_t count);
/* "crocket: text" to stderr; returns 1, the exit code. */
int cmd_fail(const struct err *err);
int cmd_failf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

#endif

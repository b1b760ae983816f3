/* "crocket store": the works on a store directory. Each takes parsed options and returns the exit code. Main thread
 * only. */
#ifndef CROCKET_CLI_STORE_TOOL_H
#define CROCKET_CLI_STORE_TOOL_H

#include "base/args.h"
#include "base/json.h"

/* Exit codes of check: 0 nothing found, 1 could not be done, 2 problems found. */
int store_tool_check(const struct args *a, const char *dir);
int store_tool_dump(const struct args *a, const char *dir);
int store_tool_export(const struct args *a, const char *dir);
int store_tool_stats(const struct args *a, const char *dir);  /* 2: some of the log is damaged */
int store_tool_repair(const struct args *a, const char *dir); /* 2: damage was found and left */
int store_tool_unshare(const struct args *a, const char *dir);

/* Which messages the options choose; views of them. */
struct store_dump_filter;
int store_tool_filter(const struct args *a, struct store_dump_filter *out, struct err *err);
void store_tool_time(int64_t ms, char out[40]); /* local time, with ms */

/* "12 of 340 MiB" on stderr, rewritten in place, only on a terminal. */
void store_tool_progress(void *arg, int64_t done, int64_t total);
void store_tool_progress_end(void);

#endif

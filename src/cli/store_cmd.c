/* "crocket store": options and help of the tools for store directories. */
#include "cli/cmd.h"
#include "cli/store/store_tool.h"

#include <stdio.h>

static const struct arg_option options[] = {
    {NULL, "json", NULL, false, "JSON instead of text (dump: one object a line)"},
    {NULL, "commitlog", "DIRS", false, "where the commit log is, if not in DIR (storePathCommitLog)"},
    {NULL, "slots", "N", false, "check: maxHashSlotNum of the store (default 5000000)"},
    {NULL, "entries", "N", false, "check: maxIndexNum of the store (default 20000000)"},
    {NULL, "all", NULL, false, "check: show every finding, not only the first 100"},
    {"t", "topic", "TOPIC", false, "dump, export, stats: only messages of this topic"},
    {"q", "queue", "ID", false, "dump: only messages of this queue id"},
    {"k", "key", "KEY", false, "dump: only messages with this key or unique key"},
    {NULL, "from", "OFFSET", false, "dump: begin at this log offset"},
    {NULL, "to", "OFFSET", false, "dump: end at this log offset"},
    {NULL, "since", "MS", false, "dump, export, stats: only messages stored at this time (ms since 1970) or later"},
    {NULL, "until", "MS", false, "dump, export, stats: only messages stored before this time"},
    {"n", "count", "N", false, "dump: at most so many messages"},
    {NULL, "body", NULL, false, "dump: with the messages' bodies"},
    {NULL, "queues", NULL, false, "dump: the consume queues instead of messages"},
    {NULL, "index", NULL, false, "dump: the index files instead of messages"},
    {NULL, "checkpoint", NULL, false, "dump: the checkpoint instead of messages"},
    {NULL, "dry-run", NULL, false, "repair: only say what would be done"},
    {NULL, "rebuild", NULL, false, "repair: consume queues and index are built again from the log"},
    {NULL, "skip", NULL, false,
     "repair: damaged messages become fillers, reading goes on behind them; then as --rebuild"},
    {NULL, "cut", NULL, false, "repair: the log ends at the first damage; then as --rebuild"},
    {NULL, "queue-size", "BYTES", false, "unshare: mappedFileSizeConsumeQueue of the store (default 6000000)"},
};
enum { OPTIONS = sizeof options / sizeof options[0] };

static const struct work {
    const char *name;
    int (*run)(const struct args *a, const char *dir);
} works[] = {
    {"check", store_tool_check}, {"dump", store_tool_dump},     {"export", store_tool_export},
    {"stats", store_tool_stats}, {"repair", store_tool_repair}, {"unshare", store_tool_unshare},
};
enum { WORKS = sizeof works / sizeof works[0] };

static const char about[] =
    "Tools for a store directory, written by Crocket or by Apache RocketMQ; only repair and unshare\nchange it.\n\n"
    "  check  reads all of it and compares: messages and their CRCs, consume queues and index against the log, the\n"
    "         checkpoint. Exit code 0: no problem, 2: problems found, 1: could not be checked\n"
    "  dump   prints messages in the order of the log\n"
    "  export prints whole messages, one JSON object a line\n"
    "  stats  counts messages and bytes by topic\n"
    "  repair --rebuild, --skip or --cut makes a store usable again that a start refuses; the broker must be stopped.\n"
    "         What is taken out is kept in the folder repaired. Begin with --dry-run. Exit code 2: damage was left\n"
    "  unshare gives every consume queue files of its own, where many small ones share some (folder sharedqueues), so "
    "that\n"
    "         a Java broker goes on without building them from the log; the broker must be stopped";

int cmd_store(int argc, char **argv)
{
    struct args a;
    struct err err;
    if (args_parse(&a, options, OPTIONS, argc, argv, &err))
        return cmd_fail(&err);
    if (args_wants_help(&a) || a.plain_count == 0) {
        cmd_help("crocket store check|dump|export|stats|repair|unshare [OPTIONS] DIR", about, options, OPTIONS);
        return args_wants_help(&a) ? 0 : 1;
    }
    if (args_check(&a, &err))
        return cmd_fail(&err);
    for (size_t i = 0; i < WORKS; i++) {
        if (strcmp(a.plain[0], works[i].name) != 0)
            continue;
        if (a.plain_count != 2)
            return cmd_failf(
                "crocket store %s needs one directory, the one that holds commitlog, consumequeue and config",
                works[i].name);
        return works[i].run(&a, a.plain[1]);
    }
    return cmd_failf("crocket store cannot \"%s\"; it can check, dump, export, stats, repair and unshare", a.plain[0]);
}

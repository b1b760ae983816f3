/* "crocket store check": runs the check and prints what it found. */
#include "cli/cmd.h"
#include "cli/store/store_tool.h"
#include "store/store_check.h"

#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

enum { SHOW_MAX = 100, EXIT_PROBLEMS = 2 };

void store_tool_progress(void *arg, int64_t done, int64_t total)
{
    if (isatty(2))
        fprintf(stderr, "\r%" PRId64 " of %" PRId64 " MiB of the commit log", done >> 20, total >> 20);
}

void store_tool_progress_end(void)
{
    if (isatty(2))
        fputs("\r\033[K", stderr);
}

struct printer {
    bool all;
    int64_t shown;
    struct jw *json; /* NULL: text */
};

static void print_text(const struct store_finding *f)
{
    store_tool_progress_end();
    printf("%-8s %s: %s", f->problem ? "PROBLEM" : "note", f->part, f->where);
    if (f->offset >= 0)
        printf(" at %" PRId64, f->offset);
    printf(": %s\n", f->text);
}

static void print_json(struct jw *w, const struct store_finding *f)
{
    jw_begin_object(w);
    jw_kbool(w, "problem", f->problem);
    jw_kstr(w, "part", str_from(f->part));
    jw_kstr(w, "where", str_from(f->where));
    if (f->offset >= 0)
        jw_ki64(w, "offset", f->offset);
    jw_kstr(w, "text", str_from(f->text));
    jw_end_object(w);
}

static void finding(void *arg, const struct store_finding *f)
{
    struct printer *p = arg;
    if (!p->all && p->shown >= SHOW_MAX)
        return;
    p->shown++;
    if (p->json)
        print_json(p->json, f);
    else
        print_text(f);
}

static void print_summary(const struct store_report *r)
{
    printf("commit log      %" PRId64 " files, offsets %" PRId64 " to %" PRId64 ", %" PRId64 " messages\n",
           r->log_files, r->log_min, r->log_end, r->messages);
    printf("consume queues  %" PRId64 " queues, %" PRId64 " entries compared\n", r->queues, r->queue_entries);
    if (r->compacted_queues)
        printf("compaction logs %" PRId64 " queues, %" PRId64 " messages\n", r->compacted_queues,
               r->compacted_messages);
    printf("index           %" PRId64 " files, %" PRId64 " entries compared\n", r->index_files, r->index_entries);
    printf("%" PRId64 " problems, %" PRId64 " notes\n", r->problems, r->notes);
}

static void json_summary(struct jw *w, const struct store_report *r, const char *dir)
{
    jw_kstr(w, "dir", str_from(dir));
    jw_kbool(w, "clean", r->problems == 0);
    jw_kbool(w, "live", r->live);
    jw_kbool(w, "abort", r->after_crash);
    jw_ki64(w, "problems", r->problems);
    jw_ki64(w, "notes", r->notes);
    jw_ki64(w, "logFiles", r->log_files);
    jw_ki64(w, "logMin", r->log_min);
    jw_ki64(w, "logEnd", r->log_end);
    jw_ki64(w, "messages", r->messages);
    jw_ki64(w, "queues", r->queues);
    jw_ki64(w, "queueEntries", r->queue_entries);
    jw_ki64(w, "notQueuedYet", r->not_queued_yet);
    jw_ki64(w, "compactedQueues", r->compacted_queues);
    jw_ki64(w, "compactedMessages", r->compacted_messages);
    jw_ki64(w, "indexFiles", r->index_files);
    jw_ki64(w, "indexEntries", r->index_entries);
    jw_ki64(w, "notIndexed", r->not_indexed);
}

int store_tool_check(const struct args *a, const char *dir)
{
    struct err err = {0};
    struct buf out = {0};
    struct jw w;
    struct printer p = {.all = args_has(a, "all"), .json = args_has(a, "json") ? &w : NULL};
    struct store_check_options o = {
        .dir = dir,
        .commitlog = args_get(a, "commitlog"),
        .arg = &p,
        .finding = finding,
        .progress = store_tool_progress,
    };
    int64_t slots = 0, entries = 0;
    if (args_i64(a, "slots", 1, INT32_MAX, &slots, &err) || args_i64(a, "entries", 2, INT32_MAX, &entries, &err))
        return cmd_fail(&err);
    o.index_slots = (int32_t)slots;
    o.index_entries = (int32_t)entries;
    jw_init(&w, &out);
    jw_begin_object(&w);
    jw_karray(&w, "findings");
    struct store_report report;
    int r = store_check(fs_real(), &o, &report, &err);
    store_tool_progress_end();
    if (r) {
        buf_free(&out);
        return cmd_fail(&err);
    }
    jw_end_array(&w);
    if (p.json) {
        json_summary(&w, &report, dir);
        jw_end_object(&w);
        printf("%.*s\n", STR_ARG(buf_str(&out)));
    } else {
        if (report.problems + report.notes > p.shown)
            printf("... %" PRId64 " findings more, shown with --all\n", report.problems + report.notes - p.shown);
        print_summary(&report);
    }
    buf_free(&out);
    return report.problems ? EXIT_PROBLEMS : 0;
}

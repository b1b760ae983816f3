/* "crocket store repair": says what would be done and does it. */
#include "cli/cmd.h"
#include "cli/store/store_tool.h"
#include "store/store_repair.h"

#include <inttypes.h>
#include <stdio.h>

enum { EXIT_DAMAGE = 2 };

static void print_step(void *arg, const struct repair_step *s)
{
    struct jw *w = arg;
    store_tool_progress_end();
    if (w) {
        jw_begin_object(w);
        jw_kstr(w, "file", str_from(s->file));
        if (s->offset >= 0) {
            jw_ki64(w, "offset", s->offset);
            jw_ki64(w, "bytes", s->bytes);
        }
        jw_kstr(w, "text", str_from(s->text));
        jw_end_object(w);
    } else if (s->offset >= 0) {
        printf("%s, %" PRId64 " bytes at log offset %" PRId64 ": %s\n", s->file, s->bytes, s->offset, s->text);
    } else {
        printf("%s: %s\n", s->file, s->text);
    }
}

static int choose(const struct args *a, struct repair_options *o)
{
    static const struct {
        const char *name;
        enum repair_choice choice;
    } choices[] = {{"rebuild", REPAIR_REBUILD}, {"skip", REPAIR_SKIP}, {"cut", REPAIR_CUT}};
    int given = 0;
    for (size_t i = 0; i < sizeof choices / sizeof choices[0]; i++) {
        if (args_has(a, choices[i].name)) {
            o->choice = choices[i].choice;
            given++;
        }
    }
    return given;
}

static void summary(const struct repair_options *o, const struct repair_report *r)
{
    printf("%" PRId64 " messages are whole, %" PRId64 " places with %" PRId64 " bytes are damaged", r->messages,
           r->damages, r->damaged_bytes);
    if (o->choice == REPAIR_CUT)
        printf(", %" PRId64 " bytes are cut off", r->cut_bytes);
    puts(o->dry_run ? "; nothing was changed" : "; what was taken out is kept in the folder repaired");
}

static void json_summary(struct jw *w, const struct repair_options *o, const struct repair_report *r)
{
    jw_kbool(w, "dryRun", o->dry_run);
    jw_ki64(w, "messages", r->messages);
    jw_ki64(w, "damages", r->damages);
    jw_ki64(w, "damagedBytes", r->damaged_bytes);
    jw_ki64(w, "cutBytes", r->cut_bytes);
}

int store_tool_repair(const struct args *a, const char *dir)
{
    struct err err = {0};
    struct buf out = {0};
    struct jw w;
    struct repair_report report;
    bool json = args_has(a, "json");
    struct repair_options o = {.dir = dir,
                               .commitlog = args_get(a, "commitlog"),
                               .dry_run = args_has(a, "dry-run"),
                               .arg = json ? &w : NULL,
                               .step = print_step,
                               .progress = store_tool_progress};
    int given = choose(a, &o);
    if (given > 1 || (given == 0 && !o.dry_run))
        return cmd_failf("crocket store repair needs one choice: --rebuild (queues and index only), --skip (damaged "
                         "messages become fillers) or --cut (the log ends at the first damage); --dry-run only shows");
    jw_init(&w, &out);
    jw_begin_object(&w);
    jw_karray(&w, "steps");
    int r = store_repair(fs_real(), &o, &report, &err);
    store_tool_progress_end();
    jw_end_array(&w);
    if (r == 0 && json) {
        json_summary(&w, &o, &report);
        jw_end_object(&w);
        printf("%.*s\n", STR_ARG(buf_str(&out)));
    } else if (r == 0) {
        summary(&o, &report);
    }
    buf_free(&out);
    bool left = o.dry_run || o.choice == REPAIR_REBUILD;
    return r ? cmd_fail(&err) : left && report.damages ? EXIT_DAMAGE : 0;
}

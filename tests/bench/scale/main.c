/*
 * The store at sizes that no disk here holds: what a start, an idle queue, a read and the removal of old files cost
 * when there is very much of everything. Logs, queues and indexes are sparse files wherever nobody looks at the
 * content.
 *
 *   scale_bench restart DIR [GIB]                start after kill -9 under full load, with GIB of log (100)
 *   scale_bench queues DIR [QUEUES [ENTRIES]]    so many queues (200000 of 1): starts after a clean stop, after kill
 * -9, with the queues' folder lost; memory, files, send latency scale_bench retention DIR [QUEUES [ENTRIES]] rounds of
 * cleaning with so many queues (1000000 of 4) scale_bench backlog DIR [QUEUES [ENTRIES]]   reads by offset, time and
 * key, starts and cleaning with 100 queues of 1000000000 entries, beside those of a small store
 *
 * DIR must be empty or absent; the caller removes it. Queues with messages take real room: 0.3 GB for a million
 * entries.
 */
#include "scale.h"

#include "base/log.h"

static const struct work {
    const char *name;
    int (*run)(struct bench *b, int64_t first, int64_t second);
    int64_t first, second; /* when not given */
} works[] = {
    {"restart", restart, 100, 0},         {"queues", queues, 200000, 1},         {"rebuild", rebuild, 4, BODY_MAX},
    {"retention", retention, 1000000, 4}, {"backlog", backlog, 100, 1000000000},
};

int main(int argc, char **argv)
{
    log_set_level(getenv("SCALE_LOG") ? LOG_INFO : LOG_WARN);
    for (size_t i = 0; argc > 2 && i < sizeof works / sizeof works[0]; i++) {
        if (strcmp(argv[1], works[i].name) != 0)
            continue;
        struct bench b = {.fs = counting_fs()};
        struct err err;
        if (conf_defaults(store_conf_table(), &b.conf, &err))
            die(err.text);
        b.conf.storePathRootDir = strdup(argv[2]);
        int r = works[i].run(&b, argc > 3 ? strtoll(argv[3], NULL, 10) : works[i].first,
                             argc > 4 ? strtoll(argv[4], NULL, 10) : works[i].second);
        store_conf_free(&b.conf);
        return r;
    }
    fprintf(stderr, "usage: scale_bench restart DIR [GIB] | queues|retention|backlog DIR [QUEUES [ENTRIES]] | rebuild "
                    "DIR [GIB [BODY]]\n");
    return 1;
}

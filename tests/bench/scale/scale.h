/*
 * What the measurements of scale_bench share: a store without a broker, messages for it, what a process has in use, a
 * file system that counts calls. One thread; a failure ends the program.
 */
#ifndef CROCKET_BENCH_SCALE_H
#define CROCKET_BENCH_SCALE_H

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hist.h"
#include "os/clock.h"
#include "os/fs.h"
#include "store/store.h"

enum { BODY_MAX = 1024 };

struct bench {
    struct store_conf conf;
    const struct fs *fs;
    int rebuilt; /* atomic */
    struct store *s;
    struct store_batch *batch;
    int64_t failed, end;
};

/* The works of main.c. */
int restart(struct bench *b, int64_t gib, int64_t unused);
int queues(struct bench *b, int64_t n, int64_t entries);
int rebuild(struct bench *b, int64_t gib, int64_t body);
int retention(struct bench *b, int64_t n, int64_t entries);
int backlog(struct bench *b, int64_t n, int64_t each);

_Noreturn void die(const char *text);
double ms_since(int64_t began_ns);

/* With the store's threads, or without: then the caller calls the steps. */
void open_store(struct bench *b, bool threads);
void close_store(struct bench *b);

struct cq *queue(struct bench *b, int64_t n); /* number n of many: eight a topic */
void put(struct bench *b, struct cq *q, size_t body);
void flush_puts(struct bench *b);
/* `entries` rounds over n queues. */
void fill_queues(struct bench *b, int64_t n, int64_t entries);
void sparse_file(const struct bench *b, const char *path, int64_t size);

/* Runs fn in a process that then dies as by kill -9. */
void in_killed_child(void (*fn)(struct bench *b, int64_t arg), struct bench *b, int64_t arg);
/* Opens the store and stores a first message. */
void report_start(struct bench *b, const char *what);
void report_stop(struct bench *b);

int64_t status_kib(const char *name); /* of /proc/self/status */
void report_in_use(const struct bench *b);

/* The real file system, counting. */
struct fs_calls {
    int64_t opens, reads, stats;
};
const struct fs *counting_fs(void);
struct fs_calls calls_so_far(void);

/* Numbers that look random and are the same in each run. */
uint64_t next_random(uint64_t *state);

#endif

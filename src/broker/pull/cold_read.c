#include "broker/pull/cold_read.h"

#include "os/thread.h"
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

/* A filter looks at more than it takes. */
enum { MAX_THREADS = 16, FILTER_COUNT = 1024, FILTER_BYTES = 4 << 20 };

struct cold_read {
    struct store *store;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    struct cold_job *first, **last;
    bool stopping;
    unsigned threads;
    struct thread thread[MAX_THREADS];
};

static void back(struct net_loop *loop, struct net_task *t)
{
    struct cold_job *j = LIST_ENTRY(t, struct cold_job, task);
    j->warmed(loop, j);
}

static void warm(struct store *s, const struct cold_job *j)
{
    if (j->filtered)
        store_warm(s, j->queue, j->offset, FILTER_COUNT, FILTER_BYTES, j->filter, j->filter_arg);
    else
        store_warm(s, j->queue, j->offset, j->max_count, j->max_bytes, j->filter, j->filter_arg);
}

/* Under the lock; NULL: none waits. */
static struct cold_job *take_job(struct cold_read *c)
{
    struct cold_job *j = c->first;
    if (j)
        c->first = j->next;
    if (c->first == NULL)
        c->last = &c->first;
    return j;
}

static void read_job(struct cold_read *c, struct cold_job *j)
{
    warm(c->store, j);
    j->task.fn = back;
    net_loop_post(j->loop, &j->task);
}

static void reader_main(void *arg)
{
    struct cold_read *c = arg;
    pthread_mutex_lock(&c->lock);
    for (;;) {
        while (c->first == NULL && !c->stopping)
            pthread_cond_wait(&c->wake, &c->lock);
        if (c->stopping)
            break;
        struct cold_job *j = take_job(c);
        pthread_mutex_unlock(&c->lock);
        read_job(c, j);
        pthread_mutex_lock(&c->lock);
    }
    pthread_mutex_unlock(&c->lock);
}

bool cold_read_step(struct cold_read *c)
{
    pthread_mutex_lock(&c->lock);
    struct cold_job *j = take_job(c);
    pthread_mutex_unlock(&c->lock);
    if (j)
        read_job(c, j);
    return j != NULL;
}

struct cold_read *cold_read_new(struct store *store, unsigned threads, struct err *err)
{
    struct cold_read *c = calloc(1, sizeof *c);
    if (c == NULL) {
        err_set(err, ENOMEM, "out of memory for the cold reader");
        return NULL;
    }
    c->store = store;
    c->last = &c->first;
    pthread_mutex_init(&c->lock, NULL);
    pthread_cond_init(&c->wake, NULL);
    for (; c->threads < threads && c->threads < MAX_THREADS; c->threads++) {
        int r = thread_start(&c->thread[c->threads], "cold-read", reader_main, c);
        if (r < 0) {
            err_sys(err, -r, "cannot start a thread for cold reads");
            cold_read_stop(c);
            cold_read_free(c);
            return NULL;
        }
    }
    return c;
}

void cold_read_submit(struct cold_read *c, struct cold_job *j)
{
    j->next = NULL;
    pthread_mutex_lock(&c->lock);
    *c->last = j;
    c->last = &j->next;
    pthread_cond_signal(&c->wake);
    pthread_mutex_unlock(&c->lock);
}

void cold_read_stop(struct cold_read *c)
{
    pthread_mutex_lock(&c->lock);
    c->stopping = true;
    pthread_cond_broadcast(&c->wake);
    pthread_mutex_unlock(&c->lock);
    for (unsigned i = 0; i < c->threads; i++)
        thread_join(&c->thread[i]);
    c->threads = 0;
}

void cold_read_free(struct cold_read *c)
{
    if (c == NULL)
        return;
    while (c->first) {
        struct cold_job *j = c->first;
        c->first = j->next;
        j->drop(j);
    }
    pthread_mutex_destroy(&c->lock);
    pthread_cond_destroy(&c->wake);
    free(c);
}

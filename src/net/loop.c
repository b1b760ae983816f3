#include "net/loop.h"

#include "base/log.h"
#include "net/loop_internal.h"
#include "os/clock.h"
#include "os/thread.h"
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

static _Thread_local struct net_loop *current;

struct net_loop *net_loop_current(void)
{
    return current;
}

unsigned net_loop_id(const struct net_loop *l)
{
    return l->id;
}

int64_t net_loop_now_ms(const struct net_loop *l)
{
    return l->now_ms;
}

void net_loop_again(struct net_loop *l)
{
    l->again = true;
}

int net_loop_watch(struct net_loop *l, int fd, uint32_t events, struct net_source *s, bool modify)
{
    struct epoll_event ev = {.events = events, .data.ptr = s};
    return epoll_ctl(l->epoll_fd, modify ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, fd, &ev);
}

/* ---- timers: a binary heap with the position kept in each timer ---- */

static void heap_put(struct net_loop *l, size_t i, struct net_timer *t)
{
    l->heap[i] = t;
    t->heap_index = i;
}

static void heap_up(struct net_loop *l, size_t i)
{
    struct net_timer *t = l->heap[i];
    for (; i > 1 && l->heap[i / 2]->due_ms > t->due_ms; i /= 2)
        heap_put(l, i, l->heap[i / 2]);
    heap_put(l, i, t);
}

static void heap_down(struct net_loop *l, size_t i)
{
    struct net_timer *t = l->heap[i];
    for (size_t child; (child = 2 * i) <= l->heap_len; i = child) {
        if (child < l->heap_len && l->heap[child + 1]->due_ms < l->heap[child]->due_ms)
            child++;
        if (l->heap[child]->due_ms >= t->due_ms)
            break;
        heap_put(l, i, l->heap[child]);
    }
    heap_put(l, i, t);
}

void net_timer_set(struct net_loop *l, struct net_timer *t, int64_t delay_ms)
{
    t->due_ms = clock_mono_ms() + delay_ms;
    if (t->heap_index) {
        heap_up(l, t->heap_index);
        heap_down(l, t->heap_index);
        return;
    }
    if (l->heap_len + 1 >= l->heap_cap) {
        size_t cap = l->heap_cap ? l->heap_cap * 2 : 64;
        struct net_timer **heap = realloc(l->heap, cap * sizeof(*heap));
        if (heap == NULL) {
            LOG_LIMITED(LOG_ERROR, "net", "out of memory for %zu timers: a time-out will not fire", cap);
            return;
        }
        l->heap = heap;
        l->heap_cap = cap;
    }
    l->heap_len++;
    heap_put(l, l->heap_len, t);
    heap_up(l, l->heap_len);
}

void net_timer_cancel(struct net_loop *l, struct net_timer *t)
{
    size_t i = t->heap_index;
    if (i == 0)
        return;
    t->heap_index = 0;
    struct net_timer *last = l->heap[l->heap_len--];
    if (last == t)
        return;
    heap_put(l, i, last);
    heap_up(l, i);
    heap_down(l, last->heap_index);
}

static void run_timers(struct net_loop *l)
{
    while (l->heap_len && l->heap[1]->due_ms <= l->now_ms) {
        struct net_timer *t = l->heap[1];
        net_timer_cancel(l, t);
        t->fn(l, t);
    }
}

/* ---- inbox ---- */

static void push(_Atomic(struct net_task *) *list, struct net_task *t)
{
    struct net_task *head = atomic_load_explicit(list, memory_order_relaxed);
    do
        t->next = head;
    while (!atomic_compare_exchange_weak(list, &head, t));
}

static void wake(struct net_loop *l)
{
    /* seq_cst on both sides: either this thread sees `sleeping`, or the loop sees the task before it sleeps. */
    if (atomic_load(&l->sleeping) && atomic_exchange(&l->sleeping, false)) {
        uint64_t one = 1;
        ssize_t n = write(l->event_fd, &one, sizeof one);
        (void)n; /* full counter: the loop is awake already */
    }
}

void net_loop_post(struct net_loop *l, struct net_task *t)
{
    push(&l->inbox, t);
    wake(l);
}

static void inbox_ready(struct net_loop *l, struct net_source *s, uint32_t events)
{
    uint64_t count;
    ssize_t n = read(l->event_fd, &count, sizeof count);
    (void)n;
}

static void run_tasks(struct net_loop *l, _Atomic(struct net_task *) *inbox)
{
    struct net_task *list = atomic_exchange(inbox, NULL);
    struct net_task *ordered = NULL;
    while (list) { /* pushed last first: turn around */
        struct net_task *next = list->next;
        list->next = ordered;
        ordered = list;
        list = next;
    }
    while (ordered) {
        struct net_task *t = ordered;
        ordered = t->next;
        t->fn(l, t);
    }
}

static void run_inbox(struct net_loop *l)
{
    if (atomic_load_explicit(&l->inbox, memory_order_relaxed))
        run_tasks(l, &l->inbox);
    if (atomic_load_explicit(&l->near, memory_order_relaxed))
        run_tasks(l, &l->near);
}

/* ---- life ---- */

struct net_loop *net_loop_new(unsigned id, struct err *err)
{
    struct net_loop *l = calloc(1, sizeof *l);
    if (l == NULL) {
        err_set(err, ENOMEM, "out of memory for event loop %u", id);
        return NULL;
    }
    l->id = id;
    mutex_init_adaptive(&l->lock);
    l->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    l->event_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    l->read_buffer = malloc(NET_READ_BUFFER);
    l->inbox_source.ready = inbox_ready;
    l->free_slot = UINT32_MAX;
    l->now_ms = clock_mono_ms();
    list_init(&l->hooks);
    list_init(&l->flush);
    list_init(&l->closing);
    if (l->epoll_fd < 0 || l->event_fd < 0 || l->read_buffer == NULL ||
        net_loop_watch(l, l->event_fd, EPOLLIN, &l->inbox_source, false) < 0) {
        err_sys(err, errno, "cannot create event loop %u (raise the limit of open files with ulimit -n)", id);
        net_loop_free(l);
        return NULL;
    }
    return l;
}

void net_loop_free(struct net_loop *l)
{
    if (l == NULL)
        return;
    net_conn_close_all(l);
    run_inbox(l); /* answers of worker threads that ended after the loop: they free themselves */
    if (l->epoll_fd >= 0)
        close(l->epoll_fd);
    if (l->event_fd >= 0)
        close(l->event_fd);
    free(l->heap);
    free(l->slots);
    free(l->read_buffer);
    pthread_mutex_destroy(&l->lock);
    free(l);
}

void net_loop_hook(struct net_loop *l, struct net_hook *h)
{
    list_add_tail(&l->hooks, &h->node);
}

static bool has_tasks(struct net_loop *l)
{
    return atomic_load(&l->inbox) != NULL || atomic_load(&l->near) != NULL;
}

/* How long the loop may sleep; says so to those who post. */
static int go_to_sleep(struct net_loop *l)
{
    if (l->again || has_tasks(l))
        return 0;
    int64_t ms = l->heap_len == 0 ? -1 : l->heap[1]->due_ms - l->now_ms;
    if (l->heap_len && ms <= 0)
        return 0;
    l->sleeps_until_ms = l->heap_len ? l->heap[1]->due_ms : INT64_MAX;
    atomic_store(&l->sleeping, true);
    return has_tasks(l) ? 0 : ms > 60000 ? 60000 : (int)ms;
}

static void run_hooks(struct net_loop *l)
{
    for (struct list *h = l->hooks.next, *next; h != &l->hooks; h = next) {
        next = h->next;
        struct net_hook *hook = LIST_ENTRY(h, struct net_hook, node);
        hook->fn(l, hook);
    }
}

static void end_round(struct net_loop *l)
{
    run_hooks(l);
    /* What the hooks brought about for this loop itself, such as pulls that wait for the messages appended, goes out
     * with the same flush instead of after another epoll_wait. */
    if (atomic_load_explicit(&l->near, memory_order_relaxed)) {
        run_tasks(l, &l->near);
        run_hooks(l);
    }
    net_conn_flush_pending(l);
}

/* ---- a round of a loop that sleeps, on the thread that has work for it ---- */

enum { FEW_EVENTS = 4 }; /* a round with more has enough to do by itself */

/* The neighbour's connections that are to be closed stay for its own thread: its epoll may just have returned them. */
static void run_neighbour(struct net_loop *l)
{
    if (!atomic_load(&l->sleeping))
        return; /* looks for tasks before it sleeps again */
    if (pthread_mutex_trylock(&l->lock) != 0) {
        wake(l);
        return;
    }
    struct net_loop *own = current;
    current = l;
    l->now_ms = clock_mono_ms();
    l->events = FEW_EVENTS + 1; /* what it posts in turn wakes: no chains */
    run_tasks(l, &l->near);
    end_round(l);
    bool up = l->again || !list_empty(&l->closing) || (l->heap_len && l->heap[1]->due_ms < l->sleeps_until_ms);
    current = own;
    pthread_mutex_unlock(&l->lock);
    if (up)
        wake(l);
}

void net_loop_post_near(struct net_loop *l, struct net_task *t)
{
    struct net_loop *own = current;
    push(&l->near, t);
    if (own == l) {
        return; /* seen before it sleeps */
    } else if (own == NULL) {
        run_neighbour(l);
    } else if (own->events > FEW_EVENTS || own->neighbour_count == NET_MAX_LOOPS) {
        wake(l);
    } else {
        own->neighbours[own->neighbour_count++] = l;
    }
}

void net_loop_round(struct net_loop *l, bool wait)
{
    struct epoll_event events[64];
    int n = epoll_wait(l->epoll_fd, events, 64, wait ? go_to_sleep(l) : 0);
    pthread_mutex_lock(&l->lock);
    struct net_loop *outer = current;
    current = l;
    atomic_store_explicit(&l->sleeping, false, memory_order_relaxed);
    l->now_ms = clock_mono_ms();
    l->again = false;
    l->events = n;
    for (int i = 0; i < n; i++) {
        struct net_source *s = events[i].data.ptr;
        s->ready(l, s, events[i].events);
    }
    run_inbox(l);
    run_timers(l);
    end_round(l);
    net_conn_destroy_closing(l);
    current = outer;
    pthread_mutex_unlock(&l->lock);
    while (l->neighbour_count)
        run_neighbour(l->neighbours[--l->neighbour_count]);
}

void net_loop_run(struct net_loop *l)
{
    current = l;
    while (!atomic_load_explicit(&l->stopping, memory_order_relaxed))
        net_loop_round(l, true);
    /* What was answered in the last round still goes out. */
    net_conn_flush_pending(l);
    current = NULL;
}

static void nothing(struct net_loop *l, struct net_task *t)
{
    free(t);
}

void net_loop_stop(struct net_loop *l)
{
    atomic_store(&l->stopping, true);
    struct net_task *t = calloc(1, sizeof *t);
    if (t) {
        t->fn = nothing;
        net_loop_post(l, t);
    }
}

/* ---- pool ---- */

int net_pool_init(struct net_pool *p, unsigned count, struct err *err)
{
    *p = (struct net_pool){0};
    /* sendfile has no flag against SIGPIPE; a broken connection is an error code here, never a signal. */
    signal(SIGPIPE, SIG_IGN);
    if (count < 1 || count > NET_MAX_LOOPS)
        return err_set(err, EINVAL, "the number of event loops is %u: give 1 to %d", count, NET_MAX_LOOPS);
    for (; p->count < count; p->count++) {
        p->loops[p->count] = net_loop_new(p->count, err);
        if (p->loops[p->count] == NULL) {
            net_pool_free(p);
            return -1;
        }
    }
    return 0;
}

static void *thread_main(void *arg)
{
    net_loop_run(arg);
    return NULL;
}

int net_pool_start(struct net_pool *p, struct err *err)
{
    for (unsigned i = 0; i < p->count; i++) {
        pthread_t t;
        int rc = pthread_create(&t, NULL, thread_main, p->loops[i]);
        if (rc != 0)
            return err_sys(err, rc, "cannot start the thread of event loop %u", i);
        char name[16] = "loop-";
        name[5 + fmt_i64(name + 5, i)] = '\0';
        pthread_setname_np(t, name);
        p->threads[i] = (uintptr_t)t;
    }
    return 0;
}

void net_pool_stop(struct net_pool *p)
{
    for (unsigned i = 0; i < p->count; i++)
        net_loop_stop(p->loops[i]);
    for (unsigned i = 0; i < p->count; i++) {
        if (p->threads[i])
            pthread_join((pthread_t)p->threads[i], NULL);
        p->threads[i] = 0;
    }
    for (unsigned i = 0; i < p->count; i++) {
        run_inbox(p->loops[i]);
        net_conn_close_all(p->loops[i]);
    }
}

void net_pool_run_posted(struct net_pool *p)
{
    for (unsigned i = 0; i < p->count; i++)
        run_inbox(p->loops[i]);
}

void net_pool_free(struct net_pool *p)
{
    for (unsigned i = 0; i < p->count; i++)
        net_loop_free(p->loops[i]);
    *p = (struct net_pool){0};
}

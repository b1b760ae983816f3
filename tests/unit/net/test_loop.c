/* Loops and connections: tasks, timers, frames over real sockets, flow control, files in the output. */
#include "net/conn.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "os/clock.h"
#include "unit/patience.h"
#include <arpa/inet.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* A protocol for tests: 4-byte length, then bytes, echoed; a length of 0xFFFFFFFF is malformed. */
static atomic_int opened_count, closed_count, released, data_count;

static void on_opened(struct net_conn *c)
{
    atomic_fetch_add(&opened_count, 1);
}

static ptrdiff_t on_data(struct net_conn *c, uint8_t *data, size_t len, size_t *want)
{
    size_t used = 0;
    atomic_fetch_add(&data_count, 1);
    while (len - used >= 4) {
        size_t n = get_be32(data + used);
        if (n == UINT32_MAX)
            return -1;
        if (len - used < n + 4) {
            *want = n + 4;
            break;
        }
        buf_add(net_conn_out(c), data + used, n + 4);
        net_conn_written(c);
        used += n + 4;
    }
    return (ptrdiff_t)used;
}

static void on_closed(struct net_conn *c, const char *why)
{
    atomic_fetch_add(&closed_count, 1);
}

static const struct net_protocol echo = {on_opened, on_data, on_closed, 0};

struct server {
    struct net_pool pool;
    struct net_listener *listener;
};

static void start(struct server *s, unsigned loops, const struct net_protocol *p)
{
    struct err err;
    assert_int_equal(net_pool_init(&s->pool, loops, &err), 0);
    assert_int_equal(net_listen(&s->listener, &s->pool, STR_LIT("127.0.0.1"), 0, p, s, &err), 0);
    assert_int_equal(net_pool_start(&s->pool, &err), 0);
}

static void stop(struct server *s)
{
    net_pool_stop(&s->pool);
    net_listener_free(s->listener);
    net_pool_free(&s->pool);
}

static int dial(const struct server *s)
{
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_port = htons(net_listener_port(s->listener)),
                            .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof a), 0);
    return fd;
}

static void write_all(int fd, const void *data, size_t len)
{
    const char *p = data;
    while (len) {
        ssize_t n = write(fd, p, len);
        assert_true(n > 0);
        p += n;
        len -= (size_t)n;
    }
}

static void read_all(int fd, void *data, size_t len)
{
    char *p = data;
    while (len) {
        ssize_t n = read(fd, p, len);
        assert_true(n > 0);
        p += n;
        len -= (size_t)n;
    }
}

static void echoes_frames_in_any_pieces(void **state)
{
    struct server s;
    start(&s, 2, &echo);
    int fd = dial(&s);
    size_t sizes[] = {0, 1, 100, 70000, 5000000, 3};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        size_t n = sizes[i];
        uint8_t *frame = malloc(n + 4), *back = malloc(n + 4);
        put_be32(frame, (uint32_t)n);
        for (size_t k = 0; k < n; k++)
            frame[4 + k] = (uint8_t)(k * 7 + i);
        write_all(fd, frame, 2);
        usleep(1000);
        write_all(fd, frame + 2, n + 2);
        read_all(fd, back, n + 4);
        assert_memory_equal(frame, back, n + 4);
        free(frame);
        free(back);
    }
    close(fd);
    stop(&s);
}

static void many_frames_in_one_write_keep_their_order(void **state)
{
    struct server s;
    start(&s, 1, &echo);
    int fd = dial(&s);
    struct buf b = {0};
    for (uint32_t i = 0; i < 20000; i++) {
        buf_add_be32(&b, 4);
        buf_add_be32(&b, i);
    }
    write_all(fd, b.data, b.len);
    for (uint32_t i = 0; i < 20000; i++) {
        uint8_t back[8];
        read_all(fd, back, 8);
        assert_int_equal(get_be32(back + 4), i);
    }
    buf_free(&b);
    close(fd);
    stop(&s);
}

/* Once a frame came in two pieces, what follows in one piece must still be read in large ones. */
static void a_split_frame_does_not_bind_a_read_to_each_frame(void **state)
{
    struct server s;
    start(&s, 1, &echo);
    int fd = dial(&s);
    enum { SIZE = 1366, FRAMES = 200 };
    static uint8_t sent[FRAMES * SIZE], got[FRAMES * SIZE];
    for (size_t i = 0; i < FRAMES; i++) {
        put_be32(sent + i * SIZE, SIZE - 4);
        memset(sent + i * SIZE + 4, (int)i, SIZE - 4);
    }
    write_all(fd, sent, SIZE + SIZE / 2);
    read_all(fd, got, SIZE);
    atomic_store(&data_count, 0);
    /* Leaves a piece of a frame behind again and again, so that the state is kept up. */
    size_t at = SIZE + SIZE / 2, back = SIZE;
    while (at < sizeof sent) {
        size_t n = 20 * SIZE < sizeof sent - at ? 20 * SIZE : sizeof sent - at;
        write_all(fd, sent + at, n);
        at += n;
        size_t whole = at / SIZE * SIZE;
        read_all(fd, got + back, whole - back);
        back = whole;
    }
    assert_memory_equal(got, sent, sizeof sent);
    assert_true(atomic_load(&data_count) < FRAMES / 2);
    close(fd);
    stop(&s);
}

static void a_bad_frame_closes_only_its_connection(void **state)
{
    struct server s;
    start(&s, 2, &echo);
    atomic_store(&closed_count, 0);
    int good = dial(&s), bad = dial(&s);
    char byte, frame[8];
    write_all(bad, "\xff\xff\xff\xff", 4);
    assert_int_equal(read(bad, &byte, 1), 0);
    write_all(good, "\0\0\0\4abcd", 8);
    read_all(good, frame, 8);
    assert_memory_equal(frame, "\0\0\0\4abcd", 8);
    assert_int_equal(atomic_load(&closed_count), 1);
    close(good);
    close(bad);
    stop(&s);
}

/* A peer that does not read is not read from either; nothing is lost when it goes on. */
static void a_peer_that_does_not_read_is_held_back(void **state)
{
    struct server s;
    start(&s, 1, &echo);
    int fd = dial(&s);
    enum { FRAME = 100000, COUNT = 1000 }; /* more than all buffers on the way can hold */
    uint8_t *frame = calloc(1, FRAME + 4), *back = malloc(FRAME + 4);
    put_be32(frame, FRAME);
    size_t sent = 0, total = (size_t)COUNT * (FRAME + 4);
    struct buf all = {0};
    for (int i = 0; i < COUNT; i++) {
        frame[4] = (uint8_t)i;
        buf_add(&all, frame, FRAME + 4);
    }
    /* Without reading, the writes must stall before everything is through. */
    while (sent < total) {
        ssize_t n = send(fd, all.data + sent, total - sent, MSG_DONTWAIT);
        if (n < 0) {
            usleep(50000);
            n = send(fd, all.data + sent, total - sent, MSG_DONTWAIT);
            if (n < 0)
                break;
        }
        sent += (size_t)n;
    }
    assert_true(sent < total);
    for (int i = 0; i < COUNT; i++) {
        size_t need = (size_t)(i + 1) * (FRAME + 4);
        while (sent < need)
            sent += (size_t)write(fd, all.data + sent, need - sent);
        read_all(fd, back, FRAME + 4);
        assert_int_equal(back[4], (uint8_t)i);
    }
    buf_free(&all);
    free(frame);
    free(back);
    close(fd);
    stop(&s);
}

static char path[64];
static int file_fd;

static void release(void *arg)
{
    atomic_fetch_add(&released, 1);
}

/* Any request: "head", the file, "tail". */
static ptrdiff_t file_data(struct net_conn *c, uint8_t *data, size_t len, size_t *want)
{
    buf_add_lit(net_conn_out(c), "head");
    net_conn_send_file(c, file_fd, 10, 1000000, release, NULL);
    buf_add_lit(net_conn_out(c), "tail");
    net_conn_send_file(c, file_fd, 0, 10, release, NULL);
    return (ptrdiff_t)len;
}

static const struct net_protocol file_protocol = {NULL, file_data, on_closed, 0};

static void files_stand_in_the_output_where_they_were_put(void **state)
{
    snprintf(path, sizeof path, "/tmp/crocket-test-%d", (int)getpid());
    uint8_t *content = malloc(1000010), *back = malloc(1000018);
    for (size_t i = 0; i < 1000010; i++)
        content[i] = (uint8_t)(i * 31 >> 3);
    FILE *f = fopen(path, "w+");
    assert_non_null(f);
    fwrite(content, 1, 1000010, f);
    fflush(f);
    file_fd = fileno(f);
    atomic_store(&released, 0);
    struct server s;
    start(&s, 1, &file_protocol);
    int fd = dial(&s);
    for (int round = 0; round < 3; round++) {
        write_all(fd, "x", 1);
        read_all(fd, back, 1000018);
        assert_memory_equal(back, "head", 4);
        assert_memory_equal(back + 4, content + 10, 1000000);
        assert_memory_equal(back + 1000004, "tail", 4);
        assert_memory_equal(back + 1000008, content, 10);
    }
    /* A connection that dies with files unsent releases them too. */
    write_all(fd, "x", 1);
    close(fd);
    stop(&s);
    assert_int_equal(atomic_load(&released), 8);
    fclose(f);
    unlink(path);
    free(content);
    free(back);
}

struct counted {
    struct net_task task;
    atomic_int *count;
};

static void count_task(struct net_loop *l, struct net_task *t)
{
    atomic_fetch_add(LIST_ENTRY(t, struct counted, task)->count, 1);
    free(LIST_ENTRY(t, struct counted, task));
}

static void tasks_of_other_threads_all_run(void **state)
{
    struct server s;
    start(&s, 2, &echo);
    atomic_int count = 0;
    for (int i = 0; i < 100000; i++) {
        struct counted *c = malloc(sizeof *c);
        c->task.fn = count_task;
        c->count = &count;
        net_loop_post(s.pool.loops[i % 2], &c->task);
    }
    AWAIT(atomic_load(&count) == 100000);
    assert_int_equal(atomic_load(&count), 100000);
    stop(&s);
}

enum { TIMERS = 1000 };
static struct net_timer timers[TIMERS];
static int64_t fired_at[TIMERS];
static int fired;

static void on_timer(struct net_loop *l, struct net_timer *t)
{
    fired_at[t - timers] = clock_mono_ms();
    if (++fired == TIMERS / 2)
        net_loop_stop(l);
}

/* A task that goes to and fro between two loops, each time for the one that sleeps: whose round it runs in, and that a
 * timer set there fires although the loop slept towards a later one. */
struct ball {
    struct net_task task;
    struct net_timer timer;
    struct net_loop *to[2];
    unsigned left;
    atomic_int wrong, timers, done;
};

static void ball_timer(struct net_loop *l, struct net_timer *t)
{
    struct ball *b = LIST_ENTRY(t, struct ball, timer);
    atomic_fetch_add(&b->timers, 1);
    b->wrong += net_loop_current() != l;
    atomic_store(&b->done, 1);
}

static void ball_arrives(struct net_loop *l, struct net_task *t)
{
    struct ball *b = LIST_ENTRY(t, struct ball, task);
    if (net_loop_current() != l || l != b->to[b->left % 2])
        atomic_fetch_add(&b->wrong, 1);
    if (b->left == 0) {
        b->timer.fn = ball_timer;
        net_timer_set(l, &b->timer, 10);
        return;
    }
    b->left--;
    net_loop_post_near(b->to[b->left % 2], &b->task);
}

static void near_tasks_run_in_the_loop_they_are_for(void **state)
{
    struct server s;
    start(&s, 2, &echo);
    int fd = dial(&s); /* its idle timer is none, so the loops sleep without end */
    for (int from = 0; from < 2; from++) {
        struct ball b = {.to = {s.pool.loops[from], s.pool.loops[1 - from]}, .left = 10001};
        b.task.fn = ball_arrives;
        net_loop_post_near(b.to[1], &b.task); /* from a thread that is no loop's */
        AWAIT(atomic_load(&b.done));
        assert_int_equal(atomic_load(&b.done), 1);
        assert_int_equal(atomic_load(&b.wrong), 0);
        assert_int_equal(atomic_load(&b.timers), 1);
    }
    /* Connections of both loops are served as before. */
    uint8_t frame[8] = {0, 0, 0, 4, 1, 2, 3, 4}, back[8];
    write_all(fd, frame, sizeof frame);
    read_all(fd, back, sizeof back);
    assert_memory_equal(frame, back, sizeof frame);
    close(fd);
    stop(&s);
}

static void timers_fire_in_time_and_not_when_cancelled(void **state)
{
    struct err err;
    struct net_loop *l = net_loop_new(0, &err);
    assert_non_null(l);
    int64_t due[TIMERS];
    unsigned seed = 7;
    fired = 0;
    for (int i = 0; i < TIMERS; i++) {
        int delay = rand_r(&seed) % 200;
        timers[i] = (struct net_timer){.fn = on_timer};
        due[i] = clock_mono_ms() + delay;
        net_timer_set(l, &timers[i], delay);
    }
    for (int i = 0; i < TIMERS; i += 2)
        net_timer_cancel(l, &timers[i]);
    net_loop_run(l);
    for (int i = 0; i < TIMERS; i++) {
        assert_int_equal(fired_at[i] != 0, i % 2);
        if (i % 2)
            assert_true(fired_at[i] >= due[i]);
    }
    net_loop_free(l);
}

static void a_port_in_use_is_said(void **state)
{
    struct server s;
    struct net_listener *second;
    struct err err = {0};
    start(&s, 1, &echo);
    assert_int_equal(
        net_listen(&second, &s.pool, STR_LIT("127.0.0.1"), net_listener_port(s.listener), &echo, NULL, &err), -1);
    assert_non_null(strstr(err.text, "is in use"));
    stop(&s);
}

static void addresses_are_read_and_written(void **state)
{
    struct net_address a;
    struct err err = {0};
    char text[64];
    assert_int_equal(net_address_parse(&a, STR_LIT(" 127.0.0.1:9876 "), &err), 0);
    net_address_format(&a, text);
    assert_string_equal(text, "127.0.0.1:9876");
    assert_int_equal(net_address_parse(&a, STR_LIT("[::1]:80"), &err), 0);
    net_address_format(&a, text);
    assert_string_equal(text, "[::1]:80");
    static const char *const bad[] = {"", "localhost", "1.2.3.4:", "1.2.3.4:99999", ":x"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(net_address_parse(&a, str_from(bad[i]), &err), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(echoes_frames_in_any_pieces),
        cmocka_unit_test(many_frames_in_one_write_keep_their_order),
        cmocka_unit_test(a_split_frame_does_not_bind_a_read_to_each_frame),
        cmocka_unit_test(a_bad_frame_closes_only_its_connection),
        cmocka_unit_test(a_peer_that_does_not_read_is_held_back),
        cmocka_unit_test(files_stand_in_the_output_where_they_were_put),
        cmocka_unit_test(tasks_of_other_threads_all_run),
        cmocka_unit_test(near_tasks_run_in_the_loop_they_are_for),
        cmocka_unit_test(timers_fire_in_time_and_not_when_cancelled),
        cmocka_unit_test(a_port_in_use_is_said),
        cmocka_unit_test(addresses_are_read_and_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* The blocking client against a peer that answers in pieces, asks back, stays silent or goes away. */
#include "net/conn.h"
#include "os/thread.h"
#include "remoting/sync_client.h"

#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <unistd.h>

#include <cmocka.h>

/* A peer that serves one connection with a script. */
struct peer {
    struct thread thread;
    int listener, fd;
    char address[64];
    void (*script)(struct peer *p);
    struct rem_command request; /* the last one read */
    uint8_t frame[65536];
    bool refused; /* its own request was answered with "not supported" */
};

static struct peer peer;

static bool peer_read(struct peer *p)
{
    size_t have = 0, total = 4;
    const char *why;
    while (have < total) {
        ssize_t n = recv(p->fd, p->frame + have, total - have, 0);
        if (n <= 0)
            return false;
        have += (size_t)n;
        if (have >= 4)
            rem_frame_peek(p->frame, have, &total);
    }
    return rem_decode(p->frame, total, &p->request, &why);
}

static void peer_write(struct peer *p, int32_t code, int32_t flag, int32_t opaque, const char *remark, size_t piece)
{
    struct buf out = {0};
    struct rem_frame f;
    rem_frame_begin(&f, &out, code);
    rem_frame_i64(&f, "opaqueOf", opaque);
    rem_frame_header_end(&f, flag, opaque, str_from(remark));
    buf_add_lit(&out, "BODY");
    rem_frame_finish(&f, 0);
    for (size_t at = 0; at < out.len; at += piece) {
        size_t n = out.len - at < piece ? out.len - at : piece;
        if (send(p->fd, out.data + at, n, MSG_NOSIGNAL) != (ssize_t)n)
            break;
    }
    buf_free(&out);
}

static void peer_main(void *arg)
{
    struct peer *p = arg;
    p->fd = accept(p->listener, NULL, NULL);
    if (p->fd >= 0) {
        p->script(p);
        close(p->fd);
    }
}

static void peer_start(void (*script)(struct peer *p))
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof at;
    memset(&peer, 0, sizeof peer);
    peer.script = script;
    peer.listener = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(peer.listener, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(listen(peer.listener, 4), 0);
    assert_int_equal(getsockname(peer.listener, (struct sockaddr *)&at, &len), 0);
    snprintf(peer.address, sizeof peer.address, "127.0.0.1:%d", ntohs(at.sin_port));
    assert_int_equal(thread_start(&peer.thread, "peer", peer_main, &peer), 0);
}

static void peer_end(void)
{
    thread_join(&peer.thread);
    close(peer.listener);
}

static int call(struct sync_client *c, const char *address, struct rem_command *answer, struct err *err)
{
    struct rem_frame f;
    sync_begin(c, &f, 105);
    rem_frame_str(&f, "topic", STR_LIT("T"));
    return sync_call_ok(c, address, &f, STR_LIT("ask"), answer, err);
}

static void answer_in_pieces(struct peer *p)
{
    for (int i = 0; i < 3 && peer_read(p); i++)
        peer_write(p, 0, REM_FLAG_RESPONSE, p->request.opaque, NULL, (size_t)i + 1);
}

static void answers_come_in_pieces(void **state)
{
    struct sync_client *c = sync_client_new(5000);
    struct rem_command answer;
    struct err err;
    peer_start(answer_in_pieces);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(call(c, peer.address, &answer, &err), 0);
        assert_true(str_eqz(answer.body, "BODY"));
    }
    sync_client_free(c);
    peer_end();
    assert_true(str_eqz(peer.request.body, "ask"));
    assert_true(str_eqz(rem_ext(&peer.request, "topic"), "T"));
}

static void ask_back(struct peer *p)
{
    if (!peer_read(p))
        return;
    int32_t opaque = p->request.opaque;
    peer_write(p, 40, REM_FLAG_ONEWAY, 900, NULL, 1000);
    peer_write(p, 307, 0, 901, NULL, 1000);
    p->refused = peer_read(p) && p->request.code == RESP_REQUEST_CODE_NOT_SUPPORTED && p->request.opaque == 901 &&
                 p->request.flag == REM_FLAG_RESPONSE;
    peer_write(p, 0, REM_FLAG_RESPONSE, opaque + 1000, NULL, 1000); /* an answer to nothing that was asked */
    peer_write(p, 0, REM_FLAG_RESPONSE, opaque, NULL, 1000);
}

static void requests_of_the_peer_are_refused_and_stray_answers_dropped(void **state)
{
    struct sync_client *c = sync_client_new(5000);
    struct rem_command answer;
    struct err err;
    int64_t opaque;
    peer_start(ask_back);
    assert_int_equal(call(c, peer.address, &answer, &err), 0);
    assert_true(str_to_i64(rem_ext(&answer, "opaqueOf"), &opaque));
    assert_int_equal(opaque, answer.opaque);
    sync_client_free(c);
    peer_end();
    assert_true(peer.refused);
}

static void refuse(struct peer *p)
{
    if (peer_read(p))
        peer_write(p, RESP_TOPIC_NOT_EXIST, REM_FLAG_RESPONSE, p->request.opaque, "no such topic", 1000);
}

static void a_refusal_is_an_error_with_the_code_and_the_remark(void **state)
{
    struct sync_client *c = sync_client_new(5000);
    struct rem_command answer;
    struct err err;
    peer_start(refuse);
    assert_int_equal(call(c, peer.address, &answer, &err), -1);
    assert_int_equal(err.code, RESP_TOPIC_NOT_EXIST);
    assert_non_null(strstr(err.text, "no such topic"));
    assert_non_null(strstr(err.text, peer.address));
    sync_client_free(c);
    peer_end();
}

static void go_away(struct peer *p)
{
    peer_read(p);
}

static void a_peer_that_goes_away_or_is_not_there_is_named(void **state)
{
    struct sync_client *c = sync_client_new(5000);
    struct rem_command answer;
    struct err err;
    peer_start(go_away);
    assert_int_equal(call(c, peer.address, &answer, &err), -1);
    assert_non_null(strstr(err.text, peer.address));
    peer_end();
    assert_int_equal(call(c, peer.address, &answer, &err), -1); /* the port is closed now */
    assert_int_equal(err.code, ECONNREFUSED);
    assert_int_equal(call(c, "nonsense", &answer, &err), -1);
    sync_client_free(c);
}

static void stay_silent(struct peer *p)
{
    if (peer_read(p))
        peer_read(p); /* until the client is gone */
}

static void silence_ends_in_time(void **state)
{
    struct sync_client *c = sync_client_new(50);
    struct rem_command answer;
    struct err err;
    peer_start(stay_silent);
    assert_int_equal(call(c, peer.address, &answer, &err), -1);
    assert_int_equal(err.code, ETIMEDOUT);
    sync_client_free(c);
    peer_end();
}

static void talk_nonsense(struct peer *p)
{
    static const uint8_t zeros[64];
    if (peer_read(p))
        send(p->fd, zeros, sizeof zeros, MSG_NOSIGNAL);
    peer_read(p);
}

static void nonsense_is_no_answer(void **state)
{
    struct sync_client *c = sync_client_new(5000);
    struct rem_command answer;
    struct err err;
    peer_start(talk_nonsense);
    assert_int_equal(call(c, peer.address, &answer, &err), -1);
    assert_int_equal(err.code, EPROTO);
    sync_client_free(c);
    peer_end();
}

static void the_next_address_of_a_list_is_tried(void **state)
{
    struct sync_client *c = sync_client_new(5000);
    struct rem_frame f;
    struct rem_command answer;
    struct err err;
    char list[160];
    peer_start(answer_in_pieces);
    snprintf(list, sizeof list, " 127.0.0.1:1 ; %s", peer.address);
    sync_begin(c, &f, 106);
    rem_frame_str(&f, "topic", STR_LIT("T"));
    assert_int_equal(sync_call_any(c, list, &f, STR_NULL, &answer, &err), 0);
    sync_client_free(c);
    peer_end();
    assert_int_equal(peer.request.code, 106);
    assert_true(str_eqz(rem_ext(&peer.request, "topic"), "T"));
    assert_int_equal(peer.request.n_ext, 1);
}

static void answer_backwards(struct peer *p)
{
    int32_t opaque[3];
    for (int i = 0; i < 3; i++) {
        if (!peer_read(p))
            return;
        opaque[i] = p->request.opaque;
    }
    for (int i = 3; i-- > 0;)
        peer_write(p, 0, REM_FLAG_RESPONSE, opaque[i], NULL, 1000);
}

static void several_may_be_under_way(void **state)
{
    struct sync_client *c = sync_client_new(5000);
    struct rem_command answer;
    struct err err;
    int32_t opaque[3];
    const char *from;
    peer_start(answer_backwards);
    for (int i = 0; i < 3; i++) {
        struct rem_frame f;
        sync_begin(c, &f, 11);
        assert_int_equal(sync_post(c, peer.address, &f, STR_NULL, &opaque[i], &err), 0);
    }
    assert_int_equal(sync_take(c, peer.address, 5000, &answer, &err), 0);
    assert_int_equal(answer.opaque, opaque[2]);
    for (int i = 2; i-- > 0;) {
        assert_int_equal(sync_take_any(c, 5000, &from, &answer, &err), 0);
        assert_string_equal(from, peer.address);
        assert_int_equal(answer.opaque, opaque[i]);
    }
    peer_end();
    assert_int_equal(sync_take_any(c, 5000, &from, &answer, &err), -1); /* it is gone */
    assert_string_equal(from, peer.address);
    assert_int_equal(sync_take_any(c, 10, &from, &answer, &err), -1);
    assert_int_equal(err.code, ETIMEDOUT);
    assert_null(from);
    sync_client_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_come_in_pieces),
        cmocka_unit_test(requests_of_the_peer_are_refused_and_stray_answers_dropped),
        cmocka_unit_test(a_refusal_is_an_error_with_the_code_and_the_remark),
        cmocka_unit_test(a_peer_that_goes_away_or_is_not_there_is_named),
        cmocka_unit_test(silence_ends_in_time),
        cmocka_unit_test(nonsense_is_no_answer),
        cmocka_unit_test(the_next_address_of_a_list_is_tried),
        cmocka_unit_test(several_may_be_under_way),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

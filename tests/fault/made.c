#include "fault/made.h"

#include "fault/load.h"
#include "message/message.h"
#include "os/clock.h"
#include "remoting/sync_client.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { TIMEOUT_MS = 10000, PAUSE_MS = 3, NAME_MAX_SIZE = 64 };

static struct str name_of(int64_t number, char out[NAME_MAX_SIZE])
{
    snprintf(out, NAME_MAX_SIZE, "made_%" PRId64, number);
    return str_from(out);
}

/* 1: acknowledged, 0: refused, -1: the connection broke. */
static int send_first(struct sync_client *c, const char *address, struct str topic, struct rem_command *answer)
{
    struct rem_frame f;
    struct err err;
    sync_begin(c, &f, REQ_SEND_MESSAGE_V2);
    rem_frame_str(&f, "a", STR_LIT("fault_group"));
    rem_frame_str(&f, "b", topic);
    rem_frame_str(&f, "c", STR_LIT("TBW102"));
    rem_frame_i64(&f, "d", 1);
    rem_frame_i64(&f, "e", 0);
    rem_frame_i64(&f, "f", 0);
    rem_frame_i64(&f, "g", clock_wall_ms());
    rem_frame_i64(&f, "h", 0);
    rem_frame_str(&f, "i", STR_NULL);
    rem_frame_i64(&f, "j", 0);
    rem_frame_bool(&f, "k", false);
    rem_frame_bool(&f, "m", false);
    if (sync_call(c, address, &f, topic, answer, &err))
        return -1;
    return answer->code == RESP_SUCCESS;
}

static bool promise(struct made *m, int64_t number)
{
    if (m->count == m->cap) {
        size_t cap = m->cap ? m->cap * 2 : 256;
        int64_t *p = realloc(m->promised, cap * sizeof *p);
        if (p == NULL)
            return false;
        m->promised = p;
        m->cap = cap;
    }
    m->promised[m->count++] = number;
    return true;
}

static void run(void *arg)
{
    struct made *m = arg;
    struct sync_client *c = sync_client_new(TIMEOUT_MS);
    struct rem_command answer = {0};
    while (c && !__atomic_load_n(&m->stop, __ATOMIC_ACQUIRE)) {
        char text[NAME_MAX_SIZE];
        int64_t number = m->next++;
        struct str topic = name_of(number, text);
        struct err err;
        if (load_make_topic(c, m->address, topic, 1, &answer, &err))
            break;
        int r = send_first(c, m->address, topic, &answer);
        if (r < 0 || (r > 0 && !promise(m, number)))
            break;
        nanosleep(&(struct timespec){.tv_nsec = PAUSE_MS * 1000000L}, NULL);
    }
    sync_client_free(c);
}

void made_begin(struct made *m)
{
    __atomic_store_n(&m->stop, false, __ATOMIC_RELEASE);
    thread_start(&m->worker, "maker", run, m);
}

void made_end(struct made *m)
{
    __atomic_store_n(&m->stop, true, __ATOMIC_RELEASE);
    thread_join(&m->worker);
}

static int check_one(struct sync_client *c, const char *address, struct str topic, struct rem_command *answer,
                     struct err *err)
{
    struct rem_frame f;
    int64_t end;
    sync_begin(c, &f, REQ_GET_TOPIC_CONFIG);
    rem_frame_str(&f, "topic", topic);
    if (sync_call(c, address, &f, STR_NULL, answer, err))
        return -1;
    if (answer->code != RESP_SUCCESS)
        return err_set(err, ENODATA, "topic %.*s is LOST, its first message was acknowledged: code %d, %.*s",
                       STR_ARG(topic), answer->code, STR_ARG(answer->remark));
    sync_begin(c, &f, REQ_GET_MAX_OFFSET);
    rem_frame_str(&f, "topic", topic);
    rem_frame_i64(&f, "queueId", 0);
    if (sync_call_ok(c, address, &f, STR_NULL, answer, err))
        return -1;
    if (!str_to_i64(rem_ext(answer, "offset"), &end) || end != 1)
        return err_set(err, ENODATA, "the acknowledged message of topic %.*s is LOST: its queue ends at %.*s",
                       STR_ARG(topic), STR_ARG(rem_ext(answer, "offset")));
    return 0;
}

int made_check(struct made *m, bool all, struct err *err)
{
    struct sync_client *c = sync_client_new(TIMEOUT_MS);
    struct rem_command answer = {0};
    char text[NAME_MAX_SIZE];
    int r = c ? 0 : err_set(err, ENOMEM, "out of memory");
    for (size_t i = all ? 0 : m->checked; r == 0 && i < m->count; i++) {
        r = check_one(c, m->address, name_of(m->promised[i], text), &answer, err);
        m->seen++;
    }
    m->checked = m->count;
    sync_client_free(c);
    return r;
}

void made_forget(struct made *m)
{
    m->next = 0;
    m->count = m->checked = 0;
}

void made_free(struct made *m)
{
    free(m->promised);
    m->promised = NULL;
    m->count = m->cap = 0;
}

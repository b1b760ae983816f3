/*
 * The broker of a seed: the real one, on a simulated disk and clock, with all its threads taken in turn by the test,
 * and clients on socket pairs. Whatever the seed, the same happens again.
 */
#ifndef CROCKET_TESTS_MODEL_WORLD_H
#define CROCKET_TESTS_MODEL_WORLD_H

#include "base/json.h"
#include "broker/broker_int.h"
#include "os/clock.h"
#include "sim_os.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { PEERS = 4, LOOPS = 2, NO_ANSWER = -1 };

/* A client's connection. Its answer is valid until its next one. */
struct peer {
    int fd; /* -1: none */
    int32_t opaque;
    struct buf in; /* what has been read and not taken */
    struct buf frame;
    struct rem_command answer;
    struct arena arena;
    const struct json *json; /* the answer's body, NULL when it is none */
};

struct world {
    uint64_t seed;
    bool verbose;
    struct fs_sim *disk;
    struct broker_conf conf;
    struct store_conf store_conf;
    struct net_pool pool;
    struct broker *b;
    bool sync; /* synchronous flush: what was acknowledged outlives the power */
    bool sql;  /* what a seed's tags are for others is SQL92 for this one, and queue entries tell of it */
    bool fatal;
    bool stepping; /* in a turn: no second one inside */
    struct peer peers[PEERS];
    /* A request of the broker's to a client. */
    void (*on_request)(void *arg, int peer, const struct rem_command *request);
    void *on_request_arg;
};

/* Tells the seed and ends the process. */
#define FAIL(w, ...)                                                                                                   \
    do {                                                                                                               \
        fprintf(stderr, "seed %" PRIu64 " fails: ", (w)->seed);                                                        \
        fprintf(stderr, __VA_ARGS__);                                                                                  \
        fprintf(stderr, "\n(%s:%d; again: ./dev model --seed %" PRIu64 ")\n", __FILE__, __LINE__, (w)->seed);          \
        exit(1);                                                                                                       \
    } while (0)
#define CHECK(w, ok, ...)                                                                                              \
    do {                                                                                                               \
        if (!(ok))                                                                                                     \
            FAIL(w, __VA_ARGS__);                                                                                      \
    } while (0)
#define SAY(w, ...)                                                                                                    \
    do {                                                                                                               \
        if ((w)->verbose) {                                                                                            \
            printf("%9" PRId64 "  ", clock_mono_ms() - 1000000);                                                       \
            printf(__VA_ARGS__);                                                                                       \
            printf("\n");                                                                                              \
        }                                                                                                              \
    } while (0)

static inline uint64_t dice(struct world *w, uint64_t n)
{
    return fs_sim_random(w->disk, n);
}

void world_make(struct world *w, uint64_t seed, bool verbose);
void world_free(struct world *w);

/* False: the power failed meanwhile; nothing runs. */
bool world_start(struct world *w);
/* The disk is off, or the broker has stopped itself: it answers nobody any more. */
bool world_dead(const struct world *w);
void world_stop(struct world *w);  /* in good order; then world_dead tells whether it came through */
void world_kill(struct world *w);  /* the process dies: the kernel keeps what it was given */
void world_crash(struct world *w); /* the machine dies: what was not synced is kept or lost at random */

void world_power_back(struct world *w); /* the end of it, when nothing runs any more */

/* Turns of the broker's threads. */
void world_turn(struct world *w);          /* what reacts at once: loops, workers, with synchronous flush the flusher */
void world_chores(struct world *w);        /* each of the others once, in some order */
void world_chore(struct world *w);         /* one of them */
void world_save(struct world *w);          /* configuration: topics and groups */
void world_pass(struct world *w, int64_t); /* so many ms pass, with turns in between */

/* ---- requests ---- */

/* fields: key, value, ..., NULL */
void peer_send(struct world *w, int peer, int32_t code, int32_t flag, struct str body, const char *const *fields);
/* The code of the answer to what the peer sent last. NO_ANSWER: the broker is dead. */
int32_t peer_answer(struct world *w, int peer);
/* The same without waiting longer than one turn; NO_ANSWER: not yet. */
int32_t peer_poll(struct world *w, int peer);
int32_t peer_ask(struct world *w, int peer, int32_t code, struct str body, const char *const *fields);
#define ASK(w, p, code, ...)            peer_ask((w), (p), (code), STR_NULL, (const char *const[]){__VA_ARGS__, NULL})
#define ASK_BODY(w, p, code, body, ...) peer_ask((w), (p), (code), (body), (const char *const[]){__VA_ARGS__, NULL})
int64_t peer_number(struct world *w, int peer, const char *field);

/* A number as a header field's text; a few are valid at a time. */
const char *text_of(int64_t number);

#endif

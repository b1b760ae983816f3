/*
 * Serving requests by table: a role gives rows {code, header schema, handler}; frames are decoded, checked and handed
 * to the handler on the connection's loop, or on a worker thread for rows that may block. Answers are written by
 * rem_reply_*.
 *
 * Ownership: a rem_request and everything it points to lives until its handler returns. A handler that answers later
 * keeps a rem_token (a value). Threads: handlers run on the connection's loop, or on a worker (LANE_WORKER);
 * rem_token_* on the loop of the token.
 */
#ifndef CROCKET_REMOTING_SERVER_H
#define CROCKET_REMOTING_SERVER_H

#include "base/arena.h"
#include "net/conn.h"
#include "remoting/schema.h"

struct rem_server;
struct rem_request;

enum rem_lane { REM_LANE_LOOP, REM_LANE_WORKER };

/* What authorization will ask of a request: an action on a resource that stands in the header. */
enum rem_action {
    REM_ACT_NONE,
    REM_ACT_PUB,
    REM_ACT_SUB,
    REM_ACT_GET,
    REM_ACT_LIST,
    REM_ACT_CREATE,
    REM_ACT_UPDATE,
    REM_ACT_DELETE
};
enum rem_resource { REM_RES_NONE, REM_RES_TOPIC, REM_RES_GROUP, REM_RES_CLUSTER };

/* header: the decoded struct of the row's schema, or NULL for rows without one. */
typedef void (*rem_handler)(struct rem_request *rq, const void *header);

struct rem_op {
    int32_t code;
    const char *name;
    struct rem_schema *header; /* NULL: no header fields */
    rem_handler fn;
    enum rem_lane lane;
    enum rem_action action;
    enum rem_resource resource;
};

struct rem_server_conf {
    const char *what; /* "broker", for log lines */
    void *role;       /* rem_role() of each request */
    int64_t idle_timeout_ms;
    unsigned workers; /* threads for LANE_WORKER rows; 0 = 1 */
    /* Called before each handler; false = it has answered. May be NULL. */
    bool (*admit)(struct rem_request *rq);
    void (*opened)(void *role, struct net_conn *c);
    void (*closed)(void *role, struct net_conn *c);
};

struct rem_server *rem_server_new(const struct rem_server_conf *conf, const struct rem_op *ops, size_t count,
                                  struct err *err);
/* Adds rows of another table; a code that is there already is replaced. Before listening. */
int rem_server_add(struct rem_server *s, const struct rem_op *ops, size_t count, struct err *err);
/* The protocol to listen with: net_listen(..., rem_server_protocol(s), s, ...). */
const struct net_protocol *rem_server_protocol(const struct rem_server *s);
/* Waits for the workers; call after the loops have stopped. */
void rem_server_free(struct rem_server *s);
uint64_t rem_server_requests(const struct rem_server *s); /* served so far */
/* Handles one request that waits for a worker on this thread; false: none does. May block. */
bool rem_server_work(struct rem_server *s);

/* ---- in a handler ---- */

void *rem_role(const struct rem_request *rq);
const struct rem_command *rem_cmd(const struct rem_request *rq);
const struct rem_op *rem_request_op(const struct rem_request *rq);
struct str rem_body(const struct rem_request *rq);
struct arena *rem_arena(struct rem_request *rq); /* dies with the request */
struct net_ref rem_conn_ref(const struct rem_request *rq);
const struct net_address *rem_peer(const struct rem_request *rq);
struct net_loop *rem_loop(const struct rem_request *rq); /* of the connection */
struct net_conn *rem_conn(const struct rem_request *rq); /* NULL in a worker */

/* Gives the request to a worker, which calls the handler again (rem_conn is NULL then): for a handler of LANE_LOOP that
 * finds that it would have to wait. It must return at once. */
void rem_to_worker(struct rem_request *rq);

/* The whole answer in one call; remark printf-style or NULL. */
void rem_reply(struct rem_request *rq, int32_t code, const char *remark_fmt, ...) __attribute__((format(printf, 3, 4)));
void rem_reply_body(struct rem_request *rq, int32_t code, struct str body);
/* In pieces: begin, rem_frame_* fields, end with remark (null view = none) and body (null view = none). */
void rem_reply_begin(struct rem_request *rq, struct rem_frame *f, int32_t code);
void rem_reply_end(struct rem_request *rq, struct rem_frame *f, struct str remark, struct str body);
/* A schema's struct as the header. */
void rem_reply_header(struct rem_request *rq, const struct rem_schema *s, const void *header, struct str body);

/* Answering later. A handler that took the token must not rem_reply. */
struct rem_token {
    struct net_ref conn;
    int32_t opaque;
    bool oneway;
};
struct rem_token rem_later(struct rem_request *rq);
/* False when the connection is gone or nobody wants an answer; then no end. On the loop of the token. */
bool rem_token_begin(const struct rem_token *t, struct rem_frame *f, int32_t code);
void rem_token_end(const struct rem_token *t, struct rem_frame *f, struct str remark, struct str body);
/* Header only; the body follows: bytes appended to f->out or net_conn_send_file pieces, more_body bytes of them in
 * files. */
void rem_token_header_end(const struct rem_token *t, struct rem_frame *f, struct str remark);
void rem_token_finish(const struct rem_token *t, struct rem_frame *f, size_t more_body);
/* From any thread: code and remark (copied), written on the token's loop. */
void rem_token_post(const struct rem_token *t, int32_t code, const char *remark);

#endif

/*
 * What the tools ask of name servers and brokers: the cluster, routes, queues and their offsets, messages to and from
 * one queue. Blocking, over one sync_client. Ownership: what a function returns lives in the tool's arena (until
 * tool_free or tool_forget); bodies of pulls only until the next call to the same broker. One thread at a time.
 */
#ifndef CROCKET_ADMIN_TOOL_H
#define CROCKET_ADMIN_TOOL_H

#include "base/arena.h"
#include "remoting/body/route.h"
#include "remoting/body/topic_config.h"
#include "remoting/sync_client.h"

struct tool {
    struct sync_client *client;
    const char *namesrv; /* "a:1;b:2" */
    struct arena arena;
};

/* namesrv NULL: NAMESRV_ADDR, else 127.0.0.1:9876. */
int tool_init(struct tool *t, const char *namesrv, int64_t timeout_ms, struct err *err);
void tool_free(struct tool *t);
void tool_forget(struct tool *t); /* empties the arena */

/* Calls the first name server that answers; anything but SUCCESS is an error with the response code in err->code. */
int tool_ask_namesrv(struct tool *t, struct rem_frame *f, struct str body, struct rem_command *answer, struct err *err);
/* The body as JSON, copied to the arena. NULL with err. */
const struct json *tool_json(struct tool *t, const struct rem_command *answer, struct err *err);

int tool_cluster(struct tool *t, struct cluster_info *out, struct err *err);
/* err->code is RESP_TOPIC_NOT_EXIST when no broker has the topic. */
int tool_route(struct tool *t, struct str topic, struct topic_route *out, struct err *err);
/* Address of the master of that name (of any replica when there is no master). NULL with err. */
const char *tool_broker_address(struct tool *t, struct str broker_name, struct err *err);

struct tool_queue {
    struct str topic, broker_name;
    const char *address;
    int32_t id;
};

/* All queues of the topic that have the permission (TOPIC_PERM_READ or _WRITE), in the order of Java's MessageQueue. */
int tool_queues(struct tool *t, struct str topic, int32_t perm, struct tool_queue **out, size_t *count,
                struct err *err);
/* code: REQ_GET_MAX_OFFSET or REQ_GET_MIN_OFFSET */
int tool_offset(struct tool *t, const struct tool_queue *q, int32_t code, int64_t *out, struct err *err);
int tool_offset_by_time(struct tool *t, const struct tool_queue *q, int64_t time_ms, int64_t *out, struct err *err);

struct tool_pulled {
    int32_t code; /* SUCCESS, PULL_NOT_FOUND, PULL_RETRY_IMMEDIATELY or PULL_OFFSET_MOVED */
    int64_t next_offset, min_offset, max_offset;
    struct str body; /* records, one behind the other */
};

struct tool_pull {
    const char *group;      /* NULL: the tools' own */
    const char *expression; /* NULL: all */
    const char *type;       /* of the expression; NULL: TAG */
    int64_t offset, suspend_ms;
    int32_t max_messages;
};
int tool_pull(struct tool *t, const struct tool_queue *q, const struct tool_pull *p, struct tool_pulled *out,
              struct err *err);
/* In two steps, to wait for several queues at once: the answer's opaque tells which one it belongs to. */
int tool_pull_post(struct tool *t, const struct tool_queue *q, const struct tool_pull *p, int32_t *opaque,
                   struct err *err);
int tool_pull_read(const struct rem_command *answer, const char *address, struct tool_pulled *out, struct err *err);

struct tool_sent {
    const char *status; /* "SEND_OK", "FLUSH_DISK_TIMEOUT" ... */
    char msg_id[33];    /* the client's own */
    char offset_id[64];
    int32_t queue_id;
    int64_t queue_offset;
};

/* properties: text of tags, keys and the like; UNIQ_KEY and WAIT are added. */
int tool_send(struct tool *t, const struct tool_queue *q, const char *group, struct str body, struct str properties,
              struct tool_sent *out, struct err *err);

#endif

/*
 * What the files of commands share. Private to the module. Main thread only.
 */
#ifndef CROCKET_ADMIN_ADMIN_INT_H
#define CROCKET_ADMIN_ADMIN_INT_H

#include "admin/output.h"
#include "admin/tool.h"
#include "base/args.h"

enum { ADMIN_TIMEOUT_MS = 10000 };

struct admin {
    struct tool tool; /* its arena lives as long as the command */
    struct args args;
    struct output out;
    const char *command;
};

struct admin_command {
    const char *name, *about;
    const struct arg_option *options;
    size_t option_count;
    int (*run)(struct admin *a, struct err *err);
};

#define ADMIN_COMMAND(name, about, options, run)                                                                       \
    {                                                                                                                  \
        name, about, options, sizeof(options) / sizeof((options)[0]), run                                              \
    }

/* The commands, one table a file. */
struct admin_table {
    const struct admin_command *commands;
    size_t count;
};
extern const struct admin_table admin_topic_table;    /* topic_commands.c: made, changed, removed */
extern const struct admin_table admin_topics_table;   /* topic_views.c: lists, routes, states */
extern const struct admin_table admin_group_table;    /* group_commands.c */
extern const struct admin_table admin_consumer_table; /* consumer_commands.c: progress, connections */
extern const struct admin_table admin_offset_table;   /* offset_commands.c: reset, clone */
extern const struct admin_table admin_cluster_table;  /* cluster_commands.c: clusters, brokers */
extern const struct admin_table admin_config_table;   /* config_commands.c: brokers, name servers, key-value table */
extern const struct admin_table admin_message_table;  /* message_queries.c: one message found and shown */
extern const struct admin_table admin_read_table;     /* message_commands.c: sent and read */
extern const struct admin_table admin_stats_table;    /* stats_commands.c */
extern const struct admin_table admin_probe_table;    /* probe_commands.c */
extern const struct admin_table admin_trace_table;    /* trace_commands.c */

#define OPT_BROKER                                                                                                     \
    {                                                                                                                  \
        "b", "brokerAddr", "ADDR", false, "address of one broker"                                                      \
    }
#define OPT_CLUSTER                                                                                                    \
    {                                                                                                                  \
        "c", "clusterName", "CLUSTER", false, "all brokers of the cluster"                                             \
    }
#define OPT_TOPIC                                                                                                      \
    {                                                                                                                  \
        "t", "topic", "TOPIC", true, "topic"                                                                           \
    }

/* Brokers that a command is for. */
struct admin_targets {
    const char **address;
    struct str *name; /* null view when it came from -b */
    size_t count;
};
/* By -b ADDR, or the masters of -c CLUSTER (all: of every cluster when neither is given). */
int admin_targets(struct admin *a, bool all, struct admin_targets *out, struct err *err);
/* The masters of a cluster; name NULL: of all. */
int admin_masters(struct admin *a, const char *cluster, struct admin_targets *out, struct err *err);
/* The masters that have the topic (another replica where the master is away). */
int admin_topic_brokers(struct admin *a, struct str topic, struct admin_targets *out, struct err *err);

/* A value of an option, trimmed; NULL when absent. */
const char *admin_option(struct admin *a, const char *name);
bool admin_flag(struct admin *a, const char *name, bool otherwise); /* of an option that holds true or false */

/* Begins a request. */
struct rem_frame admin_begin(struct admin *a, int32_t code);
/* Sends it to an address; an answer that is no success is an error. answer may be NULL. */
int admin_call(struct admin *a, const char *address, struct rem_frame *f, struct str body, struct rem_command *answer,
               struct err *err);
const struct json *admin_call_json(struct admin *a, const char *address, struct rem_frame *f, struct str body,
                                   struct err *err);
/* To every name server of -n: fn makes the request, done looks at the answer (may be NULL); both get arg. */
typedef void (*admin_request_fn)(struct admin *a, const void *arg, struct rem_frame *f, struct str *body);
typedef void (*admin_answer_fn)(struct admin *a, const void *arg, const char *address,
                                const struct rem_command *answer);
int admin_each_namesrv(struct admin *a, admin_request_fn fn, admin_answer_fn done, const void *arg, struct err *err);

/* Topics known to the name server. */
int admin_all_topics(struct admin *a, struct str **topics, size_t *count, struct err *err);
/* Groups that consume a topic; empty when none is known. */
int admin_topic_groups(struct admin *a, struct str topic, struct str **groups, size_t *count, struct err *err);
bool admin_is_retry_or_dead(struct str topic);
struct str admin_retry_topic(struct admin *a, const char *group);

/* A message queue that is the key of a JSON map. */
struct admin_mq {
    struct str topic, broker_name;
    int32_t id;
    const struct json *value;
};
/* The members of such a map, sorted as Java sorts them. */
int admin_mq_table(struct admin *a, const struct json *map, struct admin_mq **out, size_t *count, struct err *err);
void admin_mq_sort(struct admin_mq *q, size_t count);

/* "V5_3_3" */
struct str admin_version(struct admin *a, int64_t version);

/* consumer_commands.c: what a group has consumed, from all brokers of its topics. */
struct admin_progress {
    struct admin_mq *queues; /* value: brokerOffset, consumerOffset, pullOffset, lastTimestamp */
    size_t count;
    double tps;
};
int admin_group_progress(struct admin *a, const char *group, const char *topic, struct admin_progress *out,
                         struct err *err);
/* The answer to GET_CONSUMER_CONNECTION_LIST of the first broker that knows the group. NULL with err. */
const struct json *admin_consumer_connection(struct admin *a, const char *group, const char *broker, struct err *err);

/* topic_commands.c */
int admin_delete_topic(struct admin *a, const char *cluster, struct str topic, struct err *err);

#endif

/*
 * Topics of this broker: config/topics.json, creation rules, system topics.
 *
 * Ownership: a struct topic lives until the manager is freed, also when the topic is deleted (then `deleted` is set and
 * it is no longer found): pointers may be kept. Members that change are atomic or read under the manager's lock.
 * Threads: any. topic_find takes a read lock only; the hot path keeps pointers and checks topics_generation.
 */
#ifndef CROCKET_BROKER_TOPIC_TOPIC_MANAGER_H
#define CROCKET_BROKER_TOPIC_TOPIC_MANAGER_H

#include "base/err.h"
#include "base/json.h"
#include "remoting/body/data_version.h"
#include "remoting/body/topic_config.h"
#include <stdatomic.h>

enum { PERM_PRIORITY = 8, PERM_READ = 4, PERM_WRITE = 2, PERM_INHERIT = 1 };
enum { TOPIC_MAX_QUEUES = 65536 };

struct store;
struct cq;
struct topic_stats;

struct topic {
    struct str name; /* NUL-terminated */
    atomic_int perm, read_queues, write_queues, sys_flag;
    atomic_bool multi_tag, order, deleted;
    atomic_bool compacted; /* cleanup.policy=COMPACTION: messages need a key */
    bool system;
    bool retry, dlq;                     /* name begins with %RETRY% / %DLQ% */
    bool batch;                          /* queue.type is BatchCQ: of new queues */
    _Atomic(struct topic_stats *) stats; /* of stats.h, made on first use */
    _Atomic(void *) queues;              /* internal: table of struct cq * */
};

struct topic_manager;

struct topic_manager *topic_manager_new(struct store *store, const char *config_dir);
int topic_manager_load(struct topic_manager *m, struct err *err); /* topics.json or its .bak; absent: empty */
/* Before any queue is wanted, when it was not known yet at topic_manager_new. False: out of memory. */
bool topic_set_store(struct topic_manager *m, struct store *store);
/* enableLmq, before the first use: every name that begins with %LMQ% is a topic then, with one queue, readable and
 * writable, known to nobody but who asks for it by its name. */
void topic_set_lmq(struct topic_manager *m, bool on);
void topic_manager_free(struct topic_manager *m);
/* Called after every change with the changed topics (n = 0: all): the registration hooks in here. Any thread. */
void topic_manager_on_change(struct topic_manager *m, void (*fn)(void *arg, struct topic *const *changed, size_t n),
                             void *arg);

struct topic *topic_find(struct topic_manager *m, struct str name);
uint64_t topics_generation(const struct topic_manager *m); /* changes when a topic appears or disappears */
/* The queue of the store, NULL if out of range (or out of memory). Cheap after the first call. */
struct cq *topic_queue(struct topic_manager *m, struct topic *t, int32_t queue_id);

/* Creates or updates; persists; tells on_change. The config's strings are copied. NULL + err when refused. */
struct topic *topic_put(struct topic_manager *m, const struct topic_config *c, struct err *err);
/* The same for many topics with one persist and one notice. */
int topic_put_many(struct topic_manager *m, const struct topic_config *c, size_t n, struct err *err);
bool topic_delete(struct topic_manager *m, struct str name); /* also its consume queues */
/* Creates when absent, with these queue numbers and permission (retry, DLQ and system topics). */
struct topic *topic_ensure(struct topic_manager *m, struct str name, int32_t queues, int perm, int sys_flag,
                           struct err *err);
/* The rule for a send to an unknown topic (TBW102 and friends). NULL: TOPIC_NOT_EXIST. */
struct topic *topic_auto_create(struct topic_manager *m, struct str name, struct str default_topic, int32_t queue_nums,
                                bool unit_mode, int32_t default_topic_queue_nums);

/* A copy of the configuration in the arena. */
bool topic_config_of(struct topic_manager *m, struct str name, struct arena *a, struct topic_config *out);
/* All topics, sorted by name: copies in the arena; *n = how many. */
struct topic_config *topic_config_all(struct topic_manager *m, struct arena *a, size_t *n);
void topic_names(struct topic_manager *m, struct arena *a, struct str **names, size_t *n);
struct data_version topic_version(struct topic_manager *m);
/* A new version of an unchanged table: name servers take over all of the next registration. */
void topic_version_next(struct topic_manager *m);
/* Version, and the configurations of the named topics that exist (all when names is NULL), of one moment. */
struct topic_config *topic_snapshot(struct topic_manager *m, struct arena *a, const struct str *names, size_t *n,
                                    struct data_version *version);
/* Saves topics.json when it is behind. Changes are saved in the background soon; this is for the end. */
int topic_persist(struct topic_manager *m, struct err *err);
/* Topics made or changed before the call survive the loss of power; cheap when there are none. May block. */
int topic_sync(struct topic_manager *m, struct err *err);
/* Marks these topics as ordered (the name server's answer to a registration); others stay as they are. */
void topic_set_order(struct topic_manager *m, const struct str *names, size_t n);
/* autoCreateTopicEnable, when it changes while the broker runs. */
void topic_set_auto_create(struct topic_manager *m, bool on);

/* What is wrong with a topic or group name, to stand behind "The specified topic" (Java's text), or NULL. max: 127 or
 * 255 (topics), GROUP_NAME_MAX (groups). */
const char *name_illegal(struct str name, size_t max);
bool topic_is_system(struct topic_manager *m, struct str name);
bool topic_send_forbidden(struct str name); /* SCHEDULE_TOPIC_XXXX and the like */
/* Creates the system topics of a broker. */
int topic_create_system(struct topic_manager *m, const char *cluster, const char *broker_name,
                        int32_t default_queue_nums, bool auto_create, bool cluster_topic, bool broker_topic,
                        struct err *err);

#endif

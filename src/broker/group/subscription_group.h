/*
 * Subscription groups: config/subscriptionGroup.json. Same ownership and thread rules as topics: a struct group is
 * never freed before its manager.
 */
#ifndef CROCKET_BROKER_GROUP_SUBSCRIPTION_GROUP_H
#define CROCKET_BROKER_GROUP_SUBSCRIPTION_GROUP_H

#include "base/err.h"
#include "base/json.h"
#include "remoting/body/data_version.h"
#include <stdatomic.h>

enum { GROUP_NAME_MAX = 255 };

struct group {
    struct str name;
    atomic_bool consume_enable, consume_from_min_enable, consume_broadcast_enable, consume_orderly, notify_ids_changed,
        deleted;
    atomic_int retry_queue_nums, retry_max_times, sys_flag, consume_timeout_minute;
    _Atomic int64_t broker_id, which_broker_when_slow;
};

struct group_manager;

struct group_manager *group_manager_new(const char *config_dir, bool auto_create);
int group_manager_load(struct group_manager *m, struct err *err);
void group_manager_free(struct group_manager *m);
/* autoCreateSubscriptionGroup and enableCreateSysGroup, when they change while the broker runs. */
void group_set_auto_create(struct group_manager *m, bool on);
void group_set_auto_create_system(struct group_manager *m, bool on);
/* enableLmq, before the first use: every name that begins with %LMQ% is a group then, always the same unsaved one. */
void group_set_lmq(struct group_manager *m, bool on);

/* As Java: an unknown group with a legal name is created when auto-creation is on. NULL: does not exist. */
struct group *group_find(struct group_manager *m, struct str name);
struct group *group_known(struct group_manager *m, struct str name); /* never creates */
/* SubscriptionGroupConfig as JSON, whole: unknown members (attributes, groupRetryPolicy, subscriptionDataSet) are kept
 * as they are. */
struct group *group_put_json(struct group_manager *m, const struct json *config, struct err *err);
bool group_delete(struct group_manager *m, struct str name);
bool group_write_json(struct group_manager *m, struct str name, struct jw *w); /* one config object */
void group_write_table(struct group_manager *m, struct jw *w, size_t from, size_t max,
                       size_t *total);                             /* the members of subscriptionGroupTable */
void group_write_forbidden(struct group_manager *m, struct jw *w); /* the members of forbiddenTable */
void group_names(struct group_manager *m, struct arena *a, struct str **names, size_t *n);
/* Whether the group may not read the topic. */
bool group_forbidden(struct group_manager *m, struct str group, struct str topic);
void group_set_forbidden(struct group_manager *m, struct str group, struct str topic, bool forbidden);
struct data_version group_version(struct group_manager *m);
int group_persist(struct group_manager *m, struct err *err);
/* Groups made or changed before the call survive the loss of power; cheap when there are none. May block. */
int group_sync(struct group_manager *m, struct err *err);

#endif

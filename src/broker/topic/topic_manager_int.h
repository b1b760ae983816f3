/* What the files of the topic manager share. Not for others. */
#ifndef CROCKET_BROKER_TOPIC_TOPIC_MANAGER_INT_H
#define CROCKET_BROKER_TOPIC_TOPIC_MANAGER_INT_H

#include "base/map.h"
#include "broker/config/config_table.h"
#include "broker/topic/topic_manager.h"
#include <pthread.h>

#define AUTO_CREATE_TOPIC "TBW102"

/* A topic with what only the manager touches. Also a deleted topic keeps its entry: the next one of its name gets it.
 */
struct topic_entry {
    struct topic t;
    struct topic_config *config; /* owned; under the lock */
};

struct topic_manager {
    struct store *store;
    struct config_table file;   /* topics.json; its lock covers the tables and the configurations */
    pthread_mutex_t queue_lock; /* growing the queue tables */
    struct map entries;         /* name -> struct topic_entry */
    struct map system;          /* names of system topics that depend on the broker's names */
    bool lmq;
    struct map lmqs; /* name -> struct topic_entry without configuration; under lmq_lock */
    pthread_rwlock_t lmq_lock;
    size_t live;
    atomic_bool auto_create;
    _Atomic uint64_t generation;
    void (*on_change)(void *arg, struct topic *const *changed, size_t n);
    void *on_change_arg;
};

/* Under the write lock. Makes the configuration c (copied) the topic's; NULL: out of memory. */
struct topic_entry *topic_entry_set(struct topic_manager *m, const struct topic_config *c);
/* Under a lock; NULL when unknown or deleted. */
struct topic_entry *topic_entry_find(const struct topic_manager *m, struct str name);
/* Under the write lock: the table changed, by a topic's new configuration, by a deleted topic, or (neither) in its
 * version. */
void topic_changed(struct topic_manager *m, const struct topic_config *config, struct str deleted);
/* Under the write lock. */
void topic_entry_delete(struct topic_manager *m, struct topic_entry *e);
/* Without a lock: saves soon and tells on_change. */
void topic_announce(struct topic_manager *m, struct topic *const *changed, size_t n);
extern const struct config_table_kind topic_file; /* topic_file.c */
void topic_entry_free(void *entry);
/* topic_lmq.c: the topic of a light message queue; NULL: the name is none, or out of memory. */
struct topic *topic_lmq_find(struct topic_manager *m, struct str name);
bool topic_lmq_delete(struct topic_manager *m, struct str name); /* its queue; the topic is always there */
void topic_forget_queues(struct topic_manager *m, struct topic *t);
/* Marks a name as a system topic's. */
bool topic_mark_system(struct topic_manager *m, struct str name);

/* topic_attributes.c: an attribute's value, null when the topic does not have it. */
struct str topic_attribute(const struct topic_config *c, const char *name);
bool topic_is_batch(const struct topic_config *c);
bool topic_is_compacted(const struct topic_config *c);
/* The attributes of a topic after an admin command: "+key" adds or changes, "-key" removes; a
 * change without signs is the new state. current NULL: the topic is new. The result lives in the arena. */
int topic_attributes_alter(struct arena *a, const struct topic_config *current, const struct topic_config *wanted,
                           struct topic_config *out, struct err *err);

#endif

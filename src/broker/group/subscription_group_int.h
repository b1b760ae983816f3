/* What the files of the group manager share. Not for others. */
#ifndef CROCKET_BROKER_GROUP_SUBSCRIPTION_GROUP_INT_H
#define CROCKET_BROKER_GROUP_SUBSCRIPTION_GROUP_INT_H

#include "base/map.h"
#include "broker/config/config_table.h"
#include "broker/group/subscription_group.h"
#include <pthread.h>

struct group_entry {
    struct group g;
    char *extras; /* JSON object of the members that have no place in struct group; NULL: none. Under the lock */
};

struct group_manager {
    struct config_table file; /* subscriptionGroup.json; its lock covers the tables */
    struct map entries;       /* name -> struct group_entry; deleted ones stay */
    struct map forbidden;     /* group -> struct map of topic -> bits */
    bool lmq;
    struct map lmqs; /* name -> struct group_entry of groups that are not saved; under lmq_lock */
    pthread_rwlock_t lmq_lock;
    size_t live;
    _Atomic bool auto_create, auto_create_system;
};

/* Under the write lock; config NULL: the defaults. NULL: out of memory. */
struct group_entry *group_entry_set(struct group_manager *m, struct str name, const struct json *config);
void group_take_config(struct group *g, const struct json *config);
void group_entry_free(void *entry);
/* subscription_group_lmq.c: the group of a light message queue's reader; NULL: the name is none, or out of memory. */
struct group *group_lmq_find(struct group_manager *m, struct str name);
struct group_entry *group_entry_find(const struct group_manager *m, struct str name); /* under a lock */
/* Under the write lock: the table changed, by a group's new configuration or by a deleted group. */
void group_changed(struct group_manager *m, const struct group_entry *e, struct str deleted);
void group_entry_delete(struct group_manager *m, struct group_entry *e); /* under the write lock */
extern const struct config_table_kind group_file;                        /* subscription_group_file.c */
void group_write_config(struct jw *w, const void *entry);
bool group_forbid(struct group_manager *m, struct str group, struct str topic,
                  uintptr_t bits); /* under the write lock */

#endif

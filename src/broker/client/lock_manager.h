/*
 * Queue locks of ordered consumption: group -> (topic, broker, queue id) -> client, expiring after 60 s. In memory
 * only, as in Java. Threads: any (one lock).
 */
#ifndef CROCKET_BROKER_CLIENT_LOCK_MANAGER_H
#define CROCKET_BROKER_CLIENT_LOCK_MANAGER_H

#include "base/str.h"

struct lock_manager;
struct lock_manager *lock_manager_new(int64_t max_live_ms);
void lock_manager_free(struct lock_manager *m);
bool lock_try(struct lock_manager *m, struct str group, struct str topic, struct str broker, int32_t queue_id,
              struct str client_id);
void lock_release(struct lock_manager *m, struct str group, struct str topic, struct str broker, int32_t queue_id,
                  struct str client_id);
bool lock_any_held(struct lock_manager *m, struct str group); /* some unexpired lock in the group */

#endif

/* Groups that read light message queues: as in Java they need no configuration and stand in no list. */
#include "broker/group/subscription_group_int.h"

#include "broker/topic/topic_manager.h"
#include "message/multi_dispatch.h"
#include <stdlib.h>

enum { NAME_MAX_LEN = 255 };

void group_set_lmq(struct group_manager *m, bool on)
{
    m->lmq = on;
}

static struct group_entry *new_lmq(struct group_manager *m, struct str name)
{
    struct group_entry *e = calloc(1, sizeof *e);
    char *copy = e ? str_dupz(name) : NULL;
    if (copy == NULL || !map_put(&m->lmqs, name, e, NULL)) {
        free(copy);
        free(e);
        return NULL;
    }
    e->g.name = str_make(copy, name.len);
    group_take_config(&e->g, NULL);
    return e;
}

struct group *group_lmq_find(struct group_manager *m, struct str name)
{
    if (!m->lmq || !msg_is_lmq(name) || name_illegal(name, NAME_MAX_LEN))
        return NULL;
    pthread_rwlock_rdlock(&m->lmq_lock);
    struct group_entry *e = map_get(&m->lmqs, name);
    pthread_rwlock_unlock(&m->lmq_lock);
    if (e)
        return &e->g;
    pthread_rwlock_wrlock(&m->lmq_lock);
    e = map_get(&m->lmqs, name);
    if (e == NULL)
        e = new_lmq(m, name);
    pthread_rwlock_unlock(&m->lmq_lock);
    return e ? &e->g : NULL;
}

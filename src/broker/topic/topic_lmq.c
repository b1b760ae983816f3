/* Light message queues as topics: as in Java they need no configuration and stand in no list. */
#include "broker/topic/topic_manager_int.h"

#include "message/multi_dispatch.h"
#include "store/store.h"
#include <stdlib.h>

enum { NAME_MAX_LEN = 255 };

void topic_set_lmq(struct topic_manager *m, bool on)
{
    m->lmq = on;
}

static struct topic_entry *new_lmq(struct topic_manager *m, struct str name)
{
    struct topic_entry *e = calloc(1, sizeof *e);
    char *copy = e ? str_dupz(name) : NULL;
    if (copy == NULL || !map_put(&m->lmqs, name, e, NULL)) {
        free(copy);
        free(e);
        return NULL;
    }
    e->t.name = str_make(copy, name.len);
    atomic_store(&e->t.perm, PERM_READ | PERM_WRITE);
    atomic_store(&e->t.read_queues, 1);
    atomic_store(&e->t.write_queues, 1);
    return e;
}

struct topic *topic_lmq_find(struct topic_manager *m, struct str name)
{
    if (!m->lmq || !msg_is_lmq(name) || name_illegal(name, NAME_MAX_LEN))
        return NULL;
    pthread_rwlock_rdlock(&m->lmq_lock);
    struct topic_entry *e = map_get(&m->lmqs, name);
    pthread_rwlock_unlock(&m->lmq_lock);
    if (e)
        return &e->t;
    pthread_rwlock_wrlock(&m->lmq_lock);
    e = map_get(&m->lmqs, name);
    if (e == NULL)
        e = new_lmq(m, name);
    pthread_rwlock_unlock(&m->lmq_lock);
    return e ? &e->t : NULL;
}

bool topic_lmq_delete(struct topic_manager *m, struct str name)
{
    struct topic *t = topic_lmq_find(m, name);
    if (t == NULL)
        return false;
    topic_forget_queues(m, t);
    if (m->store)
        store_delete_topic(m->store, name);
    return true;
}

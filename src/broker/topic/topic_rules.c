/* Which names are legal, which topics are the broker's own, and what a send to an unknown topic creates. */
#include "broker/topic/topic_manager_int.h"

#include "base/log.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static const char *const system_topics[] = {
    AUTO_CREATE_TOPIC,          "SCHEDULE_TOPIC_XXXX",         "BenchmarkTest",
    "RMQ_SYS_TRANS_HALF_TOPIC", "RMQ_SYS_TRACE_TOPIC",         "OFFSET_MOVED_EVENT",
    "SELF_TEST_TOPIC",          "RMQ_SYS_TRANS_OP_HALF_TOPIC", "TRANS_CHECK_MAX_TIME_TOPIC",
    "CHECKPOINT_TOPIC",
};

static const char *const forbidden_topics[] = {
    "SCHEDULE_TOPIC_XXXX",        "RMQ_SYS_TRANS_HALF_TOPIC", "RMQ_SYS_TRANS_OP_HALF_TOPIC",
    "TRANS_CHECK_MAX_TIME_TOPIC", "SELF_TEST_TOPIC",          "OFFSET_MOVED_EVENT",
};

static bool one_of(struct str name, const char *const *names, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (str_eqz(name, names[i]))
            return true;
    return false;
}

static bool legal_char(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '%' || c == '-' ||
           c == '_' || c == '|';
}

const char *name_illegal(struct str name, size_t max)
{
    if (str_blank(name))
        return "is blank.";
    for (size_t i = 0; i < name.len; i++)
        if (!legal_char(name.ptr[i]))
            return "contains illegal characters, allowing only ^[%|a-zA-Z0-9_-]+$";
    if (name.len > max)
        return max <= 127 ? "is longer than topic max length." : "is longer than 255 characters.";
    return NULL;
}

bool topic_send_forbidden(struct str name)
{
    return one_of(name, forbidden_topics, sizeof forbidden_topics / sizeof forbidden_topics[0]);
}

/* The marked names are set before the loops run and constant then. */
bool topic_is_system(struct topic_manager *m, struct str name)
{
    return str_starts(name, STR_LIT("rmq_sys_")) ||
           one_of(name, system_topics, sizeof system_topics / sizeof system_topics[0]) ||
           map_get(&m->system, name) != NULL;
}

bool topic_mark_system(struct topic_manager *m, struct str name)
{
    if (!map_put(&m->system, name, m, NULL))
        return false;
    struct topic_entry *e = topic_entry_find(m, name);
    if (e)
        e->t.system = true;
    return true;
}

/* What the file says of a system topic stays. */
static bool add_system(struct topic_manager *m, const char *name, int32_t queues, int perm)
{
    struct topic_config c = TOPIC_CONFIG_DEFAULT(str_from(name));
    if (!topic_mark_system(m, c.name))
        return false;
    if (topic_entry_find(m, c.name))
        return true;
    c.read_queue_nums = c.write_queue_nums = queues;
    c.perm = perm;
    return topic_entry_set(m, &c) != NULL;
}

int topic_create_system(struct topic_manager *m, const char *cluster, const char *broker_name,
                        int32_t default_queue_nums, bool auto_create, bool cluster_topic, bool broker_topic,
                        struct err *err)
{
    const int rw = PERM_READ | PERM_WRITE;
    char reply[300], revive[300], members[300];
    snprintf(reply, sizeof reply, "%s_REPLY_TOPIC", cluster);
    snprintf(revive, sizeof revive, "rmq_sys_REVIVE_LOG_%s", cluster);
    snprintf(members, sizeof members, "rmq_sys_SYNC_BROKER_MEMBER_%s", broker_name);
    pthread_rwlock_wrlock(&m->file.lock);
    atomic_store(&m->auto_create, auto_create);
    bool done = add_system(m, "SELF_TEST_TOPIC", 1, rw) &&
                (!auto_create || add_system(m, AUTO_CREATE_TOPIC, default_queue_nums, rw | PERM_INHERIT)) &&
                add_system(m, "BenchmarkTest", 1024, rw) &&
                add_system(m, cluster, 16, PERM_INHERIT | (cluster_topic ? rw : 0)) &&
                add_system(m, broker_name, 1, PERM_INHERIT | (broker_topic ? rw : 0)) &&
                add_system(m, "OFFSET_MOVED_EVENT", 1, rw) && add_system(m, "SCHEDULE_TOPIC_XXXX", 18, rw) &&
                add_system(m, reply, 1, rw) && add_system(m, revive, 8, rw) &&
                add_system(m, members, 1, PERM_INHERIT) && add_system(m, "RMQ_SYS_TRANS_HALF_TOPIC", 1, rw) &&
                add_system(m, "RMQ_SYS_TRANS_OP_HALF_TOPIC", 1, rw) && add_system(m, "rmq_sys_wheel_timer", 1, rw);
    pthread_rwlock_unlock(&m->file.lock);
    return done ? 0 : err_set(err, ENOMEM, "out of memory for the system topics");
}

void topic_set_auto_create(struct topic_manager *m, bool on)
{
    atomic_store(&m->auto_create, on);
}

/* Under the write lock: what a new topic gets from its default topic; false when that may not be inherited. */
static bool inherit(struct topic_manager *m, struct str default_topic, int32_t queue_nums, bool unit_mode,
                    struct topic_config *c)
{
    struct topic_entry *d = topic_entry_find(m, default_topic);
    if (d == NULL)
        return false;
    if (!atomic_load(&m->auto_create) && str_eqz(default_topic, AUTO_CREATE_TOPIC)) {
        /* Clients that still know it from its route must not create topics by it any more. */
        d->config->perm = PERM_READ | PERM_WRITE;
        atomic_store(&d->t.perm, d->config->perm);
    }
    if (!(d->config->perm & PERM_INHERIT))
        return false;
    int32_t queues = queue_nums < d->config->write_queue_nums ? queue_nums : d->config->write_queue_nums;
    c->read_queue_nums = c->write_queue_nums = queues;
    c->perm = d->config->perm & ~PERM_INHERIT;
    c->topic_sys_flag = unit_mode ? TOPIC_FLAG_UNIT : 0;
    c->filter_type = d->config->filter_type;
    return true;
}

struct topic *topic_auto_create(struct topic_manager *m, struct str name, struct str default_topic, int32_t queue_nums,
                                bool unit_mode, int32_t default_topic_queue_nums)
{
    struct topic_config c = TOPIC_CONFIG_DEFAULT(name);
    if (name_illegal(name, 127))
        return NULL;
    pthread_rwlock_wrlock(&m->file.lock);
    struct topic_entry *e = topic_entry_find(m, name);
    bool made = false;
    if (e == NULL && inherit(m, default_topic, queue_nums > 0 ? queue_nums : default_topic_queue_nums, unit_mode, &c)) {
        e = topic_entry_set(m, &c);
        made = e != NULL;
        if (made)
            topic_changed(m, e->config, STR_NULL);
    }
    pthread_rwlock_unlock(&m->file.lock);
    struct topic *t = e ? &e->t : NULL;
    if (made) {
        LOG(LOG_INFO, "broker", "created topic %.*s with %d queues, as %.*s allows", STR_ARG(name), c.write_queue_nums,
            STR_ARG(default_topic));
        topic_announce(m, &t, 1);
    }
    return t;
}

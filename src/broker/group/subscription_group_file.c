/*
 * Subscription groups as JSON, and config/subscriptionGroup.json:
 * {"dataVersion":{..},"forbiddenTable":{"GROUP":{"TOPIC":bits}},"subscriptionGroupTable":{"GROUP":{SubscriptionGroupConfig}}}
 */
#include "base/log.h"
#include "broker/group/subscription_group_int.h"
#include <errno.h>
#include <stdlib.h>

/* ---- writing ---- */

static void write_extra(struct jw *w, const struct json *extras, const char *name, const char *absent)
{
    const struct json *value = json_get(extras, name);
    if (value == NULL && absent == NULL)
        return;
    jw_key(w, str_from(name));
    if (value)
        jw_node(w, value);
    else
        jw_raw(w, str_from(absent));
}

static bool is_placed(struct str key)
{
    return str_eqz(key, "attributes") || str_eqz(key, "groupRetryPolicy") || str_eqz(key, "subscriptionDataSet");
}

/* The members in the order of their names, as Java writes them; members that Java does not know come last. */
void group_write_config(struct jw *w, const void *entry)
{
    const struct group_entry *e = entry;
    const struct group *g = &e->g;
    struct arena a = {0};
    const struct json *extras = e->extras ? json_parse(&a, str_from(e->extras), NULL) : NULL;
    jw_begin_object(w);
    write_extra(w, extras, "attributes", "{}");
    jw_ki64(w, "brokerId", atomic_load(&g->broker_id));
    jw_kbool(w, "consumeBroadcastEnable", atomic_load(&g->consume_broadcast_enable));
    jw_kbool(w, "consumeEnable", atomic_load(&g->consume_enable));
    jw_kbool(w, "consumeFromMinEnable", atomic_load(&g->consume_from_min_enable));
    jw_kbool(w, "consumeMessageOrderly", atomic_load(&g->consume_orderly));
    jw_ki64(w, "consumeTimeoutMinute", atomic_load(&g->consume_timeout_minute));
    jw_kstr(w, "groupName", g->name);
    if (json_get(extras, "groupRetryPolicy")) {
        write_extra(w, extras, "groupRetryPolicy", NULL);
    } else {
        jw_kobject(w, "groupRetryPolicy");
        jw_kstr(w, "type", STR_LIT("CUSTOMIZED"));
        jw_end_object(w);
    }
    jw_ki64(w, "groupSysFlag", atomic_load(&g->sys_flag));
    jw_kbool(w, "notifyConsumerIdsChangedEnable", atomic_load(&g->notify_ids_changed));
    jw_ki64(w, "retryMaxTimes", atomic_load(&g->retry_max_times));
    jw_ki64(w, "retryQueueNums", atomic_load(&g->retry_queue_nums));
    write_extra(w, extras, "subscriptionDataSet", NULL);
    jw_ki64(w, "whichBrokerWhenConsumeSlowly", atomic_load(&g->which_broker_when_slow));
    JSON_EACH(member, extras)
    if (!is_placed(json_text(member->key))) {
        jw_key(w, json_text(member->key));
        jw_node(w, member);
    }
    jw_end_object(w);
    arena_free(&a);
}

bool group_write_json(struct group_manager *m, struct str name, struct jw *w)
{
    pthread_rwlock_rdlock(&m->file.lock);
    struct group_entry *e = group_entry_find(m, name);
    if (e)
        group_write_config(w, e);
    pthread_rwlock_unlock(&m->file.lock);
    return e != NULL;
}

/* Under a lock. */
static void write_members(struct group_manager *m, struct jw *w, size_t from, size_t max)
{
    struct map_slot *sorted = map_sorted(&m->entries);
    size_t at = 0;
    for (size_t i = 0; sorted && i < m->entries.count; i++) {
        const struct group_entry *e = sorted[i].value;
        if (atomic_load(&e->g.deleted))
            continue;
        if (at >= from && at - from < max) {
            jw_key(w, e->g.name);
            group_write_config(w, e);
        }
        at++;
    }
    if (sorted == NULL && m->entries.count)
        w->out->failed = true;
    free(sorted);
}

void group_write_table(struct group_manager *m, struct jw *w, size_t from, size_t max, size_t *total)
{
    pthread_rwlock_rdlock(&m->file.lock);
    write_members(m, w, from, max);
    if (total)
        *total = m->live;
    pthread_rwlock_unlock(&m->file.lock);
}

static void write_forbidden(struct group_manager *m, struct jw *w)
{
    for (struct map_slot *s = NULL; (s = map_next(&m->forbidden, s));) {
        jw_key(w, s->key);
        jw_begin_object(w);
        for (struct map_slot *t = NULL; (t = map_next(s->value, t));) {
            jw_key(w, t->key);
            jw_i64(w, (int64_t)(uintptr_t)t->value);
        }
        jw_end_object(w);
    }
}

void group_write_forbidden(struct group_manager *m, struct jw *w)
{
    pthread_rwlock_rdlock(&m->file.lock);
    write_forbidden(m, w);
    pthread_rwlock_unlock(&m->file.lock);
}

/* ---- the file ---- */

static int take_groups(struct group_manager *m, const struct json *table, struct err *err)
{
    JSON_EACH(member, table)
    {
        struct str name = json_str(member, "groupName");
        if (str_blank(name))
            name = json_text(member->key);
        if (member->kind != JSON_OBJECT || str_blank(name) || name.len > 255) {
            LOG(LOG_WARN, "broker", "%s: '%.*s' is no subscription group, leaving it out", m->file.path,
                STR_ARG(json_text(member->key)));
            continue;
        }
        if (group_entry_set(m, name, member) == NULL)
            return err_set(err, ENOMEM, "out of memory for the groups of %s", m->file.path);
    }
    return 0;
}

static void take_forbidden(struct group_manager *m, const struct json *table)
{
    JSON_EACH(group, table)
    JSON_EACH(topic, group)
    {
        int64_t bits = json_int(topic, 0);
        if (bits > 0)
            group_forbid(m, json_text(group->key), json_text(topic->key), (uintptr_t)bits);
    }
}

static int take_document(void *arg, struct arena *a, const struct json *doc, struct err *err)
{
    struct group_manager *m = arg;
    int r = take_groups(m, json_get(doc, "subscriptionGroupTable"), err);
    take_forbidden(m, json_get(doc, "forbiddenTable"));
    return r;
}

static bool change_again(void *arg, struct arena *a, const struct json *item, struct str deleted)
{
    struct group_manager *m = arg;
    struct group_entry *e = str_is_null(deleted) ? NULL : group_entry_find(m, deleted);
    struct str name = json_str(item, "groupName"), topic = json_str(item, "forbiddenTopic");
    if (e)
        group_entry_delete(m, e);
    if (str_blank(name))
        return true;
    if (topic.len)
        return group_forbid(m, name, topic, (uintptr_t)json_i64(item, "bits", 0));
    return group_entry_set(m, name, item) != NULL;
}

static void write_document(void *arg, struct jw *w)
{
    struct group_manager *m = arg;
    jw_kobject(w, "forbiddenTable");
    write_forbidden(m, w);
    jw_end_object(w);
    jw_kobject(w, "subscriptionGroupTable");
    write_members(m, w, 0, SIZE_MAX);
    jw_end_object(w);
}

const struct config_table_kind group_file = {"groups", "save-groups", write_document, take_document, change_again};

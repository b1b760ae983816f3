/* Finds what commands are about: brokers, topics, groups, queues. */
#include "admin/admin_int.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static int no_memory(struct err *err)
{
    return err_set(err, ENOMEM, "out of memory");
}

const char *admin_option(struct admin *a, const char *name)
{
    const char *value = args_get(&a->args, name);
    return value ? arena_strz(&a->tool.arena, str_trim(str_from(value))) : NULL;
}

bool admin_flag(struct admin *a, const char *name, bool otherwise)
{
    const char *value = admin_option(a, name);
    return value ? str_ieq(str_from(value), STR_LIT("true")) : otherwise;
}

struct rem_frame admin_begin(struct admin *a, int32_t code)
{
    struct rem_frame f;
    sync_begin(a->tool.client, &f, code);
    return f;
}

int admin_call(struct admin *a, const char *address, struct rem_frame *f, struct str body, struct rem_command *answer,
               struct err *err)
{
    struct rem_command unwanted;
    return sync_call_ok(a->tool.client, address, f, body, answer ? answer : &unwanted, err);
}

const struct json *admin_call_json(struct admin *a, const char *address, struct rem_frame *f, struct str body,
                                   struct err *err)
{
    struct rem_command answer;
    return admin_call(a, address, f, body, &answer, err) ? NULL : tool_json(&a->tool, &answer, err);
}

int admin_each_namesrv(struct admin *a, admin_request_fn fn, admin_answer_fn done, const void *arg, struct err *err)
{
    struct str rest = str_from(a->tool.namesrv), one;
    while (str_split(&rest, ';', &one)) {
        struct rem_frame f;
        struct rem_command answer;
        struct str body = STR_NULL;
        const char *address = arena_strz(&a->tool.arena, str_trim(one));
        if (address == NULL)
            return no_memory(err);
        if (*address == '\0')
            continue;
        fn(a, arg, &f, &body);
        if (admin_call(a, address, &f, body, &answer, err))
            return -1;
        if (done)
            done(a, arg, address, &answer);
    }
    return 0;
}

/* ---- brokers -------------------------------------------------------------------------------------------------------
 */

static bool in_cluster(const struct cluster_info *info, struct str cluster, struct str broker_name)
{
    for (size_t i = 0; i < info->cluster_count; i++)
        for (size_t j = 0; str_eq(info->clusters[i].cluster, cluster) && j < info->clusters[i].broker_name_count; j++)
            if (str_eq(info->clusters[i].broker_names[j], broker_name))
                return true;
    return false;
}

static int room_for(struct admin *a, struct admin_targets *out, size_t n, struct err *err)
{
    out->count = 0;
    out->address = arena_calloc(&a->tool.arena, (n + 1) * sizeof *out->address);
    out->name = arena_calloc(&a->tool.arena, (n + 1) * sizeof *out->name);
    return out->address && out->name ? 0 : no_memory(err);
}

static int add_target(struct admin *a, struct admin_targets *out, struct str name, struct str address, struct err *err)
{
    out->name[out->count] = name;
    out->address[out->count] = arena_strz(&a->tool.arena, address);
    return out->address[out->count++] ? 0 : no_memory(err);
}

static int compare_brokers(const void *x, const void *y)
{
    return str_cmp(((const struct broker_data *)x)->broker_name, ((const struct broker_data *)y)->broker_name);
}

int admin_masters(struct admin *a, const char *cluster, struct admin_targets *out, struct err *err)
{
    struct cluster_info info;
    if (tool_cluster(&a->tool, &info, err) || room_for(a, out, info.broker_count, err))
        return -1;
    if (info.broker_count)
        qsort(info.brokers, info.broker_count, sizeof *info.brokers, compare_brokers);
    for (size_t i = 0; i < info.broker_count; i++) {
        struct str master = broker_data_master(&info.brokers[i]);
        if (str_is_null(master) || (cluster && !in_cluster(&info, str_from(cluster), info.brokers[i].broker_name)))
            continue;
        if (add_target(a, out, info.brokers[i].broker_name, master, err))
            return -1;
    }
    if (out->count == 0 && cluster)
        return err_set(err, ENOENT, "cluster %s has no master at %s; clusterList shows what is there", cluster,
                       a->tool.namesrv);
    return out->count ? 0 : err_set(err, ENOENT, "no broker is registered at %s", a->tool.namesrv);
}

int admin_targets(struct admin *a, bool all, struct admin_targets *out, struct err *err)
{
    const char *broker = admin_option(a, "brokerAddr"), *cluster = admin_option(a, "clusterName");
    if (broker)
        return room_for(a, out, 1, err) || add_target(a, out, STR_NULL, str_from(broker), err);
    if (cluster == NULL && !all)
        return err_set(err, EINVAL, "%s needs -b ADDR or -c CLUSTER", a->command);
    return admin_masters(a, cluster, out, err);
}

int admin_topic_brokers(struct admin *a, struct str topic, struct admin_targets *out, struct err *err)
{
    struct topic_route route;
    if (tool_route(&a->tool, topic, &route, err) || room_for(a, out, route.broker_count, err))
        return -1;
    for (size_t i = 0; i < route.broker_count; i++) {
        struct str address = broker_data_select(&route.brokers[i]);
        if (!str_is_null(address) && add_target(a, out, route.brokers[i].broker_name, address, err))
            return -1;
    }
    return 0;
}

/* ---- topics and groups ---------------------------------------------------------------------------------------------
 */

bool admin_is_retry_or_dead(struct str topic)
{
    return str_starts(topic, STR_LIT("%RETRY%")) || str_starts(topic, STR_LIT("%DLQ%"));
}

struct str admin_retry_topic(struct admin *a, const char *group)
{
    const char *text = arena_printf(&a->tool.arena, "%%RETRY%%%s", group);
    return str_from(text ? text : "");
}

static int read_names(struct admin *a, const struct json *list, struct str **names, size_t *count, struct err *err)
{
    *count = 0;
    *names = arena_calloc(&a->tool.arena, ((list ? list->count : 0) + 1) * sizeof **names);
    if (*names == NULL)
        return no_memory(err);
    JSON_EACH(name, list)
    (*names)[(*count)++] = json_text(name);
    return 0;
}

static int compare_names(const void *x, const void *y)
{
    return str_cmp(*(const struct str *)x, *(const struct str *)y);
}

int admin_all_topics(struct admin *a, struct str **topics, size_t *count, struct err *err)
{
    struct rem_frame f = admin_begin(a, REQ_GET_ALL_TOPIC_LIST_FROM_NAMESERVER);
    struct rem_command answer;
    const struct json *json;
    if (tool_ask_namesrv(&a->tool, &f, STR_NULL, &answer, err) || (json = tool_json(&a->tool, &answer, err)) == NULL ||
        read_names(a, json_get(json, "topicList"), topics, count, err))
        return -1;
    if (*count)
        qsort(*topics, *count, sizeof **topics, compare_names);
    return 0;
}

int admin_topic_groups(struct admin *a, struct str topic, struct str **groups, size_t *count, struct err *err)
{
    struct admin_targets brokers;
    if (admin_topic_brokers(a, topic, &brokers, err))
        return -1;
    *groups = NULL;
    *count = 0;
    /* Every broker of the topic knows its consumers: one answer is enough. */
    for (size_t i = 0; i < brokers.count && *count == 0; i++) {
        struct rem_frame f = admin_begin(a, REQ_QUERY_TOPIC_CONSUME_BY_WHO);
        rem_frame_str(&f, "topic", topic);
        const struct json *json = admin_call_json(a, brokers.address[i], &f, STR_NULL, err);
        if (json == NULL || read_names(a, json_get(json, "groupList"), groups, count, err))
            return -1;
    }
    return 0;
}

/* ---- queues as keys of a map ---------------------------------------------------------------------------------------
 */

static int compare_mq(const void *x, const void *y)
{
    const struct admin_mq *p = x, *q = y;
    int order = str_cmp(p->topic, q->topic);
    if (order == 0)
        order = str_cmp(p->broker_name, q->broker_name);
    return order ? order : (p->id > q->id) - (p->id < q->id);
}

void admin_mq_sort(struct admin_mq *q, size_t count)
{
    if (count)
        qsort(q, count, sizeof *q, compare_mq);
}

int admin_mq_table(struct admin *a, const struct json *map, struct admin_mq **out, size_t *count, struct err *err)
{
    *count = 0;
    *out = arena_calloc(&a->tool.arena, ((map ? map->count : 0) + 1) * sizeof **out);
    if (*out == NULL)
        return no_memory(err);
    JSON_EACH(member, map)
    {
        const struct json *key = json_key_object(&a->tool.arena, member);
        if (key == NULL)
            return err_set(err, EPROTO, "a queue in the answer cannot be read");
        (*out)[(*count)++] = (struct admin_mq){json_str(key, "topic"), json_str(key, "brokerName"),
                                               (int32_t)json_i64(key, "queueId", 0), member};
    }
    admin_mq_sort(*out, *count);
    return 0;
}

/* ---- versions ------------------------------------------------------------------------------------------------------
 */

struct str admin_version(struct admin *a, int64_t version)
{
    enum { V4 = 212, V5 = 412, HIGHER = 612, MINOR = 20 };
    const char *text;
    if (version < V4 || version >= HIGHER) {
        text = arena_printf(&a->tool.arena, version < V4 ? "V3 (%lld)" : "HIGHER_VERSION (%lld)", (long long)version);
    } else {
        int major = version >= V5 ? 5 : 4, at = (int)version - (version >= V5 ? V5 : V4);
        text =
            arena_printf(&a->tool.arena, "V%d_%d_%d%s", major, at / MINOR, at % MINOR / 2, at % 2 ? "" : "_SNAPSHOT");
    }
    return str_from(text ? text : "?");
}

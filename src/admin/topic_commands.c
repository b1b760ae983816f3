/* Topics made, changed and removed. */
#include "admin/admin_int.h"
#include "os/fs.h"

#include <errno.h>
#include <stdlib.h>

enum { UNDER_WAY = 128, FILE_MAX = 64 << 20 };

static const char order_namespace[] = "ORDER_TOPIC_CONFIG";

struct topic_change {
    struct topic_config config;
    struct str attributes; /* "+a=b,-c" */
};

static struct rem_frame begin_update(struct admin *a, const struct topic_change *t)
{
    struct rem_frame f = admin_begin(a, REQ_UPDATE_AND_CREATE_TOPIC);
    rem_frame_str(&f, "topic", t->config.name);
    rem_frame_str(&f, "defaultTopic", STR_LIT("TBW102"));
    rem_frame_i64(&f, "readQueueNums", t->config.read_queue_nums);
    rem_frame_i64(&f, "writeQueueNums", t->config.write_queue_nums);
    rem_frame_i64(&f, "perm", t->config.perm);
    rem_frame_str(&f, "topicFilterType", str_from(topic_filter_type_name(t->config.filter_type)));
    rem_frame_i64(&f, "topicSysFlag", t->config.topic_sys_flag);
    rem_frame_bool(&f, "order", t->config.order);
    rem_frame_str(&f, "attributes", t->attributes);
    return f;
}

static const char *perm_text(int32_t perm, char out[4])
{
    out[0] = perm & TOPIC_PERM_READ ? 'R' : '-';
    out[1] = perm & TOPIC_PERM_WRITE ? 'W' : '-';
    out[2] = perm & TOPIC_PERM_INHERIT ? 'X' : '-';
    out[3] = '\0';
    return out;
}

static void print_config(struct admin *a, const struct topic_change *t)
{
    char perm[4];
    output_line(&a->out,
                "TopicConfig [topicName=%.*s, readQueueNums=%d, writeQueueNums=%d, perm=%s, topicFilterType=%s, "
                "topicSysFlag=%d, order=%s, attributes=%.*s]",
                STR_ARG(t->config.name), t->config.read_queue_nums, t->config.write_queue_nums,
                perm_text(t->config.perm, perm), topic_filter_type_name(t->config.filter_type),
                t->config.topic_sys_flag, t->config.order ? "true" : "false", STR_ARG(t->attributes));
}

/* ---- updateTopic ---------------------------------------------------------------------------------------------------
 */

static const struct arg_option update_options[] = {
    OPT_BROKER,
    OPT_CLUSTER,
    OPT_TOPIC,
    {"a", "attributes", "LIST", false, "attributes: +key=value,-key"},
    {"r", "readQueueNums", "N", false, "queues to read (default 8)"},
    {"w", "writeQueueNums", "N", false, "queues to write (default 8)"},
    {"p", "perm", "N", false, "permission: 2 write, 4 read, 6 both (default 6)"},
    {"o", "order", "BOOL", false, "ordered across restarts (default false)"},
    {"u", "unit", "BOOL", false, "unit topic (default false)"},
    {"s", "hasUnitSub", "BOOL", false, "has unit subscriptions (default false)"},
};

/* The order configuration of a topic, in the key-value tables of the name servers; conf NULL: removed. */
struct order_conf {
    struct str topic;
    const char *conf;
};

static void order_conf_request(struct admin *a, const void *arg, struct rem_frame *f, struct str *body)
{
    const struct order_conf *o = arg;
    *f = admin_begin(a, o->conf ? REQ_PUT_KV_CONFIG : REQ_DELETE_KV_CONFIG);
    rem_frame_str(f, "namespace", str_from(order_namespace));
    rem_frame_str(f, "key", o->topic);
    rem_frame_str(f, "value", str_from(o->conf));
}

static struct str name_of_address(struct admin *a, const char *address)
{
    struct cluster_info info;
    struct err ignored;
    if (tool_cluster(&a->tool, &info, &ignored))
        return STR_NULL;
    for (size_t i = 0; i < info.broker_count; i++)
        for (size_t j = 0; j < info.brokers[i].addr_count; j++)
            if (str_eqz(info.brokers[i].addrs[j].addr, address))
                return info.brokers[i].broker_name;
    return STR_NULL;
}

static int set_order(struct admin *a, const struct admin_targets *t, int32_t queues, struct err *err)
{
    struct buf conf = {0};
    for (size_t i = 0; i < t->count; i++) {
        struct str name = str_is_null(t->name[i]) ? name_of_address(a, t->address[i]) : t->name[i];
        buf_printf(&conf, "%s%.*s:%d", i ? ";" : "", STR_ARG(name), queues);
    }
    struct order_conf o = {str_from(admin_option(a, "topic")), arena_strz(&a->tool.arena, buf_str(&conf))};
    buf_free(&conf);
    if (o.conf == NULL)
        return err_set(err, ENOMEM, "out of memory");
    if (admin_each_namesrv(a, order_conf_request, NULL, &o, err))
        return -1;
    output_line(&a->out, "set %s orderConf. isOrder=true, orderConf=[%s]",
                args_has(&a->args, "brokerAddr") ? "broker" : "cluster", o.conf);
    return 0;
}

static int update_topic(struct admin *a, struct err *err)
{
    struct admin_targets targets;
    int64_t read_queues = 8, write_queues = 8, perm = TOPIC_PERM_READ | TOPIC_PERM_WRITE;
    if (args_i64(&a->args, "readQueueNums", 1, 65535, &read_queues, err) ||
        args_i64(&a->args, "writeQueueNums", 1, 65535, &write_queues, err) ||
        args_i64(&a->args, "perm", 0, 15, &perm, err) || admin_targets(a, false, &targets, err))
        return -1;
    struct topic_change t = {.config = TOPIC_CONFIG_DEFAULT(str_from(admin_option(a, "topic"))),
                             .attributes = str_from(admin_option(a, "attributes"))};
    t.config.read_queue_nums = (int32_t)read_queues;
    t.config.write_queue_nums = (int32_t)write_queues;
    t.config.perm = (int32_t)perm;
    t.config.order = admin_flag(a, "order", false);
    t.config.topic_sys_flag = (admin_flag(a, "unit", false) ? TOPIC_FLAG_UNIT : 0) |
                              (admin_flag(a, "hasUnitSub", false) ? TOPIC_FLAG_UNIT_SUB : 0);
    for (size_t i = 0; i < targets.count; i++) {
        struct rem_frame f = begin_update(a, &t);
        if (admin_call(a, targets.address[i], &f, STR_NULL, NULL, err))
            return -1;
        output_line(&a->out, "create topic to %s success.", targets.address[i]);
    }
    if (t.config.order && set_order(a, &targets, t.config.write_queue_nums, err))
        return -1;
    print_config(a, &t);
    return 0;
}

/* ---- updateTopicList -----------------------------------------------------------------------------------------------
 */

static const struct arg_option list_options[] = {
    OPT_BROKER,
    OPT_CLUSTER,
    {"f", "filename", "FILE", true, "JSON list of topic configurations, or a topic a line: NAME [QUEUES [PERM]]"},
};

static int read_json_list(struct admin *a, struct str text, struct topic_change **out, size_t *count, struct err *err)
{
    const struct json *list = json_parse(&a->tool.arena, text, err);
    if (list == NULL)
        return -1;
    if (list->kind == JSON_OBJECT)
        list = json_get(list, "topicConfigList");
    *out = arena_calloc(&a->tool.arena, ((list ? list->count : 0) + 1) * sizeof **out);
    if (*out == NULL)
        return err_set(err, ENOMEM, "out of memory");
    JSON_EACH(item, list)
    {
        struct topic_change *t = &(*out)[(*count)++];
        struct buf text_of = {0};
        if (!topic_config_read(&a->tool.arena, item, &t->config) || t->config.name.len == 0)
            return err_set(err, EINVAL, "topic %zu of the file has no topicName", *count);
        for (size_t i = 0; i < t->config.attribute_count; i++)
            buf_printf(&text_of, "%s+%.*s=%.*s", i ? "," : "", STR_ARG(t->config.attributes[i].key),
                       STR_ARG(t->config.attributes[i].value));
        t->attributes = text_of.len ? arena_str(&a->tool.arena, buf_str(&text_of)) : STR_NULL;
        buf_free(&text_of);
    }
    return 0;
}

static int read_line_list(struct admin *a, struct str text, struct topic_change **out, size_t *count, struct err *err)
{
    size_t lines = 1, number = 0;
    struct str rest = text, line;
    for (size_t i = 0; i < text.len; i++)
        lines += text.ptr[i] == '\n';
    *out = arena_calloc(&a->tool.arena, lines * sizeof **out);
    if (*out == NULL)
        return err_set(err, ENOMEM, "out of memory");
    while (str_split(&rest, '\n', &line)) {
        struct str words = str_trim(line), name, word;
        int32_t queues = 8, perm = TOPIC_PERM_READ | TOPIC_PERM_WRITE;
        number++;
        if (words.len == 0 || words.ptr[0] == '#')
            continue;
        str_split(&words, ' ', &name);
        if ((str_split(&words, ' ', &word) && !str_to_i32(word, &queues)) ||
            (str_split(&words, ' ', &word) && !str_to_i32(word, &perm)))
            return err_set(err, EINVAL, "line %zu of the file is not NAME [QUEUES [PERM]]", number);
        struct topic_change *t = &(*out)[(*count)++];
        t->config = TOPIC_CONFIG_DEFAULT(name);
        t->config.read_queue_nums = t->config.write_queue_nums = queues;
        t->config.perm = perm;
    }
    return 0;
}

static int take_updated(struct admin *a, const char *address, struct err *err)
{
    struct rem_command answer;
    if (sync_take(a->tool.client, address, ADMIN_TIMEOUT_MS, &answer, err))
        return -1;
    return answer.code == RESP_SUCCESS ? 0 : sync_refused(address, &answer, err);
}

/* One request a topic, many under way: the broker need not wait for us, nor we for it. */
static int update_all(struct admin *a, const char *address, const struct topic_change *t, size_t count, struct err *err)
{
    size_t answered = 0;
    int32_t opaque;
    for (size_t i = 0; i < count; i++) {
        struct rem_frame f = begin_update(a, &t[i]);
        if (sync_post(a->tool.client, address, &f, STR_NULL, &opaque, err))
            return -1;
        if (i + 1 - answered < UNDER_WAY)
            continue;
        if (take_updated(a, address, err))
            return -1;
        answered++;
    }
    for (; answered < count; answered++)
        if (take_updated(a, address, err))
            return -1;
    return 0;
}

static int update_topic_list(struct admin *a, struct err *err)
{
    const char *path = args_get(&a->args, "filename");
    struct admin_targets targets;
    struct topic_change *topics = NULL;
    size_t count = 0, len;
    char *text;
    int rc = fs_load(fs_real(), path, FILE_MAX, &text, &len);
    if (rc)
        return err_sys(err, -rc, "cannot read %s", path);
    struct str trimmed = str_trim(str_make(text, len));
    bool json = trimmed.len && (trimmed.ptr[0] == '[' || trimmed.ptr[0] == '{');
    rc = json ? read_json_list(a, trimmed, &topics, &count, err) : read_line_list(a, trimmed, &topics, &count, err);
    if (rc == 0 && count == 0)
        rc = err_set(err, EINVAL, "%s names no topic", path);
    rc = rc ? rc : admin_targets(a, false, &targets, err);
    for (size_t i = 0; rc == 0 && i < targets.count; i++) {
        rc = update_all(a, targets.address[i], topics, count, err);
        if (rc == 0)
            output_line(&a->out, "submit batch of %zu topic config to %s success.", count, targets.address[i]);
    }
    free(text);
    return rc;
}

/* ---- deleteTopic ---------------------------------------------------------------------------------------------------
 */

static const struct arg_option delete_options[] = {
    OPT_TOPIC,
    {"c", "clusterName", "CLUSTER", true, "cluster to delete it from"},
};

struct deleted_topic {
    struct str topic;
    const char *cluster;
};

static void delete_route(struct admin *a, const void *arg, struct rem_frame *f, struct str *body)
{
    const struct deleted_topic *d = arg;
    *f = admin_begin(a, REQ_DELETE_TOPIC_IN_NAMESRV);
    rem_frame_str(f, "topic", d->topic);
    rem_frame_str(f, "clusterName", str_from(d->cluster));
}

int admin_delete_topic(struct admin *a, const char *cluster, struct str topic, struct err *err)
{
    struct admin_targets targets;
    if (admin_masters(a, cluster, &targets, err))
        return -1;
    for (size_t i = 0; i < targets.count; i++) {
        struct rem_frame f = admin_begin(a, REQ_DELETE_TOPIC_IN_BROKER);
        rem_frame_str(&f, "topic", topic);
        if (admin_call(a, targets.address[i], &f, STR_NULL, NULL, err))
            return -1;
    }
    const struct deleted_topic d = {topic, cluster};
    const struct order_conf o = {topic, NULL};
    return admin_each_namesrv(a, delete_route, NULL, &d, err) ||
           admin_each_namesrv(a, order_conf_request, NULL, &o, err);
}

static int delete_topic(struct admin *a, struct err *err)
{
    struct str topic = str_from(admin_option(a, "topic"));
    const char *cluster = admin_option(a, "clusterName");
    if (admin_delete_topic(a, cluster, topic, err))
        return -1;
    output_line(&a->out, "delete topic [%.*s] from cluster [%s] success.", STR_ARG(topic), cluster);
    output_line(&a->out, "delete topic [%.*s] from NameServer success.", STR_ARG(topic));
    return 0;
}

/* ---- updateTopicPerm -----------------------------------------------------------------------------------------------
 */

static const struct arg_option perm_options[] = {
    OPT_BROKER,
    OPT_CLUSTER,
    OPT_TOPIC,
    {"p", "perm", "N", true, "permission: 2 write, 4 read, 6 both"},
};

static int update_perm(struct admin *a, struct err *err)
{
    struct str topic = str_from(admin_option(a, "topic"));
    struct admin_targets targets;
    int64_t perm = 0;
    if (args_i64(&a->args, "perm", 0, 15, &perm, err) || admin_targets(a, false, &targets, err))
        return -1;
    for (size_t i = 0; i < targets.count; i++) {
        struct rem_frame f = admin_begin(a, REQ_GET_TOPIC_CONFIG);
        struct topic_change t = {0};
        rem_frame_str(&f, "topic", topic);
        const struct json *json = admin_call_json(a, targets.address[i], &f, STR_NULL, err);
        if (json == NULL)
            return -1;
        if (!topic_config_read(&a->tool.arena, json, &t.config))
            return err_set(err, EPROTO, "the topic configuration of %s cannot be read", targets.address[i]);
        if (t.config.perm == perm) {
            output_line(&a->out, "new perm equals to the old one!");
            continue;
        }
        int32_t old = t.config.perm;
        t.config.perm = (int32_t)perm;
        f = begin_update(a, &t);
        if (admin_call(a, targets.address[i], &f, STR_NULL, NULL, err))
            return -1;
        output_line(&a->out, "update topic perm from %d to %d in %s success.", old, t.config.perm, targets.address[i]);
        print_config(a, &t);
    }
    return 0;
}

/* ---- updateOrderConf -----------------------------------------------------------------------------------------------
 */

static const struct arg_option order_options[] = {
    OPT_TOPIC,
    {"v", "orderConf", "CONF", false, "for put: broker:queues;broker:queues"},
    {"m", "method", "METHOD", true, "put, get or delete"},
};

static int update_order_conf(struct admin *a, struct err *err)
{
    const char *method = admin_option(a, "method"), *topic = admin_option(a, "topic");
    if (strcmp(method, "get") == 0) {
        struct rem_frame f = admin_begin(a, REQ_GET_KV_CONFIG);
        struct rem_command answer;
        rem_frame_str(&f, "namespace", str_from(order_namespace));
        rem_frame_str(&f, "key", str_from(topic));
        if (tool_ask_namesrv(&a->tool, &f, STR_NULL, &answer, err))
            return -1;
        output_line(&a->out, "get orderConf success. topic=[%s], orderConf=[%.*s]", topic,
                    STR_ARG(rem_ext(&answer, "value")));
        return 0;
    }
    bool put = strcmp(method, "put") == 0;
    if (!put && strcmp(method, "delete") != 0)
        return err_set(err, EINVAL, "-m cannot be \"%s\"; it must be put, get or delete", method);
    if (put != args_has(&a->args, "orderConf"))
        return err_set(err, EINVAL, "-v CONF belongs to -m put, and only there");
    const struct order_conf o = {str_from(topic), put ? args_get(&a->args, "orderConf") : NULL};
    if (admin_each_namesrv(a, order_conf_request, NULL, &o, err))
        return -1;
    if (put)
        output_line(&a->out, "update orderConf success. topic=[%s], orderConf=[%s]", topic,
                    args_get(&a->args, "orderConf"));
    else
        output_line(&a->out, "delete orderConf success. topic=[%s]", topic);
    return 0;
}

static const struct admin_command commands[] = {
    ADMIN_COMMAND("updateTopic", "make a topic or change it", update_options, update_topic),
    ADMIN_COMMAND("updateTopicList", "make or change all topics of a file", list_options, update_topic_list),
    ADMIN_COMMAND("deleteTopic", "delete a topic from a cluster and the name servers", delete_options, delete_topic),
    ADMIN_COMMAND("updateTopicPerm", "change the permission of a topic", perm_options, update_perm),
    ADMIN_COMMAND("updateOrderConf", "put, get or delete the order configuration of a topic", order_options,
                  update_order_conf),
};
const struct admin_table admin_topic_table = {commands, sizeof commands / sizeof commands[0]};

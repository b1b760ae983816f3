/* Subscription groups made, changed and removed. */
#include "admin/admin_int.h"
#include "os/fs.h"

#include <errno.h>
#include <stdlib.h>

enum { FILE_MAX = 64 << 20 };

/* ---- updateSubGroup ------------------------------------------------------------------------------------------------
 */

static const struct arg_option update_options[] = {
    OPT_BROKER,
    OPT_CLUSTER,
    {"g", "groupName", "GROUP", true, "consumer group"},
    {"s", "consumeEnable", "BOOL", false, "may consume (default true)"},
    {"m", "consumeFromMinEnable", "BOOL", false, "may begin at the oldest message (default true)"},
    {"d", "consumeBroadcastEnable", "BOOL", false, "may broadcast (default true)"},
    {"o", "consumeMessageOrderly", "BOOL", false, "consumes in order (default false)"},
    {"q", "retryQueueNums", "N", false, "queues of the retry topic (default 1)"},
    {"r", "retryMaxTimes", "N", false, "tries before the dead-letter topic (default 16)"},
    {"p", "groupRetryPolicy", "JSON", false, "delays between the tries"},
    {"i", "brokerId", "ID", false, "consume from the broker of this id (default 0)"},
    {"w", "whichBrokerWhenConsumeSlowly", "ID", false, "broker for consumers that lag far behind (default 1)"},
    {"a", "notifyConsumerIdsChanged", "BOOL", false, "tell members when others come and go (default true)"},
    {NULL, "attributes", "LIST", false, "attributes: +key=value,-key"},
};

/* "+a=1,-b" as the map that a request carries: {"+a":"1","-b":""}. */
static int write_attributes(struct jw *w, struct str list, struct err *err)
{
    struct str one;
    jw_kobject(w, "attributes");
    while (str_split(&list, ',', &one)) {
        one = str_trim(one);
        const char *equals = one.len ? memchr(one.ptr, '=', one.len) : NULL;
        if (one.len < 2 || (one.ptr[0] != '+' && one.ptr[0] != '-') || (one.ptr[0] == '+') != (equals != NULL))
            return err_set(err, EINVAL, "--attributes %.*s: write +key=value to set and -key to remove", STR_ARG(one));
        size_t name = equals ? (size_t)(equals - one.ptr) : one.len;
        jw_key(w, str_make(one.ptr, name));
        jw_str(w, equals ? str_skip(one, name + 1) : STR_LIT(""));
    }
    jw_end_object(w);
    return 0;
}

static int write_config(struct admin *a, struct buf *out, struct err *err)
{
    struct jw w;
    int64_t retry_queues = 1, retries = 16, broker_id = 0, slow_broker = 1;
    const char *policy = admin_option(a, "groupRetryPolicy"), *attributes = admin_option(a, "attributes");
    if (args_i64(&a->args, "retryQueueNums", 0, 65535, &retry_queues, err) ||
        args_i64(&a->args, "retryMaxTimes", -1, INT32_MAX, &retries, err) ||
        args_i64(&a->args, "brokerId", 0, INT64_MAX, &broker_id, err) ||
        args_i64(&a->args, "whichBrokerWhenConsumeSlowly", 0, INT64_MAX, &slow_broker, err))
        return -1;
    if (policy && json_parse(&a->tool.arena, str_from(policy), err) == NULL)
        return -1;
    jw_init(&w, out);
    jw_begin_object(&w);
    if (attributes && write_attributes(&w, str_from(attributes), err))
        return -1;
    jw_ki64(&w, "brokerId", broker_id);
    jw_kbool(&w, "consumeBroadcastEnable", admin_flag(a, "consumeBroadcastEnable", true));
    jw_kbool(&w, "consumeEnable", admin_flag(a, "consumeEnable", true));
    jw_kbool(&w, "consumeFromMinEnable", admin_flag(a, "consumeFromMinEnable", true));
    jw_kbool(&w, "consumeMessageOrderly", admin_flag(a, "consumeMessageOrderly", false));
    jw_ki64(&w, "consumeTimeoutMinute", 15);
    jw_kstr(&w, "groupName", str_from(admin_option(a, "groupName")));
    if (policy) {
        jw_key(&w, STR_LIT("groupRetryPolicy"));
        jw_raw(&w, str_from(policy));
    }
    jw_ki64(&w, "groupSysFlag", 0);
    jw_kbool(&w, "notifyConsumerIdsChangedEnable", admin_flag(a, "notifyConsumerIdsChanged", true));
    jw_ki64(&w, "retryMaxTimes", retries);
    jw_ki64(&w, "retryQueueNums", retry_queues);
    jw_ki64(&w, "whichBrokerWhenConsumeSlowly", slow_broker);
    jw_end_object(&w);
    return buf_ok(out) ? 0 : err_set(err, ENOMEM, "out of memory");
}

static int update_group(struct admin *a, struct err *err)
{
    struct admin_targets targets;
    struct buf body = {0};
    int rc = admin_targets(a, false, &targets, err) || write_config(a, &body, err) ? -1 : 0;
    for (size_t i = 0; rc == 0 && i < targets.count; i++) {
        struct rem_frame f = admin_begin(a, REQ_UPDATE_AND_CREATE_SUBSCRIPTIONGROUP);
        rc = admin_call(a, targets.address[i], &f, buf_str(&body), NULL, err);
        if (rc == 0)
            output_line(&a->out, "create subscription group to %s success.", targets.address[i]);
    }
    if (rc == 0)
        output_raw(&a->out, "subscriptionGroupConfig", buf_str(&body));
    buf_free(&body);
    return rc;
}

/* ---- updateSubGroupList --------------------------------------------------------------------------------------------
 */

static const struct arg_option list_options[] = {
    OPT_BROKER,
    OPT_CLUSTER,
    {"f", "filename", "FILE", true, "JSON list of subscription group configurations"},
};

static int update_group_list(struct admin *a, struct err *err)
{
    const char *path = args_get(&a->args, "filename");
    struct admin_targets targets;
    struct buf body = {0};
    char *text;
    size_t len;
    if (admin_targets(a, false, &targets, err))
        return -1;
    int rc = fs_load(fs_real(), path, FILE_MAX, &text, &len);
    if (rc)
        return err_sys(err, -rc, "cannot read %s", path);
    const struct json *list = json_parse(&a->tool.arena, str_trim(str_make(text, len)), err);
    if (list == NULL)
        rc = -1;
    else if (list->kind == JSON_OBJECT)
        buf_add_str(&body, list->text);
    else
        buf_printf(&body, "{\"groupConfigList\":%.*s}", STR_ARG(list->text));
    for (size_t i = 0; rc == 0 && i < targets.count; i++) {
        struct rem_frame f = admin_begin(a, REQ_UPDATE_AND_CREATE_SUBSCRIPTIONGROUP_LIST);
        rc = admin_call(a, targets.address[i], &f, buf_str(&body), NULL, err);
        if (rc == 0)
            output_line(&a->out, "submit batch of group config to %s success.", targets.address[i]);
    }
    buf_free(&body);
    free(text);
    return rc;
}

/* ---- deleteSubGroup ------------------------------------------------------------------------------------------------
 */

static const struct arg_option delete_options[] = {
    OPT_BROKER,
    OPT_CLUSTER,
    {"g", "groupName", "GROUP", true, "consumer group"},
    {"r", "removeOffset", "BOOL", false, "forget its offsets too (default false)"},
};

static int delete_group(struct admin *a, struct err *err)
{
    const char *group = admin_option(a, "groupName"), *cluster = admin_option(a, "clusterName");
    struct admin_targets targets;
    if (admin_targets(a, false, &targets, err))
        return -1;
    for (size_t i = 0; i < targets.count; i++) {
        struct rem_frame f = admin_begin(a, REQ_DELETE_SUBSCRIPTIONGROUP);
        rem_frame_str(&f, "groupName", str_from(group));
        rem_frame_bool(&f, "cleanOffset", admin_flag(a, "removeOffset", false));
        if (admin_call(a, targets.address[i], &f, STR_NULL, NULL, err))
            return -1;
        output_line(&a->out, "delete subscription group [%s] from broker [%s]%s%s%s success.", group,
                    targets.address[i], cluster ? " in cluster [" : "", cluster ? cluster : "", cluster ? "]" : "");
    }
    /* The retry and dead-letter topics of a group go with it when it leaves a whole cluster. */
    if (cluster == NULL || args_has(&a->args, "brokerAddr"))
        return 0;
    const char *dead = arena_printf(&a->tool.arena, "%%DLQ%%%s", group);
    return admin_delete_topic(a, cluster, admin_retry_topic(a, group), err) ||
           admin_delete_topic(a, cluster, str_from(dead), err);
}

/* ---- setConsumeMode ------------------------------------------------------------------------------------------------
 */

static const struct arg_option mode_options[] = {
    OPT_BROKER,
    OPT_CLUSTER,
    {"t", "topicName", "TOPIC", true, "topic"},
    {"g", "groupName", "GROUP", true, "consumer group"},
    {"m", "mode", "MODE", true, "PULL or POP"},
    {"q", "popShareQueueNum", "N", false, "for POP: consumers that share a queue (default 0: all)"},
};

static int set_consume_mode(struct admin *a, struct err *err)
{
    const char *topic = admin_option(a, "topicName"), *group = admin_option(a, "groupName"),
               *mode = admin_option(a, "mode");
    struct admin_targets targets;
    struct buf body = {0};
    struct jw w;
    int64_t share = 0;
    if (strcmp(mode, "PULL") != 0 && strcmp(mode, "POP") != 0)
        return err_set(err, EINVAL, "-m cannot be \"%s\"; it must be PULL or POP", mode);
    if (args_i64(&a->args, "popShareQueueNum", -1, 65535, &share, err) || admin_targets(a, false, &targets, err))
        return -1;
    jw_init(&w, &body);
    jw_begin_object(&w);
    jw_kstr(&w, "consumerGroup", str_from(group));
    jw_kstr(&w, "mode", str_from(mode));
    jw_ki64(&w, "popShareQueueNum", share);
    jw_kstr(&w, "topic", str_from(topic));
    jw_end_object(&w);
    int rc = buf_ok(&body) ? 0 : err_set(err, ENOMEM, "out of memory");
    for (size_t i = 0; rc == 0 && i < targets.count; i++) {
        struct rem_frame f = admin_begin(a, REQ_SET_MESSAGE_REQUEST_MODE);
        rc = admin_call(a, targets.address[i], &f, buf_str(&body), NULL, err);
        if (rc == 0)
            output_line(&a->out, "set consume mode to %s success.", targets.address[i]);
    }
    if (rc == 0)
        output_line(&a->out, "topic[%s] group[%s] consume mode[%s] popShareQueueNum[%lld]", topic, group, mode,
                    (long long)share);
    buf_free(&body);
    return rc;
}

/* ---- getConsumerConfig ---------------------------------------------------------------------------------------------
 */

static const struct arg_option config_options[] = {{"g", "groupName", "GROUP", true, "consumer group"}};

static int get_consumer_config(struct admin *a, struct err *err)
{
    static const struct column columns[] = {
        {"#Broker Name", "brokerName", -32}, {"#Key", "key", -40}, {"#Value", "value", -20}};
    struct admin_targets brokers;
    if (admin_masters(a, NULL, &brokers, err))
        return -1;
    output_table(&a->out, "configs", columns, 3);
    for (size_t i = 0; i < brokers.count; i++) {
        struct rem_frame f = admin_begin(a, REQ_GET_SUBSCRIPTIONGROUP_CONFIG);
        rem_frame_str(&f, "group", str_from(admin_option(a, "groupName")));
        const struct json *config = admin_call_json(a, brokers.address[i], &f, STR_NULL, err);
        if (config == NULL)
            return -1;
        JSON_EACH(member, config)
        {
            output_cell(&a->out, brokers.name[i]);
            output_cell(&a->out, json_text(member->key));
            output_cell(&a->out, member->kind >= JSON_ARRAY ? member->text : json_text(member));
        }
    }
    output_table_end(&a->out);
    return 0;
}

static const struct admin_command commands[] = {
    ADMIN_COMMAND("updateSubGroup", "make a subscription group or change it", update_options, update_group),
    ADMIN_COMMAND("updateSubGroupList", "make or change all groups of a file", list_options, update_group_list),
    ADMIN_COMMAND("deleteSubGroup", "delete a subscription group", delete_options, delete_group),
    ADMIN_COMMAND("setConsumeMode", "how a group takes the messages of a topic: PULL or POP", mode_options,
                  set_consume_mode),
    ADMIN_COMMAND("getConsumerConfig", "configuration of a subscription group on each broker", config_options,
                  get_consumer_config),
};
const struct admin_table admin_group_table = {commands, sizeof commands / sizeof commands[0]};

/* Subscription groups by administrators: 200, 201, 207, 225, 352, 353. */
#include "broker/admin/admin_int.h"

#include "remoting/headers_admin.h"

enum { PAGE_MAX = 2000 /* splitMetadataSize */ };

/* False: refused, answered. */
static bool name_allowed(struct rem_request *rq, struct str name)
{
    const char *why = name_illegal(name, GROUP_NAME_MAX);
    if (why)
        rem_reply(rq, RESP_INVALID_PARAMETER, "The specified group %s [%.*s]", why, STR_ARG(name));
    return why == NULL;
}

static void create_group(struct rem_request *rq, const void *header)
{
    struct err err;
    const struct json *config = broker_admin_body(rq);
    if (config == NULL || !name_allowed(rq, json_str(config, "groupName")))
        return;
    if (group_put_json(broker_of(rq)->groups, config, &err))
        broker_admin_changed(rq);
    else
        rem_reply(rq, RESP_SYSTEM_ERROR, "%s", err.text);
}

static void create_groups(struct rem_request *rq, const void *header)
{
    struct err err;
    const struct json *body = broker_admin_body(rq);
    const struct json *list = body ? json_get(body, "groupConfigList") : NULL;
    if (body == NULL)
        return;
    JSON_EACH(config, list)
    {
        if (!name_allowed(rq, json_str(config, "groupName")))
            return;
    }
    JSON_EACH(config, list)
    {
        if (!group_put_json(broker_of(rq)->groups, config, &err)) {
            rem_reply(rq, RESP_SYSTEM_ERROR, "%s", err.text);
            return;
        }
    }
    broker_admin_changed(rq);
}

static void delete_group(struct rem_request *rq, const void *header)
{
    const struct delete_group_req *h = header;
    struct broker *b = broker_of(rq);
    group_delete(b->groups, h->group_name);
    if (h->clean_offset)
        offset_delete_group(b->offsets, h->group_name);
    stats_forget(b->stats, h->group_name);
    broker_admin_deleted(rq);
}

static void write_all(struct broker *b, struct jw *w, size_t from, size_t max, size_t *total)
{
    struct data_version version = group_version(b->groups);
    jw_begin_object(w);
    jw_key(w, STR_LIT("dataVersion"));
    data_version_write(w, &version);
    jw_kobject(w, "forbiddenTable");
    group_write_forbidden(b->groups, w);
    jw_end_object(w);
    jw_kobject(w, "subscriptionGroupTable");
    group_write_table(b->groups, w, from, max, total);
    jw_end_object(w);
    jw_end_object(w);
}

static void all_group_config(struct rem_request *rq, const void *header)
{
    const struct all_group_config_req *h = header;
    struct broker *b = broker_of(rq);
    struct buf body = {0};
    struct jw w;
    size_t from = 0, max = SIZE_MAX, total = 0;
    if (h->seq >= 0 || h->max >= 0 || !str_is_null(h->data_version)) {
        struct data_version asked, now = group_version(b->groups);
        bool going_on = h->seq > 0 && !str_blank(h->data_version) &&
                        data_version_read(json_parse(rem_arena(rq), h->data_version, NULL), &asked) &&
                        data_version_eq(&asked, &now);
        from = going_on ? (size_t)h->seq : 0;
        max = h->max >= 0 && h->max < PAGE_MAX ? (size_t)h->max : PAGE_MAX;
    }
    jw_init(&w, &body);
    write_all(b, &w, from, max, &total);
    struct rem_frame f;
    rem_reply_begin(rq, &f, buf_ok(&body) ? RESP_SUCCESS : RESP_SYSTEM_ERROR);
    rem_frame_i64(&f, "totalGroupNum", (int64_t)total);
    rem_reply_end(rq, &f, buf_ok(&body) ? STR_NULL : STR_LIT("out of memory for the groups"), buf_str(&body));
    buf_free(&body);
}

static void get_group(struct rem_request *rq, const void *header)
{
    const struct group_req *h = header;
    struct broker *b = broker_of(rq);
    struct buf body = {0};
    struct jw w;
    jw_init(&w, &body);
    if (group_find(b->groups, h->group) && group_write_json(b->groups, h->group, &w))
        broker_admin_reply_json(rq, &body);
    else
        rem_reply(rq, RESP_SUBSCRIPTION_GROUP_NOT_EXIST, "No group in this broker");
    buf_free(&body);
}

static void group_forbidden_rq(struct rem_request *rq, const void *header)
{
    const struct group_forbidden_req *h = header;
    struct broker *b = broker_of(rq);
    struct buf body = {0};
    struct jw w;
    if (!str_is_null(h->readable))
        group_set_forbidden(b->groups, h->group, h->topic, !str_ieq(h->readable, STR_LIT("true")));
    jw_init(&w, &body);
    jw_begin_object(&w);
    jw_kstr(&w, "group", h->group);
    jw_kbool(&w, "readable", !group_forbidden(b->groups, h->group, h->topic));
    jw_kstr(&w, "topic", h->topic);
    jw_end_object(&w);
    broker_admin_reply_json(rq, &body);
}

static const struct rem_op rows[] = {
    {REQ_UPDATE_AND_CREATE_SUBSCRIPTIONGROUP, "UPDATE_AND_CREATE_SUBSCRIPTIONGROUP", NULL, create_group,
     REM_LANE_WORKER, REM_ACT_CREATE, REM_RES_GROUP},
    {REQ_GET_ALL_SUBSCRIPTIONGROUP_CONFIG, "GET_ALL_SUBSCRIPTIONGROUP_CONFIG", &all_group_config_req_schema,
     all_group_config, REM_LANE_WORKER, REM_ACT_LIST, REM_RES_GROUP},
    {REQ_DELETE_SUBSCRIPTIONGROUP, "DELETE_SUBSCRIPTIONGROUP", &delete_group_req_schema, delete_group, REM_LANE_WORKER,
     REM_ACT_DELETE, REM_RES_GROUP},
    {REQ_UPDATE_AND_CREATE_SUBSCRIPTIONGROUP_LIST, "UPDATE_AND_CREATE_SUBSCRIPTIONGROUP_LIST", NULL, create_groups,
     REM_LANE_WORKER, REM_ACT_CREATE, REM_RES_GROUP},
    {REQ_GET_SUBSCRIPTIONGROUP_CONFIG, "GET_SUBSCRIPTIONGROUP_CONFIG", &group_req_schema, get_group, REM_LANE_WORKER,
     REM_ACT_GET, REM_RES_GROUP},
    {REQ_UPDATE_AND_GET_GROUP_FORBIDDEN, "UPDATE_AND_GET_GROUP_FORBIDDEN", &group_forbidden_req_schema,
     group_forbidden_rq, REM_LANE_WORKER, REM_ACT_UPDATE, REM_RES_GROUP},
};

const struct broker_ops broker_admin_group_ops = {rows, sizeof rows / sizeof rows[0]};

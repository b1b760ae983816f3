/* Requests about the key-value table and the name server's own configuration. */
#include "base/properties.h"
#include "namesrv/namesrv_int.h"
#include "namesrv/saved_file.h"
#include "remoting/headers_namesrv.h"
#include <errno.h>

/* ---- key-value table ---- */

static struct str shown(struct str s)
{
    return str_is_null(s) ? STR_LIT("null") : s;
}

/* Routes carry the order configuration, so answers made before the change are dropped. */
static void order_changed(struct namesrv *ns, struct str kv_namespace)
{
    if (!str_eq(kv_namespace, KV_NAMESPACE_ORDER))
        return;
    routes_change_begin(ns->routes);
    routes_change_end(ns->routes);
}

static void reply_saved(struct rem_request *rq, int rc, const struct err *err)
{
    if (rc == 0)
        rem_reply(rq, RESP_SUCCESS, NULL);
    else
        rem_reply(rq, RESP_SYSTEM_ERROR, "%s", err->text);
}

static void put_kv(struct rem_request *rq, const void *header)
{
    const struct kv_config_req *h = header;
    struct namesrv *ns = rem_role(rq);
    struct err err = {0};
    if (str_is_null(h->kv_namespace) || str_is_null(h->key)) {
        rem_reply(rq, RESP_SYSTEM_ERROR, "namespace or key is null");
        return;
    }
    int rc = kv_config_put(ns->kv, h->kv_namespace, h->key, h->value, &err);
    order_changed(ns, h->kv_namespace);
    reply_saved(rq, rc, &err);
}

static void get_kv(struct rem_request *rq, const void *header)
{
    const struct kv_config_req *h = header;
    struct namesrv *ns = rem_role(rq);
    struct kv_config_resp answer = {kv_config_get(ns->kv, rem_arena(rq), h->kv_namespace, h->key)};
    if (str_is_null(answer.value))
        rem_reply(rq, RESP_QUERY_NOT_FOUND, "No config item, Namespace: %.*s Key: %.*s",
                  STR_ARG(shown(h->kv_namespace)), STR_ARG(shown(h->key)));
    else
        rem_reply_header(rq, &kv_config_resp_schema, &answer, STR_NULL);
}

static void delete_kv(struct rem_request *rq, const void *header)
{
    const struct kv_config_req *h = header;
    struct namesrv *ns = rem_role(rq);
    struct err err = {0};
    int rc = kv_config_delete(ns->kv, h->kv_namespace, h->key, &err);
    order_changed(ns, h->kv_namespace);
    reply_saved(rq, rc, &err);
}

static void list_kv(struct rem_request *rq, const void *header)
{
    const struct kv_config_req *h = header;
    struct namesrv *ns = rem_role(rq);
    struct buf out = {0};
    if (kv_config_list(ns->kv, h->kv_namespace, &out))
        ns_reply_buf(rq, &out);
    else
        rem_reply(rq, RESP_QUERY_NOT_FOUND, "No config item, Namespace: %.*s", STR_ARG(shown(h->kv_namespace)));
}

/* ---- configuration ---- */

static void get_config(struct rem_request *rq, const void *header)
{
    struct namesrv *ns = rem_role(rq);
    struct buf out = {0};
    routes_look_begin(ns->routes);
    conf_print(&namesrv_conf_table, &ns->conf, &out);
    routes_look_end(ns->routes);
    ns_reply_buf(rq, &out);
}

static bool is_black_listed(const struct namesrv *ns, struct str key)
{
    static const char *const always[] = {"configBlackList", "configStorePath", "kvConfigPath", "rocketmqHome"};
    struct str rest = str_from(ns->conf.configBlackList), name;
    for (size_t i = 0; i < sizeof always / sizeof always[0]; i++)
        if (str_eqz(key, always[i]))
            return true;
    while (str_split(&rest, ';', &name))
        if (str_eq(key, name))
            return true;
    return false;
}

/* All values are good, or none is taken. Keys of other programs are passed over. */
static int check_values(const struct properties *p, struct err *err)
{
    struct namesrv_conf scratch = {0};
    int rc = conf_defaults(&namesrv_conf_table, &scratch, err);
    for (size_t i = 0; rc == 0 && i < p->count; i++)
        if (conf_find(&namesrv_conf_table, p->items[i].key))
            rc = conf_set(&namesrv_conf_table, &scratch, p->items[i].key, p->items[i].value, err);
    namesrv_conf_free(&scratch);
    return rc;
}

static int set_values(struct namesrv *ns, const struct properties *p, struct err *err)
{
    struct buf content = {0};
    int rc = 0;
    routes_change_begin(ns->routes);
    for (size_t i = 0; i < p->count && rc == 0; i++)
        if (conf_find(&namesrv_conf_table, p->items[i].key))
            rc = conf_set(&namesrv_conf_table, &ns->conf, p->items[i].key, p->items[i].value, err);
    conf_print(&namesrv_conf_table, &ns->conf, &content);
    routes_change_end(ns->routes);
    if (rc == 0 && !buf_ok(&content))
        rc = err_set(err, ENOMEM, "out of memory while saving the configuration");
    if (rc == 0)
        rc = saved_file_write(ns->conf.configStorePath, buf_str(&content), err);
    buf_free(&content);
    return rc;
}

static void update_config(struct rem_request *rq, const void *header)
{
    struct namesrv *ns = rem_role(rq);
    struct properties p;
    struct err err = {0};
    if (rem_body(rq).len == 0) {
        rem_reply(rq, RESP_SUCCESS, NULL);
        return;
    }
    if (properties_parse(rem_arena(rq), rem_body(rq), &p, &err) < 0) {
        rem_reply(rq, RESP_SYSTEM_ERROR, "string2Properties error");
        return;
    }
    for (size_t i = 0; i < p.count; i++) {
        if (is_black_listed(ns, p.items[i].key)) {
            rem_reply(rq, RESP_NO_PERMISSION, "Can not update config in black list.");
            return;
        }
    }
    int rc = check_values(&p, &err);
    if (rc == 0)
        rc = set_values(ns, &p, &err);
    reply_saved(rq, rc, &err);
}

#define LOOP   REM_LANE_LOOP
#define WORKER REM_LANE_WORKER

const struct rem_op ns_admin_ops[] = {
    {REQ_PUT_KV_CONFIG, "PUT_KV_CONFIG", &kv_config_req_schema, put_kv, WORKER, REM_ACT_UPDATE, REM_RES_CLUSTER},
    {REQ_GET_KV_CONFIG, "GET_KV_CONFIG", &kv_config_req_schema, get_kv, LOOP, REM_ACT_GET, REM_RES_CLUSTER},
    {REQ_DELETE_KV_CONFIG, "DELETE_KV_CONFIG", &kv_config_req_schema, delete_kv, WORKER, REM_ACT_UPDATE,
     REM_RES_CLUSTER},
    {REQ_GET_KVLIST_BY_NAMESPACE, "GET_KVLIST_BY_NAMESPACE", &kv_config_req_schema, list_kv, LOOP, REM_ACT_GET,
     REM_RES_CLUSTER},
    {REQ_UPDATE_NAMESRV_CONFIG, "UPDATE_NAMESRV_CONFIG", NULL, update_config, WORKER, REM_ACT_UPDATE, REM_RES_CLUSTER},
    {REQ_GET_NAMESRV_CONFIG, "GET_NAMESRV_CONFIG", NULL, get_config, WORKER, REM_ACT_GET, REM_RES_CLUSTER},
};
const size_t ns_admin_op_count = sizeof ns_admin_ops / sizeof ns_admin_ops[0];

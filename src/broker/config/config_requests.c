/* The configuration by administrators: 25 changes keys and the file they come from, 26 prints all. */
#include "broker/admin/admin_int.h"

#include "base/log.h"
#include "base/properties.h"
#include "broker/config/properties_edit.h"
#include "os/clock.h"
#include "os/fs.h"
#include "remoting/headers_admin.h"
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

enum { FILE_MAX = 16 * 1024 * 1024 };

/* One change at a time, and no reader beside it. A process has one broker's configuration. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct data_version changes;

static bool is_black(const struct broker *b, struct str key)
{
    static const char *const always[] = {"configBlackList", "brokerConfigPath", "configStorePath", "rocketmqHome"};
    struct str rest = str_from(b->conf->config_black_list), piece;
    for (size_t i = 0; i < sizeof always / sizeof always[0]; i++)
        if (str_eqz(key, always[i]))
            return true;
    while (!str_is_null(rest) && str_split(&rest, ';', &piece))
        if (str_eq(str_trim(piece), key))
            return true;
    return false;
}

/* Tries the value on a configuration of its own. Keys that only Java knows are taken without effect. */
static int check_value(const struct property *p, struct err *err)
{
    const struct conf_table *t = &broker_conf_table;
    struct broker_conf broker = {0};
    struct store_conf store = {0};
    void *scratch = &broker;
    if (conf_find(t, p->key) == NULL && conf_find(store_conf_table(), p->key)) {
        t = store_conf_table();
        scratch = &store;
    }
    if (conf_find(t, p->key) == NULL && broker_conf_without_effect(p->key))
        return 0;
    int rc = conf_set(t, scratch, p->key, p->value, err);
    conf_free(t, scratch);
    return rc;
}

/* Strings are read without a lock all over the broker, so they change with the next start only. */
static bool may_change_now(const struct conf_key *k)
{
    return k->live && k->type != CONF_STR;
}

static bool apply(struct broker *b, const struct property *p, struct err *err)
{
    const struct conf_key *k = conf_find(&broker_conf_table, p->key);
    const struct conf_key *s = conf_find(store_conf_table(), p->key);
    bool now = false;
    if (k && may_change_now(k))
        now = conf_set(&broker_conf_table, b->conf, p->key, p->value, err) == 0;
    if (s && s->live)
        now = store_update_conf(b->store, p->key, p->value, err) == 0 &&
              conf_set(store_conf_table(), b->store_conf, p->key, p->value, err) == 0;
    return now;
}

static void take_effect(struct broker *b, const struct properties *p)
{
    if (!str_is_null(properties_get(p, STR_LIT("autoCreateTopicEnable"))))
        topic_set_auto_create(b->topics, b->conf->auto_create_topic);
    if (!str_is_null(properties_get(p, STR_LIT("autoCreateSubscriptionGroup"))))
        group_set_auto_create(b->groups, b->conf->auto_create_group);
    if (!str_is_null(properties_get(p, STR_LIT("enableCreateSysGroup"))))
        group_set_auto_create_system(b->groups, b->conf->auto_create_system_group);
    if (!str_is_null(properties_get(p, STR_LIT("brokerPermission")))) {
        /* Routes carry the permission: name servers must hear of it now, and believe it. */
        topic_version_next(b->topics);
        registration_all_soon(b->registration);
    }
}

static int persist(const struct broker *b, struct arena *arena, const struct properties *p, struct err *err)
{
    char *text = NULL;
    size_t len = 0;
    struct buf edited = {0};
    if (b->config_path == NULL)
        return 0;
    int rc = fs_load(fs_real(), b->config_path, FILE_MAX, &text, &len);
    if (rc < 0 && rc != -ENOENT)
        return err_sys(err, -rc, "cannot read the configuration file %s", b->config_path);
    properties_edit(arena, str_make(text ? text : "", len), p, &edited);
    rc = buf_ok(&edited) ? fs_replace(fs_real(), b->config_path, edited.data, edited.len) : -ENOMEM;
    free(text);
    buf_free(&edited);
    return rc < 0 ? err_sys(err, -rc, "the configuration is changed, but cannot be written to %s", b->config_path) : 0;
}

static void update(struct rem_request *rq, const struct properties *p)
{
    struct broker *b = broker_of(rq);
    struct err err;
    bool all_now = true;
    for (size_t i = 0; i < p->count; i++) {
        if (check_value(&p->items[i], &err) < 0) {
            rem_reply(rq, RESP_SYSTEM_ERROR, "%s", err.text);
            return;
        }
    }
    for (size_t i = 0; i < p->count; i++) {
        all_now &= apply(b, &p->items[i], &err);
        LOG(LOG_INFO, "broker", "an administrator set %.*s=%.*s", STR_ARG(p->items[i].key), STR_ARG(p->items[i].value));
    }
    data_version_next(&changes, 0, clock_wall_ms());
    take_effect(b, p);
    if (persist(b, rem_arena(rq), p, &err) < 0)
        rem_reply(rq, RESP_SYSTEM_ERROR, "%s", err.text);
    else if (b->config_path == NULL)
        rem_reply(rq, RESP_SUCCESS,
                  all_now ? NULL : "no configuration file was given with -c: nothing is kept for the next start");
    else
        rem_reply(rq, RESP_SUCCESS,
                  all_now ? NULL : "written to the configuration file; takes effect with the next start");
}

void broker_admin_update_config(struct rem_request *rq, const void *header)
{
    struct broker *b = broker_of(rq);
    struct properties p;
    struct err err;
    if (properties_parse(rem_arena(rq), rem_body(rq), &p, &err) < 0) {
        rem_reply(rq, RESP_SYSTEM_ERROR, "string2Properties error: %s", err.text);
        return;
    }
    for (size_t i = 0; i < p.count; i++) {
        if (is_black(b, p.items[i].key)) {
            rem_reply(rq, RESP_NO_PERMISSION, "Can not update config in black list.");
            return;
        }
    }
    pthread_mutex_lock(&lock);
    update(rq, &p);
    pthread_mutex_unlock(&lock);
}

/* Some keys stand in both tables. */
static void print_store_keys(const struct store_conf *c, struct buf *out)
{
    const struct conf_table *t = store_conf_table();
    for (size_t i = 0; i < t->count; i++) {
        const struct conf_key *k = &t->keys[i];
        size_t before = out->len;
        if (conf_find(&broker_conf_table, str_from(k->name)))
            continue;
        buf_printf(out, "%s=", k->name);
        size_t value = out->len;
        conf_print_value(k, c, out);
        if (k->type == CONF_STR && out->len == value)
            out->len = before;
        else
            buf_add_byte(out, '\n');
    }
}

void broker_admin_get_config(struct rem_request *rq, const void *header)
{
    struct broker *b = broker_of(rq);
    struct buf body = {0}, version = {0};
    struct jw w;
    struct rem_frame f;
    pthread_mutex_lock(&lock);
    if (changes.timestamp == 0)
        changes.timestamp = b->start_time;
    conf_print(&broker_conf_table, b->conf, &body);
    print_store_keys(b->store_conf, &body);
    jw_init(&w, &version);
    data_version_write(&w, &changes);
    pthread_mutex_unlock(&lock);
    rem_reply_begin(rq, &f, RESP_SUCCESS);
    rem_frame_str(&f, "version", buf_str(&version));
    rem_reply_end(rq, &f, STR_NULL, buf_str(&body));
    buf_free(&body);
    buf_free(&version);
}

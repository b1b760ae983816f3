/* Configuration of brokers and name servers, the key-value table, write permission of brokers. */
#include "admin/admin_int.h"
#include "base/properties.h"

#include <errno.h>
#include <stdlib.h>

static int compare_properties(const void *x, const void *y)
{
    return str_cmp(((const struct property *)x)->key, ((const struct property *)y)->key);
}

static const struct column config_columns[] = {{"#Addr", "addr", -24}, {"#Key", "key", -50}, {"#Value", "value", -20}};

/* key=value text: for people under a headline, for programs as rows. */
static int print_properties(struct admin *a, const char *headline, const char *address, struct str text,
                            struct err *err)
{
    struct properties p;
    struct err why;
    if (properties_parse(&a->tool.arena, text, &p, &why))
        return err_set(err, EPROTO, "the configuration of %s cannot be read: %s", address, why.text);
    if (p.count)
        qsort(p.items, p.count, sizeof *p.items, compare_properties);
    output_text(&a->out, "============%s%s============\n", headline, address);
    for (size_t i = 0; i < p.count; i++) {
        if (a->out.json) {
            output_cell(&a->out, str_from(address));
            output_cell(&a->out, p.items[i].key);
            output_cell(&a->out, p.items[i].value);
        } else {
            output_text(&a->out, "%-50.*s=  %.*s\n", STR_ARG(p.items[i].key), STR_ARG(p.items[i].value));
        }
    }
    output_text(&a->out, "\n");
    return 0;
}

/* ---- brokers -------------------------------------------------------------------------------------------------------
 */

static const struct arg_option get_options[] = {OPT_BROKER, OPT_CLUSTER};

static int get_broker_config(struct admin *a, struct err *err)
{
    struct admin_targets targets;
    if (admin_targets(a, false, &targets, err))
        return -1;
    if (a->out.json)
        output_table(&a->out, "config", config_columns, 3);
    for (size_t i = 0; i < targets.count; i++) {
        struct rem_frame f = admin_begin(a, REQ_GET_BROKER_CONFIG);
        struct rem_command answer;
        if (admin_call(a, targets.address[i], &f, STR_NULL, &answer, err) ||
            print_properties(a, args_has(&a->args, "brokerAddr") ? "" : "Master: ", targets.address[i], answer.body,
                             err))
            return -1;
    }
    if (a->out.json)
        output_table_end(&a->out);
    return 0;
}

static const struct arg_option update_options[] = {
    OPT_BROKER,
    OPT_CLUSTER,
    {"a", "updateAllBroker", "BOOL", false, "accepted as mqadmin's; -c means all masters"},
    {"k", "key", "KEY", true, "configuration key"},
    {"v", "value", "VALUE", true, "its new value"},
};

static struct str pair_text(struct admin *a)
{
    const char *text = arena_printf(&a->tool.arena, "%s=%s\n", admin_option(a, "key"), args_get(&a->args, "value"));
    return str_from(text ? text : "");
}

static int update_broker_config(struct admin *a, struct err *err)
{
    struct admin_targets targets;
    if (admin_targets(a, false, &targets, err))
        return -1;
    for (size_t i = 0; i < targets.count; i++) {
        struct rem_frame f = admin_begin(a, REQ_UPDATE_BROKER_CONFIG);
        if (admin_call(a, targets.address[i], &f, pair_text(a), NULL, err))
            return -1;
        output_line(&a->out, "update broker config success, %s", targets.address[i]);
    }
    return 0;
}

/* ---- name servers --------------------------------------------------------------------------------------------------
 */

static void get_request(struct admin *a, const void *arg, struct rem_frame *f, struct str *body)
{
    *f = admin_begin(a, REQ_GET_NAMESRV_CONFIG);
}

static void get_answer(struct admin *a, const void *arg, const char *address, const struct rem_command *answer)
{
    struct err why;
    if (print_properties(a, "", address, answer->body, &why))
        output_line(&a->out, "%s", why.text);
}

static int get_namesrv_config(struct admin *a, struct err *err)
{
    if (a->out.json)
        output_table(&a->out, "config", config_columns, 3);
    int rc = admin_each_namesrv(a, get_request, get_answer, NULL, err);
    if (a->out.json)
        output_table_end(&a->out);
    return rc;
}

static const struct arg_option key_value_options[] = {
    {"k", "key", "KEY", true, "configuration key"},
    {"v", "value", "VALUE", true, "its new value"},
};

static void update_request(struct admin *a, const void *arg, struct rem_frame *f, struct str *body)
{
    *f = admin_begin(a, REQ_UPDATE_NAMESRV_CONFIG);
    *body = pair_text(a);
}

static int update_namesrv_config(struct admin *a, struct err *err)
{
    if (admin_each_namesrv(a, update_request, NULL, NULL, err))
        return -1;
    output_line(&a->out, "update name server config success! %s", a->tool.namesrv);
    output_line(&a->out, "%s : %s", admin_option(a, "key"), args_get(&a->args, "value"));
    return 0;
}

/* ---- the key-value table -------------------------------------------------------------------------------------------
 */

static const struct arg_option put_options[] = {
    {"s", "namespace", "NAME", true, "namespace of the key"},
    {"k", "key", "KEY", true, "key"},
    {"v", "value", "VALUE", true, "value"},
};
static const struct arg_option delete_options[] = {
    {"s", "namespace", "NAME", true, "namespace of the key"},
    {"k", "key", "KEY", true, "key"},
};

static void kv_request(struct admin *a, const void *arg, struct rem_frame *f, struct str *body)
{
    const char *value = args_get(&a->args, "value");
    *f = admin_begin(a, value ? REQ_PUT_KV_CONFIG : REQ_DELETE_KV_CONFIG);
    rem_frame_str(f, "namespace", str_from(admin_option(a, "namespace")));
    rem_frame_str(f, "key", str_from(admin_option(a, "key")));
    rem_frame_str(f, "value", str_from(value));
}

static int update_kv(struct admin *a, struct err *err)
{
    if (admin_each_namesrv(a, kv_request, NULL, NULL, err))
        return -1;
    output_line(&a->out, "create or update kv config to namespace success.");
    return 0;
}

static int delete_kv(struct admin *a, struct err *err)
{
    if (admin_each_namesrv(a, kv_request, NULL, NULL, err))
        return -1;
    output_line(&a->out, "delete kv config from namespace success.");
    return 0;
}

/* ---- write permission ----------------------------------------------------------------------------------------------
 */

static const struct arg_option perm_options[] = {{"b", "brokerName", "NAME", true, "name of the broker"}};

struct write_perm {
    int32_t code;
    const char *count_field, *verb;
};

static void perm_request(struct admin *a, const void *arg, struct rem_frame *f, struct str *body)
{
    const struct write_perm *w = arg;
    *f = admin_begin(a, w->code);
    rem_frame_str(f, "brokerName", str_from(admin_option(a, "brokerName")));
}

static void perm_answer(struct admin *a, const void *arg, const char *address, const struct rem_command *answer)
{
    const struct write_perm *w = arg;
    output_line(&a->out, "%s write perm of broker[%s] in name server[%s] OK, %.*s", w->verb,
                admin_option(a, "brokerName"), address, STR_ARG(rem_ext(answer, w->count_field)));
}

static int wipe_write_perm(struct admin *a, struct err *err)
{
    static const struct write_perm w = {REQ_WIPE_WRITE_PERM_OF_BROKER, "wipeTopicCount", "wipe"};
    return admin_each_namesrv(a, perm_request, perm_answer, &w, err);
}

static int add_write_perm(struct admin *a, struct err *err)
{
    static const struct write_perm w = {REQ_ADD_WRITE_PERM_OF_BROKER, "addTopicCount", "add"};
    return admin_each_namesrv(a, perm_request, perm_answer, &w, err);
}

static const struct admin_command commands[] = {
    ADMIN_COMMAND("getBrokerConfig", "configuration of brokers", get_options, get_broker_config),
    ADMIN_COMMAND("updateBrokerConfig", "change a key of running brokers", update_options, update_broker_config),
    {"getNamesrvConfig", "configuration of the name servers", NULL, 0, get_namesrv_config},
    ADMIN_COMMAND("updateNamesrvConfig", "change a key of the name servers", key_value_options, update_namesrv_config),
    ADMIN_COMMAND("updateKvConfig", "put a key into the table of the name servers", put_options, update_kv),
    ADMIN_COMMAND("deleteKvConfig", "remove a key from the table of the name servers", delete_options, delete_kv),
    ADMIN_COMMAND("wipeWritePerm", "take a broker out of writing", perm_options, wipe_write_perm),
    ADMIN_COMMAND("addWritePerm", "let a broker be written again", perm_options, add_write_perm),
};
const struct admin_table admin_config_table = {commands, sizeof commands / sizeof commands[0]};

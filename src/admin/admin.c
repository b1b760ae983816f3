#include "admin/admin.h"

#include "admin/admin_int.h"

#include <stdio.h>

static const struct admin_table *const tables[] = {
    &admin_topic_table,  &admin_topics_table,  &admin_group_table,  &admin_consumer_table,
    &admin_offset_table, &admin_cluster_table, &admin_config_table, &admin_message_table,
    &admin_read_table,   &admin_stats_table,   &admin_probe_table,  &admin_trace_table,
};

/* Of mqadmin, for parts that are not built. */
static const char *const not_built[] = {
    "addBroker",
    "removeBroker",
    "resetMasterFlushOffset",
    "startMonitoring",
    "updateStaticTopic",
    "remappingStaticTopic",
    "exportMetadata",
    "exportConfigs",
    "exportMetrics",
    "exportMetadataInRocksDB",
    "exportPopRecord",
    "getSyncStateSet",
    "getBrokerEpoch",
    "getControllerMetaData",
    "getControllerConfig",
    "updateControllerConfig",
    "electMaster",
    "cleanBrokerMetadata",
    "dumpCompactionLog",
    "getColdDataFlowCtrInfo",
    "updateColdDataFlowCtrGroupConfig",
    "removeColdDataFlowCtrGroupConfig",
    "setCommitLogReadAheadMode",
    "createUser",
    "updateUser",
    "deleteUser",
    "getUser",
    "listUser",
    "copyUser",
    "createAcl",
    "updateAcl",
    "deleteAcl",
    "getAcl",
    "listAcl",
    "copyAcl",
    "rocksDBConfigToJson",
    "checkRocksdbCqWriteProgress",
};

/* Every command takes these besides its own. */
static const struct arg_option common[] = {
    {"n", "namesrvAddr", "ADDRS", false,
     "name servers, host:port;host:port (default NAMESRV_ADDR, else 127.0.0.1:9876)"},
    {NULL, "json", NULL, false, "print JSON"},
};
enum { COMMON = sizeof common / sizeof common[0], OPTIONS_MAX = 32 };

static const struct admin_command *find(const char *name)
{
    for (size_t i = 0; i < sizeof tables / sizeof tables[0]; i++)
        for (size_t j = 0; j < tables[i]->count; j++)
            if (str_ieq(str_from(name), str_from(tables[i]->commands[j].name)))
                return &tables[i]->commands[j];
    return NULL;
}

static void print_all(void)
{
    printf("usage: crocket admin COMMAND [OPTIONS]\n\ncommands:\n");
    for (size_t i = 0; i < sizeof tables / sizeof tables[0]; i++)
        for (size_t j = 0; j < tables[i]->count; j++)
            printf("  %-24s %s\n", tables[i]->commands[j].name, tables[i]->commands[j].about);
    printf("\ncrocket admin help COMMAND shows the options of one.\n");
}

static size_t all_options(const struct admin_command *c, struct arg_option out[OPTIONS_MAX])
{
    if (c->option_count)
        memcpy(out, c->options, c->option_count * sizeof *out);
    memcpy(out + c->option_count, common, sizeof common);
    return c->option_count + COMMON;
}

static void print_help(const struct admin_command *c)
{
    struct arg_option options[OPTIONS_MAX];
    struct buf out = {0};
    buf_printf(&out, "usage: crocket admin %s [OPTIONS]\n\n%s\n\noptions:\n", c->name, c->about);
    args_help(&out, options, all_options(c, options));
    if (buf_ok(&out))
        fwrite(out.data, 1, out.len, stdout);
    buf_free(&out);
}

static int fail(const char *text)
{
    fflush(stdout);
    fprintf(stderr, "crocket: %s\n", text);
    return 1;
}

static int unknown(const char *name)
{
    char text[256];
    bool known = false;
    for (size_t i = 0; i < sizeof not_built / sizeof not_built[0]; i++)
        known |= str_ieq(str_from(name), str_from(not_built[i]));
    snprintf(
        text, sizeof text,
        known
            ? "the admin command %.100s belongs to a part that is not built yet; crocket admin help lists what is there"
            : "there is no admin command \"%.100s\"; crocket admin help lists them",
        name);
    return fail(text);
}

int admin_main(int argc, char **argv)
{
    static struct admin a;
    struct arg_option options[OPTIONS_MAX];
    struct err err;
    const char *name = argc > 1 ? argv[1] : "help";
    if (strcmp(name, "help") == 0 || strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0) {
        const struct admin_command *c = argc > 2 ? find(argv[2]) : NULL;
        if (argc > 2 && c == NULL)
            return unknown(argv[2]);
        if (c)
            print_help(c);
        else
            print_all();
        return 0;
    }
    const struct admin_command *c = find(name);
    if (c == NULL)
        return unknown(name);
    if (args_parse(&a.args, options, all_options(c, options), argc - 1, argv + 1, &err))
        return fail(err.text);
    if (args_wants_help(&a.args)) {
        print_help(c);
        return 0;
    }
    if (args_check(&a.args, &err))
        return fail(err.text);
    a.command = c->name;
    if (tool_init(&a.tool, args_get(&a.args, "namesrvAddr"), ADMIN_TIMEOUT_MS, &err))
        return fail(err.text);
    output_begin(&a.out, args_has(&a.args, "json"));
    int rc = c->run(&a, &err);
    /* What was printed before an error stays; half a JSON document helps nobody. */
    if (rc && a.out.json)
        a.out.json = false;
    output_finish(&a.out);
    tool_free(&a.tool);
    return rc ? fail(err.text) : 0;
}

/* How the options of a server become its configuration. */
#include "cli/server_conf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

static struct args args;
static struct server_conf conf;
static struct err err;
static char file[] = "/tmp/crocket-conf-XXXXXX";

#define BOTH (SERVER_NAMESRV | SERVER_BROKER)

/* The options are the words of a line; a word FILE is the file's name, EMPTY an empty word. */
static int load(unsigned roles, bool all, const char *line)
{
    static char copy[512], empty[] = "";
    static char *argv[32];
    int argc = 1;
    strcpy(copy, line);
    argv[0] = copy;
    for (char *save, *word = strtok_r(copy, " ", &save); word; word = strtok_r(NULL, " ", &save))
        argv[argc++] = strcmp(word, "FILE") == 0 ? file : strcmp(word, "EMPTY") == 0 ? empty : word;
    assert_int_equal(args_parse(&args, server_options, server_option_count, argc, argv, &err), 0);
    return server_conf_load(&conf, &args, roles, all, &err);
}

static int teardown(void **state)
{
    server_conf_free(&conf);
    return 0;
}

static void write_file(const char *text)
{
    FILE *f = fopen(file, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static void all_in_one_keeps_to_the_loopback(void **state)
{
    assert_int_equal(load(BOTH, true, "--data /tmp/x"), 0);
    assert_string_equal(conf.listen, "127.0.0.1");
    assert_string_equal(conf.broker.broker_ip1, "127.0.0.1");
    assert_int_equal(server_conf_namesrv_listens(&conf, 4711, &err), 0);
    assert_string_equal(conf.broker.namesrv_addr, "127.0.0.1:4711");
    assert_int_equal(conf.broker.listen_port, 10911);
    assert_int_equal(conf.store.haListenPort, 10912);
    assert_string_equal(conf.store.storePathRootDir, "/tmp/x");
    assert_string_equal(conf.namesrv.kvConfigPath, "/tmp/x/namesrv/kvConfig.json");
}

static void one_role_listens_everywhere(void **state)
{
    unsetenv("NAMESRV_ADDR");
    assert_int_equal(load(SERVER_BROKER, false, "--broker-port 20000"), 0);
    assert_string_equal(conf.listen, "0.0.0.0");
    assert_string_not_equal(conf.broker.broker_ip1, "0.0.0.0");
    assert_int_equal(conf.store.haListenPort, 20001);
    assert_true(conf.broker.namesrv_addr == NULL || conf.broker.namesrv_addr[0] == '\0');
    assert_int_equal(conf.store.storePathRootDir[0], '/'); /* the default folder, made absolute */
}

static void a_broker_takes_name_servers_from_the_environment_unless_told(void **state)
{
    setenv("NAMESRV_ADDR", "env:1", 1);
    assert_int_equal(load(SERVER_BROKER, false, "--data /tmp/x"), 0);
    assert_string_equal(conf.broker.namesrv_addr, "env:1");
    server_conf_free(&conf);
    assert_int_equal(load(SERVER_BROKER, false, "-n told:1;told:2"), 0);
    assert_int_equal(server_conf_namesrv_listens(&conf, 4711, &err), 0);
    assert_string_equal(conf.broker.namesrv_addr, "told:1;told:2");
    unsetenv("NAMESRV_ADDR");
}

static void a_java_file_is_read_unchanged_and_options_win(void **state)
{
    write_file(
        "# a broker\nbrokerName = broker-b\nbrokerId=1\nlistenPort=12000\nstorePathRootDir=/srv/store\n"
        "sendMessageThreadPoolNums=16\nuseEpollNativeSelector=true\nflushDiskType=SYNC_FLUSH\nbindAddress=10.1.1.1\n"
        "defaultThreadPoolNums=3\n");
    assert_int_equal(load(BOTH, true, "-c FILE --set brokerId=2 --broker-port 13000"), 0);
    assert_string_equal(conf.broker.broker_name, "broker-b");
    assert_int_equal(conf.broker.broker_id, 2);
    assert_int_equal(conf.broker.listen_port, 13000);
    assert_int_equal(conf.namesrv.listenPort, 9876); /* a broker's file: its port is not the name server's */
    assert_string_equal(conf.data, "/srv/store");
    assert_int_equal(conf.store.flushDiskType, FLUSH_SYNC);
    assert_string_equal(conf.listen, "10.1.1.1");
    assert_string_equal(conf.broker.broker_ip1, "10.1.1.1");
    assert_int_equal(conf.unknown_keys, 0);
}

static void a_name_server_file_is_the_name_servers(void **state)
{
    write_file("listenPort=9999\norderMessageEnable=true\nkvConfigPath=/etc/kv.json\n");
    assert_int_equal(load(SERVER_NAMESRV, false, "-c FILE"), 0);
    assert_int_equal(conf.namesrv.listenPort, 9999);
    assert_true(conf.namesrv.orderMessageEnable);
    assert_string_equal(conf.namesrv.kvConfigPath, "/etc/kv.json");
    assert_string_equal(conf.namesrv.configStorePath, file); /* changes are saved there */
}

static void misspelt_keys_are_told(void **state)
{
    write_file("brokerNmae=x\n");
    assert_int_equal(freopen("/dev/null", "w", stderr) != NULL, 1);
    assert_int_equal(load(BOTH, true, "-c FILE"), 0);
    assert_int_equal(conf.unknown_keys, 1);
    server_conf_free(&conf);
    assert_int_equal(load(BOTH, true, "--set brokerNmae=x"), -1);
    assert_non_null(strstr(err.text, "did you mean brokerName?"));
}

static void every_mistake_is_an_error_that_names_it(void **state)
{
    static const struct {
        const char *line, *text;
    } mistakes[] = {
        {"--set flushDiskType=MAYBE", "ASYNC_FLUSH"},
        {"--set brokerId", "key=value"},
        {"--broker-port 70000", "65535"},
        {"--grpc-port x", "grpc-port"},
        {"--roles broker,proxy", "not built yet"},
        {"--roles cook", "no role"},
        {"--roles EMPTY", "no role"},
        {"--log-level loud", "debug"},
        {"-c /nonexistent/broker.conf", "/nonexistent/broker.conf"},
    };
    for (size_t i = 0; i < sizeof mistakes / sizeof mistakes[0]; i++) {
        assert_int_equal(load(BOTH, true, mistakes[i].line), -1);
        if (strstr(err.text, mistakes[i].text) == NULL)
            fail_msg("%s: %s", mistakes[i].line, err.text);
        server_conf_free(&conf);
    }
}

static void what_is_printed_can_be_read_again(void **state)
{
    struct buf out = {0};
    assert_int_equal(load(SERVER_BROKER, false, "--set brokerClusterName=C7 --data /tmp/x"), 0);
    server_conf_print(&conf, &out);
    buf_add_byte(&out, 0);
    assert_non_null(strstr((char *)out.data, "brokerClusterName=C7\n"));
    write_file((char *)out.data);
    server_conf_free(&conf);
    assert_int_equal(load(SERVER_BROKER, false, "-c FILE"), 0);
    assert_string_equal(conf.broker.cluster_name, "C7");
    assert_string_equal(conf.data, "/tmp/x");
    assert_int_equal(conf.unknown_keys, 0);
    buf_free(&out);
}

int main(void)
{
    int fd = mkstemp(file);
    if (fd < 0)
        return 1;
    close(fd);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(all_in_one_keeps_to_the_loopback, teardown),
        cmocka_unit_test_teardown(one_role_listens_everywhere, teardown),
        cmocka_unit_test_teardown(a_broker_takes_name_servers_from_the_environment_unless_told, teardown),
        cmocka_unit_test_teardown(a_java_file_is_read_unchanged_and_options_win, teardown),
        cmocka_unit_test_teardown(a_name_server_file_is_the_name_servers, teardown),
        cmocka_unit_test_teardown(every_mistake_is_an_error_that_names_it, teardown),
        cmocka_unit_test_teardown(what_is_printed_can_be_read_again, teardown),
        cmocka_unit_test_teardown(misspelt_keys_are_told, teardown),
    };
    int rc = cmocka_run_group_tests(tests, NULL, NULL);
    unlink(file);
    return rc;
}

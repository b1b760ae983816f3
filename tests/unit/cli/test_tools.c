/*
 * A server in a process of its own, and the tools against it: what a person types at first, and that a stop is orderly
 * and a start finds everything again.
 */
#include "cli/cmd.h"
#include "unit/patience.h"

#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static char dir[] = "/tmp/crocket-tools-XXXXXX";
static char namesrv[32], broker[32], namesrv_port[16], broker_port[16];
static pid_t server;

/* ---- ports and files -----------------------------------------------------------------------------------------------
 */

/* A socket bound to the port (0: any free one); -1 when it is taken. */
static int bind_port(int port, int *bound)
{
    struct sockaddr_in at = {
        .sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof at;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(fd, (struct sockaddr *)&at, sizeof at) || getsockname(fd, (struct sockaddr *)&at, &len)) {
        close(fd);
        return -1;
    }
    *bound = ntohs(at.sin_port);
    return fd;
}

/* A port whose neighbours, the fast port and the replication port, are free too. */
static int free_block(void)
{
    for (int tries = 0; tries < 100; tries++) {
        int port, other, first = bind_port(0, &port);
        int fast = port > 2 ? bind_port(port - 2, &other) : -1, ha = bind_port(port + 1, &other);
        close(first);
        close(fast);
        close(ha);
        if (fast >= 0 && ha >= 0)
            return port;
    }
    fail_msg("no free ports");
    return 0;
}

static char text[1 << 20];

static const char *file_text(const char *name)
{
    char path[128];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *f = fopen(path, "r");
    size_t n = f ? fread(text, 1, sizeof text - 1, f) : 0;
    text[n] = '\0';
    if (f)
        fclose(f);
    return text;
}

/* ---- the server ----------------------------------------------------------------------------------------------------
 */

static void start_server(void)
{
    char data[128], out[128], log[128];
    snprintf(data, sizeof data, "%s/data", dir);
    snprintf(out, sizeof out, "%s/out", dir);
    snprintf(log, sizeof log, "%s/log", dir);
    unlink(out);
    server = fork();
    if (server == 0) {
        char words[][32] = {"server", "--data",        "--namesrv-port", "--broker-port",
                            "--set",  "brokerName=b1", "--set",          "mappedFileSizeCommitLog=1048576"};
        char *argv[] = {words[0],    words[1], data,     words[2], namesrv_port, words[3],
                        broker_port, words[4], words[5], words[6], words[7]};
        if (freopen(out, "w", stdout) == NULL || freopen(log, "w", stderr) == NULL)
            _exit(99);
        exit(cmd_server(sizeof argv / sizeof argv[0], argv));
    }
    for (int i = 0; i < PATIENCE_MS / 10; i++) {
        if (strstr(file_text("out"), "\nready\n"))
            return;
        assert_int_equal(waitpid(server, NULL, WNOHANG), 0);
        usleep(10000);
    }
    fail_msg("no ready in time: %s", file_text("log"));
}

static void stop_server(void)
{
    int status;
    char path[128];
    assert_int_equal(kill(server, SIGTERM), 0);
    assert_int_equal(waitpid(server, &status, 0), server);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    snprintf(path, sizeof path, "%s/data/abort", dir);
    assert_int_equal(access(path, F_OK), -1); /* the mark of an unclean end is gone */
}

/* ---- the tools -----------------------------------------------------------------------------------------------------
 */

static int exit_code;

/* Runs a command with the words of a line ('_' stands for a space within a word); its output is the result. */
static const char *run(int (*command)(int argc, char **argv), const char *line)
{
    static char copy[1024];
    char *argv[64];
    int argc = 0;
    char name[64];
    snprintf(copy, sizeof copy, "%s", line);
    for (char *save, *word = strtok_r(copy, " ", &save); word; word = strtok_r(NULL, " ", &save)) {
        for (char *p = word; *p; p++)
            *p = *p == '_' ? ' ' : *p;
        argv[argc++] = word;
    }
    snprintf(name, sizeof name, "%s/tool", dir);
    int out = dup(1), err = dup(2);
    assert_non_null(freopen(name, "w", stdout));
    dup2(1, 2);
    exit_code = command(argc, argv);
    fflush(stdout);
    dup2(out, 1);
    dup2(err, 2);
    close(out);
    close(err);
    return file_text("tool");
}

static void has(const char *where, const char *what)
{
    if (strstr(where, what) == NULL)
        fail_msg("\"%s\" is not in:\n%s", what, where);
}

static int count(const char *where, const char *what)
{
    int n = 0;
    for (const char *p = where; (p = strstr(p, what)); p += strlen(what))
        n++;
    return n;
}

static void the_start_screen_tells_what_runs(void **state)
{
    const char *screen = file_text("out");
    has(screen, namesrv);
    has(screen, broker);
    has(screen, "b1 in DefaultCluster");
    has(screen, "ASYNC_FLUSH");
    has(screen, " send -n ");
    has(screen, dir);
}

static void lines_are_sent_and_followed(void **state)
{
    char line[256];
    char path[128];
    snprintf(path, sizeof path, "%s/lines", dir);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs("first\n\nsecond\nthird without an end", f);
    fclose(f);
    snprintf(line, sizeof line, "send hello %s --tag T --key k1_k2 --property colour=red", path);
    const char *out = run(cmd_send, line);
    assert_int_equal(exit_code, 0);
    assert_int_equal(count(out, "SEND_OK"), 3);
    out = run(cmd_tail, "tail hello --from-beginning --count 3");
    assert_int_equal(exit_code, 0);
    has(out, "tag=T  keys=k1 k2  first\n");
    has(out, "third without an end\n");
    out = run(cmd_tail, "tail hello --from-beginning --count 1 --json");
    has(out, "\"colour\":\"red\"");
    out = run(cmd_tail, "tail hello --from-beginning --count 3 --raw --tag T");
    assert_int_equal(count(out, "\n"), 3);
    out = run(cmd_send, "send hello -m one -m two --json --queue 1");
    assert_int_equal(count(out, "\"queueId\":1"), 2);
    char straight[128];
    snprintf(straight, sizeof straight, "send straight --address %s -n 127.0.0.1:1 -m x --queue 2", broker);
    has(run(cmd_send, straight), "SEND_OK  -:2:0");
}

static void mistakes_end_with_one_line_and_code_1(void **state)
{
    static const struct {
        int (*command)(int argc, char **argv);
        const char *line, *says;
    } mistakes[] = {
        {cmd_send, "send", "needs a topic"},
        {cmd_send, "send hello -m x --queue 99", "no such queue"},
        {cmd_send, "send hello /nonexistent/file", "/nonexistent/file"},
        {cmd_send, "send hello -m x -n 127.0.0.1:1", "127.0.0.1:1"},
        {cmd_tail, "tail", "one topic"},
        {cmd_admin, "admin nosuch", "help"},
        {cmd_admin, "admin electMaster", "not built yet"},
        {cmd_admin, "admin updateTopic -t T", "-b ADDR or -c CLUSTER"},
        {cmd_admin, "admin updateTopic -c DefaultCluster", "--topic"},
        {cmd_admin, "admin topicRoute -t NoSuchTopic", "NoSuchTopic"},
        {cmd_admin, "admin topicStatus -t hello -c NoCluster", "NoCluster"},
        {cmd_bench, "bench fly", "produce"},
        {cmd_server, "server --set nokey=1", "nokey"},
    };
    for (size_t i = 0; i < sizeof mistakes / sizeof mistakes[0]; i++) {
        const char *out = run(mistakes[i].command, mistakes[i].line);
        assert_int_equal(exit_code, 1);
        has(out, mistakes[i].says);
        assert_int_equal(count(out, "\n"), 1);
    }
}

static void a_second_server_says_what_is_in_its_way(void **state)
{
    char line[256];
    snprintf(line, sizeof line, "server --data %s/data2 --namesrv-port %s --broker-port 0", dir, namesrv_port);
    has(run(cmd_server, line), namesrv_port);
    assert_int_equal(exit_code, 1);
    snprintf(line, sizeof line, "server --data %s/data --namesrv-port 0 --broker-port 0", dir);
    has(run(cmd_server, line), "data");
    assert_int_equal(exit_code, 1);
}

/* A line, and something that its output must hold. */
static const struct {
    const char *line, *says;
} admin_lines[] = {
    {"updateTopic -c DefaultCluster -t T1 -r 4 -w 4", "create topic to 127.0.0.1:"},
    {"updateTopic -b BROKER -t T2 -o true", "orderConf=[b1:8]"},
    {"updateOrderConf -t T2 -m get", "orderConf=[b1:8]"},
    {"updateOrderConf -t T2 -m delete", "delete orderConf success"},
    {"topicList", "T1\n"},
    {"topicList -c", "DefaultCluster        T1 "},
    {"topicList --json", "{\"topic\":\"T1\"}"},
    {"topicRoute -t T1", "\"writeQueueNums\":4"},
    {"topicRoute -t T1 -l", "b1 "},
    {"topicClusterList -t T1", "DefaultCluster\n"},
    {"sendMessage -t T1 -p body_of_mine -k akey -c atag -b b1 -i 2", "b1                                2     SEND_OK"},
    {"topicStatus -t T1", "b1                                2     0                     1  "},
    {"topicStatus -t T1 --json", "\"queueId\":2,\"minOffset\":0,\"maxOffset\":1"},
    {"queryMsgByOffset -t T1 -b b1 -i 2 -o 0", "Message Body:        body of mine"},
    {"printMsg -t T1", "BODY: body of mine"},
    {"printMsgByQueue -t T1 -a b1 -i 2 -f true", "Tag: atag                           Count: 1"},
    {"consumeMessage -t T1 -g G1", "Consume ok"},
    {"queryCq -t T1 -q 2 -i 0 -c 5", "max: 1"},
    {"updateTopicPerm -t T1 -p 4 -c DefaultCluster", "from 6 to 4"},
    {"updateTopicPerm -t T1 -p 6 -c DefaultCluster", "from 4 to 6"},
    {"allocateMQ -t T1 -i 10.0.0.1,10.0.0.2", "\"10.0.0.2\":[{\"brokerName\":\"b1\",\"queueId\":2"},
    {"updateSubGroup -c DefaultCluster -g G1 -r 3", "\"retryMaxTimes\":3"},
    {"getConsumerConfig -g G1", "retryMaxTimes                             3"},
    {"consumerProgress -g G1 -t T1", "Consume Diff Total: 1"},
    {"resetOffsetByTime -g G1 -t T1 -s now",
     "b1                                        2                                         1"},
    {"consumerProgress -g G1 -t T1", "Consume Diff Total: 0"},
    {"resetOffsetByTime -g G1 -t T1 -s 0 -b BROKER -q 2 -o 0", "reset consumer offset to 0"},
    {"skipAccumulatedMessage -g G1 -t T1", "b1 "},
    {"cloneGroupOffset -s G1 -d G2 -t T1", "success"},
    {"clusterList", "127.0.0.1:"},
    {"clusterList -m", "#InTotalToday"},
    {"brokerStatus -b BROKER", "msgPutTotalTodayNow"},
    {"statsAll -t T1", "T1 "},
    {"brokerConsumeStats -b BROKER", "Diff Total:"},
    {"getBrokerConfig -b BROKER", "brokerName                                        =  b1"},
    {"updateBrokerConfig -b BROKER -k brokerPermission -v 6", "update broker config success"},
    {"getNamesrvConfig", "listenPort"},
    {"updateNamesrvConfig -k orderMessageEnable -v true", "orderMessageEnable : true"},
    {"updateKvConfig -s N -k k -v v", "success"},
    {"deleteKvConfig -s N -k k", "success"},
    {"wipeWritePerm -b b1", "OK"},
    {"addWritePerm -b b1", "OK"},
    {"checkMsgSendRT -t T1 -a 3", "Avg RT:"},
    {"sendMsgStatus -b b1 -c 2", "SEND_OK"},
    {"clusterRT -a 2", "b1                        "},
    {"cleanUnusedTopic -b BROKER", "success"},
    {"deleteSubGroup -b BROKER -g G1", "success"},
    {"deleteTopic -t T1 -c DefaultCluster", "delete topic [T1] from NameServer success"},
    {"help updateTopic", "--readQueueNums"},
    {"help", "consumerProgress"},
};

static void every_admin_command_does_its_work(void **state)
{
    for (size_t i = 0; i < sizeof admin_lines / sizeof admin_lines[0]; i++) {
        char line[512];
        const char *at = strstr(admin_lines[i].line, "BROKER");
        if (at)
            snprintf(line, sizeof line, "admin %.*s%s%s", (int)(at - admin_lines[i].line), admin_lines[i].line, broker,
                     at + 6);
        else
            snprintf(line, sizeof line, "admin %s", admin_lines[i].line);
        const char *out = run(cmd_admin, line);
        if (exit_code != 0 || strstr(out, admin_lines[i].says) == NULL)
            fail_msg("%s: code %d, no \"%s\" in:\n%s", line, exit_code, admin_lines[i].says, out);
    }
    assert_null(strstr(run(cmd_admin, "admin topicList"), "T1\n"));
}

static void messages_are_found_by_id_and_key(void **state)
{
    char id[33], line[128];
    const char *out = run(cmd_send, "send hello -m wanted --key thekey --json");
    const char *at = strstr(out, "\"msgId\":\"");
    assert_non_null(at);
    snprintf(id, sizeof id, "%.32s", at + 9);
    snprintf(line, sizeof line, "admin queryMsgByUniqueKey -t hello -i %s", id);
    for (int i = 0; i < PATIENCE_MS / 20; i++) { /* the index follows the log */
        out = run(cmd_admin, line);
        if (exit_code == 0)
            break;
        usleep(20000);
    }
    has(out, "Message Body:        wanted");
    has(run(cmd_admin, "admin queryMsgByKey -t hello -k thekey"), id);
    snprintf(line, sizeof line, "admin queryMsgById -t hello -i %s --json", id);
    has(run(cmd_admin, line), "\"body\":\"wanted\"");
}

static void many_topics_are_made_at_once(void **state)
{
    char path[128], line[256];
    snprintf(path, sizeof path, "%s/topics", dir);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    for (int i = 0; i < 500; i++)
        fprintf(f, "Many%d 2\n", i);
    fclose(f);
    snprintf(line, sizeof line, "admin updateTopicList -b %s -f %s", broker, path);
    has(run(cmd_admin, line), "submit batch of 500");
    for (int i = 0; i < PATIENCE_MS / 20 && count(run(cmd_admin, "admin topicList"), "Many") < 500; i++)
        usleep(20000);
    assert_int_equal(count(text, "Many"), 500);
    f = fopen(path, "w");
    assert_non_null(f);
    fputs("[{\"topicName\":\"FromJson\",\"readQueueNums\":3,\"writeQueueNums\":3,\"attributes\":{\"message.type\":"
          "\"FIFO\"}}]",
          f);
    fclose(f);
    has(run(cmd_admin, line), "submit batch of 1 ");
}

static void the_generator_measures(void **state)
{
    const char *out =
        run(cmd_bench, "bench produce -t Load --queues 3 --count 2000 --connections 2 --inflight 8 --size 64 --json");
    assert_int_equal(exit_code, 0);
    has(out, "\"messages\":2000,");
    has(out, "\"errors\":0");
    out = run(cmd_bench, "bench produce -t Load --count 1000 --batch 10 --size 64 --header binary");
    assert_int_equal(exit_code, 0);
    has(out, "produce: 1000 messages");
    out = run(cmd_bench, "bench consume -t Load --connections 2 --json");
    assert_int_equal(exit_code, 0);
    has(out, "\"messages\":3000,");
    out = run(cmd_bench, "bench e2e -t Load2 --rate 500 --duration 1 --warmup 0.2 --json");
    assert_int_equal(exit_code, 0);
    has(out, "\"send_latency_us\"");
    out = run(cmd_bench, "bench produce -t Load --rate 1000 --duration 1 --warmup 0 --json");
    assert_int_equal(exit_code, 0);
    has(out, "\"rate\":1000");
}

static void a_stop_is_orderly_and_a_start_finds_everything(void **state)
{
    stop_server();
    start_server();
    /* All that the tests before sent: which queue is read first is not settled, so only the whole is. */
    static const char *const bodies[] = {"first\n", "second\n", "third without an end\n", "one\n", "two\n", "wanted\n"};
    const char *out = run(cmd_tail, "tail hello --from-beginning --count 6");
    for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++)
        has(out, bodies[i]);
    has(run(cmd_admin, "admin topicList"), "FromJson");
}

static int setup(void **state)
{
    int port, fd, block;
    if (mkdtemp(dir) == NULL || (fd = bind_port(0, &port)) < 0)
        return -1;
    block = free_block();
    close(fd);
    snprintf(namesrv_port, sizeof namesrv_port, "%d", port);
    snprintf(broker_port, sizeof broker_port, "%d", block);
    snprintf(namesrv, sizeof namesrv, "127.0.0.1:%d", port);
    snprintf(broker, sizeof broker, "127.0.0.1:%d", block);
    setenv("NAMESRV_ADDR", namesrv, 1);
    start_server();
    return 0;
}

static int teardown(void **state)
{
    char line[64];
    if (server > 0) {
        kill(server, SIGKILL);
        waitpid(server, NULL, 0);
    }
    snprintf(line, sizeof line, "rm -rf %s", dir);
    return system(line);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_start_screen_tells_what_runs),
        cmocka_unit_test(lines_are_sent_and_followed),
        cmocka_unit_test(mistakes_end_with_one_line_and_code_1),
        cmocka_unit_test(a_second_server_says_what_is_in_its_way),
        cmocka_unit_test(every_admin_command_does_its_work),
        cmocka_unit_test(messages_are_found_by_id_and_key),
        cmocka_unit_test(many_topics_are_made_at_once),
        cmocka_unit_test(the_generator_measures),
        cmocka_unit_test(a_stop_is_orderly_and_a_start_finds_everything),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}

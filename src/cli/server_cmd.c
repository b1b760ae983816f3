/* "crocket server", "crocket namesrv", "crocket broker": options in, exit code out. */
#include "cli/cmd.h"
#include "cli/server_run.h"

#include <stdio.h>

static const struct server_command {
    const char *usage;
    const char *about;
    unsigned roles;
    bool all_in_one;
} server_all =
    {"crocket [server] [OPTIONS]",
     "Runs a name server and a broker in one process. Without options it listens on 127.0.0.1 and keeps its\n"
     "data in ./crocket-data. It ends in good order on SIGTERM or Ctrl-C.",
     SERVER_NAMESRV | SERVER_BROKER, true},
  server_namesrv = {"crocket namesrv [OPTIONS]", "Runs a name server on all interfaces, port 9876.", SERVER_NAMESRV,
                    false},
  server_broker = {"crocket broker -n ADDRS [OPTIONS]",
                   "Runs a broker on all interfaces, port 10911, registered with the name servers of -n, of the\n"
                   "configuration file or of NAMESRV_ADDR.",
                   SERVER_BROKER, false};

static int print_conf(const struct server_conf *c)
{
    struct buf out = {0};
    server_conf_print(c, &out);
    bool ok = buf_ok(&out);
    if (ok)
        fwrite(out.data, 1, out.len, stdout);
    buf_free(&out);
    return ok ? 0 : cmd_failf("out of memory while printing the configuration");
}

static int run(const struct server_command *s, int argc, char **argv)
{
    static struct args args;
    struct server_conf conf;
    struct err err;
    if (args_parse(&args, server_options, server_option_count, argc, argv, &err))
        return cmd_fail(&err);
    if (args_wants_help(&args)) {
        cmd_help(s->usage, s->about, server_options, server_option_count);
        return 0;
    }
    int rc;
    if (args_check(&args, &err) || server_conf_load(&conf, &args, s->roles, s->all_in_one, &err)) {
        rc = cmd_fail(&err);
    } else if (args_has(&args, "check-config")) {
        rc = conf.unknown_keys ? 1 : 0;
        if (rc == 0)
            printf("the configuration is good\n");
    } else if (args_has(&args, "printConfigItem") || args_has(&args, "printImportantConfig")) {
        rc = print_conf(&conf);
    } else {
        rc = server_run(&conf, &err) ? cmd_fail(&err) : 0;
    }
    server_conf_free(&conf);
    return rc;
}

int cmd_server(int argc, char **argv)
{
    return run(&server_all, argc, argv);
}

int cmd_namesrv(int argc, char **argv)
{
    return run(&server_namesrv, argc, argv);
}

int cmd_broker(int argc, char **argv)
{
    return run(&server_broker, argc, argv);
}

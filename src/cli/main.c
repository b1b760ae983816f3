/* The executable: finds the subcommand and runs it. */
#include "cli/cmd.h"

#include <stdio.h>

struct subcommand {
    const char *name;
    int (*run)(int argc, char **argv); /* NULL: not built yet */
    const char *about;
};

static const struct subcommand subcommands[] = {
    {"server", cmd_server, "name server and broker in one process (also without any subcommand)"},
    {"namesrv", cmd_namesrv, "a name server alone; takes the options of mqnamesrv"},
    {"broker", cmd_broker, "a broker alone; takes the options of mqbroker"},
    {"proxy", NULL, "the gRPC proxy (not built yet)"},
    {"store", cmd_store, "check, dump, export or repair a store directory"},
    {"controller", NULL, "the controller (not built yet)"},
    {"admin", cmd_admin, "administration, with mqadmin's commands and options"},
    {"send", cmd_send, "send lines, a file or one text to a topic"},
    {"tail", cmd_tail, "follow a topic live"},
    {"bench", cmd_bench, "load generator: produce, consume, e2e"},
};

static void print_help(void)
{
    printf("crocket %s: Apache RocketMQ's name server, broker and tools in one program\n\n"
           "usage: crocket [SUBCOMMAND] [OPTIONS]\n\nsubcommands:\n",
           CROCKET_VERSION);
    for (size_t i = 0; i < sizeof subcommands / sizeof subcommands[0]; i++)
        printf("  %-12s %s\n", subcommands[i].name, subcommands[i].about);
    printf("\nWithout a subcommand it is \"crocket server\". \"crocket SUBCOMMAND --help\" tells more; --version "
           "prints the "
           "version.\n");
}

static int run(const struct subcommand *s, int argc, char **argv)
{
    if (s->run)
        return s->run(argc, argv);
    return cmd_failf("\"crocket %s\" is not built yet; what is there now: crocket --help", s->name);
}

int main(int argc, char **argv)
{
    const char *slash = strrchr(argv[0], '/');
    if (strcmp(slash ? slash + 1 : argv[0], "mqadmin") == 0)
        return cmd_admin(argc, argv);
    if (argc < 2)
        return cmd_server(argc, argv);
    if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0) {
        printf("crocket %s\n", CROCKET_VERSION);
        return 0;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "help") == 0) {
        print_help();
        return 0;
    }
    if (argv[1][0] == '-')
        return cmd_server(argc, argv);
    for (size_t i = 0; i < sizeof subcommands / sizeof subcommands[0]; i++)
        if (strcmp(argv[1], subcommands[i].name) == 0)
            return run(&subcommands[i], argc - 1, argv + 1);
    return cmd_failf("there is no subcommand \"%s\"; crocket --help lists them", argv[1]);
}

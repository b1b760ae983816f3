/*
 * The administration commands: mqadmin's names and options, one row a command. Main thread only.
 */
#ifndef CROCKET_ADMIN_ADMIN_H
#define CROCKET_ADMIN_ADMIN_H

/* argv[1] is the command. The exit code: 0, or 1 after one line on stderr. */
int admin_main(int argc, char **argv);

#endif

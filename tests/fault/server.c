#include "fault/server.h"

#include "os/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { READY_MS = 60000, LOG_TAIL = 6000, ARGS = 64 };

static void become_server(const struct server *s, int log)
{
    char port[16], namesrv[16];
    char *argv[ARGS];
    int n = 0;
    snprintf(port, sizeof port, "%d", s->port);
    snprintf(namesrv, sizeof namesrv, "%d", s->port - 1);
    const char *fixed[] = {s->executable,    "server",
                           "--data",         s->data,
                           "--listen",       "127.0.0.1",
                           "--advertise",    "127.0.0.1",
                           "--namesrv-port", namesrv,
                           "--broker-port",  port,
                           "--set",          s->sync_flush ? "flushDiskType=SYNC_FLUSH" : "flushDiskType=ASYNC_FLUSH"};
    for (size_t i = 0; i < sizeof fixed / sizeof fixed[0]; i++)
        argv[n++] = (char *)(uintptr_t)fixed[i];
    for (size_t i = 0; s->settings[i] && n < ARGS - 3; i++) {
        argv[n++] = (char *)(uintptr_t) "--set";
        argv[n++] = (char *)(uintptr_t)s->settings[i];
    }
    argv[n] = NULL;
    dup2(log, 1);
    dup2(log, 2);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    execv(s->executable, argv);
    dprintf(2, "cannot run %s: %s\n", s->executable, strerror(errno));
    _exit(127);
}

int server_spawn(struct server *s, struct err *err)
{
    struct stat st;
    int log = open(s->log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
    if (log < 0 || fstat(log, &st))
        return err_sys(err, errno, "cannot write %s", s->log);
    s->log_at = st.st_size;
    s->pid = fork();
    if (s->pid == 0)
        become_server(s, log);
    close(log);
    return s->pid < 0 ? err_sys(err, errno, "cannot start a process") : 0;
}

static bool is_ready(const struct server *s, int log)
{
    char text[65536];
    ssize_t n = pread(log, text, sizeof text - 1, s->log_at);
    if (n <= 0)
        return false;
    text[n] = '\0';
    return strncmp(text, "ready\n", 6) == 0 || strstr(text, "\nready\n") != NULL;
}

int server_wait_ready(struct server *s, struct err *err)
{
    int64_t until = clock_mono_ms() + READY_MS;
    int log = open(s->log, O_RDONLY | O_CLOEXEC), status;
    bool ready = false, ended = false;
    while (!(ready = is_ready(s, log)) && clock_mono_ms() < until) {
        if (waitpid(s->pid, &status, WNOHANG) == s->pid) {
            ended = true;
            s->pid = 0;
            break;
        }
        nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
    }
    close(log);
    if (ready)
        return 0;
    return ended ? err_set(err, ECHILD, "the server ended (wait status %d) instead of starting", status)
                 : err_set(err, ETIMEDOUT, "the server was not ready after %d s", READY_MS / 1000);
}

int server_end(struct server *s, int signal)
{
    int status = 0;
    if (s->pid <= 0)
        return 0;
    kill(s->pid, signal);
    waitpid(s->pid, &status, 0);
    s->pid = 0;
    return status;
}

void server_show_log(const struct server *s)
{
    char text[LOG_TAIL];
    struct stat st;
    int log = open(s->log, O_RDONLY | O_CLOEXEC);
    if (log < 0 || fstat(log, &st))
        return;
    int64_t from = st.st_size > LOG_TAIL ? st.st_size - LOG_TAIL : 0;
    ssize_t n = pread(log, text, sizeof text, from < s->log_at ? s->log_at : from);
    fprintf(stderr, "the end of %s:\n%.*s", s->log, n > 0 ? (int)n : 0, text);
    close(log);
}

/* "crocket store unshare": gives every consume queue files of its own, as a Java broker has them. */
#include "cli/cmd.h"
#include "cli/store/store_tool.h"
#include "os/fs.h"
#include "store/store.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PATH_SIZE = 4096 };

struct lister {
    const char *dir;
    int64_t size; /* of the first file found; 0: there is none */
};

static int take_size(void *arg, const char *name, bool is_dir)
{
    struct lister *l = arg;
    char path[PATH_SIZE];
    struct fs_stat st;
    int n = snprintf(path, sizeof path, "%s/%s", l->dir, name);
    if (is_dir || n >= (int)sizeof path || fs_real()->stat(fs_real(), path, &st))
        return 0;
    l->size = st.size;
    return l->size > 0;
}

static int configure(const struct args *a, const char *dir, struct store_conf *conf, struct err *err)
{
    char path[PATH_SIZE];
    const char *commitlog = args_get(a, "commitlog"), *queue_size = args_get(a, "queue-size");
    if (snprintf(path, sizeof path, "%s/commitlog", dir) >= (int)sizeof path)
        return err_set(err, ENAMETOOLONG, "the path %s is too long", dir);
    if (conf_defaults(store_conf_table(), conf, err))
        return -1;
    struct lister l = {.dir = commitlog ? commitlog : path};
    (void)fs_real()->list(fs_real(), l.dir, take_size, &l);
    if (l.size <= 0 || l.size > INT32_MAX)
        return err_set(err, ENOENT,
                       "there are no commit log files in %s: give the directory that holds commitlog, consumequeue and "
                       "config",
                       l.dir);
    conf->mappedFileSizeCommitLog = (int32_t)l.size;
    conf->storePathRootDir = strdup(dir);
    conf->storePathCommitLog = commitlog ? strdup(commitlog) : NULL;
    conf->sharedQueuesFrom = -1;
    conf->messageIndexEnable = false; /* stays as it is */
    return queue_size
               ? conf_set(store_conf_table(), conf, STR_LIT("mappedFileSizeConsumeQueue"), str_from(queue_size), err)
               : 0;
}

int store_tool_unshare(const struct args *a, const char *dir)
{
    struct store_conf conf = {0};
    struct store *s;
    struct err err = {0};
    char path[PATH_SIZE];
    int r = configure(a, dir, &conf, &err);
    if (r == 0)
        r = store_open(&s, &conf, fs_real(), NULL, &err);
    if (r == 0) {
        r = store_start(s, &err);
        store_close(s);
    }
    store_conf_free(&conf);
    if (r)
        return cmd_fail(&err);
    snprintf(path, sizeof path, "%s/sharedqueues", dir);
    if (fs_exists(fs_real(), path))
        return cmd_failf("%s is still there: see the messages above, then try again", path);
    puts("every consume queue has files of its own");
    return 0;
}

#include "namesrv/saved_file.h"

#include "base/log.h"
#include "os/fs.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static int make_folder(const struct fs *fs, const char *path, char *scratch)
{
    strcpy(scratch, path);
    char *slash = strrchr(scratch, '/');
    if (slash == NULL || slash == scratch)
        return 0;
    *slash = '\0';
    return fs_mkdirs(fs, scratch);
}

static int keep_previous(const struct fs *fs, const char *path, char *scratch)
{
    char *previous;
    size_t n;
    if (fs_load(fs, path, SAVED_FILE_MAX, &previous, &n) < 0)
        return 0;
    sprintf(scratch, "%s.bak", path);
    int rc = fs_replace(fs, scratch, previous, n);
    free(previous);
    return rc;
}

int saved_file_write(const char *path, struct str content, struct err *err)
{
    const struct fs *fs = fs_real();
    char *scratch = malloc(strlen(path) + sizeof ".bak");
    int rc = scratch ? make_folder(fs, path, scratch) : -ENOMEM;
    if (rc == 0)
        rc = keep_previous(fs, path, scratch);
    if (rc == 0)
        rc = fs_replace(fs, path, content.ptr, content.len);
    free(scratch);
    if (rc == 0)
        return 0;
    LOG(LOG_ERROR, "namesrv", "cannot save %s: %s", path, strerror(-rc));
    return err_sys(err, -rc, "the change is in effect, but it could not be saved to %s", path);
}

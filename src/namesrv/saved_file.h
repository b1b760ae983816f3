/* Files the name server keeps: replaced as a whole, the previous content stays beside with the ending .bak. Any thread.
 */
#ifndef CROCKET_NAMESRV_SAVED_FILE_H
#define CROCKET_NAMESRV_SAVED_FILE_H

#include "base/err.h"
#include "base/str.h"

enum { SAVED_FILE_MAX = 64 * 1024 * 1024 };

/* Makes missing folders. -1: the change that was to be saved is in effect, and err says why it is not saved. */
int saved_file_write(const char *path, struct str content, struct err *err);

#endif

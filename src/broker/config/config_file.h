/*
 * The JSON files under config/: NAME holds the last saved state, NAME.bak the one before, as Java's broker keeps them.
 *
 * Ownership: a config_saver belongs to its creator, who frees it before what its save function uses. Threads:
 * config_file_* may block; config_saver_wake from any thread, also from an event loop.
 */
#ifndef CROCKET_BROKER_CONFIG_CONFIG_FILE_H
#define CROCKET_BROKER_CONFIG_CONFIG_FILE_H

#include "base/err.h"
#include "base/json.h"

/* "DIR/NAME" in malloc'd memory; NULL when out of memory. */
char *config_file_path(const char *dir, const char *name);
/* Parses NAME, or NAME.bak when NAME is absent, empty or unreadable. *out stays NULL when there is neither. */
int config_file_load(const char *path, struct arena *arena, const struct json **out, struct err *err);
/* At any moment of it, and after a crash, one whole state is found by config_file_load. */
int config_file_save(const char *path, struct str text, struct err *err);

/* Makes the folder that the file is to stand in, durably. 0 or a negative errno value. */
int config_file_make_folder(const char *path);

/* Saves in the background: soon after the first change, and not so often that saving takes much of the machine. */
struct config_saver;
/* save is called on the saver's thread; a failure is logged and tried again. */
struct config_saver *config_saver_new(const char *thread_name, int (*save)(void *arg, struct err *err), void *arg);
void config_saver_wake(struct config_saver *s); /* the thread begins with the first change */
void config_saver_free(struct config_saver *s); /* waits for a save that is under way */

#endif

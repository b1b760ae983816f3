/*
 * Changes of a configuration table (topics, subscription groups) that its JSON file does not have yet, one JSON object
 * a line, in FILE.changes beside it. A change is in the kernel's hands before it is answered, so that it survives the
 * death of this process although the whole file is written only now and then. Java's broker does not know FILE.changes;
 * what it changed meanwhile makes the changes there void.
 *
 *   {"base":{dataVersion},"crc":N}                 the state that the first change began from; crc: of FILE, where the
 *                                                  version alone does not tell that somebody else wrote it
 *   {"version":{dataVersion},"item":{..}}          something was made or changed
 *   {"version":{dataVersion},"deleted":"NAME"}
 *   {"version":{dataVersion}}                      only the version changed
 *
 * Ownership: the manager's. Threads: the caller locks.
 */
#ifndef CROCKET_BROKER_CONFIG_CONFIG_JOURNAL_H
#define CROCKET_BROKER_CONFIG_CONFIG_JOURNAL_H

#include "base/json.h"
#include "remoting/body/data_version.h"

struct config_journal;

struct config_journal *config_journal_new(const char *file_path); /* NULL: out of memory */
void config_journal_free(struct config_journal *j);

/* One change. write NULL: no item; deleted null: nothing deleted. before: the version before the change. A failure is
 * logged; the next whole save makes up for it. */
void config_journal_add(struct config_journal *j, const struct data_version *before, const struct data_version *after,
                        void (*write)(struct jw *w, const void *item), const void *item, struct str deleted);
/* The same for many changes with one write: begin, some puts, commit. */
void config_journal_begin(struct config_journal *j, const struct data_version *before);
void config_journal_put(struct config_journal *j, const struct data_version *after,
                        void (*write)(struct jw *w, const void *item), const void *item, struct str deleted);
void config_journal_commit(struct config_journal *j);
/* Changes that were noted when the handle was taken survive the loss of power. 0 or a negative errno value. Taking it
 * needs the caller's lock, syncing only that nobody else does: it takes as long as the disk does. */
int config_journal_handle(const struct config_journal *j);
int config_journal_sync(struct config_journal *j, int handle);
/* A sync failed: what the file holds is not known any more, and it is not used until the whole file is saved. */
void config_journal_broken(struct config_journal *j, int error);
bool config_journal_failed(const struct config_journal *j); /* it lacks changes until the whole file is saved */
/* The file has everything. */
void config_journal_clear(struct config_journal *j);
/* The next changes follow from a file with this text; a file with another one makes them void. */
void config_journal_follow(struct config_journal *j, struct str text);
/* Whether to note changes instead of writing the whole file, which has so many bytes: for large files, until the notes
 * are half as long. */
bool config_journal_suffices(const struct config_journal *j, size_t file_bytes);

/* A change to be made again; item NULL and deleted null as above. The arena goes after the call. */
typedef bool (*config_journal_fn)(void *arg, struct arena *a, const struct data_version *version,
                                  const struct json *item, struct str deleted);
/* Calls fn for the changes that follow the state `have` (NULL: there is no file). Returns how many; -1: fn failed.
 * Changes that do not follow from it are dropped. */
int64_t config_journal_replay(struct config_journal *j, const struct data_version *have, config_journal_fn fn,
                              void *arg);

#endif

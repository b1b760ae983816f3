/*
 * Rebuilding queues from the log while what is there of them is served already: for a start that would take long.
 *
 * What is found in the durable part of the log becomes visible piece by piece. Nothing is appended until the end of
 * the log is reached, and none of the store's other background work runs: it would take half a queue for a whole one.
 * The marks in the checkpoint follow, so that the next start goes on where this one was ended.
 *
 * Threads: rebuild_new, _start, _stop, _free by whoever opens and closes the store; rebuild_step and _keep by one
 * thread at a time (rebuild_start's, or a test); the rest by any.
 */
#ifndef CROCKET_STORE_REBUILD_H
#define CROCKET_STORE_REBUILD_H

#include "base/err.h"
#include "base/str.h"
#include "store/progress.h"

struct recovery;
struct store;

/* Takes r when it returns 0; the store is rebuilding from now on. */
int rebuild_new(struct store *s, struct recovery *r, struct err *err);
int rebuild_start(struct store *s);
/* One piece; ms until the next. When it was the last, the store is a normal one (its threads run if it was started) and
 * events.rebuilt was called. */
int64_t rebuild_step(struct store *s);
/* Ends the thread; events.rebuilt is not called any more. */
void rebuild_stop(struct store *s);
/* Writes what was found to the files; with sync it is durable, and the next start goes on behind it. Part of the step,
 * now and then. */
void rebuild_keep(struct store *s, bool sync);
void rebuild_free(struct store *s);

/* False: nothing is being rebuilt. */
bool rebuild_text(struct store *s, char out[PROGRESS_TEXT]);
int64_t rebuild_pos(const struct store *s); /* entries of everything below are in the queues */

/* The topic is to be kept in compaction logs, which are opened at the end. False: out of memory. */
bool rebuild_note_compacted(struct store *s, struct str topic, int32_t queues);
bool rebuild_is_compacted(struct store *s, struct str topic);

#endif

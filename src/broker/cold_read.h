/*
 * Reads that would block an event loop: threads that bring the pages of a pull into memory and hand it back to its
 * loop. Ownership: takes a pull between cold_read_submit and pull_warmed. Threads: submit from any loop.
 */
#ifndef CROCKET_BROKER_COLD_READ_H
#define CROCKET_BROKER_COLD_READ_H

#include "base/err.h"

struct pull;
struct store;
struct cold_read;

struct cold_read *cold_read_new(struct store *store, unsigned threads, struct err *err);
void cold_read_submit(struct cold_read *c, struct pull *p);
void cold_read_stop(struct cold_read *c); /* ends the threads; what waits stays unread */
void cold_read_free(struct cold_read *c); /* after the loops have stopped: frees what never got back */

#endif

/*
 * The broker's housekeeping thread: samples statistics, saves consumer offsets, expires clients.
 * Threads: start and stop from the main thread.
 */
#ifndef CROCKET_BROKER_BACKGROUND_H
#define CROCKET_BROKER_BACKGROUND_H

#include "base/err.h"

struct broker;
struct background;

struct background *background_start(struct broker *b, struct err *err);
void background_stop(struct background *bg); /* NULL is fine */
void background_step(struct background *bg); /* one turn, every second */

#endif

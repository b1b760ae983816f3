/*
 * How many messages of each topic wait for their time: config/timermetrics. Ownership: timer_metrics_free. Threads:
 * any; load and save may block.
 */
#ifndef CROCKET_BROKER_TIMER_TIMER_METRICS_H
#define CROCKET_BROKER_TIMER_TIMER_METRICS_H

#include "base/err.h"
#include "base/json.h"

struct timer_metrics;

struct timer_metrics *timer_metrics_new(const char *config_dir);
void timer_metrics_free(struct timer_metrics *m);
int timer_metrics_load(struct timer_metrics *m, struct err *err);
int timer_metrics_save(struct timer_metrics *m, struct err *err); /* nothing when nothing has changed */
void timer_metrics_add(struct timer_metrics *m, struct str topic, int64_t n, int64_t now_ms);
int64_t timer_metrics_count(struct timer_metrics *m, struct str topic);
void timer_metrics_forget(struct timer_metrics *m, struct str topic);
/* {"dataVersion":{..},"timingCount":{TOPIC:{"count":n,"timeStamp":ms}}} */
void timer_metrics_write(struct timer_metrics *m, struct jw *w);

#endif

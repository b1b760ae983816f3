/*
 * How a group takes the messages of a topic: PULL or POP, set by an operator. config/messageRequestMode.json:
 * {"messageRequestModeMap":{TOPIC:{GROUP:{"consumerGroup":..,"mode":..,"popShareQueueNum":..,"topic":..}}}}
 * Threads: any; request_mode_set blocks.
 */
#ifndef CROCKET_BROKER_POP_REQUEST_MODE_H
#define CROCKET_BROKER_POP_REQUEST_MODE_H

#include "base/err.h"
#include "base/json.h"

enum request_mode { REQUEST_MODE_PULL, REQUEST_MODE_POP };

struct request_modes;

/* False: nothing was set. */
bool request_mode_get(struct request_modes *m, struct str topic, struct str group, enum request_mode *mode,
                      int32_t *pop_share);
int request_mode_set(struct request_modes *m, struct str topic, struct str group, enum request_mode mode,
                     int32_t pop_share, struct err *err);
void request_modes_write(struct request_modes *m, struct jw *w);
const char *request_mode_name(enum request_mode mode);

#endif

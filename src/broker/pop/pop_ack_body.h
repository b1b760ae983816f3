/*
 * The body of BATCH_ACK_MESSAGE: {"acks":[{"b":BITS,"c":GROUP,"q":..,"r":KIND,"rq":..,"so":..,"t":TOPIC,...}],
 * "brokerName":..}, BITS in base64. Memory of the arena and of the parsed text. Any thread.
 */
#ifndef CROCKET_BROKER_POP_POP_ACK_BODY_H
#define CROCKET_BROKER_POP_POP_ACK_BODY_H

#include "broker/pop/pop_info.h"
#include "broker/pop/pop_record.h"

struct pop_batch_ack {
    struct pop_key key; /* topic: the retry topic where the messages came from one */
    int32_t revive_queue;
    struct str bits; /* bit i, of the lowest first: start_offset + i */
};

bool pop_batch_ack_read(struct arena *arena, const struct json *entry, struct str broker_name,
                        struct pop_batch_ack *out);

#endif

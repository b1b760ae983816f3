/* What send.c shares with the other senders of the broker (send back, replies). */
#ifndef CROCKET_BROKER_SEND_SEND_H
#define CROCKET_BROKER_SEND_SEND_H

#include "broker/broker_int.h"

/* The address as it is stamped into messages (IPv4 mapped into IPv6 becomes IPv4). Any thread. */
void msg_host_from(struct msg_host *out, const struct net_address *a);

/* Counts messages put into a topic for the statistics. Any thread. */
void topic_count_put(struct stats *stats, struct topic *t, int64_t count, int64_t bytes);

enum { PUT_REMARK_MAX = 512 };

/* Response code and remark of a put that is not stored. Any thread. */
int32_t put_failure(struct broker *b, enum put_status status, char remark[PUT_REMARK_MAX]);

#endif

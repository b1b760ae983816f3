/*
 * RegisterBrokerBody: all that a broker tells a name server about its topics, as JSON or in the compressed form.
 * Memory as in topic_config.h. Any thread.
 */
#ifndef CROCKET_REMOTING_BODY_TOPIC_CONFIG_REGISTER_H
#define CROCKET_REMOTING_BODY_TOPIC_CONFIG_REGISTER_H

#include "base/err.h"
#include "remoting/body/topic_config.h"

enum {
    REGISTER_VERSION_BODY = 37,     /* older brokers send a bare TopicConfigSerializeWrapper */
    REGISTER_VERSION_MAPPING = 413, /* since then the compressed form ends with the static-topic mappings */
};

struct register_broker_body {
    struct topic_config_wrapper topics;
    bool has_filter_servers; /* an absent list leaves what the name server knows */
    struct str *filter_servers;
    size_t filter_server_count;
};

/* body in any form, by the version of the sender. The null view is an empty body. 0, or -1 with err. */
int register_broker_body_read(struct arena *arena, struct str body, bool compressed, int32_t version,
                              struct register_broker_body *out, struct err *err);
void register_broker_body_write(struct jw *w, const struct register_broker_body *b);
/* The compressed form. False when out of memory. */
bool register_broker_body_compress(struct buf *out, const struct register_broker_body *b, int32_t version);

#endif

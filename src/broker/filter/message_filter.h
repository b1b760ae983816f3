/*
 * Is a message wanted by a consumer? One answer for all ways to consume: a consumer's subscription (tags, SQL92) is
 * found or parsed once a request, and then asked for every entry of a queue.
 *
 *     struct message_filter f;
 *     message_filter_parse(&f, b, topic, group, expression, type, version, &err)   the request brings its expression,
 * or message_filter_take(&f, b, subscription)                                    the heartbeats' one is used
 *     store_get(..., message_filter_of(&f), &f, ...)       or, for one message, message_filter_wants(&f, entry, record)
 *     message_filter_done(&f);
 *
 * Ownership: the filter holds references that message_filter_done gives back. Threads: any, one at a time.
 */
#ifndef CROCKET_BROKER_FILTER_MESSAGE_FILTER_H
#define CROCKET_BROKER_FILTER_MESSAGE_FILTER_H

#include "broker/broker_int.h"
#include "broker/filter/consumer_filter.h"

struct message_filter {
    struct subscription *subscription; /* NULL: everything is wanted */
    struct consumer_filter *data;      /* of a subscription that is no list of tags; NULL: lets everything through */
    struct consumer_filters *of_topic; /* of a retry topic: each message's own topic says by which filter; else NULL */
};

/* From what a request says. -1 with err when malformed. */
int message_filter_parse(struct message_filter *f, struct broker *b, struct str topic, struct str group,
                         struct str expression, struct str type, int64_t version, struct err *err);
/* Of a subscription known from heartbeats, whose reference it takes. Where this is an expression, its filter is looked
 * up: f->data stays NULL when there is none. */
void message_filter_take(struct message_filter *f, struct broker *b, struct subscription *s, struct str group);
void message_filter_done(struct message_filter *f);

static inline bool message_filter_is_tag(const struct message_filter *f)
{
    return f->subscription == NULL || str_eqz(f->subscription->type, "TAG");
}

static inline bool message_filter_wants_all(const struct message_filter *f)
{
    return f->subscription == NULL || f->subscription->all || f->subscription->class_filter;
}

/* record NULL: by the entry alone; FILTER_NEED_RECORD then means that the record decides. */
enum filter_verdict message_filter_wants(const struct message_filter *f, const struct store_entry *e,
                                         const struct msg_view *record);
/* The same as a store_filter_fn; arg: the filter. */
enum filter_verdict message_filter_fn(void *arg, const struct store_entry *e, const struct msg_view *record);

/* What the store is to be asked with; NULL: everything is wanted. */
static inline store_filter_fn message_filter_of(const struct message_filter *f)
{
    return message_filter_wants_all(f) ? NULL : message_filter_fn;
}

#endif

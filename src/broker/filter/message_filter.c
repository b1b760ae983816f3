#include "broker/filter/message_filter.h"

#include "base/log.h"

static struct str retry_prefix(void)
{
    return STR_LIT("%RETRY%");
}

/* filterSupportRetry: messages that come back are filtered by the expression for the topic they come from. */
static void look_at_retry(struct message_filter *f, struct broker *b)
{
    if (b->conf->filter_support_retry && str_starts(f->subscription->topic, retry_prefix()))
        f->of_topic = b->filters;
}

/* The group's own, if it says the same: that one knows what entries tell of it, and is compiled. */
static struct consumer_filter *known_filter(struct broker *b, struct str topic, struct str group, struct str expression,
                                            struct str type)
{
    struct consumer_filter *known = consumer_filters_find(b->filters, topic, group);
    if (known && known->sql && str_eq(known->expression, expression) && str_eq(known->type, type))
        return known;
    consumer_filter_release(known);
    return NULL;
}

int message_filter_parse(struct message_filter *f, struct broker *b, struct str topic, struct str group,
                         struct str expression, struct str type, int64_t version, struct err *err)
{
    *f = (struct message_filter){0};
    bool is_tag = subscription_is_tag_type(type);
    if (is_tag && (expression.len == 0 || str_eqz(expression, "*")))
        return 0;
    if (!is_tag) {
        f->data = known_filter(b, topic, group, expression, type);
        if (f->data == NULL)
            f->data = consumer_filter_new(topic, group, expression, type, version, err);
        if (f->data == NULL)
            return -1;
    }
    f->subscription = subscription_parse(topic, expression, type, version);
    if (f->subscription == NULL) {
        message_filter_done(f);
        return err_set(err, 1, "'%.*s' is no list of tags", STR_ARG(expression));
    }
    if (!is_tag)
        look_at_retry(f, b);
    return 0;
}

void message_filter_take(struct message_filter *f, struct broker *b, struct subscription *s, struct str group)
{
    *f = (struct message_filter){.subscription = s};
    if (!message_filter_is_tag(f)) {
        f->data = consumer_filters_find(b->filters, s->topic, group);
        look_at_retry(f, b);
    }
}

void message_filter_done(struct message_filter *f)
{
    subscription_release(f->subscription);
    consumer_filter_release(f->data);
    *f = (struct message_filter){0};
}

static enum filter_verdict by_tag(const struct subscription *s, const struct store_entry *e,
                                  const struct msg_view *record)
{
    int64_t tags_code = e->tags_code;
    /* Java can keep the code apart, in the queue's extension: then the message tells its tag. */
    if (store_is_extension(tags_code)) {
        if (record == NULL)
            return FILTER_NEED_RECORD;
        tags_code = msg_tags_code(record->m.properties);
    }
    return subscription_matches_code(s, tags_code) ? FILTER_YES : FILTER_NO;
}

static enum filter_verdict by_expression(const struct consumer_filter *data, const struct msg_view *record)
{
    if (data == NULL || data->sql == NULL)
        return FILTER_YES;
    enum sql_result r = sql_evaluate(data->sql, record->m.properties);
    if (r == SQL_FAILED)
        LOG_LIMITED(LOG_WARN, "broker",
                    "the filter of group %.*s cannot be applied to a message of topic %.*s, so it is left out: %.*s",
                    STR_ARG(data->group), STR_ARG(data->topic), STR_ARG(data->expression));
    return r == SQL_TRUE ? FILTER_YES : FILTER_NO;
}

static enum filter_verdict of_retry(const struct message_filter *f, const struct msg_view *record)
{
    struct str group = str_skip(f->subscription->topic, retry_prefix().len);
    struct str topic = msg_property(record->m.properties, STR_LIT(MSG_PROP_RETRY_TOPIC));
    struct consumer_filter *data = consumer_filters_find(f->of_topic, topic, group);
    enum filter_verdict v = by_expression(data, record);
    consumer_filter_release(data);
    return v;
}

enum filter_verdict message_filter_wants(const struct message_filter *f, const struct store_entry *e,
                                         const struct msg_view *record)
{
    const struct subscription *s = f->subscription;
    if (message_filter_wants_all(f))
        return FILTER_YES;
    if (message_filter_is_tag(f))
        return by_tag(s, e, record);
    if (f->data == NULL && f->of_topic == NULL)
        return FILTER_YES;
    if (record == NULL)
        return f->of_topic == NULL && consumer_filter_rules_out(f->data, e) ? FILTER_NO : FILTER_NEED_RECORD;
    return f->of_topic ? of_retry(f, record) : by_expression(f->data, record);
}

enum filter_verdict message_filter_fn(void *arg, const struct store_entry *e, const struct msg_view *record)
{
    return message_filter_wants(arg, e, record);
}

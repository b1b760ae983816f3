#include "broker/topic/topic_manager_int.h"

#include <errno.h>
#include <stdlib.h>

static const char *const queue_types[] = {"SimpleCQ", "BatchCQ", NULL};
static const char *const policies[] = {"DELETE", "COMPACTION", NULL};
static const char *const message_types[] = {"NORMAL", "FIFO", "DELAY", "TRANSACTION", "MIXED", "UNSPECIFIED", NULL};

/* values NULL: a whole number from -1 on. */
static const struct attribute {
    const char *name;
    const char *const *values;
    bool changeable;
} known[] = {
    {"queue.type", queue_types, false},
    {"cleanup.policy", policies, false},
    {"message.type", message_types, true},
    {"reserve.time", NULL, true},
};

static const struct attribute *find(struct str name)
{
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (str_eqz(name, known[i].name))
            return &known[i];
    return NULL;
}

static int check_value(const struct attribute *k, struct str value, struct err *err)
{
    int64_t number;
    if (k->values == NULL)
        return str_to_i64(value, &number) && number >= -1
                   ? 0
                   : err_set(err, EINVAL,
                             "the topic attribute %s cannot be '%.*s'; it must be a whole number from -1 on", k->name,
                             STR_ARG(value));
    for (size_t i = 0; k->values[i]; i++)
        if (str_eqz(value, k->values[i]))
            return 0;
    return err_set(err, EINVAL, "value is not in set: the topic attribute %s cannot be '%.*s'", k->name,
                   STR_ARG(value));
}

struct str topic_attribute(const struct topic_config *c, const char *name)
{
    for (size_t i = 0; i < c->attribute_count; i++)
        if (str_eqz(c->attributes[i].key, name))
            return c->attributes[i].value;
    return STR_NULL;
}

bool topic_is_batch(const struct topic_config *c)
{
    return str_eqz(topic_attribute(c, "queue.type"), "BatchCQ");
}

bool topic_is_compacted(const struct topic_config *c)
{
    return str_eqz(topic_attribute(c, "cleanup.policy"), "COMPACTION");
}

static struct topic_attribute *slot(struct topic_attribute *list, size_t n, struct str key)
{
    for (size_t i = 0; i < n; i++)
        if (str_eq(list[i].key, key))
            return &list[i];
    return NULL;
}

static int alter_one(struct topic_attribute *list, size_t *n, struct str key, struct str value, bool is_new,
                     struct err *err)
{
    bool add = key.len && key.ptr[0] == '+';
    struct str name = str_skip(key, 1);
    const struct attribute *k = find(name);
    struct topic_attribute *there = slot(list, *n, name);
    if (k == NULL)
        return err_set(err, EINVAL, "unsupported key: there is no topic attribute '%.*s'", STR_ARG(name));
    if (is_new && !add)
        return err_set(err, EINVAL, "only add attribute is supported while creating topic. key: %s", k->name);
    if (!add && there == NULL)
        return err_set(err, EINVAL, "attempt to delete a nonexistent key: %s", k->name);
    if (!is_new && !k->changeable)
        return err_set(err, EINVAL, "attempt to update an unchangeable attribute. key: %s", k->name);
    if (!add) {
        *there = list[--*n];
        return 0;
    }
    if (check_value(k, value, err) < 0)
        return -1;
    if (there)
        there->value = value;
    else
        list[(*n)++] = (struct topic_attribute){name, value};
    return 0;
}

static bool has_both(const struct topic_config *c)
{
    return topic_is_batch(c) && topic_is_compacted(c);
}

/* A batch has no key of its own. Java's broker makes such a topic, takes batches for it and never gives them to
 * anybody: it reads compaction topics only from their own log, where what has no key is left out. One that Java made
 * may stay. */
static int check_together(const struct topic_config *current, const struct topic_config *c, struct err *err)
{
    if (!has_both(c) || (current && has_both(current)))
        return 0;
    return err_set(
        err, EINVAL,
        "topic %.*s cannot have both queue.type=BatchCQ and cleanup.policy=COMPACTION: a batch has no key to "
        "compact by; leave one of the two out",
        STR_ARG(c->name));
}

static bool has_signs(const struct topic_config *c)
{
    for (size_t i = 0; i < c->attribute_count; i++)
        if (c->attributes[i].key.len == 0 || (c->attributes[i].key.ptr[0] != '+' && c->attributes[i].key.ptr[0] != '-'))
            return false;
    return true;
}

int topic_attributes_alter(struct arena *a, const struct topic_config *current, const struct topic_config *wanted,
                           struct topic_config *out, struct err *err)
{
    *out = *wanted;
    if (!has_signs(wanted))
        return check_together(current, out, err);
    size_t n = current ? current->attribute_count : 0;
    struct topic_attribute *list = arena_alloc(a, (n + wanted->attribute_count + 1) * sizeof *list);
    if (list == NULL)
        return err_set(err, ENOMEM, "out of memory for the attributes of topic %.*s", STR_ARG(wanted->name));
    if (n)
        memcpy(list, current->attributes, n * sizeof *list);
    for (size_t i = 0; i < wanted->attribute_count; i++)
        if (alter_one(list, &n, wanted->attributes[i].key, wanted->attributes[i].value, current == NULL, err) < 0)
            return -1;
    out->attributes = list;
    out->attribute_count = n;
    return check_together(current, out, err);
}

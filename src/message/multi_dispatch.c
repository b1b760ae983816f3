#include "message/multi_dispatch.h"

enum { NAME_MAX_LEN = 255, SEPARATOR = ',' };

bool msg_is_lmq(struct str name)
{
    return str_starts(name, STR_LIT(MSG_LMQ_PREFIX));
}

bool msg_topic_dispatches(struct str topic)
{
    return !str_starts(topic, STR_LIT("%RETRY%")) && !str_starts(topic, STR_LIT("rmq_sys_")) &&
           !str_eqz(topic, "SCHEDULE_TOPIC_XXXX");
}

static bool is_queue_name(struct str name)
{
    return msg_is_lmq(name) && name.len <= NAME_MAX_LEN && memchr(name.ptr, '/', name.len) == NULL &&
           memchr(name.ptr, '\0', name.len) == NULL;
}

struct str msg_multi_names(struct str topic, struct str properties)
{
    struct str names = msg_property(properties, STR_LIT(MSG_PROP_MULTI_DISPATCH));
    return str_trim(names).len && msg_topic_dispatches(topic) ? names : STR_NULL;
}

/* As Java splits: commas at the end separate nothing. */
static struct str without_rest(struct str list)
{
    while (list.len && list.ptr[list.len - 1] == SEPARATOR)
        list.len--;
    return list;
}

bool msg_multi_next(struct str *names, struct str *name, bool *bad)
{
    *names = without_rest(*names);
    if (names->len == 0 || !str_split(names, SEPARATOR, name))
        return false;
    *bad = !is_queue_name(*name);
    return true;
}

bool msg_multi_begin(struct msg_multi *m, struct str topic, struct str properties)
{
    m->offsets = msg_property(properties, STR_LIT(MSG_PROP_MULTI_OFFSET));
    m->names = m->offsets.len ? msg_multi_names(topic, properties) : STR_NULL;
    return m->names.len > 0;
}

bool msg_multi_queue(struct msg_multi *m, struct str *name, int64_t *offset)
{
    struct str number;
    bool bad;
    while (msg_multi_next(&m->names, name, &bad)) {
        if (!str_split(&m->offsets, SEPARATOR, &number))
            return false;
        if (bad)
            continue;
        return str_to_i64(number, offset) && *offset >= 0;
    }
    return false;
}

int64_t msg_multi_offset(struct str topic, struct str properties, struct str queue)
{
    struct msg_multi m;
    struct str name;
    int64_t offset;
    if (msg_multi_begin(&m, topic, properties))
        while (msg_multi_queue(&m, &name, &offset))
            if (str_eq(name, queue))
                return offset;
    return -1;
}

bool msg_inner_batch(struct str properties, int64_t *base, int32_t *messages)
{
    struct str num = msg_property(properties, STR_LIT(MSG_PROP_INNER_NUM));
    int32_t n;
    int64_t first;
    if (num.len == 0 || !str_to_i32(num, &n) || n <= 0 || n > MSG_INNER_MAX ||
        !str_to_i64(msg_property(properties, STR_LIT(MSG_PROP_INNER_BASE)), &first) || first < 0)
        return false;
    *messages = n;
    *base = first;
    return true;
}

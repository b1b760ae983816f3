/* Parsed subscriptions, from expressions (pull requests) and from SubscriptionData (heartbeats). */
#include "base/javahash.h"
#include "broker/client/consumer_manager_int.h"
#include <stdlib.h>

/* A subscription with its texts and lists in one block. */
struct layout {
    size_t tags, codes, text;
};

static struct str take(char **at, struct str s)
{
    struct str copy = str_make(*at, s.len);
    if (s.len)
        memcpy(*at, s.ptr, s.len);
    *at += s.len;
    return copy;
}

static struct subscription *make(struct str topic, struct str expression, struct str type, const struct layout *l,
                                 char **text)
{
    size_t text_len = topic.len + expression.len + type.len + l->text;
    size_t lists = l->tags * sizeof(struct str) + l->codes * sizeof(int32_t);
    struct subscription *s = calloc(1, sizeof *s + lists + text_len + 1);
    if (s == NULL)
        return NULL;
    atomic_init(&s->refs, 1);
    s->tags = (struct str *)(void *)(s + 1);
    s->codes = (int32_t *)(void *)(s->tags + l->tags);
    *text = (char *)(s->codes + l->codes);
    s->topic = take(text, topic);
    s->expression = take(text, expression);
    s->type = take(text, type);
    return s;
}

bool subscription_is_tag_type(struct str type)
{
    return str_blank(type) || str_eqz(type, "TAG");
}

static bool is_all(struct str expression)
{
    return expression.len == 0 || str_eqz(expression, "*");
}

/* The next piece of "a || b"; false at the end. */
static bool next_tag(struct str *rest, struct str *tag)
{
    if (str_is_null(*rest))
        return false;
    ptrdiff_t at = str_find(*rest, STR_LIT("||"));
    *tag = at < 0 ? *rest : str_make(rest->ptr, (size_t)at);
    *rest = at < 0 ? STR_NULL : str_skip(*rest, (size_t)at + 2);
    return true;
}

/* Counts the tags; false when the expression has nothing but separators. */
static bool count_tags(struct str expression, struct layout *l)
{
    struct str rest = expression, tag;
    bool any = false;
    while (next_tag(&rest, &tag)) {
        any |= tag.len > 0;
        tag = str_trim(tag);
        if (tag.len) {
            l->tags++;
            l->text += tag.len;
        }
    }
    l->codes = l->tags;
    return any;
}

struct subscription *subscription_parse(struct str topic, struct str expression, struct str type, int64_t version)
{
    struct layout l = {0};
    char *text;
    bool tags = subscription_is_tag_type(type) && !is_all(expression);
    if (tags && !count_tags(expression, &l))
        return NULL;
    struct subscription *s =
        make(topic, subscription_is_tag_type(type) && is_all(expression) ? STR_LIT("*") : expression,
             subscription_is_tag_type(type) ? STR_LIT("TAG") : type, &l, &text);
    if (s == NULL)
        return NULL;
    s->version = version;
    s->all = subscription_is_tag_type(type) && is_all(expression);
    struct str rest = tags ? s->expression : STR_NULL, tag;
    while (next_tag(&rest, &tag)) {
        tag = str_trim(tag);
        if (tag.len == 0)
            continue;
        s->tags[s->tag_count++] = take(&text, tag);
        s->codes[s->code_count++] = java_hash(tag);
    }
    return s;
}

/* SubscriptionData; its code set is taken as it is, since that is what the client counts on. */
struct subscription *subscription_from_json(const struct json *data)
{
    struct str topic = json_str(data, "topic"), expression = json_str(data, "subString"),
               type = json_str(data, "expressionType");
    const struct json *codes = json_get(data, "codeSet"), *tags = json_get(data, "tagsSet");
    int64_t version = json_i64(data, "subVersion", 0);
    struct layout l = {0};
    char *text;
    if (str_blank(topic))
        return NULL;
    JSON_EACH(code, codes)
    l.codes++;
    JSON_EACH(tag, tags)
    {
        l.tags++;
        l.text += json_text(tag).len;
    }
    if (l.codes == 0 && subscription_is_tag_type(type)) {
        struct subscription *parsed = subscription_parse(topic, expression, type, version);
        if (parsed)
            parsed->class_filter = json_bool(data, "classFilterMode", false);
        return parsed;
    }
    struct subscription *s = make(topic, expression, subscription_is_tag_type(type) ? STR_LIT("TAG") : type, &l, &text);
    if (s == NULL)
        return NULL;
    s->version = version;
    s->class_filter = json_bool(data, "classFilterMode", false);
    s->all = subscription_is_tag_type(type) && is_all(expression);
    JSON_EACH(code, codes)
    s->codes[s->code_count++] = (int32_t)json_int(code, 0);
    JSON_EACH(tag, tags)
    s->tags[s->tag_count++] = take(&text, json_text(tag));
    return s;
}

void subscription_write(const struct subscription *s, struct jw *w)
{
    jw_begin_object(w);
    jw_kbool(w, "classFilterMode", s->class_filter);
    jw_karray(w, "codeSet");
    for (uint32_t i = 0; i < s->code_count; i++)
        jw_i64(w, s->codes[i]);
    jw_end_array(w);
    jw_kstr(w, "expressionType", s->type);
    jw_kstr(w, "subString", s->expression);
    jw_ki64(w, "subVersion", s->version);
    jw_karray(w, "tagsSet");
    for (uint32_t i = 0; i < s->tag_count; i++)
        jw_str(w, s->tags[i]);
    jw_end_array(w);
    jw_kstr(w, "topic", s->topic);
    jw_end_object(w);
}

struct subscription *subscription_retain(struct subscription *s)
{
    atomic_fetch_add_explicit(&s->refs, 1, memory_order_relaxed);
    return s;
}

void subscription_release(struct subscription *s)
{
    if (s && atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel) == 1)
        free(s);
}

bool subscription_matches_code(const struct subscription *s, int64_t tags_code)
{
    /* Of an expression that is no tag list the code tells nothing. */
    if (s->all || s->class_filter || !str_eqz(s->type, "TAG"))
        return true;
    for (uint32_t i = 0; i < s->code_count; i++)
        if (s->codes[i] == (int32_t)tags_code)
            return true;
    return false;
}

#include "remoting/body/topic_config.h"

#include "remoting/body/body_read.h"
#include <stdlib.h>

static const char *const filter_types[] = {"SINGLE_TAG", "MULTI_TAG"};

const char *topic_filter_type_name(enum topic_filter_type type)
{
    return filter_types[type];
}

enum topic_filter_type topic_filter_type_parse(struct str name)
{
    return str_eqz(name, filter_types[TOPIC_FILTER_MULTI_TAG]) ? TOPIC_FILTER_MULTI_TAG : TOPIC_FILTER_SINGLE_TAG;
}

struct str topic_attribute_get(const struct topic_config *c, struct str key)
{
    for (size_t i = 0; i < c->attribute_count; i++)
        if (str_eq(c->attributes[i].key, key))
            return c->attributes[i].value;
    return STR_NULL;
}

bool topic_config_eq(const struct topic_config *a, const struct topic_config *b)
{
    if (!str_eq(a->name, b->name) || a->read_queue_nums != b->read_queue_nums ||
        a->write_queue_nums != b->write_queue_nums || a->perm != b->perm || a->topic_sys_flag != b->topic_sys_flag ||
        a->filter_type != b->filter_type || a->order != b->order || a->attribute_count != b->attribute_count)
        return false;
    for (size_t i = 0; i < a->attribute_count; i++) {
        struct str other = topic_attribute_get(b, a->attributes[i].key);
        if (str_is_null(other) || !str_eq(other, a->attributes[i].value))
            return false;
    }
    return true;
}

static struct str take(char **at, struct str s)
{
    struct str copy = str_make(*at, s.len);
    if (s.len)
        memcpy(*at, s.ptr, s.len);
    *at += s.len;
    return copy;
}

struct topic_config *topic_config_copy(const struct topic_config *c)
{
    size_t text = c->name.len, list = c->attribute_count * sizeof *c->attributes;
    for (size_t i = 0; i < c->attribute_count; i++)
        text += c->attributes[i].key.len + c->attributes[i].value.len;
    struct topic_config *copy = malloc(sizeof *copy + list + text);
    if (copy == NULL)
        return NULL;
    struct topic_attribute *attributes = (struct topic_attribute *)(copy + 1);
    char *at = (char *)(attributes + c->attribute_count);
    *copy = *c;
    copy->name = take(&at, c->name);
    copy->attributes = attributes;
    for (size_t i = 0; i < c->attribute_count; i++) {
        attributes[i].key = take(&at, c->attributes[i].key);
        attributes[i].value = take(&at, c->attributes[i].value);
    }
    return copy;
}

static bool read_attributes(struct arena *arena, const struct json *json, struct topic_config *out)
{
    struct topic_attribute *attributes;
    if (!body_is_object(json))
        return true;
    if (!body_array(arena, json, sizeof *attributes, &attributes))
        return false;
    JSON_EACH(member, json)
    if (member->kind != JSON_NULL)
        attributes[out->attribute_count++] = (struct topic_attribute){json_text(member->key), json_text(member)};
    out->attributes = attributes;
    return true;
}

bool topic_config_read(struct arena *arena, const struct json *json, struct topic_config *out)
{
    *out = (struct topic_config){
        .name = json_str(json, "topicName"),
        .read_queue_nums = body_i32(json, "readQueueNums", 16),
        .write_queue_nums = body_i32(json, "writeQueueNums", 16),
        .perm = body_i32(json, "perm", TOPIC_PERM_READ | TOPIC_PERM_WRITE),
        .topic_sys_flag = body_i32(json, "topicSysFlag", 0),
        .filter_type = topic_filter_type_parse(json_str(json, "topicFilterType")),
        .order = json_bool(json, "order", false),
    };
    return body_is_object(json) && read_attributes(arena, json_get(json, "attributes"), out);
}

static void write_attributes(struct jw *w, const struct topic_config *c)
{
    jw_begin_object(w);
    for (size_t i = 0; i < c->attribute_count; i++) {
        jw_key(w, c->attributes[i].key);
        jw_str(w, c->attributes[i].value);
    }
    jw_end_object(w);
}

void topic_config_write(struct jw *w, const struct topic_config *c)
{
    jw_begin_object(w);
    jw_key(w, STR_LIT("attributes"));
    write_attributes(w, c);
    jw_kbool(w, "order", c->order);
    jw_ki64(w, "perm", c->perm);
    jw_ki64(w, "readQueueNums", c->read_queue_nums);
    jw_kstr(w, "topicFilterType", str_from(topic_filter_type_name(c->filter_type)));
    jw_kstr(w, "topicName", c->name);
    jw_ki64(w, "topicSysFlag", c->topic_sys_flag);
    jw_ki64(w, "writeQueueNums", c->write_queue_nums);
    jw_end_object(w);
}

bool topic_config_read_line(struct arena *arena, struct str line, struct topic_config *out)
{
    struct str read_nums, write_nums, perm, filter_type;
    *out = (struct topic_config){0};
    if (!str_split(&line, ' ', &out->name) || !str_split(&line, ' ', &read_nums) ||
        !str_split(&line, ' ', &write_nums) || !str_split(&line, ' ', &perm) || !str_split(&line, ' ', &filter_type))
        return false;
    if (!str_to_i32(read_nums, &out->read_queue_nums) || !str_to_i32(write_nums, &out->write_queue_nums) ||
        !str_to_i32(perm, &out->perm))
        return false;
    out->filter_type = topic_filter_type_parse(filter_type);
    if (str_blank(line))
        return true;
    /* Attributes that cannot be read are left out: the rest of the line is what a route needs. */
    return read_attributes(arena, json_parse(arena, line, NULL), out);
}

void topic_config_write_line(struct buf *out, const struct topic_config *c)
{
    struct jw w;
    buf_add_str(out, c->name);
    buf_printf(out, " %d %d %d %s ", c->read_queue_nums, c->write_queue_nums, c->perm,
               topic_filter_type_name(c->filter_type));
    jw_init(&w, out);
    write_attributes(&w, c);
}

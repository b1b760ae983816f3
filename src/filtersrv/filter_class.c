/* The code that consumers have uploaded: one for each topic and group. */
#include "base/crc.h"
#include "base/json.h"
#include "base/log.h"
#include "filtersrv/filtersrv_int.h"
#include "remoting/headers_client.h"
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

enum { CLASSES_MAX = 1000, IDLE_MAX_MS = 600000 };

/* ---- the table ---- */

/* Null when the names are too long. */
static struct str key_of(char key[CLASS_KEY_MAX], struct str topic, struct str group)
{
    int n = snprintf(key, CLASS_KEY_MAX, "%.*s@%.*s", STR_ARG(topic), STR_ARG(group));
    return n > 0 && n < CLASS_KEY_MAX && topic.len && group.len ? str_make(key, (size_t)n) : STR_NULL;
}

struct filter_class *filter_class_find(struct filtersrv *f, struct str topic, struct str group)
{
    char key[CLASS_KEY_MAX];
    struct str k = key_of(key, topic, group);
    return k.len ? map_get(&f->classes, k) : NULL;
}

static void free_class(void *value)
{
    struct filter_class *c = value;
    script_free(c->script);
    free(c->name);
    free(c);
}

void filter_classes_free(struct filtersrv *f)
{
    map_free(&f->classes, free_class);
}

/* A client says its code with every heartbeat again: what nobody has said or used for so long is nobody's. */
void filter_classes_expire(struct filtersrv *f)
{
    int64_t now = net_loop_now_ms(f->loop);
    struct map_slot *slot = NULL;
    while ((slot = map_next(&f->classes, slot))) {
        struct filter_class *c = slot->value;
        if (now - c->used_ms < IDLE_MAX_MS)
            continue;
        LOG(LOG_INFO, "filtersrv", "the filter %s of %.*s is dropped: nobody has used it for 10 minutes", c->name,
            STR_ARG(slot->key));
        map_del(&f->classes, slot->key);
        free_class(c);
        slot = NULL; /* the map has changed */
    }
}

/* ---- uploads ---- */

static int check_source(struct filtersrv *f, const struct register_filter_class_req *h, struct str source,
                        struct err *err)
{
    if (source.len == 0)
        return err_set(err, EINVAL, "there is no source");
    if (source.len > f->source_max)
        return err_set(err, EFBIG, "the source has %zu bytes; filterServerMaxSource allows %zu", source.len,
                       f->source_max);
    int32_t crc = (int32_t)crc32_message(source.ptr, source.len);
    if (h->class_crc != 0 && h->class_crc != crc)
        return err_set(err, EINVAL, "classCRC is %d, but the source that arrived has %d: it was changed on its way",
                       h->class_crc, crc);
    return 0;
}

static struct filter_class *class_of(struct filtersrv *f, const struct register_filter_class_req *h, struct err *err)
{
    char key[CLASS_KEY_MAX];
    struct str k = key_of(key, h->topic, h->consumer_group);
    struct filter_class *c = k.len ? map_get(&f->classes, k) : NULL;
    if (c)
        return c;
    if (k.len == 0) {
        err_set(err, EINVAL, "topic or consumerGroup is empty or too long");
        return NULL;
    }
    if (f->classes.count >= CLASSES_MAX) {
        err_set(err, ENOSPC, "this filter server has the filters of %d consumers already", CLASSES_MAX);
        return NULL;
    }
    c = calloc(1, sizeof *c);
    if (c == NULL || (c->name = str_dupz(h->class_name)) == NULL || !map_put(&f->classes, k, c, NULL)) {
        err_set(err, ENOMEM, "out of memory for a filter");
        if (c)
            free_class(c);
        return NULL;
    }
    return c;
}

/* A source that is refused leaves the one before it at work. */
static int take_source(struct filtersrv *f, const struct register_filter_class_req *h, struct str source,
                       struct err *err)
{
    const struct script_context context = {h->consumer_group, h->topic, h->class_name};
    struct filter_class *c = class_of(f, h, err);
    if (c == NULL)
        return -1;
    c->used_ms = net_loop_now_ms(f->loop);
    struct script *script = check_source(f, h, source, err) < 0 ? NULL : script_load(source, &context, &f->limits, err);
    char *name = script ? str_dupz(h->class_name) : NULL;
    if (script && name == NULL)
        err_set(err, ENOMEM, "out of memory for a filter");
    if (name == NULL) {
        script_free(script);
        c->errors++;
        snprintf(c->why, sizeof c->why, "%s", err->text);
        return -1;
    }
    script_free(c->script);
    free(c->name);
    c->script = script;
    c->name = name;
    c->crc = h->class_crc;
    c->why[0] = '\0';
    return 0;
}

static void handle_register(struct rem_request *rq, const void *header)
{
    const struct register_filter_class_req *h = header;
    struct filtersrv *f = rem_role(rq);
    struct filter_class *c = filter_class_find(f, h->topic, h->consumer_group);
    struct err err = {0};
    if (c && c->script && (h->class_crc == c->crc || h->class_crc == 0)) {
        c->used_ms = net_loop_now_ms(f->loop);
        rem_reply(rq, RESP_SUCCESS, NULL);
        return;
    }
    if (take_source(f, h, rem_body(rq), &err) == 0) {
        LOG(LOG_INFO, "filtersrv", "the group %.*s filters topic %.*s by %.*s", STR_ARG(h->consumer_group),
            STR_ARG(h->topic), STR_ARG(h->class_name));
        rem_reply(rq, RESP_SUCCESS, NULL);
        return;
    }
    LOG_LIMITED(LOG_WARN, "filtersrv", "the filter %.*s of group %.*s for topic %.*s is refused: %s",
                STR_ARG(h->class_name), STR_ARG(h->consumer_group), STR_ARG(h->topic), err.text);
    rem_reply(rq, RESP_SYSTEM_ERROR, "registerFilterClass error, consumerGroup: %.*s topic: %.*s className: %.*s, %s",
              STR_ARG(h->consumer_group), STR_ARG(h->topic), STR_ARG(h->class_name), err.text);
}

/* ---- numbers ---- */

static void write_class(struct jw *w, struct str key, const struct filter_class *c)
{
    struct buf name = {0}, text = {0};
    buf_add_lit(&name, "filter_");
    buf_add_str(&name, key);
    buf_printf(&text, "%s messages=%" PRId64 " matched=%" PRId64 " errors=%" PRId64 " steps=%" PRId64 " memory=%zu%s%s",
               c->name, c->messages, c->matched, c->errors, c->steps, c->script ? script_memory(c->script) : 0,
               c->why[0] ? " lastError=" : "", c->why);
    jw_key(w, buf_str(&name));
    jw_str(w, buf_str(&text));
    buf_free(&name);
    buf_free(&text);
}

/* mqadmin brokerStatus -b with the filter server's address. */
static void handle_runtime_info(struct rem_request *rq, const void *header)
{
    struct filtersrv *f = rem_role(rq);
    struct buf body = {0};
    struct jw w;
    jw_init(&w, &body);
    jw_begin_object(&w);
    jw_kobject(&w, "table");
    jw_kstr(&w, "filterServerAddr", str_from(f->address));
    jw_kstr(&w, "brokerAddr", str_from(f->broker));
    for (struct map_slot *s = NULL; (s = map_next(&f->classes, s));)
        write_class(&w, s->key, s->value);
    jw_end_object(&w);
    jw_end_object(&w);
    if (buf_ok(&body))
        rem_reply_body(rq, RESP_SUCCESS, buf_str(&body));
    else
        rem_reply(rq, RESP_SYSTEM_BUSY, "[OVERLOAD]system busy, out of memory for an answer");
    buf_free(&body);
}

const struct rem_op filtersrv_class_ops[] = {
    {REQ_REGISTER_MESSAGE_FILTER_CLASS, "REGISTER_MESSAGE_FILTER_CLASS", &register_filter_class_req_schema,
     handle_register, REM_LANE_LOOP, REM_ACT_SUB, REM_RES_TOPIC},
    {REQ_GET_BROKER_RUNTIME_INFO, "GET_BROKER_RUNTIME_INFO", NULL, handle_runtime_info, REM_LANE_LOOP, REM_ACT_GET,
     REM_RES_CLUSTER},
};
const size_t filtersrv_class_op_count = sizeof filtersrv_class_ops / sizeof filtersrv_class_ops[0];

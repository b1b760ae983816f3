/* config/topics.json: {"dataVersion":{..},"topicConfigTable":{"NAME":{TopicConfig}, ..}} */
#include "base/log.h"
#include "broker/topic/topic_manager_int.h"
#include <errno.h>
#include <stdlib.h>

static int take_topics(void *arg, struct arena *a, const struct json *doc, struct err *err)
{
    struct topic_manager *m = arg;
    JSON_EACH(member, json_get(doc, "topicConfigTable"))
    {
        struct topic_config c;
        if (member->kind != JSON_OBJECT || !topic_config_read(a, member, &c)) {
            LOG(LOG_WARN, "broker", "%s: '%.*s' is no topic, leaving it out", m->file.path,
                STR_ARG(json_text(member->key)));
            continue;
        }
        if (str_blank(c.name))
            c.name = json_text(member->key);
        if (str_blank(c.name) || c.name.len > 255 || c.read_queue_nums < 0 || c.read_queue_nums > TOPIC_MAX_QUEUES ||
            c.write_queue_nums < 0 || c.write_queue_nums > TOPIC_MAX_QUEUES) {
            LOG(LOG_WARN, "broker", "%s: topic '%.*s' has no usable name or queue numbers, leaving it out",
                m->file.path, STR_ARG(c.name));
            continue;
        }
        if (topic_is_batch(&c) && topic_is_compacted(&c))
            LOG(LOG_WARN, "broker",
                "%s: topic %.*s has both queue.type=BatchCQ and cleanup.policy=COMPACTION: it is served like a batch "
                "topic "
                "and not compacted",
                m->file.path, STR_ARG(c.name));
        if (topic_entry_set(m, &c) == NULL)
            return err_set(err, ENOMEM, "out of memory for the topics of %s", m->file.path);
    }
    return 0;
}

static bool change_again(void *arg, struct arena *a, const struct json *item, struct str deleted)
{
    struct topic_manager *m = arg;
    struct topic_config c;
    struct topic_entry *e = str_is_null(deleted) ? NULL : topic_entry_find(m, deleted);
    if (e)
        topic_entry_delete(m, e);
    bool has_config = item && topic_config_read(a, item, &c) && !str_blank(c.name);
    return !has_config || topic_entry_set(m, &c) != NULL;
}

static void write_topics(void *arg, struct jw *w)
{
    struct topic_manager *m = arg;
    struct map_slot *sorted = map_sorted(&m->entries);
    jw_kobject(w, "topicConfigTable");
    for (size_t i = 0; sorted && i < m->entries.count; i++) {
        struct topic_entry *e = sorted[i].value;
        if (atomic_load(&e->t.deleted))
            continue;
        jw_key(w, e->t.name);
        topic_config_write(w, e->config);
    }
    jw_end_object(w);
    if (sorted == NULL && m->entries.count)
        w->out->failed = true;
    free(sorted);
}

const struct config_table_kind topic_file = {"topics", "save-topics", write_topics, take_topics, change_again};

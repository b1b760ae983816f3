/* Finding messages: by offset id, by key, in the queues of a topic. Private to the module. Main thread only. */
#ifndef CROCKET_ADMIN_MESSAGE_FIND_H
#define CROCKET_ADMIN_MESSAGE_FIND_H

#include "admin/admin_int.h"
#include "message/message.h"

struct found_message {
    struct msg_view v;
    struct str broker_name; /* empty when it is not known */
};

/* Copies of the records, in the arena. None found is no error: count 0. */
int message_find_id(struct admin *a, struct str topic, struct str id, struct found_message *out, size_t *count,
                    struct err *err);
struct message_query {
    struct str topic, key;
    bool unique; /* key is a UNIQ_KEY */
    int64_t begin_ms, end_ms, max;
};
int message_find_key(struct admin *a, const struct message_query *q, struct found_message **out, size_t *count,
                     struct err *err);

/* Walks queues from offset to offset. fn answers false to end the walk. */
struct message_walk {
    const struct tool_queue *queue;
    const char *group, *expression; /* NULL: all */
    int64_t from, to;               /* to: not included */
    bool (*fn)(void *arg, const struct message_walk *w, const struct msg_view *v);
    void *arg;
};
int message_walk(struct admin *a, const struct message_walk *w, struct err *err);
/* Offsets of a queue between two times (options beginTimestamp, endTimestamp; NULL: the whole queue). */
int message_range(struct admin *a, const struct tool_queue *q, const char *begin, const char *end, int64_t *from,
                  int64_t *to, struct err *err);

#endif

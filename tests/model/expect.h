/*
 * The naive model: what clients were told, and what may therefore be seen. Messages are numbered; the body says the
 * number. Every sighting of a message is checked here, at once; what must have been seen is checked at the end.
 */
#ifndef CROCKET_TESTS_MODEL_EXPECT_H
#define CROCKET_TESTS_MODEL_EXPECT_H

#include "world.h"

enum topic_id { TOPIC_T, TOPIC_O, TOPIC_RETRY, TOPIC_DLQ, TOPICS };
enum { QUEUES_MAX = 3, MESSAGES_MAX = 6000, PLACES_MAX = 6000, BODY_MAX = 160 };

struct topic_facts {
    const char *name;
    int queues;
};
extern const struct topic_facts topic_facts[TOPICS];

enum kind { PLAIN, ORDERED, LEVEL, TIMED, HALF };

struct message {
    enum kind kind;
    enum topic_id topic;
    int queue;
    bool stored;        /* acknowledged */
    int64_t not_before; /* wall clock: its time of delivery; 0: at once */
    int64_t offset;     /* where the answer says it is, -1 */
    int copies;         /* places of its topic where it is */
    bool may_repeat;    /* something failed while it was on its way */
    /* recalled, rolled back: asked for; and answered */
    bool withdrawing, withdrawn;
    char handle[200]; /* of a recall */
    /* HALF */
    bool committing; /* a commit was sent */
    int commits;     /* so many */
    int64_t half_offset, log_offset;
    bool open; /* its end is still to be sent */
    /* sent back to be tried again */
    int sent_back, maybe_sent_back, retries;
    bool retry_may_repeat;
    bool recall_may_fail; /* its time may have passed before the timer of the next life read it again */
    /* the group that pops */
    int popped; /* deliveries of it that are answered for: acknowledged */
};

struct model {
    struct world *w;
    struct message messages[MESSAGES_MAX];
    int count;
    int32_t place[TOPICS][QUEUES_MAX][PLACES_MAX]; /* message at that offset + 1, 0: not seen yet */
    int64_t end[TOPICS][QUEUES_MAX];               /* behind the last place seen */
    bool clock_went_back;                          /* times of delivery are none any more */
};

static inline bool message_tagged(int id)
{
    return id % 3 == 0;
}

/* A new message, about to be sent; its number. */
int model_new(struct model *m, enum kind kind, enum topic_id topic, int queue, int64_t not_before);
/* Body and properties of a message. */
struct str model_body(int id, char out[BODY_MAX]);
void model_properties(struct buf *out, int id);
/* The number that a body says; checks the rest of it. */
int model_id(struct model *m, struct str body);

/* It was found at that offset of that topic's queue. */
void model_seen(struct model *m, enum topic_id topic, int queue, int64_t offset, int id);
/* It was given to somebody: may it? */
void model_given(struct model *m, int id, const char *to);
/* The process or the machine died: what waited to be delivered may come twice. */
void model_died(struct model *m);
/* All time has passed, and every queue has been read to its end. */
void model_final(struct model *m);

#endif

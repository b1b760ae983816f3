#include "broker/pop/assignment_rules.h"

#include <stdlib.h>

enum assignment_strategy assignment_strategy_of(struct str name)
{
    return str_eqz(name, "AVG") ? ASSIGN_AVERAGELY : str_eqz(name, "AVG_BY_CIRCLE") ? ASSIGN_BY_CIRCLE : ASSIGN_UNKNOWN;
}

static int compare(const void *a, const void *b)
{
    const struct assigned_queue *x = a, *y = b;
    int c = str_cmp(x->broker_name, y->broker_name);
    return c ? c : (x->queue_id > y->queue_id) - (x->queue_id < y->queue_id);
}

void assigned_queues_sort(struct assigned_queue *queues, size_t n)
{
    if (n)
        qsort(queues, n, sizeof *queues, compare);
}

static size_t averagely(const struct assigned_queue *queues, size_t n, size_t me, size_t clients,
                        struct assigned_queue *out)
{
    size_t more = n % clients;
    size_t each = n <= clients ? 1 : n / clients + (more > 0 && me < more);
    size_t start = more > 0 && me < more ? me * each : me * each + more, count = 0;
    for (; count < each && start + count < n; count++)
        out[count] = queues[start + count];
    return count;
}

size_t assign_pull(enum assignment_strategy s, const struct assigned_queue *queues, size_t n, size_t me, size_t clients,
                   struct assigned_queue *out)
{
    size_t count = 0;
    if (me >= clients || n == 0)
        return 0;
    if (s == ASSIGN_AVERAGELY)
        return averagely(queues, n, me, clients, out);
    for (size_t i = me; i < n; i += clients)
        out[count++] = queues[i];
    return count;
}

size_t assign_pop(enum assignment_strategy s, const struct assigned_queue *queues, size_t n, size_t me, size_t clients,
                  int32_t share, struct assigned_queue *out)
{
    size_t count = 0;
    if (share <= 0 || (size_t)share + 1 >= clients) {
        for (size_t i = 0; i < n; i++)
            if (i == 0 || !str_eq(queues[i].broker_name, queues[i - 1].broker_name))
                out[count++] = (struct assigned_queue){queues[i].broker_name, -1};
        return count;
    }
    if (me >= clients || n == 0)
        return 0;
    if (clients > n) {
        out[0] = queues[me % n];
        return 1;
    }
    for (int32_t i = 0; i <= share; i++)
        count += assign_pull(s, queues, n, (me + (size_t)i) % clients, clients, out + count);
    return count;
}

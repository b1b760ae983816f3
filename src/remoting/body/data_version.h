/*
 * DataVersion: the number a broker gives to a state of its topic or group table. Plain value. Any thread.
 */
#ifndef CROCKET_REMOTING_BODY_DATA_VERSION_H
#define CROCKET_REMOTING_BODY_DATA_VERSION_H

#include "base/json.h"

struct data_version {
    int64_t state_version; /* of the replication state machine, 0 without one */
    int64_t timestamp;     /* ms since 1970 of the last change */
    int64_t counter;       /* changes so far */
};

bool data_version_eq(const struct data_version *a, const struct data_version *b); /* all three numbers */
/* Older is less: by state version, then counter, then timestamp. */
int data_version_cmp(const struct data_version *a, const struct data_version *b);
void data_version_next(struct data_version *v, int64_t state_version, int64_t now_ms);

/* Absent members are 0; false and all zero when json is NULL or no object. */
bool data_version_read(const struct json *json, struct data_version *out);
void data_version_write(struct jw *w, const struct data_version *v);

#endif

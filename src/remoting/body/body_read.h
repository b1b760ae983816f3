/*
 * What the readers and writers of bodies share: lists and maps as arrays in an arena. Any thread.
 */
#ifndef CROCKET_REMOTING_BODY_BODY_READ_H
#define CROCKET_REMOTING_BODY_BODY_READ_H

#include "base/json.h"

/* Room for the children of an array or object, zeroed; *out is NULL for none. False when memory ran out. */
bool body_array(struct arena *arena, const struct json *json, size_t item_size, void *out);
/* A list of texts; elements that are null are left out. */
bool body_read_texts(struct arena *arena, const struct json *json, struct str **out, size_t *count);
void body_write_texts(struct jw *w, const char *key, const struct str *texts, size_t count);

/* A number that fits, else the default. */
int32_t body_i32(const struct json *obj, const char *name, int32_t absent);

static inline bool body_is_object(const struct json *json)
{
    return json && json->kind == JSON_OBJECT;
}

#endif

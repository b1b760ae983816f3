/*
 * Java .properties text: comments # and !, separators = : or space, continuation lines, \t \n \r \f \uXXXX escapes.
 * Bytes outside ASCII are taken as they are (UTF-8). Keys and values are views into the given arena; the text may go
 * after parsing. One thread at a time.
 */
#ifndef CROCKET_BASE_PROPERTIES_H
#define CROCKET_BASE_PROPERTIES_H

#include "base/arena.h"
#include "base/err.h"

struct property {
    struct str key;
    struct str value;
};

struct properties {
    struct property *items; /* in the order of the text; a repeated key stands twice, the last one wins */
    size_t count;
};

int properties_parse(struct arena *arena, struct str text, struct properties *out, struct err *err);
/* The value of the last item with that key, or the null view. */
struct str properties_get(const struct properties *p, struct str key);

#endif

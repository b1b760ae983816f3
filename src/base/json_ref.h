/*
 * References inside a parsed document, private to the JSON parser. The list lives in the parser's arena. Any thread.
 */
#ifndef CROCKET_BASE_JSON_REF_H
#define CROCKET_BASE_JSON_REF_H

#include "base/json.h"

enum { JSON_DEPTH_MAX = 64, JSON_NODES_MAX = 4 << 20 };

struct json_ref {
    struct json_ref *next;
    struct json *node; /* the object {"$ref":path}; its text tells the place */
    struct str path;
    unsigned depth; /* of node, the root being 1 */
    bool is_key;
};

/*
 * Makes each node of the list (in document order) a view of its target; children are shared. Without a target a value
 * becomes null and a key stays as it is. `nodes` is what the tree has already, `start` the first byte of
 * the text. -1 with err set when the expanded tree
 * breaks a limit.
 */
int json_refs_resolve(struct json *root, const struct json_ref *refs, size_t nodes, const char *start, struct err *err);

#endif

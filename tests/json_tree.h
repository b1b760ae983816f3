/*
 * Writes a parsed JSON tree back as text, for tests that compare what was read. Numbers no int64 can hold keep their
 * text. Owns nothing; any thread.
 */
#ifndef CROCKET_TESTS_JSON_TREE_H
#define CROCKET_TESTS_JSON_TREE_H

#include "base/json.h"

static inline void json_tree_write(struct jw *w, const struct json *node);

static inline void json_tree_write_key(struct jw *w, const struct json *key)
{
    if (key->kind == JSON_INT) {
        jw_key_i64(w, key->i, false);
    } else if (key->kind == JSON_STRING) {
        jw_key(w, key->text);
    } else {
        jw_key_object_begin(w);
        json_tree_write(w, key);
        jw_key_object_end(w);
    }
}

static inline void json_tree_write(struct jw *w, const struct json *node)
{
    switch (node->kind) {
    case JSON_NULL:
        jw_null(w);
        break;
    case JSON_BOOL:
        jw_bool(w, node->b);
        break;
    case JSON_INT:
        jw_i64(w, node->i);
        break;
    case JSON_DOUBLE:
        jw_raw(w, node->text);
        break;
    case JSON_STRING:
        jw_str(w, node->text);
        break;
    case JSON_ARRAY:
        jw_begin_array(w);
        JSON_EACH(child, node)
        {
            json_tree_write(w, child);
        }
        jw_end_array(w);
        break;
    case JSON_OBJECT:
        jw_begin_object(w);
        JSON_EACH(child, node)
        {
            json_tree_write_key(w, child->key);
            json_tree_write(w, child);
        }
        jw_end_object(w);
        break;
    }
}

#endif

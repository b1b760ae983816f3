/*
 * JSON in the fastjson dialect that RocketMQ peers speak: unquoted integer keys and names, whole objects as map keys,
 * single quotes, comments, trailing commas are read. {"$ref":"$.a.b[0]"} becomes what stands at that path, earlier in
 * the text; a reference to an enclosing value ("@", "..", "$") or to nothing becomes null (in a key it stays as it is),
 * so the tree has no cycles. The tree lives in the caller's arena and strings without escapes are views of the parsed
 * text: both must outlive the tree. The writer appends to the caller's buf. One thread at a time.
 */
#ifndef CROCKET_BASE_JSON_H
#define CROCKET_BASE_JSON_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"

enum json_kind { JSON_NULL, JSON_BOOL, JSON_INT, JSON_DOUBLE, JSON_STRING, JSON_ARRAY, JSON_OBJECT };

struct json {
    enum json_kind kind;
    uint32_t count;    /* children of an array or object */
    struct json *key;  /* in an object: a STRING, INT or OBJECT node; NULL elsewhere */
    struct json *next; /* next sibling */
    struct str text;   /* STRING: the unescaped value; all others: the source text */
    union {
        bool b;
        int64_t i;
        double d;
        struct json *first;
    };
};

/*
 * At most 64 levels deep and 4 M nodes, references expanded; keys count as nodes. NULL with err set (position and
 * reason) when the text is not acceptable.
 */
struct json *json_parse(struct arena *arena, struct str text, struct err *err);

#define JSON_EACH(child, parent)                                                                                       \
    for (const struct json *child = ((parent) && (parent)->kind >= JSON_ARRAY) ? (parent)->first : NULL; child;        \
         child = child->next)

/*
 * Members by name; obj may be NULL or no object: then absent. A number key is found by its decimal text. Of a name that
 * stands twice the last one counts.
 */
const struct json *json_get(const struct json *obj, const char *name);
struct str json_str(const struct json *obj, const char *name); /* null view when absent or JSON null; numbers as text */
int64_t json_i64(const struct json *obj, const char *name, int64_t absent); /* also from a string holding a number */
bool json_bool(const struct json *obj, const char *name, bool absent);
double json_double(const struct json *obj, const char *name, double absent);
/* The value of one node, converted the same way. */
struct str json_text(const struct json *node);
int64_t json_int(const struct json *node, int64_t absent);
/* The key of a map member as an object: one that stands in place, or a string holding its JSON text. NULL: neither. */
const struct json *json_key_object(struct arena *arena, const struct json *member);

/* Writer. Commas and colons are put by the writer; the caller keeps the order of begin and end right. */
struct jw {
    struct buf *out;
    bool pretty;           /* one member a line, indented by tabs, as fastjson's pretty format of the config files */
    bool escape_non_ascii; /* \uXXXX for everything outside ASCII (strict route bodies) */
    int depth;
    bool first;     /* no comma before the next element */
    bool after_key; /* the next element is a member's value */
};

void jw_init(struct jw *w, struct buf *out);
void jw_begin_object(struct jw *w);
void jw_end_object(struct jw *w);
void jw_begin_array(struct jw *w);
void jw_end_array(struct jw *w);
void jw_key(struct jw *w, struct str key);
void jw_key_i64(struct jw *w, int64_t key, bool quoted);
/* A key that is itself a JSON value (fastjson map with bean keys): begin, write the key's value, end. */
void jw_key_object_begin(struct jw *w);
void jw_key_object_end(struct jw *w);
void jw_str(struct jw *w, struct str value); /* null view: null */
void jw_i64(struct jw *w, int64_t value);
void jw_double(struct jw *w, double value); /* always with a fraction: 0.0; null when not finite */
void jw_bool(struct jw *w, bool value);
void jw_null(struct jw *w);
void jw_raw(struct jw *w, struct str json);          /* already JSON */
void jw_node(struct jw *w, const struct json *node); /* a parsed value; members that are null are left out */

/* A member in one call. */
void jw_kstr(struct jw *w, const char *key, struct str value); /* omitted when the view is null */
void jw_ki64(struct jw *w, const char *key, int64_t value);
void jw_kdouble(struct jw *w, const char *key, double value);
void jw_kbool(struct jw *w, const char *key, bool value);
void jw_kobject(struct jw *w, const char *key); /* key and begin_object */
void jw_karray(struct jw *w, const char *key);

#endif

/*
 * fastjson writes {"$ref":"$.path"} where an object it has written before stands again. So a good target lies wholly
 * before the reference, and its own references are resolved by the time it is needed: one pass in document order is
 * enough, and sharing the target's children makes no cycle. Sharing can still make a small text a huge tree (each level
 * referring twice to the level before), hence the budget counts what a walk over the expanded tree would visit.
 */
#include "base/json_ref.h"

#include <errno.h>

struct resolver {
    size_t visited; /* nodes in the tree and nodes looked at: bounds the expanded size and the time */
    bool too_deep;
};

static bool spend(struct resolver *r, size_t n)
{
    r->visited += n;
    return r->visited <= JSON_NODES_MAX;
}

/* Path names escape every character that is no letter or digit by a backslash. */
static bool name_is(struct str key, struct str escaped)
{
    size_t k = 0;
    for (size_t i = 0; i < escaped.len; i++, k++) {
        if (escaped.ptr[i] == '\\' && i + 1 < escaped.len)
            i++;
        if (k >= key.len || key.ptr[k] != escaped.ptr[i])
            return false;
    }
    return k == key.len;
}

/*
 * fastjson calls every object that is a map key "null". With one such key in the map that is clear enough, with more
 * nobody can tell which one was meant.
 */
static struct json *only_key_object(struct resolver *r, struct json *object)
{
    struct json *found = NULL;
    for (struct json *child = object->first; child && spend(r, 1); child = child->next) {
        if (child->key->kind != JSON_OBJECT)
            continue;
        if (found)
            return NULL;
        found = child->key;
    }
    return found;
}

static struct json *member(struct resolver *r, struct json *object, struct str escaped)
{
    struct json *found = NULL;
    for (struct json *child = object->first; child && spend(r, 1); child = child->next)
        if (child->key->kind != JSON_OBJECT && name_is(child->key->text, escaped))
            found = child;
    return found || !str_eq(escaped, STR_LIT("null")) ? found : only_key_object(r, object);
}

static struct json *element(struct resolver *r, struct json *array, int64_t index)
{
    if (index < 0 || index >= array->count || !spend(r, (size_t)index))
        return NULL;
    struct json *child = array->first;
    while (index-- > 0)
        child = child->next;
    return child;
}

/* Takes one step, ".name" or "[index]", from the front of the path. NULL when it leads nowhere. */
static struct json *step(struct resolver *r, struct json *at, struct str *path)
{
    size_t n = 1;
    if (path->ptr[0] == '.') {
        while (n < path->len && path->ptr[n] != '.' && path->ptr[n] != '[')
            n += path->ptr[n] == '\\' && n + 1 < path->len ? 2 : 1;
    } else if (path->ptr[0] == '[') {
        while (n < path->len && path->ptr[n] != ']')
            n++;
    } else {
        return NULL;
    }
    struct str name = str_make(path->ptr + 1, n - 1);
    *path = str_skip(*path, path->ptr[0] == '[' ? n + 1 : n);
    int64_t index;
    if (at->kind == JSON_OBJECT)
        return member(r, at, name);
    return at->kind == JSON_ARRAY && str_to_i64(name, &index) ? element(r, at, index) : NULL;
}

/* The array or object at the path when it ends before `place`, else NULL. */
static struct json *find(struct resolver *r, struct json *root, struct str path, const char *place)
{
    if (path.len == 0 || path.ptr[0] != '$')
        return NULL;
    struct json *at = root;
    path = str_skip(path, 1);
    while (at && path.len > 0)
        at = step(r, at, &path);
    bool before = at && at->kind >= JSON_ARRAY && at->text.ptr + at->text.len <= place;
    return before ? at : NULL;
}

/* Walks what the reference adds to the tree; false when that breaks a limit. */
static bool measure(struct resolver *r, const struct json *node, unsigned depth)
{
    r->too_deep = node->kind >= JSON_ARRAY && ++depth > JSON_DEPTH_MAX;
    if (r->too_deep || !spend(r, 1))
        return false;
    JSON_EACH(child, node)
    {
        if ((child->key && !measure(r, child->key, depth)) || !measure(r, child, depth))
            return false;
    }
    return true;
}

static bool resolve(struct resolver *r, struct json *root, const struct json_ref *ref)
{
    struct json *node = ref->node;
    struct json *target = find(r, root, ref->path, node->text.ptr);
    if (target && (!ref->is_key || target->kind == JSON_OBJECT)) {
        node->kind = target->kind;
        node->count = target->count;
        node->first = target->first;
        node->text = target->text;
        return measure(r, node, ref->depth - 1);
    }
    if (!ref->is_key) {
        node->kind = JSON_NULL;
        node->count = 0;
        node->first = NULL;
    }
    return r->visited <= JSON_NODES_MAX;
}

int json_refs_resolve(struct json *root, const struct json_ref *refs, size_t nodes, const char *start, struct err *err)
{
    struct resolver r = {.visited = nodes};
    for (const struct json_ref *ref = refs; ref; ref = ref->next) {
        size_t at = (size_t)(ref->node->text.ptr - start);
        if (resolve(&r, root, ref))
            continue;
        if (r.too_deep)
            return err_set(err, E2BIG,
                           "JSON byte %zu: with the reference \"%.*s\" the text is more than %d levels deep", at,
                           STR_ARG(ref->path), (int)JSON_DEPTH_MAX);
        return err_set(err, E2BIG, "JSON byte %zu: with the reference \"%.*s\" the text has more than %d values", at,
                       STR_ARG(ref->path), (int)JSON_NODES_MAX);
    }
    return 0;
}

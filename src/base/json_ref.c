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

static struct json *member(struct resolver *r, struct json *object, struct str escaped)
{
    struct json *found = NULL;
    for (struct json *child = object->first; child && spend(r, 1); child = child->next)
        if (name_is(child->key->text, escaped))
            found = child;
    return found;
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

static bool measure(struct resolver *r, const struct json *node, unsigned depth)
{
    if (depth > JSON_DEPTH_MAX) {
        r->too_deep = true;
        return false;
    }
    if (!spend(r, 1) || (node->key && !measure(r, node->key, depth)))
        return false;
    JSON_EACH(child, node)
    {
        if (!measure(r, child, depth + (child->kind >= JSON_ARRAY)))
            return false;
    }
    return true;
}

int json_refs_resolve(struct json *root, const struct json_ref *refs, size_t nodes, struct err *err)
{
    struct resolver r = {.visited = nodes};
    for (const struct json_ref *ref = refs; ref; ref = ref->next) {
        struct json *target = find(&r, root, ref->path, ref->node->text.ptr);
        if (target && measure(&r, target, ref->depth)) {
            ref->node->kind = target->kind;
            ref->node->count = target->count;
            ref->node->first = target->first;
            ref->node->text = target->text;
        }
        if (r.too_deep)
            return err_set(err, E2BIG,
                           "JSON byte %zu: with the reference \"%.*s\" the text is more than %d levels deep",
                           (size_t)(ref->node->text.ptr - root->text.ptr), STR_ARG(ref->path), (int)JSON_DEPTH_MAX);
        if (r.visited > JSON_NODES_MAX)
            return err_set(err, E2BIG, "JSON byte %zu: with the reference \"%.*s\" the text has more than %d values",
                           (size_t)(ref->node->text.ptr - root->text.ptr), STR_ARG(ref->path), (int)JSON_NODES_MAX);
    }
    return 0;
}

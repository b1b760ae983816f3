/*
 * JSON: whatever is accepted can be written, and the written text reads back as the same tree. Trees that references
 * made big are only walked: writing them would take the time of thousands of other inputs.
 */
#include "../json_tree.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { NODES_WRITTEN_MAX = 20000 };

/* Counts up to the limit; a key "$ref" that is left is counted as too much, for in the written text it can mean more.
 */
static size_t count_nodes(const struct json *node, size_t seen)
{
    seen++;
    JSON_EACH(child, node)
    {
        if (seen > NODES_WRITTEN_MAX)
            break;
        if (child->key) {
            bool reference = child->key->kind == JSON_STRING && str_eqz(child->key->text, "$ref");
            seen = reference ? NODES_WRITTEN_MAX + 1 : count_nodes(child->key, seen);
        }
        seen = count_nodes(child, seen);
    }
    return seen;
}

static struct buf write_tree(const struct json *root, bool pretty, bool ascii)
{
    struct buf out = {0};
    struct jw w;
    jw_init(&w, &out);
    w.pretty = pretty;
    w.escape_non_ascii = ascii;
    json_tree_write(&w, root);
    return out;
}

static void expect_same(struct arena *a, struct str text, struct str expected)
{
    struct json *root = json_parse(a, text, NULL);
    if (root == NULL)
        abort();
    struct buf again = write_tree(root, false, false);
    if (!str_eq(buf_str(&again), expected))
        abort();
    buf_free(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena a = {0};
    struct err err = {0};
    const struct json *root = json_parse(&a, str_make(data, size), &err);
    if ((root == NULL) != (err.code != 0))
        abort();
    if (root && count_nodes(root, 0) <= NODES_WRITTEN_MAX) {
        struct buf plain = write_tree(root, false, false);
        struct buf pretty = write_tree(root, true, false);
        struct buf ascii = write_tree(root, false, true);
        expect_same(&a, buf_str(&plain), buf_str(&plain));
        expect_same(&a, buf_str(&pretty), buf_str(&plain));
        expect_same(&a, buf_str(&ascii), buf_str(&plain));
        buf_free(&plain);
        buf_free(&pretty);
        buf_free(&ascii);
    }
    arena_free(&a);
    return 0;
}

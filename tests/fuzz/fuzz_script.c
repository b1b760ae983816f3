/*
 * User code: input is a Lua source, a zero byte, a message's properties, a zero byte, and its body. Whatever it is,
 * loading and running it ends within its limits, and an error has a text.
 */
#include "filter/script.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const struct script_limits limits = {.steps = 20000, .memory = 256 * 1024};
static const struct script_context context = {STR_LIT("GID"), STR_LIT("topic"), STR_LIT("fuzz")};

static void run(struct str source, const struct msg_view *v)
{
    struct err err = {0};
    struct script *s = script_load(source, &context, &limits, &err);
    if (s == NULL) {
        if (err.text[0] == '\0')
            abort();
        return;
    }
    enum script_result r = script_match(s, v, &err);
    if (script_memory(s) > limits.memory || (r == SCRIPT_FAILED && (err.text[0] == '\0' || script_memory(s) != 0)))
        abort();
    script_match(s, v, &err);
    script_free(s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str rest = str_make(data, size), source, properties;
    struct msg_view v = {.m = {.topic = STR_LIT("topic"), .born_host.addr_len = 4, .store_host.addr_len = 16}};
    if (!str_split(&rest, '\0', &source) || !str_split(&rest, '\0', &properties))
        return 0;
    v.m.properties = properties;
    v.m.body = rest;
    v.m.sys_flag = rest.len & 1 ? MSG_FLAG_COMPRESSED : 0;
    run(source, &v);
    return 0;
}

#include "store/store_conf.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

static const char *const flush_types[] = {"ASYNC_FLUSH", "SYNC_FLUSH", NULL};
static const char *const roles[] = {"ASYNC_MASTER", "SYNC_MASTER", "SLAVE", NULL};

#define AT(name)                                   offsetof(struct store_conf, name)
#define ROW_B(name, def, is_live, text)            {#name, CONF_BOOL, AT(name), def, 0, 0, NULL, is_live, text},
#define ROW_I(name, def, low, high, is_live, text) {#name, CONF_I32, AT(name), def, low, high, NULL, is_live, text},
#define ROW_L(name, def, low, high, is_live, text) {#name, CONF_I64, AT(name), def, low, high, NULL, is_live, text},
#define ROW_S(name, def, is_live, text)            {#name, CONF_STR, AT(name), def, 0, 0, NULL, is_live, text},
#define ROW_E(name, words, def, is_live, text)     {#name, CONF_ENUM, AT(name), def, 0, 0, words, is_live, text},

static const struct conf_key keys[] = {STORE_CONF_KEYS(ROW_B, ROW_I, ROW_L, ROW_S, ROW_E)};

const struct conf_table *store_conf_table(void)
{
    static const struct conf_table table = {"store", keys, sizeof keys / sizeof keys[0]};
    return &table;
}

int store_conf_copy(struct store_conf *to, const struct store_conf *from, struct err *err)
{
    bool failed = false;
    *to = *from;
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        if (keys[i].type != CONF_STR)
            continue;
        char *text, *copy;
        memcpy(&text, (const char *)from + keys[i].offset, sizeof text);
        copy = text ? strdup(text) : NULL;
        failed |= text && copy == NULL;
        memcpy((char *)to + keys[i].offset, &copy, sizeof copy);
    }
    if (!failed)
        return 0;
    store_conf_free(to);
    return err_set(err, ENOMEM, "out of memory while copying the store's configuration");
}

void store_conf_free(struct store_conf *c)
{
    conf_free(store_conf_table(), c);
}

#include "namesrv/namesrv_conf.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#define AT(name)                                   offsetof(struct namesrv_conf, name)
#define ROW_B(name, def, is_live, text)            {#name, CONF_BOOL, AT(name), def, 0, 0, NULL, is_live, text},
#define ROW_I(name, def, low, high, is_live, text) {#name, CONF_I32, AT(name), def, low, high, NULL, is_live, text},
#define ROW_L(name, def, low, high, is_live, text) {#name, CONF_I64, AT(name), def, low, high, NULL, is_live, text},
#define ROW_S(name, def, is_live, text)            {#name, CONF_STR, AT(name), def, 0, 0, NULL, is_live, text},

static const struct conf_key keys[] = {NAMESRV_CONF_KEYS(ROW_B, ROW_I, ROW_L, ROW_S)};

const struct conf_table namesrv_conf_table = {"name server", keys, sizeof keys / sizeof keys[0]};

int namesrv_conf_copy(struct namesrv_conf *to, const struct namesrv_conf *from, struct err *err)
{
    bool failed = false;
    *to = *from;
    for (size_t i = 0; i < namesrv_conf_table.count; i++) {
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
    namesrv_conf_free(to);
    return err_set(err, ENOMEM, "out of memory while copying the name server's configuration");
}

void namesrv_conf_free(struct namesrv_conf *c)
{
    conf_free(&namesrv_conf_table, c);
}

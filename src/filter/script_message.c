/*
 * The message as a script sees it: a userdata whose fields are fetched when they are asked for, the body unpacked only
 * then. It is always the message of the call; one that a script keeps says so.
 */
#include "base/inflate.h"
#include "filter/script_int.h"

/* Of an unpacked body, what the script may hold in all: more than that it could not take anyway. */
static struct str plain_body(lua_State *L, struct script *s)
{
    const struct msg *m = &s->message->m;
    if (!(m->sys_flag & MSG_FLAG_COMPRESSED))
        return m->body;
    int kind = msg_compression(m->sys_flag);
    if (kind != MSG_ZLIB && kind != MSG_ZLIB_OF_OLD)
        luaL_error(L, "message.body: it is packed by %s, which the filter server cannot read; send it with ZLIB",
                   kind == MSG_LZ4    ? "LZ4"
                   : kind == MSG_ZSTD ? "ZSTD"
                                      : "an unknown method");
    if (!s->plain_is_made) {
        script_spend(L, (int64_t)m->body.len);
        enum inflate_result r = inflate_zlib(m->body, s->limits.memory, &s->plain);
        if (r == INFLATE_TOO_LARGE || r == INFLATE_NO_MEMORY) {
            s->memory_was_short = true;
            luaL_error(L, "not enough memory");
        }
        if (r == INFLATE_DAMAGED)
            luaL_error(L, "message.body: it says that it is packed by ZLIB, but it cannot be unpacked");
        s->plain_is_made = true;
    }
    return buf_str(&s->plain);
}

static void push(lua_State *L, struct str text)
{
    if (str_is_null(text))
        lua_pushnil(L);
    else
        lua_pushlstring(L, text.ptr, text.len);
}

static void push_host(lua_State *L, const struct msg_host *h)
{
    char text[80];
    const uint8_t *a = h->addr;
    size_t n = 0;
    if (h->addr_len == 4) {
        n = (size_t)snprintf(text, sizeof text, "%u.%u.%u.%u:%d", a[0], a[1], a[2], a[3], h->port);
    } else {
        for (int i = 0; i < 16; i += 2)
            n += (size_t)snprintf(text + n, sizeof text - n, "%s%x", i ? ":" : "[", a[i] << 8 | a[i + 1]);
        n += (size_t)snprintf(text + n, sizeof text - n, "]:%d", h->port);
    }
    lua_pushlstring(L, text, n);
}

static void push_body(lua_State *L, struct script *s)
{
    push(L, plain_body(L, s));
}

static void push_topic(lua_State *L, struct script *s)
{
    push(L, s->message->m.topic);
}

static void push_tags(lua_State *L, struct script *s)
{
    push(L, msg_property(s->message->m.properties, STR_LIT(MSG_PROP_TAGS)));
}

static void push_keys(lua_State *L, struct script *s)
{
    push(L, msg_property(s->message->m.properties, STR_LIT(MSG_PROP_KEYS)));
}

static void push_born_host(lua_State *L, struct script *s)
{
    push_host(L, &s->message->m.born_host);
}

static void push_store_host(lua_State *L, struct script *s)
{
    push_host(L, &s->message->m.store_host);
}

/* Upvalue 2 of the fields' function. */
static void push_properties(lua_State *L, struct script *s)
{
    lua_pushvalue(L, lua_upvalueindex(2));
}

#define NUMBER(name, member)                                                                                           \
    static void push_##name(lua_State *L, struct script *s)                                                            \
    {                                                                                                                  \
        lua_pushinteger(L, s->message->m.member);                                                                      \
    }
NUMBER(flag, flag)
NUMBER(queue_id, queue_id)
NUMBER(queue_offset, queue_offset)
NUMBER(born_time, born_time)
NUMBER(store_time, store_time)
NUMBER(reconsume_times, reconsume_times)
#undef NUMBER

static const struct field {
    const char *name;
    void (*push)(lua_State *L, struct script *s);
} fields[] = {
    {"body", push_body},
    {"topic", push_topic},
    {"tags", push_tags},
    {"keys", push_keys},
    {"properties", push_properties},
    {"flag", push_flag},
    {"queueId", push_queue_id},
    {"queueOffset", push_queue_offset},
    {"bornTimestamp", push_born_time},
    {"storeTimestamp", push_store_time},
    {"bornHost", push_born_host},
    {"storeHost", push_store_host},
    {"reconsumeTimes", push_reconsume_times},
};
enum { FIELDS = sizeof fields / sizeof fields[0] };

static struct script *in_call(lua_State *L)
{
    struct script *s = script_of(L);
    if (s->message == NULL)
        luaL_error(L, "there is no message yet: the filter is called with one later");
    return s;
}

/* message.NAME; upvalue 1: from names to places in the table. */
static int message_index(lua_State *L)
{
    struct script *s = in_call(L);
    lua_settop(L, 2);
    lua_pushvalue(L, 2);
    lua_rawget(L, lua_upvalueindex(1));
    lua_Integer at = lua_tointeger(L, -1);
    if (at < 1 || at > FIELDS) /* answering nil would let a slip of the pen refuse every message */
        return luaL_error(L, "a message has no field '%s'; properties are in message.properties",
                          lua_type(L, 2) == LUA_TSTRING ? lua_tostring(L, 2) : luaL_typename(L, 2));
    fields[at - 1].push(L, s);
    return 1;
}

static int read_only(lua_State *L)
{
    return luaL_error(L, "a message cannot be changed by its filter");
}

static int properties_index(lua_State *L)
{
    struct script *s = in_call(L);
    size_t len;
    if (lua_type(L, 2) != LUA_TSTRING) {
        lua_pushnil(L);
        return 1;
    }
    const char *name = lua_tolstring(L, 2, &len);
    script_spend(L, (int64_t)(s->message->m.properties.len / 32));
    push(L, msg_property(s->message->m.properties, str_make(name, len)));
    return 1;
}

/* pairs(message.properties): of a table made of them; upvalue 1 is next. */
static int properties_pairs(lua_State *L)
{
    struct script *s = in_call(L);
    struct str rest = s->message->m.properties, name, value;
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_newtable(L);
    while (msg_property_next(&rest, &name, &value)) {
        script_spend(L, 10);
        push(L, name);
        push(L, value);
        lua_rawset(L, -3);
    }
    lua_pushnil(L);
    return 3;
}

static void push_properties_proxy(lua_State *L)
{
    lua_newuserdatauv(L, 0, 0);
    lua_createtable(L, 0, 4);
    lua_pushcfunction(L, properties_index);
    lua_setfield(L, -2, "__index");
    lua_pushcfunction(L, read_only);
    lua_setfield(L, -2, "__newindex");
    lua_getglobal(L, "next");
    lua_pushcclosure(L, properties_pairs, 1);
    lua_setfield(L, -2, "__pairs");
    lua_pushliteral(L, "properties");
    lua_setfield(L, -2, "__name");
    lua_setmetatable(L, -2);
}

void script_push_message(lua_State *L)
{
    lua_newuserdatauv(L, 0, 0);
    lua_createtable(L, 0, 3);
    lua_createtable(L, 0, FIELDS);
    for (int i = 0; i < FIELDS; i++) {
        lua_pushinteger(L, i + 1);
        lua_setfield(L, -2, fields[i].name);
    }
    push_properties_proxy(L);
    lua_pushcclosure(L, message_index, 2);
    lua_setfield(L, -2, "__index");
    lua_pushcfunction(L, read_only);
    lua_setfield(L, -2, "__newindex");
    lua_pushliteral(L, "message");
    lua_setfield(L, -2, "__name");
    lua_setmetatable(L, -2);
}

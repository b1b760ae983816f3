/*
 * What of Lua's library a script sees: a list of what can do no harm, never all but some. Left out are
 *   - what reaches out of the state: io, os, package, require, load*, dofile, debug, print, warn;
 *   - what would take errors away from the limits: pcall, xpcall, coroutines;
 *   - metatables: finalizers run where limits do not reach, and __len, __index make C loops of the library long;
 *   - what loops in C by numbers alone: table.insert, remove, move, sort;
 *   - what makes code or looks into the state: string.dump, collectgarbage.
 * Lua's own patterns can take ages in C, so find, match and gmatch are ours (script_pattern.c) and gsub is missing. So
 * can its string.rep of an empty text, which is asked for here.
 */
#include "filter/script_int.h"

enum { CHARS_A_STEP = 16 };

/* Functions that go through a text without making one: their texts' lengths are charged. */
#define CHARGED  true
#define AS_IT_IS false

static const struct entry {
    const char *library, *name;
    bool charged;
} entries[] = {
    {NULL, "assert", AS_IT_IS},      {NULL, "error", AS_IT_IS},      {NULL, "ipairs", AS_IT_IS},
    {NULL, "next", AS_IT_IS},        {NULL, "pairs", AS_IT_IS},      {NULL, "rawequal", AS_IT_IS},
    {NULL, "rawget", AS_IT_IS},      {NULL, "rawlen", AS_IT_IS},     {NULL, "select", AS_IT_IS},
    {NULL, "tonumber", CHARGED},     {NULL, "tostring", AS_IT_IS},   {NULL, "type", AS_IT_IS},
    {"string", "byte", AS_IT_IS},    {"string", "char", AS_IT_IS},   {"string", "format", CHARGED},
    {"string", "len", AS_IT_IS},     {"string", "lower", CHARGED},   {"string", "pack", CHARGED},
    {"string", "packsize", CHARGED}, {"string", "reverse", CHARGED}, {"string", "sub", AS_IT_IS},
    {"string", "unpack", CHARGED},   {"string", "upper", CHARGED},   {"table", "concat", AS_IT_IS},
    {"table", "pack", AS_IT_IS},     {"table", "unpack", AS_IT_IS},  {"utf8", "char", AS_IT_IS},
    {"utf8", "charpattern", false},  {"utf8", "codepoint", CHARGED}, {"utf8", "len", CHARGED},
    {"utf8", "offset", CHARGED},     {"math", NULL, AS_IT_IS},
};

static int charged(lua_State *L)
{
    for (int i = lua_gettop(L); i > 0; i--)
        if (lua_type(L, i) == LUA_TSTRING)
            script_spend(L, (int64_t)(lua_rawlen(L, i) / CHARS_A_STEP));
    return lua_tocfunction(L, lua_upvalueindex(1))(L);
}

/* string.rep(text, n, separator); upvalue 1: Lua's own. */
static int repeat(lua_State *L)
{
    size_t len, between = 0;
    luaL_checklstring(L, 1, &len);
    luaL_checkinteger(L, 2);
    luaL_optlstring(L, 3, "", &between);
    if (len + between == 0) {
        lua_pushliteral(L, "");
        return 1;
    }
    return charged(L);
}

static const luaL_Reg libraries[] = {
    {"_G", luaopen_base},   {"string", luaopen_string}, {"table", luaopen_table},
    {"utf8", luaopen_utf8}, {"math", luaopen_math},
};

/* All of Lua's libraries that are needed in part, in a table by name. */
static void push_whole(lua_State *L)
{
    lua_newtable(L);
    for (size_t i = 0; i < sizeof libraries / sizeof libraries[0]; i++) {
        lua_pushcfunction(L, libraries[i].func);
        lua_pushstring(L, libraries[i].name);
        lua_call(L, 1, 1);
        lua_setfield(L, -2, libraries[i].name);
    }
}

/* The table of a library in the globals to be, which stand at `globals`. */
static void push_part(lua_State *L, int globals, const char *library)
{
    if (library == NULL) {
        lua_pushvalue(L, globals);
    } else if (lua_getfield(L, globals, library) != LUA_TTABLE) {
        lua_pop(L, 1);
        lua_newtable(L);
        lua_pushvalue(L, -1);
        lua_setfield(L, globals, library);
    }
}

static void take(lua_State *L, int whole, int globals, const struct entry *e)
{
    lua_getfield(L, whole, e->library ? e->library : "_G");
    if (e->name == NULL) {
        lua_setfield(L, globals, e->library);
        return;
    }
    lua_getfield(L, -1, e->name);
    if (e->charged)
        lua_pushcclosure(L, charged, 1);
    push_part(L, globals, e->library);
    lua_pushvalue(L, -2);
    lua_setfield(L, -2, e->name);
    lua_pop(L, 3);
}

void script_open_library(lua_State *L)
{
    push_whole(L);
    int whole = lua_gettop(L);
    lua_newtable(L);
    int globals = lua_gettop(L);
    for (size_t i = 0; i < sizeof entries / sizeof entries[0]; i++)
        take(L, whole, globals, &entries[i]);
    lua_getfield(L, globals, "string");
    lua_getfield(L, whole, "string");
    lua_getfield(L, -1, "rep");
    lua_pushcclosure(L, repeat, 1);
    lua_setfield(L, -3, "rep");
    lua_pop(L, 1);
    script_open_patterns(L);
    /* ("x"):method() goes by the metatable of texts, which knows Lua's whole library. */
    lua_pushliteral(L, "");
    lua_getmetatable(L, -1);
    lua_pushvalue(L, -3);
    lua_setfield(L, -2, "__index");
    lua_settop(L, globals);
    lua_pushvalue(L, globals);
    lua_setfield(L, globals, "_G");
    lua_rawseti(L, LUA_REGISTRYINDEX, LUA_RIDX_GLOBALS);
    lua_settop(L, whole - 1);
}

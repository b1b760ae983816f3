/* What the files of user code share. Not for others. */
#ifndef CROCKET_FILTER_SCRIPT_INT_H
#define CROCKET_FILTER_SCRIPT_INT_H

#include "filter/script.h"
#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>

#if LUA_VERSION_NUM != 504
#error "Lua 5.4 is needed: package liblua5.4-dev of Debian"
#endif

struct script {
    lua_State *L; /* NULL: begins anew with the next call */
    struct script_limits limits;
    struct str source, consumer_group, topic, class_name; /* copies behind the struct */
    size_t memory;                                        /* held by the state */
    int64_t left;                                         /* steps of this call */
    int64_t late_ns, cpu_end_ns;                          /* when to look at the processor time, and its end */
    bool memory_was_short;
    const struct msg_view *message; /* during a call */
    struct buf plain;               /* its body unpacked */
    bool plain_is_made;
    int match, proxy, context; /* references: the function, the message's userdata, the context table */
};

static inline struct script *script_of(lua_State *L)
{
    return *(struct script **)lua_getextraspace(L);
}

/* Takes steps; raises an error when none are left. In a C function called by Lua. */
void script_spend(lua_State *L, int64_t steps);

/* ---- what a state is made of; all may raise errors ---- */

/* Sets the globals: what of Lua's library can do no harm. */
void script_open_library(lua_State *L);
/* Adds find, match and gmatch to the table on the top. */
void script_open_patterns(lua_State *L);
/* Pushes the userdata that stands for the message of the call. */
void script_push_message(lua_State *L);

#endif

/* A script's life and its limits. */
#include "filter/script_int.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <time.h>

enum {
    HOOK_STEPS = 100,    /* instructions between two looks at the limits */
    BYTES_A_STEP = 64,   /* allocated: making bytes costs time too */
    GARBAGE_A_STEP = 64, /* bytes held when the memory is short: Lua looks through all of them */
    STATE_LEAST = 64 * 1024,
};
/* The last resort, should a call do much work in few steps: processor time of one call. */
static const int64_t CPU_MAX_NS = 250000000;

static int64_t now_ns(clockid_t clock)
{
    struct timespec t;
    clock_gettime(clock, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* ---- limits ---- */

/* A caller that gives up sees why: in `left` and `memory_was_short`. */
static void *allocate(void *arg, void *at, size_t old, size_t size)
{
    struct script *s = arg;
    if (at == NULL)
        old = 0; /* it is the kind of the object then */
    if (size == 0) {
        s->memory -= old;
        free(at);
        return NULL;
    }
    if (size > old) {
        if (size > s->limits.memory || s->memory - old > s->limits.memory - size) {
            s->left -= (int64_t)(s->memory / GARBAGE_A_STEP);
            s->memory_was_short = s->left >= 0;
            return NULL;
        }
        s->left -= (int64_t)((size - old) / BYTES_A_STEP);
        if (s->left < 0)
            return NULL;
    }
    void *p = realloc(at, size);
    if (p)
        s->memory += size - old;
    if (size > old) /* after a refusal Lua collects its garbage and asks again */
        s->memory_was_short = p == NULL;
    return p;
}

void script_spend(lua_State *L, int64_t steps)
{
    struct script *s = script_of(L);
    s->left -= steps;
    if (s->left < 0)
        luaL_error(L, "no steps left");
}

static void on_steps(lua_State *L, lua_Debug *where)
{
    struct script *s = script_of(L);
    script_spend(L, HOOK_STEPS);
    if (now_ns(CLOCK_MONOTONIC_COARSE) > s->late_ns && now_ns(CLOCK_THREAD_CPUTIME_ID) > s->cpu_end_ns)
        script_spend(L, s->left + 1);
}

static void begin_call(struct script *s)
{
    s->left = s->limits.steps;
    s->memory_was_short = false;
    s->late_ns = now_ns(CLOCK_MONOTONIC_COARSE) + CPU_MAX_NS;
    s->cpu_end_ns = now_ns(CLOCK_THREAD_CPUTIME_ID) + CPU_MAX_NS;
    s->plain_is_made = false;
}

/* ---- errors ---- */

static void close_state(struct script *s)
{
    if (s->L)
        lua_close(s->L);
    s->L = NULL;
}

/* Why the protected call failed with what is on the top of the stack. Always -1. */
static int tell(struct script *s, int status, struct err *err)
{
    if (s->memory_was_short || (status == LUA_ERRMEM && s->left >= 0))
        return err_set(err, ENOMEM, "%.*s: it needs more than %zu bytes of memory", STR_ARG(s->class_name),
                       s->limits.memory);
    if (s->left < 0)
        return err_set(err, ETIME, "%.*s: it takes more than %" PRId64 " steps", STR_ARG(s->class_name),
                       s->limits.steps);
    if (lua_type(s->L, -1) == LUA_TSTRING)
        return err_set(err, EINVAL, "%s", lua_tostring(s->L, -1));
    return err_set(err, EINVAL, "%.*s: an error that is no text but a %s", STR_ARG(s->class_name),
                   luaL_typename(s->L, -1));
}

/* ---- life ---- */

static void set_context(lua_State *L, const char *name, struct str value)
{
    lua_pushlstring(L, value.ptr, value.len);
    lua_setfield(L, -2, name);
}

/* Leaves the chunk's function in s->match. */
static int open_protected(lua_State *L)
{
    struct script *s = script_of(L);
    char name[LUA_IDSIZE];
    script_open_library(L);
    script_push_message(L);
    s->proxy = luaL_ref(L, LUA_REGISTRYINDEX);
    lua_createtable(L, 0, 3);
    set_context(L, "consumerGroup", s->consumer_group);
    set_context(L, "topic", s->topic);
    set_context(L, "className", s->class_name);
    s->context = luaL_ref(L, LUA_REGISTRYINDEX);
    /* "=": errors begin with the name and the line. */
    snprintf(name, sizeof name, "=%.*s", STR_ARG(s->class_name));
    if (luaL_loadbufferx(L, s->source.ptr, s->source.len, name, "t") != LUA_OK)
        return lua_error(L);
    lua_call(L, 0, 1);
    if (!lua_isfunction(L, -1))
        return luaL_error(L, "%s: the source returns a %s; write: return function(message, context) ... end", name + 1,
                          luaL_typename(L, -1));
    s->match = luaL_ref(L, LUA_REGISTRYINDEX);
    return 0;
}

static int open_state(struct script *s, struct err *err)
{
    begin_call(s);
    s->L = lua_newstate(allocate, s);
    if (s->L == NULL)
        return err_set(err, ENOMEM, "out of memory for the Lua state of %.*s", STR_ARG(s->class_name));
    *(struct script **)lua_getextraspace(s->L) = s;
    lua_sethook(s->L, on_steps, LUA_MASKCOUNT, HOOK_STEPS);
    lua_pushcfunction(s->L, open_protected);
    int status = lua_pcall(s->L, 0, 0, 0);
    if (status == LUA_OK)
        return 0;
    tell(s, status, err);
    close_state(s);
    return -1;
}

static struct str take(char **at, struct str s)
{
    struct str copy = str_make(*at, s.len);
    if (s.len)
        memcpy(*at, s.ptr, s.len);
    *at += s.len;
    return copy;
}

struct script *script_load(struct str source, const struct script_context *context, const struct script_limits *limits,
                           struct err *err)
{
    struct script *s =
        calloc(1, sizeof *s + source.len + context->consumer_group.len + context->topic.len + context->class_name.len);
    if (s == NULL) {
        err_set(err, ENOMEM, "out of memory for a filter of %zu bytes", source.len);
        return NULL;
    }
    char *text = (char *)(s + 1);
    s->source = take(&text, source);
    s->consumer_group = take(&text, context->consumer_group);
    s->topic = take(&text, context->topic);
    s->class_name = take(&text, context->class_name);
    s->limits = *limits;
    if (s->limits.memory < STATE_LEAST)
        s->limits.memory = STATE_LEAST;
    if (open_state(s, err) < 0) {
        script_free(s);
        return NULL;
    }
    return s;
}

void script_free(struct script *s)
{
    if (s == NULL)
        return;
    close_state(s);
    buf_free(&s->plain);
    free(s);
}

/* ---- calls ---- */

/* The answer that is on the top of the stack. */
static enum script_result answer(struct script *s, struct err *err)
{
    if (lua_isboolean(s->L, -1))
        return lua_toboolean(s->L, -1) ? SCRIPT_TRUE : SCRIPT_FALSE;
    /* A forgotten return must not lose messages. */
    err_set(err, EINVAL, "%.*s: the filter must answer true or false, not %s", STR_ARG(s->class_name),
            luaL_typename(s->L, -1));
    return SCRIPT_FAILED;
}

enum script_result script_match(struct script *s, const struct msg_view *message, struct err *err)
{
    if (s->L == NULL && open_state(s, err) < 0)
        return SCRIPT_FAILED;
    lua_State *L = s->L;
    enum script_result r = SCRIPT_FAILED;
    begin_call(s);
    s->message = message;
    lua_rawgeti(L, LUA_REGISTRYINDEX, s->match);
    lua_rawgeti(L, LUA_REGISTRYINDEX, s->proxy);
    lua_rawgeti(L, LUA_REGISTRYINDEX, s->context);
    int status = lua_pcall(L, 2, 1, 0);
    if (status == LUA_OK)
        r = answer(s, err);
    else
        tell(s, status, err);
    s->message = NULL;
    if (r == SCRIPT_FAILED)
        close_state(s);
    else
        lua_settop(L, 0);
    return r;
}

int64_t script_steps(const struct script *s)
{
    return s->limits.steps - s->left;
}

size_t script_memory(const struct script *s)
{
    return s->memory;
}

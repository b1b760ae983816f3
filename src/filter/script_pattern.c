/*
 * string.find, match and gmatch over Lua's patterns (section 6.4.1 of its manual), taking a step for each thing they
 * try: a pattern that would search for hours ends when the script's steps do.
 */
#include "filter/script_int.h"

#include <ctype.h>
#include <stdlib.h>

enum { CAPTURES_MAX = 32, DEPTH_MAX = 150, POSITION = -2, OPEN = -1, PLAIN_A_STEP = 64 };

struct capture {
    const char *at;
    ptrdiff_t len; /* OPEN: its ) was not met yet; POSITION: an empty () */
};

/* One search. Places in the pattern are checked against `stop`, places in the text against `end`. */
struct search {
    lua_State *L;
    const char *text, *end;
    const char *pattern, *stop;
    int captures, depth;
    struct capture capture[CAPTURES_MAX];
};

static const char *run(struct search *x, const char *s, const char *p);

static void __attribute__((noreturn)) fail(struct search *x, const char *why)
{
    luaL_error(x->L, "malformed pattern: %s", why);
    abort(); /* not reached: errors jump */
}

/* ---- one character ---- */

/* Behind the set that begins at p with [ */
static const char *set_end(struct search *x, const char *p)
{
    p++;
    if (p < x->stop && *p == '^')
        p++;
    /* A ] that comes first is meant literally. */
    for (bool first = true; p < x->stop && (first || *p != ']'); first = false) {
        if (*p++ == '%' && p++ >= x->stop)
            break;
    }
    if (p >= x->stop)
        fail(x, "a [ without its ]");
    return p + 1;
}

/* Behind the class at p: a character, a %x or a set. */
static const char *class_end(struct search *x, const char *p)
{
    if (*p == '[')
        return set_end(x, p);
    if (*p == '%' && p + 1 >= x->stop)
        fail(x, "it ends with %");
    return p + (*p == '%' ? 2 : 1);
}

static int is_zero(int c)
{
    return c == 0;
}

static bool in_letter_class(unsigned char c, unsigned char letter)
{
    static int (*const tests[26])(int) = {
        ['a' - 'a'] = isalpha, ['c' - 'a'] = iscntrl,  ['d' - 'a'] = isdigit, ['g' - 'a'] = isgraph,
        ['l' - 'a'] = islower, ['p' - 'a'] = ispunct,  ['s' - 'a'] = isspace, ['u' - 'a'] = isupper,
        ['w' - 'a'] = isalnum, ['x' - 'a'] = isxdigit, ['z' - 'a'] = is_zero,
    };
    int lower = tolower(letter);
    if (lower < 'a' || lower > 'z' || tests[lower - 'a'] == NULL)
        return c == letter;
    return (tests[lower - 'a'](c) != 0) == (islower(letter) != 0);
}

/* p..end: a set with its brackets. */
static bool in_set(unsigned char c, const char *p, const char *end)
{
    bool wanted = true;
    p++;
    end--;
    if (*p == '^') {
        wanted = false;
        p++;
    }
    while (p < end) {
        if (*p == '%' && p + 1 < end) {
            if (in_letter_class(c, (unsigned char)p[1]))
                return wanted;
            p += 2;
        } else if (p + 2 < end && p[1] == '-') {
            if ((unsigned char)p[0] <= c && c <= (unsigned char)p[2])
                return wanted;
            p += 3;
        } else if ((unsigned char)*p++ == c) {
            return wanted;
        }
    }
    return !wanted;
}

static bool fits_class(unsigned char c, const char *p, const char *end)
{
    switch (*p) {
    case '.':
        return true;
    case '%':
        return in_letter_class(c, (unsigned char)p[1]);
    case '[':
        return in_set(c, p, end);
    default:
        return (unsigned char)*p == c;
    }
}

static bool fits(const struct search *x, const char *s, const char *p, const char *end)
{
    return s < x->end && fits_class((unsigned char)*s, p, end);
}

/* ---- more than one ---- */

/* As many as there are, then fewer. */
static const char *most(struct search *x, const char *s, const char *p, const char *end)
{
    ptrdiff_t n = 0;
    while (fits(x, s + n, p, end))
        n++;
    script_spend(x->L, n);
    for (; n >= 0; n--) {
        const char *r = run(x, s + n, end + 1);
        if (r)
            return r;
    }
    return NULL;
}

/* None, then more. */
static const char *least(struct search *x, const char *s, const char *p, const char *end)
{
    for (;; s++) {
        const char *r = run(x, s, end + 1);
        if (r || !fits(x, s, p, end))
            return r;
    }
}

/* %bxy: p at x. */
static const char *balanced(struct search *x, const char *s, const char *p)
{
    if (x->stop - p < 2)
        fail(x, "%b wants two characters");
    if (s >= x->end || *s != *p)
        return NULL;
    int open = 1;
    for (const char *at = s + 1; at < x->end; at++) {
        script_spend(x->L, 1);
        if (*at == p[1] && --open == 0)
            return at + 1;
        if (*at == p[0] && p[0] != p[1])
            open++;
    }
    return NULL;
}

/* ---- captures ---- */

static const char *open_capture(struct search *x, const char *s, const char *p, ptrdiff_t len)
{
    if (x->captures >= CAPTURES_MAX)
        luaL_error(x->L, "a pattern with more than %d captures", CAPTURES_MAX);
    x->capture[x->captures++] = (struct capture){s, len};
    const char *r = run(x, s, p);
    if (r == NULL)
        x->captures--;
    return r;
}

static const char *close_capture(struct search *x, const char *s, const char *p)
{
    int i = x->captures - 1;
    while (i >= 0 && x->capture[i].len != OPEN)
        i--;
    if (i < 0)
        fail(x, "a ) without its (");
    x->capture[i].len = s - x->capture[i].at;
    const char *r = run(x, s, p);
    if (r == NULL)
        x->capture[i].len = OPEN;
    return r;
}

/* %1 to %9: the same text again. */
static const char *repeated(struct search *x, const char *s, char digit)
{
    int i = digit - '1';
    if (i < 0 || i >= x->captures || x->capture[i].len == OPEN)
        luaL_error(x->L, "malformed pattern: there is no capture %%%d", i + 1);
    ptrdiff_t len = x->capture[i].len == POSITION ? 0 : x->capture[i].len;
    script_spend(x->L, len / PLAIN_A_STEP);
    return x->end - s >= len && memcmp(x->capture[i].at, s, (size_t)len) == 0 ? s + len : NULL;
}

/* %f[set]: p at the set. */
static bool at_frontier(struct search *x, const char *s, const char *p, const char **behind)
{
    if (p >= x->stop || *p != '[')
        fail(x, "%f wants a [set]");
    const char *end = set_end(x, p);
    *behind = end;
    unsigned char before = s == x->text ? 0 : (unsigned char)s[-1], here = s < x->end ? (unsigned char)*s : 0;
    return !in_set(before, p, end) && in_set(here, p, end);
}

/* ---- the search ---- */

/* A class, perhaps more than one of it. False: *out is the outcome; else *s and *p have moved on. */
static bool single(struct search *x, const char **s, const char **p, const char **out)
{
    const char *end = class_end(x, *p);
    char how = end < x->stop ? *end : '\0';
    bool fit = fits(x, *s, *p, end);
    *out = NULL;
    if (how == '*' || (how == '+' && fit)) {
        *out = most(x, *s + (how == '+'), *p, end);
        return false;
    }
    if (how == '-') {
        *out = least(x, *s, *p, end);
        return false;
    }
    if (how == '?') {
        if (fit && (*out = run(x, *s + 1, end + 1)))
            return false;
        *p = end + 1;
        return true;
    }
    if (!fit || how == '+')
        return false;
    *s += 1;
    *p = end;
    return true;
}

/* %b, %f and %1 to %9. True: one was there; when it matched, *s and *p have moved on. */
static bool special(struct search *x, const char **s, const char **p, bool *matched)
{
    const char *behind, *to;
    char kind = *p + 1 < x->stop ? (*p)[1] : '\0';
    if (**p != '%' || (kind != 'b' && kind != 'f' && !(kind >= '0' && kind <= '9')))
        return false;
    if (kind == 'f') {
        *matched = at_frontier(x, *s, *p + 2, &behind);
        *p = behind;
        return true;
    }
    to = kind == 'b' ? balanced(x, *s, *p + 2) : repeated(x, *s, kind);
    *matched = to != NULL;
    *p += kind == 'b' ? 4 : 2;
    if (to)
        *s = to;
    return true;
}

static const char *walk(struct search *x, const char *s, const char *p)
{
    const char *out;
    bool matched;
    while (p < x->stop) {
        script_spend(x->L, 1);
        if (*p == '(')
            return p + 1 < x->stop && p[1] == ')' ? open_capture(x, s, p + 2, POSITION)
                                                  : open_capture(x, s, p + 1, OPEN);
        if (*p == ')')
            return close_capture(x, s, p + 1);
        if (*p == '$' && p + 1 == x->stop)
            return s == x->end ? s : NULL;
        if (special(x, &s, &p, &matched)) {
            if (!matched)
                return NULL;
        } else if (!single(x, &s, &p, &out)) {
            return out;
        }
    }
    return s;
}

/* The end of what fits the pattern from p on at s; NULL: it does not fit. */
static const char *run(struct search *x, const char *s, const char *p)
{
    if (++x->depth > DEPTH_MAX)
        luaL_error(x->L, "the pattern is too complex");
    script_spend(x->L, 1);
    const char *r = walk(x, s, p);
    x->depth--;
    return r;
}

static void begin(struct search *x, lua_State *L, int text, int pattern)
{
    size_t len;
    x->L = L;
    x->captures = x->depth = 0;
    x->text = luaL_checklstring(L, text, &len);
    x->end = x->text + len;
    x->pattern = luaL_checklstring(L, pattern, &len);
    x->stop = x->pattern + len;
    if (x->text == NULL || x->pattern == NULL)
        fail(x, "not a string"); /* not reached: luaL_checklstring jumps; no prototype tells the analyzer */
}

static void push_capture(const struct search *x, int i)
{
    const struct capture *c = &x->capture[i];
    if (c->len == OPEN)
        luaL_error(x->L, "malformed pattern: a ( without its )");
    else if (c->len == POSITION)
        lua_pushinteger(x->L, c->at - x->text + 1);
    else
        lua_pushlstring(x->L, c->at, (size_t)c->len);
}

/* The captures; without any, all of from..to if `whole`. Returns how many. */
static int push_captures(const struct search *x, const char *from, const char *to, bool whole)
{
    if (x->captures == 0 && whole) {
        lua_pushlstring(x->L, from, (size_t)(to - from));
        return 1;
    }
    luaL_checkstack(x->L, x->captures, "too many captures");
    for (int i = 0; i < x->captures; i++)
        push_capture(x, i);
    return x->captures;
}

/* ---- the functions ---- */

/* Where to begin: argument 3, counted from the end when negative. */
static size_t first_place(lua_State *L, size_t len)
{
    lua_Integer at = luaL_optinteger(L, 3, 1);
    if (at > 0)
        return (size_t)at - 1;
    if (at == 0 || at < -(lua_Integer)len)
        return 0;
    return len + (size_t)at;
}

static int find_plain(struct search *x, size_t at)
{
    size_t text = (size_t)(x->end - x->text), wanted = (size_t)(x->stop - x->pattern);
    script_spend(x->L, (int64_t)((text - at + wanted) / PLAIN_A_STEP));
    const char *found = wanted ? memmem(x->text + at, text - at, x->pattern, wanted) : x->text + at;
    if (found == NULL) {
        lua_pushnil(x->L);
        return 1;
    }
    lua_pushinteger(x->L, found - x->text + 1);
    lua_pushinteger(x->L, found - x->text + (ptrdiff_t)wanted);
    return 2;
}

static bool has_specials(const struct search *x)
{
    for (const char *p = x->pattern; p < x->stop; p++)
        if (*p && strchr("^$*+?.([%-", *p))
            return true;
    return false;
}

static int search(lua_State *L, bool find)
{
    struct search x;
    begin(&x, L, 1, 2);
    size_t at = first_place(L, (size_t)(x.end - x.text));
    if (at > (size_t)(x.end - x.text)) {
        lua_pushnil(L);
        return 1;
    }
    if (find && (lua_toboolean(L, 4) || !has_specials(&x)))
        return find_plain(&x, at);
    const char *p = x.pattern;
    bool anchored = p < x.stop && *p == '^';
    for (const char *s = x.text + at; s <= x.end; s++) {
        x.captures = 0;
        const char *to = run(&x, s, p + anchored);
        if (to && find) {
            lua_pushinteger(L, s - x.text + 1);
            lua_pushinteger(L, to - x.text);
            return push_captures(&x, s, to, false) + 2;
        }
        if (to)
            return push_captures(&x, s, to, true);
        if (anchored)
            break;
    }
    lua_pushnil(L);
    return 1;
}

static int find(lua_State *L)
{
    return search(L, true);
}

static int match(lua_State *L)
{
    return search(L, false);
}

/* Upvalues: text, pattern, where to go on, where the last match ended. */
static int next_match(lua_State *L)
{
    struct search x;
    begin(&x, L, lua_upvalueindex(1), lua_upvalueindex(2));
    const char *last = x.text + lua_tointeger(L, lua_upvalueindex(4));
    for (const char *s = x.text + lua_tointeger(L, lua_upvalueindex(3)); s <= x.end; s++) {
        x.captures = 0;
        const char *to = run(&x, s, x.pattern);
        /* An empty match right behind another one is none. */
        if (to == NULL || to == last)
            continue;
        lua_pushinteger(L, to - x.text);
        lua_copy(L, -1, lua_upvalueindex(3));
        lua_replace(L, lua_upvalueindex(4));
        return push_captures(&x, s, to, true);
    }
    return 0;
}

static int gmatch(lua_State *L)
{
    luaL_checkstring(L, 1);
    luaL_checkstring(L, 2);
    lua_settop(L, 2);
    lua_pushinteger(L, 0);
    lua_pushinteger(L, -1);
    lua_pushcclosure(L, next_match, 4);
    return 1;
}

void script_open_patterns(lua_State *L)
{
    static const luaL_Reg functions[] = {{"find", find}, {"match", match}, {"gmatch", gmatch}, {NULL, NULL}};
    luaL_setfuncs(L, functions, 0);
}

/* User code as a filter: what a script sees, and that nothing written in it goes beyond its limits. */
#include "filter/script.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include <lauxlib.h>
#include <libdeflate.h>
#include <lua.h>
#include <lualib.h>

static const struct script_limits limits = {.steps = 1000000, .memory = 8 << 20};
static const struct script_context context = {STR_LIT("GID_orders"), STR_LIT("orders"), STR_LIT("Orders.lua")};

static struct msg_view sample(void)
{
    return (struct msg_view){.m = {
                                 .topic = STR_LIT("orders"),
                                 .body = STR_LIT("{\"price\": 42}"),
                                 .properties = STR_LIT("KEYS\x01k1 k2\x02TAGS\x01paid\x02region\x01"
                                                       "eu\x02price\x01"
                                                       "42\x02"),
                                 .queue_id = 3,
                                 .flag = 7,
                                 .reconsume_times = 2,
                                 .born_time = 1700000000000,
                                 .store_time = 1700000000001,
                                 .queue_offset = 42,
                                 .born_host = {.addr = {127, 0, 0, 1}, .addr_len = 4, .port = 50000},
                                 .store_host = {.addr = {0x20, 1, [15] = 1}, .addr_len = 16, .port = 10911},
                             }};
}

static struct script *load(const char *source)
{
    struct err err = {0};
    struct script *s = script_load(str_from(source), &context, &limits, &err);
    if (s == NULL)
        fail_msg("%s\n%s", source, err.text);
    return s;
}

static enum script_result ask_of(const char *source, const struct msg_view *message, struct err *err)
{
    struct script *s = load(source);
    enum script_result r = script_match(s, message, err);
    script_free(s);
    return r;
}

/* The expression of message m and context c is true. */
static void expect_true(const char *expression)
{
    char source[2000];
    struct msg_view v = sample();
    struct err err = {0};
    snprintf(source, sizeof source, "return function(m, c) return %s end", expression);
    enum script_result r = ask_of(source, &v, &err);
    if (r != SCRIPT_TRUE)
        fail_msg("%s: %s", expression, r == SCRIPT_FALSE ? "false" : err.text);
}

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* The call fails with that part in its text. */
static void expect_failure(const char *body, const char *part)
{
    char source[4000];
    struct msg_view v = sample();
    struct err err = {0};
    double begin = seconds();
    snprintf(source, sizeof source, "return function(m, c)\n%s\nend", body);
    enum script_result r = ask_of(source, &v, &err);
    if (r != SCRIPT_FAILED || strstr(err.text, part) == NULL)
        fail_msg("%s: %d, %s", body, (int)r, err.text);
    if (seconds() - begin > 3)
        fail_msg("%s took %.1f s of processor time", body, seconds() - begin);
}

static void expect_no_load(const char *source, const char *part)
{
    struct err err = {0};
    struct script *s = script_load(str_from(source), &context, &limits, &err);
    if (s)
        fail_msg("%s was taken", source);
    if (strstr(err.text, part) == NULL)
        fail_msg("%s: %s", source, err.text);
}

static void a_message_has_its_fields(void **state)
{
    static const char *const true_ones[] = {
        "m.topic == 'orders'",
        "m.tags == 'paid'",
        "m.keys == 'k1 k2'",
        "m.body == '{\"price\": 42}'",
        "#m.body == 13",
        "m.properties.region == 'eu'",
        "m.properties['region'] == 'eu'",
        "m.properties.nothing == nil",
        "m.properties[1] == nil",
        "m.properties.price + 0 == 42",
        "m.queueId == 3 and m.queueOffset == 42 and m.flag == 7 and m.reconsumeTimes == 2",
        "m.bornTimestamp == 1700000000000 and m.storeTimestamp == 1700000000001",
        "m.bornHost == '127.0.0.1:50000'",
        "m.storeHost == '[2001:0:0:0:0:0:0:1]:10911'",
        "c.consumerGroup == 'GID_orders' and c.topic == 'orders' and c.className == 'Orders.lua'",
        ("(function() local n = 0; for k, v in pairs(m.properties) do assert(m.properties[k] == v); n = n + 1 end;"
         " return n end)() == 4"),
        "tonumber(m.body:match('\"price\":%s*(%d+)')) > 40",
    };
    for (size_t i = 0; i < sizeof true_ones / sizeof true_ones[0]; i++)
        expect_true(true_ones[i]);
    struct msg_view bare = {.m = {.topic = STR_LIT("t"), .body = STR_LIT(""), .properties = STR_LIT("")}};
    struct err err;
    assert_int_equal(
        ask_of("return function(m) return m.tags == nil and m.keys == nil and m.body == '' end", &bare, &err),
        SCRIPT_TRUE);
    assert_int_equal(ask_of("return function(m) return m.tags == 'a' end", &bare, &err), SCRIPT_FALSE);
}

static void packed_bodies_are_unpacked(void **state)
{
    uint8_t packed[1000];
    struct err err = {0};
    struct libdeflate_compressor *c = libdeflate_alloc_compressor(6);
    char plain[60000];
    memset(plain, 'x', sizeof plain);
    size_t n = libdeflate_zlib_compress(c, plain, sizeof plain, packed, sizeof packed);
    libdeflate_free_compressor(c);
    assert_true(n > 0);
    struct msg_view v = sample();
    v.m.body = str_make(packed, n);
    v.m.sys_flag = MSG_FLAG_COMPRESSED;
    static const char all_x[] = "return function(m) return #m.body == 60000 and m.body:byte(60000) == 120 end";
    assert_int_equal(ask_of(all_x, &v, &err), SCRIPT_TRUE);
    v.m.sys_flag = MSG_FLAG_COMPRESSED | MSG_ZLIB << 8;
    assert_int_equal(ask_of(all_x, &v, &err), SCRIPT_TRUE);
    v.m.sys_flag = MSG_FLAG_COMPRESSED | MSG_LZ4 << 8;
    assert_int_equal(ask_of(all_x, &v, &err), SCRIPT_FAILED);
    assert_non_null(strstr(err.text, "LZ4"));
    /* A filter that does not look at the body does not mind. */
    assert_int_equal(ask_of("return function(m) return m.tags == 'paid' end", &v, &err), SCRIPT_TRUE);
    v.m.sys_flag = MSG_FLAG_COMPRESSED;
    packed[n / 2] ^= 0xFF;
    assert_int_equal(ask_of(all_x, &v, &err), SCRIPT_FAILED);
    assert_non_null(strstr(err.text, "cannot be unpacked"));
}

static void mistakes_are_told(void **state)
{
    expect_no_load("return function(m) return true", "Orders.lua:1:");
    expect_no_load("return 5", "returns a number");
    expect_no_load("", "returns a nil");
    expect_no_load("error('at once')", "at once");
    expect_no_load("error({})", "a table");
    expect_no_load("return nofunction.x", "nofunction");
    expect_no_load("\x1bLua", "binary");
    expect_failure("return nil", "true or false, not nil");
    expect_failure("return 1", "true or false, not number");
    expect_failure("", "true or false, not nil");
    expect_failure("return m.Tags == 'a'", "no field 'Tags'");
    expect_failure("m.tags = 'b'; return true", "cannot be changed");
    expect_failure("return m.properties.nothing.x == 1", "Orders.lua:2:");
    expect_failure("error('text of the filter')", "text of the filter");
    expect_failure("local s = 'a' .. {}; return true", "concatenate");
    expect_failure("return ('x'):find('[') == 1", "without its ]");
}

static void nothing_reaches_out(void **state)
{
    static const char *const absent[] = {
        "io",          "os",         "package",        "require",      "load",       "loadfile",
        "loadstring",  "dofile",     "debug",          "print",        "warn",       "pcall",
        "xpcall",      "coroutine",  "collectgarbage", "setmetatable", "rawset",     "getmetatable",
        "string.dump", "table.sort", "table.insert",   "table.remove", "table.move", "string.gsub",
    };
    for (size_t i = 0; i < sizeof absent / sizeof absent[0]; i++) {
        char expression[100];
        snprintf(expression, sizeof expression, "%s == nil", absent[i]);
        expect_true(expression);
    }
    expect_true("('').dump == nil and ('').gsub == nil and ('x').find == string.find");
    expect_true("_G.string == string and _G._G == _G");
}

static void limits_hold(void **state)
{
    static const char *const endless[] = {
        "while true do end",
        "local function f() return f() end; return f()",
        "for i = 1, 1e18 do end",
        "repeat local x = {} until false",
        "local s = 'x'; while true do s = (s .. s):sub(1, 1000000) end",
        "local s = ('x'):rep(1000000); while true do local t = s:upper() end",
        "return (('a'):rep(3000)):find('.-.-.-.-.-b') == 1",
        "return (('a'):rep(500000)):match('a*a*a*a*b') == nil",
        "local s = ('a'):rep(500000); while true do s:find('b', 1, true) end",
        "local a, b = ('a'):rep(1000000), ('a'):rep(1000000); while true do local _ = a == b end",
        "local s = ('1'):rep(1000000); while true do local _ = tonumber(s) end",
        "local s = ('1'):rep(1000000); while true do local _ = s + 1 end",
        "local s = ('x'):rep(1000000); while true do utf8.len(s) end",
        ("local s = ('(' ):rep(200000); return s:find('%b()') == 1 or (function() while true do s:find('%b()') end "
         "end)()"),
        "local f = (' '):rep(1000000); while true do string.unpack(f, '') end",
        "for w in (('a'):rep(1000000)):gmatch('a-') do end; while true do end",
        "local t = {}; for i = 1, 100000 do t[i] = i end; while true do next(t, 99999) table.unpack(t, 1, 90000) end",
    };
    static const char *const greedy[] = {
        "local t = {}; for i = 1, 1e9 do t[i] = i end",
        "return #(('x'):rep(100000000)) > 0",
        "local s = 'x'; while true do s = s .. s end",
        "local t = {}; for i = 1, 1e9 do t[i] = {} end",
        "local function f(n) return 1 + f(n + 1) end; return f(1) == 0",
    };
    for (size_t i = 0; i < sizeof endless / sizeof endless[0]; i++)
        expect_failure(endless[i], "more than 1000000 steps");
    for (size_t i = 0; i < sizeof greedy / sizeof greedy[0]; i++)
        expect_failure(greedy[i], "more than 8388608 bytes");
    expect_no_load("while true do end", "steps");
    expect_no_load("x = ('x'):rep(100000000)", "bytes");
    expect_true("('').rep('', 1000000000) == ''");
    expect_failure("return select('#', table.unpack({}, 1, 900000)) > 0", "too many results");
    expect_failure("return ('a'):match(('('):rep(100)) == 1", "captures");
    expect_failure("return (('a'):rep(1000)):match(('a?'):rep(1000)) == 1", "too complex");
}

static void a_script_begins_anew_after_an_error(void **state)
{
    struct msg_view v = sample();
    struct err err = {0};
    struct script *s =
        load("n = 0 return function(m) n = n + 1 if n == 3 then error('the third') end return n == 1 end");
    assert_int_equal(script_match(s, &v, &err), SCRIPT_TRUE);
    assert_int_equal(script_match(s, &v, &err), SCRIPT_FALSE);
    assert_int_equal(script_match(s, &v, &err), SCRIPT_FAILED);
    assert_non_null(strstr(err.text, "the third"));
    assert_int_equal(script_memory(s), 0);
    assert_int_equal(script_match(s, &v, &err), SCRIPT_TRUE);
    assert_true(script_memory(s) > 0);
    assert_true(script_steps(s) < 200);
    script_free(s);
}

static void a_message_that_was_kept_is_the_one_of_the_call(void **state)
{
    struct msg_view v = sample();
    struct err err = {0};
    struct script *s = load("return function(m) kept = kept or m; return kept == m and kept.tags == 'paid' end");
    assert_int_equal(script_match(s, &v, &err), SCRIPT_TRUE);
    v.m.properties = STR_LIT("TAGS\x01other\x02");
    assert_int_equal(script_match(s, &v, &err), SCRIPT_FALSE);
    script_free(s);
}

/* ---- patterns: what Lua's own library answers ---- */

static const char *const texts[] = {
    "",
    "a",
    "hello world",
    "key = value",
    "THE (quick) fox",
    "2026-11-27T01:02:03",
    "((a)(b))(",
    "aaab",
    "x\\y%z",
    "  trimmed ",
    "a.b.c.d",
    "[set]-^",
    "\xC3\xA9t\xC3\xA9",
    "{\"n\": -12.5e3}",
    "abcabcabc",
    "line\nline",
};
static const char *const patterns[] = {
    "",
    "a",
    ".",
    "^a",
    "a$",
    "^$",
    "%a+",
    "%d+",
    "(%w+)",
    "(%w+)%s*=%s*(%w+)",
    "%((%a+)%)",
    "%b()",
    "%b((",
    "^%s*(.-)%s*$",
    "(.-)b",
    "a*",
    "a+",
    "a-",
    "a?b",
    "a-b",
    "[a-c]+",
    "[^a-c]+",
    "[%a_][%w_]*",
    "[]]",
    "[^]]",
    "[a-]",
    "[%]]",
    "()",
    "()a()",
    "(a)(b)%2",
    "(%a)%1",
    "(abc)%1",
    "%f[%a]%a+%f[%A]",
    "%f[%w]",
    "%.",
    "%%",
    "[%.%-]",
    ".-%.",
    "%u+",
    "%U+",
    "%l*",
    "%x+",
    "%p",
    "%c",
    "%S+$",
    "(%d+)-(%d+)-(%d+)",
    "-?%d+%.?%d*",
    "((a)(b))",
    "(()a)",
    "$",
    "a$b",
    "^^",
    "*",
    "[^%s]+",
    "\xC3.",
    "[\x80-\xFF]+",
    "(%s*)$",
    "%z",
    "[%a-z]",
    "[a%-z]",
    "%1",
    "(a",
    "a)",
    "[a",
    "%",
    "%b",
    "%f",
    "(",
    "[^",
    "[%",
};

static void patterns_are_those_of_lua(void **state)
{
    /* One text of code makes a list of results, in Lua's own library and in the sandbox. */
    static const char code[] =
        "local function list(...) local t = {...} for i = 1, select('#', ...) do t[i] = tostring(t[i]) end"
        " return table.concat(t, '|') end "
        "local r = list(text:find(pattern)) .. ';' .. list(text:find(pattern, 3)) .. ';' .. list(text:find(pattern, "
        "-2)) .. ';' .."
        " list(text:match(pattern)) .. ';' .. list(text:match(pattern, 2)) .. ';' .. list(text:find(pattern, 1, true)) "
        ".. ';' "
        "local n = 0 for a, b in text:gmatch(pattern) do r = r .. list(a, b) .. ',' n = n + 1 if n > 50 then break end "
        "end ";
    lua_State *L = luaL_newstate();
    struct err err = {0};
    char source[4000];
    unsigned good = 0, bad = 0;
    luaL_openlibs(L);
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        for (size_t k = 0; k < sizeof patterns / sizeof patterns[0]; k++) {
            lua_pushstring(L, texts[i]);
            lua_setglobal(L, "text");
            lua_pushstring(L, patterns[k]);
            lua_setglobal(L, "pattern");
            snprintf(source, sizeof source, "%s return r", code);
            bool fails = luaL_dostring(L, source) != LUA_OK;
            /* The sandbox is given text, pattern and the expected list as the message's properties. */
            struct buf properties = {0};
            struct msg_view v = sample();
            msg_property_add(&properties, STR_LIT("text"), str_from(texts[i]));
            msg_property_add(&properties, STR_LIT("pattern"), str_from(patterns[k]));
            msg_property_add(&properties, STR_LIT("expected"), fails ? STR_LIT("") : str_from(lua_tostring(L, -1)));
            v.m.properties = buf_str(&properties);
            snprintf(
                source, sizeof source,
                "return function(m) local text, pattern = m.properties.text or '', m.properties.pattern or '' %s"
                " if r ~= m.properties.expected then error(r .. ' not ' .. m.properties.expected) end return true end",
                code);
            enum script_result r = ask_of(source, &v, &err);
            if (fails ? r != SCRIPT_FAILED || strstr(err.text, " not ") : r != SCRIPT_TRUE)
                fail_msg("'%s' in '%s': %s; Lua: %s", patterns[k], texts[i], r == SCRIPT_TRUE ? "is taken" : err.text,
                         lua_tostring(L, -1));
            *(fails ? &bad : &good) += 1;
            buf_free(&properties);
            lua_settop(L, 0);
        }
    }
    lua_close(L);
    assert_true(good > 500 && bad > 50);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_message_has_its_fields),
        cmocka_unit_test(packed_bodies_are_unpacked),
        cmocka_unit_test(mistakes_are_told),
        cmocka_unit_test(nothing_reaches_out),
        cmocka_unit_test(limits_hold),
        cmocka_unit_test(a_script_begins_anew_after_an_error),
        cmocka_unit_test(a_message_that_was_kept_is_the_one_of_the_call),
        cmocka_unit_test(patterns_are_those_of_lua),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * User code as a filter: a Lua 5.4 chunk that returns a function of a message and a context, which says by true or
 * false whether the message is wanted. The language of the sandbox is described in docs/filter-server.md.
 *
 *     return function(message, context) return message.properties.region == "eu" end
 *
 * A script sees neither files nor network nor clock, and cannot run longer or hold more than its limits allow: whatever
 * is written in it, script_load and script_match return.
 *
 * Ownership: a script belongs to its caller. Threads: one at a time; a script and its Lua state are one loop's.
 */
#ifndef CROCKET_FILTER_SCRIPT_H
#define CROCKET_FILTER_SCRIPT_H

#include "base/err.h"
#include "message/message.h"

struct script;

struct script_limits {
    int64_t steps; /* of one call: instructions, and what the functions of the library do counted in the same measure */
    size_t memory; /* bytes that the script may hold */
};

/* What the script is told besides the message: context.consumerGroup and so on. Copied. */
struct script_context {
    struct str consumer_group, topic, class_name;
};

enum script_result { SCRIPT_FALSE, SCRIPT_TRUE, SCRIPT_FAILED };

/* Compiles and runs the chunk. NULL with err: does not compile, fails, returns no function, breaks a limit. */
struct script *script_load(struct str source, const struct script_context *context, const struct script_limits *limits,
                           struct err *err);
void script_free(struct script *s); /* NULL is fine */

/* The script's answer for one message. SCRIPT_FAILED with err: an error in the script, a limit, or an answer that is
 * neither true nor false. After it the script begins anew, with what it kept in variables gone. */
enum script_result script_match(struct script *s, const struct msg_view *message, struct err *err);
int64_t script_steps(const struct script *s); /* taken by the last call */
size_t script_memory(const struct script *s); /* held now */

#endif

/*
 * The names of all keys that a configuration file of the Java servers can hold. Most that stand in no table here tune
 * thread pools and mapped buffers that Crocket does not have: such a key is read and left without effect, while a name
 * that is nowhere is most likely misspelt. Any thread.
 */
#ifndef CROCKET_CLI_JAVA_KEYS_H
#define CROCKET_CLI_JAVA_KEYS_H

#include "base/str.h"

bool java_key_known(struct str name);

#endif

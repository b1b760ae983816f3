/*
 * Keys that a configuration file of the Java servers can hold and that mean nothing here: thread pools, mapped buffers,
 * parts that are not built. Such a key is read and left without effect, while a name that is nowhere is most likely
 * misspelt. Any thread.
 */
#ifndef CROCKET_CLI_JAVA_KEYS_H
#define CROCKET_CLI_JAVA_KEYS_H

#include "base/str.h"

bool java_key_without_effect(struct str name);

#endif

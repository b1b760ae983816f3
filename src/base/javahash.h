/* Java's String.hashCode: over UTF-16 code units of the UTF-8 text, 32-bit wrap. Tags and index keys use it. Any
 * thread. */
#ifndef CROCKET_BASE_JAVAHASH_H
#define CROCKET_BASE_JAVAHASH_H

#include "base/str.h"

int32_t java_hash(struct str s);
/* Continues a hash, as if the text before had been hashed to h: java_hash_more(java_hash(a), b) == hash of a + b. */
int32_t java_hash_more(int32_t h, struct str s);

#endif

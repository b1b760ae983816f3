/* Base64, in the usual alphabet and in that of URLs. Any thread. */
#ifndef CROCKET_BASE_BASE64_H
#define CROCKET_BASE_BASE64_H

#include "base/buf.h"

void base64_add(struct buf *out, struct str s);     /* with + and / */
void base64_url_add(struct buf *out, struct str s); /* with - and _ */
/* Appends what the text of the URL alphabet, padded or not, stands for; false when it is none. */
bool base64_url_decode(struct buf *out, struct str text);

#endif

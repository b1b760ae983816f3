/* Times as the Java tools write and read them, in local time. Any thread. */
#ifndef CROCKET_ADMIN_TIME_TEXT_H
#define CROCKET_ADMIN_TIME_TEXT_H

#include "base/err.h"
#include "base/str.h"

enum { TIME_TEXT = 32 };

const char *time_text(int64_t ms, char out[TIME_TEXT]);    /* 2026-01-31 12:00:00 */
const char *time_text_ms(int64_t ms, char out[TIME_TEXT]); /* 2026-01-31 12:00:00,123 */
/* "now", milliseconds since 1970, yyyy-MM-dd#HH:mm:ss:SSS, or "yyyy-MM-dd HH:mm:ss"; -1 with err otherwise. */
int time_parse(const char *text, int64_t *ms, struct err *err);

#endif

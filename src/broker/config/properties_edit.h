/*
 * Changes keys in the text of a .properties file and leaves the rest as its author wrote it: comments, order, blank
 * lines. The result is appended to the caller's buffer. Any thread.
 */
#ifndef CROCKET_BROKER_CONFIG_PROPERTIES_EDIT_H
#define CROCKET_BROKER_CONFIG_PROPERTIES_EDIT_H

#include "base/properties.h"

#include "base/buf.h"

/* Lines of the changed keys get the new value (of several for one key only the first stays); new keys go to the end. */
void properties_edit(struct arena *arena, struct str text, const struct properties *changes, struct buf *out);

#endif

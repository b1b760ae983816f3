/* The SQL92 filter: input is an expression, a zero byte, and the properties it is evaluated over. */
#include "base/buf.h"
#include "filter/sql.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str properties = str_make(data, size), expression;
    struct err err = {0};
    struct buf twice = {0};
    if (!str_split(&properties, '\0', &expression))
        return 0;
    struct sql *s = sql_compile(expression, &err);
    if (s == NULL) {
        if (err.text[0] == '\0')
            abort();
        return 0;
    }
    enum sql_result r = sql_evaluate(s, properties);
    if (r != sql_evaluate(s, properties))
        abort();
    sql_free(s);
    /* In brackets it means the same, unless something that nobody looks at stands behind it. */
    buf_add_lit(&twice, "(");
    buf_add_str(&twice, expression);
    buf_add_lit(&twice, ")");
    s = sql_compile(buf_str(&twice), &err);
    if (s)
        (void)sql_evaluate(s, properties);
    sql_free(s);
    buf_free(&twice);
    return 0;
}

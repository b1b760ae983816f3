#include "cli/cmd.h"

#include <stdarg.h>
#include <stdio.h>

void cmd_help(const char *usage, const char *text, const struct arg_option *options, size_t count)
{
    struct buf out = {0};
    buf_printf(&out, "usage: %s\n\n%s\n", usage, text);
    if (count) {
        buf_add_lit(&out, "\noptions:\n");
        args_help(&out, options, count);
    }
    if (buf_ok(&out))
        fwrite(out.data, 1, out.len, stdout);
    buf_free(&out);
}

int cmd_fail(const struct err *err)
{
    fflush(stdout);
    fprintf(stderr, "crocket: %s\n", err->text);
    return 1;
}

int cmd_failf(const char *fmt, ...)
{
    va_list ap;
    fflush(stdout);
    fputs("crocket: ", stderr);
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fputc('\n', stderr);
    return 1;
}

#include "admin/output.h"

#include <stdarg.h>
#include <stdio.h>

void output_begin(struct output *o, bool json)
{
    memset(o, 0, sizeof *o);
    o->json = json;
    if (!json)
        return;
    jw_init(&o->w, &o->doc);
    jw_begin_object(&o->w);
}

void output_finish(struct output *o)
{
    if (o->json) {
        if (o->lines.len) {
            jw_karray(&o->w, "messages");
            jw_raw(&o->w, buf_str(&o->lines));
            jw_end_array(&o->w);
        }
        jw_end_object(&o->w);
        buf_add_lit(&o->doc, "\n");
        if (buf_ok(&o->doc))
            fwrite(o->doc.data, 1, o->doc.len, stdout);
    }
    fflush(stdout);
    buf_free(&o->doc);
    buf_free(&o->lines);
    buf_free(&o->row);
}

void output_line(struct output *o, const char *fmt, ...)
{
    char text[1024];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    if (!o->json) {
        printf("%s\n", text);
        return;
    }
    struct jw w;
    if (o->lines.len)
        buf_add_lit(&o->lines, ",");
    jw_init(&w, &o->lines);
    jw_str(&w, str_from(text));
}

void output_text(struct output *o, const char *fmt, ...)
{
    va_list ap;
    if (o->json)
        return;
    va_start(ap, fmt);
    vprintf(fmt, ap);
    va_end(ap);
}

void output_str(struct output *o, const char *title, const char *json, struct str value)
{
    if (o->json)
        jw_kstr(&o->w, json, value);
    else
        printf("%s %.*s\n", title, STR_ARG(value));
}

void output_i64(struct output *o, const char *title, const char *json, int64_t value)
{
    if (o->json)
        jw_ki64(&o->w, json, value);
    else
        printf("%s %lld\n", title, (long long)value);
}

void output_double(struct output *o, const char *title, const char *json, double value)
{
    if (o->json)
        jw_kdouble(&o->w, json, value);
    else
        printf("%s %.2f\n", title, value);
}

void output_raw(struct output *o, const char *json, struct str value)
{
    if (o->json) {
        jw_key(&o->w, str_from(json));
        jw_raw(&o->w, value);
    } else {
        printf("%.*s\n", STR_ARG(value));
    }
}

/* ---- tables --------------------------------------------------------------------------------------------------------
 */

static void add_text_cell(struct output *o, struct str value)
{
    int width = o->columns[o->at].width;
    size_t fill = (size_t)(width < 0 ? -width : width);
    size_t pad = value.len < fill ? fill - value.len : 0;
    bool last = o->at + 1 == o->column_count;
    if (o->at)
        buf_add_lit(&o->row, "  ");
    for (size_t i = 0; width > 0 && i < pad; i++)
        buf_add_lit(&o->row, " ");
    buf_add_str(&o->row, value);
    for (size_t i = 0; width < 0 && !last && i < pad; i++)
        buf_add_lit(&o->row, " ");
}

static void end_cell(struct output *o)
{
    if (++o->at < o->column_count)
        return;
    o->at = 0;
    if (o->json) {
        jw_end_object(&o->w);
        return;
    }
    printf("%.*s\n", STR_ARG(buf_str(&o->row)));
    buf_clear(&o->row);
}

static void begin_cell(struct output *o)
{
    if (!o->json)
        return;
    if (o->at == 0)
        jw_begin_object(&o->w);
    jw_key(&o->w, str_from(o->columns[o->at].json));
}

void output_table(struct output *o, const char *json, const struct column *columns, size_t count)
{
    o->columns = columns;
    o->column_count = count;
    o->at = 0;
    if (o->json) {
        jw_karray(&o->w, json);
        return;
    }
    for (size_t i = 0; i < count; i++) {
        add_text_cell(o, str_from(columns[i].title));
        end_cell(o);
    }
}

void output_cell(struct output *o, struct str value)
{
    begin_cell(o);
    if (o->json)
        jw_str(&o->w, value);
    else
        add_text_cell(o, value);
    end_cell(o);
}

void output_cell_i64(struct output *o, int64_t value)
{
    char text[24];
    begin_cell(o);
    if (o->json)
        jw_i64(&o->w, value);
    else
        add_text_cell(o, str_make(text, fmt_i64(text, value)));
    end_cell(o);
}

void output_cell_double(struct output *o, int digits, double value)
{
    char text[64];
    begin_cell(o);
    if (o->json) {
        jw_double(&o->w, value);
    } else {
        snprintf(text, sizeof text, "%.*f", digits, value);
        add_text_cell(o, str_from(text));
    }
    end_cell(o);
}

void output_table_end(struct output *o)
{
    if (o->json)
        jw_end_array(&o->w);
}

#include "base/args.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

static bool is_named(const struct arg_option *o, struct str name)
{
    return (o->name && str_eqz(name, o->name)) || (o->brief && str_eqz(name, o->brief));
}

static bool is_help(struct str name)
{
    return str_eqz(name, "h") || str_eqz(name, "help");
}

static const struct arg_option help_option = {"h", "help", NULL, false, "show this text"};

/* word is what stands behind the dashes. *value: what is glued to the name, or NULL. */
static const struct arg_option *find(const struct args *a, const char *word, bool one_dash, const char **value)
{
    const char *equals = strchr(word, '=');
    struct str name = str_make(word, equals ? (size_t)(equals - word) : strlen(word));
    *value = equals ? equals + 1 : NULL;
    for (size_t i = 0; i < a->option_count; i++)
        if (is_named(&a->options[i], name))
            return &a->options[i];
    if (is_help(name))
        return &help_option;
    for (size_t i = 0; one_dash && i < a->option_count; i++) {
        const struct arg_option *o = &a->options[i];
        if (o->value && o->brief && strlen(o->brief) == 1 && word[0] == o->brief[0]) {
            *value = word + 1;
            return o;
        }
    }
    return NULL;
}

static int add(struct args *a, const struct arg_option *o, const char *value, struct err *err)
{
    if (a->given_count == ARGS_MAX)
        return err_set(err, E2BIG, "more than %d options", ARGS_MAX);
    a->given[a->given_count].option = o;
    a->given[a->given_count++].value = value;
    return 0;
}

int args_parse(struct args *a, const struct arg_option *options, size_t count, int argc, char **argv, struct err *err)
{
    bool only_plain = false;
    memset(a, 0, sizeof *a);
    a->options = options;
    a->option_count = count;
    for (int i = 1; i < argc; i++) {
        const char *word = argv[i], *value;
        if (only_plain || word[0] != '-' || word[1] == '\0') {
            if (a->plain_count == ARGS_MAX)
                return err_set(err, E2BIG, "more than %d arguments", ARGS_MAX);
            a->plain[a->plain_count++] = word;
            continue;
        }
        if (strcmp(word, "--") == 0) {
            only_plain = true;
            continue;
        }
        const struct arg_option *o = find(a, word + (word[1] == '-' ? 2 : 1), word[1] != '-', &value);
        if (o == NULL)
            return err_set(err, EINVAL, "unknown option %s; --help lists all of them", word);
        if (o->value == NULL && value)
            return err_set(err, EINVAL, "option %s takes no value", word);
        if (o->value && value == NULL) {
            if (i + 1 == argc)
                return err_set(err, EINVAL, "option %s needs a value: %s", word, o->value);
            value = argv[++i];
        }
        if (add(a, o, o->value ? value : "", err))
            return -1;
    }
    return 0;
}

bool args_wants_help(const struct args *a)
{
    for (size_t i = 0; i < a->given_count; i++)
        if (a->given[i].option == &help_option ||
            (a->given[i].option->name && strcmp(a->given[i].option->name, "help") == 0))
            return true;
    return false;
}

int args_check(const struct args *a, struct err *err)
{
    for (size_t i = 0; i < a->option_count; i++) {
        const struct arg_option *o = &a->options[i];
        bool there = !o->required;
        for (size_t j = 0; j < a->given_count && !there; j++)
            there = a->given[j].option == o;
        if (!there)
            return err_set(err, EINVAL, "option %s%s%s%s%s is missing (%s)", o->brief ? "-" : "",
                           o->brief ? o->brief : "", o->brief && o->name ? "/" : "", o->name ? "--" : "",
                           o->name ? o->name : "", o->help);
    }
    return 0;
}

const char *args_next(const struct args *a, const char *name, size_t *at)
{
    while (*at < a->given_count) {
        size_t i = (*at)++;
        const struct arg_option *o = a->given[i].option;
        if (strcmp(o->name ? o->name : o->brief, name) == 0)
            return a->given[i].value;
    }
    return NULL;
}

const char *args_get(const struct args *a, const char *name)
{
    const char *last = NULL, *value;
    for (size_t at = 0; (value = args_next(a, name, &at));)
        last = value;
    return last;
}

const char *args_or(const struct args *a, const char *name, const char *otherwise)
{
    const char *value = args_get(a, name);
    return value ? value : otherwise;
}

bool args_has(const struct args *a, const char *name)
{
    return args_get(a, name) != NULL;
}

int args_i64(const struct args *a, const char *name, int64_t min, int64_t max, int64_t *out, struct err *err)
{
    const char *value = args_get(a, name);
    int64_t v;
    if (value == NULL)
        return 0;
    if (!str_to_i64(str_trim(str_from(value)), &v) || v < min || v > max)
        return err_set(err, EINVAL,
                       "option --%s cannot be \"%s\"; it must be a whole number from %" PRId64 " to %" PRId64, name,
                       value, min, max);
    *out = v;
    return 0;
}

void args_help(struct buf *out, const struct arg_option *options, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct arg_option *o = &options[i];
        char left[128];
        snprintf(left, sizeof left, "%s%s%s%s%s%s%s", o->brief ? "-" : "    ", o->brief ? o->brief : "",
                 o->brief && o->name ? ", " : "", o->name ? "--" : "", o->name ? o->name : "", o->value ? " " : "",
                 o->value ? o->value : "");
        buf_printf(out, "  %-30s %s%s%s", left, strlen(left) > 30 ? "\n                                 " : "", o->help,
                   o->required ? " (required)\n" : "\n");
    }
}

/*
 * String views: a pointer and a length, not NUL-terminated, never owned.
 * The memory belongs to whoever made the view; a view is valid as long as that memory. Any thread.
 */
#ifndef CROCKET_BASE_STR_H
#define CROCKET_BASE_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct str {
    const char *ptr;
    size_t len;
};

#define STR_LIT(s) ((struct str){(s), sizeof(s) - 1})
#define STR_NULL   ((struct str){NULL, 0})
/* For printf: "%.*s", STR_ARG(s) */
#define STR_ARG(s) (int)(s).len, (s).ptr ? (s).ptr : ""

static inline struct str str_make(const void *ptr, size_t len)
{
    return (struct str){(const char *)ptr, len};
}

static inline struct str str_from(const char *z)
{
    return (struct str){z, z ? strlen(z) : 0};
}

static inline bool str_eq(struct str a, struct str b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

static inline bool str_eqz(struct str a, const char *z)
{
    return str_eq(a, str_from(z));
}

static inline bool str_starts(struct str s, struct str prefix)
{
    return s.len >= prefix.len && memcmp(s.ptr, prefix.ptr, prefix.len) == 0;
}

/* Null means absent (a missing header field); an empty string is not null. */
static inline bool str_is_null(struct str s)
{
    return s.ptr == NULL;
}

static inline struct str str_skip(struct str s, size_t n)
{
    return n >= s.len ? (struct str){s.ptr + s.len, 0} : (struct str){s.ptr + n, s.len - n};
}

bool str_ieq(struct str a, struct str b);    /* ASCII case-insensitive */
struct str str_trim(struct str s);           /* without leading and trailing ASCII white space */
bool str_to_i64(struct str s, int64_t *out); /* whole text is a decimal int64, else false */
bool str_to_i32(struct str s, int32_t *out);
bool str_blank(struct str s);                     /* null, empty or only white space */
int str_cmp(struct str a, struct str b);          /* byte order, shorter first */
ptrdiff_t str_find(struct str s, struct str sub); /* index of the first occurrence or -1 */
/* Takes the next piece of *rest up to sep (not included); false when nothing is left. Empty pieces are returned. */
bool str_split(struct str *rest, char sep, struct str *piece);
char *str_dupz(struct str s); /* malloc'd, NUL-terminated; NULL when out of memory */
uint64_t str_hash(struct str s);
void str_hash128(struct str s, uint64_t seed, uint64_t out[2]);

/* Writes v as decimal text, returns its length (at most 20). No NUL. */
size_t fmt_i64(char *out, int64_t v);

#endif

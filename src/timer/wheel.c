#include "timer/wheel.h"

#include "base/bytes.h"
#include <errno.h>
#include <stdlib.h>

enum { SLOT = 32, AT_FIRST = 8, AT_LAST = 16, AT_NUM = 24, AT_MAGIC = 28 };

struct wheel {
    const struct fs *fs;
    int fd;
    uint8_t *map;
    size_t size;
    int64_t slots;
    int32_t precision;
};

static int64_t load64(const uint8_t *p)
{
    return (int64_t)__builtin_bswap64(__atomic_load_n((const uint64_t *)(const void *)p, __ATOMIC_RELAXED));
}

static void save64(uint8_t *p, int64_t v)
{
    __atomic_store_n((uint64_t *)(void *)p, __builtin_bswap64((uint64_t)v), __ATOMIC_RELAXED);
}

static int32_t load32(const uint8_t *p)
{
    return (int32_t)__builtin_bswap32(__atomic_load_n((const uint32_t *)(const void *)p, __ATOMIC_RELAXED));
}

static void save32(uint8_t *p, int32_t v)
{
    __atomic_store_n((uint32_t *)(void *)p, __builtin_bswap32((uint32_t)v), __ATOMIC_RELAXED);
}

/* Real blocks for all of it: a store into a hole of the mapping would end the process when the disk is full. */
static int prepare(struct wheel *w, const char *path, struct err *err)
{
    struct fs_stat st;
    void *map = NULL;
    int r = w->fs->fstat(w->fs, w->fd, &st);
    if (r == 0 && st.size != 0 && st.size != (int64_t)w->size)
        return err_set(err, EINVAL, "the timer wheel %s has %lld bytes instead of %zu: it is of another precision",
                       path, (long long)st.size, w->size);
    if (r == 0 && (st.size == 0 || st.blocks_bytes < st.size))
        r = w->fs->allocate(w->fs, w->fd, (int64_t)w->size);
    if (r == 0)
        r = w->fs->map(w->fs, w->fd, w->size, true, &map);
    w->map = map;
    return r ? err_sys(err, -r, "cannot prepare the timer wheel %s", path) : 0;
}

int wheel_open(struct wheel **out, const struct fs *fs, const char *path, int64_t slots, int32_t precision_ms,
               struct err *err)
{
    struct wheel *w = calloc(1, sizeof *w);
    if (w == NULL)
        return err_set(err, ENOMEM, "out of memory for the timer wheel");
    *w = (struct wheel){.fs = fs, .slots = slots, .precision = precision_ms, .size = (size_t)slots * SLOT};
    w->fd = fs->open(fs, path, FS_WRITE | FS_CREATE);
    if (w->fd < 0) {
        err_sys(err, -w->fd, "cannot open the timer wheel %s", path);
    } else if (prepare(w, path, err) == 0) {
        *out = w;
        return 0;
    }
    wheel_close(w);
    return -1;
}

void wheel_close(struct wheel *w)
{
    if (w == NULL)
        return;
    if (w->map)
        w->fs->unmap(w->fs, w->map, w->size);
    if (w->fd >= 0)
        w->fs->close(w->fs, w->fd);
    free(w);
}

static uint8_t *place(const struct wheel *w, int64_t step)
{
    return w->map + (size_t)(step % w->slots) * SLOT;
}

bool wheel_get(const struct wheel *w, int64_t time_ms, struct wheel_slot *out)
{
    const uint8_t *p = place(w, time_ms / w->precision);
    if (load64(p) != time_ms / w->precision || time_ms <= 0)
        return false;
    *out = (struct wheel_slot){load64(p) * w->precision, load64(p + AT_FIRST), load64(p + AT_LAST), load32(p + AT_NUM)};
    return true;
}

void wheel_put(struct wheel *w, const struct wheel_slot *s)
{
    uint8_t *p = place(w, s->time_ms / w->precision);
    save64(p, s->time_ms / w->precision);
    save64(p + AT_FIRST, s->first);
    save64(p + AT_LAST, s->last);
    save32(p + AT_NUM, s->num);
    save32(p + AT_MAGIC, 0);
}

void wheel_drop(struct wheel *w, int64_t time_ms)
{
    uint8_t *p = place(w, time_ms / w->precision);
    if (load64(p) == time_ms / w->precision)
        memset(p, 0, SLOT);
}

int32_t wheel_num(const struct wheel *w, int64_t time_ms)
{
    const uint8_t *p = place(w, time_ms / w->precision);
    return load64(p) == time_ms / w->precision ? load32(p + AT_NUM) : 0;
}

int64_t wheel_next(const struct wheel *w, int64_t from, int64_t to)
{
    int64_t step = from / w->precision, end = to / w->precision, found = end;
    if (step > 0 && end - step < w->slots) {
        while (step < end && load64(place(w, step)) != step)
            step++;
        return step * w->precision;
    }
    for (int64_t i = 0; i < w->slots; i++) {
        int64_t at = load64(w->map + (size_t)i * SLOT);
        if (at >= step && at > 0 && at < found)
            found = at;
    }
    return found * w->precision;
}

void wheel_each(struct wheel *w, int64_t from, void (*fn)(void *arg, const struct wheel_slot *s), void *arg)
{
    for (int64_t i = 0; i < w->slots; i++) {
        const uint8_t *p = w->map + (size_t)i * SLOT;
        int64_t step = load64(p);
        if (step <= 0 || step > INT64_MAX / w->precision || step % w->slots != i || step < from / w->precision)
            continue;
        struct wheel_slot s = {step * w->precision, load64(p + AT_FIRST), load64(p + AT_LAST), load32(p + AT_NUM)};
        fn(arg, &s);
    }
}

int wheel_sync(struct wheel *w)
{
    return w->fs->map_sync(w->fs, w->map, w->size);
}

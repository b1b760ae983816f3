#include <pthread.h>
#include <time.h>

#include "base/bytes.h"
#include "message/message.h"
#include "os/clock.h"
#include "os/host.h"

static size_t hex(char *out, const uint8_t *bytes, size_t n)
{
    static const char digits[] = "0123456789ABCDEF";
    for (size_t i = 0; i < n; i++) {
        out[2 * i] = digits[bytes[i] >> 4];
        out[2 * i + 1] = digits[bytes[i] & 15];
    }
    return 2 * n;
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return -1;
}

static bool unhex(struct str text, uint8_t *out)
{
    for (size_t i = 0; i + 1 < text.len; i += 2) {
        int high = hex_value(text.ptr[i]), low = hex_value(text.ptr[i + 1]);
        if (high < 0 || low < 0)
            return false;
        out[i / 2] = (uint8_t)(high << 4 | low);
    }
    return true;
}

size_t msg_id_format(char out[56], const struct msg_host *store_host, int64_t physical_offset)
{
    uint8_t bytes[28];
    size_t n = store_host->addr_len == 16 ? 16 : 4;
    memcpy(bytes, store_host->addr, n);
    put_be32(bytes + n, (uint32_t)store_host->port);
    put_be64(bytes + n + 4, (uint64_t)physical_offset);
    return hex(out, bytes, n + 12);
}

bool msg_id_parse(struct str id, struct msg_host *host, int64_t *physical_offset)
{
    uint8_t bytes[28];
    if ((id.len != 32 && id.len != 56) || !unhex(id, bytes))
        return false;
    size_t n = id.len == 56 ? 16 : 4;
    memset(host, 0, sizeof *host);
    memcpy(host->addr, bytes, n);
    host->addr_len = (uint8_t)n;
    host->port = (int32_t)get_be32(bytes + n);
    *physical_offset = (int64_t)get_be64(bytes + n + 4);
    return true;
}

/* The part of a client message id that is the same for the life of the process: address, process, a random number. */
static uint8_t id_prefix[10];
static uint32_t id_counter;
static int64_t month_begin, month_end;

static void make_prefix(void)
{
    host_ipv4(id_prefix);
    put_be16(id_prefix + 4, (uint16_t)host_pid());
    host_random(id_prefix + 6, 4);
    uint16_t first;
    host_random(&first, sizeof first);
    id_counter = first;
}

/* Milliseconds since the local month began: four bytes hold every value, and decoders know the month. */
static uint32_t in_month(int64_t now)
{
    int64_t begin = __atomic_load_n(&month_begin, __ATOMIC_ACQUIRE);
    int64_t end = __atomic_load_n(&month_end, __ATOMIC_ACQUIRE);
    if (now >= end) {
        time_t t = (time_t)(now / 1000);
        struct tm tm;
        localtime_r(&t, &tm);
        struct tm first = {.tm_year = tm.tm_year, .tm_mon = tm.tm_mon, .tm_mday = 1, .tm_isdst = -1};
        struct tm next = {.tm_year = tm.tm_year, .tm_mon = tm.tm_mon + 1, .tm_mday = 1, .tm_isdst = -1};
        begin = (int64_t)mktime(&first) * 1000;
        end = (int64_t)mktime(&next) * 1000;
        __atomic_store_n(&month_begin, begin, __ATOMIC_RELEASE);
        __atomic_store_n(&month_end, end, __ATOMIC_RELEASE);
    }
    return now > begin ? (uint32_t)(now - begin) : 0;
}

size_t msg_unique_id(char out[32])
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, make_prefix);
    uint8_t bytes[16];
    memcpy(bytes, id_prefix, sizeof id_prefix);
    put_be32(bytes + 10, in_month(clock_wall_ms()));
    put_be16(bytes + 14, (uint16_t)__atomic_fetch_add(&id_counter, 1, __ATOMIC_RELAXED));
    return hex(out, bytes, sizeof bytes);
}

#include "filter/bloom.h"
#include <math.h>

static double log_to_base(double base, double x)
{
    return log(x) / log(base);
}

/* The usual sizes for a wanted share of false hits; the order of the operations matters to the last bit. */
struct bloom bloom_make(int32_t error_percent, int32_t expected)
{
    double rate = error_percent / 100.0;
    double bits = ceil(expected * log_to_base(2, 1 / rate) * log_to_base(2, 2.718281828459045));
    struct bloom b = {.hashes = (int32_t)ceil(log_to_base(0.5, rate))};
    b.bits = (int32_t)(8 * ceil(bits / 8.0));
    return b;
}

/* ---- MurmurHash3, x64, 128 bits: its first half ---- */

#define C1 UINT64_C(0x87c37b91114253d5)
#define C2 UINT64_C(0x4cf5ad432745937f)

static uint64_t rotated(uint64_t x, int by)
{
    return (x << by) | (x >> (64 - by));
}

static uint64_t final_mix(uint64_t k)
{
    k ^= k >> 33;
    k *= UINT64_C(0xff51afd7ed558ccd);
    k ^= k >> 33;
    k *= UINT64_C(0xc4ceb9fe1a85ec53);
    return k ^ (k >> 33);
}

static uint64_t mixed1(uint64_t k)
{
    return rotated(k * C1, 31) * C2;
}

static uint64_t mixed2(uint64_t k)
{
    return rotated(k * C2, 33) * C1;
}

/* Up to eight bytes, the first one lowest. */
static uint64_t little_endian(const char *at, size_t n)
{
    uint64_t v = 0;
    for (size_t i = 0; i < n && i < 8; i++)
        v |= (uint64_t)(unsigned char)at[i] << (8 * i);
    return v;
}

static uint64_t murmur3(struct str s)
{
    uint64_t h1 = 0, h2 = 0;
    size_t rest = s.len % 16, whole = s.len - rest;
    for (size_t i = 0; i < whole; i += 16) {
        h1 ^= mixed1(little_endian(s.ptr + i, 8));
        h1 = (rotated(h1, 27) + h2) * 5 + 0x52dce729;
        h2 ^= mixed2(little_endian(s.ptr + i + 8, 8));
        h2 = (rotated(h2, 31) + h1) * 5 + 0x38495ab5;
    }
    if (rest > 8)
        h2 ^= mixed2(little_endian(s.ptr + whole + 8, rest - 8));
    if (rest)
        h1 ^= mixed1(little_endian(s.ptr + whole, rest));
    h1 ^= s.len;
    h2 ^= s.len;
    h1 += h2;
    h2 += h1;
    return final_mix(h1) + final_mix(h2);
}

/* Kirsch and Mitzenmacher: further hashes out of two. */
void bloom_positions(const struct bloom *b, struct str text, int32_t positions[BLOOM_HASHES_MAX])
{
    uint64_t hash = murmur3(text);
    uint32_t first = (uint32_t)hash, second = (uint32_t)(hash >> 32);
    for (uint32_t i = 1; i <= (uint32_t)b->hashes && i <= BLOOM_HASHES_MAX; i++) {
        int32_t combined = (int32_t)(first + i * second);
        positions[i - 1] = (combined < 0 ? ~combined : combined) % b->bits;
    }
}

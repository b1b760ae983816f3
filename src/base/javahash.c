#include "base/javahash.h"

/* Eight ASCII characters at once: the products do not wait for each other. */
static uint32_t hash_ascii_8(uint32_t h, const unsigned char *c)
{
    return h * 2487512833u + c[0] * 1742810335u + c[1] * 887503681u + c[2] * 28629151u + c[3] * 923521u +
           c[4] * 29791u + c[5] * 961u + c[6] * 31u + c[7];
}

int32_t java_hash_more(int32_t start, struct str s)
{
    uint32_t h = (uint32_t)start;
    for (size_t i = 0; i < s.len;) {
        uint64_t eight;
        if (s.len - i >= sizeof eight) {
            memcpy(&eight, s.ptr + i, sizeof eight);
            if ((eight & 0x8080808080808080u) == 0) {
                h = hash_ascii_8(h, (const unsigned char *)s.ptr + i);
                i += sizeof eight;
                continue;
            }
        }
        unsigned char c = (unsigned char)s.ptr[i];
        if (c < 0x80) {
            h = 31 * h + c;
            i++;
            continue;
        }
        /* A malformed sequence hashes as U+FFFD, the character Java's decoder puts in its place. */
        int more = c >= 0xF0 && c < 0xF8 ? 3 : c >= 0xE0 && c < 0xF0 ? 2 : c >= 0xC0 && c < 0xE0 ? 1 : -1;
        uint32_t cp = more == 3 ? c & 7u : more == 2 ? c & 15u : c & 31u;
        bool good = more > 0 && i + (size_t)more < s.len;
        for (int k = 1; good && k <= more; k++) {
            unsigned char d = (unsigned char)s.ptr[i + (size_t)k];
            good = (d & 0xC0) == 0x80;
            cp = cp << 6 | (d & 0x3Fu);
        }
        if (!good) {
            h = 31 * h + 0xFFFD;
            i++;
            continue;
        }
        i += (size_t)more + 1;
        if (cp >= 0x10000) {
            h = 31 * h + (0xD800 + ((cp - 0x10000) >> 10));
            h = 31 * h + (0xDC00 + ((cp - 0x10000) & 0x3FF));
        } else {
            h = 31 * h + cp;
        }
    }
    return (int32_t)h;
}

int32_t java_hash(struct str s)
{
    return java_hash_more(0, s);
}

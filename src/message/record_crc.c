/* The optional CRC of a whole record: Java's property __CRC32#, always the last of the properties, whose value are the
 * ten decimal digits of the CRC over everything before it, lowest digit first. */
#include "base/bytes.h"
#include "base/crc.h"
#include "message/message.h"

enum { NAME_SIZE = sizeof MSG_PROP_CRC32 - 1, DIGITS = 10, NAME_END = 1, PAIR_END = 2 };

enum { LIKE_ONE = MSG_RECORD_CRC_SIZE - 2 };

/* How many bytes at p are as they must be in the block; *crc: its value if all are. */
static int parse(const char *p, uint64_t *crc)
{
    int good = (p[NAME_SIZE] == NAME_END) + (p[MSG_RECORD_CRC_SIZE - 1] == PAIR_END);
    for (int i = 0; i < NAME_SIZE; i++)
        good += p[i] == MSG_PROP_CRC32[i];
    *crc = 0;
    for (int i = DIGITS - 1; i >= 0; i--) {
        char c = p[NAME_SIZE + 1 + i];
        good += c >= '0' && c <= '9';
        *crc = *crc * 10 + (uint64_t)(c - '0');
    }
    return good;
}

struct str msg_properties_own(struct str properties)
{
    uint64_t crc;
    if (properties.len >= MSG_RECORD_CRC_SIZE &&
        parse(properties.ptr + properties.len - MSG_RECORD_CRC_SIZE, &crc) == MSG_RECORD_CRC_SIZE)
        properties.len -= MSG_RECORD_CRC_SIZE;
    return properties;
}

static bool needs_end(struct str properties)
{
    return properties.len > 0 && properties.ptr[properties.len - 1] != PAIR_END;
}

size_t msg_record_crc_room(struct str properties)
{
    return MSG_RECORD_CRC_SIZE + needs_end(msg_properties_own(properties));
}

void msg_record_crc_append(uint8_t *record, struct str properties)
{
    struct str own = msg_properties_own(properties);
    uint32_t size = get_be32(record);
    size_t more = msg_record_crc_room(properties);
    uint8_t *end = record + size, *length = end - own.len - 2;
    if (needs_end(own))
        *end++ = PAIR_END;
    memset(end, 0, MSG_RECORD_CRC_SIZE);
    put_be16(length, (uint16_t)(own.len + more));
    put_be32(record, (uint32_t)(size + more));
}

void msg_record_crc_seal(uint8_t *record)
{
    uint32_t covered = get_be32(record) - MSG_RECORD_CRC_SIZE, crc = crc32_message(record, covered);
    uint8_t *p = record + covered;
    memcpy(p, MSG_PROP_CRC32, NAME_SIZE);
    p += NAME_SIZE;
    *p++ = NAME_END;
    for (int i = 0; i < DIGITS; i++, crc /= 10)
        *p++ = (uint8_t)('0' + crc % 10);
    *p = PAIR_END;
}

enum msg_record_crc msg_record_crc(const struct msg_view *v)
{
    uint64_t crc;
    struct str p = v->m.properties;
    int good = p.len < MSG_RECORD_CRC_SIZE ? 0 : parse(p.ptr + p.len - MSG_RECORD_CRC_SIZE, &crc);
    if (good < LIKE_ONE)
        return MSG_RECORD_CRC_NONE;
    /* The properties end the record. A block that is nearly right is a damaged one. */
    const char *end = p.ptr + p.len;
    return good == MSG_RECORD_CRC_SIZE && crc32_message(end - v->size, v->size - MSG_RECORD_CRC_SIZE) == crc
               ? MSG_RECORD_CRC_OK
               : MSG_RECORD_CRC_WRONG;
}

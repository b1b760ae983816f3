/* CRC-32 (IEEE, as java.util.zip.CRC32). RocketMQ stores it masked to 31 bits. Any thread. */
#ifndef CROCKET_BASE_CRC_H
#define CROCKET_BASE_CRC_H

#include <stddef.h>
#include <stdint.h>

uint32_t crc32_ieee(const void *data, size_t len);

static inline uint32_t crc32_message(const void *data, size_t len)
{
    return crc32_ieee(data, len) & 0x7FFFFFFFu;
}

#endif

#include "base/crc.h"

#include <libdeflate.h>

uint32_t crc32_ieee(const void *data, size_t len)
{
    /* libdeflate answers its initial value for a null buffer, which is right for an empty one. */
    return libdeflate_crc32(0, len ? data : "", len);
}

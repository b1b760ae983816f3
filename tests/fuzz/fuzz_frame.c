/* Frames and both headers: any bytes are decoded or refused, never read beyond; what was decoded can be bound to a
 * schema. */
#include "remoting/headers_client.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct rem_schema *const schemas[] = {&send_req_schema, &send_req_v2_schema, &pull_req_schema,
                                                 &send_back_req_schema};
    size_t total;
    uint8_t *copy = malloc(size ? size : 1);
    if (copy == NULL)
        return 0;
    if (size)
        memcpy(copy, data, size);
    if (rem_frame_peek(copy, size, &total) == REM_FRAME_OK) {
        struct rem_command c;
        const char *why = NULL;
        if (rem_decode(copy, total, &c, &why)) {
            for (size_t i = 0; i < sizeof schemas / sizeof schemas[0]; i++) {
                _Alignas(16) char header[REM_HEADER_MAX];
                const char *bad;
                rem_schema_ready(schemas[i]);
                rem_schema_decode(schemas[i], &c, header, &bad);
            }
            /* What was read can be written, and the copy reads the same. */
            struct buf b = {0};
            struct rem_frame f;
            rem_frame_begin(&f, &b, c.code);
            for (uint32_t i = 0; i < c.n_ext && i < 100; i++)
                rem_frame_str(&f, "key", c.ext[i].value);
            rem_frame_header_end(&f, c.flag, c.opaque, c.remark);
            buf_add_str(&b, c.body);
            rem_frame_finish(&f, 0);
            struct rem_command again;
            if (b.len < REM_FRAME_MAX && (!rem_decode(b.data, b.len, &again, &why) || again.opaque != c.opaque ||
                                          !str_eq(again.remark, c.remark)))
                abort();
            buf_free(&b);
        } else if (why == NULL) {
            abort();
        }
    }
    free(copy);
    return 0;
}

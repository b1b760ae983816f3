/* A broker's registration in every form: what can be read can be written and read again. */
#include "remoting/body/topic_config_register.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The first byte chooses the form and the sender's version; then the body, which the compressed form wraps. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const int32_t versions[] = {30, 400, 479};
    struct arena arena = {0};
    struct register_broker_body b, again;
    struct buf out = {0};
    struct err err;
    if (size == 0)
        return 0;
    bool compressed = data[0] & 1;
    int32_t version = versions[(data[0] >> 1) % 3];
    struct str body = str_make(data + 1, size - 1);
    if (register_broker_body_read(&arena, body, compressed, version, &b, &err) == 0) {
        struct jw w;
        jw_init(&w, &out);
        register_broker_body_write(&w, &b);
        if (register_broker_body_read(&arena, buf_str(&out), false, 479, &again, &err) < 0 ||
            again.topics.topic_count != b.topics.topic_count)
            abort();
        buf_clear(&out);
        if (!register_broker_body_compress(&out, &b, 479))
            abort();
    }
    buf_free(&out);
    arena_free(&arena);
    return 0;
}

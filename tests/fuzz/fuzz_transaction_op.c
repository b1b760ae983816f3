/* Bodies of op messages: every offset taken can be noted down again and reads back the same. */
#include "broker/transaction/transaction_int.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str rest = str_make(data, size);
    struct buf again = {0};
    int64_t offset, same;
    char number[24];
    size_t n = 0;
    while (transaction_op_next(&rest, &offset)) {
        if (offset < 0)
            abort();
        buf_add(&again, number, fmt_i64(number, offset));
        buf_add_byte(&again, ',');
        n++;
    }
    rest = buf_str(&again);
    while (transaction_op_next(&rest, &same))
        n--;
    if (n != 0 || again.len > 2 * size + 2)
        abort();
    buf_free(&again);
    return 0;
}

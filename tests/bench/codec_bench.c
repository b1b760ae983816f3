/* Time of the header codec for one send request and its answer, in ns. Run on a quiet machine; ratios count. */
#include "remoting/headers_client.h"
#include <stdio.h>
#include <time.h>

static const char request[] =
    "{\"code\":310,\"extFields\":{\"a\":\"ProducerGroupName\",\"b\":\"TopicTest\",\"c\":\"TBW102\",\"d\":\"4\",\"e\":"
    "\"3\",\"f\":\"0\","
    "\"g\":\"1700000000000\",\"h\":\"0\",\"i\":\"UNIQ_"
    "KEY\\u00017F000001000A18B4AAC2000000000000\\u0002WAIT\\u0001true\\u0002TAGS\\u0001TagA\\u0002\","
    "\"j\":\"0\",\"k\":\"false\",\"m\":\"false\",\"n\":\"broker-a\"},\"flag\":0,\"language\":\"JAVA\",\"opaque\":42,"
    "\"serializeTypeCurrentRPC\":\"JSON\",\"version\":479}";

/* CPU time: other programs on the machine do not count. */
static int64_t cpu_ns(void)
{
    struct timespec ts;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
    return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

int main(void)
{
    enum { ROUNDS = 2000000 };
    char text[sizeof request];
    struct rem_command c;
    struct send_req h;
    const char *why;
    int64_t sum = 0;
    rem_schema_ready(&send_req_v2_schema);
    int64_t start = cpu_ns();
    for (int i = 0; i < ROUNDS; i++) {
        memcpy(text, request, sizeof request);
        c.n_ext = 0;
        rem_decode_json_header(text, sizeof request - 1, &c, &why);
        sum += c.n_ext;
    }
    int64_t decoded = cpu_ns();
    for (int i = 0; i < ROUNDS; i++) {
        rem_schema_decode(&send_req_v2_schema, &c, &h, &why);
        sum += h.queue_id;
    }
    int64_t bound = cpu_ns();
    struct buf b = {0};
    for (int i = 0; i < ROUNDS; i++) {
        struct rem_frame f;
        buf_clear(&b);
        rem_frame_begin(&f, &b, 0);
        rem_frame_str(&f, "MSG_REGION", STR_LIT("DefaultRegion"));
        rem_frame_bool(&f, "TRACE_ON", true);
        rem_frame_str(&f, "msgId", STR_LIT("7F00000100002A9F0000000000000005"));
        rem_frame_i64(&f, "queueId", 3);
        rem_frame_i64(&f, "queueOffset", i);
        rem_frame_str(&f, "transactionId", STR_LIT("7F000001000A18B4AAC2000000000000"));
        rem_frame_header_end(&f, 1, i, STR_NULL);
        rem_frame_finish(&f, 0);
        sum += (int64_t)b.len;
    }
    int64_t written = cpu_ns();
    printf("read header %.0f ns, bind %.0f ns, write answer %.0f ns (%d rounds, check %lld)\n",
           (double)(decoded - start) / ROUNDS, (double)(bound - decoded) / ROUNDS, (double)(written - bound) / ROUNDS,
           (int)ROUNDS, (long long)sum);
    buf_free(&b);
    return 0;
}

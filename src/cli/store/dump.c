/* "crocket store dump": messages, queues, index files and checkpoint of a store directory as text or JSON. */
#include "cli/cmd.h"
#include "cli/store/store_tool.h"
#include "store/checkpoint.h"
#include "store/store_dump.h"
#include "store/store_files.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { PATH_SIZE = 4096 };

/* ---- values
 * ------------------------------------------------------------------------------------------------------------- */

void store_tool_time(int64_t ms, char out[40])
{
    time_t seconds = (time_t)(ms / 1000);
    struct tm tm;
    localtime_r(&seconds, &tm);
    size_t n = strftime(out, 32, "%Y-%m-%d %H:%M:%S", &tm);
    snprintf(out + n, 40 - n, ".%03d", (int)(ms % 1000));
}

/* Plain UTF-8 without control characters goes out as it is; anything else as \xNN. */
static void print_body(struct str body)
{
    for (size_t i = 0; i < body.len; i++) {
        unsigned char c = (unsigned char)body.ptr[i];
        if (c == '\\')
            fputs("\\\\", stdout);
        else if (c >= 0x20 && c != 0x7F)
            putchar(c);
        else
            printf("\\x%02X", c);
    }
}

static bool is_text(struct str s)
{
    for (size_t i = 0; i < s.len;) {
        unsigned char c = (unsigned char)s.ptr[i];
        size_t more = c < 0x80                ? 0
                      : c >= 0xC2 && c < 0xE0 ? 1
                      : c >= 0xE0 && c < 0xF0 ? 2
                      : c >= 0xF0 && c < 0xF5 ? 3
                                              : 9;
        if (more == 9 || i + more >= s.len)
            return false;
        for (size_t k = 1; k <= more; k++)
            if (((unsigned char)s.ptr[i + k] & 0xC0) != 0x80)
                return false;
        i += more + 1;
    }
    return true;
}

static void json_bytes(struct jw *w, const char *text_name, const char *hex_name, struct str bytes)
{
    if (is_text(bytes)) {
        jw_kstr(w, text_name, bytes);
        return;
    }
    struct buf hex = {0};
    for (size_t i = 0; i < bytes.len; i++)
        buf_printf(&hex, "%02x", (unsigned char)bytes.ptr[i]);
    jw_kstr(w, hex_name, buf_str(&hex));
    buf_free(&hex);
}

/* ---- messages
 * ----------------------------------------------------------------------------------------------------------- */

struct printer {
    bool json, body;
    bool damaged;
    struct buf line;
};

static void print_message(const struct printer *p, const struct msg_view *v, int64_t offset, struct str id)
{
    char time[40];
    store_tool_time(v->m.store_time, time);
    printf("%" PRId64 "  %.*s/%d @%" PRId64 "  %s  %.*s  %u bytes, body %zu", offset, STR_ARG(v->m.topic),
           v->m.queue_id, v->m.queue_offset, time, STR_ARG(id), v->size, v->m.body.len);
    struct str rest = v->m.properties, name, value;
    while (msg_property_next(&rest, &name, &value)) {
        printf("  %.*s=", STR_ARG(name));
        print_body(value);
    }
    if (!msg_crc_ok(v))
        printf("  BODY DOES NOT MATCH ITS CRC");
    putchar('\n');
    if (p->body) {
        print_body(v->m.body);
        putchar('\n');
    }
}

static void json_host(struct jw *w, const char *name, const struct msg_host *h)
{
    char text[INET6_ADDRSTRLEN + 16] = "";
    bool v6 = h->addr_len == 16;
    inet_ntop(v6 ? AF_INET6 : AF_INET, h->addr, text + v6, INET6_ADDRSTRLEN);
    if (v6)
        text[0] = '[';
    size_t n = strlen(text);
    snprintf(text + n, sizeof text - n, v6 ? "]:%d" : ":%d", h->port);
    jw_kstr(w, name, str_from(text));
}

static void json_message(struct printer *p, const struct msg_view *v, int64_t offset, struct str id)
{
    struct jw w;
    buf_clear(&p->line);
    jw_init(&w, &p->line);
    jw_begin_object(&w);
    jw_ki64(&w, "offset", offset);
    jw_ki64(&w, "size", v->size);
    json_bytes(&w, "topic", "topicHex", v->m.topic);
    jw_ki64(&w, "queueId", v->m.queue_id);
    jw_ki64(&w, "queueOffset", v->m.queue_offset);
    jw_kstr(&w, "msgId", id);
    json_host(&w, "bornHost", &v->m.born_host);
    json_host(&w, "storeHost", &v->m.store_host);
    jw_ki64(&w, "flag", v->m.flag);
    jw_ki64(&w, "sysFlag", v->m.sys_flag);
    jw_ki64(&w, "bornTimestamp", v->m.born_time);
    jw_ki64(&w, "storeTimestamp", v->m.store_time);
    jw_ki64(&w, "reconsumeTimes", v->m.reconsume_times);
    jw_ki64(&w, "preparedTransactionOffset", v->m.prepared_transaction_offset);
    jw_ki64(&w, "bodySize", (int64_t)v->m.body.len);
    jw_ki64(&w, "bodyCRC", v->body_crc);
    jw_kbool(&w, "bodyCRCMatches", msg_crc_ok(v));
    if (is_text(v->m.properties)) {
        struct str rest = v->m.properties, name, value;
        jw_kobject(&w, "properties");
        while (msg_property_next(&rest, &name, &value)) {
            jw_key(&w, name);
            jw_str(&w, value);
        }
        jw_end_object(&w);
    } else {
        json_bytes(&w, "properties", "propertiesHex", v->m.properties);
    }
    if (p->body)
        json_bytes(&w, "body", "bodyHex", v->m.body);
    jw_end_object(&w);
    printf("%.*s\n", STR_ARG(buf_str(&p->line)));
}

static void message(void *arg, const struct msg_view *v, int64_t offset)
{
    struct printer *p = arg;
    char id[56];
    struct str text = str_make(id, msg_id_format(id, &v->m.store_host, offset));
    if (p->json)
        json_message(p, v, offset, text);
    else
        print_message(p, v, offset, text);
}

static void damage(void *arg, const char *file, int64_t offset, int64_t bytes)
{
    struct printer *p = arg;
    p->damaged = true;
    fprintf(stderr, "crocket: %s: %" PRId64 " bytes at log offset %" PRId64 " hold no valid message\n", file, bytes,
            offset);
}

int store_tool_filter(const struct args *a, struct store_dump_filter *f, struct err *err)
{
    *f = (struct store_dump_filter){.topic = args_get(a, "topic"),
                                    .queue_id = -1,
                                    .key = args_get(a, "key"),
                                    .to = INT64_MAX,
                                    .since = INT64_MIN,
                                    .until = INT64_MAX,
                                    .count = -1};
    return args_i64(a, "queue", 0, INT32_MAX, &f->queue_id, err) || args_i64(a, "from", 0, INT64_MAX, &f->from, err) ||
                   args_i64(a, "to", 0, INT64_MAX, &f->to, err) || args_i64(a, "count", 0, INT64_MAX, &f->count, err) ||
                   args_i64(a, "since", 0, INT64_MAX, &f->since, err) ||
                   args_i64(a, "until", 0, INT64_MAX, &f->until, err)
               ? -1
               : 0;
}

static int dump_messages(const struct args *a, const char *dir, struct printer p, struct err *err)
{
    struct store_dump_filter f;
    struct store_dump_sink sink = {&p, message, damage, NULL};
    /* Progress would tear apart what a terminal shows of the messages. */
    if (!isatty(1))
        sink.progress = store_tool_progress;
    if (store_tool_filter(a, &f, err))
        return -1;
    int64_t n = store_dump_messages(fs_real(), dir, args_get(a, "commitlog"), &f, &sink, err);
    store_tool_progress_end();
    buf_free(&p.line);
    return n < 0 ? -1 : p.damaged ? 2 : 0;
}

/* Messages only, whole, one JSON object a line. */
int store_tool_export(const struct args *a, const char *dir)
{
    struct err err = {0};
    int r = dump_messages(a, dir, (struct printer){.json = true, .body = true}, &err);
    return r < 0 ? cmd_fail(&err) : r;
}

/* ---- the rest
 * ----------------------------------------------------------------------------------------------------------- */

static void print_object(struct jw *w, struct buf *line)
{
    jw_end_object(w);
    printf("%.*s\n", STR_ARG(buf_str(line)));
    buf_free(line);
}

static int print_queue(void *arg, struct queue_files *q)
{
    struct store_entry first = {.queue_offset = q->first}, last = {.physical_offset = -1};
    if (q->end > q->first) {
        queue_files_read(fs_real(), q, q->first, &first, 1);
        queue_files_read(fs_real(), q, q->end - 1, &last, 1);
    }
    bool batch = queue_files_batch(q);
    int64_t from = batch ? first.queue_offset : q->first, to = batch ? last.queue_offset + last.messages : q->end;
    if (*(bool *)arg) {
        struct buf line = {0};
        struct jw w;
        jw_init(&w, &line);
        jw_begin_object(&w);
        jw_kstr(&w, "topic", str_from(q->topic));
        jw_ki64(&w, "queueId", q->id);
        jw_ki64(&w, "files", (int64_t)q->n);
        jw_ki64(&w, "firstOffset", from);
        jw_ki64(&w, "maxOffset", to);
        if (batch)
            jw_ki64(&w, "batches", q->end - q->first);
        jw_ki64(&w, "lastLogOffset", last.physical_offset);
        print_object(&w, &line);
    } else {
        printf("%-40s %5d  %5zu files  %s %" PRId64 " to %" PRId64 "  last at log offset %" PRId64 "\n", q->topic,
               q->id, q->n, batch ? "messages of batches" : "entries", from, to, last.physical_offset);
    }
    queue_files_free(q);
    return 0;
}

static int dump_queues(const char *dir, bool json, struct err *err)
{
    return queue_files_each(fs_real(), dir, print_queue, &json, err);
}

static int dump_index(const char *dir, bool json, struct err *err)
{
    char path[PATH_SIZE];
    struct index_info *files;
    size_t count;
    int n = snprintf(path, sizeof path, "%s/index", dir);
    if (n < 0 || n >= (int)sizeof path)
        return err_sys(err, ENAMETOOLONG, "cannot read %s", dir);
    if (index_infos(fs_real(), path, &files, &count, err))
        return -1;
    for (size_t i = 0; i < count; i++) {
        const struct index_header *h = &files[i].header;
        const char *name = strrchr(files[i].path, '/') + 1;
        char begin[40], end[40];
        store_tool_time(h->begin_time, begin);
        store_tool_time(h->end_time, end);
        if (json)
            printf("{\"file\":\"%s\",\"entries\":%d,\"usedSlots\":%d,\"beginTimestamp\":%" PRId64
                   ",\"endTimestamp\":%" PRId64 ",\"beginOffset\":%" PRId64 ",\"endOffset\":%" PRId64 "}\n",
                   name, h->count - 1, h->used_slots, h->begin_time, h->end_time, h->begin_offset, h->end_offset);
        else
            printf("%s  %d entries in %d slots, %s to %s, log offsets %" PRId64 " to %" PRId64 "\n", name, h->count - 1,
                   h->used_slots, begin, end, h->begin_offset, h->end_offset);
    }
    index_infos_free(files, count);
    return 0;
}

static int dump_checkpoint(const char *dir, bool json, struct err *err)
{
    char path[PATH_SIZE];
    struct checkpoint c;
    int n = snprintf(path, sizeof path, "%s/checkpoint", dir);
    if (n < 0 || n >= (int)sizeof path)
        return err_sys(err, ENAMETOOLONG, "cannot read %s", dir);
    if (checkpoint_read(&c, fs_real(), path, err))
        return -1;
    const struct {
        const char *name, *text;
        int64_t value;
        bool is_time, ours;
    } rows[] = {
        {"physicMsgTimestamp", "commit log is safe up to", c.log_time, true, false},
        {"logicsMsgTimestamp", "consume queues are safe up to", c.queues_time, true, false},
        {"indexMsgTimestamp", "index is safe up to", c.index_time, true, false},
        {"masterFlushedOffset", "master's flushed offset", c.master_flushed, false, false},
        {"confirmPhyOffset", "confirmed offset", c.confirm, false, false},
        {"logMark", "commit log is safe below offset", c.log_mark, false, true},
        {"queuesMark", "consume queues are safe below offset", c.queues_mark, false, true},
        {"indexMark", "index is safe below offset", c.index_mark, false, true},
        {"sharedMark", "shared queue files are safe below", c.shared_mark, false, true},
    };
    bool first = true;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char time[40];
        if (rows[i].ours && !c.have_marks)
            continue;
        store_tool_time(rows[i].value, time);
        if (json)
            printf("%s\"%s\":%" PRId64, first ? "{" : ",", rows[i].name, rows[i].value);
        else if (rows[i].is_time)
            printf("%-38s %s\n", rows[i].text, rows[i].value ? time : "never");
        else
            printf("%-38s %" PRId64 "\n", rows[i].text, rows[i].value);
        first = false;
    }
    if (json)
        puts("}");
    return 0;
}

int store_tool_dump(const struct args *a, const char *dir)
{
    struct err err = {0};
    bool json = args_has(a, "json");
    int r = args_has(a, "queues")  ? dump_queues(dir, json, &err)
            : args_has(a, "index") ? dump_index(dir, json, &err)
            : args_has(a, "checkpoint")
                ? dump_checkpoint(dir, json, &err)
                : dump_messages(a, dir, (struct printer){.json = json, .body = args_has(a, "body")}, &err);
    return r < 0 ? cmd_fail(&err) : r;
}

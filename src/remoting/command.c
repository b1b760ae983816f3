#include "remoting/command.h"

/* The names of LanguageCode, by its number. */
static const char *const languages[] = {"JAVA",  "CPP",  "DOTNET", "PYTHON", "DELPHI", "ERLANG", "RUBY",
                                        "OTHER", "HTTP", "GO",     "PHP",    "OMS",    "RUST",   "NODE_JS"};

const char *rem_language_name(uint8_t language)
{
    return language < sizeof languages / sizeof languages[0] ? languages[language] : "OTHER";
}

enum rem_frame_status rem_frame_peek(const uint8_t *data, size_t len, size_t *total)
{
    if (len < 4) {
        *total = 4;
        return REM_FRAME_INCOMPLETE;
    }
    uint32_t rest = get_be32(data);
    if (rest < 4 || rest > REM_FRAME_MAX - 4)
        return REM_FRAME_BAD;
    *total = (size_t)rest + 4;
    if (len >= 8 && (data[4] > REM_BINARY || (get_be32(data + 4) & 0xFFFFFFu) > rest - 4))
        return REM_FRAME_BAD;
    return len < *total ? REM_FRAME_INCOMPLETE : REM_FRAME_OK;
}

bool rem_decode(uint8_t *frame, size_t total, struct rem_command *out, const char **why)
{
    if (total < 8) {
        *why = "frame shorter than 8 bytes";
        return false;
    }
    size_t header_len = get_be32(frame + 4) & 0xFFFFFFu;
    if (header_len > total - 8) {
        *why = "header longer than the frame";
        return false;
    }
    out->code = 0;
    out->version = 0;
    out->opaque = 0;
    out->flag = 0;
    out->language = REM_LANG_UNKNOWN;
    out->has_ext = false;
    out->n_ext = 0;
    out->remark = STR_NULL;
    out->body = total - 8 > header_len ? str_make(frame + 8 + header_len, total - 8 - header_len) : STR_NULL;
    switch (frame[4]) {
    case REM_JSON:
        out->serialize = REM_JSON;
        return rem_decode_json_header((char *)frame + 8, header_len, out, why);
    case REM_BINARY:
        out->serialize = REM_BINARY;
        return rem_decode_binary_header(frame + 8, header_len, out, why);
    default:
        *why = "unknown serialize type";
        return false;
    }
}

struct str rem_ext(const struct rem_command *c, const char *key)
{
    struct str k = str_from(key);
    /* The last of repeated keys wins. */
    for (uint32_t i = c->n_ext; i-- > 0;)
        if (str_eq(c->ext[i].key, k))
            return c->ext[i].value;
    return STR_NULL;
}

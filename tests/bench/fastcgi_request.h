/* One request to a FastCGI application, made of NAME=VALUE pairs: composed once, sent again and again. */
#include <string.h>

static unsigned char request[65536];
static size_t length;

static void record(unsigned char type, const unsigned char *content, size_t bytes)
{
    unsigned char header[8] = {1, type, 0, 1, (unsigned char)(bytes >> 8), (unsigned char)bytes, 0, 0};
    memcpy(request + length, header, 8);
    memcpy(request + length + 8, content, bytes);
    length += 8 + bytes;
}

static void compose(char **pairs)
{
    unsigned char begin[8] = {0, 1, 1, 0, 0, 0, 0, 0}, params[4096];
    size_t at = 0;
    for (; *pairs; pairs++) {
        char *value = strchr(*pairs, '=');
        size_t name_bytes = (size_t)(value - *pairs), value_bytes = strlen(value + 1);
        params[at++] = (unsigned char)name_bytes;
        params[at++] = (unsigned char)value_bytes;
        memcpy(params + at, *pairs, name_bytes);
        memcpy(params + at + name_bytes, value + 1, value_bytes);
        at += name_bytes + value_bytes;
    }
    record(1, begin, 8);
    record(4, params, at);
    record(4, params, 0);
    record(5, params, 0);
}

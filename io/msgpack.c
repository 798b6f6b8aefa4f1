/* SPDX-License-Identifier: Apache-2.0 */
#include "io/msgpack.h"

#include <assert.h>
#include <string.h>

#include "arch/fail.h"

enum kind { NIL, BOOLEAN, UINT, NEGATIVE, FLOAT, STR, BIN, ARRAY, MAP, EXT };
static const char *const kind_names[] = {"nil",     "a boolean",   "an unsigned integer", "a negative integer",
                                         "a float", "a string",    "binary data",         "an array",
                                         "a map",   "an extension"};

/* The header of one value. */
struct head {
    enum kind kind;
    uint64_t value; /* the integer; bytes of a str, bin, ext or float; items of an array; pairs of a map */
    int type;       /* of an extension */
    size_t body;    /* offset of what follows the header */
};

/* First bytes 0xc0 .. 0xdf: kind, bytes of the length or value that follows big-endian, or the length itself. */
static const struct {
    unsigned char kind, width, length;
} wide[32] = {{NIL, 0, 0},      {0xff, 0, 0},     {BOOLEAN, 0, 0},  {BOOLEAN, 0, 0}, /* 0xc1 is never used */
              {BIN, 1, 0},      {BIN, 2, 0},      {BIN, 4, 0},      {EXT, 1, 0},      {EXT, 2, 0},  {EXT, 4, 0},
              {FLOAT, 0, 4},    {FLOAT, 0, 8},    {UINT, 1, 0},     {UINT, 2, 0},     {UINT, 4, 0}, {UINT, 8, 0},
              {NEGATIVE, 1, 0}, {NEGATIVE, 2, 0}, {NEGATIVE, 4, 0}, {NEGATIVE, 8, 0}, {EXT, 0, 1},  {EXT, 0, 2},
              {EXT, 0, 4},      {EXT, 0, 8},      {EXT, 0, 16},     {STR, 1, 0},      {STR, 2, 0},  {STR, 4, 0},
              {ARRAY, 2, 0},    {ARRAY, 4, 0},    {MAP, 2, 0},      {MAP, 4, 0}};

static enum sco_status truncated(const struct sco_msgpack *cursor)
{
    return sco_fail(SCO_FORMAT, "byte %zu: the data end in the middle of a value", cursor->end);
}

/* Decodes the header at the cursor. What it claims fits the bytes that are left: the body of a str, bin, ext or float
 * is all there, and an item takes one byte at least. */
static enum sco_status decode(const struct sco_msgpack *cursor, struct head *head)
{
    size_t at = cursor->offset;
    if (at >= cursor->end)
        return truncated(cursor);
    const unsigned first = cursor->bytes[at++];
    *head = (struct head){0};
    if (first < 0x80) {
        head->kind = UINT, head->value = first;
    } else if (first < 0x90) {
        head->kind = MAP, head->value = first & 0x0f;
    } else if (first < 0xa0) {
        head->kind = ARRAY, head->value = first & 0x0f;
    } else if (first < 0xc0) {
        head->kind = STR, head->value = first & 0x1f;
    } else if (first >= 0xe0) {
        head->kind = NEGATIVE;
    } else {
        const unsigned i = first - 0xc0;
        if (wide[i].kind == 0xff)
            return sco_fail(SCO_FORMAT, "byte %zu: 0x%02x starts no value, this is not msgpack", cursor->offset, first);
        head->kind = (enum kind)wide[i].kind;
        head->value = wide[i].length;
        if (wide[i].width > cursor->end - at)
            return truncated(cursor);
        for (unsigned k = 0; k < wide[i].width; k++)
            head->value = head->value << 8 | cursor->bytes[at++];
        /* A writer may store a small number in a signed form. */
        if (head->kind == NEGATIVE && head->value >> (8 * wide[i].width - 1) == 0)
            head->kind = UINT;
        if (head->kind == EXT) {
            if (at == cursor->end)
                return truncated(cursor);
            head->type = cursor->bytes[at] < 0x80 ? cursor->bytes[at] : cursor->bytes[at] - 0x100;
            at++;
        }
    }
    head->body = at;
    const uint64_t left = cursor->end - at;
    switch (head->kind) {
    case STR:
    case BIN:
    case EXT:
    case FLOAT:
        if (head->value > left)
            return sco_fail(SCO_FORMAT, "byte %zu: %s of %llu bytes, but %llu are left", cursor->offset,
                            kind_names[head->kind], (unsigned long long)head->value, (unsigned long long)left);
        break;
    case ARRAY:
    case MAP:
        if (head->value > (head->kind == MAP ? left / 2 : left))
            return sco_fail(SCO_FORMAT, "byte %zu: %s of %llu entries, but %llu bytes are left", cursor->offset,
                            kind_names[head->kind], (unsigned long long)head->value, (unsigned long long)left);
        break;
    case NIL:
    case BOOLEAN:
    case UINT:
    case NEGATIVE: break;
    }
    return SCO_OK;
}

static enum sco_status expect(const struct sco_msgpack *cursor, enum kind kind, struct head *head)
{
    const enum sco_status status = decode(cursor, head);
    if (status != SCO_OK)
        return status;
    if (head->kind != kind)
        return sco_fail(SCO_FORMAT, "byte %zu: expected %s, found %s", cursor->offset, kind_names[kind],
                        kind_names[head->kind]);
    return SCO_OK;
}

enum sco_status sco_msgpack_map(struct sco_msgpack *cursor, size_t *pairs)
{
    struct head head;
    const enum sco_status status = expect(cursor, MAP, &head);
    if (status != SCO_OK)
        return status;
    *pairs = (size_t)head.value;
    cursor->offset = head.body;
    return SCO_OK;
}

enum sco_status sco_msgpack_array(struct sco_msgpack *cursor, size_t *items)
{
    struct head head;
    const enum sco_status status = expect(cursor, ARRAY, &head);
    if (status != SCO_OK)
        return status;
    *items = (size_t)head.value;
    cursor->offset = head.body;
    return SCO_OK;
}

enum sco_status sco_msgpack_uint(struct sco_msgpack *cursor, uint64_t *value)
{
    struct head head;
    const enum sco_status status = expect(cursor, UINT, &head);
    if (status != SCO_OK)
        return status;
    *value = head.value;
    cursor->offset = head.body;
    return SCO_OK;
}

enum sco_status sco_msgpack_text(struct sco_msgpack *cursor, const char **text, size_t *bytes)
{
    struct head head;
    enum sco_status status = decode(cursor, &head);
    if (status != SCO_OK)
        return status;
    if (head.kind != BIN && (status = expect(cursor, STR, &head)) != SCO_OK)
        return status;
    *text = (const char *)cursor->bytes + head.body;
    *bytes = (size_t)head.value;
    cursor->offset = head.body + *bytes;
    return SCO_OK;
}

enum sco_status sco_msgpack_ext(struct sco_msgpack *cursor, int *type, struct sco_msgpack *payload)
{
    struct head head;
    const enum sco_status status = expect(cursor, EXT, &head);
    if (status != SCO_OK)
        return status;
    *type = head.type;
    *payload = (struct sco_msgpack){cursor->bytes, head.body, head.body + (size_t)head.value};
    cursor->offset = payload->end;
    return SCO_OK;
}

enum sco_status sco_msgpack_finish(const struct sco_msgpack *cursor)
{
    if (cursor->offset != cursor->end)
        return sco_fail(SCO_FORMAT, "byte %zu: %zu bytes too many", cursor->offset, cursor->end - cursor->offset);
    return SCO_OK;
}

static void put(struct sco_msgpack_writer *writer, const void *data, size_t bytes)
{
    if (writer->bytes != NULL && bytes > 0)
        memcpy(writer->bytes + writer->size, data, bytes);
    writer->size += bytes;
}

/* first, then the low width bytes of value, big-endian. */
static void put_head(struct sco_msgpack_writer *writer, unsigned first, unsigned width, uint64_t value)
{
    unsigned char head[9] = {(unsigned char)first};
    for (unsigned i = 0; i < width; i++)
        head[1 + i] = (unsigned char)(value >> (8 * (width - 1 - i)));
    put(writer, head, 1 + width);
}

/* Sizes of one, two or four bytes have consecutive first bytes, from first8 on. */
static void put_size(struct sco_msgpack_writer *writer, unsigned first8, size_t size)
{
    assert(size <= UINT32_MAX);
    const unsigned log2_width = size <= UINT8_MAX ? 0 : size <= UINT16_MAX ? 1 : 2;
    put_head(writer, first8 + log2_width, 1u << log2_width, size);
}

void sco_msgpack_put_map(struct sco_msgpack_writer *writer, size_t pairs)
{
    assert(pairs <= UINT16_MAX);
    if (pairs < 16)
        put_head(writer, 0x80 | (unsigned)pairs, 0, 0);
    else
        put_head(writer, 0xde, 2, pairs);
}

void sco_msgpack_put_array(struct sco_msgpack_writer *writer, size_t items)
{
    assert(items < 16);
    put_head(writer, 0x90 | (unsigned)items, 0, 0);
}

void sco_msgpack_put_uint(struct sco_msgpack_writer *writer, uint64_t value)
{
    if (value < 0x80)
        put_head(writer, (unsigned)value, 0, 0);
    else if (value <= UINT32_MAX)
        put_size(writer, 0xcc, (size_t)value);
    else
        put_head(writer, 0xcf, 8, value);
}

void sco_msgpack_put_str(struct sco_msgpack_writer *writer, const char *text, size_t bytes)
{
    if (bytes < 32)
        put_head(writer, 0xa0 | (unsigned)bytes, 0, 0);
    else
        put_size(writer, 0xd9, bytes);
    put(writer, text, bytes);
}

unsigned char *sco_msgpack_put_bin(struct sco_msgpack_writer *writer, size_t bytes)
{
    put_size(writer, 0xc4, bytes);
    unsigned char *data = writer->bytes == NULL ? NULL : writer->bytes + writer->size;
    writer->size += bytes;
    return data;
}

void sco_msgpack_put_ext(struct sco_msgpack_writer *writer, int type, size_t bytes)
{
    assert(bytes > 16 || (bytes & (bytes - 1)) != 0 || bytes == 0);
    put_size(writer, 0xc7, bytes);
    const unsigned char code = (unsigned char)type;
    put(writer, &code, 1);
}

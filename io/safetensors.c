/* SPDX-License-Identifier: Apache-2.0 */
#include "io/safetensors.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "arch/fail.h"
#include "io/file.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "arrays are written as they are in memory");

/* The header starts with these characters, so that they serve as magic number and version at a fixed offset. */
#define START_FORMAT "{\"__metadata__\":{\"format\":\"%s\",\"version\":\""
#define VERSION      "1"
#define CRC_KEY      "\",\"crc32\":\""
enum {
    LENGTH_BYTES = 8,
    CRC_DIGITS = 8,
    MAX_START = 256,
    MAX_HEADER_BYTES = 1 << 28, /* 1,000,000 arrays; bounds what a hostile length makes the reader allocate */
};
static const char zero_digits[CRC_DIGITS + 1] = "00000000";

/* The first characters of the header up to the version, and where the digits of the checksum are in the file. */
static size_t start_of(const char *format, char start[MAX_START])
{
    return (size_t)snprintf(start, MAX_START, START_FORMAT, format);
}

static size_t crc_offset(size_t start)
{
    return LENGTH_BYTES + start + sizeof VERSION - 1 + sizeof CRC_KEY - 1;
}

/* ---- Writing ---- */

static json_t *shape_of(const struct sco_array *array)
{
    json_t *shape = json_array();
    for (size_t i = 0; i < array->rank; i++)
        json_array_append_new(shape, json_integer((json_int_t)array->shape[i]));
    return shape;
}

/* The JSON header with a checksum of zeros, or NULL without memory. */
static char *header_text(const char *format, json_t *meta, const struct sco_array *arrays, size_t count)
{
    json_t *root = json_object(), *all = json_object();
    json_object_set_new(all, "format", json_string(format));
    json_object_set_new(all, "version", json_string(VERSION));
    json_object_set_new(all, "crc32", json_string(zero_digits));
    if (meta != NULL)
        json_object_update(all, meta);
    json_object_set_new(root, "__metadata__", all);
    size_t offset = 0;
    for (size_t i = 0; i < count; i++) {
        const size_t end = offset + arrays[i].size;
        json_object_set_new(root, arrays[i].key,
                            json_pack("{s:s, s:o, s:[I,I]}", "dtype", arrays[i].dtype, "shape", shape_of(&arrays[i]),
                                      "data_offsets", (json_int_t)offset, (json_int_t)end));
        offset = end;
    }
    char *text = json_dumps(root, JSON_COMPACT);
    json_decref(root);
    return text;
}

enum sco_status sco_safetensors_write(const char *path, const char *format, json_t *meta,
                                      const struct sco_array *arrays, size_t count, uint32_t *crc_out)
{
    enum sco_status status = SCO_OK;
    unsigned char *header = NULL;
    struct sco_file_part *parts = calloc(count + 1, sizeof *parts);
    char *text = header_text(format, meta, arrays, count), start[MAX_START];
    json_decref(meta);
    if (parts == NULL || text == NULL) {
        status = sco_fail(SCO_NOMEM, "%s: no memory for the header of %zu arrays", path, count);
        goto out;
    }
    const size_t text_bytes = strlen(text);
    const uint64_t length = (text_bytes + 7) / 8 * 8;
    header = malloc(LENGTH_BYTES + length);
    if (header == NULL) {
        status = sco_fail(SCO_NOMEM, "%s: no memory for a header of %" PRIu64 " bytes", path, length);
        goto out;
    }
    memcpy(header, &length, LENGTH_BYTES);
    memcpy(header + LENGTH_BYTES, text, text_bytes);
    memset(header + LENGTH_BYTES + text_bytes, ' ', length - text_bytes);

    parts[0] = (struct sco_file_part){header, LENGTH_BYTES + length};
    for (size_t i = 0; i < count; i++)
        parts[i + 1] = (struct sco_file_part){arrays[i].bytes, arrays[i].size};
    uLong crc = crc32_z(0, NULL, 0);
    for (size_t i = 0; i <= count; i++)
        crc = crc32_z(crc, parts[i].bytes, parts[i].size);
    char digits[CRC_DIGITS + 1];
    snprintf(digits, sizeof digits, "%08lx", crc);
    memcpy(header + crc_offset(start_of(format, start)), digits, CRC_DIGITS);
    status = sco_file_write_parts(path, parts, count + 1);
    if (status == SCO_OK && crc_out != NULL)
        *crc_out = (uint32_t)crc;

out:
    free(header);
    free(text);
    free(parts);
    return status;
}

/* ---- Reading ---- */

static enum sco_status read_bytes(struct sco_safetensors *file, void *bytes, size_t size)
{
    for (size_t done = 0; done < size;) {
        const ssize_t n = read(file->fd, (unsigned char *)bytes + done, size - done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return sco_fail(SCO_IO, "%s: cannot be read at byte %" PRIu64 ": %s", file->path, file->done + done,
                            strerror(errno));
        if (n == 0)
            return sco_fail(SCO_IO, "%s: ended at byte %" PRIu64 " while it was read; try again", file->path,
                            file->done + done);
        done += (size_t)n;
    }
    file->done += size;
    return SCO_OK;
}

/* The first bytes, before anything is allocated for the rest. */
static enum sco_status check_start(const struct sco_safetensors *file, const char *format, const char *bytes,
                                   uint64_t length)
{
    char start[MAX_START];
    const size_t start_bytes = start_of(format, start), digits = crc_offset(start_bytes);
    if (memcmp(bytes + LENGTH_BYTES, start, start_bytes) != 0)
        return sco_fail(SCO_FORMAT, "%s: not a %s (no \"%s\" at byte %d)", file->path, format, format, LENGTH_BYTES);
    if (memcmp(bytes + LENGTH_BYTES + start_bytes, VERSION CRC_KEY, sizeof VERSION CRC_KEY - 1) != 0)
        return sco_fail(SCO_FORMAT, "%s: a version of the format other than %s (byte %zu)", file->path, VERSION,
                        LENGTH_BYTES + start_bytes);
    if (length > file->size - LENGTH_BYTES)
        return sco_fail(SCO_FORMAT, "%s: truncated: %" PRIu64 " bytes, but its header ends after byte %" PRIu64,
                        file->path, file->size, length);
    if (length > MAX_HEADER_BYTES || length < digits + CRC_DIGITS - LENGTH_BYTES)
        return sco_fail(SCO_FORMAT, "%s: a header of %" PRIu64 " bytes (byte 0) is not possible", file->path, length);
    return SCO_OK;
}

static enum sco_status read_header(struct sco_safetensors *file, const char *format)
{
    char start[MAX_START];
    const size_t digits = crc_offset(start_of(format, start)), first = digits + CRC_DIGITS;
    if (file->size < first)
        return sco_fail(SCO_FORMAT, "%s: truncated: %" PRIu64 " bytes, less than the start of a header", file->path,
                        file->size);
    enum sco_status status = read_bytes(file, start, first);
    uint64_t length = 0;
    memcpy(&length, start, LENGTH_BYTES);
    if (status == SCO_OK)
        status = check_start(file, format, start, length);
    if (status != SCO_OK)
        return status;

    char *header = malloc(LENGTH_BYTES + length);
    if (header == NULL)
        return sco_fail(SCO_NOMEM, "%s: no memory for its header of %" PRIu64 " bytes", file->path, length);
    memcpy(header, start, first);
    status = read_bytes(file, header + first, LENGTH_BYTES + length - first);
    memcpy(file->stated, header + digits, CRC_DIGITS);
    if (status == SCO_OK) {
        json_error_t error;
        file->root = json_loadb(header + LENGTH_BYTES, length, JSON_REJECT_DUPLICATES, &error);
        if (file->root == NULL)
            status = sco_fail(SCO_FORMAT, "%s: damaged header at byte %d: %s", file->path,
                              LENGTH_BYTES + error.position, error.text);
    }
    if (status == SCO_OK) {
        memcpy(header + digits, zero_digits, CRC_DIGITS);
        file->computed = (uint32_t)crc32_z(crc32_z(0, NULL, 0), (const unsigned char *)header, LENGTH_BYTES + length);
        file->data = LENGTH_BYTES + length;
    }
    free(header);
    return status;
}

enum sco_status sco_safetensors_open(struct sco_safetensors *file, const char *path, const char *format)
{
    struct stat info;
    *file = (struct sco_safetensors){.path = path};
    /* O_NONBLOCK: a FIFO without a writer must not hang the open; it has no effect on a regular file. */
    file->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (file->fd < 0)
        return sco_fail(SCO_IO, "%s: cannot be opened: %s", path, strerror(errno));
    if (fstat(file->fd, &info) != 0)
        return sco_fail(SCO_IO, "%s: cannot be examined: %s", path, strerror(errno));
    if (!S_ISREG(info.st_mode))
        return sco_fail(SCO_IO, "%s: not a regular file", path);
    file->size = (uint64_t)info.st_size;
    return read_header(file, format);
}

void sco_safetensors_close(struct sco_safetensors *file)
{
    if (file->fd >= 0)
        close(file->fd);
    json_decref(file->root);
    file->fd = -1;
    file->root = NULL;
}

const char *sco_safetensors_meta(const struct sco_safetensors *file, const char *key)
{
    const char *value = json_string_value(json_object_get(json_object_get(file->root, "__metadata__"), key));
    return value != NULL ? value : "(absent)";
}

enum sco_status sco_safetensors_check(const struct sco_safetensors *file, const struct sco_array *arrays, size_t count)
{
    if (json_object_size(file->root) != count + 1)
        return sco_fail(SCO_FORMAT, "%s: has %zu arrays, not %zu", file->path, json_object_size(file->root) - 1, count);
    uint64_t offset = 0;
    for (size_t i = 0; i < count; i++) {
        const struct sco_array *array = &arrays[i];
        const uint64_t end = offset + array->size;
        const char *dtype = NULL;
        json_int_t from = -1, to = -1;
        if (json_unpack(json_object_get(file->root, array->key), "{s:s, s:[I,I]}", "dtype", &dtype, "data_offsets",
                        &from, &to) != 0)
            return sco_fail(SCO_FORMAT, "%s: array %s is absent or not described", file->path, array->key);
        if (strcmp(dtype, array->dtype) != 0 || from != (json_int_t)offset || to != (json_int_t)end)
            return sco_fail(SCO_FORMAT, "%s: array %s is %s at bytes %lld to %lld, not %s at %" PRIu64 " to %" PRIu64,
                            file->path, array->key, dtype, (long long)from, (long long)to, array->dtype, offset, end);
        offset = end;
    }
    if (file->data + offset != file->size)
        return sco_fail(SCO_FORMAT, "%s: %s: %" PRIu64 " bytes, but its arrays end at byte %" PRIu64, file->path,
                        file->data + offset > file->size ? "truncated" : "oversized", file->size, file->data + offset);
    return SCO_OK;
}

enum sco_status sco_safetensors_read(struct sco_safetensors *file, const struct sco_array *arrays, size_t count)
{
    uLong crc = file->computed;
    for (size_t i = 0; i < count; i++) {
        const enum sco_status status = read_bytes(file, arrays[i].bytes, arrays[i].size);
        if (status != SCO_OK)
            return status;
        crc = crc32_z(crc, arrays[i].bytes, arrays[i].size);
    }
    char computed[CRC_DIGITS + 1];
    snprintf(computed, sizeof computed, "%08lx", crc);
    if (memcmp(computed, file->stated, CRC_DIGITS) != 0)
        return sco_fail(SCO_FORMAT, "%s: damaged: the CRC-32 of bytes 0 to %" PRIu64 " is %s, the header says %s",
                        file->path, file->size, computed, file->stated);
    file->computed = (uint32_t)crc;
    return SCO_OK;
}

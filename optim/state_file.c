/* SPDX-License-Identifier: Apache-2.0 */
#include "optim/state_file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include "arch/fail.h"
#include "io/file.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "planes are written as they are in memory");

/* The header starts with these characters, so that they serve as magic number and version at a fixed offset. */
#define MAGIC   "{\"__metadata__\":{\"format\":\"stepcost optimizer state\",\"version\":\""
#define VERSION "1"
#define CRC_KEY "\",\"crc32\":\""
enum {
    LENGTH_BYTES = 8,
    VERSION_OFFSET = LENGTH_BYTES + sizeof MAGIC - 1,
    CRC_OFFSET = VERSION_OFFSET + sizeof VERSION - 1 + sizeof CRC_KEY - 1,
    CRC_DIGITS = 8,
    MAX_HEADER_BYTES = 1 << 28, /* 1,000,000 planes; bounds what a hostile length makes the reader allocate */
};
static const char zero_digits[CRC_DIGITS + 1] = "00000000";

static const char *dtype_of(const struct sco_plane *plane)
{
    return plane->element_bytes == 1 ? "I8" : plane->element_bytes == 4 ? "F32" : "F64";
}

static void key_of(const struct sco_plane *plane, char *key, size_t bytes)
{
    if (plane->tensor == SIZE_MAX)
        snprintf(key, bytes, "%s", plane->name);
    else
        snprintf(key, bytes, "%s/%zu", plane->name, plane->tensor);
}

static size_t plane_bytes(const struct sco_plane *plane)
{
    return plane->count * plane->element_bytes;
}

/* ---- Writing ---- */

static json_t *shape_of(const struct sco_tensor *tensor)
{
    json_t *shape = json_array();
    for (size_t i = 0; i < tensor->rank; i++)
        json_array_append_new(shape, json_integer((json_int_t)tensor->shape[i]));
    return shape;
}

/* A name that is not UTF-8 is left out: it is there for the reader of the file, not for load. */
static char *tensors_text(const struct sco_optim *optim)
{
    json_t *tensors = json_array();
    for (size_t i = 0; i < optim->list.count; i++) {
        const struct sco_tensor *tensor = &optim->list.tensors[i];
        json_t *name = tensor->name == NULL ? NULL : json_string(tensor->name);
        json_t *entry = json_array();
        json_array_append_new(entry, name == NULL ? json_null() : name);
        json_array_append_new(entry, shape_of(tensor));
        json_array_append_new(tensors, entry);
    }
    char *text = json_dumps(tensors, JSON_COMPACT);
    json_decref(tensors);
    return text;
}

static char *config_text(const struct sco_optim *optim)
{
    char line[1024] = "";
    if (optim->type->describe != NULL)
        optim->type->describe(optim, line, sizeof line);
    return strdup(line);
}

/* The JSON header with a CRC of zeros, or NULL without memory. */
static char *header_text(const struct sco_optim *optim)
{
    char *tensors = tensors_text(optim), *config = config_text(optim), number[32];
    json_t *root = json_object(), *meta = json_object();
    json_object_set_new(meta, "format", json_string("stepcost optimizer state"));
    json_object_set_new(meta, "version", json_string(VERSION));
    json_object_set_new(meta, "crc32", json_string(zero_digits));
    json_object_set_new(meta, "optimizer", json_string(sco_optim_name(optim->config.kind)));
    json_object_set_new(meta, "config", json_string(config));
    snprintf(number, sizeof number, "%" PRIu64, optim->steps);
    json_object_set_new(meta, "steps", json_string(number));
    snprintf(number, sizeof number, "%" PRIu64, optim->skipped);
    json_object_set_new(meta, "skipped", json_string(number));
    json_object_set_new(meta, "tensors", json_string(tensors));
    json_object_set_new(root, "__metadata__", meta);

    size_t offset = 0;
    for (size_t i = 0; i < optim->layout.plane_count; i++) {
        const struct sco_plane *plane = &optim->layout.planes[i];
        const size_t end = offset + plane_bytes(plane);
        char key[96];
        key_of(plane, key, sizeof key);
        const bool as_tensor = plane->tensor != SIZE_MAX && plane->count == optim->elements[plane->tensor];
        json_t *shape =
            as_tensor ? shape_of(&optim->list.tensors[plane->tensor]) : json_pack("[I]", (json_int_t)plane->count);
        json_object_set_new(root, key,
                            json_pack("{s:s, s:o, s:[I,I]}", "dtype", dtype_of(plane), "shape", shape, "data_offsets",
                                      (json_int_t)offset, (json_int_t)end));
        offset = end;
    }
    char *text = tensors == NULL || config == NULL ? NULL : json_dumps(root, JSON_COMPACT);
    json_decref(root);
    free(tensors);
    free(config);
    return text;
}

enum sco_status sco_state_file_write(const struct sco_optim *optim, const char *path)
{
    enum sco_status status = SCO_OK;
    const size_t planes = optim->layout.plane_count;
    unsigned char *header = NULL;
    struct sco_file_part *parts = calloc(planes + 1, sizeof *parts);
    char *text = header_text(optim);
    if (parts == NULL || text == NULL) {
        status = sco_fail(SCO_NOMEM, "%s: no memory for the header of %zu arrays", path, planes);
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
    for (size_t i = 0; i < planes; i++)
        parts[i + 1] = (struct sco_file_part){sco_optim_plane(optim, i), plane_bytes(&optim->layout.planes[i])};
    uLong crc = crc32_z(0, NULL, 0);
    for (size_t i = 0; i <= planes; i++)
        crc = crc32_z(crc, parts[i].bytes, parts[i].size);
    char digits[CRC_DIGITS + 1];
    snprintf(digits, sizeof digits, "%08lx", crc);
    memcpy(header + CRC_OFFSET, digits, CRC_DIGITS);
    status = sco_file_write_parts(path, parts, planes + 1);

out:
    free(header);
    free(text);
    free(parts);
    return status;
}

/* ---- Reading ---- */

struct reader {
    const struct sco_optim *optim;
    const char *path;
    int fd;
    uint64_t size; /* of the file */
    uint64_t done; /* bytes read so far */
    uLong crc;
};

static enum sco_status read_bytes(struct reader *reader, void *bytes, size_t size)
{
    for (size_t done = 0; done < size;) {
        const ssize_t n = read(reader->fd, (unsigned char *)bytes + done, size - done);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return sco_fail(SCO_IO, "%s: cannot be read at byte %" PRIu64 ": %s", reader->path, reader->done + done,
                            strerror(errno));
        if (n == 0)
            return sco_fail(SCO_IO, "%s: ended at byte %" PRIu64 " while it was read; try again", reader->path,
                            reader->done + done);
        done += (size_t)n;
    }
    reader->done += size;
    return SCO_OK;
}

static const char *meta_string(json_t *root, const char *key)
{
    const char *value = json_string_value(json_object_get(json_object_get(root, "__metadata__"), key));
    return value != NULL ? value : "(absent)";
}

/* A whole number in a string. */
static bool parse_count(const char *text, uint64_t *count)
{
    char *end;
    errno = 0;
    *count = strtoull(text, &end, 10);
    return text[0] >= '0' && text[0] <= '9' && *end == '\0' && errno == 0;
}

static bool same_shape(json_t *shape, const struct sco_tensor *tensor)
{
    bool same = json_is_array(shape) && json_array_size(shape) == tensor->rank;
    for (size_t i = 0; same && i < tensor->rank; i++) {
        json_t *axis = json_array_get(shape, i);
        same = json_is_integer(axis) && json_integer_value(axis) == (json_int_t)tensor->shape[i];
    }
    return same;
}

static enum sco_status check_tensors(const struct reader *reader, const char *text)
{
    const struct sco_tensor_list *list = &reader->optim->list;
    enum sco_status status = SCO_OK;
    json_t *tensors = json_loads(text, 0, NULL);
    if (!json_is_array(tensors))
        status = sco_fail(SCO_FORMAT, "%s: its list of tensors is not JSON", reader->path);
    else if (json_array_size(tensors) != list->count)
        status = sco_fail(SCO_SHAPE, "%s: made for %zu tensors, not %zu", reader->path, json_array_size(tensors),
                          list->count);
    for (size_t i = 0; status == SCO_OK && i < list->count; i++) {
        json_t *shape = json_array_get(json_array_get(tensors, i), 1);
        if (same_shape(shape, &list->tensors[i]))
            continue;
        char label[256], own[256];
        char *other = json_dumps(shape, JSON_ENCODE_ANY);
        status = sco_fail(SCO_SHAPE, "%s: %s has shape %s here and %s in the file", reader->path,
                          sco_optim_label(reader->optim, i, label, sizeof label),
                          sco_tensor_format(&list->tensors[i], own, sizeof own), other != NULL ? other : "none");
        free(other);
    }
    json_decref(tensors);
    return status;
}

/* Every plane of the layout is there with its type, size and place, and nothing else is. */
static enum sco_status check_planes(const struct reader *reader, json_t *root, uint64_t data_offset)
{
    const struct sco_layout *layout = &reader->optim->layout;
    if (json_object_size(root) != layout->plane_count + 1)
        return sco_fail(SCO_FORMAT, "%s: has %zu arrays, not %zu", reader->path, json_object_size(root) - 1,
                        layout->plane_count);
    uint64_t offset = 0;
    for (size_t i = 0; i < layout->plane_count; i++) {
        const struct sco_plane *plane = &layout->planes[i];
        const uint64_t end = offset + plane_bytes(plane);
        char key[96];
        key_of(plane, key, sizeof key);
        const char *dtype = NULL;
        json_int_t from = -1, to = -1;
        if (json_unpack(json_object_get(root, key), "{s:s, s:[I,I]}", "dtype", &dtype, "data_offsets", &from, &to) != 0)
            return sco_fail(SCO_FORMAT, "%s: array %s is absent or not described", reader->path, key);
        if (strcmp(dtype, dtype_of(plane)) != 0 || from != (json_int_t)offset || to != (json_int_t)end)
            return sco_fail(SCO_FORMAT, "%s: array %s is %s at bytes %lld to %lld, not %s at %" PRIu64 " to %" PRIu64,
                            reader->path, key, dtype, (long long)from, (long long)to, dtype_of(plane), offset, end);
        offset = end;
    }
    if (data_offset + offset != reader->size)
        return sco_fail(SCO_FORMAT, "%s: %s: %" PRIu64 " bytes, but its arrays end at byte %" PRIu64, reader->path,
                        data_offset + offset > reader->size ? "truncated" : "oversized", reader->size,
                        data_offset + offset);
    return SCO_OK;
}

static enum sco_status check_header(const struct reader *reader, const char *header, size_t length,
                                    struct sco_state_counts *counts)
{
    const struct sco_optim *optim = reader->optim;
    json_error_t error;
    json_t *root = json_loadb(header, length, JSON_REJECT_DUPLICATES, &error);
    if (root == NULL)
        return sco_fail(SCO_FORMAT, "%s: damaged header at byte %d: %s", reader->path, LENGTH_BYTES + error.position,
                        error.text);

    enum sco_status status = SCO_OK;
    const char *kind = meta_string(root, "optimizer"), *config = meta_string(root, "config");
    char *own_config = config_text(optim);
    if (own_config == NULL)
        status = sco_fail(SCO_NOMEM, "%s: no memory", reader->path);
    else if (strcmp(kind, sco_optim_name(optim->config.kind)) != 0)
        status = sco_fail(SCO_FORMAT, "%s: the state of %s, not of %s", reader->path, kind,
                          sco_optim_name(optim->config.kind));
    else if (strcmp(config, own_config) != 0)
        status = sco_fail(SCO_FORMAT, "%s: made with \"%s\", not with \"%s\"", reader->path, config, own_config);
    else if (!parse_count(meta_string(root, "steps"), &counts->steps) ||
             !parse_count(meta_string(root, "skipped"), &counts->skipped))
        status = sco_fail(SCO_FORMAT, "%s: its counts of steps are not numbers", reader->path);
    if (status == SCO_OK)
        status = check_tensors(reader, meta_string(root, "tensors"));
    if (status == SCO_OK)
        status = check_planes(reader, root, LENGTH_BYTES + length);
    free(own_config);
    json_decref(root);
    return status;
}

/* The first bytes, before anything is allocated for the rest. */
static enum sco_status check_start(const struct reader *reader, const char *start, uint64_t length)
{
    if (memcmp(start + LENGTH_BYTES, MAGIC, sizeof MAGIC - 1) != 0)
        return sco_fail(SCO_FORMAT, "%s: not a stepcost optimizer state (no \"stepcost optimizer state\" at byte %d)",
                        reader->path, LENGTH_BYTES);
    if (memcmp(start + VERSION_OFFSET, VERSION CRC_KEY, sizeof VERSION CRC_KEY - 1) != 0)
        return sco_fail(SCO_FORMAT, "%s: a version of the format other than %s (byte %d)", reader->path, VERSION,
                        VERSION_OFFSET);
    if (length > reader->size - LENGTH_BYTES)
        return sco_fail(SCO_FORMAT, "%s: truncated: %" PRIu64 " bytes, but its header ends after byte %" PRIu64,
                        reader->path, reader->size, length);
    if (length > MAX_HEADER_BYTES || length < CRC_OFFSET + CRC_DIGITS - LENGTH_BYTES)
        return sco_fail(SCO_FORMAT, "%s: a header of %" PRIu64 " bytes (byte 0) is not possible", reader->path, length);
    return SCO_OK;
}

static enum sco_status read_file(struct reader *reader, unsigned char *state, struct sco_state_counts *counts)
{
    const struct sco_layout *layout = &reader->optim->layout;
    enum { START = CRC_OFFSET + CRC_DIGITS };
    char start[START];
    if (reader->size < START)
        return sco_fail(SCO_FORMAT, "%s: truncated: %" PRIu64 " bytes, less than the start of a header", reader->path,
                        reader->size);
    enum sco_status status = read_bytes(reader, start, START);
    uint64_t length = 0;
    memcpy(&length, start, LENGTH_BYTES);
    if (status == SCO_OK)
        status = check_start(reader, start, length);
    if (status != SCO_OK)
        return status;

    unsigned char *header = malloc(LENGTH_BYTES + length);
    if (header == NULL)
        return sco_fail(SCO_NOMEM, "%s: no memory for its header of %" PRIu64 " bytes", reader->path, length);
    memcpy(header, start, START);
    struct sco_state_counts read_counts = {0, 0};
    status = read_bytes(reader, header + START, LENGTH_BYTES + length - START);
    if (status == SCO_OK)
        status = check_header(reader, (const char *)header + LENGTH_BYTES, length, &read_counts);
    char digits[CRC_DIGITS + 1] = "";
    memcpy(digits, header + CRC_OFFSET, CRC_DIGITS);
    memcpy(header + CRC_OFFSET, zero_digits, CRC_DIGITS);
    uLong crc = crc32_z(crc32_z(0, NULL, 0), header, LENGTH_BYTES + length);
    free(header);

    for (size_t i = 0; status == SCO_OK && i < layout->plane_count; i++) {
        unsigned char *plane = state + layout->planes[i].offset;
        status = read_bytes(reader, plane, plane_bytes(&layout->planes[i]));
        if (status == SCO_OK)
            crc = crc32_z(crc, plane, plane_bytes(&layout->planes[i]));
    }
    if (status != SCO_OK)
        return status;
    char computed[CRC_DIGITS + 1];
    snprintf(computed, sizeof computed, "%08lx", crc);
    if (memcmp(computed, digits, CRC_DIGITS) != 0)
        return sco_fail(SCO_FORMAT, "%s: damaged: the CRC-32 of bytes 0 to %" PRIu64 " is %s, byte %d says %s",
                        reader->path, reader->size, computed, CRC_OFFSET, digits);
    *counts = read_counts;
    return SCO_OK;
}

enum sco_status sco_state_file_read(const struct sco_optim *optim, const char *path, unsigned char *state,
                                    struct sco_state_counts *counts)
{
    struct reader reader = {.optim = optim, .path = path};
    struct stat info;
    /* O_NONBLOCK: a FIFO without a writer must not hang the open; it has no effect on a regular file. */
    reader.fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (reader.fd < 0)
        return sco_fail(SCO_IO, "%s: cannot be opened: %s", path, strerror(errno));
    enum sco_status status = SCO_OK;
    if (fstat(reader.fd, &info) != 0)
        status = sco_fail(SCO_IO, "%s: cannot be examined: %s", path, strerror(errno));
    else if (!S_ISREG(info.st_mode))
        status = sco_fail(SCO_IO, "%s: not a regular file", path);
    if (status == SCO_OK) {
        reader.size = (uint64_t)info.st_size;
        status = read_file(&reader, state, counts);
    }
    close(reader.fd);
    return status;
}

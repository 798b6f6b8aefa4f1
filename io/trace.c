/* SPDX-License-Identifier: Apache-2.0 */
#include "stepcost/trace.h"

#include <jansson.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arch/fail.h"
#include "io/file.h"
#include "stepcost/memory.h"

static const size_t bin_limit = (size_t)1 << 30;
static const size_t text_limit = (size_t)64 << 20;
enum { MAX_KEY = 255 };

struct sco_trace {
    char *name;
    char *path;         /* dir/name, for messages */
    char *index;        /* the idx file, cut into strings that the keys point into */
    unsigned char *bin; /* what the arrays' data point into */
    size_t bin_bytes;
    json_t *facts;
    struct sco_trace_array *arrays; /* sorted by key */
    size_t count;
};

void sco_trace_close(struct sco_trace *trace)
{
    if (trace == NULL)
        return;
    free(trace->name);
    free(trace->path);
    sco_free(trace->index);
    sco_free(trace->bin);
    free(trace->arrays);
    json_decref(trace->facts);
    free(trace);
}

static const struct {
    const char *name;
    size_t bytes;
} types[] = {[SCO_TRACE_F32] = {"f32", 4}, [SCO_TRACE_I32] = {"i32", 4}, [SCO_TRACE_I8] = {"i8", 1}};

/* The next blank-separated word of a line; NULL at its end. */
static char *next_word(char **line)
{
    char *word = *line + strspn(*line, " ");
    if (*word == '\0')
        return NULL;
    char *end = word + strcspn(word, " ");
    *line = *end == '\0' ? end : end + 1;
    *end = '\0';
    return word;
}

static bool next_size(char **line, size_t *value)
{
    const char *word = next_word(line);
    if (word == NULL)
        return false;
    size_t sum = 0;
    for (; *word != '\0'; word++) {
        const size_t digit = (size_t)(*word - '0');
        if (*word < '0' || *word > '9' || sum > (SIZE_MAX - digit) / 10)
            return false;
        sum = 10 * sum + digit;
    }
    *value = sum;
    return true;
}

/* key dtype ndim d0 .. offset bytes */
static enum sco_status parse_line(const struct sco_trace *trace, char *line, struct sco_trace_array *array)
{
    size_t offset, bytes;
    array->key = next_word(&line);
    const char *type = next_word(&line);
    if (array->key == NULL || type == NULL || !next_size(&line, &array->rank))
        return sco_fail(SCO_FORMAT, "expected key, type, rank");
    size_t t = 0;
    while (t < sizeof types / sizeof *types && strcmp(type, types[t].name) != 0)
        t++;
    if (t == sizeof types / sizeof *types)
        return sco_fail(SCO_FORMAT, "array '%s': unknown type '%s', expected f32, i32 or i8", array->key, type);
    array->type = (enum sco_trace_type)t;
    if (array->rank > SCO_TRACE_MAX_RANK)
        return sco_fail(SCO_SHAPE, "array '%s': rank %zu is above %d", array->key, array->rank, SCO_TRACE_MAX_RANK);
    array->elements = 1;
    for (size_t axis = 0; axis < array->rank; axis++) {
        if (!next_size(&line, &array->shape[axis]))
            return sco_fail(SCO_FORMAT, "array '%s': size %zu is no number", array->key, axis);
        if (__builtin_mul_overflow(array->elements, array->shape[axis], &array->elements))
            return sco_fail(SCO_FORMAT, "array '%s': its shape overflows", array->key);
    }
    if (!next_size(&line, &offset) || !next_size(&line, &bytes) || next_word(&line) != NULL)
        return sco_fail(SCO_FORMAT, "array '%s': expected offset and bytes after %zu sizes", array->key, array->rank);
    if (bytes % types[t].bytes != 0 || bytes / types[t].bytes != array->elements)
        return sco_fail(SCO_FORMAT, "array '%s': %zu bytes for %zu elements of %s", array->key, bytes, array->elements,
                        types[t].name);
    if (offset > trace->bin_bytes || bytes > trace->bin_bytes - offset)
        return sco_fail(SCO_FORMAT, "array '%s': bytes %zu to %zu + %zu are outside the %zu of %s.bin", array->key,
                        offset, offset, bytes, trace->bin_bytes, trace->path);
    if (offset % types[t].bytes != 0)
        return sco_fail(SCO_FORMAT, "array '%s': offset %zu is not aligned to %s", array->key, offset, types[t].name);
    array->data = trace->bin + offset;
    return SCO_OK;
}

static int by_key(const void *a, const void *b)
{
    const struct sco_trace_array *x = a, *y = b;
    return strcmp(x->key, y->key);
}

static enum sco_status parse_index(struct sco_trace *trace)
{
    size_t lines = 1;
    for (const char *c = trace->index; (c = strchr(c, '\n')) != NULL; c++)
        lines++;
    trace->arrays = calloc(lines, sizeof *trace->arrays);
    if (trace->arrays == NULL)
        return sco_fail(SCO_NOMEM, "%s.idx: no memory for %zu lines", trace->path, lines);
    char *next;
    size_t number = 1;
    for (char *line = trace->index; line != NULL; line = next, number++) {
        next = strchr(line, '\n');
        if (next != NULL)
            *next++ = '\0';
        if (*line == '\0')
            continue;
        const enum sco_status status = parse_line(trace, line, &trace->arrays[trace->count]);
        if (status != SCO_OK)
            return sco_fail_context(status, "%s.idx, line %zu", trace->path, number);
        trace->count++;
    }
    qsort(trace->arrays, trace->count, sizeof *trace->arrays, by_key);
    for (size_t i = 1; i < trace->count; i++)
        if (strcmp(trace->arrays[i - 1].key, trace->arrays[i].key) == 0)
            return sco_fail(SCO_FORMAT, "%s.idx: key '%s' appears twice", trace->path, trace->arrays[i].key);
    return SCO_OK;
}

static enum sco_status read_part(const struct sco_trace *trace, const char *suffix, size_t limit, unsigned char **bytes,
                                 size_t *size)
{
    char *path;
    if (asprintf(&path, "%s%s", trace->path, suffix) < 0)
        return sco_fail(SCO_NOMEM, "%s%s: no memory for its name", trace->path, suffix);
    const enum sco_status status = sco_file_read(path, limit, bytes, size);
    free(path);
    return status;
}

enum sco_status sco_trace_open(struct sco_trace **out, const char *dir, const char *name)
{
    enum sco_status status;
    unsigned char *text = NULL;
    size_t text_bytes = 0;
    json_error_t error;
    struct sco_trace *trace = calloc(1, sizeof *trace);
    if (trace == NULL || (trace->name = strdup(name)) == NULL || asprintf(&trace->path, "%s/%s", dir, name) < 0) {
        if (trace != NULL)
            trace->path = NULL;
        status = sco_fail(SCO_NOMEM, "%s/%s: no memory for a trace", dir, name);
        goto out;
    }
    if ((status = read_part(trace, ".bin", bin_limit, &trace->bin, &trace->bin_bytes)) != SCO_OK ||
        (status = read_part(trace, ".idx", text_limit, &text, &text_bytes)) != SCO_OK)
        goto out;
    trace->index = (char *)text;
    if (memchr(text, '\0', text_bytes) != NULL) {
        status = sco_fail(SCO_FORMAT, "%s.idx: a zero byte, this is not text", trace->path);
        goto out;
    }
    if ((status = parse_index(trace)) != SCO_OK ||
        (status = read_part(trace, ".json", text_limit, &text, &text_bytes)) != SCO_OK)
        goto out;
    trace->facts = json_loadb((const char *)text, text_bytes, JSON_REJECT_DUPLICATES, &error);
    sco_free(text);
    if (trace->facts == NULL)
        status =
            sco_fail(SCO_FORMAT, "%s.json: line %d, column %d: %s", trace->path, error.line, error.column, error.text);
    else if (!json_is_object(trace->facts))
        status = sco_fail(SCO_FORMAT, "%s.json: not an object", trace->path);
out:
    if (status != SCO_OK) {
        sco_trace_close(trace);
        return status;
    }
    *out = trace;
    return SCO_OK;
}

const struct sco_trace_array *sco_trace_find(const struct sco_trace *trace, const char *format, ...)
{
    char key[MAX_KEY + 1];
    va_list args;
    va_start(args, format);
    const int n = vsnprintf(key, sizeof key, format, args);
    va_end(args);
    if (n < 0 || n > MAX_KEY)
        return NULL;
    const struct sco_trace_array wanted = {.key = key};
    return bsearch(&wanted, trace->arrays, trace->count, sizeof *trace->arrays, by_key);
}

const struct sco_trace_array *sco_trace_at(const struct sco_trace *trace, size_t index)
{
    return index < trace->count ? &trace->arrays[index] : NULL;
}

static const json_t *fact(const struct sco_trace *trace, const char *key)
{
    const char *slash = strchr(key, '/');
    if (slash == NULL)
        return json_object_get(trace->facts, key);
    char outer[MAX_KEY + 1];
    snprintf(outer, sizeof outer, "%.*s", (int)(slash - key), key);
    return json_object_get(json_object_get(trace->facts, outer), slash + 1);
}

enum sco_status sco_trace_number(const struct sco_trace *trace, const char *key, double *value)
{
    const json_t *found = fact(trace, key);
    if (!json_is_number(found))
        return sco_fail(SCO_FORMAT, "%s.json: '%s' is %s", trace->path, key,
                        found == NULL ? "missing" : "not a number");
    *value = json_number_value(found);
    return SCO_OK;
}

enum sco_status sco_trace_text(const struct sco_trace *trace, const char *key, const char **value)
{
    const json_t *found = fact(trace, key);
    if (!json_is_string(found))
        return sco_fail(SCO_FORMAT, "%s.json: '%s' is %s", trace->path, key,
                        found == NULL ? "missing" : "not a string");
    *value = json_string_value(found);
    return SCO_OK;
}

const char *sco_trace_name(const struct sco_trace *trace)
{
    return trace->name;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "stepcost/shapes.h"

#include <jansson.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "arch/fail.h"
#include "io/file.h"
#include "io/workloads.h"
#include "stepcost/memory.h"

static const size_t file_limit = (size_t)16 << 20;
static const size_t max_tensors = 100000;
static const double size_limit = 0x1p53; /* from here on a double stands for several integers */

struct sco_shapes {
    char *name;
    struct sco_tensor_list list;
    struct sco_tensor *tensors; /* NULL where list is built in */
    json_t *document;           /* owns the names of tensors */
};

const char *sco_shapes_builtin(size_t index)
{
    return index < SCO_BUILTIN_LISTS ? sco_builtin_lists[index].name : NULL;
}

const struct sco_tensor_list *sco_shapes_list(const struct sco_shapes *shapes)
{
    return &shapes->list;
}

const char *sco_shapes_name(const struct sco_shapes *shapes)
{
    return shapes->name;
}

void sco_shapes_destroy(struct sco_shapes *shapes)
{
    if (shapes == NULL)
        return;
    free(shapes->name);
    free(shapes->tensors);
    json_decref(shapes->document);
    free(shapes);
}

static enum sco_status create(struct sco_shapes **out, const char *name)
{
    struct sco_shapes *shapes = calloc(1, sizeof *shapes);
    if (shapes != NULL)
        shapes->name = strdup(name);
    if (shapes == NULL || shapes->name == NULL) {
        sco_shapes_destroy(shapes);
        return sco_fail(SCO_NOMEM, "no memory for a tensor list");
    }
    *out = shapes;
    return SCO_OK;
}

static const char *type_name(const json_t *value)
{
    switch (json_typeof(value)) {
    case JSON_OBJECT: return "an object";
    case JSON_ARRAY: return "an array";
    case JSON_STRING: return "a string";
    case JSON_INTEGER:
    case JSON_REAL: return "a number";
    case JSON_TRUE:
    case JSON_FALSE: return "a boolean";
    case JSON_NULL: return "null";
    }
    return "unknown";
}

static enum sco_status read_size(const json_t *value, size_t axis, size_t *size)
{
    if (!json_is_number(value))
        return sco_fail(SCO_FORMAT, "size %zu is %s, expected a number", axis, type_name(value));
    const double number = json_number_value(value);
    if (number < 0)
        return sco_fail(SCO_SHAPE, "size %zu is negative: %.17g", axis, number);
    if (number >= size_limit)
        return sco_fail(SCO_SHAPE, "size %zu is too large: %.17g", axis, number);
    if (number != floor(number))
        return sco_fail(SCO_SHAPE, "size %zu is not a whole number: %.17g", axis, number);
    *size = (size_t)number;
    return SCO_OK;
}

static enum sco_status read_shape(const json_t *shape, struct sco_tensor *tensor)
{
    if (!json_is_array(shape))
        return sco_fail(SCO_FORMAT, "shape is %s, expected an array of sizes", type_name(shape));
    tensor->rank = json_array_size(shape);
    if (tensor->rank > SCO_MAX_RANK)
        return sco_fail(SCO_SHAPE, "rank %zu is above %d", tensor->rank, SCO_MAX_RANK);
    for (size_t axis = 0; axis < tensor->rank; axis++) {
        const enum sco_status status = read_size(json_array_get(shape, axis), axis, &tensor->shape[axis]);
        if (status != SCO_OK)
            return status;
    }
    size_t elements;
    return sco_tensor_elements(tensor, &elements);
}

/* What to call entry index in messages: its name, if it has one. */
static const char *label(const json_t *entry)
{
    const char *name = json_string_value(json_object_get(entry, "name"));
    return name != NULL ? name : "(no name)";
}

static enum sco_status read_entry(json_t *entry, struct sco_tensor *tensor)
{
    if (!json_is_object(entry))
        return sco_fail(SCO_FORMAT, "it is %s, expected {\"name\", \"shape\"}", type_name(entry));
    const char *key;
    json_t *value;
    json_object_foreach(entry, key, value) if (strcmp(key, "name") != 0 && strcmp(key, "shape") != 0) return sco_fail(
        SCO_FORMAT, "unknown key '%s', expected 'name' and 'shape'", key);
    const json_t *name = json_object_get(entry, "name"), *shape = json_object_get(entry, "shape");
    if (name == NULL || shape == NULL)
        return sco_fail(SCO_FORMAT, "key '%s' is missing", name == NULL ? "name" : "shape");
    if (!json_is_string(name))
        return sco_fail(SCO_FORMAT, "name is %s, expected a string", type_name(name));
    if (json_string_length(name) == 0)
        return sco_fail(SCO_FORMAT, "name is empty");
    tensor->name = json_string_value(name);
    return read_shape(shape, tensor);
}

static int by_name(const void *a, const void *b)
{
    const struct sco_tensor *const *x = a, *const *y = b;
    const int order = strcmp((*x)->name, (*y)->name);
    return order != 0 ? order : (*x > *y) - (*x < *y);
}

static enum sco_status check_names(const struct sco_tensor_list *list)
{
    const struct sco_tensor **sorted = malloc(list->count * sizeof *sorted);
    if (sorted == NULL)
        return sco_fail(SCO_NOMEM, "no memory to compare %zu names", list->count);
    for (size_t i = 0; i < list->count; i++)
        sorted[i] = &list->tensors[i];
    qsort(sorted, list->count, sizeof *sorted, by_name);
    enum sco_status status = SCO_OK;
    for (size_t i = 1; i < list->count && status == SCO_OK; i++)
        if (strcmp(sorted[i - 1]->name, sorted[i]->name) == 0)
            status =
                sco_fail(SCO_FORMAT, "tensors %zu and %zu have the same name '%s'",
                         (size_t)(sorted[i - 1] - list->tensors), (size_t)(sorted[i] - list->tensors), sorted[i]->name);
    free(sorted);
    return status;
}

static enum sco_status read_document(struct sco_shapes *shapes)
{
    if (!json_is_array(shapes->document))
        return sco_fail(SCO_FORMAT, "the document is %s, expected an array of {\"name\", \"shape\"}",
                        type_name(shapes->document));
    const size_t count = json_array_size(shapes->document);
    if (count == 0 || count > max_tensors)
        return sco_fail(SCO_FORMAT, "%zu tensors, expected 1 .. %zu", count, max_tensors);
    shapes->tensors = calloc(count, sizeof *shapes->tensors);
    if (shapes->tensors == NULL)
        return sco_fail(SCO_NOMEM, "no memory for %zu tensors", count);
    shapes->list = (struct sco_tensor_list){.count = count, .tensors = shapes->tensors};
    for (size_t i = 0; i < count; i++) {
        json_t *entry = json_array_get(shapes->document, i);
        const enum sco_status status = read_entry(entry, &shapes->tensors[i]);
        if (status != SCO_OK)
            return sco_fail_context(status, "tensor %zu '%s'", i, label(entry));
    }
    size_t elements;
    const enum sco_status status = check_names(&shapes->list);
    return status != SCO_OK ? status : sco_tensor_list_elements(&shapes->list, &elements);
}

enum sco_status sco_shapes_decode(struct sco_shapes **out, const char *text, size_t bytes, const char *name)
{
    struct sco_shapes *shapes = NULL;
    json_error_t error;
    enum sco_status status = create(&shapes, name);
    if (status != SCO_OK)
        return status;
    /* As reals, so that an integer beyond 64 bits reaches read_size, which can say which tensor it belongs to. */
    shapes->document =
        bytes > file_limit ? NULL : json_loadb(text, bytes, JSON_REJECT_DUPLICATES | JSON_DECODE_INT_AS_REAL, &error);
    if (bytes > file_limit)
        status = sco_fail(SCO_FORMAT, "%zu bytes, more than the limit of %zu", bytes, file_limit);
    else if (shapes->document == NULL)
        status = sco_fail(SCO_FORMAT, "line %d, column %d: %s", error.line, error.column, error.text);
    else
        status = read_document(shapes);
    if (status != SCO_OK) {
        sco_shapes_destroy(shapes);
        return sco_fail_context(status, "%s", name);
    }
    *out = shapes;
    return SCO_OK;
}

enum sco_status sco_shapes_read(struct sco_shapes **shapes, const char *path)
{
    unsigned char *bytes;
    size_t size;
    enum sco_status status = sco_file_read(path, file_limit, &bytes, &size);
    if (status != SCO_OK)
        return status;
    status = sco_shapes_decode(shapes, (const char *)bytes, size, path);
    sco_free(bytes);
    return status;
}

enum sco_status sco_shapes_open(struct sco_shapes **shapes, const char *name_or_path)
{
    for (size_t i = 0; i < SCO_BUILTIN_LISTS; i++) {
        if (strcmp(name_or_path, sco_builtin_lists[i].name) != 0)
            continue;
        const enum sco_status status = create(shapes, name_or_path);
        if (status == SCO_OK)
            (*shapes)->list = sco_builtin_lists[i].list;
        return status;
    }
    if (access(name_or_path, F_OK) == 0)
        return sco_shapes_read(shapes, name_or_path);
    char names[128] = "";
    for (size_t i = 0, n = 0; i < SCO_BUILTIN_LISTS && n < sizeof names; i++)
        n += (size_t)snprintf(names + n, sizeof names - n, i > 0 ? ", %s" : "%s", sco_builtin_lists[i].name);
    return sco_fail(SCO_INVALID, "'%s' is neither a built-in tensor list (%s) nor a file", name_or_path, names);
}

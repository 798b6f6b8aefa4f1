/* SPDX-License-Identifier: Apache-2.0 */
#include "optim/state_file.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arch/fail.h"
#include "io/safetensors.h"

static const char format[] = "stepcost optimizer state";

static const char *dtype_of(const struct sco_plane *plane)
{
    return plane->element_bytes == 1 ? "I8" : plane->element_bytes == 4 ? "F32" : "F64";
}

/* The planes as arrays of the file, whose bytes are at state; NULL without memory. Freed as one block. */
static struct sco_array *arrays_of(const struct sco_optim *optim, unsigned char *state)
{
    enum { KEY_BYTES = 96 };
    const size_t count = optim->layout.plane_count;
    struct sco_array *arrays = calloc(count + 1, sizeof *arrays + KEY_BYTES);
    if (arrays == NULL)
        return NULL;
    char *key = (char *)(arrays + count + 1);
    for (size_t i = 0; i < count; i++, key += KEY_BYTES) {
        const struct sco_plane *plane = &optim->layout.planes[i];
        const bool as_tensor = plane->tensor != SIZE_MAX && plane->count == optim->elements[plane->tensor];
        if (plane->tensor == SIZE_MAX)
            snprintf(key, KEY_BYTES, "%s", plane->name);
        else
            snprintf(key, KEY_BYTES, "%s/%zu", plane->name, plane->tensor);
        arrays[i] = (struct sco_array){
            .key = key,
            .dtype = dtype_of(plane),
            .rank = as_tensor ? optim->list.tensors[plane->tensor].rank : 1,
            .shape = as_tensor ? optim->list.tensors[plane->tensor].shape : &plane->count,
            .bytes = state + plane->offset,
            .size = plane->count * plane->element_bytes,
        };
    }
    return arrays;
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

enum sco_status sco_state_file_write(const struct sco_optim *optim, const char *path)
{
    enum sco_status status;
    char *tensors = tensors_text(optim), *config = config_text(optim), number[32];
    struct sco_array *arrays = arrays_of(optim, optim->state);
    if (tensors == NULL || config == NULL || arrays == NULL) {
        status = sco_fail(SCO_NOMEM, "%s: no memory for the header of %zu arrays", path, optim->layout.plane_count);
    } else {
        json_t *meta = json_object();
        json_object_set_new(meta, "optimizer", json_string(sco_optim_name(optim->config.kind)));
        json_object_set_new(meta, "config", json_string(config));
        snprintf(number, sizeof number, "%" PRIu64, optim->steps);
        json_object_set_new(meta, "steps", json_string(number));
        snprintf(number, sizeof number, "%" PRIu64, optim->skipped);
        json_object_set_new(meta, "skipped", json_string(number));
        json_object_set_new(meta, "tensors", json_string(tensors));
        status = sco_safetensors_write(path, format, meta, arrays, optim->layout.plane_count, NULL);
    }
    free(tensors);
    free(config);
    free(arrays);
    return status;
}

/* ---- Reading ---- */

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

static enum sco_status check_tensors(const struct sco_optim *optim, const char *path, const char *text)
{
    const struct sco_tensor_list *list = &optim->list;
    enum sco_status status = SCO_OK;
    json_t *tensors = json_loads(text, 0, NULL);
    if (!json_is_array(tensors))
        status = sco_fail(SCO_FORMAT, "%s: its list of tensors is not JSON", path);
    else if (json_array_size(tensors) != list->count)
        status = sco_fail(SCO_SHAPE, "%s: made for %zu tensors, not %zu", path, json_array_size(tensors), list->count);
    for (size_t i = 0; status == SCO_OK && i < list->count; i++) {
        json_t *shape = json_array_get(json_array_get(tensors, i), 1);
        if (same_shape(shape, &list->tensors[i]))
            continue;
        char label[256], own[256];
        char *other = json_dumps(shape, JSON_ENCODE_ANY);
        status = sco_fail(SCO_SHAPE, "%s: %s has shape %s here and %s in the file", path,
                          sco_optim_label(optim, i, label, sizeof label),
                          sco_tensor_format(&list->tensors[i], own, sizeof own), other != NULL ? other : "none");
        free(other);
    }
    json_decref(tensors);
    return status;
}

static enum sco_status check_meta(const struct sco_optim *optim, const struct sco_safetensors *file,
                                  struct sco_state_counts *counts)
{
    enum sco_status status = SCO_OK;
    const char *kind = sco_safetensors_meta(file, "optimizer"), *config = sco_safetensors_meta(file, "config");
    char *own_config = config_text(optim);
    if (own_config == NULL)
        status = sco_fail(SCO_NOMEM, "%s: no memory", file->path);
    else if (strcmp(kind, sco_optim_name(optim->config.kind)) != 0)
        status = sco_fail(SCO_FORMAT, "%s: the state of %s, not of %s", file->path, kind,
                          sco_optim_name(optim->config.kind));
    else if (strcmp(config, own_config) != 0)
        status = sco_fail(SCO_FORMAT, "%s: made with \"%s\", not with \"%s\"", file->path, config, own_config);
    else if (!parse_count(sco_safetensors_meta(file, "steps"), &counts->steps) ||
             !parse_count(sco_safetensors_meta(file, "skipped"), &counts->skipped))
        status = sco_fail(SCO_FORMAT, "%s: its counts of steps are not numbers", file->path);
    if (status == SCO_OK)
        status = check_tensors(optim, file->path, sco_safetensors_meta(file, "tensors"));
    free(own_config);
    return status;
}

enum sco_status sco_state_file_read(const struct sco_optim *optim, const char *path, unsigned char *state,
                                    struct sco_state_counts *counts)
{
    struct sco_safetensors file;
    struct sco_state_counts read_counts = {0, 0};
    struct sco_array *arrays = NULL;
    enum sco_status status = sco_safetensors_open(&file, path, format);
    if (status == SCO_OK)
        status = check_meta(optim, &file, &read_counts);
    if (status == SCO_OK && (arrays = arrays_of(optim, state)) == NULL)
        status = sco_fail(SCO_NOMEM, "%s: no memory", path);
    if (status == SCO_OK)
        status = sco_safetensors_check(&file, arrays, optim->layout.plane_count);
    if (status == SCO_OK)
        status = sco_safetensors_read(&file, arrays, optim->layout.plane_count);
    if (status == SCO_OK)
        *counts = read_counts;
    free(arrays);
    sco_safetensors_close(&file);
    return status;
}

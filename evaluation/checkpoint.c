/* SPDX-License-Identifier: Apache-2.0 */
#include "stepcost/checkpoint.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "arch/fail.h"
#include "io/safetensors.h"
#include "stepcost/memory.h"

static const char format[] = "stepcost model", optimizer_format[] = "stepcost optimizer state";
enum { STEP_DIGITS = 10 };
static const uint64_t most_steps = 9999999999u;

/* ---- Names ------------------------------------------------------------------------------------------------------- */

/* folder/checkpoint-S[-number].suffix, or NULL without memory. */
static char *path_of(const char *folder, uint64_t step, unsigned number, const char *suffix)
{
    char copy[16] = "", *path = NULL;
    if (number > 0)
        snprintf(copy, sizeof copy, "-%u", number);
    const int n = asprintf(&path, "%s/checkpoint-%0*" PRIu64 "%s.%s", folder, STEP_DIGITS, step, copy, suffix);
    if (n < 0)
        path = NULL;
    if (path == NULL)
        sco_fail(SCO_NOMEM, "%s: no memory for the name of a checkpoint", folder);
    return path;
}

/* Whether name is that of a file of a checkpoint, temporary ones included; *rest: what follows the step. */
static bool parse_name(const char *name, uint64_t *step, const char **rest)
{
    static const char prefix[] = "checkpoint-";
    if (strncmp(name, prefix, sizeof prefix - 1) != 0)
        return false;
    const char *digits = name + sizeof prefix - 1;
    *step = 0;
    for (size_t i = 0; i < STEP_DIGITS; i++) {
        if (!isdigit((unsigned char)digits[i]))
            return false;
        *step = *step * 10 + (uint64_t)(digits[i] - '0');
    }
    *rest = digits + STEP_DIGITS;
    return **rest == '.' || **rest == '-';
}

enum sco_status sco_checkpoint_latest(const char *folder, int *found, uint64_t *step)
{
    DIR *dir = opendir(folder);
    if (dir == NULL)
        return sco_fail(SCO_IO, "%s: cannot be listed: %s", folder, strerror(errno));
    *found = 0;
    for (const struct dirent *entry; (entry = readdir(dir)) != NULL;) {
        uint64_t this_step;
        const char *rest;
        if (!parse_name(entry->d_name, &this_step, &rest) || strcmp(rest, ".model") != 0)
            continue;
        if (!*found || this_step > *step)
            *step = this_step;
        *found = 1;
    }
    closedir(dir);
    return SCO_OK;
}

/* Removes the files of other checkpoints and of interrupted saves: all but the two that are named. A model file goes before
 * its optimizer's, since it is the one that says that there is a checkpoint. What cannot be removed does no harm. */
static void remove_others(const char *folder, const char *model_path, const char *optimizer_path)
{
    for (int models = 1; models >= 0; models--) {
        DIR *dir = opendir(folder);
        if (dir == NULL)
            return;
        for (const struct dirent *entry; (entry = readdir(dir)) != NULL;) {
            uint64_t step;
            const char *rest;
            if (!parse_name(entry->d_name, &step, &rest) || (strcmp(rest, ".model") == 0) != models)
                continue;
            if (strcmp(entry->d_name, strrchr(model_path, '/') + 1) != 0 &&
                strcmp(entry->d_name, strrchr(optimizer_path, '/') + 1) != 0)
                unlinkat(dirfd(dir), entry->d_name, 0);
        }
        closedir(dir);
    }
}

/* ---- Arrays ------------------------------------------------------------------------------------------------------ */

/* Parameters, then state, as arrays of the file; NULL without memory. Freed as one block. */
static struct sco_array *arrays_of(struct sco_model *model, size_t *count)
{
    enum { KEY_BYTES = 176 };
    const struct sco_tensor_list *list = sco_model_tensors(model);
    size_t states = 0;
    while (sco_model_state(model, states) != NULL)
        states++;
    *count = list->count + states;
    struct sco_array *arrays = calloc(*count + 1, sizeof *arrays + KEY_BYTES);
    if (arrays == NULL)
        return NULL;
    char *key = (char *)(arrays + *count + 1);
    for (size_t i = 0; i < *count; i++, key += KEY_BYTES) {
        struct sco_array *array = &arrays[i];
        array->key = key;
        array->dtype = "F32";
        if (i < list->count) {
            size_t elements = 0;
            sco_tensor_elements(&list->tensors[i], &elements);
            snprintf(key, KEY_BYTES, "params/%s", list->tensors[i].name);
            array->rank = list->tensors[i].rank;
            array->shape = list->tensors[i].shape;
            array->bytes = sco_model_params(model)[i];
            array->size = elements * sizeof(float);
        } else {
            const struct sco_model_array *state = sco_model_state(model, i - list->count);
            snprintf(key, KEY_BYTES, "state/%s", state->name);
            array->rank = 1;
            array->shape = &state->count;
            array->bytes = state->values;
            array->size = state->count * sizeof(float);
        }
    }
    return arrays;
}

/* ---- Saving ------------------------------------------------------------------------------------------------------ */

/* The name for the optimizer's file: one that is not taken, so that a model file never comes to name another file than the one
 * it was saved with. */
static char *free_optimizer_path(const char *folder, uint64_t step)
{
    for (unsigned number = 0; number < 1000; number++) {
        char *path = path_of(folder, step, number, "optimizer");
        if (path == NULL || access(path, F_OK) != 0)
            return path;
        free(path);
    }
    sco_fail(SCO_IO, "%s: too many files of step %" PRIu64 "; remove those without a .model file", folder, step);
    return NULL;
}

static enum sco_status stated_checksum(const char *path, char digits[9])
{
    struct sco_safetensors file;
    const enum sco_status status = sco_safetensors_open(&file, path, optimizer_format);
    memcpy(digits, file.stated, sizeof file.stated);
    sco_safetensors_close(&file);
    return status;
}

/* After a save that failed: removes the optimizer's file, since a full disk needs the room, unless a model file at model_path
 * names it, which is so when only the sync of the folder failed. The message of the failure stays. */
static void remove_unnamed(const char *model_path, const char *optimizer_path, enum sco_status failure)
{
    char message[1024];
    snprintf(message, sizeof message, "%s", sco_error_message());
    struct sco_safetensors file;
    if (sco_safetensors_open(&file, model_path, format) != SCO_OK ||
        strcmp(sco_safetensors_meta(&file, "optimizer_file"), strrchr(optimizer_path, '/') + 1) != 0)
        unlink(optimizer_path);
    sco_safetensors_close(&file);
    sco_fail(failure, "%s", message);
}

enum sco_status sco_checkpoint_save(const char *folder, uint64_t step, const char *meta, struct sco_model *model,
                                    const struct sco_optim *optim)
{
    enum sco_status status = SCO_OK;
    char *model_path = NULL, *optimizer_path = NULL, digits[9] = "";
    struct sco_array *arrays = NULL;
    size_t count = 0;
    bool saved;
    if (step > most_steps)
        return sco_fail(SCO_INVALID, "step %" PRIu64 " has more than %d digits", step, STEP_DIGITS);
    model_path = path_of(folder, step, 0, "model");
    optimizer_path = free_optimizer_path(folder, step);
    arrays = arrays_of(model, &count);
    if (arrays == NULL)
        status = sco_fail(SCO_NOMEM, "%s: no memory to save a checkpoint", folder);
    else if (model_path == NULL || optimizer_path == NULL)
        status = SCO_NOMEM;
    if (status == SCO_OK)
        status = sco_optim_save(optim, optimizer_path);
    saved = status == SCO_OK;
    if (status == SCO_OK)
        status = stated_checksum(optimizer_path, digits);
    if (status == SCO_OK) {
        json_t *more = json_object();
        json_object_set_new(more, "workload", json_string(sco_workload_name(sco_model_get_config(model)->workload)));
        json_object_set_new(more, "optimizer_file", json_string(strrchr(optimizer_path, '/') + 1));
        json_object_set_new(more, "optimizer_crc32", json_string(digits));
        json_object_set_new(more, "meta", json_string(meta));
        status = sco_safetensors_write(model_path, format, more, arrays, count, NULL);
    }
    if (status == SCO_OK)
        remove_others(folder, model_path, optimizer_path);
    else if (saved)
        remove_unnamed(model_path, optimizer_path, status);
    free(arrays);
    free(model_path);
    free(optimizer_path);
    return status;
}

/* ---- Loading ----------------------------------------------------------------------------------------------------- */

enum sco_status sco_checkpoint_meta(const char *folder, uint64_t step, char **meta)
{
    struct sco_safetensors file = {.fd = -1};
    char *path = path_of(folder, step, 0, "model");
    *meta = NULL;
    if (path == NULL)
        return SCO_NOMEM;
    enum sco_status status = sco_safetensors_open(&file, path, format);
    if (status == SCO_OK) {
        const char *text = sco_safetensors_meta(&file, "meta");
        const size_t bytes = strlen(text) + 1;
        *meta = sco_alloc(bytes);
        if (*meta == NULL)
            status = sco_fail(SCO_NOMEM, "%s: no memory", path);
        else
            memcpy(*meta, text, bytes);
    }
    sco_safetensors_close(&file);
    free(path);
    return status;
}

/* Reads the arrays into memory of their own, *copy, and points the arrays there. */
static enum sco_status read_copy(struct sco_safetensors *file, struct sco_array *arrays, size_t count, char **copy)
{
    size_t bytes = 0;
    for (size_t i = 0; i < count; i++)
        bytes += arrays[i].size;
    const size_t available = sco_memory_available();
    *copy = available != 0 && bytes > available ? NULL : sco_alloc(bytes);
    if (*copy == NULL)
        return sco_fail(SCO_NOMEM, "%s: no memory for a second copy of the parameters (%zu bytes)", file->path, bytes);
    char *at = *copy;
    for (size_t i = 0; i < count; i++) {
        arrays[i].bytes = at;
        at += arrays[i].size;
    }
    return sco_safetensors_read(file, arrays, count);
}

static enum sco_status check_shapes(const struct sco_safetensors *file, const struct sco_model *model)
{
    const struct sco_tensor_list *list = sco_model_tensors(model);
    for (size_t i = 0; i < list->count; i++) {
        char key[176], own[256], *other;
        snprintf(key, sizeof key, "params/%s", list->tensors[i].name);
        json_t *shape = json_object_get(json_object_get(file->root, key), "shape");
        bool same = json_array_size(shape) == list->tensors[i].rank;
        for (size_t axis = 0; same && axis < list->tensors[i].rank; axis++)
            same = json_integer_value(json_array_get(shape, axis)) == (json_int_t)list->tensors[i].shape[axis];
        if (same)
            continue;
        other = json_dumps(shape, JSON_ENCODE_ANY);
        sco_fail(SCO_SHAPE, "%s: %s has shape %s here and %s in the file", file->path, list->tensors[i].name,
                 sco_tensor_format(&list->tensors[i], own, sizeof own), other != NULL ? other : "none");
        free(other);
        return SCO_SHAPE;
    }
    return SCO_OK;
}

/* The optimizer's file that the model file names, in the same folder whatever the name says. */
static char *named_optimizer_path(const struct sco_safetensors *file, const char *folder)
{
    const char *name = sco_safetensors_meta(file, "optimizer_file");
    char *path = NULL;
    if (strchr(name, '/') != NULL || asprintf(&path, "%s/%s", folder, name) < 0)
        return NULL;
    return path;
}

enum sco_status sco_checkpoint_load(const char *folder, uint64_t step, struct sco_model *model, struct sco_optim *optim)
{
    struct sco_safetensors file = {.fd = -1};
    struct sco_array *arrays = NULL, *own = NULL;
    char *copy = NULL, *optimizer_path = NULL, digits[9] = "";
    size_t count = 0;
    char *path = path_of(folder, step, 0, "model");
    if (path == NULL)
        return SCO_NOMEM;
    enum sco_status status = sco_safetensors_open(&file, path, format);
    if (status == SCO_OK)
        status = check_shapes(&file, model);
    if (status == SCO_OK) {
        arrays = arrays_of(model, &count);
        own = arrays_of(model, &count);
        if (arrays == NULL || own == NULL)
            status = sco_fail(SCO_NOMEM, "%s: no memory", path);
    }
    if (status == SCO_OK)
        status = sco_safetensors_check(&file, arrays, count);
    if (status == SCO_OK)
        status = read_copy(&file, arrays, count, &copy);
    if (status == SCO_OK) {
        optimizer_path = named_optimizer_path(&file, folder);
        if (optimizer_path == NULL)
            status = sco_fail(SCO_FORMAT, "%s: damaged: it names no file of an optimizer", path);
    }
    if (status == SCO_OK)
        status = stated_checksum(optimizer_path, digits);
    if (status == SCO_OK && strcmp(digits, sco_safetensors_meta(&file, "optimizer_crc32")) != 0)
        status = sco_fail(SCO_FORMAT, "%s: has the CRC-32 %s, %s was saved with one of %s", optimizer_path, digits,
                          path, sco_safetensors_meta(&file, "optimizer_crc32"));
    if (status == SCO_OK)
        status = sco_optim_load(optim, optimizer_path);
    for (size_t i = 0; status == SCO_OK && i < count; i++)
        memcpy(own[i].bytes, arrays[i].bytes, own[i].size);
    sco_free(copy);
    free(arrays);
    free(own);
    free(optimizer_path);
    free(path);
    sco_safetensors_close(&file);
    return status;
}

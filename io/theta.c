/* SPDX-License-Identifier: Apache-2.0
 * VeLO's learned weights: checkpoint reader and writer, and the generator of synthetic weights. One table says what
 * arrays there are; reading, checking, generating and writing all walk it. */
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arch/fail.h"
#include "arch/random.h"
#include "io/file.h"
#include "io/msgpack.h"
#include "stepcost/memory.h"
#include "stepcost/velo.h"

enum { MAX_DEPTH = 3, MAX_RANK = 3, MAX_HIDDEN = 4096, MAX_EXPERTS = 65536, MAX_GEN_ID = 255 };
static const size_t file_limit = (size_t)256 << 20;

/* A size: hidden x H + experts x P + constant. */
struct extent {
    unsigned char hidden, experts, constant;
};
#define H(k)                                                                                                           \
    {                                                                                                                  \
        k, 0, 0                                                                                                        \
    }
#define P                                                                                                              \
    {                                                                                                                  \
        0, 1, 0                                                                                                        \
    }
#define N(k)                                                                                                           \
    {                                                                                                                  \
        0, 0, k                                                                                                        \
    }

/* How the generator's scale follows the sizes; see sco_velo_theta_generate. */
enum rule { CONSTANT, PER_SQRT_2H, PER_SQRT_H, CONTROLS, CONTROLS_BIAS };

struct array_spec {
    const char *path;
    const char *key[MAX_DEPTH]; /* the map keys that lead there; "rnn/linear" is one key, slash and all */
    unsigned rank;
    struct extent extent[MAX_RANK];
    enum rule rule;
    double scale;
};

#define FF(name, rank, scale, ...)                                                                                     \
    {                                                                                                                  \
        "ff_mod_stack/~/" name, {"ff_mod_stack", "~", name}, rank, {P, __VA_ARGS__}, CONSTANT, scale                   \
    }
#define INIT(name)                                                                                                     \
    {                                                                                                                  \
        "lstm_init_state/" name, {"lstm_init_state", name}, 2, {N(1), H(1)}, CONSTANT, 0.5                             \
    }
#define RNN(layer, name, rank, rule, scale, ...)                                                                       \
    {                                                                                                                  \
        "rnn_params/" layer "/" name, {"rnn_params", layer, name}, rank, {__VA_ARGS__}, rule, scale                    \
    }

/* In the order of the released file: sorted as strings, but for the named tuple (hidden, cell). rnn_params/linear
 * is part of the format although the reference drops what it computes with it. */
static const struct array_spec specs[SCO_VELO_ARRAYS] = {
    FF("b0", 2, 0.5, N(4)),
    FF("b1", 2, 0.5, N(4)),
    FF("b2", 2, 0.3, N(3)),
    FF("w0__0", 3, 0.5, N(1), N(4)),
    FF("w0__1", 3, 0.5, N(1), N(4)),
    FF("w0__10", 3, 0.5, N(3), N(4)),
    FF("w0__11", 3, 0.5, N(3), N(4)),
    FF("w0__12", 3, 0.5, N(3), N(4)),
    FF("w0__13", 3, 0.5, N(3), N(4)),
    FF("w0__2", 3, 0.5, N(1), N(4)),
    FF("w0__3", 3, 0.5, N(3), N(4)),
    FF("w0__4", 3, 0.5, N(1), N(4)),
    FF("w0__5", 3, 0.5, N(3), N(4)),
    FF("w0__6", 3, 0.5, N(1), N(4)),
    FF("w0__7", 3, 0.5, N(3), N(4)),
    FF("w0__8", 3, 0.5, N(1), N(4)),
    FF("w0__9", 3, 0.5, N(3), N(4)),
    FF("w1", 3, 0.9, N(4), N(4)),
    FF("w2", 3, 0.3, N(4), N(3)),
    INIT("hidden"),
    INIT("cell"),
    RNN("linear", "b", 1, CONSTANT, 0.2, H(1)),
    RNN("linear", "w", 2, CONSTANT, 0.3, N(30), H(1)),
    RNN("linear_1", "b", 1, CONSTANT, 0.2, H(1)),
    RNN("linear_1", "w", 2, CONSTANT, 0.3, N(30), H(1)),
    RNN("linear_2", "b", 1, CONSTANT, 0.2, H(1)),
    RNN("linear_2", "w", 2, CONSTANT, 0.3, N(30), H(1)),
    RNN("rnn/linear", "b", 1, CONSTANT, 0.3, H(4)),
    RNN("rnn/linear", "w", 2, PER_SQRT_2H, 3.5, H(2), H(4)),
    RNN("rnn_to_controls", "b", 1, CONTROLS_BIAS, 0.3, P),
    RNN("rnn_to_controls", "w", 2, CONTROLS, 2.5, H(1), P),
    RNN("step_size", "b", 1, CONSTANT, 0.5, N(1)),
    RNN("step_size", "w", 2, PER_SQRT_H, 3.0, H(1), N(1)),
};
/* The arrays that H and P are taken from. */
enum { ARRAY_B0 = 0, ARRAY_HIDDEN = 19 };

#undef H
#undef P
#undef N

struct sco_velo_theta {
    size_t hidden, experts;
    float *memory; /* all arrays, each at a 64-byte boundary */
    float *array[SCO_VELO_ARRAYS];
    char origin[];
};

static size_t extent_size(const struct extent *extent, size_t hidden, size_t experts)
{
    return extent->hidden * hidden + extent->experts * experts + extent->constant;
}

/* Elements of an array; sizes within the limits of reader and generator cannot overflow. */
static size_t array_elements(const struct array_spec *spec, size_t hidden, size_t experts)
{
    size_t n = 1;
    for (unsigned axis = 0; axis < spec->rank; axis++)
        n *= extent_size(&spec->extent[axis], hidden, experts);
    return n;
}

/* A theta whose arrays are still to be written. */
static enum sco_status theta_create(struct sco_velo_theta **out, size_t hidden, size_t experts, const char *origin)
{
    const size_t per_line = SCO_ALIGN / sizeof(float);
    size_t offset[SCO_VELO_ARRAYS], total = 0;
    for (size_t i = 0; i < SCO_VELO_ARRAYS; i++) {
        offset[i] = total;
        total += (array_elements(&specs[i], hidden, experts) + per_line - 1) / per_line * per_line;
    }
    const size_t origin_bytes = strlen(origin) + 1;
    struct sco_velo_theta *theta = malloc(sizeof *theta + origin_bytes);
    float *memory = sco_alloc(total * sizeof(float));
    if (theta == NULL || memory == NULL) {
        free(theta);
        sco_free(memory);
        return sco_fail(SCO_NOMEM, "learned weights: no memory for %zu bytes (H = %zu, P = %zu)", total * sizeof(float),
                        hidden, experts);
    }
    theta->hidden = hidden;
    theta->experts = experts;
    theta->memory = memory;
    for (size_t i = 0; i < SCO_VELO_ARRAYS; i++)
        theta->array[i] = memory + offset[i];
    memcpy(theta->origin, origin, origin_bytes);
    *out = theta;
    return SCO_OK;
}

void sco_velo_theta_destroy(struct sco_velo_theta *theta)
{
    if (theta == NULL)
        return;
    sco_free(theta->memory);
    free(theta);
}

size_t sco_velo_theta_hidden(const struct sco_velo_theta *theta)
{
    return theta->hidden;
}

size_t sco_velo_theta_experts(const struct sco_velo_theta *theta)
{
    return theta->experts;
}

const char *sco_velo_theta_origin(const struct sco_velo_theta *theta)
{
    return theta->origin;
}

const char *sco_velo_theta_path(size_t index)
{
    return index < SCO_VELO_ARRAYS ? specs[index].path : NULL;
}

const float *sco_velo_theta_array(const struct sco_velo_theta *theta, const char *path, size_t shape[3], size_t *rank)
{
    for (size_t i = 0; i < SCO_VELO_ARRAYS; i++) {
        if (strcmp(path, specs[i].path) != 0)
            continue;
        if (rank != NULL)
            *rank = specs[i].rank;
        for (unsigned axis = 0; shape != NULL && axis < specs[i].rank; axis++)
            shape[axis] = extent_size(&specs[i].extent[axis], theta->hidden, theta->experts);
        return theta->array[i];
    }
    return NULL;
}

/* What the reader knows of an array before sizes are checked: where it is, and what it says of itself. */
struct found {
    bool seen;
    size_t offset; /* of the extension, for messages */
    size_t rank;
    uint64_t shape[MAX_RANK];
    const unsigned char *data;
};

struct reader {
    struct sco_msgpack cursor;
    struct found found[SCO_VELO_ARRAYS];
    bool map_seen[SCO_VELO_ARRAYS][MAX_DEPTH]; /* [first array below][depth] */
    bool theta_seen;
    char gen_id[MAX_GEN_ID + 1];
    uint64_t step;
    bool gen_id_seen, step_seen;
};

static bool text_is(const char *text, size_t bytes, const char *word)
{
    return strlen(word) == bytes && memcmp(text, word, bytes) == 0;
}

/* Copies text that may hold anything into a string that can be printed, cut to size - 1. */
static void printable(char *out, size_t size, const char *text, size_t bytes)
{
    const size_t n = bytes < size - 1 ? bytes : size - 1;
    for (size_t i = 0; i < n; i++)
        out[i] = text[i] >= 0x20 && text[i] < 0x7f ? text[i] : '?';
    out[n] = '\0';
}

enum { SHAPE_TEXT = 3 * 22 + 3 };
static void format_shape(char out[SHAPE_TEXT], const uint64_t *shape, size_t rank)
{
    int n = snprintf(out, SHAPE_TEXT, "[");
    for (size_t axis = 0; axis < rank; axis++)
        n += snprintf(out + n, SHAPE_TEXT - (size_t)n, axis ? ", %llu" : "%llu", (unsigned long long)shape[axis]);
    snprintf(out + n, SHAPE_TEXT - (size_t)n, "]");
}

/* One array: extension 1 (Flax: numpy array) holding [shape, dtype, data]. */
static enum sco_status read_array(struct sco_msgpack *cursor, const struct array_spec *spec, struct found *found)
{
    enum sco_status status;
    struct sco_msgpack body;
    int type;
    size_t items, dtype_bytes, data_bytes;
    const char *dtype, *data;

    found->offset = cursor->offset;
    if ((status = sco_msgpack_ext(cursor, &type, &body)) != SCO_OK)
        return status;
    if (type != 1)
        return sco_fail(SCO_FORMAT, "byte %zu: extension %d, expected 1 (an array)", found->offset, type);
    const size_t start = body.offset;
    if ((status = sco_msgpack_array(&body, &items)) != SCO_OK)
        return status;
    if (items != 3)
        return sco_fail(SCO_FORMAT, "byte %zu: %zu entries, expected shape, dtype, data", start, items);
    if ((status = sco_msgpack_array(&body, &found->rank)) != SCO_OK)
        return status;
    if (found->rank != spec->rank)
        return sco_fail(SCO_SHAPE, "byte %zu: rank %zu, expected %u", found->offset, found->rank, spec->rank);
    for (size_t axis = 0; axis < found->rank; axis++)
        if ((status = sco_msgpack_uint(&body, &found->shape[axis])) != SCO_OK)
            return status;
    const size_t dtype_at = body.offset;
    if ((status = sco_msgpack_text(&body, &dtype, &dtype_bytes)) != SCO_OK)
        return status;
    if (!text_is(dtype, dtype_bytes, "float32")) {
        char word[32];
        printable(word, sizeof word, dtype, dtype_bytes);
        return sco_fail(SCO_FORMAT, "byte %zu: dtype '%s', expected 'float32'", dtype_at, word);
    }
    const size_t data_at = body.offset;
    if ((status = sco_msgpack_text(&body, &data, &data_bytes)) != SCO_OK)
        return status;
    /* Divide rather than multiply: the shape may claim anything. */
    size_t left = data_bytes / sizeof(float);
    bool fits = data_bytes % sizeof(float) == 0;
    for (size_t axis = 0; axis < found->rank && fits; axis++) {
        fits = found->shape[axis] > 0 && left % found->shape[axis] == 0;
        left /= fits ? (size_t)found->shape[axis] : 1;
    }
    if (!fits || left != 1) {
        char shape[SHAPE_TEXT];
        format_shape(shape, found->shape, found->rank);
        return sco_fail(SCO_SHAPE, "byte %zu: %zu bytes of data do not fill the shape %s", data_at, data_bytes, shape);
    }
    found->data = (const unsigned char *)data;
    return sco_msgpack_finish(&body);
}

/* The first array whose keys start with the depth keys of specs[like] and then key; SCO_VELO_ARRAYS if none. */
static size_t match_key(size_t like, unsigned depth, const char *key, size_t bytes)
{
    for (size_t i = 0; i < SCO_VELO_ARRAYS; i++) {
        bool same = specs[i].key[depth] != NULL && text_is(key, bytes, specs[i].key[depth]);
        for (unsigned d = 0; d < depth && same; d++)
            same = strcmp(specs[i].key[d], specs[like].key[d]) == 0;
        if (same)
            return i;
    }
    return SCO_VELO_ARRAYS;
}

/* "rnn_params/linear" from the first depth keys of an array's path. */
static void prefix_of(char *out, size_t size, size_t like, unsigned depth)
{
    size_t n = 0;
    out[0] = '\0';
    for (unsigned d = 0; d < depth && n < size; d++)
        n += (size_t)snprintf(out + n, size - n, "%s/", specs[like].key[d]);
}

/* The map below the first depth keys of specs[like]. Recursion ends with the table: a key that it does not have is
 * refused, not entered. */
static enum sco_status read_theta(struct reader *reader, size_t like, unsigned depth)
{
    size_t pairs, bytes;
    enum sco_status status = sco_msgpack_map(&reader->cursor, &pairs);
    if (status != SCO_OK) {
        char prefix[64];
        prefix_of(prefix, sizeof prefix, like, depth);
        return sco_fail_context(status, "map '%s'", depth == 0 ? "theta" : prefix);
    }
    for (; pairs > 0; pairs--) {
        const char *key;
        const size_t at = reader->cursor.offset;
        if ((status = sco_msgpack_text(&reader->cursor, &key, &bytes)) != SCO_OK)
            return sco_fail_context(status, "key of a map");
        const size_t i = match_key(like, depth, key, bytes);
        char prefix[64], word[64];
        prefix_of(prefix, sizeof prefix, like, depth);
        printable(word, sizeof word, key, bytes);
        if (i == SCO_VELO_ARRAYS)
            return sco_fail(SCO_FORMAT, "byte %zu: unknown key '%s%s'", at, prefix, word);
        const bool leaf = depth + 1 == MAX_DEPTH || specs[i].key[depth + 1] == NULL;
        bool *seen = leaf ? &reader->found[i].seen : &reader->map_seen[i][depth];
        if (*seen)
            return sco_fail(SCO_FORMAT, "byte %zu: key '%s%s' appears twice", at, prefix, word);
        *seen = true;
        if (!leaf)
            status = read_theta(reader, i, depth + 1);
        else if ((status = read_array(&reader->cursor, &specs[i], &reader->found[i])) != SCO_OK)
            status = sco_fail_context(status, "array '%s'", specs[i].path);
        if (status != SCO_OK)
            return status;
    }
    return SCO_OK;
}

/* The maps around theta: keys of theta, of the generation's id, of the step. */
struct envelope {
    const char *theta, *gen_id, *step;
};
static const struct envelope envelopes[] = {{"params", "gen_id", "step"}, /* dataclass: the released file */
                                            {"0", "1", "2"}};             /* tuple: older files */

static enum sco_status read_envelope(struct reader *reader, const struct envelope *envelope)
{
    size_t pairs, bytes;
    const char *text;
    enum sco_status status = sco_msgpack_map(&reader->cursor, &pairs);
    for (; status == SCO_OK && pairs > 0; pairs--) {
        const char *key;
        const size_t at = reader->cursor.offset;
        bool repeated = false;
        if ((status = sco_msgpack_text(&reader->cursor, &key, &bytes)) != SCO_OK)
            return sco_fail_context(status, "key of the outer map");
        if (text_is(key, bytes, envelope->theta)) {
            repeated = reader->theta_seen;
            reader->theta_seen = true;
            if (!repeated)
                status = read_theta(reader, 0, 0);
        } else if (text_is(key, bytes, envelope->gen_id)) {
            repeated = reader->gen_id_seen;
            reader->gen_id_seen = true;
            if ((status = sco_msgpack_text(&reader->cursor, &text, &bytes)) == SCO_OK)
                printable(reader->gen_id, sizeof reader->gen_id, text, bytes);
            else
                sco_fail_context(status, "'%s'", envelope->gen_id);
        } else if (text_is(key, bytes, envelope->step)) {
            repeated = reader->step_seen;
            reader->step_seen = true;
            if ((status = sco_msgpack_uint(&reader->cursor, &reader->step)) != SCO_OK)
                sco_fail_context(status, "'%s'", envelope->step);
        } else {
            char word[64];
            printable(word, sizeof word, key, bytes);
            return sco_fail(SCO_FORMAT, "byte %zu: unknown key '%s', expected '%s', '%s' and '%s'", at, word,
                            envelope->theta, envelope->gen_id, envelope->step);
        }
        if (repeated) {
            char word[64];
            printable(word, sizeof word, key, bytes);
            return sco_fail(SCO_FORMAT, "byte %zu: key '%s' appears twice", at, word);
        }
    }
    if (status != SCO_OK)
        return status;
    if (!reader->theta_seen || !reader->gen_id_seen || !reader->step_seen)
        return sco_fail(SCO_FORMAT, "key '%s' is missing",
                        !reader->theta_seen    ? envelope->theta
                        : !reader->gen_id_seen ? envelope->gen_id
                                               : envelope->step);
    return SCO_OK;
}

/* The form is told by the first key: the three forms have none in common. */
static enum sco_status read_checkpoint(struct reader *reader)
{
    struct sco_msgpack ahead = reader->cursor;
    size_t pairs, bytes;
    const char *key;
    enum sco_status status = sco_msgpack_map(&ahead, &pairs);
    if (status != SCO_OK)
        return status;
    if (pairs > 0) {
        if ((status = sco_msgpack_text(&ahead, &key, &bytes)) != SCO_OK)
            return sco_fail_context(status, "key of the outer map");
        for (size_t i = 0; i < sizeof envelopes / sizeof *envelopes; i++)
            if (text_is(key, bytes, envelopes[i].theta) || text_is(key, bytes, envelopes[i].gen_id) ||
                text_is(key, bytes, envelopes[i].step))
                return read_envelope(reader, &envelopes[i]);
    }
    return read_theta(reader, 0, 0);
}

/* Every array is there, and every shape follows from H and P. */
static enum sco_status check_shapes(const struct reader *reader, size_t *hidden, size_t *experts)
{
    for (size_t i = 0; i < SCO_VELO_ARRAYS; i++)
        if (!reader->found[i].seen)
            return sco_fail(SCO_FORMAT, "array '%s' is missing", specs[i].path);
    /* Sizes of arrays that fill their data are within the file's limit. */
    *hidden = (size_t)reader->found[ARRAY_HIDDEN].shape[1];
    *experts = (size_t)reader->found[ARRAY_B0].shape[0];
    for (size_t i = 0; i < SCO_VELO_ARRAYS; i++) {
        const struct found *found = &reader->found[i];
        uint64_t expected[MAX_RANK];
        for (unsigned axis = 0; axis < specs[i].rank; axis++)
            expected[axis] = extent_size(&specs[i].extent[axis], *hidden, *experts);
        if (memcmp(expected, found->shape, specs[i].rank * sizeof *expected) != 0) {
            char have[SHAPE_TEXT], want[SHAPE_TEXT];
            format_shape(have, found->shape, found->rank);
            format_shape(want, expected, specs[i].rank);
            return sco_fail(SCO_SHAPE,
                            "byte %zu: array '%s' has shape %s, expected %s (H = %zu from %s, P = %zu from %s)",
                            found->offset, specs[i].path, have, want, *hidden, specs[ARRAY_HIDDEN].path, *experts,
                            specs[ARRAY_B0].path);
        }
    }
    return SCO_OK;
}

static float load_f32_le(const unsigned char *bytes)
{
    const uint32_t word =
        (uint32_t)bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 24;
    float value;
    memcpy(&value, &word, sizeof value);
    return value;
}

static void store_f32_le(unsigned char *bytes, float value)
{
    uint32_t word;
    memcpy(&word, &value, sizeof word);
    for (int i = 0; i < 4; i++)
        bytes[i] = (unsigned char)(word >> (8 * i));
}

static enum sco_status copy_array(const struct array_spec *spec, const struct found *found, const unsigned char *file,
                                  float *out, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        out[i] = load_f32_le(found->data + sizeof(float) * i);
        if (!isfinite(out[i]))
            return sco_fail(SCO_NONFINITE, "byte %zu: array '%s' has %f at index %zu",
                            (size_t)(found->data - file) + sizeof(float) * i, spec->path, (double)out[i], i);
    }
    return SCO_OK;
}

enum sco_status sco_velo_theta_decode(struct sco_velo_theta **out, const void *bytes, size_t size, const char *name)
{
    struct sco_velo_theta *theta = NULL;
    char *origin = NULL;
    size_t hidden = 0, experts = 0;
    enum sco_status status;
    struct reader reader = {.cursor = {bytes, 0, size}};

    if (size > file_limit)
        return sco_fail(SCO_FORMAT, "%s: %zu bytes, more than the limit of %zu", name, size, file_limit);
    if ((status = read_checkpoint(&reader)) != SCO_OK || (status = sco_msgpack_finish(&reader.cursor)) != SCO_OK ||
        (status = check_shapes(&reader, &hidden, &experts)) != SCO_OK)
        goto out;
    const int length = reader.gen_id_seen ? asprintf(&origin, "%s (gen_id %s, step %llu)", name, reader.gen_id,
                                                     (unsigned long long)reader.step)
                                          : asprintf(&origin, "%s", name);
    if (length < 0) {
        origin = NULL;
        status = sco_fail(SCO_NOMEM, "no memory for a name");
        goto out;
    }
    status = theta_create(&theta, hidden, experts, origin);
    for (size_t i = 0; i < SCO_VELO_ARRAYS && status == SCO_OK; i++)
        status =
            copy_array(&specs[i], &reader.found[i], bytes, theta->array[i], array_elements(&specs[i], hidden, experts));
out:
    free(origin);
    if (status != SCO_OK) {
        sco_velo_theta_destroy(theta);
        return sco_fail_context(status, "%s", name);
    }
    *out = theta;
    return SCO_OK;
}

enum sco_status sco_velo_theta_read(struct sco_velo_theta **theta, const char *path)
{
    unsigned char *bytes;
    size_t size;
    enum sco_status status = sco_file_read(path, file_limit, &bytes, &size);
    if (status != SCO_OK)
        return status;
    status = sco_velo_theta_decode(theta, bytes, size, path);
    sco_free(bytes);
    return status;
}

/* The payload of an array's extension. */
static void put_array(struct sco_msgpack_writer *writer, const struct sco_velo_theta *theta, size_t index)
{
    const struct array_spec *spec = &specs[index];
    const size_t n = array_elements(spec, theta->hidden, theta->experts);
    sco_msgpack_put_array(writer, 3);
    sco_msgpack_put_array(writer, spec->rank);
    for (unsigned axis = 0; axis < spec->rank; axis++)
        sco_msgpack_put_uint(writer, extent_size(&spec->extent[axis], theta->hidden, theta->experts));
    sco_msgpack_put_str(writer, "float32", 7);
    unsigned char *data = sco_msgpack_put_bin(writer, n * sizeof(float));
    for (size_t i = 0; data != NULL && i < n; i++)
        store_f32_le(data + sizeof(float) * i, theta->array[index][i]);
}

static void put_text(struct sco_msgpack_writer *writer, const char *text)
{
    sco_msgpack_put_str(writer, text, strlen(text));
}

/* Distinct keys at depth among the arrays that share depth keys with specs[like]; neighbours in the table share keys.
 */
static size_t count_keys(size_t like, unsigned depth)
{
    size_t n = 0;
    for (size_t i = like; i < SCO_VELO_ARRAYS; i++) {
        for (unsigned d = 0; d < depth; d++)
            if (strcmp(specs[i].key[d], specs[like].key[d]) != 0)
                return n;
        n += i == like || strcmp(specs[i].key[depth], specs[i - 1].key[depth]) != 0;
    }
    return n;
}

static void put_theta(struct sco_msgpack_writer *writer, const struct sco_velo_theta *theta)
{
    sco_msgpack_put_map(writer, count_keys(0, 0));
    for (size_t i = 0; i < SCO_VELO_ARRAYS; i++) {
        bool entered = i == 0; /* a key above this one is new, so this one is too */
        for (unsigned depth = 0; depth < MAX_DEPTH && specs[i].key[depth] != NULL; depth++) {
            const bool leaf = depth + 1 == MAX_DEPTH || specs[i].key[depth + 1] == NULL;
            entered = entered || leaf || strcmp(specs[i].key[depth], specs[i - 1].key[depth]) != 0;
            if (!entered)
                continue;
            put_text(writer, specs[i].key[depth]);
            if (!leaf)
                sco_msgpack_put_map(writer, count_keys(i, depth + 1));
        }
        struct sco_msgpack_writer payload = {NULL, 0};
        put_array(&payload, theta, i);
        sco_msgpack_put_ext(writer, 1, payload.size);
        put_array(writer, theta, i);
    }
}

static void put_checkpoint(struct sco_msgpack_writer *writer, const struct sco_velo_theta *theta, const char *gen_id,
                           uint64_t step)
{
    sco_msgpack_put_map(writer, 3);
    put_text(writer, envelopes[0].theta);
    put_theta(writer, theta);
    put_text(writer, envelopes[0].gen_id);
    put_text(writer, gen_id);
    put_text(writer, envelopes[0].step);
    sco_msgpack_put_uint(writer, step);
}

enum sco_status sco_velo_theta_encode(const struct sco_velo_theta *theta, const char *gen_id, uint64_t step,
                                      unsigned char **bytes, size_t *size)
{
    if (strlen(gen_id) > MAX_GEN_ID)
        return sco_fail(SCO_INVALID, "a gen_id of %zu bytes, at most %d", strlen(gen_id), MAX_GEN_ID);
    struct sco_msgpack_writer writer = {NULL, 0};
    put_checkpoint(&writer, theta, gen_id, step);
    if (writer.size > file_limit)
        return sco_fail(SCO_INVALID, "%zu bytes of weights, more than the %zu that a reader accepts", writer.size,
                        file_limit);
    unsigned char *memory = sco_alloc(writer.size);
    if (memory == NULL)
        return sco_fail(SCO_NOMEM, "no memory for %zu bytes of weights", writer.size);
    writer = (struct sco_msgpack_writer){memory, 0};
    put_checkpoint(&writer, theta, gen_id, step);
    *bytes = memory;
    *size = writer.size;
    return SCO_OK;
}

enum sco_status sco_velo_theta_write(const struct sco_velo_theta *theta, const char *path, const char *gen_id,
                                     uint64_t step)
{
    unsigned char *bytes;
    size_t size;
    enum sco_status status = sco_velo_theta_encode(theta, gen_id, step, &bytes, &size);
    if (status != SCO_OK)
        return sco_fail_context(status, "%s", path);
    status = sco_file_write(path, bytes, size);
    sco_free(bytes);
    return status;
}

static uint64_t fnv1a(const char *text)
{
    uint64_t hash = 0xcbf29ce484222325;
    for (; *text != '\0'; text++)
        hash = (hash ^ (unsigned char)*text) * 0x100000001b3;
    return hash;
}

static float generator_scale(const struct array_spec *spec, size_t hidden, size_t experts)
{
    const double h = (double)hidden, p = (double)experts / 256;
    switch (spec->rule) {
    case CONSTANT: break;
    case PER_SQRT_2H: return (float)(spec->scale / sqrt(2 * h));
    case PER_SQRT_H: return (float)(spec->scale / sqrt(h));
    case CONTROLS: return (float)(spec->scale * sqrt(p) / sqrt(h));
    case CONTROLS_BIAS: return (float)(spec->scale * sqrt(p));
    }
    return (float)spec->scale;
}

enum sco_status sco_velo_theta_generate(struct sco_velo_theta **out, const struct sco_velo_generator *generator)
{
    const size_t hidden = generator->hidden, experts = generator->experts;
    if (hidden < 1 || hidden > MAX_HIDDEN || experts < 1 || experts > MAX_EXPERTS)
        return sco_fail(SCO_INVALID, "generated weights: H = %zu, P = %zu; H is 1 .. %d, P is 1 .. %d", hidden, experts,
                        MAX_HIDDEN, MAX_EXPERTS);
    if (!isfinite(generator->magnitude_scale) || !isfinite(generator->direction_scale))
        return sco_fail(SCO_INVALID, "generated weights: magnitude scale %g, direction scale %g; both must be finite",
                        (double)generator->magnitude_scale, (double)generator->direction_scale);
    char origin[128];
    snprintf(origin, sizeof origin, "generated (cost only), H = %zu, P = %zu, seed %llu", hidden, experts,
             (unsigned long long)generator->seed);
    struct sco_velo_theta *theta;
    const enum sco_status status = theta_create(&theta, hidden, experts, origin);
    if (status != SCO_OK)
        return status;
    for (size_t a = 0; a < SCO_VELO_ARRAYS; a++) {
        const struct array_spec *spec = &specs[a];
        const bool output =
            strcmp(spec->path, "ff_mod_stack/~/w2") == 0 || strcmp(spec->path, "ff_mod_stack/~/b2") == 0;
        const float add = strcmp(spec->path, "rnn_params/step_size/b") == 0 ? 1.5f : 0;
        const float scale = generator_scale(spec, hidden, experts);
        const uint64_t seed = fnv1a(spec->path) + generator->seed;
        const size_t n = array_elements(spec, hidden, experts);
        float *array = theta->array[a];
        for (size_t i = 0; i < n; i++) {
            const float u = (float)(sco_splitmix64(seed, i) >> 40) * 0x1p-24f - 0.5f;
            float value = 2 * u * scale + add;
            if (output && i % 3 == 0)
                value *= generator->direction_scale;
            else if (output && i % 3 == 1)
                value *= generator->magnitude_scale;
            array[i] = value;
        }
    }
    *out = theta;
    return SCO_OK;
}

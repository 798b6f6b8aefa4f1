/* SPDX-License-Identifier: Apache-2.0 */
#include "stepcost/model_replay.h"

#include <jansson.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arch/fail.h"
#include "arch/random.h"
#include "io/file.h"
#include "models/model.h"
#include "models/op_conv2d.h"
#include "stepcost/memory.h"
#include "stepcost/team.h"

enum { FILE_LIMIT = 4 << 20, MAX_ENTRIES = 4096, MAX_TEXT = 256 };

/* docs/numerics.md says why. kinked: gradients below an activation with a kink, where an argument of rounding size has
 * its slope on either side. */
static const struct bounds {
    double loss, output, gradient, kinked;
} bounds[SCO_WORKLOADS] = {
    [SCO_RESNET50] = {3e-5, 3e-4, 1e-4, 8e-2},
    [SCO_OGBG] = {1e-6, 1e-5, 2e-5, 1e-4},
    [SCO_DLRM] = {1e-6, 1e-5, 2e-5, 1e-4},
    [SCO_UNET] = {1e-6, 2e-5, 1e-4, 5e-2},
};
static const double parameter_bound = 1e-12;

struct sco_model_replay {
    enum sco_workload workload;
    struct sco_model_replay_entry *entries;
    size_t count, room;
    json_t *root; /* owns the names of entries */
    uint64_t hash;
};

struct replaying {
    struct sco_model_replay *replay;
    const char *path;
    json_t *root;
    uint64_t seed;
    struct sco_model_config config;
    struct sco_batch batch;
    float *floats[3];
    int32_t *integers[4];
    struct sco_model *model;
    struct sco_model_result result;
};

/* ---- Reading ----------------------------------------------------------------------------------------------------- */

static enum sco_status lacks(const struct replaying *r, const char *where, const char *key, const char *what)
{
    return sco_fail(SCO_FORMAT, "%s: %s%s%s is not %s", r->path, where, where[0] != '\0' ? "." : "", key, what);
}

static enum sco_status read_integer(const struct replaying *r, const json_t *value, const char *key, uint64_t low,
                                    uint64_t high, uint64_t *integer)
{
    const json_int_t found = json_integer_value(value);
    char range[MAX_TEXT];
    if (json_is_integer(value) && found >= 0 && (uint64_t)found >= low && (uint64_t)found <= high) {
        *integer = (uint64_t)found;
        return SCO_OK;
    }
    snprintf(range, sizeof range, "a whole number from %llu to %llu", (unsigned long long)low,
             (unsigned long long)high);
    return lacks(r, "", key, range);
}

static enum sco_status read_member(const struct replaying *r, const char *key, uint64_t low, uint64_t high,
                                   size_t *integer)
{
    uint64_t value = 0;
    const enum sco_status status = read_integer(r, json_object_get(r->root, key), key, low, high, &value);
    *integer = (size_t)value;
    return status;
}

/* Allocates; the caller's place owns it from then on. */
static enum sco_status read_array(const struct replaying *r, const char *key, uint64_t high, int32_t **integers,
                                  size_t *count)
{
    const json_t *array = json_object_get(r->root, key);
    *count = json_array_size(array);
    if (!json_is_array(array) || *count > MAX_ENTRIES)
        return lacks(r, "", key, "an array of at most 4096 numbers");
    *integers = malloc((*count + 1) * sizeof **integers);
    if (*integers == NULL)
        return sco_fail(SCO_NOMEM, "%s: no memory for %zu numbers", r->path, *count);
    enum sco_status status = SCO_OK;
    for (size_t i = 0; i < *count && status == SCO_OK; i++) {
        uint64_t value = 0;
        status = read_integer(r, json_array_get(array, i), key, 0, high, &value);
        (*integers)[i] = (int32_t)value;
    }
    return status;
}

static enum sco_status read_root(struct replaying *r)
{
    unsigned char *bytes = NULL;
    size_t size;
    json_error_t error;
    enum sco_status status = sco_file_read(r->path, FILE_LIMIT, &bytes, &size);
    if (status != SCO_OK)
        return status;
    r->root = json_loadb((const char *)bytes, size, JSON_REJECT_DUPLICATES, &error);
    sco_free(bytes);
    if (r->root == NULL)
        return sco_fail(SCO_FORMAT, "%s:%d:%d: %s", r->path, error.line, error.column, error.text);
    size_t seed;
    status = read_member(r, "seed", 0, INT64_MAX, &seed);
    r->seed = seed;
    return status;
}

/* ---- Numbers by formula ------------------------------------------------------------------------------------------ */

/* In [-1, 1): element i of a tensor. */
static double drawn(uint64_t seed, uint64_t tensor, size_t i)
{
    return 2.0 * sco_random_uniform(seed ^ tensor * 0xd1b54a32d192ed03u, i) - 1.0;
}

/* inp(k), rounded to float32 as every input is. */
static double input(const struct replaying *r, uint64_t k, size_t i)
{
    return (double)(float)drawn(r->seed, 1000 + k, i);
}

static bool ends_in(const char *name, const char *end)
{
    const size_t length = strlen(name), tail = strlen(end);
    return length >= tail && strcmp(name + length - tail, end) == 0;
}

struct drawing {
    uint64_t seed;
    size_t tensor, count;
    double offset, factor;
    float *p;
};

static void draw(size_t rank, size_t size, void *argument)
{
    const struct drawing *d = argument;
    size_t begin, end;
    sco_team_block(d->count, rank, size, &begin, &end);
    for (size_t i = begin; i < end; i++)
        d->p[i] = (float)(d->offset + d->factor * drawn(d->seed, d->tensor, i));
}

/* The kind of a parameter shows in its name; the others are weights, scaled so that sums keep their variance. */
static void draw_parameter(const struct replaying *r, size_t t, size_t count)
{
    const struct sco_tensor *tensor = &sco_model_tensors(r->model)->tensors[t];
    struct drawing drawing = {.seed = r->seed, .tensor = t, .count = count, .p = sco_model_params(r->model)[t]};
    double inputs = 1.0;
    for (size_t axis = 0; axis + 1 < tensor->rank; axis++)
        inputs *= (double)tensor->shape[axis];
    drawing.factor = sqrt(3.0 / inputs);
    if (ends_in(tensor->name, "scale"))
        drawing.offset = 1.0, drawing.factor = 0.2;
    else if (ends_in(tensor->name, "bias") || ends_in(tensor->name, "embedding_table"))
        drawing.factor = 0.1;
    sco_team_run(sco_ctx_team(r->model->ctx), draw, &drawing);
}

static enum sco_status allocate(struct replaying *r, const size_t counts[3])
{
    for (size_t i = 0; i < 3; i++) {
        r->floats[i] = malloc((counts[i] + 1) * sizeof *r->floats[i]);
        if (r->floats[i] == NULL)
            return sco_fail(SCO_NOMEM, "%s: no memory for %zu inputs", r->path, counts[i]);
    }
    return SCO_OK;
}

/* ---- The four records -------------------------------------------------------------------------------------------- */

static enum sco_status prepare_resnet(struct replaying *r)
{
    size_t N, side, labels;
    enum sco_status status = read_member(r, "batch", 1, 64, &N);
    if (status == SCO_OK)
        status = read_member(r, "hw", 32, 512, &side);
    if (status == SCO_OK)
        status = read_array(r, "labels", 999, &r->integers[0], &labels);
    if (status != SCO_OK)
        return status;
    if (labels != N)
        return sco_fail(SCO_FORMAT, "%s: %zu labels of %zu images", r->path, labels, N);
    const size_t count = N * side * side * 3;
    status = allocate(r, (const size_t[]){count, 0, 0});
    for (size_t i = 0; i < count && status == SCO_OK; i++)
        r->floats[0][i] = (float)input(r, 0, i);
    r->config = (struct sco_model_config){.workload = SCO_RESNET50, .batch = N, .H = side, .W = side};
    r->batch = (struct sco_batch){.samples = N,
                                  .images = {.N = N, .H = side, .W = side, .x = r->floats[0], .label = r->integers[0]}};
    return status;
}

static enum sco_status prepare_unet(struct replaying *r)
{
    const json_t *hw = json_object_get(r->root, "hw");
    uint64_t H = 0, W = 0;
    size_t N;
    enum sco_status status = read_member(r, "batch", 1, 64, &N);
    if (status == SCO_OK && json_array_size(hw) != 2)
        status = lacks(r, "", "hw", "[height, width]");
    if (status == SCO_OK)
        status = read_integer(r, json_array_get(hw, 0), "hw", 1, 512, &H);
    if (status == SCO_OK)
        status = read_integer(r, json_array_get(hw, 1), "hw", 1, 512, &W);
    if (status != SCO_OK)
        return status;
    const size_t count = N * (size_t)H * (size_t)W;
    status = allocate(r, (const size_t[]){count, count, 0});
    for (size_t i = 0; i < count && status == SCO_OK; i++) {
        r->floats[0][i] = (float)(2.0 * input(r, 0, i));
        r->floats[1][i] = (float)(2.0 * input(r, 1, i));
    }
    r->config = (struct sco_model_config){.workload = SCO_UNET, .batch = N, .H = (size_t)H, .W = (size_t)W};
    r->batch = (struct sco_batch){
        .samples = N, .slices = {.N = N, .H = (size_t)H, .W = (size_t)W, .x = r->floats[0], .target = r->floats[1]}};
    return status;
}

static enum sco_status prepare_dlrm(struct replaying *r)
{
    size_t rows, vocabulary;
    enum sco_status status = read_member(r, "batch", 1, 4096, &rows);
    if (status == SCO_OK)
        status = read_member(r, "vocab_size", 1, 1 << 20, &vocabulary);
    if (status != SCO_OK)
        return status;
    const size_t dense = rows * SCO_CLICK_DENSE, categories = rows * SCO_CLICK_CATEGORIES;
    status = allocate(r, (const size_t[]){dense, rows, 0});
    if (status == SCO_OK && (r->integers[0] = malloc(categories * sizeof(int32_t))) == NULL)
        status = sco_fail(SCO_NOMEM, "%s: no memory for %zu categories", r->path, categories);
    if (status != SCO_OK)
        return status;
    for (size_t i = 0; i < dense; i++)
        r->floats[0][i] = (float)log1p(floor(50.0 * fabs(input(r, 0, i))));
    for (size_t i = 0; i < categories; i++)
        r->integers[0][i] = (int32_t)((uint64_t)floor((input(r, 1, i) + 1.0) * 5e6) % vocabulary);
    for (size_t i = 0; i < rows; i++)
        r->floats[1][i] = i % 3 == 0 ? 1.0f : 0.0f;
    r->config = (struct sco_model_config){.workload = SCO_DLRM, .batch = rows, .table_rows = vocabulary};
    r->batch = (struct sco_batch){.samples = rows, .clicks = {rows, r->floats[0], r->integers[0], r->floats[1]}};
    return SCO_OK;
}

static size_t sum_of(const int32_t *x, size_t count)
{
    size_t sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += (size_t)x[i];
    return sum;
}

/* The model itself checks that edges end at nodes. */
static enum sco_status prepare_gnn(struct replaying *r)
{
    enum { TASKS = 128, NODE = 9, EDGE = 3 };
    size_t graphs, edge_counts, edges, receivers;
    enum sco_status status = read_array(r, "n_node", 64, &r->integers[0], &graphs);
    if (status == SCO_OK)
        status = read_array(r, "n_edge", 256, &r->integers[1], &edge_counts);
    if (status == SCO_OK)
        status = read_array(r, "senders", INT32_MAX, &r->integers[2], &edges);
    if (status == SCO_OK)
        status = read_array(r, "receivers", INT32_MAX, &r->integers[3], &receivers);
    if (status != SCO_OK)
        return status;
    const size_t nodes = sum_of(r->integers[0], graphs);
    if (graphs == 0 || graphs > 256 || nodes == 0 || edge_counts != graphs || receivers != edges || edges == 0 ||
        sum_of(r->integers[1], graphs) != edges)
        return sco_fail(SCO_FORMAT, "%s: n_node, n_edge, senders and receivers do not describe 1 to 256 graphs",
                        r->path);
    status = allocate(r, (const size_t[]){nodes * NODE, edges * EDGE, graphs * TASKS});
    if (status != SCO_OK)
        return status;
    for (size_t i = 0; i < nodes * NODE; i++)
        r->floats[0][i] = (float)floor((input(r, 0, i) + 1.0) * 4.0);
    for (size_t i = 0; i < edges * EDGE; i++)
        r->floats[1][i] = (float)floor((input(r, 1, i) + 1.0) * 2.0);
    for (size_t i = 0; i < graphs * TASKS; i++) {
        const double raw = input(r, 3, i);
        r->floats[2][i] = raw < -0.4 ? NAN : raw > 0.4 ? 1.0f : 0.0f;
    }
    r->config = (struct sco_model_config){
        .workload = SCO_OGBG, .batch = graphs, .max_nodes = nodes, .max_edges = edges, .has_dropout = 1};
    r->batch = (struct sco_batch){.samples = graphs,
                                  .molecules = {.nodes = nodes,
                                                .edges = edges,
                                                .graphs = graphs,
                                                .tasks = TASKS,
                                                .node = r->floats[0],
                                                .edge = r->floats[1],
                                                .senders = r->integers[2],
                                                .receivers = r->integers[3],
                                                .n_node = r->integers[0],
                                                .n_edge = r->integers[1],
                                                .label = r->floats[2]}};
    return SCO_OK;
}

static enum sco_status prepare(struct replaying *r)
{
    static const struct {
        const char *member;
        enum sco_status (*prepare)(struct replaying *r);
    } records[] = {
        {"vocab_size", prepare_dlrm}, {"n_node", prepare_gnn}, {"labels", prepare_resnet}, {"hw", prepare_unet}};
    for (size_t i = 0; i < sizeof records / sizeof *records; i++)
        if (json_object_get(r->root, records[i].member) != NULL) {
            const enum sco_status status = records[i].prepare(r);
            r->batch.workload = r->replay->workload = r->config.workload;
            return status;
        }
    return sco_fail(SCO_FORMAT, "%s: none of vocab_size, n_node, labels, hw: no record of a known model", r->path);
}

/* ---- Comparing --------------------------------------------------------------------------------------------------- */

static double largest(double a, double b)
{
    return isnan(a) || isnan(b) ? INFINITY : fmax(a, b);
}

static enum sco_status append(struct replaying *r, const struct sco_model_replay_entry *entry)
{
    struct sco_model_replay *replay = r->replay;
    if (replay->count == replay->room) {
        const size_t room = 2 * replay->room + 64;
        struct sco_model_replay_entry *grown = realloc(replay->entries, room * sizeof *grown);
        if (grown == NULL)
            return sco_fail(SCO_NOMEM, "%s: no memory for %zu results", r->path, room);
        replay->entries = grown;
        replay->room = room;
    }
    struct sco_model_replay_entry *added = &replay->entries[replay->count++];
    *added = *entry;
    added->error = largest(largest(entry->norm, entry->sum), entry->entries);
    added->passed = added->error <= added->bound;
    return SCO_OK;
}

/* Values in float or in double. */
struct values {
    const float *f;
    const double *d;
    size_t count;
};

static double value_at(const struct values *v, size_t i)
{
    return v->f != NULL ? (double)v->f[i] : v->d[i];
}

/* name is of the record; least: what a norm is at least taken for. */
static enum sco_status compare(struct replaying *r, enum sco_model_replay_kind kind, const char *group,
                               const char *name, const struct values *v, double least, double bound)
{
    const json_t *record = json_object_get(json_object_get(r->root, group), name);
    const json_t *idx = json_object_get(record, "idx"), *val = json_object_get(record, "val");
    const double norm = json_number_value(json_object_get(record, "l2"));
    const size_t recorded = json_array_size(idx);
    double sum = 0.0, squares = 0.0, entries = 0.0;
    if (!json_is_object(record) || !json_is_number(json_object_get(record, "l2")) ||
        !json_is_number(json_object_get(record, "sum")) || recorded == 0 || json_array_size(val) != recorded)
        return lacks(r, group, name, "a record of n, sum, l2, idx, val");
    if (json_integer_value(json_object_get(record, "n")) != (json_int_t)v->count)
        return sco_fail(SCO_FORMAT, "%s: %s.%s has %lld elements, the model %zu", r->path, group, name,
                        (long long)json_integer_value(json_object_get(record, "n")), v->count);
    for (size_t i = 0; i < v->count; i++) {
        sum += value_at(v, i);
        squares += value_at(v, i) * value_at(v, i);
    }
    for (size_t k = 0; k < recorded; k++) {
        const json_t *at = json_array_get(idx, k);
        const json_int_t i = json_integer_value(at);
        if (!json_is_integer(at) || i < 0 || (size_t)i >= v->count || !json_is_number(json_array_get(val, k)))
            return lacks(r, group, name, "a record: an entry has no place or no value");
        const double e = value_at(v, (size_t)i) - json_number_value(json_array_get(val, k));
        entries += e * e;
    }
    const double unit = fmax(fmax(norm, least), 0x1p-1000), root = sqrt((double)v->count);
    const struct sco_model_replay_entry entry = {
        .kind = kind,
        .name = json_object_iter_key(json_object_iter_at(json_object_get(r->root, group), name)),
        .count = v->count,
        .norm = fabs(sqrt(squares) - norm) / unit,
        .sum = fabs(sum - json_number_value(json_object_get(record, "sum"))) / (root * unit),
        .entries = sqrt(entries / (double)recorded) * root / unit,
        .bound = bound};
    return append(r, &entry);
}

static uint64_t hash(uint64_t h, const void *bytes, size_t count)
{
    const unsigned char *at = bytes;
    for (size_t i = 0; i < count; i++)
        h = (h ^ at[i]) * 0x100000001b3u;
    return h;
}

static struct values tensor_values(const struct replaying *r, float *const *tensors, size_t t)
{
    struct values v = {.f = tensors[t]};
    const enum sco_status status = sco_tensor_elements(&sco_model_tensors(r->model)->tensors[t], &v.count);
    return status == SCO_OK ? v : (struct values){0};
}

/* Some of the parameters are recorded. */
static enum sco_status compare_parameters(struct replaying *r)
{
    const struct sco_tensor_list *list = sco_model_tensors(r->model);
    enum sco_status status = SCO_OK;
    for (size_t t = 0; t < list->count && status == SCO_OK; t++) {
        const struct values v = tensor_values(r, sco_model_params(r->model), t);
        draw_parameter(r, t, v.count);
        if (json_object_get(json_object_get(r->root, "param_checks"), list->tensors[t].name) != NULL)
            status =
                compare(r, SCO_MODEL_REPLAY_PARAMETER, "param_checks", list->tensors[t].name, &v, 0.0, parameter_bound);
    }
    return status;
}

static enum sco_status compare_loss(struct replaying *r)
{
    const json_t *record = json_object_get(r->root, "loss");
    const double loss = json_number_value(record);
    if (!json_is_number(record) || loss == 0.0)
        return lacks(r, "", "loss", "a number other than zero");
    const struct sco_model_replay_entry entry = {.kind = SCO_MODEL_REPLAY_LOSS,
                                                 .name = "loss",
                                                 .count = 1,
                                                 .norm = fabs(r->result.loss - loss) / fabs(loss),
                                                 .bound = bounds[r->config.workload].loss};
    return append(r, &entry);
}

static enum sco_status compare_output(struct replaying *r, const char *name, const struct values *v)
{
    return compare(r, SCO_MODEL_REPLAY_OUTPUT, "outputs", name, v, 0.0, bounds[r->config.workload].output);
}

static enum sco_status compare_statistics(struct replaying *r)
{
    static const char *const arrays[][2] = {{"BatchNorm_init/mean", "new_mean_init"},
                                            {"BatchNorm_init/var", "new_var_init"},
                                            {"BottleneckResNetBlock_15/BatchNorm_2/var", "new_var_last_bn2"}};
    const struct sco_model_array *array;
    enum sco_status status = SCO_OK;
    for (size_t i = 0; (array = sco_model_state(r->model, i)) != NULL && status == SCO_OK; i++) {
        r->replay->hash = hash(r->replay->hash, array->values, array->count * sizeof(float));
        for (size_t k = 0; k < sizeof arrays / sizeof *arrays && status == SCO_OK; k++)
            if (strcmp(array->name, arrays[k][0]) == 0)
                status = compare_output(r, arrays[k][1], &(struct values){.f = array->values, .count = array->count});
    }
    return status;
}

/* The loss of each row, out of its logit. */
static enum sco_status compare_rows(struct replaying *r, const float *logits, size_t rows)
{
    double *loss = malloc((rows + 1) * sizeof *loss);
    if (loss == NULL)
        return sco_fail(SCO_NOMEM, "%s: no memory for %zu rows", r->path, rows);
    for (size_t i = 0; i < rows; i++) {
        const double x = (double)logits[i];
        loss[i] = fmax(x, 0.0) - x * (double)r->batch.clicks.label[i] + log1p(exp(-fabs(x)));
    }
    const enum sco_status status = compare_output(r, "per_example", &(struct values){.d = loss, .count = rows});
    free(loss);
    return status;
}

static enum sco_status compare_outputs(struct replaying *r)
{
    size_t rows, columns;
    const float *logits = sco_model_outputs(r->model, &rows, &columns);
    enum sco_status status = compare_output(r, "logits", &(struct values){.f = logits, .count = rows * columns});
    r->replay->hash = hash(r->replay->hash, logits, rows * columns * sizeof *logits);
    if (status == SCO_OK && r->config.workload == SCO_RESNET50)
        status = compare_statistics(r);
    if (status == SCO_OK && r->config.workload == SCO_OGBG)
        status = compare_output(r, "summed", &(struct values){.d = &r->result.loss_sum, .count = 1});
    if (status == SCO_OK && r->config.workload == SCO_DLRM)
        status = compare_rows(r, logits, rows);
    return status;
}

/* Whether no kink lies between the loss and this tensor. The absolute error has one where an output meets its target
 * within rounding; that is left to the bound. */
static bool above_kinks(enum sco_workload workload, const char *name)
{
    static const char *const last[SCO_WORKLOADS] = {
        [SCO_RESNET50] = "Dense_0/", [SCO_OGBG] = "Dense_17/", [SCO_DLRM] = "Dense_7/", [SCO_UNET] = "Conv_0/"};
    return strncmp(name, last[workload], strlen(last[workload])) == 0;
}

static enum sco_status compare_gradients(struct replaying *r)
{
    const struct sco_tensor_list *list = sco_model_tensors(r->model);
    const json_t *grads = json_object_get(r->root, "grads");
    const struct bounds *b = &bounds[r->config.workload];
    const char *name;
    json_t *record;
    double squares = 0.0;
    enum sco_status status = SCO_OK;
    json_object_foreach((json_t *)grads, name, record) squares +=
        pow(json_number_value(json_object_get(record, "l2")), 2.0);
    if (json_object_size(grads) != list->count)
        return sco_fail(SCO_FORMAT, "%s: grads of %zu tensors, the model has %zu", r->path, json_object_size(grads),
                        list->count);
    for (size_t t = 0; t < list->count && status == SCO_OK; t++) {
        const struct values v = tensor_values(r, sco_model_gradients(r->model), t);
        r->replay->hash = hash(r->replay->hash, v.f, v.count * sizeof *v.f);
        status = compare(r, SCO_MODEL_REPLAY_GRADIENT, "grads", list->tensors[t].name, &v, 0x1p-24 * sqrt(squares),
                         above_kinks(r->config.workload, list->tensors[t].name) ? b->gradient : b->kinked);
    }
    return status;
}

/* ---- Replaying --------------------------------------------------------------------------------------------------- */

static enum sco_status run(struct replaying *r, struct sco_ctx *ctx, const char *plan)
{
    struct sco_conv2d_choice choice = {0};
    struct sco_conv2d_tuning *tuning = NULL;
    enum sco_status status = SCO_OK;
    if (plan != NULL && plan[0] != '\0') {
        status = sco_conv2d_tuning_prefer(&tuning, plan);
        choice.tuning = tuning;
        r->config.conv = &choice;
    }
    if (status == SCO_OK)
        status = sco_model_create(&r->model, ctx, &r->config);
    if (status == SCO_OK) {
        sco_model_reset(r->model);
        status = compare_parameters(r);
    }
    if (status == SCO_OK)
        status = sco_model_forward(r->model, &r->batch, SCO_MODEL_TRAIN, 0, &r->result);
    if (status == SCO_OK)
        status = compare_loss(r);
    if (status == SCO_OK)
        status = compare_outputs(r);
    if (status == SCO_OK)
        status = sco_model_backward(r->model, NULL, NULL);
    if (status == SCO_OK)
        status = compare_gradients(r);
    sco_model_destroy(r->model);
    sco_conv2d_tuning_close(tuning);
    return status;
}

enum sco_status sco_model_replay_create(struct sco_model_replay **replay, struct sco_ctx *ctx, const char *dir,
                                        const char *name, const char *plan)
{
    const size_t bytes = strlen(dir) + strlen(name) + sizeof "/.json";
    char *path = malloc(bytes);
    struct replaying r = {.replay = calloc(1, sizeof *r.replay), .path = path};
    enum sco_status status = SCO_OK;
    if (path == NULL || r.replay == NULL)
        status = sco_fail(SCO_NOMEM, "no memory to replay %s", name);
    if (status == SCO_OK) {
        snprintf(path, bytes, "%s/%s.json", dir, name);
        r.replay->hash = 0xcbf29ce484222325u;
        status = read_root(&r);
    }
    if (status == SCO_OK)
        status = prepare(&r);
    if (status == SCO_OK)
        status = run(&r, ctx, plan);
    for (size_t i = 0; i < sizeof r.floats / sizeof *r.floats; i++)
        free(r.floats[i]);
    for (size_t i = 0; i < sizeof r.integers / sizeof *r.integers; i++)
        free(r.integers[i]);
    free(path);
    if (r.replay != NULL)
        r.replay->root = r.root;
    if (status == SCO_OK)
        *replay = r.replay;
    else
        sco_model_replay_destroy(r.replay);
    return status;
}

void sco_model_replay_destroy(struct sco_model_replay *replay)
{
    if (replay == NULL)
        return;
    free(replay->entries);
    json_decref(replay->root);
    free(replay);
}

const char *sco_model_replay_kind_name(enum sco_model_replay_kind kind)
{
    static const char *const names[SCO_MODEL_REPLAY_KINDS] = {"parameter", "loss", "output", "gradient"};
    return names[kind];
}

enum sco_workload sco_model_replay_workload(const struct sco_model_replay *replay)
{
    return replay->workload;
}

const struct sco_model_replay_entry *sco_model_replay_at(const struct sco_model_replay *replay, size_t index)
{
    return index < replay->count ? &replay->entries[index] : NULL;
}

uint64_t sco_model_replay_hash(const struct sco_model_replay *replay)
{
    return replay->hash;
}

/* SPDX-License-Identifier: Apache-2.0
 * Recorded runs of whole models in double: parameters and inputs from a formula, results as a few numbers a tensor.
 * Included after cmocka; the test links jansson. */
#ifndef SCO_TESTS_GOLDEN_MODEL_H
#define SCO_TESTS_GOLDEN_MODEL_H

#include <jansson.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "arch/random.h"
#include "stepcost/model.h"

/* Where the records are, relative to the tests' folder. */
#define GOLDEN_MODELS SCO_TEST_DIR "/golden/algoperf/models/"

/* In [-1, 1): element i of a tensor. */
static inline double golden_number(uint64_t seed, uint64_t tensor, uint64_t i)
{
    return 2.0 * sco_random_uniform(seed ^ tensor * 0xd1b54a32d192ed03u, i) - 1.0;
}

/* x[i] = scale inp(k)[i], rounded once. */
static inline void golden_input(uint64_t seed, uint64_t k, double scale, size_t count, float *x)
{
    for (size_t i = 0; i < count; i++)
        x[i] = (float)(scale * golden_number(seed, 1000 + k, i));
}

static inline int golden_ends_in(const char *name, const char *end)
{
    const size_t length = strlen(name), tail = strlen(end);
    return length >= tail && strcmp(name + length - tail, end) == 0;
}

/* What kind a parameter is shows in its name; the others are weights, scaled so that sums keep their variance. */
static inline void golden_parameters(struct sco_model *model, uint64_t seed)
{
    const struct sco_tensor_list *list = sco_model_tensors(model);
    float *const *p = sco_model_params(model);
    for (size_t t = 0; t < list->count; t++) {
        const struct sco_tensor *tensor = &list->tensors[t];
        size_t count, inputs = 1;
        assert_int_equal(sco_tensor_elements(tensor, &count), SCO_OK);
        for (size_t axis = 0; axis + 1 < tensor->rank; axis++)
            inputs *= tensor->shape[axis];
        double offset = 0.0, factor = sqrt(3.0 / (double)inputs);
        if (golden_ends_in(tensor->name, "scale"))
            offset = 1.0, factor = 0.2;
        else if (golden_ends_in(tensor->name, "bias") || golden_ends_in(tensor->name, "embedding_table"))
            factor = 0.1;
        for (size_t i = 0; i < count; i++)
            p[t][i] = (float)(offset + factor * golden_number(seed, t, i));
    }
}

/* name: a file of GOLDEN_MODELS. json_decref() releases it. */
static inline json_t *golden_read(const char *name)
{
    char path[4096];
    json_error_t error;
    assert_true(snprintf(path, sizeof path, "%s%s", GOLDEN_MODELS, name) < (int)sizeof path);
    json_t *root = json_load_file(path, 0, &error);
    if (root == NULL)
        fail_msg("%s:%d: %s", path, error.line, error.text);
    return root;
}

static inline json_t *golden_member(const json_t *object, const char *key)
{
    json_t *member = json_object_get(object, key);
    if (member == NULL)
        fail_msg("the record has no '%s'", key);
    return member;
}

static inline double golden_value(const json_t *object, const char *key)
{
    return json_number_value(golden_member(object, key));
}

/* The error of a vector e = values - recorded as far as its record shows it, each in units of the vector's l2 norm |v| so that
 * for errors that are independent of each other all three are about |e| / |v|. */
struct golden_error {
    double l2;    /* difference of norms / |v| */
    double sum;   /* difference of sums / |v| */
    double entry; /* root of the mean square over the recorded entries, times sqrt(n) / |v| */
};

static inline struct golden_error golden_compare(const json_t *record, const float *values, size_t count)
{
    assert_int_equal(count, (size_t)json_integer_value(golden_member(record, "n")));
    double sum = 0.0, squares = 0.0, entries = 0.0;
    for (size_t i = 0; i < count; i++) {
        sum += (double)values[i];
        squares += (double)values[i] * (double)values[i];
    }
    const json_t *idx = golden_member(record, "idx"), *val = golden_member(record, "val");
    const size_t recorded = json_array_size(idx);
    assert_true(recorded > 0 && json_array_size(val) == recorded);
    for (size_t k = 0; k < recorded; k++) {
        const size_t at = (size_t)json_integer_value(json_array_get(idx, k));
        assert_true(at < count);
        const double e = (double)values[at] - json_number_value(json_array_get(val, k));
        entries += e * e;
    }
    const double norm = golden_value(record, "l2"), unit = norm > 0.0 ? norm : 1.0;
    return (struct golden_error){fabs(sqrt(squares) - norm) / unit, fabs(sum - golden_value(record, "sum")) / unit,
                                 sqrt(entries / (double)recorded * (double)count) / unit};
}

static inline void golden_assert(const json_t *record, const char *name, const float *values, size_t count,
                                 double bound)
{
    const struct golden_error e = golden_compare(record, values, count);
    if (!(e.l2 <= bound && e.sum <= bound && e.entry <= bound))
        fail_msg("%s differs from the record by %.3g (norm), %.3g (sum), %.3g (entries); allowed: %.3g", name, e.l2,
                 e.sum, e.entry, bound);
}

/* Parameters as regenerated against those that the recorder used. */
static inline void golden_check_parameters(struct sco_model *model, const json_t *root)
{
    const struct sco_tensor_list *list = sco_model_tensors(model);
    float *const *p = sco_model_params(model);
    size_t checked = 0;
    for (size_t t = 0; t < list->count; t++) {
        const json_t *record = json_object_get(golden_member(root, "param_checks"), list->tensors[t].name);
        size_t count;
        assert_int_equal(sco_tensor_elements(&list->tensors[t], &count), SCO_OK);
        if (record != NULL)
            golden_assert(record, list->tensors[t].name, p[t], count, 1e-12), checked++;
    }
    assert_int_equal(checked, json_object_size(golden_member(root, "param_checks")));
}

#endif

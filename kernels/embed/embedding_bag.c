/* SPDX-License-Identifier: Apache-2.0
 * The loops are the definition; every row copies their operations, their order and their fusing. */
#include "kernels/embed/embedding_bag.h"

#include <assert.h>
#include <math.h>

static float sum_add(float sum, const float *factor, size_t at, float x)
{
    return factor != NULL ? fmaf(factor[at], x, sum) : sum + x;
}

/* What differs between the two widths of an index is the type alone. */
#define DEFINE_INDEXED(bits)                                                                                           \
    static size_t forward_i##bits##_scalar(size_t bags, const int##bits##_t *offset, const int##bits##_t *index,       \
                                           const float *weight, int mean, size_t rows, size_t dim, const float *table, \
                                           int stream, float *restrict y)                                              \
    {                                                                                                                  \
        (void)stream;                                                                                                  \
        const size_t origin = (size_t)offset[0];                                                                       \
        for (size_t b = 0; b < bags; b++) {                                                                            \
            const size_t from = (size_t)offset[b], to = (size_t)offset[b + 1];                                         \
            for (size_t l = from; l < to; l++)                                                                         \
                if (index[l] < 0 || (size_t)index[l] >= rows)                                                          \
                    return l - origin;                                                                                 \
            for (size_t j = 0; j < dim; j++) {                                                                         \
                float sum = 0.0f;                                                                                      \
                for (size_t l = from; l < to; l++)                                                                     \
                    sum = sum_add(sum, weight, l, table[(size_t)index[l] * dim + j]);                                  \
                y[b * dim + j] = mean && to > from ? sum / (float)(to - from) : sum;                                   \
            }                                                                                                          \
        }                                                                                                              \
        return (size_t)offset[bags] - origin;                                                                          \
    }                                                                                                                  \
                                                                                                                       \
    static size_t keys_i##bits##_scalar(size_t bags, const int##bits##_t *offset, const int##bits##_t *index,          \
                                        const float *weight, int mean, size_t rows, uint32_t first_bag,                \
                                        struct sco_embedding_key *key, uint32_t *bag, float *factor)                   \
    {                                                                                                                  \
        const size_t origin = (size_t)offset[0];                                                                       \
        for (size_t b = 0; b < bags; b++) {                                                                            \
            const size_t from = (size_t)offset[b], to = (size_t)offset[b + 1];                                         \
            const uint32_t this_bag = first_bag + (uint32_t)b;                                                         \
            for (size_t l = from; l < to; l++) {                                                                       \
                if (index[l] < 0 || (size_t)index[l] >= rows)                                                          \
                    return l - origin;                                                                                 \
                key[l - origin] =                                                                                      \
                    (struct sco_embedding_key){(uint32_t)index[l], bag != NULL ? (uint32_t)l : this_bag};              \
                if (bag == NULL)                                                                                       \
                    continue;                                                                                          \
                const float w = weight != NULL ? weight[l] : 1.0f;                                                     \
                bag[l] = this_bag;                                                                                     \
                factor[l] = mean ? w / (float)(to - from) : w;                                                         \
            }                                                                                                          \
        }                                                                                                              \
        return (size_t)offset[bags] - origin;                                                                          \
    }

DEFINE_INDEXED(32)
DEFINE_INDEXED(64)

static void count_scalar(size_t n, const struct sco_embedding_key *key, unsigned shift, unsigned bits, uint32_t *count)
{
    const uint32_t mask = (1u << bits) - 1;
    assert(bits < 32 && shift < 32);
    for (size_t d = 0; d <= mask; d++)
        count[d] = 0;
    for (size_t i = 0; i < n; i++)
        count[key[i].row >> shift & mask]++;
}

static void place_scalar(size_t n, const struct sco_embedding_key *key, unsigned shift, unsigned bits, uint32_t *cursor,
                         struct sco_embedding_key *restrict to)
{
    const uint32_t mask = (1u << bits) - 1;
    for (size_t i = 0; i < n; i++)
        to[cursor[key[i].row >> shift & mask]++] = key[i];
}

static float run_sum(const struct sco_embedding_runs *runs, size_t run, size_t dim, const float *g, size_t j)
{
    float sum = 0.0f;
    for (size_t i = runs->begin[run]; i < runs->begin[run + 1]; i++) {
        const size_t source = runs->key[i].source, bag = runs->bag != NULL ? runs->bag[source] : source;
        sum = sum_add(sum, runs->factor, source, g[bag * dim + j]);
    }
    return sum;
}

static void sum_f32_scalar(const struct sco_embedding_runs *runs, size_t first, size_t last, size_t dim, const float *g,
                           float *restrict sum)
{
    for (size_t r = first; r < last; r++)
        for (size_t j = 0; j < dim; j++)
            sum[(r - first) * dim + j] = run_sum(runs, r, dim, g, j);
}

/* In the steps: element at of p, m and v, and x, its scaled gradient. */
#define FOR_ELEMENTS                                                                                                   \
    for (size_t r = first; r < last; r++)                                                                              \
        for (size_t j = 0, at = runs->key[runs->begin[r]].row * dim; j < dim; j++, at++)

static void sgd_f32_scalar(const struct sco_embedding_runs *runs, size_t first, size_t last, size_t dim, const float *g,
                           float *restrict p, float *restrict m, float *restrict v, const struct sco_embedding_coef *c)
{
    (void)m, (void)v;
    FOR_ELEMENTS
    p[at] = fmaf(-c->lr, c->gscale * run_sum(runs, r, dim, g, j), p[at]);
}

static void heavy_ball_f32_scalar(const struct sco_embedding_runs *runs, size_t first, size_t last, size_t dim,
                                  const float *g, float *restrict p, float *restrict m, float *restrict v,
                                  const struct sco_embedding_coef *c)
{
    (void)v;
    FOR_ELEMENTS
    {
        m[at] = fmaf(c->b1, m[at], c->gscale * run_sum(runs, r, dim, g, j));
        p[at] = fmaf(-c->lr, m[at], p[at]);
    }
}

static void adam_f32_scalar(const struct sco_embedding_runs *runs, size_t first, size_t last, size_t dim,
                            const float *g, float *restrict p, float *restrict m, float *restrict v,
                            const struct sco_embedding_coef *c)
{
    FOR_ELEMENTS
    {
        const float x = c->gscale * run_sum(runs, r, dim, g, j);
        m[at] = fmaf(c->b1, m[at], c->one_minus_b1 * x);
        v[at] = fmaf(c->b2, v[at], c->one_minus_b2 * x * x);
        p[at] = fmaf(-c->lr, c->cm * m[at] / (sqrtf(c->c2 * v[at]) + c->eps), p[at]);
    }
}

static void adagrad_f32_scalar(const struct sco_embedding_runs *runs, size_t first, size_t last, size_t dim,
                               const float *g, float *restrict p, float *restrict m, float *restrict v,
                               const struct sco_embedding_coef *c)
{
    (void)m;
    FOR_ELEMENTS
    {
        const float x = c->gscale * run_sum(runs, r, dim, g, j);
        v[at] = fmaf(x, x, v[at]);
        p[at] = fmaf(-c->lr, x / (sqrtf(v[at]) + c->eps), p[at]);
    }
}

void sco_embedding_bag_fill_scalar(void *table, sco_isa isa)
{
    (void)isa;
    struct sco_embedding_bag_ops *ops = table;
    ops->forward_i32 = forward_i32_scalar;
    ops->forward_i64 = forward_i64_scalar;
    ops->keys_i32 = keys_i32_scalar;
    ops->keys_i64 = keys_i64_scalar;
    ops->count = count_scalar;
    ops->place = place_scalar;
    ops->sum = sum_f32_scalar;
    ops->sgd = sgd_f32_scalar;
    ops->heavy_ball = heavy_ball_f32_scalar;
    ops->adam = adam_f32_scalar;
    ops->adagrad = adagrad_f32_scalar;
}

SCO_FAMILY_DEFINE(embedding_bag, SCO_EMBEDDING_BAG_ROWS, struct sco_embedding_bag_ops, "forward_i32", "forward_i64",
                  "keys_i32", "keys_i64", "count", "place", "sum", "sgd", "heavy_ball", "adam", "adagrad")

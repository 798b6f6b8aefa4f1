/* SPDX-License-Identifier: Apache-2.0
 * Embedding bags: sums of table rows, and gradients of a batch applied to the rows that it touched. */
#ifndef SCO_KERNELS_EMBEDDING_BAG_H
#define SCO_KERNELS_EMBEDDING_BAG_H

#include <stdint.h>

#include "kernels/kernel.h"

/* y[b] = sum over lookups l of bag b of weight[l] table[index[l]], divided by their number where mean is set; zero for an
 * empty bag. Bag b holds lookups offset[b] .. offset[b + 1] - 1.
 *
 * Shapes    offset: [bags + 1], ascending; index, weight: [offset[bags]], read from offset[0] on; table: [rows][dim];
 *           y: [bags][dim] out. weight may be NULL: 1.
 * Layout    contiguous; natural alignment of each type required, rows of whole 64-byte lines preferred. stream: y leaves
 *           the caches, for outputs too large to be found there again.
 * Numerics  f32; the accumulator starts at zero and takes one fused multiply-add a lookup in order, without weights one
 *           addition; the mean is one division. Same bits from every row and for either stream.
 * Cost      2 dim flops and 4 dim bytes a lookup, 4 dim bytes a bag.
 * Threads   reentrant; disjoint ranges of bags may run at once.
 * Memory    none allocated.
 * Errors    returns how many lookups were done, counted from offset[0]: fewer than all names the first index that is
 *           not in 0 .. rows - 1. The bags before its bag are written, no other.
 * Source    PyTorch's embedding_bag with include_last_offset. */
typedef size_t sco_embedding_forward_i32_fn(size_t bags, const int32_t *offset, const int32_t *index,
                                            const float *weight, int mean, size_t rows, size_t dim, const float *table,
                                            int stream, float *SCO_RESTRICT y);
typedef size_t sco_embedding_forward_i64_fn(size_t bags, const int64_t *offset, const int64_t *index,
                                            const float *weight, int mean, size_t rows, size_t dim, const float *table,
                                            int stream, float *SCO_RESTRICT y);

/* A lookup on its way through the sort: the row it read and where its gradient comes from. */
struct sco_embedding_key {
    uint32_t row, source;
};

/* key[l - offset[0]] = {index[l], source} for every lookup l. With bag NULL a source is first_bag + b. Otherwise it is l
 * itself, bag[l] = first_bag + b and factor[l] = weight[l], 1 without weights, divided by the bag's lookups where mean is
 * set. rows and offset[bags] are at most 2^32. Returns how many lookups were done, as above. */
typedef size_t sco_embedding_keys_i32_fn(size_t bags, const int32_t *offset, const int32_t *index, const float *weight,
                                         int mean, size_t rows, uint32_t first_bag, struct sco_embedding_key *key,
                                         uint32_t *bag, float *factor);
typedef size_t sco_embedding_keys_i64_fn(size_t bags, const int64_t *offset, const int64_t *index, const float *weight,
                                         int mean, size_t rows, uint32_t first_bag, struct sco_embedding_key *key,
                                         uint32_t *bag, float *factor);

/* One pass of a stable radix sort over digit = row >> shift & (2^bits - 1): count[2^bits] is overwritten with the digits'
 * frequencies; place moves every key to to[cursor[digit]++]. The digits of one pass over all blocks of a batch fill to. */
typedef void sco_embedding_count_fn(size_t n, const struct sco_embedding_key *key, unsigned shift, unsigned bits,
                                    uint32_t *count);
typedef void sco_embedding_place_fn(size_t n, const struct sco_embedding_key *key, unsigned shift, unsigned bits,
                                    uint32_t *cursor, struct sco_embedding_key *SCO_RESTRICT to);

/* Sorted keys cut into runs of one row each: run r holds keys begin[r] .. begin[r + 1] - 1, at least one. What lies past
 * the runs of a call is read ahead of time by the next. */
struct sco_embedding_runs {
    size_t count;
    const uint32_t *begin; /* [count + 1] */
    const struct sco_embedding_key *key;
    const uint32_t *bag; /* of a source; NULL: a source is a bag */
    const float *factor; /* of a source; NULL: 1 */
};

/* sum[r - first] = sum over keys of run r, in order, of factor g[bag], for runs first .. last - 1.
 *
 * Shapes    g: float[][dim], a row for each bag; sum: float[last - first][dim] out.
 * Numerics  accumulator as in forward. Same bits from every row. */
typedef void sco_embedding_sum_fn(const struct sco_embedding_runs *runs, size_t first, size_t last, size_t dim,
                                  const float *g, float *SCO_RESTRICT sum);

struct sco_embedding_coef {
    float gscale; /* multiplies the sum first */
    float lr;
    float b1, one_minus_b1; /* decay of the first moment or momentum */
    float b2, one_minus_b2; /* of the second moment */
    float cm, c2;           /* Adam: 1 / (1 - b1^k), 1 / (1 - b2^k) */
    float eps;              /* outside the root */
};

/* One optimizer step on the rows of runs first .. last - 1, each with the sum of its gradients, x = gscale sum:
 *
 *   sgd         p' = p - lr x
 *   heavy_ball  m' = b1 m + x                        p' = p - lr m'
 *   adam        m' = b1 m + (1 - b1) x               v' = b2 v + (1 - b2) x^2
 *               p' = p - lr cm m' / (sqrt(c2 v') + eps)
 *   adagrad     v' = v + x^2                         p' = p - lr x / (sqrt(v') + eps)
 *
 * Rows without a run keep parameters and moments (lazy updates, as in torch.optim.SparseAdam).
 *
 * Shapes    g as in sum; p, m, v: float[rows][dim] in/out; those that a step does not name may be NULL.
 * Layout    contiguous, 4-byte alignment required, rows of whole 64-byte lines preferred. The arrays must not overlap.
 * Numerics  f32; a row has the bits that momentum.c and adam.c give for its sum. Same bits from every row of the table.
 *           No sum is stored.
 * Cost      sgd 8 dim bytes, heavy_ball and adagrad 16, adam 24 for each run, and 4 dim for each key.
 * Threads   reentrant; disjoint ranges of runs with distinct rows may run at once.
 * Errors    none. */
typedef void sco_embedding_step_fn(const struct sco_embedding_runs *runs, size_t first, size_t last, size_t dim,
                                   const float *g, float *SCO_RESTRICT p, float *SCO_RESTRICT m, float *SCO_RESTRICT v,
                                   const struct sco_embedding_coef *coef);

struct sco_embedding_bag_ops {
    sco_embedding_forward_i32_fn *forward_i32;
    sco_embedding_forward_i64_fn *forward_i64;
    sco_embedding_keys_i32_fn *keys_i32;
    sco_embedding_keys_i64_fn *keys_i64;
    sco_embedding_count_fn *count;
    sco_embedding_place_fn *place;
    sco_embedding_sum_fn *sum;
    sco_embedding_step_fn *sgd;
    sco_embedding_step_fn *heavy_ball;
    sco_embedding_step_fn *adam;
    sco_embedding_step_fn *adagrad;
};

#define SCO_EMBEDDING_BAG_ROWS(ROW)                                                                                    \
    ROW(embedding_bag, scalar, 0)                                                                                      \
    SCO_HWY(ROW(embedding_bag, hwy, SCO_USE_HWY))                                                                      \
    SCO_X86(ROW(embedding_bag, avx2, SCO_ISA_AVX2))                                                                    \
    SCO_X86(ROW(embedding_bag, avx512, SCO_ISA_AVX512))                                                                \
    SCO_ARM64(ROW(embedding_bag, neon, SCO_ISA_NEON))
SCO_BEGIN_DECLS
SCO_FAMILY_DECLARE(embedding_bag, SCO_EMBEDDING_BAG_ROWS)
SCO_END_DECLS

#endif

/* SPDX-License-Identifier: Apache-2.0
 * Embedding bags over a whole batch: forward, gradients, and sparse optimizer steps. */
#ifndef STEPCOST_EMBEDDING_H
#define STEPCOST_EMBEDDING_H

#include <stddef.h>
#include <stdint.h>

#include "stepcost/ctx.h"

SCO_BEGIN_DECLS

struct sco_embedding;

/* A table of rows x dim floats, and the most bags and lookups that a batch has. */
struct sco_embedding_shape {
    size_t rows, dim, bags, lookups;
};

enum sco_embedding_mode { SCO_EMBEDDING_SUM, SCO_EMBEDDING_MEAN };

/* Bag b holds lookups offset[b] .. offset[b + 1] - 1; offset[0] = 0, offset[bags] is the number of lookups. */
struct sco_embedding_batch {
    size_t bags;
    const void *offset, *index; /* int32_t or int64_t, both */
    int index_bits;             /* 32 or 64 */
    const float *weight;        /* per lookup, or NULL: 1 */
    enum sco_embedding_mode mode;
};

/* Bytes that sco_embedding_create will allocate.
 * Errors    SCO_SHAPE: more than 2^32 - 1 rows, bags or lookups, or sizes whose product overflows. */
SCO_API enum sco_status sco_embedding_bytes(const struct sco_embedding_shape *shape, size_t *bytes);

/* Workspace for batches of one table; it owns no table. ctx must outlive it.
 * Errors    those of sco_embedding_bytes; SCO_NOMEM. */
SCO_API enum sco_status sco_embedding_create(struct sco_embedding **embedding, struct sco_ctx *ctx,
                                             const struct sco_embedding_shape *shape);
SCO_API void sco_embedding_destroy(struct sco_embedding *embedding); /* NULL is a no-op */

/* y[b] = sum of weight[l] table[index[l]] over the lookups of bag b, divided by their number in mode mean.
 *
 * Shapes    table: float[rows][dim]; y: float[bags][dim] out. An empty bag is zero.
 * Layout    contiguous; 4-byte alignment required, 64 preferred, and a table in huge pages (sco_alloc).
 * Numerics  f32; lookups in order, one fused multiply-add each (an addition without weights). Same bits for any team.
 * Cost      one read of a row a lookup. y beyond the caches is written past them.
 * Threads   the team of the context; by bag, cut where lookups balance.
 * Memory    none allocated.
 * Errors    SCO_SHAPE: more bags or lookups than the shape names, offsets that descend or do not start at 0, an index that
 *           is not in 0 .. rows - 1 (the message names the first lookup); SCO_INVALID: index_bits or mode. y is
 *           undefined on error.
 * Source    PyTorch's embedding_bag with include_last_offset. */
SCO_API enum sco_status sco_embedding_forward(struct sco_embedding *embedding, const struct sco_embedding_batch *batch,
                                              const float *table, float *y);

/* The gradient of a batch as its distinct rows, ascending, and one row of dim floats for each.
 *
 * Shapes    gy: float[bags][dim]; row: uint32_t[], gradient: float[][dim] out, with room for as many rows as the batch has
 *           lookups or the table has rows, whichever is less; count: out.
 * Numerics  f32; the lookups of a row are added in their order in the batch, in blocks that are then added up. Where the
 *           blocks begin depends on the batch alone (multiples of 512 in the order of rows). Same bits for any team.
 * Cost      a stable radix sort of the lookups, 1 to 3 passes; one read of gy a lookup.
 * Threads   the team of the context; by distinct rows, cut where rows and lookups balance.
 * Memory    none allocated.
 * Errors    as forward; outputs are untouched. */
SCO_API enum sco_status sco_embedding_backward_sparse(struct sco_embedding *embedding,
                                                      const struct sco_embedding_batch *batch, const float *gy,
                                                      size_t *count, uint32_t *row, float *gradient);

/* gradient[r] += the gradient of row r, for the rows that the batch touches; float[rows][dim] in/out. Otherwise as above. */
SCO_API enum sco_status sco_embedding_backward_dense(struct sco_embedding *embedding,
                                                     const struct sco_embedding_batch *batch, const float *gy,
                                                     float *gradient);

enum sco_embedding_rule {
    SCO_EMBEDDING_SGD,        /* p' = p - lr g */
    SCO_EMBEDDING_HEAVY_BALL, /* m' = b1 m + g, p' = p - lr m' */
    SCO_EMBEDDING_ADAM,       /* Adam with the bias correction of this step */
    SCO_EMBEDDING_ADAGRAD     /* v' = v + g^2, p' = p - lr g / (sqrt(v') + eps) */
};

struct sco_embedding_optimizer {
    enum sco_embedding_rule rule;
    uint64_t step;        /* 1, 2, ...: Adam's bias correction */
    float lr;             /* parameter units per step */
    float b1, b2, eps;    /* as far as the rule has them */
    float gradient_scale; /* multiplies the gradient first: 1, or the factor of clipping */
};

/* Backward and the step of an optimizer in one: every distinct row of the batch is updated with the sum of its gradients,
 * which is never stored. Rows that the batch does not touch keep parameters and moments.
 *
 * Shapes    gy: float[bags][dim]; table, m, v: float[rows][dim] in/out; m and v may be NULL where the rule has none.
 * Numerics  f32; the gradient as in sco_embedding_backward_sparse, the step as in the dense optimizers. Same bits for any
 *           team.
 * Cost      the sort, a read of gy a lookup, a read and a write of each distinct row of table, m, v.
 * Threads, Memory, Errors    as sco_embedding_backward_sparse; SCO_INVALID: an unknown rule, step = 0 with Adam, m or v
 *           missing. The table is untouched on error.
 * Source    torch.optim.SparseAdam; FBGEMM's fused updates; Duchi, Hazan, Singer, "Adaptive Subgradient Methods", 2011. */
SCO_API enum sco_status sco_embedding_step(struct sco_embedding *embedding, const struct sco_embedding_batch *batch,
                                           const float *gy, const struct sco_embedding_optimizer *optimizer,
                                           float *table, float *m, float *v);

SCO_END_DECLS
#endif

/* SPDX-License-Identifier: Apache-2.0
 * Dot interaction of DLRM over a whole batch. */
#ifndef STEPCOST_INTERACTION_H
#define STEPCOST_INTERACTION_H

#include <stddef.h>

#include "stepcost/ctx.h"

SCO_BEGIN_DECLS

struct sco_interaction;

/* For samples of F feature vectors of dim floats; y has dim + F (F + 1) / 2 columns. ctx must outlive it.
 *
 * Memory    4 F^2 bytes for each thread.
 * Errors    SCO_SHAPE: F = 0, or a sample that does not fit an address space; SCO_NOMEM. */
SCO_API enum sco_status sco_interaction_create(struct sco_interaction **interaction, struct sco_ctx *ctx, size_t F,
                                               size_t dim);
SCO_API void sco_interaction_destroy(struct sco_interaction *interaction); /* NULL is a no-op */
SCO_API size_t sco_interaction_columns(const struct sco_interaction *interaction);

/* y[s] = (x[s][0], <x[s][i], x[s][j]> for i = 0 .. F - 1, j = i .. F - 1): the first feature vector, which is the bottom
 * network's output, and the upper triangle of the Gram matrix with its diagonal.
 *
 * Shapes    x: float[samples][F][dim]; y: float[samples][columns] out. samples = 0 is a no-op.
 * Layout    contiguous; 4-byte alignment required, 64 preferred. The arrays must not overlap.
 * Numerics  f32; products as in kernels/interact/dot_interaction.h. Same bits for any team.
 * Cost      F (F + 1) / 2 dim multiply-adds a sample; one read of x, one write of y.
 * Threads   the team of the context; by sample.
 * Memory    none allocated.
 * Errors    none.
 * Source    Naumov et al., "Deep Learning Recommendation Model for Personalization and Recommendation Systems", 2019. */
SCO_API enum sco_status sco_interaction_forward(struct sco_interaction *interaction, size_t samples, const float *x,
                                                float *y);

/* dx[s] = (G + G^T) x[s], with the gradient of the first dim columns added to row 0, where G is the triangle in gy[s].
 *
 * Shapes    x, dx: float[samples][F][dim]; gy: float[samples][columns].
 * Cost      F^2 dim multiply-adds a sample. The rest as above. */
SCO_API enum sco_status sco_interaction_backward(struct sco_interaction *interaction, size_t samples, const float *x,
                                                 const float *gy, float *dx);

SCO_END_DECLS
#endif

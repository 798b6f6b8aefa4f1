/* SPDX-License-Identifier: Apache-2.0
 * The loop body is the definition of a step; every row copies its operations, their order and their fusing. */
#include "kernels/momentum/momentum.h"

#include <math.h>

static inline float gradient(float g, float p, const struct sco_momentum_coef *c)
{
    const float x = c->gscale * g;
    return c->weight_decay != 0.0f ? fmaf(c->weight_decay, p, x) : x;
}

static void heavy_ball_f32_scalar(size_t n, float *restrict p, float *restrict m, const float *restrict g,
                                  const struct sco_momentum_coef *c)
{
    for (size_t i = 0; i < n; i++) {
        m[i] = fmaf(c->b1, m[i], gradient(g[i], p[i], c));
        p[i] = fmaf(-c->lr, m[i], p[i]);
    }
}

static void nesterov_f32_scalar(size_t n, float *restrict p, float *restrict m, const float *restrict g,
                                const struct sco_momentum_coef *c)
{
    for (size_t i = 0; i < n; i++) {
        const float x = gradient(g[i], p[i], c);
        m[i] = fmaf(c->b1, m[i], x);
        p[i] = fmaf(-c->lr, fmaf(c->b1, m[i], x), p[i]);
    }
}

void sco_momentum_fill_scalar(void *table, sco_isa isa)
{
    (void)isa;
    struct sco_momentum_ops *ops = table;
    ops->heavy_ball = heavy_ball_f32_scalar;
    ops->nesterov = nesterov_f32_scalar;
}

SCO_FAMILY_DEFINE(momentum, SCO_MOMENTUM_ROWS, struct sco_momentum_ops, "heavy_ball", "nesterov")

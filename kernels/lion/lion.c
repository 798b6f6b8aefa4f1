/* SPDX-License-Identifier: Apache-2.0
 * The loop body is the definition of a step; every row copies its operations, their order and their fusing. */
#include "kernels/lion/lion.h"

#include <math.h>

/* Zero keeps its sign and NaN stays NaN, as in jax.numpy.sign. */
static inline float sign(float x)
{
    return x < 0.0f || x > 0.0f ? copysignf(1.0f, x) : x;
}

static void lion_f32_scalar(size_t n, float *restrict p, float *restrict m, const float *restrict g,
                            const struct sco_lion_coef *c)
{
    for (size_t i = 0; i < n; i++) {
        const float x = c->gscale * g[i];
        const float u = sign(fmaf(c->b1, m[i], c->one_minus_b1 * x));
        m[i] = fmaf(c->b2, m[i], c->one_minus_b2 * x);
        p[i] = fmaf(-c->lr, fmaf(c->weight_decay, p[i], u), p[i]);
    }
}

void sco_lion_fill_scalar(void *table, sco_isa isa)
{
    (void)isa;
    struct sco_lion_ops *ops = table;
    ops->lion = lion_f32_scalar;
}

SCO_FAMILY_DEFINE(lion, SCO_LION_ROWS, struct sco_lion_ops, "lion")

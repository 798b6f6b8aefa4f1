/* SPDX-License-Identifier: Apache-2.0
 * The loop bodies are the definition of both passes; every row copies their operations, order and fusing. */
#include "kernels/lamb/lamb.h"

#include <math.h>

#include "kernels/sum_lanes.h"

enum { LANES = 16 };

static inline float update(float p, float m, float v, const struct sco_lamb_coef *c)
{
    return fmaf(c->weight_decay, p, c->cm * m / (sqrtf(c->c2 * v) + c->eps));
}

static void moments_f32_scalar(size_t n, const float *restrict p, float *restrict m, float *restrict v,
                               const float *restrict g, const struct sco_lamb_coef *c, double sum[2])
{
    double pp[LANES] = {0}, uu[LANES] = {0};
    for (size_t i = 0; i < n; i++) {
        const float x = c->gscale * g[i];
        m[i] = fmaf(c->b1, m[i], c->one_minus_b1 * x);
        v[i] = fmaf(c->b2, v[i], c->one_minus_b2 * x * x);
        const double u = (double)update(p[i], m[i], v[i], c);
        pp[i % LANES] += (double)p[i] * (double)p[i]; /* exact products: fusing them would change nothing */
        uu[i % LANES] += u * u;
    }
    sum[0] = sco_fold_lanes(pp, LANES);
    sum[1] = sco_fold_lanes(uu, LANES);
}

static void apply_f32_scalar(size_t n, float *restrict p, const float *restrict m, const float *restrict v,
                             const struct sco_lamb_coef *c, float step)
{
    for (size_t i = 0; i < n; i++)
        p[i] = fmaf(-step, update(p[i], m[i], v[i], c), p[i]);
}

void sco_lamb_fill_scalar(void *table, sco_isa isa)
{
    (void)isa;
    struct sco_lamb_ops *ops = table;
    ops->moments = moments_f32_scalar;
    ops->apply = apply_f32_scalar;
}

SCO_FAMILY_DEFINE(lamb, SCO_LAMB_ROWS, struct sco_lamb_ops, "moments", "apply")

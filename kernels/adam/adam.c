/* SPDX-License-Identifier: Apache-2.0
 * The loop body is the definition of a step; every row copies its operations, their order and their fusing. */
#include "kernels/adam/adam.h"

#include <math.h>

static inline void step(size_t n, float *restrict p, float *restrict m, float *restrict v, const float *restrict g,
                        const struct sco_adam_coef *c, int look_ahead, int decay)
{
    for (size_t i = 0; i < n; i++) {
        const float x = c->gscale * g[i];
        m[i] = fmaf(c->b1, m[i], c->one_minus_b1 * x);
        v[i] = fmaf(c->b2, v[i], c->one_minus_b2 * x * x);
        const float direction = look_ahead ? fmaf(c->cm, m[i], c->cg * x) : c->cm * m[i];
        float u = direction / (sqrtf(c->c2 * v[i]) + c->eps);
        if (decay)
            u = fmaf(c->weight_decay, p[i], u);
        p[i] = fmaf(-c->lr, u, p[i]);
    }
}

static void adam_f32_scalar(size_t n, float *restrict p, float *restrict m, float *restrict v, const float *restrict g,
                            const struct sco_adam_coef *coef)
{
    step(n, p, m, v, g, coef, 0, 0);
}

static void adamw_f32_scalar(size_t n, float *restrict p, float *restrict m, float *restrict v, const float *restrict g,
                             const struct sco_adam_coef *coef)
{
    step(n, p, m, v, g, coef, 0, 1);
}

static void nadam_f32_scalar(size_t n, float *restrict p, float *restrict m, float *restrict v, const float *restrict g,
                             const struct sco_adam_coef *coef)
{
    step(n, p, m, v, g, coef, 1, 0);
}

static void nadamw_f32_scalar(size_t n, float *restrict p, float *restrict m, float *restrict v,
                              const float *restrict g, const struct sco_adam_coef *coef)
{
    step(n, p, m, v, g, coef, 1, 1);
}

void sco_adam_fill_scalar(void *table, sco_isa isa)
{
    (void)isa;
    struct sco_adam_ops *ops = table;
    ops->adam = adam_f32_scalar;
    ops->adamw = adamw_f32_scalar;
    ops->nadam = nadam_f32_scalar;
    ops->nadamw = nadamw_f32_scalar;
}

SCO_FAMILY_DEFINE(adam, SCO_ADAM_ROWS, struct sco_adam_ops, "adam", "adamw", "nadam", "nadamw")

/* SPDX-License-Identifier: Apache-2.0
 * The two steps of momentum.c over the lanes of the row that includes this file. Two multiply-adds do the step proper; in
 * cache, clipping and decay cost as much again, so there is a loop without each. A factor of 1 changes no bit. */
#include "kernels/momentum/momentum.h"

struct broadcast {
    lanes gscale, b1, lr, weight_decay;
};

struct element {
    lanes p, m;
};

SCO_INLINE struct element advanced(struct element x, lanes g, const struct broadcast *c, int nesterov, int scaled,
                                   int decay)
{
    if (scaled)
        g = lanes_mul(c->gscale, g);
    if (decay)
        g = lanes_fma(c->weight_decay, x.p, g);
    x.m = lanes_fma(c->b1, x.m, g);
    x.p = lanes_fnma(c->lr, nesterov ? lanes_fma(c->b1, x.m, g) : x.m, x.p);
    return x;
}

SCO_INLINE void loop(size_t n, float *SCO_RESTRICT p, float *SCO_RESTRICT m, const float *SCO_RESTRICT g,
                     const struct sco_momentum_coef *coef, int nesterov, int scaled, int decay)
{
    const struct broadcast c = {lanes_set(coef->gscale), lanes_set(coef->b1), lanes_set(coef->lr),
                                lanes_set(coef->weight_decay)};
    size_t i = 0;
    for (; n - i >= LANES; i += LANES) {
        struct element x = {lanes_load(p + i), lanes_load(m + i)};
        x = advanced(x, lanes_load(g + i), &c, nesterov, scaled, decay);
        lanes_store(p + i, x.p);
        lanes_store(m + i, x.m);
    }
    if (i == n)
        return;
    const size_t rest = n - i;
    struct element x = {lanes_load_first(p + i, rest), lanes_load_first(m + i, rest)};
    x = advanced(x, lanes_load_first(g + i, rest), &c, nesterov, scaled, decay);
    lanes_store_first(p + i, x.p, rest);
    lanes_store_first(m + i, x.m, rest);
}

SCO_INLINE void step(size_t n, float *SCO_RESTRICT p, float *SCO_RESTRICT m, const float *SCO_RESTRICT g,
                     const struct sco_momentum_coef *coef, int nesterov)
{
    if (coef->weight_decay != 0.0f)
        loop(n, p, m, g, coef, nesterov, 1, 1);
    else if (coef->gscale != 1.0f)
        loop(n, p, m, g, coef, nesterov, 1, 0);
    else
        loop(n, p, m, g, coef, nesterov, 0, 0);
}

static void heavy_ball_f32(size_t n, float *SCO_RESTRICT p, float *SCO_RESTRICT m, const float *SCO_RESTRICT g,
                           const struct sco_momentum_coef *coef)
{
    step(n, p, m, g, coef, 0);
}

static void nesterov_f32(size_t n, float *SCO_RESTRICT p, float *SCO_RESTRICT m, const float *SCO_RESTRICT g,
                         const struct sco_momentum_coef *coef)
{
    step(n, p, m, g, coef, 1);
}

static inline void fill(struct sco_momentum_ops *ops)
{
    ops->heavy_ball = heavy_ball_f32;
    ops->nesterov = nesterov_f32;
}

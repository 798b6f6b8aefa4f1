/* SPDX-License-Identifier: Apache-2.0
 * The step of lion.c over the lanes of the row that includes this file. */
#include "kernels/lion/lion.h"

struct broadcast {
    lanes gscale, b1, one_minus_b1, b2, one_minus_b2, lr, weight_decay;
};

struct element {
    lanes p, m;
};

SCO_INLINE struct element advanced(struct element x, lanes g, const struct broadcast *c)
{
    g = lanes_mul(c->gscale, g);
    const lanes u = lanes_sign(lanes_fma(c->b1, x.m, lanes_mul(c->one_minus_b1, g)));
    x.m = lanes_fma(c->b2, x.m, lanes_mul(c->one_minus_b2, g));
    x.p = lanes_fnma(c->lr, lanes_fma(c->weight_decay, x.p, u), x.p);
    return x;
}

static void lion_f32(size_t n, float *SCO_RESTRICT p, float *SCO_RESTRICT m, const float *SCO_RESTRICT g,
                     const struct sco_lion_coef *coef)
{
    const struct broadcast c = {
        lanes_set(coef->gscale),       lanes_set(coef->b1), lanes_set(coef->one_minus_b1), lanes_set(coef->b2),
        lanes_set(coef->one_minus_b2), lanes_set(coef->lr), lanes_set(coef->weight_decay)};
    size_t i = 0;
    for (; n - i >= LANES; i += LANES) {
        struct element x = {lanes_load(p + i), lanes_load(m + i)};
        x = advanced(x, lanes_load(g + i), &c);
        lanes_store(p + i, x.p);
        lanes_store(m + i, x.m);
    }
    if (i == n)
        return;
    const size_t rest = n - i;
    struct element x = {lanes_load_first(p + i, rest), lanes_load_first(m + i, rest)};
    x = advanced(x, lanes_load_first(g + i, rest), &c);
    lanes_store_first(p + i, x.p, rest);
    lanes_store_first(m + i, x.m, rest);
}

static inline void fill(struct sco_lion_ops *ops)
{
    ops->lion = lion_f32;
}

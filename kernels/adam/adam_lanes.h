/* SPDX-License-Identifier: Apache-2.0
 * The four steps of adam.c over the lanes of the row that includes this file. look_ahead and decay are constants where
 * step() is inlined, so each kernel has the terms it needs and no others. */
#include "kernels/adam/adam.h"

struct broadcast {
    lanes gscale, b1, one_minus_b1, b2, one_minus_b2, cm, cg, c2, eps, lr, weight_decay;
};

struct element {
    lanes p, m, v;
};

SCO_INLINE struct element advanced(struct element x, lanes g, const struct broadcast *c, int look_ahead, int decay)
{
    g = lanes_mul(c->gscale, g);
    x.m = lanes_fma(c->b1, x.m, lanes_mul(c->one_minus_b1, g));
    x.v = lanes_fma(c->b2, x.v, lanes_mul(lanes_mul(c->one_minus_b2, g), g));
    const lanes direction = look_ahead ? lanes_fma(c->cm, x.m, lanes_mul(c->cg, g)) : lanes_mul(c->cm, x.m);
    lanes u = lanes_div(direction, lanes_add(lanes_sqrt(lanes_mul(c->c2, x.v)), c->eps));
    if (decay)
        u = lanes_fma(c->weight_decay, x.p, u);
    x.p = lanes_fnma(c->lr, u, x.p);
    return x;
}

SCO_INLINE void step(size_t n, float *SCO_RESTRICT p, float *SCO_RESTRICT m, float *SCO_RESTRICT v,
                     const float *SCO_RESTRICT g, const struct sco_adam_coef *coef, int look_ahead, int decay)
{
    const struct broadcast c = {lanes_set(coef->gscale), lanes_set(coef->b1),           lanes_set(coef->one_minus_b1),
                                lanes_set(coef->b2),     lanes_set(coef->one_minus_b2), lanes_set(coef->cm),
                                lanes_set(coef->cg),     lanes_set(coef->c2),           lanes_set(coef->eps),
                                lanes_set(coef->lr),     lanes_set(coef->weight_decay)};
    size_t i = 0;
    for (; n - i >= LANES; i += LANES) {
        struct element x = {lanes_load(p + i), lanes_load(m + i), lanes_load(v + i)};
        x = advanced(x, lanes_load(g + i), &c, look_ahead, decay);
        lanes_store(p + i, x.p);
        lanes_store(m + i, x.m);
        lanes_store(v + i, x.v);
    }
    if (i == n)
        return;
    /* Lanes past the end load zero, may divide zero by an eps of zero, and are not stored. */
    const size_t rest = n - i;
    struct element x = {lanes_load_first(p + i, rest), lanes_load_first(m + i, rest), lanes_load_first(v + i, rest)};
    x = advanced(x, lanes_load_first(g + i, rest), &c, look_ahead, decay);
    lanes_store_first(p + i, x.p, rest);
    lanes_store_first(m + i, x.m, rest);
    lanes_store_first(v + i, x.v, rest);
}

static void adam_f32(size_t n, float *SCO_RESTRICT p, float *SCO_RESTRICT m, float *SCO_RESTRICT v,
                     const float *SCO_RESTRICT g, const struct sco_adam_coef *coef)
{
    step(n, p, m, v, g, coef, 0, 0);
}

static void adamw_f32(size_t n, float *SCO_RESTRICT p, float *SCO_RESTRICT m, float *SCO_RESTRICT v,
                      const float *SCO_RESTRICT g, const struct sco_adam_coef *coef)
{
    step(n, p, m, v, g, coef, 0, 1);
}

static void nadam_f32(size_t n, float *SCO_RESTRICT p, float *SCO_RESTRICT m, float *SCO_RESTRICT v,
                      const float *SCO_RESTRICT g, const struct sco_adam_coef *coef)
{
    step(n, p, m, v, g, coef, 1, 0);
}

static void nadamw_f32(size_t n, float *SCO_RESTRICT p, float *SCO_RESTRICT m, float *SCO_RESTRICT v,
                       const float *SCO_RESTRICT g, const struct sco_adam_coef *coef)
{
    step(n, p, m, v, g, coef, 1, 1);
}

static inline void fill(struct sco_adam_ops *ops)
{
    ops->adam = adam_f32;
    ops->adamw = adamw_f32;
    ops->nadam = nadam_f32;
    ops->nadamw = nadamw_f32;
}

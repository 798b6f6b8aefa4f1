/* SPDX-License-Identifier: Apache-2.0
 * Both passes of lamb.c over the lanes of the row that includes this file. */
#include "kernels/lamb/lamb.h"
#include "kernels/sum_lanes.h"

enum { SUM_LANES = 16, GROUPS = SUM_LANES / LANES };

struct broadcast {
    lanes gscale, b1, one_minus_b1, b2, one_minus_b2, cm, c2, eps, weight_decay;
};

SCO_INLINE struct broadcast broadcast_of(const struct sco_lamb_coef *coef)
{
    const struct broadcast c = {lanes_set(coef->gscale), lanes_set(coef->b1),           lanes_set(coef->one_minus_b1),
                                lanes_set(coef->b2),     lanes_set(coef->one_minus_b2), lanes_set(coef->cm),
                                lanes_set(coef->c2),     lanes_set(coef->eps),          lanes_set(coef->weight_decay)};
    return c;
}

SCO_INLINE lanes update(lanes p, lanes m, lanes v, const struct broadcast *c)
{
    const lanes root = lanes_add(lanes_sqrt(lanes_mul(c->c2, v)), c->eps);
    return lanes_fma(c->weight_decay, p, lanes_div(lanes_mul(c->cm, m), root));
}

SCO_INLINE lanes first_moment(lanes m, lanes x, const struct broadcast *c)
{
    return lanes_fma(c->b1, m, lanes_mul(c->one_minus_b1, x));
}

SCO_INLINE lanes second_moment(lanes v, lanes x, const struct broadcast *c)
{
    return lanes_fma(c->b2, v, lanes_mul(lanes_mul(c->one_minus_b2, x), x));
}

static void moments_f32(size_t n, const float *SCO_RESTRICT p, float *SCO_RESTRICT m, float *SCO_RESTRICT v,
                        const float *SCO_RESTRICT g, const struct sco_lamb_coef *coef, double sum[2])
{
    const struct broadcast c = broadcast_of(coef);
    lanes_f64 pp[GROUPS], uu[GROUPS];
    SCO_UNROLL
    for (size_t k = 0; k < GROUPS; k++)
        pp[k] = uu[k] = lanes_f64_zero();

    size_t i = 0;
    for (; n - i >= SUM_LANES; i += SUM_LANES) {
        SCO_UNROLL
        for (size_t k = 0; k < GROUPS; k++) {
            const size_t j = i + k * LANES;
            const lanes pj = lanes_load(p + j), x = lanes_mul(c.gscale, lanes_load(g + j));
            const lanes mj = first_moment(lanes_load(m + j), x, &c), vj = second_moment(lanes_load(v + j), x, &c);
            lanes_store(m + j, mj);
            lanes_store(v + j, vj);
            pp[k] = lanes_f64_add_square(pp[k], pj);
            uu[k] = lanes_f64_add_square(uu[k], update(pj, mj, vj, &c));
        }
    }
    SCO_UNROLL
    for (size_t k = 0; k < GROUPS; k++) {
        const size_t left = n - i < LANES ? n - i : LANES;
        if (left == 0)
            break;
        const lanes pj = lanes_load_first(p + i, left), x = lanes_mul(c.gscale, lanes_load_first(g + i, left));
        const lanes mj = first_moment(lanes_load_first(m + i, left), x, &c);
        const lanes vj = second_moment(lanes_load_first(v + i, left), x, &c);
        lanes_store_first(m + i, mj, left);
        lanes_store_first(v + i, vj, left);
        pp[k] = lanes_f64_add_square(pp[k], pj);
        uu[k] = lanes_f64_add_square(uu[k], lanes_keep_first(update(pj, mj, vj, &c), left));
        i += left;
    }

    double lane[SUM_LANES];
    SCO_UNROLL
    for (size_t k = 0; k < GROUPS; k++)
        lanes_f64_store(lane + k * LANES, pp[k]);
    sum[0] = sco_fold_lanes(lane, SUM_LANES);
    SCO_UNROLL
    for (size_t k = 0; k < GROUPS; k++)
        lanes_f64_store(lane + k * LANES, uu[k]);
    sum[1] = sco_fold_lanes(lane, SUM_LANES);
}

static void apply_f32(size_t n, float *SCO_RESTRICT p, const float *SCO_RESTRICT m, const float *SCO_RESTRICT v,
                      const struct sco_lamb_coef *coef, float step)
{
    const struct broadcast c = broadcast_of(coef);
    const lanes s = lanes_set(step);
    size_t i = 0;
    for (; n - i >= LANES; i += LANES) {
        const lanes pi = lanes_load(p + i);
        lanes_store(p + i, lanes_fnma(s, update(pi, lanes_load(m + i), lanes_load(v + i), &c), pi));
    }
    if (i == n)
        return;
    const size_t rest = n - i;
    const lanes pi = lanes_load_first(p + i, rest);
    const lanes u = update(pi, lanes_load_first(m + i, rest), lanes_load_first(v + i, rest), &c);
    lanes_store_first(p + i, lanes_fnma(s, u, pi), rest);
}

static inline void fill(struct sco_lamb_ops *ops)
{
    ops->moments = moments_f32;
    ops->apply = apply_f32;
}

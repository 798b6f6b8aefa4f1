/* SPDX-License-Identifier: Apache-2.0
 * activation.c over the lanes of the row that includes this file. kind is a constant where map() and map_bwd() are
 * inlined. */
#include "kernels/activation/activation.h"
#include "kernels/activation/activation_curve.h"
#include "kernels/exp_lanes.h"

enum curve { RELU, LEAKY_RELU, SIGMOID, TANH, GELU_TANH, GELU_ERF, SILU };

SCO_INLINE lanes at_most(lanes x, float bound)
{
    return lanes_if_less(lanes_set(bound), x, lanes_set(bound), x);
}

SCO_INLINE lanes exp_of_negative_magnitude(lanes x)
{
    const lanes one = lanes_set(1.0f), round = lanes_set(SCO_CELL_ROUND);
    lanes z;
    const lanes m = exp_split(at_least(lanes_mul(lanes_set(-1.0f), lanes_abs(x)), SCO_CELL_SIGMOID_MIN), &z);
    const lanes n = lanes_sub(z, round), half = lanes_fma(n, lanes_set(0.5f), round);
    const lanes rest = lanes_add(lanes_sub(n, lanes_sub(half, round)), round);
    return lanes_mul(lanes_mul(lanes_add(one, m), lanes_power_of_two(half)), lanes_power_of_two(rest));
}

SCO_INLINE lanes sigmoid(lanes x)
{
    const lanes one = lanes_set(1.0f), e = exp_of_negative_magnitude(x);
    return lanes_div(lanes_if_less(x, lanes_set(0.0f), e, one), lanes_add(one, e));
}

SCO_INLINE lanes sigmoid_pair(lanes x, lanes *complement)
{
    const lanes one = lanes_set(1.0f), zero = lanes_set(0.0f), e = exp_of_negative_magnitude(x);
    const lanes r = lanes_div(one, lanes_add(one, e)), rest = lanes_mul(e, r);
    *complement = lanes_if_less(x, zero, r, rest);
    return lanes_if_less(x, zero, rest, r);
}

SCO_INLINE lanes tanh_exp(lanes x)
{
    lanes z;
    const lanes m = exp_split(at_least(lanes_mul(lanes_set(-2.0f), lanes_abs(x)), SCO_CELL_TANH_MIN), &z);
    const lanes scale = lanes_power_of_two(z), e = lanes_fma(scale, m, lanes_sub(scale, lanes_set(1.0f)));
    return lanes_copy_sign(lanes_div(e, lanes_add(lanes_set(2.0f), e)), x);
}

SCO_INLINE lanes gelu_argument(lanes x)
{
    return lanes_mul(x, lanes_fma(lanes_set(SCO_CURVE_TANH_C1), lanes_mul(x, x), lanes_set(SCO_CURVE_TANH_C0)));
}

SCO_INLINE lanes normal_distribution(lanes x)
{
    const lanes a = lanes_mul(lanes_abs(x), lanes_set(SCO_CURVE_ROOT_HALF)), b = lanes_mul(a, a);
    lanes p = lanes_fma(lanes_set(SCO_CURVE_P6), b, lanes_set(SCO_CURVE_P5));
    p = lanes_fma(p, b, lanes_set(SCO_CURVE_P4));
    p = lanes_fma(p, b, lanes_set(SCO_CURVE_P3));
    p = lanes_fma(p, b, lanes_set(SCO_CURVE_P2));
    p = lanes_fma(p, b, lanes_set(SCO_CURVE_P1));
    p = lanes_fma(p, b, lanes_set(SCO_CURVE_P0));
    const lanes near = lanes_fnma(lanes_mul(lanes_set(0.5f), a), p, lanes_set(0.5f));

    const lanes c = at_most(a, SCO_CURVE_ERF_END);
    lanes q = lanes_fma(lanes_set(SCO_CURVE_Q6), c, lanes_set(SCO_CURVE_Q5));
    q = lanes_fma(q, c, lanes_set(SCO_CURVE_Q4));
    q = lanes_fma(q, c, lanes_set(SCO_CURVE_Q3));
    q = lanes_fma(q, c, lanes_set(SCO_CURVE_Q2));
    q = lanes_fma(q, c, lanes_set(SCO_CURVE_Q1));
    q = lanes_fma(q, c, lanes_set(SCO_CURVE_Q0));
    lanes far = lanes_mul(lanes_set(0.5f), exp_negative(lanes_mul(lanes_set(-1.0f), q)));
    far = lanes_if_less(lanes_set(SCO_CURVE_ERF_END), a, lanes_set(0.0f), far);

    const lanes tail = lanes_if_less(a, lanes_set(1.0f), near, far);
    return lanes_if_less(x, lanes_set(0.0f), tail, lanes_sub(lanes_set(1.0f), tail));
}

SCO_INLINE lanes curve_value(enum curve kind, lanes x, lanes slope)
{
    lanes c;
    switch (kind) {
    case RELU: return lanes_if_less(x, lanes_set(0.0f), lanes_set(0.0f), x);
    case LEAKY_RELU: return lanes_if_less(x, lanes_set(0.0f), lanes_mul(slope, x), x);
    case SIGMOID: return sigmoid(x);
    case TANH: return tanh_exp(x);
    case GELU_TANH: c = at_least(x, -SCO_CURVE_GELU_END); return lanes_mul(c, sigmoid(gelu_argument(c)));
    case GELU_ERF: c = at_least(x, -SCO_CURVE_GELU_END); return lanes_mul(c, normal_distribution(c));
    case SILU: c = at_least(x, -SCO_CURVE_SILU_END); return lanes_mul(c, sigmoid(c));
    }
    return x;
}

SCO_INLINE lanes curve_gradient(enum curve kind, lanes s, lanes dy, lanes slope)
{
    const lanes one = lanes_set(1.0f), zero = lanes_set(0.0f);
    lanes c, y, rest;
    switch (kind) {
    case RELU: return lanes_if_less(zero, s, dy, zero);
    case LEAKY_RELU: return lanes_if_less(zero, s, dy, lanes_mul(slope, dy));
    case SIGMOID: return lanes_mul(dy, lanes_mul(s, lanes_sub(one, s)));
    case TANH: return lanes_mul(dy, lanes_fnma(s, s, one));
    case GELU_TANH:
        c = at_most(at_least(s, -SCO_CURVE_GELU_END), SCO_CURVE_GELU_END);
        y = sigmoid_pair(gelu_argument(c), &rest);
        return lanes_mul(
            dy, lanes_fma(lanes_mul(lanes_mul(c, y), rest),
                          lanes_fma(lanes_set(3.0f * SCO_CURVE_TANH_C1), lanes_mul(c, c), lanes_set(SCO_CURVE_TANH_C0)),
                          y));
    case GELU_ERF:
        c = at_most(at_least(s, -SCO_CURVE_GELU_END), SCO_CURVE_GELU_END);
        y = lanes_mul(lanes_set(SCO_CURVE_DENSITY), exp_negative(lanes_mul(lanes_mul(lanes_set(-0.5f), c), c)));
        return lanes_mul(dy, lanes_fma(c, y, normal_distribution(c)));
    case SILU:
        c = at_most(at_least(s, -SCO_CURVE_SILU_END), SCO_CURVE_SILU_END);
        y = sigmoid_pair(c, &rest);
        return lanes_mul(dy, lanes_fma(lanes_mul(c, y), rest, y));
    }
    return dy;
}

SCO_INLINE void map(enum curve kind, size_t n, const float *x, float slope, float *y)
{
    const lanes a = lanes_set(slope);
    size_t i = 0;
    for (; n - i >= LANES; i += LANES)
        lanes_store(y + i, curve_value(kind, lanes_load(x + i), a));
    if (i < n)
        lanes_store_first(y + i, curve_value(kind, lanes_load_first(x + i, n - i), a), n - i);
}

SCO_INLINE void map_bwd(enum curve kind, size_t n, const float *s, const float *dy, float slope, float *dx)
{
    const lanes a = lanes_set(slope);
    size_t i = 0;
    for (; n - i >= LANES; i += LANES)
        lanes_store(dx + i, curve_gradient(kind, lanes_load(s + i), lanes_load(dy + i), a));
    if (i < n)
        lanes_store_first(
            dx + i, curve_gradient(kind, lanes_load_first(s + i, n - i), lanes_load_first(dy + i, n - i), a), n - i);
}

SCO_INLINE void add(enum curve kind, size_t n, const float *a, const float *b, float *y)
{
    const lanes zero = lanes_set(0.0f);
    size_t i = 0;
    for (; n - i >= LANES; i += LANES) {
        const lanes sum = lanes_add(lanes_load(a + i), lanes_load(b + i));
        lanes_store(y + i, kind == RELU ? curve_value(RELU, sum, zero) : sum);
    }
    if (i < n) {
        const lanes sum = lanes_add(lanes_load_first(a + i, n - i), lanes_load_first(b + i, n - i));
        lanes_store_first(y + i, kind == RELU ? curve_value(RELU, sum, zero) : sum, n - i);
    }
}

#define CURVE(kind, name)                                                                                              \
    static void name##_f32(size_t n, const float *x, float slope, float *y)                                            \
    {                                                                                                                  \
        map(kind, n, x, slope, y);                                                                                     \
    }                                                                                                                  \
    static void name##_bwd_f32(size_t n, const float *s, const float *dy, float slope, float *dx)                      \
    {                                                                                                                  \
        map_bwd(kind, n, s, dy, slope, dx);                                                                            \
    }
CURVE(RELU, relu)
CURVE(LEAKY_RELU, leaky_relu)
CURVE(SIGMOID, sigmoid)
CURVE(TANH, tanh)
CURVE(GELU_TANH, gelu_tanh)
CURVE(GELU_ERF, gelu_erf)
CURVE(SILU, silu)

static void add_f32(size_t n, const float *a, const float *b, float *y)
{
    add(LEAKY_RELU, n, a, b, y);
}

static void add_relu_f32(size_t n, const float *a, const float *b, float *y)
{
    add(RELU, n, a, b, y);
}

static inline void fill(struct sco_activation_ops *ops)
{
    const struct sco_activation_ops all = {relu_f32,           leaky_relu_f32,  sigmoid_f32,  tanh_f32,
                                           gelu_tanh_f32,      gelu_erf_f32,    silu_f32,     relu_bwd_f32,
                                           leaky_relu_bwd_f32, sigmoid_bwd_f32, tanh_bwd_f32, gelu_tanh_bwd_f32,
                                           gelu_erf_bwd_f32,   silu_bwd_f32,    add_f32,      add_relu_f32};
    *ops = all;
}

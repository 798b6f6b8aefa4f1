/* SPDX-License-Identifier: Apache-2.0
 * The bodies are the definition; every row copies their operations, their order and their fusing. */
#include "kernels/activation/activation.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "kernels/activation/activation_curve.h"
#include "kernels/exp_scalar.h"

static float at_most(float x, float bound)
{
    return bound < x ? bound : x;
}

/* e^-|x| */
static float exp_of_negative_magnitude(float x)
{
    float z;
    const float m = exp_split(at_least(-fabsf(x), SCO_CELL_SIGMOID_MIN), &z);
    /* two factors because 2^-150 is no float; only the second product rounds */
    const float n = z - SCO_CELL_ROUND, half = fmaf(n, 0.5f, SCO_CELL_ROUND);
    const float rest = n - (half - SCO_CELL_ROUND) + SCO_CELL_ROUND;
    return (1.0f + m) * power_of_two(half) * power_of_two(rest);
}

static float sigmoid(float x)
{
    const float e = exp_of_negative_magnitude(x);
    return (x < 0.0f ? e : 1.0f) / (1.0f + e);
}

/* The sigmoid and 1 - sigmoid, neither by subtraction. */
static float sigmoid_pair(float x, float *complement)
{
    const float e = exp_of_negative_magnitude(x), r = 1.0f / (1.0f + e);
    *complement = x < 0.0f ? r : e * r;
    return x < 0.0f ? e * r : r;
}

static float tanh_exp(float x)
{
    float z;
    const float m = exp_split(at_least(-2.0f * fabsf(x), SCO_CELL_TANH_MIN), &z);
    const float scale = power_of_two(z), e = fmaf(scale, m, scale - 1.0f);
    return copysignf(e / (2.0f + e), x);
}

static float normal_distribution(float x)
{
    const float a = fabsf(x) * SCO_CURVE_ROOT_HALF, b = a * a, c = at_most(a, SCO_CURVE_ERF_END);
    float p = fmaf(SCO_CURVE_P6, b, SCO_CURVE_P5);
    p = fmaf(p, b, SCO_CURVE_P4);
    p = fmaf(p, b, SCO_CURVE_P3);
    p = fmaf(p, b, SCO_CURVE_P2);
    p = fmaf(p, b, SCO_CURVE_P1);
    p = fmaf(p, b, SCO_CURVE_P0);
    float q = fmaf(SCO_CURVE_Q6, c, SCO_CURVE_Q5);
    q = fmaf(q, c, SCO_CURVE_Q4);
    q = fmaf(q, c, SCO_CURVE_Q3);
    q = fmaf(q, c, SCO_CURVE_Q2);
    q = fmaf(q, c, SCO_CURVE_Q1);
    q = fmaf(q, c, SCO_CURVE_Q0);
    const float near = fmaf(-(0.5f * a), p, 0.5f), far = SCO_CURVE_ERF_END < a ? 0.0f : 0.5f * exp_negative(-q);
    const float tail = a < 1.0f ? near : far;
    return x < 0.0f ? tail : 1.0f - tail;
}

static float gelu_argument(float x)
{
    return x * fmaf(SCO_CURVE_TANH_C1, x * x, SCO_CURVE_TANH_C0);
}

static float relu(float x, float slope)
{
    (void)slope;
    return x < 0.0f ? 0.0f : x;
}

static float relu_bwd(float s, float dy, float slope)
{
    (void)slope;
    return 0.0f < s ? dy : 0.0f;
}

static float leaky_relu(float x, float slope)
{
    return x < 0.0f ? slope * x : x;
}

static float leaky_relu_bwd(float s, float dy, float slope)
{
    return 0.0f < s ? dy : slope * dy;
}

static float logistic(float x, float slope)
{
    (void)slope;
    return sigmoid(x);
}

static float logistic_bwd(float s, float dy, float slope)
{
    (void)slope;
    return dy * (s * (1.0f - s));
}

static float hyperbolic(float x, float slope)
{
    (void)slope;
    return tanh_exp(x);
}

static float hyperbolic_bwd(float s, float dy, float slope)
{
    (void)slope;
    return dy * fmaf(-s, s, 1.0f);
}

static float gelu_tanh(float x, float slope)
{
    const float c = at_least(x, -SCO_CURVE_GELU_END);
    (void)slope;
    return c * sigmoid(gelu_argument(c));
}

static float gelu_tanh_bwd(float s, float dy, float slope)
{
    const float c = at_most(at_least(s, -SCO_CURVE_GELU_END), SCO_CURVE_GELU_END);
    float rest;
    const float y = sigmoid_pair(gelu_argument(c), &rest);
    (void)slope;
    return dy * fmaf(c * y * rest, fmaf(3.0f * SCO_CURVE_TANH_C1, c * c, SCO_CURVE_TANH_C0), y);
}

static float gelu_erf(float x, float slope)
{
    const float c = at_least(x, -SCO_CURVE_GELU_END);
    (void)slope;
    return c * normal_distribution(c);
}

static float gelu_erf_bwd(float s, float dy, float slope)
{
    const float c = at_most(at_least(s, -SCO_CURVE_GELU_END), SCO_CURVE_GELU_END);
    const float density = SCO_CURVE_DENSITY * exp_negative(-0.5f * c * c);
    (void)slope;
    return dy * fmaf(c, density, normal_distribution(c));
}

static float silu(float x, float slope)
{
    const float c = at_least(x, -SCO_CURVE_SILU_END);
    (void)slope;
    return c * sigmoid(c);
}

static float silu_bwd(float s, float dy, float slope)
{
    const float c = at_most(at_least(s, -SCO_CURVE_SILU_END), SCO_CURVE_SILU_END);
    float rest;
    const float y = sigmoid_pair(c, &rest);
    (void)slope;
    return dy * fmaf(c * y, rest, y);
}

#define CURVE(name)                                                                                                    \
    static void name##_scalar(size_t n, const float *x, float slope, float *y)                                         \
    {                                                                                                                  \
        for (size_t i = 0; i < n; i++)                                                                                 \
            y[i] = name(x[i], slope);                                                                                  \
    }                                                                                                                  \
    static void name##_bwd_scalar(size_t n, const float *s, const float *dy, float slope, float *dx)                   \
    {                                                                                                                  \
        for (size_t i = 0; i < n; i++)                                                                                 \
            dx[i] = name##_bwd(s[i], dy[i], slope);                                                                    \
    }
CURVE(relu)
CURVE(leaky_relu)
CURVE(logistic)
CURVE(hyperbolic)
CURVE(gelu_tanh)
CURVE(gelu_erf)
CURVE(silu)

static void add_scalar(size_t n, const float *a, const float *b, float *y)
{
    for (size_t i = 0; i < n; i++)
        y[i] = a[i] + b[i];
}

static void add_relu_scalar(size_t n, const float *a, const float *b, float *y)
{
    for (size_t i = 0; i < n; i++)
        y[i] = relu(a[i] + b[i], 0.0f);
}

void sco_activation_fill_scalar(void *ops, sco_isa isa)
{
    (void)isa;
    *(struct sco_activation_ops *)ops = (struct sco_activation_ops){
        relu_scalar,           leaky_relu_scalar,    logistic_scalar,     hyperbolic_scalar,     gelu_tanh_scalar,
        gelu_erf_scalar,       silu_scalar,          relu_bwd_scalar,     leaky_relu_bwd_scalar, logistic_bwd_scalar,
        hyperbolic_bwd_scalar, gelu_tanh_bwd_scalar, gelu_erf_bwd_scalar, silu_bwd_scalar,       add_scalar,
        add_relu_scalar};
}

SCO_FAMILY_DEFINE(activation, SCO_ACTIVATION_ROWS, struct sco_activation_ops, "relu", "leaky_relu", "sigmoid", "tanh",
                  "gelu_tanh", "gelu_erf", "silu", "relu_bwd", "leaky_relu_bwd", "sigmoid_bwd", "tanh_bwd",
                  "gelu_tanh_bwd", "gelu_erf_bwd", "silu_bwd", "add", "add_relu")

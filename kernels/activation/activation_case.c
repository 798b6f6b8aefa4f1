/* SPDX-License-Identifier: Apache-2.0
 * Every slot bit by bit, and the curves against double as well. */
#include <math.h>

#include "kernels/activation/activation.h"
#include "kernels/case.h"

enum { RELU, LEAKY_RELU, SIGMOID, TANH, GELU_TANH, GELU_ERF, SILU, CURVES, ADD = 2 * CURVES, ADD_RELU };
static const float slope = 0.2f;

static size_t list(const size_t dim[], struct sco_operand operand[SCO_CASE_OPERANDS], size_t inputs,
                   enum sco_bound bound, double k)
{
    for (size_t i = 0; i < inputs; i++)
        operand[i] =
            (struct sco_operand){i == 0 ? "x" : "dy", dim[0], sizeof(float), SCO_IN, SCO_FILL_SIGNED, SCO_EXACT, 0.0};
    operand[inputs] = (struct sco_operand){"y", dim[0], sizeof(float), SCO_OUT, SCO_FILL_SIGNED, bound, k};
    return inputs + 1;
}

static size_t exact2(const size_t dim[], struct sco_operand operand[SCO_CASE_OPERANDS])
{
    return list(dim, operand, 1, SCO_EXACT, 0.0);
}

static size_t exact3(const size_t dim[], struct sco_operand operand[SCO_CASE_OPERANDS])
{
    return list(dim, operand, 2, SCO_EXACT, 0.0);
}

static size_t within3(const size_t dim[], struct sco_operand operand[SCO_CASE_OPERANDS])
{
    return list(dim, operand, 1, SCO_ULP, 3.0);
}

static size_t within4(const size_t dim[], struct sco_operand operand[SCO_CASE_OPERANDS])
{
    return list(dim, operand, 1, SCO_ULP, 4.0);
}

static size_t within4_bwd(const size_t dim[], struct sco_operand operand[SCO_CASE_OPERANDS])
{
    return list(dim, operand, 2, SCO_ULP, 4.0);
}

#define RUN(name)                                                                                                      \
    static void run_##name(const void *ops, const size_t dim[], void *const buffer[])                                  \
    {                                                                                                                  \
        ((const struct sco_activation_ops *)ops)->name(dim[0], buffer[0], slope, buffer[1]);                           \
    }                                                                                                                  \
    static void run_##name##_bwd(const void *ops, const size_t dim[], void *const buffer[])                            \
    {                                                                                                                  \
        ((const struct sco_activation_ops *)ops)->name##_bwd(dim[0], buffer[0], buffer[1], slope, buffer[2]);          \
    }
RUN(relu)
RUN(leaky_relu)
RUN(sigmoid)
RUN(tanh)
RUN(gelu_tanh)
RUN(gelu_erf)
RUN(silu)

static void run_add(const void *ops, const size_t dim[], void *const buffer[])
{
    ((const struct sco_activation_ops *)ops)->add(dim[0], buffer[0], buffer[1], buffer[2]);
}

static void run_add_relu(const void *ops, const size_t dim[], void *const buffer[])
{
    ((const struct sco_activation_ops *)ops)->add_relu(dim[0], buffer[0], buffer[1], buffer[2]);
}

static double logistic(double x)
{
    return x < 0.0 ? exp(x) / (1.0 + exp(x)) : 1.0 / (1.0 + exp(-x));
}

static double normal_distribution(double x)
{
    return 0.5 * erfc(-x * sqrt(0.5));
}

/* Twice the argument of the tanh, and its derivative. */
static double gelu_twice(double x)
{
    return 2.0 * sqrt(2.0 / acos(-1.0)) * (x + 0.044715 * x * x * x);
}

static double gelu_twice_slope(double x)
{
    return 2.0 * sqrt(2.0 / acos(-1.0)) * (1.0 + 3.0 * 0.044715 * x * x);
}

static double gated(double x, double gate)
{
    return gate == 0.0 ? x < 0.0 ? -0.0 : 0.0 : x * gate;
}

static double value_of(int curve, double x)
{
    switch (curve) {
    case SIGMOID: return logistic(x);
    case TANH: return tanh(x);
    case GELU_TANH: return gated(x, logistic(gelu_twice(x)));
    case GELU_ERF: return gated(x, normal_distribution(x));
    default: return gated(x, logistic(x));
    }
}

static double slope_of(int curve, double x)
{
    const double s = logistic(curve == GELU_TANH ? gelu_twice(x) : x);
    if (fabs(x) > 800.0)
        return x > 0.0 ? 1.0 : 0.0;
    switch (curve) {
    case GELU_TANH: return s + x * gated(s, 1.0 - s) * gelu_twice_slope(x);
    case GELU_ERF: return normal_distribution(x) + x * exp(-0.5 * x * x) / sqrt(2.0 * acos(-1.0));
    default: return s + x * s * (1.0 - s);
    }
}

static void judge(int curve, const size_t dim[], void *const before[], double *value, double *scale)
{
    const float *x = before[0];
    for (size_t i = 0; i < dim[0]; i++) {
        value[i] = value_of(curve, (double)x[i]);
        scale[i] = curve == SIGMOID || curve == TANH ? 0.0 : fabs((double)x[i]);
    }
}

static void judge_bwd(int curve, const size_t dim[], void *const before[], double *value, double *scale)
{
    const float *x = before[0], *dy = before[1];
    for (size_t i = 0; i < dim[0]; i++) {
        value[i] = slope_of(curve, (double)x[i]) * (double)dy[i];
        scale[i] = 2.0 * fabs((double)dy[i]);
    }
}

#define ORACLE(name, curve, judge_function)                                                                            \
    static void name(const size_t dim[], void *const before[], size_t operand, double *value, double *scale)           \
    {                                                                                                                  \
        (void)operand;                                                                                                 \
        judge_function(curve, dim, before, value, scale);                                                              \
    }
ORACLE(sigmoid_oracle, SIGMOID, judge)
ORACLE(tanh_oracle, TANH, judge)
ORACLE(gelu_tanh_oracle, GELU_TANH, judge)
ORACLE(gelu_erf_oracle, GELU_ERF, judge)
ORACLE(silu_oracle, SILU, judge)
ORACLE(gelu_tanh_bwd_oracle, GELU_TANH, judge_bwd)
ORACLE(gelu_erf_bwd_oracle, GELU_ERF, judge_bwd)
ORACLE(silu_bwd_oracle, SILU, judge_bwd)

#define FLOPS(count)                                                                                                   \
    static double flops##count(const size_t dim[])                                                                     \
    {                                                                                                                  \
        return count * (double)dim[0];                                                                                 \
    }
FLOPS(1)
FLOPS(2)
FLOPS(23)
FLOPS(28)
FLOPS(50)

static double bytes8(const size_t dim[])
{
    return 8.0 * (double)dim[0];
}

static double bytes12(const size_t dim[])
{
    return 12.0 * (double)dim[0];
}

static double items(const size_t dim[])
{
    return (double)dim[0];
}

static void size2(size_t total, size_t dim[])
{
    dim[0] = total / 8;
}

static void size3(size_t total, size_t dim[])
{
    dim[0] = total / 12;
}

#define ONE_CASE(case_name, slot_number, operand_list, run_function, oracle_function, flops_function, n)               \
    {                                                                                                                  \
        .name = "activation." case_name, .family = &sco_activation_family, .slot = slot_number, .dim_count = 1,        \
        .dim_names = {"n"}, .operands = operand_list, .run = run_function, .oracle = oracle_function,                  \
        .flops = flops_function, .bytes = n == 2 ? bytes8 : bytes12, .items = items, .size = n == 2 ? size2 : size3    \
    }
static const struct sco_case cases[] = {
    ONE_CASE("relu", RELU, exact2, run_relu, NULL, flops1, 2),
    ONE_CASE("leaky_relu", LEAKY_RELU, exact2, run_leaky_relu, NULL, flops1, 2),
    ONE_CASE("sigmoid", SIGMOID, exact2, run_sigmoid, NULL, flops23, 2),
    ONE_CASE("sigmoid/ulp", SIGMOID, within3, run_sigmoid, sigmoid_oracle, flops23, 2),
    ONE_CASE("tanh", TANH, exact2, run_tanh, NULL, flops23, 2),
    ONE_CASE("tanh/ulp", TANH, within3, run_tanh, tanh_oracle, flops23, 2),
    ONE_CASE("gelu_tanh", GELU_TANH, exact2, run_gelu_tanh, NULL, flops28, 2),
    ONE_CASE("gelu_tanh/ulp", GELU_TANH, within3, run_gelu_tanh, gelu_tanh_oracle, flops28, 2),
    ONE_CASE("gelu_erf", GELU_ERF, exact2, run_gelu_erf, NULL, flops50, 2),
    ONE_CASE("gelu_erf/ulp", GELU_ERF, within3, run_gelu_erf, gelu_erf_oracle, flops50, 2),
    ONE_CASE("silu", SILU, exact2, run_silu, NULL, flops23, 2),
    ONE_CASE("silu/ulp", SILU, within4, run_silu, silu_oracle, flops23, 2),
    ONE_CASE("relu_bwd", CURVES + RELU, exact3, run_relu_bwd, NULL, flops1, 3),
    ONE_CASE("leaky_relu_bwd", CURVES + LEAKY_RELU, exact3, run_leaky_relu_bwd, NULL, flops1, 3),
    ONE_CASE("sigmoid_bwd", CURVES + SIGMOID, exact3, run_sigmoid_bwd, NULL, flops2, 3),
    ONE_CASE("tanh_bwd", CURVES + TANH, exact3, run_tanh_bwd, NULL, flops2, 3),
    ONE_CASE("gelu_tanh_bwd", CURVES + GELU_TANH, exact3, run_gelu_tanh_bwd, NULL, flops28, 3),
    ONE_CASE("gelu_tanh_bwd/ulp", CURVES + GELU_TANH, within4_bwd, run_gelu_tanh_bwd, gelu_tanh_bwd_oracle, flops28, 3),
    ONE_CASE("gelu_erf_bwd", CURVES + GELU_ERF, exact3, run_gelu_erf_bwd, NULL, flops50, 3),
    ONE_CASE("gelu_erf_bwd/ulp", CURVES + GELU_ERF, within4_bwd, run_gelu_erf_bwd, gelu_erf_bwd_oracle, flops50, 3),
    ONE_CASE("silu_bwd", CURVES + SILU, exact3, run_silu_bwd, NULL, flops28, 3),
    ONE_CASE("silu_bwd/ulp", CURVES + SILU, within4_bwd, run_silu_bwd, silu_bwd_oracle, flops28, 3),
    ONE_CASE("add", ADD, exact3, run_add, NULL, flops1, 3),
    ONE_CASE("add_relu", ADD_RELU, exact3, run_add_relu, NULL, flops2, 3),
};

const struct sco_case_list sco_activation_cases = {cases, SCO_LEN(cases)};

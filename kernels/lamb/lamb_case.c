/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/case.h"
#include "kernels/lamb/lamb.h"

enum { MOMENTS, APPLY };

static const struct sco_lamb_coef coef = {.gscale = 0.75f,
                                          .b1 = 0.9f,
                                          .one_minus_b1 = 0.1f,
                                          .b2 = 0.999f,
                                          .one_minus_b2 = 0.001f,
                                          .cm = 1.5353f,
                                          .c2 = 100.45f,
                                          .eps = 1e-8f,
                                          .weight_decay = 1e-2f};

static size_t moments_operands(const size_t dim[], struct sco_operand operand[SCO_CASE_OPERANDS])
{
    operand[0] = (struct sco_operand){"p", dim[0], sizeof(float), SCO_IN, SCO_FILL_SIGNED, SCO_EXACT, 0.0};
    operand[1] = (struct sco_operand){"m", dim[0], sizeof(float), SCO_INOUT, SCO_FILL_SIGNED, SCO_EXACT, 0.0};
    operand[2] = (struct sco_operand){"v", dim[0], sizeof(float), SCO_INOUT, SCO_FILL_POSITIVE, SCO_EXACT, 0.0};
    operand[3] = (struct sco_operand){"g", dim[0], sizeof(float), SCO_IN, SCO_FILL_SIGNED, SCO_EXACT, 0.0};
    operand[4] = (struct sco_operand){"sum", 2, sizeof(double), SCO_OUT, SCO_FILL_SIGNED, SCO_EXACT, 0.0};
    return 5;
}

static size_t apply_operands(const size_t dim[], struct sco_operand operand[SCO_CASE_OPERANDS])
{
    operand[0] = (struct sco_operand){"p", dim[0], sizeof(float), SCO_INOUT, SCO_FILL_SIGNED, SCO_EXACT, 0.0};
    operand[1] = (struct sco_operand){"m", dim[0], sizeof(float), SCO_IN, SCO_FILL_SIGNED, SCO_EXACT, 0.0};
    operand[2] = (struct sco_operand){"v", dim[0], sizeof(float), SCO_IN, SCO_FILL_POSITIVE, SCO_EXACT, 0.0};
    return 3;
}

static void run_moments(const void *ops, const size_t dim[], void *const buffer[])
{
    ((const struct sco_lamb_ops *)ops)->moments(dim[0], buffer[0], buffer[1], buffer[2], buffer[3], &coef, buffer[4]);
}

static void run_moments_eps0(const void *ops, const size_t dim[], void *const buffer[])
{
    struct sco_lamb_coef without = coef;
    without.eps = 0.0f;
    ((const struct sco_lamb_ops *)ops)
        ->moments(dim[0], buffer[0], buffer[1], buffer[2], buffer[3], &without, buffer[4]);
}

static void run_apply(const void *ops, const size_t dim[], void *const buffer[])
{
    ((const struct sco_lamb_ops *)ops)->apply(dim[0], buffer[0], buffer[1], buffer[2], &coef, 0.01f);
}

static double moments_flops(const size_t dim[])
{
    return 19.0 * (double)dim[0];
}

static double moments_bytes(const size_t dim[])
{
    return 24.0 * (double)dim[0];
}

static double apply_flops(const size_t dim[])
{
    return 9.0 * (double)dim[0];
}

static double apply_bytes(const size_t dim[])
{
    return 16.0 * (double)dim[0];
}

static double items(const size_t dim[])
{
    return (double)dim[0];
}

static void moments_size(size_t total, size_t dim[])
{
    dim[0] = total / 16;
}

static void apply_size(size_t total, size_t dim[])
{
    dim[0] = total / 12;
}

#define LAMB_CASE(case_name, slot_number, part, run_function)                                                          \
    {                                                                                                                  \
        .name = case_name, .family = &sco_lamb_family, .slot = slot_number, .dim_count = 1, .dim_names = {"n"},        \
        .operands = part##_operands, .run = run_function, .flops = part##_flops, .bytes = part##_bytes,                \
        .items = items, .size = part##_size                                                                            \
    }
static const struct sco_case cases[] = {
    LAMB_CASE("lamb.moments", MOMENTS, moments, run_moments),
    LAMB_CASE("lamb.moments/eps0", MOMENTS, moments, run_moments_eps0),
    LAMB_CASE("lamb.apply", APPLY, apply, run_apply),
};

const struct sco_case_list sco_lamb_cases = {cases, SCO_LEN(cases)};

/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/case.h"
#include "kernels/momentum/momentum.h"

enum { HEAVY_BALL, NESTEROV };

static const struct sco_momentum_coef coef = {.gscale = 0.75f, .b1 = 0.9f, .lr = 1e-3f, .weight_decay = 1e-4f};

/* What the loops without decay, and without clipping either, are for. */
static const struct sco_momentum_coef scaled = {.gscale = 0.75f, .b1 = 0.9f, .lr = 1e-3f};
static const struct sco_momentum_coef plain = {.gscale = 1.0f, .b1 = 0.9f, .lr = 1e-3f};

static size_t operands(const size_t dim[], struct sco_operand operand[SCO_CASE_OPERANDS])
{
    operand[0] = (struct sco_operand){"p", dim[0], sizeof(float), SCO_INOUT, SCO_FILL_SIGNED, SCO_EXACT, 0.0};
    operand[1] = (struct sco_operand){"m", dim[0], sizeof(float), SCO_INOUT, SCO_FILL_SIGNED, SCO_EXACT, 0.0};
    operand[2] = (struct sco_operand){"g", dim[0], sizeof(float), SCO_IN, SCO_FILL_SIGNED, SCO_EXACT, 0.0};
    return 3;
}

static void run_heavy_ball(const void *ops, const size_t dim[], void *const buffer[])
{
    ((const struct sco_momentum_ops *)ops)->heavy_ball(dim[0], buffer[0], buffer[1], buffer[2], &coef);
}

static void run_nesterov(const void *ops, const size_t dim[], void *const buffer[])
{
    ((const struct sco_momentum_ops *)ops)->nesterov(dim[0], buffer[0], buffer[1], buffer[2], &coef);
}

static void run_heavy_ball_scaled(const void *ops, const size_t dim[], void *const buffer[])
{
    ((const struct sco_momentum_ops *)ops)->heavy_ball(dim[0], buffer[0], buffer[1], buffer[2], &scaled);
}

static void run_heavy_ball_plain(const void *ops, const size_t dim[], void *const buffer[])
{
    ((const struct sco_momentum_ops *)ops)->heavy_ball(dim[0], buffer[0], buffer[1], buffer[2], &plain);
}

static void run_nesterov_scaled(const void *ops, const size_t dim[], void *const buffer[])
{
    ((const struct sco_momentum_ops *)ops)->nesterov(dim[0], buffer[0], buffer[1], buffer[2], &scaled);
}

static void run_nesterov_plain(const void *ops, const size_t dim[], void *const buffer[])
{
    ((const struct sco_momentum_ops *)ops)->nesterov(dim[0], buffer[0], buffer[1], buffer[2], &plain);
}

static double flops4(const size_t dim[])
{
    return 4.0 * (double)dim[0];
}

static double flops5(const size_t dim[])
{
    return 5.0 * (double)dim[0];
}

static double flops6(const size_t dim[])
{
    return 6.0 * (double)dim[0];
}

static double flops7(const size_t dim[])
{
    return 7.0 * (double)dim[0];
}

static double flops9(const size_t dim[])
{
    return 9.0 * (double)dim[0];
}

static double bytes(const size_t dim[])
{
    return 20.0 * (double)dim[0];
}

static double items(const size_t dim[])
{
    return (double)dim[0];
}

static void size(size_t total, size_t dim[])
{
    dim[0] = total / 12;
}

#define MOMENTUM_CASE(case_name, slot_number, run_function, flops_function)                                            \
    {                                                                                                                  \
        .name = case_name, .family = &sco_momentum_family, .slot = slot_number, .dim_count = 1, .dim_names = {"n"},    \
        .operands = operands, .run = run_function, .flops = flops_function, .bytes = bytes, .items = items,            \
        .size = size                                                                                                   \
    }
static const struct sco_case cases[] = {
    MOMENTUM_CASE("momentum.heavy_ball", HEAVY_BALL, run_heavy_ball, flops7),
    MOMENTUM_CASE("momentum.heavy_ball/scaled", HEAVY_BALL, run_heavy_ball_scaled, flops5),
    MOMENTUM_CASE("momentum.heavy_ball/plain", HEAVY_BALL, run_heavy_ball_plain, flops4),
    MOMENTUM_CASE("momentum.nesterov", NESTEROV, run_nesterov, flops9),
    MOMENTUM_CASE("momentum.nesterov/scaled", NESTEROV, run_nesterov_scaled, flops7),
    MOMENTUM_CASE("momentum.nesterov/plain", NESTEROV, run_nesterov_plain, flops6),
};

const struct sco_case_list sco_momentum_cases = {cases, SCO_LEN(cases)};

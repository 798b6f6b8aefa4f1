/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/adam/adam.h"
#include "kernels/case.h"

enum { ADAM, ADAMW, NADAM, NADAMW };

/* Step 10 with the usual decays and a clipped gradient, so that no coefficient is trivial. */
static const struct sco_adam_coef coef = {.gscale = 0.75f,
                                          .b1 = 0.9f,
                                          .one_minus_b1 = 0.1f,
                                          .b2 = 0.999f,
                                          .one_minus_b2 = 0.001f,
                                          .cm = 1.5353f,
                                          .cg = 0.15353f,
                                          .c2 = 100.45f,
                                          .eps = 1e-8f,
                                          .lr = 1e-3f,
                                          .weight_decay = 1e-2f};

static size_t operands(const size_t dim[], struct sco_operand operand[SCO_CASE_OPERANDS])
{
    operand[0] = (struct sco_operand){"p", dim[0], sizeof(float), SCO_INOUT, SCO_FILL_SIGNED, SCO_EXACT, 0.0};
    operand[1] = (struct sco_operand){"m", dim[0], sizeof(float), SCO_INOUT, SCO_FILL_SIGNED, SCO_EXACT, 0.0};
    operand[2] = (struct sco_operand){"v", dim[0], sizeof(float), SCO_INOUT, SCO_FILL_POSITIVE, SCO_EXACT, 0.0};
    operand[3] = (struct sco_operand){"g", dim[0], sizeof(float), SCO_IN, SCO_FILL_SIGNED, SCO_EXACT, 0.0};
    return 4;
}

static void run_adam(const void *ops, const size_t dim[], void *const buffer[])
{
    ((const struct sco_adam_ops *)ops)->adam(dim[0], buffer[0], buffer[1], buffer[2], buffer[3], &coef);
}

static void run_adamw(const void *ops, const size_t dim[], void *const buffer[])
{
    ((const struct sco_adam_ops *)ops)->adamw(dim[0], buffer[0], buffer[1], buffer[2], buffer[3], &coef);
}

static void run_nadam(const void *ops, const size_t dim[], void *const buffer[])
{
    ((const struct sco_adam_ops *)ops)->nadam(dim[0], buffer[0], buffer[1], buffer[2], buffer[3], &coef);
}

static void run_nadamw(const void *ops, const size_t dim[], void *const buffer[])
{
    ((const struct sco_adam_ops *)ops)->nadamw(dim[0], buffer[0], buffer[1], buffer[2], buffer[3], &coef);
}

/* Adam without an epsilon: zero moments divide zero by zero, here and in no other lane. */
static void run_adam_eps0(const void *ops, const size_t dim[], void *const buffer[])
{
    struct sco_adam_coef without = coef;
    without.eps = 0.0f;
    ((const struct sco_adam_ops *)ops)->adam(dim[0], buffer[0], buffer[1], buffer[2], buffer[3], &without);
}

static double flops15(const size_t dim[])
{
    return 15.0 * (double)dim[0];
}

static double flops17(const size_t dim[])
{
    return 17.0 * (double)dim[0];
}

static double flops19(const size_t dim[])
{
    return 19.0 * (double)dim[0];
}

static double bytes(const size_t dim[])
{
    return 28.0 * (double)dim[0];
}

static double items(const size_t dim[])
{
    return (double)dim[0];
}

static void size(size_t total, size_t dim[])
{
    dim[0] = total / 16;
}

#define ADAM_CASE(case_name, slot_number, run_function, flops_function)                                                \
    {                                                                                                                  \
        .name = case_name, .family = &sco_adam_family, .slot = slot_number, .dim_count = 1, .dim_names = {"n"},        \
        .operands = operands, .run = run_function, .flops = flops_function, .bytes = bytes, .items = items,            \
        .size = size                                                                                                   \
    }
static const struct sco_case cases[] = {
    ADAM_CASE("adam.adam", ADAM, run_adam, flops15),       ADAM_CASE("adam.adam/eps0", ADAM, run_adam_eps0, flops15),
    ADAM_CASE("adam.adamw", ADAMW, run_adamw, flops17),    ADAM_CASE("adam.nadam", NADAM, run_nadam, flops17),
    ADAM_CASE("adam.nadamw", NADAMW, run_nadamw, flops19),
};

const struct sco_case_list sco_adam_cases = {cases, SCO_LEN(cases)};

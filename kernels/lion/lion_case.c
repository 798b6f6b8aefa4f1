/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/case.h"
#include "kernels/lion/lion.h"

enum { LION };

static const struct sco_lion_coef coef = {.gscale = 0.75f,
                                          .b1 = 0.9f,
                                          .one_minus_b1 = 0.1f,
                                          .b2 = 0.99f,
                                          .one_minus_b2 = 0.01f,
                                          .lr = 1e-4f,
                                          .weight_decay = 1e-2f};

static size_t operands(const size_t dim[], struct sco_operand operand[SCO_CASE_OPERANDS])
{
    operand[0] = (struct sco_operand){"p", dim[0], sizeof(float), SCO_INOUT, SCO_FILL_SIGNED, SCO_EXACT, 0.0};
    operand[1] = (struct sco_operand){"m", dim[0], sizeof(float), SCO_INOUT, SCO_FILL_SIGNED, SCO_EXACT, 0.0};
    operand[2] = (struct sco_operand){"g", dim[0], sizeof(float), SCO_IN, SCO_FILL_SIGNED, SCO_EXACT, 0.0};
    return 3;
}

static void run_lion(const void *ops, const size_t dim[], void *const buffer[])
{
    ((const struct sco_lion_ops *)ops)->lion(dim[0], buffer[0], buffer[1], buffer[2], &coef);
}

static double flops(const size_t dim[])
{
    return 12.0 * (double)dim[0];
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

static const struct sco_case cases[] = {
    {.name = "lion.lion",
     .family = &sco_lion_family,
     .slot = LION,
     .dim_count = 1,
     .dim_names = {"n"},
     .operands = operands,
     .run = run_lion,
     .flops = flops,
     .bytes = bytes,
     .items = items,
     .size = size},
};

const struct sco_case_list sco_lion_cases = {cases, SCO_LEN(cases)};

/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/case.h"
#include "kernels/finite/finite.h"

enum { FIRST_NONFINITE, SQUARE_SUM };

static size_t operands(const size_t dim[], struct sco_operand operand[SCO_CASE_OPERANDS])
{
    operand[0] = (struct sco_operand){"x", dim[0], sizeof(float), SCO_IN, SCO_FILL_SIGNED, SCO_EXACT, 0.0};
    operand[1] = (struct sco_operand){"result", 1, sizeof(double), SCO_OUT, SCO_FILL_SIGNED, SCO_EXACT, 0.0};
    return 2;
}

static void run_first_nonfinite(const void *ops, const size_t dim[], void *const buffer[])
{
    *(double *)buffer[1] = (double)((const struct sco_finite_ops *)ops)->first_nonfinite(dim[0], buffer[0]);
}

static void run_square_sum(const void *ops, const size_t dim[], void *const buffer[])
{
    *(double *)buffer[1] = ((const struct sco_finite_ops *)ops)->square_sum(dim[0], buffer[0]);
}

static double no_flops(const size_t dim[])
{
    (void)dim;
    return 0.0;
}

static double flops2(const size_t dim[])
{
    return 2.0 * (double)dim[0];
}

static double bytes(const size_t dim[])
{
    return 4.0 * (double)dim[0];
}

static double items(const size_t dim[])
{
    return (double)dim[0];
}

static void size(size_t total, size_t dim[])
{
    dim[0] = total / 4;
}

#define FINITE_CASE(case_name, slot_number, run_function, flops_function)                                              \
    {                                                                                                                  \
        .name = case_name, .family = &sco_finite_family, .slot = slot_number, .dim_count = 1, .dim_names = {"n"},      \
        .operands = operands, .run = run_function, .flops = flops_function, .bytes = bytes, .items = items,            \
        .size = size                                                                                                   \
    }
static const struct sco_case cases[] = {
    FINITE_CASE("finite.first_nonfinite", FIRST_NONFINITE, run_first_nonfinite, no_flops),
    FINITE_CASE("finite.square_sum", SQUARE_SUM, run_square_sum, flops2),
};

const struct sco_case_list sco_finite_cases = {cases, SCO_LEN(cases)};

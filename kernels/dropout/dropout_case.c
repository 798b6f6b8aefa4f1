/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/case.h"
#include "kernels/dropout/dropout.h"

static size_t operands(const size_t dim[], struct sco_operand operand[SCO_CASE_OPERANDS])
{
    operand[0] = (struct sco_operand){"x", dim[0], sizeof(float), SCO_IN, SCO_FILL_SIGNED, SCO_EXACT, 0.0};
    operand[1] = (struct sco_operand){"y", dim[0], sizeof(float), SCO_OUT, SCO_FILL_SIGNED, SCO_EXACT, 0.0};
    return 2;
}

static const struct sco_dropout_mask tenth = {0x0123456789abcdefu, 3, 1000, 58982, 65536.0f / 58982.0f};
static const struct sco_dropout_mask half = {1, 0, 0, 32768, 2.0f};
static const struct sco_dropout_mask none = {1, 0, 0, 65536, 1.0f};

static void run_tenth(const void *ops, const size_t dim[], void *const buffer[])
{
    ((const struct sco_dropout_ops *)ops)->dropout(0, dim[0], buffer[0], buffer[1], &tenth);
}

/* Near the end of the low word of the counter, and past it. */
static void run_far(const void *ops, const size_t dim[], void *const buffer[])
{
    ((const struct sco_dropout_ops *)ops)->dropout(((size_t)1 << 35) - 64, dim[0], buffer[0], buffer[1], &half);
}

static void run_none(const void *ops, const size_t dim[], void *const buffer[])
{
    ((const struct sco_dropout_ops *)ops)->dropout(64, dim[0], buffer[0], buffer[1], &none);
}

/* Sixty operations on eight counters, for 64 elements. */
static double flops(const size_t dim[])
{
    return 2.0 * (double)dim[0];
}

static double bytes(const size_t dim[])
{
    return 8.0 * (double)dim[0];
}

static double items(const size_t dim[])
{
    return (double)dim[0];
}

static void size(size_t total, size_t dim[])
{
    dim[0] = total / 8;
}

#define DROPOUT_CASE(case_name, run_function)                                                                          \
    {                                                                                                                  \
        .name = case_name, .family = &sco_dropout_family, .slot = 0, .dim_count = 1, .dim_names = {"n"},               \
        .operands = operands, .run = run_function, .flops = flops, .bytes = bytes, .items = items, .size = size        \
    }
static const struct sco_case cases[] = {
    DROPOUT_CASE("dropout.dropout", run_tenth),
    DROPOUT_CASE("dropout.dropout/far", run_far),
    DROPOUT_CASE("dropout.dropout/none", run_none),
};

const struct sco_case_list sco_dropout_cases = {cases, SCO_LEN(cases)};

/* SPDX-License-Identifier: Apache-2.0 */
#include <stdint.h>

#include "kernels/case.h"
#include "kernels/pool/pool.h"

enum { MAX_POOL, MAX_POOL_BWD, AVG_POOL, AVG_POOL_BWD, SPREAD };
enum { H, W, B, K, STRIDE, PAD, DIMS };

static size_t windows(size_t in, const size_t dim[])
{
    return in + 2 * dim[PAD] < dim[K] || in == 0 ? 0 : (in + 2 * dim[PAD] - dim[K]) / dim[STRIDE] + 1;
}

static struct sco_pool_shape shape_of(const size_t dim[])
{
    return (struct sco_pool_shape){dim[H],      dim[W],  windows(dim[H], dim), windows(dim[W], dim), dim[K],
                                   dim[STRIDE], dim[PAD]};
}

static size_t outputs(const size_t dim[])
{
    return windows(dim[H], dim) * windows(dim[W], dim) * dim[B];
}

static size_t inputs(const size_t dim[])
{
    return dim[H] * dim[W] * dim[B];
}

static struct sco_operand floats(const char *name, size_t count, enum sco_role role)
{
    return (struct sco_operand){name, count, sizeof(float), role, SCO_FILL_SIGNED, SCO_EXACT, 0.0};
}

static struct sco_operand taps(const size_t dim[], enum sco_role role)
{
    return (struct sco_operand){"argmax", outputs(dim), 1, role, SCO_FILL_SIGNED, SCO_EXACT, 0.0};
}

static size_t max_operands(const size_t dim[], struct sco_operand operand[SCO_CASE_OPERANDS])
{
    operand[0] = floats("x", inputs(dim), SCO_IN);
    operand[1] = floats("y", outputs(dim), SCO_OUT);
    operand[2] = taps(dim, SCO_OUT);
    return 3;
}

/* In two parts, as ranks do it. */
static void run_max(const void *ops, const size_t dim[], void *const buffer[])
{
    const struct sco_pool_shape s = shape_of(dim);
    const struct sco_pool_ops *pool = ops;
    pool->max_pool(&s, dim[B], s.OH / 2, s.OH, buffer[0], buffer[1], buffer[2]);
    pool->max_pool(&s, dim[B], 0, s.OH / 2, buffer[0], buffer[1], buffer[2]);
}

static size_t max_bwd_operands(const size_t dim[], struct sco_operand operand[SCO_CASE_OPERANDS])
{
    operand[0] = floats("dy", outputs(dim), SCO_IN);
    operand[1] = taps(dim, SCO_IN);
    operand[2] = floats("dx", inputs(dim), SCO_OUT);
    return 3;
}

/* Taps at random, of which some are in no window; harmless, and so they must stay. */
static void prepare_max_bwd(const size_t dim[], void *const buffer[])
{
    int8_t *argmax = buffer[1];
    for (size_t i = 0; i < outputs(dim); i++)
        argmax[i] = (int8_t)(i * 2654435761u / 7 % (dim[K] * dim[K] + 1));
}

static void run_max_bwd(const void *ops, const size_t dim[], void *const buffer[])
{
    const struct sco_pool_shape s = shape_of(dim);
    const struct sco_pool_ops *pool = ops;
    pool->max_pool_bwd(&s, dim[B], s.H / 2, s.H, buffer[0], buffer[1], buffer[2]);
    pool->max_pool_bwd(&s, dim[B], 0, s.H / 2, buffer[0], buffer[1], buffer[2]);
}

static size_t avg_operands(const size_t dim[], struct sco_operand operand[SCO_CASE_OPERANDS])
{
    operand[0] = floats("x", inputs(dim), SCO_IN);
    operand[1] = floats("y", outputs(dim), SCO_OUT);
    return 2;
}

static void run_avg(const void *ops, const size_t dim[], void *const buffer[])
{
    const struct sco_pool_shape s = shape_of(dim);
    ((const struct sco_pool_ops *)ops)->avg_pool(&s, dim[B], 0, s.OH, buffer[0], buffer[1]);
}

static size_t avg_bwd_operands(const size_t dim[], struct sco_operand operand[SCO_CASE_OPERANDS])
{
    operand[0] = floats("dy", outputs(dim), SCO_IN);
    operand[1] = floats("dx", inputs(dim), SCO_OUT);
    return 2;
}

static void run_avg_bwd(const void *ops, const size_t dim[], void *const buffer[])
{
    const struct sco_pool_shape s = shape_of(dim);
    ((const struct sco_pool_ops *)ops)->avg_pool_bwd(&s, dim[B], 0, s.H, buffer[0], buffer[1]);
}

static size_t spread_operands(const size_t dim[], struct sco_operand operand[SCO_CASE_OPERANDS])
{
    operand[0] = floats("value", dim[B], SCO_IN);
    operand[1] = floats("dx", inputs(dim), SCO_OUT);
    return 2;
}

static void run_spread(const void *ops, const size_t dim[], void *const buffer[])
{
    ((const struct sco_pool_ops *)ops)->spread(dim[H] * dim[W], dim[B], buffer[0], buffer[1]);
}

static double flops(const size_t dim[])
{
    return (double)(dim[K] * dim[K]) * (double)outputs(dim);
}

static double no_flops(const size_t dim[])
{
    (void)dim;
    return 0.0;
}

static double bytes_max(const size_t dim[])
{
    return 4.0 * (double)inputs(dim) + 5.0 * (double)outputs(dim);
}

static double bytes_avg(const size_t dim[])
{
    return 4.0 * (double)inputs(dim) + 4.0 * (double)outputs(dim);
}

static double bytes_spread(const size_t dim[])
{
    return 4.0 * (double)inputs(dim);
}

static double items(const size_t dim[])
{
    return (double)inputs(dim);
}

static void size_max(size_t total, size_t dim[])
{
    dim[W] = 112, dim[B] = 16, dim[K] = 3, dim[STRIDE] = 2, dim[PAD] = 1;
    dim[H] = total / (sizeof(float) * 16 * 112) * 4 / 5;
}

static void size_avg(size_t total, size_t dim[])
{
    size_max(total, dim);
    dim[K] = 2, dim[PAD] = 0;
}

static const size_t max_shapes[][SCO_CASE_DIMS] = {
    {0, 0, 16, 3, 2, 1},    {1, 1, 16, 3, 2, 1},  {2, 3, 16, 3, 2, 1}, {7, 5, 16, 3, 2, 1},
    {8, 8, 16, 3, 2, 1},    {9, 4, 3, 3, 2, 1},   {5, 6, 7, 3, 1, 1},  {6, 6, 15, 2, 2, 0},
    {5, 5, 1, 5, 1, 2},     {11, 13, 9, 3, 5, 1}, {4, 9, 16, 2, 2, 1}, {3, 20, 16, 3, 3, 0},
    {13, 12, 16, 11, 1, 5}, {2, 2, 16, 3, 1, 0},  {6, 5, 8, 1, 1, 0},  {6, 7, 16, 1, 3, 0},
};

static const size_t avg_shapes[][SCO_CASE_DIMS] = {
    {0, 0, 16, 2, 2, 0}, {1, 1, 16, 2, 2, 0}, {2, 2, 16, 2, 2, 0}, {5, 7, 16, 2, 2, 0}, {8, 6, 3, 2, 2, 0},
    {9, 9, 15, 3, 3, 0}, {7, 6, 16, 3, 1, 0}, {6, 9, 1, 2, 3, 0},  {4, 4, 9, 1, 1, 0},  {5, 3, 8, 3, 2, 0},
};

#define POOL_CASE(case_name, slot_number, operand_list, prepare_function, run_function, flops_function,                \
                  bytes_function, size_function, shape_list)                                                           \
    {                                                                                                                  \
        .name = "pool." case_name, .family = &sco_pool_family, .slot = slot_number, .dim_count = DIMS,                 \
        .dim_names = {"H", "W", "B", "K", "stride", "pad"}, .operands = operand_list, .prepare = prepare_function,     \
        .run = run_function, .flops = flops_function, .bytes = bytes_function, .items = items, .size = size_function,  \
        .shapes = shape_list, .shape_count = SCO_LEN(shape_list)                                                       \
    }
static const struct sco_case cases[] = {
    POOL_CASE("max_pool", MAX_POOL, max_operands, NULL, run_max, flops, bytes_max, size_max, max_shapes),
    POOL_CASE("max_pool_bwd", MAX_POOL_BWD, max_bwd_operands, prepare_max_bwd, run_max_bwd, flops, bytes_max, size_max,
              max_shapes),
    POOL_CASE("avg_pool", AVG_POOL, avg_operands, NULL, run_avg, flops, bytes_avg, size_avg, avg_shapes),
    POOL_CASE("avg_pool_bwd", AVG_POOL_BWD, avg_bwd_operands, NULL, run_avg_bwd, flops, bytes_avg, size_avg,
              avg_shapes),
    POOL_CASE("spread", SPREAD, spread_operands, NULL, run_spread, no_flops, bytes_spread, size_avg, avg_shapes),
};

const struct sco_case_list sco_pool_cases = {cases, SCO_LEN(cases)};

/* SPDX-License-Identifier: Apache-2.0 */
#include <stdint.h>
#include <string.h>

#include "kernels/case.h"
#include "kernels/norm/norm.h"

enum { MOMENTS, NORM, BWD_SUMS, BWD, LAYER_NORM, LAYER_NORM_BWD, ROW_BIAS, COLUMN_SUMS };
enum { PIXELS, CHANNELS, ACTIVATION, SECOND, CHANNEL_DIMS }; /* SECOND: with a residual, with y */
enum { ROWS, WIDTH, ROW_ACTIVATION, ROW_DIMS };

static struct sco_operand floats(const char *name, size_t count, enum sco_role role)
{
    return (struct sco_operand){name, count, sizeof(float), role, SCO_FILL_SIGNED, SCO_EXACT, 0.0};
}

static struct sco_operand sums(void)
{
    return (struct sco_operand){"sum", 2 * SCO_NORM_BLOCK, sizeof(double), SCO_INOUT, SCO_FILL_SIGNED, SCO_EXACT, 0.0};
}

static struct sco_channel_affine affine_of(const float *coefficient, const size_t dim[])
{
    struct sco_channel_affine a = {.activation = (enum sco_norm_activation)dim[ACTIVATION], .slope = 0.2f};
    memcpy(a.mean, coefficient, sizeof a.mean);
    memcpy(a.scale, coefficient + SCO_NORM_BLOCK, sizeof a.scale);
    memcpy(a.bias, coefficient + 2 * SCO_NORM_BLOCK, sizeof a.bias);
    return a;
}

static size_t moments_operands(const size_t dim[], struct sco_operand operand[SCO_CASE_OPERANDS])
{
    operand[0] = floats("x", dim[PIXELS] * dim[CHANNELS], SCO_IN);
    operand[1] = sums();
    return 2;
}

static void run_moments(const void *ops, const size_t dim[], void *const buffer[])
{
    ((const struct sco_norm_ops *)ops)->channel_moments(dim[PIXELS], dim[CHANNELS], buffer[0], buffer[1]);
}

static size_t norm_operands(const size_t dim[], struct sco_operand operand[SCO_CASE_OPERANDS])
{
    const size_t count = dim[PIXELS] * dim[CHANNELS];
    operand[0] = floats("x", count, SCO_IN);
    operand[1] = floats("residual", dim[SECOND] ? count : 0, SCO_IN);
    operand[2] = floats("affine", 3 * SCO_NORM_BLOCK, SCO_IN);
    operand[3] = floats("y", count, SCO_OUT);
    return 4;
}

static void run_norm(const void *ops, const size_t dim[], void *const buffer[])
{
    const struct sco_channel_affine a = affine_of(buffer[2], dim);
    ((const struct sco_norm_ops *)ops)
        ->channel_norm(dim[PIXELS], dim[CHANNELS], buffer[0], dim[SECOND] ? buffer[1] : NULL, &a, buffer[3]);
}

static size_t bwd_sums_operands(const size_t dim[], struct sco_operand operand[SCO_CASE_OPERANDS])
{
    const size_t count = dim[PIXELS] * dim[CHANNELS];
    operand[0] = floats("x", count, SCO_IN);
    operand[1] = floats("y", dim[SECOND] ? count : 0, SCO_IN);
    operand[2] = floats("dy", count, SCO_IN);
    operand[3] = floats("affine", 3 * SCO_NORM_BLOCK, SCO_IN);
    operand[4] = sums();
    return 5;
}

static void run_bwd_sums(const void *ops, const size_t dim[], void *const buffer[])
{
    const struct sco_channel_affine a = affine_of(buffer[3], dim);
    ((const struct sco_norm_ops *)ops)
        ->channel_norm_bwd_sums(dim[PIXELS], dim[CHANNELS], buffer[0], dim[SECOND] ? buffer[1] : NULL, buffer[2], &a,
                                buffer[4]);
}

static size_t bwd_operands(const size_t dim[], struct sco_operand operand[SCO_CASE_OPERANDS])
{
    const size_t count = dim[PIXELS] * dim[CHANNELS];
    bwd_sums_operands(dim, operand);
    operand[4] = floats("gradient", 3 * SCO_NORM_BLOCK, SCO_IN);
    operand[5] = floats("dx", count, SCO_OUT);
    operand[6] = floats("dresidual", dim[SECOND] ? count : 0, SCO_OUT);
    return 7;
}

static void run_bwd(const void *ops, const size_t dim[], void *const buffer[])
{
    const struct sco_channel_affine a = affine_of(buffer[3], dim);
    struct sco_channel_gradient gradient;
    memcpy(&gradient, buffer[4], sizeof gradient);
    const int second = dim[SECOND] != 0;
    ((const struct sco_norm_ops *)ops)
        ->channel_norm_bwd(dim[PIXELS], dim[CHANNELS], buffer[0], second ? buffer[1] : NULL, buffer[2], &a, &gradient,
                           buffer[5], second ? buffer[6] : NULL);
}

static size_t layer_norm_operands(const size_t dim[], struct sco_operand operand[SCO_CASE_OPERANDS])
{
    operand[0] = floats("x", dim[ROWS] * dim[WIDTH], SCO_IN);
    operand[1] = floats("scale", dim[WIDTH], SCO_IN);
    operand[2] = floats("bias", dim[WIDTH], SCO_IN);
    operand[3] = floats("y", dim[ROWS] * dim[WIDTH], SCO_OUT);
    operand[4] = floats("mean", dim[ROWS], SCO_OUT);
    operand[5] = floats("rstd", dim[ROWS], SCO_OUT);
    return 6;
}

static void run_layer_norm(const void *ops, const size_t dim[], void *const buffer[])
{
    ((const struct sco_norm_ops *)ops)
        ->layer_norm(dim[ROWS], dim[WIDTH], buffer[0], buffer[1], buffer[2], 1e-6f,
                     (enum sco_norm_activation)dim[ROW_ACTIVATION], buffer[3], buffer[4], buffer[5]);
}

static size_t layer_norm_bwd_operands(const size_t dim[], struct sco_operand operand[SCO_CASE_OPERANDS])
{
    operand[0] = floats("x", dim[ROWS] * dim[WIDTH], SCO_IN);
    operand[1] = floats("dy", dim[ROWS] * dim[WIDTH], SCO_IN);
    operand[2] = floats("scale", dim[WIDTH], SCO_IN);
    operand[3] = floats("bias", dim[WIDTH], SCO_IN);
    operand[4] = floats("mean", dim[ROWS], SCO_IN);
    operand[5] = floats("rstd", dim[ROWS], SCO_IN);
    operand[6] = floats("dx", dim[ROWS] * dim[WIDTH], SCO_OUT);
    operand[7] = floats("dscale", dim[WIDTH], SCO_INOUT);
    operand[8] = floats("dbias", dim[WIDTH], SCO_INOUT);
    return 9;
}

static void run_layer_norm_bwd(const void *ops, const size_t dim[], void *const buffer[])
{
    ((const struct sco_norm_ops *)ops)
        ->layer_norm_bwd(dim[ROWS], dim[WIDTH], buffer[0], buffer[1], buffer[2], buffer[3], buffer[4], buffer[5],
                         (enum sco_norm_activation)dim[ROW_ACTIVATION], buffer[6], buffer[7], buffer[8]);
}

static size_t row_bias_operands(const size_t dim[], struct sco_operand operand[SCO_CASE_OPERANDS])
{
    operand[0] = floats("x", dim[ROWS] * dim[WIDTH], SCO_IN);
    operand[1] = floats("bias", dim[WIDTH], SCO_IN);
    operand[2] = floats("y", dim[ROWS] * dim[WIDTH], SCO_OUT);
    return 3;
}

static void run_row_bias(const void *ops, const size_t dim[], void *const buffer[])
{
    ((const struct sco_norm_ops *)ops)->row_bias(dim[ROWS], dim[WIDTH], buffer[0], buffer[1], buffer[2]);
}

static size_t column_sums_operands(const size_t dim[], struct sco_operand operand[SCO_CASE_OPERANDS])
{
    operand[0] = floats("x", dim[ROWS] * dim[WIDTH], SCO_IN);
    operand[1] = floats("sum", dim[WIDTH], SCO_INOUT);
    return 2;
}

static void run_column_sums(const void *ops, const size_t dim[], void *const buffer[])
{
    ((const struct sco_norm_ops *)ops)->column_sums(dim[ROWS], dim[WIDTH], buffer[0], buffer[1]);
}

#define COST(name, factor)                                                                                             \
    static double name(const size_t dim[])                                                                             \
    {                                                                                                                  \
        return factor * (double)dim[0] * (double)dim[1];                                                               \
    }
COST(times1, 1.0)
COST(times3, 3.0)
COST(times4, 4.0)
COST(times8, 8.0)
COST(times9, 9.0)
COST(times12, 12.0)
COST(times20, 20.0)

/* Pixels of a block of 16 channels with ReLU and a residual, or rows of 256. */
static void size_channels(size_t total, size_t dim[])
{
    dim[PIXELS] = total / (2 * sizeof(float) * SCO_NORM_BLOCK);
    dim[CHANNELS] = SCO_NORM_BLOCK;
    dim[ACTIVATION] = SCO_NORM_RELU;
    dim[SECOND] = 0;
}

static void size_rows(size_t total, size_t dim[])
{
    dim[ROWS] = total / (2 * sizeof(float) * 256);
    dim[WIDTH] = 256;
    dim[ROW_ACTIVATION] = SCO_NORM_RELU;
}

static const size_t channel_shapes[][SCO_CASE_DIMS] = {
    {0, 16, 0, 0},   {1, 16, 0, 0}, {2, 16, 1, 1},  {7, 16, 2, 0},   {49, 16, 1, 0}, {64, 16, 1, 1},
    {131, 16, 2, 1}, {1, 1, 0, 0},  {5, 1, 1, 1},   {13, 3, 1, 0},   {17, 7, 2, 1},  {29, 8, 1, 0},
    {11, 9, 0, 1},   {6, 12, 2, 0}, {33, 15, 1, 1}, {900, 16, 1, 0}, {3, 4, 1, 1},
};

static const size_t row_shapes[][SCO_CASE_DIMS] = {
    {0, 16, 0},  {1, 1, 0},   {3, 1, 1},   {2, 3, 1},    {5, 7, 0},    {4, 15, 1}, {4, 16, 1},
    {3, 17, 0},  {3, 31, 1},  {3, 32, 1},  {2, 33, 0},   {2, 63, 1},   {2, 64, 0}, {7, 65, 1},
    {5, 100, 0}, {9, 128, 1}, {3, 257, 1}, {65, 256, 1}, {1, 1021, 1}, {8, 47, 0},
};

#define NORM_CASE(case_name, slot_number, dims, names, operand_list, run_function, flops_function, bytes_function,     \
                  size_function, shape_list)                                                                           \
    {                                                                                                                  \
        .name = "norm." case_name, .family = &sco_norm_family, .slot = slot_number, .dim_count = dims,                 \
        .dim_names = names, .operands = operand_list, .run = run_function, .flops = flops_function,                    \
        .bytes = bytes_function, .items = times1, .size = size_function, .shapes = shape_list,                         \
        .shape_count = SCO_LEN(shape_list)                                                                             \
    }
#define CHANNEL_NAMES                                                                                                  \
    {                                                                                                                  \
        "pixels", "B", "activation", "second"                                                                          \
    }
#define ROW_NAMES                                                                                                      \
    {                                                                                                                  \
        "rows", "width", "activation"                                                                                  \
    }
static const struct sco_case cases[] = {
    NORM_CASE("channel_moments", MOMENTS, CHANNEL_DIMS, CHANNEL_NAMES, moments_operands, run_moments, times3, times4,
              size_channels, channel_shapes),
    NORM_CASE("channel_norm", NORM, CHANNEL_DIMS, CHANNEL_NAMES, norm_operands, run_norm, times4, times8, size_channels,
              channel_shapes),
    NORM_CASE("channel_norm_bwd_sums", BWD_SUMS, CHANNEL_DIMS, CHANNEL_NAMES, bwd_sums_operands, run_bwd_sums, times8,
              times8, size_channels, channel_shapes),
    NORM_CASE("channel_norm_bwd", BWD, CHANNEL_DIMS, CHANNEL_NAMES, bwd_operands, run_bwd, times8, times12,
              size_channels, channel_shapes),
    NORM_CASE("layer_norm", LAYER_NORM, ROW_DIMS, ROW_NAMES, layer_norm_operands, run_layer_norm, times9, times8,
              size_rows, row_shapes),
    NORM_CASE("layer_norm_bwd", LAYER_NORM_BWD, ROW_DIMS, ROW_NAMES, layer_norm_bwd_operands, run_layer_norm_bwd,
              times20, times12, size_rows, row_shapes),
    NORM_CASE("row_bias", ROW_BIAS, ROW_DIMS, ROW_NAMES, row_bias_operands, run_row_bias, times1, times8, size_rows,
              row_shapes),
    NORM_CASE("column_sums", COLUMN_SUMS, ROW_DIMS, ROW_NAMES, column_sums_operands, run_column_sums, times1, times4,
              size_rows, row_shapes),
};

const struct sco_case_list sco_norm_cases = {cases, SCO_LEN(cases)};

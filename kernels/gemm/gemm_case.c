/* SPDX-License-Identifier: Apache-2.0 */
#include <float.h>
#include <math.h>

#include "kernels/case.h"
#include "kernels/gemm/gemm.h"

enum { SLOT_GEMM, SLOT_PACK, SLOT_CELL };

/* sigmoid and tanh are within 3 ulp each, a product adds them up and one, and h inherits what c' had. An ulp may be
 * twice as much of one term as it is of the sum. */
#define CELL_C_ULP 8.0
#define CELL_H_ULP 14.0

/* Rows of A and C in the strided variant are this much farther apart than they are wide. */
enum { A_GAP = 3, C_GAP = 5 };

static size_t add(struct sco_operand *operand, size_t at, const char *name, size_t count, enum sco_role role)
{
    operand[at] = (struct sco_operand){name, count, sizeof(float), role, SCO_FILL_SIGNED, SCO_EXACT, 0.0};
    return at + 1;
}

/* dim: M, N, K */
static size_t strided(size_t rows, size_t width, size_t gap)
{
    return rows == 0 ? 0 : (rows - 1) * (width + gap) + width;
}

static size_t gemm_operands(const size_t dim[], struct sco_operand operand[SCO_CASE_OPERANDS])
{
    size_t count = add(operand, 0, "A", dim[0] * dim[2], SCO_IN);
    count = add(operand, count, "packed", sco_gemm_packed_count(dim[2], dim[1]), SCO_IN);
    count = add(operand, count, "bias", dim[1], SCO_IN);
    return add(operand, count, "C", dim[0] * dim[1], SCO_OUT);
}

static void gemm_run(const void *ops, const size_t dim[], void *const buffer[])
{
    ((const struct sco_gemm_ops *)ops)
        ->gemm(dim[0], dim[1], dim[2], buffer[0], dim[2], buffer[1], buffer[2], 0, buffer[3], dim[1]);
}

static size_t rounding_operands(const size_t dim[], struct sco_operand operand[SCO_CASE_OPERANDS])
{
    const size_t count = gemm_operands(dim, operand);
    /* K fused multiply-adds round once each; one more for the product of the first two factors 1 + 2^-24. */
    operand[count - 1].bound = SCO_GAMMA;
    operand[count - 1].k = (double)(dim[2] + 1);
    return count;
}

static void rounding_oracle(const size_t dim[], void *const before[], size_t operand, double *value, double *scale)
{
    const float *A = before[0], *packed = before[1], *bias = before[2];
    const size_t N = dim[1], K = dim[2];
    (void)operand;
    for (size_t j = 0; j < N; j++) {
        const size_t j0 = j / SCO_GEMM_NR * SCO_GEMM_NR;
        const size_t width = sco_gemm_packed_count(1, N - j0 < SCO_GEMM_NR ? N - j0 : SCO_GEMM_NR);
        const float *b = packed + sco_gemm_packed_count(K, j0) + (j - j0);
        for (size_t i = 0; i < dim[0]; i++) {
            double sum = (double)bias[j], magnitude = fabs(sum);
            for (size_t k = 0; k < K; k++) {
                const double term = (double)A[i * K + k] * (double)b[k * width];
                sum += term;
                magnitude += fabs(term);
            }
            value[i * N + j] = sum;
            scale[i * N + j] = magnitude;
        }
    }
}

static size_t beta_operands(const size_t dim[], struct sco_operand operand[SCO_CASE_OPERANDS])
{
    size_t count = add(operand, 0, "A", strided(dim[0], dim[2], A_GAP), SCO_IN);
    count = add(operand, count, "packed", sco_gemm_packed_count(dim[2], dim[1]), SCO_IN);
    return add(operand, count, "C", strided(dim[0], dim[1], C_GAP), SCO_INOUT);
}

static void beta_run(const void *ops, const size_t dim[], void *const buffer[])
{
    ((const struct sco_gemm_ops *)ops)
        ->gemm(dim[0], dim[1], dim[2], buffer[0], dim[2] + A_GAP, buffer[1], NULL, 1, buffer[2], dim[1] + C_GAP);
}

static double gemm_flops(const size_t dim[])
{
    return 2.0 * (double)dim[0] * (double)dim[1] * (double)dim[2];
}

static double gemm_bytes(const size_t dim[])
{
    const size_t read = dim[0] * dim[2] + sco_gemm_packed_count(dim[2], dim[1]) + dim[1];
    return 4.0 * (double)(read + dim[0] * dim[1]);
}

static double beta_bytes(const size_t dim[])
{
    const size_t read = dim[0] * dim[2] + sco_gemm_packed_count(dim[2], dim[1]);
    return 4.0 * (double)(read + 2 * dim[0] * dim[1]);
}

static double gemm_items(const size_t dim[])
{
    return (double)dim[0] * (double)dim[1];
}

/* Columns that make the weights of an LSTM with 512 inputs take about bytes. */
static size_t columns(size_t bytes)
{
    const size_t n = bytes / (512 * sizeof(float)) / SCO_GEMM_STEP * SCO_GEMM_STEP;
    return n == 0 ? SCO_GEMM_STEP : n;
}

/* A model of few tensors: the product reads weights and does little else. */
static void few_rows_size(size_t bytes, size_t dim[])
{
    dim[0] = 1;
    dim[1] = columns(bytes);
    dim[2] = 512;
}

/* ResNet-50 has 161 tensors: the product computes. */
static void many_rows_size(size_t bytes, size_t dim[])
{
    dim[0] = 161;
    dim[1] = columns(bytes);
    dim[2] = 512;
}

/* Around every tile height, panel and vector width. */
static const size_t gemm_shapes[][SCO_CASE_DIMS] = {
    {0, 5, 5},     {5, 0, 5},     {5, 5, 0},      {1, 1, 1},    {1, 64, 30},  {1, 63, 3},    {1, 65, 7},   {1, 48, 4},
    {1, 33, 5},    {1, 200, 17},  {2, 64, 8},     {2, 40, 9},   {2, 31, 2},   {2, 129, 5},   {3, 64, 6},   {3, 57, 4},
    {3, 17, 11},   {3, 96, 3},    {4, 64, 31},    {4, 15, 16},  {4, 49, 1},   {4, 2048, 12}, {5, 80, 13},  {5, 7, 30},
    {5, 127, 2},   {6, 64, 64},   {6, 16, 5},     {6, 159, 30}, {6, 8, 3},    {7, 64, 9},    {7, 24, 4},   {7, 33, 33},
    {8, 112, 6},   {8, 9, 7},     {9, 71, 10},    {10, 60, 15}, {11, 47, 21}, {12, 64, 29},  {12, 32, 32}, {13, 65, 12},
    {13, 255, 14}, {16, 16, 128}, {17, 160, 256}, {17, 1, 512}, {24, 34, 30}, {25, 100, 3},  {66, 23, 8},  {161, 70, 5},
};

static size_t pack_operands(const size_t dim[], struct sco_operand operand[SCO_CASE_OPERANDS])
{
    const size_t count = add(operand, 0, "B", strided(dim[0], dim[1], A_GAP), SCO_IN);
    return add(operand, count, "packed", sco_gemm_packed_count(dim[0], dim[1]), SCO_OUT);
}

static void pack_run(const void *ops, const size_t dim[], void *const buffer[])
{
    ((const struct sco_gemm_ops *)ops)->pack(dim[0], dim[1], buffer[0], dim[1] + A_GAP, buffer[1]);
}

static double pack_flops(const size_t dim[])
{
    (void)dim;
    return 0.0;
}

static double pack_bytes(const size_t dim[])
{
    return 4.0 * (double)(dim[0] * dim[1] + sco_gemm_packed_count(dim[0], dim[1]));
}

static double pack_items(const size_t dim[])
{
    return (double)dim[0] * (double)dim[1];
}

static void pack_size(size_t bytes, size_t dim[])
{
    dim[0] = 512;
    dim[1] = columns(bytes / 2);
}

static const size_t pack_shapes[][SCO_CASE_DIMS] = {
    {0, 5}, {5, 0}, {1, 1}, {3, 15}, {7, 16}, {5, 17}, {4, 63}, {2, 64}, {6, 65}, {9, 159}, {30, 200},
};

/* buffer: i, g, f, o, c, h */
static size_t cell_operands(const size_t dim[], struct sco_operand operand[SCO_CASE_OPERANDS])
{
    size_t count = add(operand, 0, "i", dim[0], SCO_IN);
    count = add(operand, count, "g", dim[0], SCO_IN);
    count = add(operand, count, "f", dim[0], SCO_IN);
    count = add(operand, count, "o", dim[0], SCO_IN);
    count = add(operand, count, "c", dim[0], SCO_INOUT);
    return add(operand, count, "h", dim[0], SCO_OUT);
}

static void cell_run(const void *ops, const size_t dim[], void *const buffer[])
{
    ((const struct sco_gemm_ops *)ops)
        ->lstm_cell(dim[0], buffer[0], buffer[1], buffer[2], buffer[3], buffer[4], buffer[5]);
}

static size_t accuracy_operands(const size_t dim[], struct sco_operand operand[SCO_CASE_OPERANDS])
{
    const size_t count = cell_operands(dim, operand);
    for (size_t at = 4; at < count; at++) {
        operand[at].bound = SCO_ULP;
        operand[at].k = at == 4 ? CELL_C_ULP : CELL_H_ULP;
    }
    return count;
}

static double sigmoid(float x)
{
    return x < 0.0f ? exp((double)x) / (1.0 + exp((double)x)) : 1.0 / (1.0 + exp(-(double)x));
}

static void accuracy_oracle(const size_t dim[], void *const before[], size_t operand, double *value, double *scale)
{
    const float *i = before[0], *g = before[1], *f = before[2], *o = before[3], *c = before[4];
    for (size_t j = 0; j < dim[0]; j++) {
        const double kept = sigmoid(f[j] + 1.0f) * (double)c[j], added = sigmoid(i[j]) * tanh((double)g[j]);
        /* a subnormal sigmoid is exact to 2^-149 only, and is multiplied by c */
        const double magnitude = fabs(kept) + fabs(added) + (fabs((double)c[j]) + 1.0) * (double)FLT_MIN;
        value[j] = kept + added;
        scale[j] = magnitude;
        if (operand == 5) {
            value[j] = sigmoid(o[j]) * tanh(value[j]);
            scale[j] = sigmoid(o[j]) * fmin(magnitude, 1.0) + (double)FLT_MIN;
        }
    }
}

/* e^t - 1 takes 18, sigmoid 23, tanh 24, the cell around them 5. */
static double cell_flops(const size_t dim[])
{
    return (3 * 23.0 + 2 * 24.0 + 5.0) * (double)dim[0];
}

static double cell_bytes(const size_t dim[])
{
    return 28.0 * (double)dim[0];
}

static double cell_items(const size_t dim[])
{
    return (double)dim[0];
}

static void cell_size(size_t bytes, size_t dim[])
{
    dim[0] = bytes / 24;
}

static const struct sco_case cases[] = {
    {.name = "gemm.gemm",
     .family = &sco_gemm_family,
     .slot = SLOT_GEMM,
     .dim_count = 3,
     .dim_names = {"M", "N", "K"},
     .operands = gemm_operands,
     .run = gemm_run,
     .flops = gemm_flops,
     .bytes = gemm_bytes,
     .items = gemm_items,
     .size = few_rows_size,
     .shapes = gemm_shapes,
     .shape_count = SCO_LEN(gemm_shapes)},
    {.name = "gemm.gemm/rounding",
     .family = &sco_gemm_family,
     .slot = SLOT_GEMM,
     .dim_count = 3,
     .dim_names = {"M", "N", "K"},
     .operands = rounding_operands,
     .run = gemm_run,
     .oracle = rounding_oracle,
     .flops = gemm_flops,
     .bytes = gemm_bytes,
     .items = gemm_items,
     .size = many_rows_size,
     .shapes = gemm_shapes,
     .shape_count = SCO_LEN(gemm_shapes)},
    {.name = "gemm.gemm/beta",
     .family = &sco_gemm_family,
     .slot = SLOT_GEMM,
     .dim_count = 3,
     .dim_names = {"M", "N", "K"},
     .operands = beta_operands,
     .run = beta_run,
     .flops = gemm_flops,
     .bytes = beta_bytes,
     .items = gemm_items,
     .size = many_rows_size,
     .shapes = gemm_shapes,
     .shape_count = SCO_LEN(gemm_shapes)},
    {.name = "gemm.pack",
     .family = &sco_gemm_family,
     .slot = SLOT_PACK,
     .dim_count = 2,
     .dim_names = {"K", "N"},
     .operands = pack_operands,
     .run = pack_run,
     .flops = pack_flops,
     .bytes = pack_bytes,
     .items = pack_items,
     .size = pack_size,
     .shapes = pack_shapes,
     .shape_count = SCO_LEN(pack_shapes)},
    {.name = "gemm.lstm_cell",
     .family = &sco_gemm_family,
     .slot = SLOT_CELL,
     .dim_count = 1,
     .dim_names = {"n"},
     .operands = cell_operands,
     .run = cell_run,
     .flops = cell_flops,
     .bytes = cell_bytes,
     .items = cell_items,
     .size = cell_size},
    {.name = "gemm.lstm_cell/accuracy",
     .family = &sco_gemm_family,
     .slot = SLOT_CELL,
     .dim_count = 1,
     .dim_names = {"n"},
     .operands = accuracy_operands,
     .run = cell_run,
     .oracle = accuracy_oracle,
     .flops = cell_flops,
     .bytes = cell_bytes,
     .items = cell_items,
     .size = cell_size},
};

const struct sco_case_list sco_gemm_cases = {cases, SCO_LEN(cases)};

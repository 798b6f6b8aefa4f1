/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/adafactor/adafactor.h"
#include "kernels/case.h"

enum {
    SQUARE_SUMS,
    ACCUMULATE,
    FACTOR,
    UPDATE_SQUARE_SUM,
    APPLY,
    APPLY_MOMENTUM,
    APPLY_INT8,
    QUANTIZE_INT8,
    UPDATE_SQUARE_SUM_DIAG,
    APPLY_DIAG,
    APPLY_DIAG_MOMENTUM,
    APPLY_DIAG_INT8,
    QUANTIZE_DIAG_INT8
};

/* Dims of panels; a matrix with a gap of dim[GAP] between its rows, as a block of columns has. */
enum { ROWS, COLS, GAP };

static const struct sco_adafactor_coef coef = {
    .gscale = 0.75f, .scale = 1e-2f, .b1 = 0.9f, .one_minus_b1 = 0.1f, .decay = 1e-3f};
static const struct sco_adafactor_decay decay = {.decay = 0.84f, .mixing = 0.16f, .sum_scale = 1e-3f, .eps = 1e-30f};
static const struct sco_adafactor_diag diag = {.gscale = 0.75f, .decay = 0.84f, .mixing = 0.16f, .eps = 1e-30f};
static const float int8_bucket = 0.01f, int8_new_bucket = 0.0125f;

/* Widths around vectors, groups of 16 and runs of 1024; heights around blocks of four rows; empty ones. */
static const size_t panels[][SCO_CASE_DIMS] = {
    {0, 0, 0},   {0, 5, 0},   {3, 0, 0},    {1, 1, 0},    {1, 17, 0},   {2, 3, 1},    {3, 15, 0},   {4, 16, 0},
    {5, 17, 2},  {7, 31, 0},  {8, 32, 3},   {9, 33, 0},   {4, 47, 5},   {13, 8, 0},   {12, 1, 3},   {64, 4, 0},
    {5, 127, 1}, {3, 130, 0}, {4, 1023, 0}, {5, 1024, 0}, {6, 1025, 1}, {2, 2065, 0}, {257, 64, 0}, {64, 512, 0},
};

static size_t add(struct sco_operand *operand, size_t at, const char *name, size_t count, enum sco_role role,
                  enum sco_fill fill)
{
    operand[at] = (struct sco_operand){name, count, sizeof(float), role, fill, SCO_EXACT, 0.0};
    return at + 1;
}

static size_t add_f64(struct sco_operand *operand, size_t at, const char *name, size_t count, enum sco_role role)
{
    operand[at] = (struct sco_operand){name, count, sizeof(double), role, SCO_FILL_POSITIVE, SCO_EXACT, 0.0};
    return at + 1;
}

static size_t add_i8(struct sco_operand *operand, size_t at, const char *name, size_t count, enum sco_role role)
{
    operand[at] = (struct sco_operand){name, count, 1, role, SCO_FILL_SIGNED, SCO_EXACT, 0.0};
    return at + 1;
}

/* Elements from the first of a panel to its last: the gap behind the last row is not the panel's. */
static size_t span(const size_t dim[])
{
    return dim[ROWS] == 0 || dim[COLS] == 0 ? 0 : (dim[ROWS] - 1) * (dim[COLS] + dim[GAP]) + dim[COLS];
}

static struct sco_adafactor_panel panel_of(const size_t dim[], const float *row_factor, const float *col_factor)
{
    const struct sco_adafactor_panel panel = {dim[ROWS], dim[COLS], (ptrdiff_t)(dim[COLS] + dim[GAP]), row_factor,
                                              col_factor};
    return panel;
}

static size_t add_panel(struct sco_operand *operand, const size_t dim[])
{
    size_t at = add(operand, 0, "row_factor", dim[ROWS], SCO_IN, SCO_FILL_POSITIVE);
    at = add(operand, at, "col_factor", dim[COLS], SCO_IN, SCO_FILL_POSITIVE);
    return add(operand, at, "g", span(dim), SCO_IN, SCO_FILL_SIGNED);
}

static size_t square_sums_operands(const size_t dim[], struct sco_operand operand[SCO_CASE_OPERANDS])
{
    size_t at = add(operand, 0, "g", span(dim), SCO_IN, SCO_FILL_SIGNED);
    at = add_f64(operand, at, "row_sum", dim[ROWS], SCO_OUT);
    return add(operand, at, "col_sum", dim[COLS], SCO_INOUT, SCO_FILL_POSITIVE);
}

static void square_sums_run(const void *ops, const size_t dim[], void *const buffer[])
{
    ((const struct sco_adafactor_ops *)ops)
        ->square_sums(dim[ROWS], dim[COLS], (ptrdiff_t)(dim[COLS] + dim[GAP]), buffer[0], buffer[1], buffer[2]);
}

static size_t accumulate_operands(const size_t dim[], struct sco_operand operand[SCO_CASE_OPERANDS])
{
    size_t at = add(operand, 0, "a", dim[0], SCO_INOUT, SCO_FILL_POSITIVE);
    at = add_f64(operand, at, "sum", dim[0], SCO_IN);
    return add_f64(operand, at, "total", 1, SCO_OUT);
}

static void accumulate_run(const void *ops, const size_t dim[], void *const buffer[])
{
    *(double *)buffer[2] = ((const struct sco_adafactor_ops *)ops)->accumulate(dim[0], buffer[0], buffer[1], &decay);
}

static size_t factor_operands(const size_t dim[], struct sco_operand operand[SCO_CASE_OPERANDS])
{
    const size_t at = add(operand, 0, "a", dim[0], SCO_IN, SCO_FILL_POSITIVE);
    return add(operand, at, "factor", dim[0], SCO_OUT, SCO_FILL_POSITIVE);
}

static void factor_run(const void *ops, const size_t dim[], void *const buffer[])
{
    ((const struct sco_adafactor_ops *)ops)->factor(dim[0], buffer[0], 3.0f, 0.75f, buffer[1]);
}

static size_t update_square_sum_operands(const size_t dim[], struct sco_operand operand[SCO_CASE_OPERANDS])
{
    return add_f64(operand, add_panel(operand, dim), "sum", 1, SCO_OUT);
}

static void update_square_sum_run(const void *ops, const size_t dim[], void *const buffer[])
{
    const struct sco_adafactor_panel panel = panel_of(dim, buffer[0], buffer[1]);
    *(double *)buffer[3] = ((const struct sco_adafactor_ops *)ops)->update_square_sum(&panel, buffer[2]);
}

static size_t apply_operands(const size_t dim[], struct sco_operand operand[SCO_CASE_OPERANDS])
{
    return add(operand, add_panel(operand, dim), "p", span(dim), SCO_INOUT, SCO_FILL_SIGNED);
}

static void apply_run(const void *ops, const size_t dim[], void *const buffer[])
{
    const struct sco_adafactor_panel panel = panel_of(dim, buffer[0], buffer[1]);
    ((const struct sco_adafactor_ops *)ops)->apply(&panel, buffer[3], NULL, buffer[2], &coef);
}

static size_t apply_momentum_operands(const size_t dim[], struct sco_operand operand[SCO_CASE_OPERANDS])
{
    return add(operand, apply_operands(dim, operand), "m", span(dim), SCO_INOUT, SCO_FILL_SIGNED);
}

static void apply_momentum_run(const void *ops, const size_t dim[], void *const buffer[])
{
    const struct sco_adafactor_panel panel = panel_of(dim, buffer[0], buffer[1]);
    ((const struct sco_adafactor_ops *)ops)->apply_momentum(&panel, buffer[3], buffer[4], buffer[2], &coef);
}

/* Buckets of a matrix: one per column. */
static size_t apply_int8_operands(const size_t dim[], struct sco_operand operand[SCO_CASE_OPERANDS])
{
    size_t at = add_i8(operand, apply_operands(dim, operand), "q", span(dim), SCO_IN);
    at = add(operand, at, "bucket", dim[COLS], SCO_IN, SCO_FILL_POSITIVE);
    return add(operand, at, "peak", dim[COLS], SCO_INOUT, SCO_FILL_POSITIVE);
}

static void apply_int8_run(const void *ops, const size_t dim[], void *const buffer[])
{
    const struct sco_adafactor_panel panel = panel_of(dim, buffer[0], buffer[1]);
    const struct sco_adafactor_int8 m = {buffer[4], buffer[5], 0};
    ((const struct sco_adafactor_ops *)ops)->apply_int8(&panel, buffer[3], buffer[2], &m, buffer[6], &coef);
}

/* And of a kernel of rank 3 or more: one per element of the panel. */
static size_t apply_int8_deep_operands(const size_t dim[], struct sco_operand operand[SCO_CASE_OPERANDS])
{
    size_t at = add_i8(operand, apply_operands(dim, operand), "q", span(dim), SCO_IN);
    at = add(operand, at, "bucket", dim[ROWS] * dim[COLS], SCO_IN, SCO_FILL_POSITIVE);
    return add(operand, at, "peak", dim[ROWS] * dim[COLS], SCO_INOUT, SCO_FILL_POSITIVE);
}

static void apply_int8_deep_run(const void *ops, const size_t dim[], void *const buffer[])
{
    const struct sco_adafactor_panel panel = panel_of(dim, buffer[0], buffer[1]);
    const struct sco_adafactor_int8 m = {buffer[4], buffer[5], (ptrdiff_t)dim[COLS]};
    ((const struct sco_adafactor_ops *)ops)->apply_int8(&panel, buffer[3], buffer[2], &m, buffer[6], &coef);
}

static size_t quantize_int8_operands(const size_t dim[], struct sco_operand operand[SCO_CASE_OPERANDS])
{
    size_t at = add_i8(operand, add_panel(operand, dim), "q", span(dim), SCO_INOUT);
    at = add(operand, at, "bucket", dim[COLS], SCO_IN, SCO_FILL_POSITIVE);
    return add(operand, at, "new_bucket", dim[COLS], SCO_IN, SCO_FILL_POSITIVE);
}

static void quantize_int8_run(const void *ops, const size_t dim[], void *const buffer[])
{
    const struct sco_adafactor_panel panel = panel_of(dim, buffer[0], buffer[1]);
    const struct sco_adafactor_int8 m = {buffer[3], buffer[4], 0};
    ((const struct sco_adafactor_ops *)ops)->quantize_int8(&panel, buffer[2], &m, buffer[5], &coef);
}

static size_t update_square_sum_diag_operands(const size_t dim[], struct sco_operand operand[SCO_CASE_OPERANDS])
{
    size_t at = add(operand, 0, "v", dim[0], SCO_INOUT, SCO_FILL_POSITIVE);
    at = add(operand, at, "g", dim[0], SCO_IN, SCO_FILL_SIGNED);
    return add_f64(operand, at, "sum", 1, SCO_OUT);
}

static void update_square_sum_diag_run(const void *ops, const size_t dim[], void *const buffer[])
{
    *(double *)buffer[2] =
        ((const struct sco_adafactor_ops *)ops)->update_square_sum_diag(dim[0], buffer[0], buffer[1], &diag);
}

static size_t apply_diag_operands(const size_t dim[], struct sco_operand operand[SCO_CASE_OPERANDS])
{
    size_t at = add(operand, 0, "p", dim[0], SCO_INOUT, SCO_FILL_SIGNED);
    at = add(operand, at, "v", dim[0], SCO_IN, SCO_FILL_POSITIVE);
    return add(operand, at, "g", dim[0], SCO_IN, SCO_FILL_SIGNED);
}

static void apply_diag_run(const void *ops, const size_t dim[], void *const buffer[])
{
    ((const struct sco_adafactor_ops *)ops)->apply_diag(dim[0], buffer[0], NULL, buffer[1], buffer[2], &coef);
}

static size_t apply_diag_momentum_operands(const size_t dim[], struct sco_operand operand[SCO_CASE_OPERANDS])
{
    return add(operand, apply_diag_operands(dim, operand), "m", dim[0], SCO_INOUT, SCO_FILL_SIGNED);
}

static void apply_diag_momentum_run(const void *ops, const size_t dim[], void *const buffer[])
{
    ((const struct sco_adafactor_ops *)ops)
        ->apply_diag_momentum(dim[0], buffer[0], buffer[3], buffer[1], buffer[2], &coef);
}

static size_t apply_diag_int8_operands(const size_t dim[], struct sco_operand operand[SCO_CASE_OPERANDS])
{
    const size_t at = add_i8(operand, apply_diag_operands(dim, operand), "q", dim[0], SCO_IN);
    return add(operand, at, "peak", 1, SCO_INOUT, SCO_FILL_POSITIVE);
}

static void apply_diag_int8_run(const void *ops, const size_t dim[], void *const buffer[])
{
    float *peak = buffer[4];
    *peak = ((const struct sco_adafactor_ops *)ops)
                ->apply_diag_int8(dim[0], buffer[0], buffer[1], buffer[2], buffer[3], int8_bucket, *peak, &coef);
}

static size_t quantize_diag_int8_operands(const size_t dim[], struct sco_operand operand[SCO_CASE_OPERANDS])
{
    size_t at = add(operand, 0, "v", dim[0], SCO_IN, SCO_FILL_POSITIVE);
    at = add(operand, at, "g", dim[0], SCO_IN, SCO_FILL_SIGNED);
    return add_i8(operand, at, "q", dim[0], SCO_INOUT);
}

static void quantize_diag_int8_run(const void *ops, const size_t dim[], void *const buffer[])
{
    ((const struct sco_adafactor_ops *)ops)
        ->quantize_diag_int8(dim[0], buffer[0], buffer[1], buffer[2], int8_bucket, int8_new_bucket, &coef);
}

/* A bucket of zero counts as one. */
static void quantize_diag_int8_zero_run(const void *ops, const size_t dim[], void *const buffer[])
{
    ((const struct sco_adafactor_ops *)ops)
        ->quantize_diag_int8(dim[0], buffer[0], buffer[1], buffer[2], int8_bucket, 0.0f, &coef);
}

static double vector_items(const size_t dim[])
{
    return (double)dim[0];
}

static double panel_items(const size_t dim[])
{
    return (double)dim[ROWS] * (double)dim[COLS];
}

/* Rows of 1024, a usual width, so that the vectors stay in L1; row_sum and the like are not counted. */
static void panel_size(size_t bytes_per_element, size_t total, size_t dim[])
{
    dim[COLS] = total / bytes_per_element < 4096 ? 64 : 1024;
    dim[ROWS] = total / bytes_per_element / dim[COLS];
    dim[GAP] = 0;
}

/* flops, bytes asked for, and bytes resident, per element. */
#define COSTS(operation, shape, flops_each, bytes_each)                                                                \
    static double operation##_flops(const size_t dim[])                                                                \
    {                                                                                                                  \
        return flops_each * shape##_items(dim);                                                                        \
    }                                                                                                                  \
    static double operation##_bytes(const size_t dim[])                                                                \
    {                                                                                                                  \
        return bytes_each * shape##_items(dim);                                                                        \
    }
#define PANEL_COSTS(operation, flops_each, bytes_each, resident)                                                       \
    COSTS(operation, panel, flops_each, bytes_each)                                                                    \
    static void operation##_size(size_t total, size_t dim[])                                                           \
    {                                                                                                                  \
        panel_size(resident, total, dim);                                                                              \
    }
#define VECTOR_COSTS(operation, flops_each, bytes_each, resident)                                                      \
    COSTS(operation, vector, flops_each, bytes_each)                                                                   \
    static void operation##_size(size_t total, size_t dim[])                                                           \
    {                                                                                                                  \
        dim[0] = total / resident;                                                                                     \
    }

PANEL_COSTS(square_sums, 4.0, 4.0, 4)
PANEL_COSTS(update_square_sum, 4.0, 4.0, 4)
PANEL_COSTS(apply, 6.0, 12.0, 8)
PANEL_COSTS(apply_momentum, 9.0, 20.0, 12)
PANEL_COSTS(apply_int8, 11.0, 13.0, 9)
PANEL_COSTS(quantize_int8, 8.0, 6.0, 5)
VECTOR_COSTS(accumulate, 6.0, 16.0, 12)
VECTOR_COSTS(factor, 3.0, 8.0, 8)
VECTOR_COSTS(update_square_sum_diag, 10.0, 12.0, 8)
VECTOR_COSTS(apply_diag, 7.0, 16.0, 12)
VECTOR_COSTS(apply_diag_momentum, 10.0, 24.0, 16)
VECTOR_COSTS(apply_diag_int8, 12.0, 17.0, 13)
VECTOR_COSTS(quantize_diag_int8, 9.0, 10.0, 9)

#define PANEL_CASE(case_name, slot_number, operation, run_operands, run_function)                                      \
    {                                                                                                                  \
        .name = case_name, .family = &sco_adafactor_family, .slot = slot_number, .dim_count = 3,                       \
        .dim_names = {"rows", "cols", "gap"}, .operands = run_operands, .run = run_function,                           \
        .flops = operation##_flops, .bytes = operation##_bytes, .items = panel_items, .size = operation##_size,        \
        .shapes = panels, .shape_count = SCO_LEN(panels)                                                               \
    }
#define VECTOR_CASE(case_name, slot_number, operation, run_function)                                                   \
    {                                                                                                                  \
        .name = case_name, .family = &sco_adafactor_family, .slot = slot_number, .dim_count = 1, .dim_names = {"n"},   \
        .operands = operation##_operands, .run = run_function, .flops = operation##_flops, .bytes = operation##_bytes, \
        .items = vector_items, .size = operation##_size                                                                \
    }
static const struct sco_case cases[] = {
    PANEL_CASE("adafactor.square_sums", SQUARE_SUMS, square_sums, square_sums_operands, square_sums_run),
    VECTOR_CASE("adafactor.accumulate", ACCUMULATE, accumulate, accumulate_run),
    VECTOR_CASE("adafactor.factor", FACTOR, factor, factor_run),
    PANEL_CASE("adafactor.update_square_sum", UPDATE_SQUARE_SUM, update_square_sum, update_square_sum_operands,
               update_square_sum_run),
    PANEL_CASE("adafactor.apply", APPLY, apply, apply_operands, apply_run),
    PANEL_CASE("adafactor.apply_momentum", APPLY_MOMENTUM, apply_momentum, apply_momentum_operands, apply_momentum_run),
    PANEL_CASE("adafactor.apply_int8", APPLY_INT8, apply_int8, apply_int8_operands, apply_int8_run),
    PANEL_CASE("adafactor.apply_int8/deep", APPLY_INT8, apply_int8, apply_int8_deep_operands, apply_int8_deep_run),
    PANEL_CASE("adafactor.quantize_int8", QUANTIZE_INT8, quantize_int8, quantize_int8_operands, quantize_int8_run),
    VECTOR_CASE("adafactor.update_square_sum_diag", UPDATE_SQUARE_SUM_DIAG, update_square_sum_diag,
                update_square_sum_diag_run),
    VECTOR_CASE("adafactor.apply_diag", APPLY_DIAG, apply_diag, apply_diag_run),
    VECTOR_CASE("adafactor.apply_diag_momentum", APPLY_DIAG_MOMENTUM, apply_diag_momentum, apply_diag_momentum_run),
    VECTOR_CASE("adafactor.apply_diag_int8", APPLY_DIAG_INT8, apply_diag_int8, apply_diag_int8_run),
    VECTOR_CASE("adafactor.quantize_diag_int8", QUANTIZE_DIAG_INT8, quantize_diag_int8, quantize_diag_int8_run),
    VECTOR_CASE("adafactor.quantize_diag_int8/zero", QUANTIZE_DIAG_INT8, quantize_diag_int8,
                quantize_diag_int8_zero_run),
};

const struct sco_case_list sco_adafactor_cases = {cases, SCO_LEN(cases)};

/* SPDX-License-Identifier: Apache-2.0 */
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "kernels/case.h"
#include "kernels/velo/velo.h"

enum { SQUARE_SUMS, STATISTICS, STATISTICS_DIAG, MLP, MLP_DIAG, ACCUMULATE, FACTOR, HIDDEN_ROWS, HIDDEN_COLS };

/* Products are rounded up to five times; a float lane takes some hundred additions before it is emptied into a double,
 * whose errors reach a tenth of their number where all terms are equal and cancel otherwise. */
#define SUM_K 24.0
/* Sums of exact terms in double, and of terms rounded once. */
#define DOUBLE_K 1.0

static const float decay[3] = {SCO_VELO_D0, SCO_VELO_D1, SCO_VELO_D2};

static size_t add(struct sco_operand *operand, size_t at, const char *name, size_t count, enum sco_role role,
                  enum sco_fill fill)
{
    operand[at] = (struct sco_operand){name, count, sizeof(float), role, fill, SCO_EXACT, 0.0};
    return at + 1;
}

static size_t add_sums(struct sco_operand *operand, size_t at, const char *name, size_t count, double k)
{
    operand[at] = (struct sco_operand){name, count, sizeof(double), SCO_OUT, SCO_FILL_SIGNED, SCO_GAMMA, k};
    return at + 1;
}

/* ---- Panels: dim is rows, cols, elements between rows ---- */

static size_t extent(const size_t dim[])
{
    return dim[0] == 0 || dim[1] == 0 ? 0 : (dim[0] - 1) * (dim[1] + dim[2]) + dim[1];
}

static double panel_items(const size_t dim[])
{
    return (double)dim[0] * (double)dim[1];
}

static void panel_size(size_t bytes, size_t dim[])
{
    enum { COLS = 512, ARRAYS = 6 };
    dim[0] = bytes / (ARRAYS * COLS * sizeof(float));
    dim[0] = dim[0] == 0 ? 1 : dim[0];
    dim[1] = COLS;
    dim[2] = 0;
}

/* Around one and two vectors, and the columns that a sweep treats together. */
static const size_t panel_shapes[][SCO_CASE_DIMS] = {
    {0, 5, 0},    {5, 0, 0},    {1, 1, 0},    {1, 1, 3},    {2, 2, 1},     {3, 3, 0},    {1, 7, 0},    {2, 8, 5},
    {3, 9, 0},    {2, 15, 1},   {3, 16, 0},   {1, 17, 2},   {2, 23, 0},    {2, 24, 0},   {2, 25, 3},   {3, 31, 0},
    {2, 32, 7},   {3, 33, 0},   {2, 47, 0},   {4, 48, 1},   {2, 49, 0},    {1, 63, 0},   {5, 64, 128}, {2, 65, 0},
    {9, 100, 3},  {7, 129, 0},  {33, 1, 0},   {100, 3, 0},  {64, 64, 0},   {70, 200, 5}, {3, 1000, 0}, {2, 1023, 1},
    {2, 1025, 0}, {3, 2049, 0}, {1, 4096, 0}, {2, 5000, 0}, {300, 600, 0},
};

/* buffer: g, row_sum, col_sum */
static size_t squares_operands(const size_t dim[], struct sco_operand operand[SCO_CASE_OPERANDS])
{
    size_t count = add(operand, 0, "g", extent(dim), SCO_IN, SCO_FILL_SIGNED);
    count = add(operand, count, "row_sum", dim[0], SCO_OUT, SCO_FILL_POSITIVE);
    count = add(operand, count, "col_sum", dim[1], SCO_INOUT, SCO_FILL_POSITIVE);
    for (size_t i = 1; i < count; i++) {
        operand[i].bound = SCO_GAMMA;
        operand[i].k = SUM_K;
    }
    return count;
}

static void squares_run(const void *ops, const size_t dim[], void *const buffer[])
{
    ((const struct sco_velo_ops *)ops)
        ->square_sums(dim[0], dim[1], (ptrdiff_t)(dim[1] + dim[2]), buffer[0], buffer[1], buffer[2]);
}

static double clipped(float x, double bound)
{
    return isnan(x) ? (double)x : fmax(-bound, fmin(bound, (double)x));
}

static void squares_oracle(const size_t dim[], void *const before[], size_t operand, double *value, double *scale)
{
    const float *g = before[0], *col_sum = before[2];
    const size_t count = operand == 1 ? dim[0] : dim[1];
    for (size_t i = 0; i < count; i++)
        value[i] = operand == 1 ? 0.0 : (double)col_sum[i];
    for (size_t i = 0; i < dim[0]; i++)
        for (size_t j = 0; j < dim[1]; j++) {
            const double x = clipped(g[i * (dim[1] + dim[2]) + j], 1000.0);
            value[operand == 1 ? i : j] += x * x;
        }
    memcpy(scale, value, count * sizeof *scale);
}

static double squares_flops(const size_t dim[])
{
    return 3.0 * panel_items(dim);
}

static double squares_bytes(const size_t dim[])
{
    return 4.0 * panel_items(dim);
}

/* buffer: g, m, v, factors, sums */
enum { G, M, V = M + 3, STATE_END, ROW_FACTOR = STATE_END, COL_FACTOR = ROW_FACTOR + 3, FACTOR_END = COL_FACTOR + 3 };

static size_t add_state(struct sco_operand *operand, size_t n, enum sco_role role)
{
    static const char *const m[3] = {"m0", "m1", "m2"};
    size_t count = add(operand, 0, "g", n, SCO_IN, SCO_FILL_SIGNED);
    for (int k = 0; k < 3; k++)
        count = add(operand, count, m[k], n, role, SCO_FILL_SIGNED);
    return add(operand, count, "v", n, role, SCO_FILL_POSITIVE);
}

static size_t add_panel(struct sco_operand *operand, const size_t dim[], enum sco_role role)
{
    static const char *const names[] = {"rho0", "rho1", "rho2", "gam0", "gam1", "gam2"};
    size_t count = add_state(operand, extent(dim), role);
    for (size_t k = 0; k < SCO_LEN(names); k++)
        count = add(operand, count, names[k], dim[k < 3 ? 0 : 1], SCO_IN, SCO_FILL_POSITIVE);
    return count;
}

static struct sco_velo_panel make_panel(const size_t dim[], void *const buffer[])
{
    struct sco_velo_panel panel = {
        .rows = dim[0], .cols = dim[1], .stride = (ptrdiff_t)(dim[1] + dim[2]), .g = buffer[G], .v = buffer[V]};
    for (int k = 0; k < 3; k++) {
        panel.m[k] = buffer[M + k];
        panel.row_factor[k] = buffer[ROW_FACTOR + k];
        panel.col_factor[k] = buffer[COL_FACTOR + k];
    }
    return panel;
}

static size_t statistics_operands(const size_t dim[], struct sco_operand operand[SCO_CASE_OPERANDS])
{
    return add_sums(operand, add_panel(operand, dim, SCO_IN), "sums", SCO_VELO_SUMS, SUM_K);
}

static void statistics_run(const void *ops, const size_t dim[], void *const buffer[])
{
    const struct sco_velo_panel panel = make_panel(dim, buffer);
    ((const struct sco_velo_ops *)ops)->statistics(&panel, buffer[FACTOR_END]);
}

/* Value and scale of sums. A product whose factors, partial products or value leave the range of a float at either end
 * is lost to a row that multiplies in float, and not to one that does so in double: the scale says so. */
struct oracle {
    double *value, *scale;
};

static void add_term(const struct oracle *to, int slot, double a, double b, double c)
{
    static const double lost = 0x1p-125; /* a denormal's absolute error as a relative one */
    const double magnitude = (fabs(a) + lost) * (fabs(b) + lost) * (fabs(c) + lost);
    const double most = fmax(fmax(fabs(a), fabs(b)), fmax(fabs(a * b), fmax(fabs(c), fabs(a * b * c))));
    to->value[slot] += a * b * c;
    to->scale[slot] += most > (double)FLT_MAX ? (double)INFINITY : magnitude;
}

static void add_sum(const struct oracle *to, int slot, double x)
{
    add_term(to, slot, x, 1.0, 1.0);
}

/* New momenta and second moment as they are defined, to the bit; features from them in double. Returns the clipped g. */
static double add_common(const struct oracle *to, void *const before[], size_t i, double m[3])
{
    const float *gradient = before[G], *v = before[V];
    const float g = (float)clipped(gradient[i], 1000.0), share = (1.0f - decay[2]) * g;
    const float v_new = fmaf(decay[2], v[i], share * g);
    const double s2 = (double)(1.0f / (v_new + 1e-6f)), g2 = (double)g * (double)g;
    for (int k = 0; k < 3; k++) {
        const float *momentum = before[M + k];
        m[k] = (double)fmaf(decay[k], momentum[i], (1.0f - decay[k]) * g);
        add_sum(to, SCO_VELO_M + k, m[k] * m[k]);
        add_term(to, SCO_VELO_MS + k, m[k] * m[k], s2, 1.0);
        add_sum(to, SCO_VELO_SUM_M + k, m[k]);
    }
    const double c = clipped(g, (double)0.1f);
    add_sum(to, SCO_VELO_G, g2);
    add_sum(to, SCO_VELO_CLIP, c * c);
    add_sum(to, SCO_VELO_V, (double)v_new * (double)v_new);
    add_sum(to, SCO_VELO_S, s2);
    add_term(to, SCO_VELO_GS, g2, s2, 1.0);
    add_sum(to, SCO_VELO_SUM_V, (double)v_new);
    return (double)g;
}

/* Lanes of float overflow earlier than the double that they are added to. */
static void finish(const struct oracle *to)
{
    for (int i = 0; i < SCO_VELO_SUMS; i++)
        to->scale[i] = to->scale[i] > (double)FLT_MAX ? (double)INFINITY : to->scale[i];
}

static void statistics_oracle(const size_t dim[], void *const before[], size_t operand, double *value, double *scale)
{
    const struct oracle to = {value, scale};
    (void)operand;
    for (int i = 0; i < SCO_VELO_SUMS; i++)
        value[i] = scale[i] = 0.0;
    for (size_t i = 0; i < dim[0]; i++)
        for (size_t j = 0; j < dim[1]; j++) {
            double m[3];
            const double g = add_common(&to, before, i * (dim[1] + dim[2]) + j, m);
            for (int k = 0; k < 3; k++) {
                const double rho = (double)((const float *)before[ROW_FACTOR + k])[i];
                const double gam = (double)((const float *)before[COL_FACTOR + k])[j];
                add_term(&to, SCO_VELO_GF + k, g * g, gam * gam, rho * rho);
                add_term(&to, SCO_VELO_MF + k, m[k] * m[k], gam * gam, rho * rho);
            }
        }
    finish(&to);
}

static double statistics_flops(const size_t dim[])
{
    return 62.0 * panel_items(dim);
}

static double statistics_bytes(const size_t dim[])
{
    return 20.0 * panel_items(dim);
}

/* buffer: panel, p, row_hidden, col_hidden, mlp, squares */
enum { P = FACTOR_END, HIDDEN_ROW, HIDDEN_COL, WEIGHTS = HIDDEN_COL + 4, SQUARES };

static size_t mlp_operands(const size_t dim[], struct sco_operand operand[SCO_CASE_OPERANDS])
{
    static const char *const hidden[4] = {"col_hidden0", "col_hidden1", "col_hidden2", "col_hidden3"};
    size_t count = add_panel(operand, dim, SCO_INOUT);
    count = add(operand, count, "p", extent(dim), SCO_INOUT, SCO_FILL_SIGNED);
    count = add(operand, count, "row_hidden", 4 * dim[0], SCO_IN, SCO_FILL_SIGNED);
    for (int j = 0; j < 4; j++)
        count = add(operand, count, hidden[j], dim[1], SCO_IN, SCO_FILL_SIGNED);
    count = add(operand, count, "mlp", sizeof(struct sco_velo_mlp) / sizeof(float), SCO_IN, SCO_FILL_SIGNED);
    return add_sums(operand, count, "squares", 1, SUM_K);
}

static void mlp_run(const void *ops, const size_t dim[], void *const buffer[])
{
    struct sco_velo_panel panel = make_panel(dim, buffer);
    panel.p = buffer[P];
    panel.row_hidden = buffer[HIDDEN_ROW];
    for (int j = 0; j < 4; j++)
        panel.col_hidden[j] = buffer[HIDDEN_COL + j];
    *(double *)buffer[SQUARES] = ((const struct sco_velo_ops *)ops)->mlp(&panel, buffer[WEIGHTS]);
}

/* The squares that the scalar row adds up in double; its p is right where the recorded runs are. */
typedef size_t operands_fn(const size_t dim[], struct sco_operand operand[SCO_CASE_OPERANDS]);
typedef void run_fn(const void *ops, const size_t dim[], void *const buffer[]);

static void scalar_oracle(operands_fn *list, run_fn *run, const size_t dim[], void *const before[], size_t operand,
                          double *value, double *scale)
{
    struct sco_velo_ops ops;
    struct sco_operand operands[SCO_CASE_OPERANDS];
    void *copy[SCO_CASE_OPERANDS];
    const size_t count = list(dim, operands);
    sco_family_pin(&sco_velo_family, 0, 0, &ops);
    for (size_t i = 0; i < count; i++) {
        const size_t bytes = operands[i].count * operands[i].element_bytes;
        copy[i] = malloc(bytes + 1);
        if (copy[i] == NULL)
            abort();
        memcpy(copy[i], before[i], bytes);
    }
    run(&ops, dim, copy);
    value[0] = *(double *)copy[operand];
    scale[0] = value[0] > (double)FLT_MAX ? (double)INFINITY : value[0];
    for (size_t i = 0; i < count; i++)
        free(copy[i]);
}

static void mlp_oracle(const size_t dim[], void *const before[], size_t operand, double *value, double *scale)
{
    scalar_oracle(mlp_operands, mlp_run, dim, before, operand, value, scale);
}

static double mlp_flops(const size_t dim[])
{
    return 237.0 * panel_items(dim);
}

static double mlp_bytes(const size_t dim[])
{
    return 44.0 * panel_items(dim);
}

/* ---- Slices: dim is n. buffer: g, m, v, D, sums or p, mlp, squares ---- */

enum { D = STATE_END, D_END = D + 3, SLICE_P = D_END, SLICE_WEIGHTS, SLICE_SQUARES };

static size_t add_slice(struct sco_operand *operand, size_t n, enum sco_role role)
{
    static const char *const d[3] = {"d0", "d1", "d2"};
    size_t count = add_state(operand, n, role);
    for (int k = 0; k < 3; k++)
        count = add(operand, count, d[k], n, role, SCO_FILL_POSITIVE);
    return count;
}

static struct sco_velo_slice make_slice(size_t n, void *const buffer[])
{
    struct sco_velo_slice slice = {.n = n, .g = buffer[G], .v = buffer[V]};
    for (int k = 0; k < 3; k++) {
        slice.m[k] = buffer[M + k];
        slice.d[k] = buffer[D + k];
    }
    return slice;
}

static size_t statistics_diag_operands(const size_t dim[], struct sco_operand operand[SCO_CASE_OPERANDS])
{
    return add_sums(operand, add_slice(operand, dim[0], SCO_IN), "sums", SCO_VELO_SUMS, SUM_K);
}

static void statistics_diag_run(const void *ops, const size_t dim[], void *const buffer[])
{
    const struct sco_velo_slice slice = make_slice(dim[0], buffer);
    ((const struct sco_velo_ops *)ops)->statistics_diag(&slice, buffer[D_END]);
}

static void statistics_diag_oracle(const size_t dim[], void *const before[], size_t operand, double *value,
                                   double *scale)
{
    const struct oracle to = {value, scale};
    (void)operand;
    for (int i = 0; i < SCO_VELO_SUMS; i++)
        value[i] = scale[i] = 0.0;
    for (size_t i = 0; i < dim[0]; i++) {
        double m[3];
        const double g = add_common(&to, before, i, m);
        for (int k = 0; k < 3; k++) {
            const float *d_old = before[D + k];
            const float d = fmaf(decay[k], d_old[i], (1.0f - decay[k]) * fmaf((float)g, (float)g, 1e-30f));
            add_term(&to, SCO_VELO_GF + k, g * g, 1.0 / (double)(d + 1e-9f), 1.0);
            add_term(&to, SCO_VELO_MF + k, m[k] * m[k], 1.0 / (double)d, 1.0);
            add_sum(&to, SCO_VELO_SUM_D + k, (double)d * (double)d);
            add_sum(&to, SCO_VELO_SUM_RD + k, 1.0 / (double)(d + 1e-8f));
        }
    }
    finish(&to);
}

static double slice_items(const size_t dim[])
{
    return (double)dim[0];
}

static double statistics_diag_flops(const size_t dim[])
{
    return 88.0 * (double)dim[0];
}

static double statistics_diag_bytes(const size_t dim[])
{
    return 32.0 * (double)dim[0];
}

static void slice_size(size_t bytes, size_t dim[])
{
    dim[0] = bytes / (9 * sizeof(float));
}

static size_t mlp_diag_operands(const size_t dim[], struct sco_operand operand[SCO_CASE_OPERANDS])
{
    size_t count = add_slice(operand, dim[0], SCO_INOUT);
    count = add(operand, count, "p", dim[0], SCO_INOUT, SCO_FILL_SIGNED);
    count = add(operand, count, "mlp", sizeof(struct sco_velo_mlp) / sizeof(float), SCO_IN, SCO_FILL_SIGNED);
    return add_sums(operand, count, "squares", 1, SUM_K);
}

static void mlp_diag_run(const void *ops, const size_t dim[], void *const buffer[])
{
    struct sco_velo_slice slice = make_slice(dim[0], buffer);
    slice.p = buffer[SLICE_P];
    *(double *)buffer[SLICE_SQUARES] = ((const struct sco_velo_ops *)ops)->mlp_diag(&slice, buffer[SLICE_WEIGHTS]);
}

static void mlp_diag_oracle(const size_t dim[], void *const before[], size_t operand, double *value, double *scale)
{
    scalar_oracle(mlp_diag_operands, mlp_diag_run, dim, before, operand, value, scale);
}

static double mlp_diag_flops(const size_t dim[])
{
    return 310.0 * (double)dim[0];
}

static double mlp_diag_bytes(const size_t dim[])
{
    return 68.0 * (double)dim[0];
}

/* ---- Row and column vectors: dim is n ---- */

/* buffer: square_sum, a, sum */
enum { SQUARE_SUM, A, A_END = A + 3 };

static size_t add_vectors(struct sco_operand *operand, size_t at, size_t n, enum sco_role role)
{
    static const char *const a[3] = {"a0", "a1", "a2"};
    for (int k = 0; k < 3; k++)
        at = add(operand, at, a[k], n, role, SCO_FILL_POSITIVE);
    return at;
}

static size_t accumulate_operands(const size_t dim[], struct sco_operand operand[SCO_CASE_OPERANDS])
{
    size_t count = add(operand, 0, "square_sum", dim[0], SCO_IN, SCO_FILL_POSITIVE);
    count = add_vectors(operand, count, dim[0], SCO_INOUT);
    return add_sums(operand, count, "sum", 3, DOUBLE_K);
}

static void accumulate_run(const void *ops, const size_t dim[], void *const buffer[])
{
    float *const a[3] = {buffer[A], buffer[A + 1], buffer[A + 2]};
    ((const struct sco_velo_ops *)ops)->accumulate(dim[0], buffer[SQUARE_SUM], 147.0f, a, buffer[A_END]);
}

static void accumulate_oracle(const size_t dim[], void *const before[], size_t operand, double *value, double *scale)
{
    const float *square_sum = before[SQUARE_SUM];
    (void)operand;
    for (int k = 0; k < 3; k++) {
        const float *a = before[A + k];
        value[k] = 0.0;
        for (size_t i = 0; i < dim[0]; i++)
            value[k] += (double)fmaf(decay[k], a[i], (1.0f - decay[k]) * (square_sum[i] / 147.0f + 1e-30f));
        scale[k] = value[k];
    }
}

static double accumulate_flops(const size_t dim[])
{
    return 14.0 * (double)dim[0];
}

static double accumulate_bytes(const size_t dim[])
{
    return 28.0 * (double)dim[0];
}

static void vector_size(size_t bytes, size_t dim[])
{
    dim[0] = bytes / (6 * sizeof(float));
}

/* buffer: a, factor, square, reciprocal */
enum { FACTOR_OUT = 3, SQUARE = FACTOR_OUT + 3, RECIPROCAL };

static size_t factor_operands(const size_t dim[], struct sco_operand operand[SCO_CASE_OPERANDS])
{
    static const char *const factor[3] = {"factor0", "factor1", "factor2"};
    size_t count = add_vectors(operand, 0, dim[0], SCO_IN);
    for (int k = 0; k < 3; k++)
        count = add(operand, count, factor[k], dim[0], SCO_OUT, SCO_FILL_POSITIVE);
    count = add_sums(operand, count, "square", 3, DOUBLE_K);
    return add_sums(operand, count, "reciprocal", 3, DOUBLE_K);
}

static void factor_call(const void *ops, const size_t dim[], void *const buffer[], const float *mean)
{
    const float *const a[3] = {buffer[0], buffer[1], buffer[2]};
    float *const factor[3] = {buffer[FACTOR_OUT], buffer[FACTOR_OUT + 1], buffer[FACTOR_OUT + 2]};
    ((const struct sco_velo_ops *)ops)->factor(dim[0], a, mean, factor, buffer[SQUARE], buffer[RECIPROCAL]);
}

static void factor_run(const void *ops, const size_t dim[], void *const buffer[])
{
    factor_call(ops, dim, buffer, NULL);
}

static void factor_mean_run(const void *ops, const size_t dim[], void *const buffer[])
{
    static const float mean[3] = {0.3f, 0.7f, 1.1f};
    factor_call(ops, dim, buffer, mean);
}

static void factor_oracle(const size_t dim[], void *const before[], size_t operand, double *value, double *scale)
{
    for (int k = 0; k < 3; k++) {
        const float *a = before[k];
        value[k] = 0.0;
        for (size_t i = 0; i < dim[0]; i++)
            value[k] += operand == SQUARE ? (double)a[i] * (double)a[i] : 1.0 / (double)(a[i] + 1e-8f);
        scale[k] = value[k];
    }
}

static double factor_flops(const size_t dim[])
{
    return 21.0 * (double)dim[0];
}

static double factor_mean_flops(const size_t dim[])
{
    return 24.0 * (double)dim[0];
}

static double factor_bytes(const size_t dim[])
{
    return 24.0 * (double)dim[0];
}

/* buffer: a, weights of a, of 1 / sqrt(a + 1e-8), bias, then one interleaved array or four planes */
enum { WA = 3, WRA, BIAS, HIDDEN };

static size_t add_hidden(struct sco_operand *operand, size_t n)
{
    size_t count = add_vectors(operand, 0, n, SCO_IN);
    count = add(operand, count, "wa", 12, SCO_IN, SCO_FILL_SIGNED);
    count = add(operand, count, "wra", 12, SCO_IN, SCO_FILL_SIGNED);
    return add(operand, count, "b", 4, SCO_IN, SCO_FILL_SIGNED);
}

static size_t hidden_rows_operands(const size_t dim[], struct sco_operand operand[SCO_CASE_OPERANDS])
{
    return add(operand, add_hidden(operand, dim[0]), "hidden", 4 * dim[0], SCO_OUT, SCO_FILL_SIGNED);
}

static void hidden_rows_run(const void *ops, const size_t dim[], void *const buffer[])
{
    const float *const a[3] = {buffer[0], buffer[1], buffer[2]};
    ((const struct sco_velo_ops *)ops)->hidden_rows(dim[0], a, buffer[WA], buffer[WRA], buffer[BIAS], buffer[HIDDEN]);
}

static size_t hidden_cols_operands(const size_t dim[], struct sco_operand operand[SCO_CASE_OPERANDS])
{
    static const char *const plane[4] = {"hidden0", "hidden1", "hidden2", "hidden3"};
    size_t count = add_hidden(operand, dim[0]);
    for (int j = 0; j < 4; j++)
        count = add(operand, count, plane[j], dim[0], SCO_OUT, SCO_FILL_SIGNED);
    return count;
}

static void hidden_cols_run(const void *ops, const size_t dim[], void *const buffer[])
{
    const float *const a[3] = {buffer[0], buffer[1], buffer[2]};
    float *const hidden[4] = {buffer[HIDDEN], buffer[HIDDEN + 1], buffer[HIDDEN + 2], buffer[HIDDEN + 3]};
    ((const struct sco_velo_ops *)ops)->hidden_cols(dim[0], a, buffer[WA], buffer[WRA], buffer[BIAS], hidden);
}

static double hidden_flops(const size_t dim[])
{
    return 57.0 * (double)dim[0];
}

static double hidden_bytes(const size_t dim[])
{
    return 28.0 * (double)dim[0];
}

#define PANEL_CASE(case_name, slot_number, prefix)                                                                     \
    {                                                                                                                  \
        .name = case_name, .family = &sco_velo_family, .slot = slot_number, .dim_count = 3,                            \
        .dim_names = {"rows", "cols", "gap"}, .operands = prefix##_operands, .run = prefix##_run,                      \
        .oracle = prefix##_oracle, .flops = prefix##_flops, .bytes = prefix##_bytes, .items = panel_items,             \
        .size = panel_size, .shapes = panel_shapes, .shape_count = SCO_LEN(panel_shapes)                               \
    }
#define SLICE_CASE(case_name, slot_number, list, function, check, cost, traffic, sizes)                                \
    {                                                                                                                  \
        .name = case_name, .family = &sco_velo_family, .slot = slot_number, .dim_count = 1, .dim_names = {"n"},        \
        .operands = list, .run = function, .oracle = check, .flops = cost, .bytes = traffic, .items = slice_items,     \
        .size = sizes                                                                                                  \
    }
static const struct sco_case cases[] = {
    PANEL_CASE("velo.square_sums", SQUARE_SUMS, squares),
    PANEL_CASE("velo.statistics", STATISTICS, statistics),
    SLICE_CASE("velo.statistics_diag", STATISTICS_DIAG, statistics_diag_operands, statistics_diag_run,
               statistics_diag_oracle, statistics_diag_flops, statistics_diag_bytes, slice_size),
    PANEL_CASE("velo.mlp", MLP, mlp),
    SLICE_CASE("velo.mlp_diag", MLP_DIAG, mlp_diag_operands, mlp_diag_run, mlp_diag_oracle, mlp_diag_flops,
               mlp_diag_bytes, slice_size),
    SLICE_CASE("velo.accumulate", ACCUMULATE, accumulate_operands, accumulate_run, accumulate_oracle, accumulate_flops,
               accumulate_bytes, vector_size),
    SLICE_CASE("velo.factor", FACTOR, factor_operands, factor_run, factor_oracle, factor_flops, factor_bytes,
               vector_size),
    SLICE_CASE("velo.factor/mean", FACTOR, factor_operands, factor_mean_run, factor_oracle, factor_mean_flops,
               factor_bytes, vector_size),
    SLICE_CASE("velo.hidden_rows", HIDDEN_ROWS, hidden_rows_operands, hidden_rows_run, NULL, hidden_flops, hidden_bytes,
               vector_size),
    SLICE_CASE("velo.hidden_cols", HIDDEN_COLS, hidden_cols_operands, hidden_cols_run, NULL, hidden_flops, hidden_bytes,
               vector_size),
};

const struct sco_case_list sco_velo_cases = {cases, SCO_LEN(cases)};

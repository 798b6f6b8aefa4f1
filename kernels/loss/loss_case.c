/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>

#include "kernels/case.h"
#include "kernels/loss/loss.h"

enum { SLOT_XENT, SLOT_BCE, SLOT_L1 };

/* Beyond +-1 so that products and signs show; not powers of two, so that rounding does. */
#define SMOOTHING 0.1f
#define SCALE     0.37f

static size_t add(struct sco_operand *operand, size_t at, const char *name, size_t count, size_t bytes,
                  enum sco_role role)
{
    operand[at] = (struct sco_operand){name, count, bytes, role, SCO_FILL_SIGNED, SCO_EXACT, 0.0};
    return at + 1;
}

/* ---- Softmax cross-entropy. dim: rows, classes; buffer: x, label, loss, dx, done ---- */

static size_t xent_operands(const size_t dim[], struct sco_operand operand[SCO_CASE_OPERANDS])
{
    size_t count = add(operand, 0, "x", dim[0] * dim[1], sizeof(float), SCO_IN);
    count = add(operand, count, "label", dim[0], sizeof(int32_t), SCO_IN);
    count = add(operand, count, "loss", dim[0], sizeof(float), SCO_OUT);
    count = add(operand, count, "dx", dim[0] * dim[1], sizeof(float), SCO_OUT);
    return add(operand, count, "done", 1, sizeof(double), SCO_OUT);
}

static int32_t label_of(const size_t dim[], size_t row)
{
    if (row % 5 == 3 || dim[1] == 0)
        return -1; /* padding */
    return (int32_t)((row * 7 + dim[1] - 1) % dim[1]);
}

static void xent_prepare(const size_t dim[], void *const buffer[])
{
    int32_t *label = buffer[1];
    for (size_t r = 0; r < dim[0]; r++)
        label[r] = label_of(dim, r);
}

/* Row 2 has a label one past the classes: rows before it are done, the others untouched. */
static void bad_label_prepare(const size_t dim[], void *const buffer[])
{
    xent_prepare(dim, buffer);
    int32_t *label = buffer[1];
    if (dim[0] > 2)
        label[2] = (int32_t)dim[1];
}

static void bad_label_run(const void *ops, const size_t dim[], void *const buffer[])
{
    float *loss = buffer[2], *dx = buffer[3];
    for (size_t r = 0; r < dim[0]; r++)
        loss[r] = 1.0f;
    for (size_t i = 0; i < dim[0] * dim[1]; i++)
        dx[i] = 1.0f;
    *(double *)buffer[4] = (double)((const struct sco_loss_ops *)ops)
                               ->softmax_xent(0, dim[0], dim[1], buffer[0], buffer[1], 0.0f, SCALE, loss, dx);
}

static void xent_run(const void *ops, const size_t dim[], void *const buffer[])
{
    *(double *)buffer[4] =
        (double)((const struct sco_loss_ops *)ops)
            ->softmax_xent(0, dim[0], dim[1], buffer[0], buffer[1], SMOOTHING, SCALE, buffer[2], buffer[3]);
}

/* Without a gradient, in the middle of the rows. */
static size_t evaluate_operands(const size_t dim[], struct sco_operand operand[SCO_CASE_OPERANDS])
{
    size_t count = add(operand, 0, "x", dim[0] * dim[1], sizeof(float), SCO_IN);
    count = add(operand, count, "label", dim[0], sizeof(int32_t), SCO_IN);
    return add(operand, count, "loss", dim[0], sizeof(float), SCO_OUT);
}

static void evaluate_run(const void *ops, const size_t dim[], void *const buffer[])
{
    float *loss = buffer[2];
    const size_t first = dim[0] / 3;
    for (size_t r = 0; r < first; r++)
        loss[r] = 0.0f;
    ((const struct sco_loss_ops *)ops)
        ->softmax_xent(first, dim[0], dim[1], buffer[0], buffer[1], 0.0f, SCALE, loss, NULL);
}

static size_t accuracy_operands(const size_t dim[], struct sco_operand operand[SCO_CASE_OPERANDS])
{
    const size_t count = xent_operands(dim, operand);
    /* The float sum of exponentials rounds once an addition: classes / 16 in a virtual lane and four to fold. */
    const double sum = (double)(dim[1] / 16 + 4);
    operand[2].bound = operand[3].bound = SCO_GAMMA;
    operand[2].k = 2.0 * (sum + 4.0);
    operand[3].k = 2.0 * (sum + 6.0);
    return count;
}

static void xent_oracle(const size_t dim[], void *const before[], size_t operand, double *value, double *scale)
{
    const float *x = before[0];
    const size_t classes = dim[1];
    for (size_t r = 0; r < dim[0]; r++) {
        const int32_t label = label_of(dim, r);
        const float *row = x + r * classes;
        double peak = -(double)INFINITY, sum = 0.0, all = 0.0, magnitude = 1.0;
        for (size_t j = 0; j < classes; j++)
            peak = fmax(peak, (double)row[j]);
        for (size_t j = 0; j < classes; j++) {
            sum += exp((double)row[j] - peak);
            all += (double)row[j];
            magnitude += fabs((double)row[j]);
        }
        const double share = (double)SMOOTHING / (double)classes, hit = 1.0 - (double)SMOOTHING;
        if (operand == 2) {
            value[r] = label < 0 ? 0.0 : log(sum) + peak - hit * (double)row[label] - share * all;
            scale[r] = 1.0 + fabs(peak) + (label < 0 ? 0.0 : fabs((double)row[label])) + share * magnitude;
            continue;
        }
        for (size_t j = 0; j < classes; j++) {
            const double target = share + (label == (int32_t)j ? hit : 0.0);
            const double p = exp((double)row[j] - peak) / sum;
            value[r * classes + j] = label < 0 ? 0.0 : (double)SCALE * (p - target);
            /* The argument of the exponential rounds once, relative to its own size. */
            scale[r * classes + j] = (double)SCALE * (target + p * (1.0 + fabs((double)row[j] - peak)) + 0x1p-100);
        }
    }
}

static double xent_flops(const size_t dim[])
{
    return 20.0 * (double)dim[0] * (double)dim[1];
}

static double xent_bytes(const size_t dim[])
{
    return 8.0 * (double)dim[0] * (double)dim[1];
}

static double xent_items(const size_t dim[])
{
    return (double)dim[0] * (double)dim[1];
}

/* ImageNet's classes. */
static void xent_size(size_t bytes, size_t dim[])
{
    dim[1] = 1000;
    dim[0] = bytes / (8 * dim[1]) + 1;
}

static const size_t xent_shapes[][SCO_CASE_DIMS] = {
    {0, 5},  {3, 0},  {1, 1},  {4, 2},  {2, 3},  {5, 7},  {2, 15},  {6, 16},   {3, 17},    {4, 31},
    {2, 32}, {3, 33}, {4, 47}, {2, 64}, {3, 97}, {9, 10}, {4, 128}, {2, 1000}, {13, 1000}, {6, 1001},
};

/* ---- Binary cross-entropy and absolute error. buffer: x, label, dx, sum (sum, count) ---- */

static size_t pair_operands(const size_t dim[], struct sco_operand operand[SCO_CASE_OPERANDS])
{
    size_t count = add(operand, 0, "x", dim[0], sizeof(float), SCO_IN);
    count = add(operand, count, "label", dim[0], sizeof(float), SCO_IN);
    count = add(operand, count, "dx", dim[0], sizeof(float), SCO_OUT);
    return add(operand, count, "sum", 2, sizeof(double), SCO_OUT);
}

static void bce_prepare(const size_t dim[], void *const buffer[])
{
    float *label = buffer[1];
    for (size_t i = 0; i < dim[0]; i++)
        label[i] = i * i % 7 == 2 ? NAN : (float)(i % 3 == 0);
}

static void bce_run(const void *ops, const size_t dim[], void *const buffer[])
{
    const struct sco_loss_sum s =
        ((const struct sco_loss_ops *)ops)->sigmoid_bce(dim[0], buffer[0], buffer[1], SCALE, buffer[2]);
    ((double *)buffer[3])[0] = s.sum;
    ((double *)buffer[3])[1] = s.count;
}

static void l1_run(const void *ops, const size_t dim[], void *const buffer[])
{
    const struct sco_loss_sum s =
        ((const struct sco_loss_ops *)ops)->l1(dim[0], buffer[0], buffer[1], SCALE, buffer[2]);
    ((double *)buffer[3])[0] = s.sum;
    ((double *)buffer[3])[1] = s.count;
}

static size_t bce_accuracy_operands(const size_t dim[], struct sco_operand operand[SCO_CASE_OPERANDS])
{
    const size_t count = pair_operands(dim, operand);
    operand[2].bound = operand[3].bound = SCO_GAMMA;
    operand[2].k = operand[3].k = 8.0;
    return count;
}

static void bce_oracle(const size_t dim[], void *const before[], size_t operand, double *value, double *scale)
{
    const float *x = before[0], *label = before[1];
    if (operand == 3)
        value[0] = value[1] = scale[0] = scale[1] = 0.0;
    for (size_t i = 0; i < dim[0]; i++) {
        const double xi = (double)x[i], z = (double)label[i], e = exp(-fabs(xi));
        if (operand == 2) {
            value[i] = isnan(z) ? 0.0 : (double)SCALE * ((xi < 0.0 ? e : 1.0) / (1.0 + e) - z);
            scale[i] = (double)SCALE;
        } else if (!isnan(z)) {
            value[0] += fmax(xi, 0.0) - xi * z + log1p(e);
            scale[0] += fmax(xi, 0.0) + fabs(xi * z) + log1p(e);
            value[1] += 1.0, scale[1] += 1.0;
        }
    }
}

static double bce_flops(const size_t dim[])
{
    return 45.0 * (double)dim[0];
}

static double l1_flops(const size_t dim[])
{
    return 4.0 * (double)dim[0];
}

static double pair_bytes(const size_t dim[])
{
    return 12.0 * (double)dim[0];
}

static double pair_items(const size_t dim[])
{
    return (double)dim[0];
}

static void pair_size(size_t bytes, size_t dim[])
{
    dim[0] = bytes / 12;
}

#define XENT_CASE(variant, prepare_function, operands_function, run_function, ...)                                     \
    {                                                                                                                  \
        .name = "loss.softmax_xent" variant, .family = &sco_loss_family, .slot = SLOT_XENT, .dim_count = 2,            \
        .dim_names = {"rows", "classes"}, .operands = operands_function, .prepare = prepare_function,                  \
        .run = run_function, .flops = xent_flops, .bytes = xent_bytes, .items = xent_items, .size = xent_size,         \
        .shapes = xent_shapes, .shape_count = SCO_LEN(xent_shapes), __VA_ARGS__                                        \
    }
#define PAIR_CASE(case_name, case_slot, run_function, flops_function, ...)                                             \
    {                                                                                                                  \
        .name = case_name, .family = &sco_loss_family, .slot = case_slot, .dim_count = 1, .dim_names = {"n"},          \
        .run = run_function, .flops = flops_function, .bytes = pair_bytes, .items = pair_items, .size = pair_size,     \
        __VA_ARGS__                                                                                                    \
    }
static const struct sco_case cases[] = {
    XENT_CASE("", xent_prepare, xent_operands, xent_run, .oracle = NULL),
    XENT_CASE("/evaluate", xent_prepare, evaluate_operands, evaluate_run, .oracle = NULL),
    XENT_CASE("/bad_label", bad_label_prepare, xent_operands, bad_label_run, .oracle = NULL),
    XENT_CASE("/accuracy", xent_prepare, accuracy_operands, xent_run, .oracle = xent_oracle, .finite = 1),
    PAIR_CASE("loss.sigmoid_bce", SLOT_BCE, bce_run, bce_flops, .operands = pair_operands, .prepare = bce_prepare),
    PAIR_CASE("loss.sigmoid_bce/accuracy", SLOT_BCE, bce_run, bce_flops, .operands = bce_accuracy_operands,
              .prepare = bce_prepare, .oracle = bce_oracle, .finite = 1),
    PAIR_CASE("loss.l1", SLOT_L1, l1_run, l1_flops, .operands = pair_operands),
};
const struct sco_case_list sco_loss_cases = {cases, SCO_LEN(cases)};

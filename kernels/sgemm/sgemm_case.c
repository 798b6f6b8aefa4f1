/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>

#include "kernels/case.h"
#include "kernels/sgemm/sgemm.h"

/* What surrounds the product: nothing; everything, between gaps; a sum onto C in a batch that shares B; or ReLU. */
enum { PLAIN, FUSED, BATCHED, RELU };
enum { D_M, D_N, D_K, D_TRANS_A, D_TRANS_B, D_KIND, DIMS };
enum { BUFFER_A, BUFFER_B, BUFFER_BIAS, BUFFER_C, BUFFER_SCRATCH, BUFFERS };

static struct sco_gemm_shape shape_of(const size_t dim[])
{
    struct sco_gemm_shape s = {.M = dim[D_M], .N = dim[D_N], .K = dim[D_K], .alpha = 1.0f};
    s.trans_a = (int)dim[D_TRANS_A];
    s.trans_b = (int)dim[D_TRANS_B];
    s = sco_sgemm_full(&s);
    if (dim[D_KIND] == FUSED) {
        s.lda += 3;
        s.ldb += 5;
        s.ldc += 7;
        s.alpha = -1.0f; /* any other may overflow, before the sum or after it as a row likes */
        s.beta = 0.5f;
        s.bias = 1;
        s.activation = SCO_GEMM_LEAKY_RELU;
        s.slope = 0.25f;
    } else if (dim[D_KIND] == BATCHED) {
        s.batch = 3;
        s.a_step = (s.trans_a ? s.K : s.M) * s.lda + 1;
        s.c_step = s.M * s.ldc + 2;
        s.beta = 1.0f;
    } else if (dim[D_KIND] == RELU) {
        s.alpha = 1.5f;
        s.bias = 1;
        s.activation = SCO_GEMM_RELU;
    }
    return s;
}

/* Floats from the first to the last of batch matrices of rows x width. */
static size_t extent(size_t rows, size_t width, size_t ld, size_t step, size_t batch)
{
    return rows == 0 || width == 0 ? 0 : (batch - 1) * step + (rows - 1) * ld + width;
}

static size_t gemm_operands(const size_t dim[], struct sco_operand operand[SCO_CASE_OPERANDS])
{
    const struct sco_gemm_shape s = shape_of(dim);
    const size_t a_rows = s.trans_a ? s.K : s.M, b_rows = s.trans_b ? s.N : s.K;
    const struct sco_operand in = {"A", 0, sizeof(float), SCO_IN, SCO_FILL_SIGNED, SCO_EXACT, 0.0};
    for (size_t i = 0; i < BUFFERS; i++)
        operand[i] = in;
    operand[BUFFER_A].count = extent(a_rows, s.M * s.K == 0 ? 0 : s.M * s.K / a_rows, s.lda, s.a_step, s.batch);
    operand[BUFFER_B].name = "B";
    operand[BUFFER_B].count = extent(b_rows, s.N * s.K == 0 ? 0 : s.N * s.K / b_rows, s.ldb, 0, 1);
    operand[BUFFER_BIAS].name = "bias";
    operand[BUFFER_BIAS].count = s.bias ? s.N : 0;
    operand[BUFFER_C] = (struct sco_operand){"C",
                                             extent(s.M, s.N, s.ldc, s.c_step, s.batch),
                                             sizeof(float),
                                             s.beta == 0.0f && s.ldc == s.N ? SCO_OUT : SCO_INOUT,
                                             SCO_FILL_SIGNED,
                                             SCO_GAMMA,
                                             sco_sgemm_error(s.K)};
    operand[BUFFER_SCRATCH].name = "scratch";
    operand[BUFFER_SCRATCH].count = sco_sgemm_scratch_most(s.M, s.K) / sizeof(float);
    operand[BUFFER_SCRATCH].role = SCO_SCRATCH;
    return BUFFERS;
}

/* Tasks run one by one from the last, since their order must not matter. A plan that wants too much scratch leaves C as
 * it was, which is not the product. */
static void gemm_run(const void *ops, const size_t dim[], void *const buffer[])
{
    const struct sco_gemm_shape s = shape_of(dim);
    struct sco_sgemm_plan plan;
    const size_t most = sco_sgemm_scratch_most(s.M, s.K);
    if (!((const struct sco_sgemm_ops *)ops)->plan(&s, &plan)) {
        struct sco_sgemm_ops scalar;
        sco_sgemm_fill_scalar(&scalar, 0);
        scalar.plan(&s, &plan);
    }
    if (plan.scratch_bytes > most)
        return;
    struct sco_sgemm_args args = {buffer[BUFFER_A], buffer[BUFFER_B], s.bias ? buffer[BUFFER_BIAS] : NULL,
                                  buffer[BUFFER_C], buffer[BUFFER_SCRATCH]};
    args.scratch += (most - plan.scratch_bytes) / sizeof(float); /* flush with its end */
    if (plan.small != NULL)
        plan.small(&plan, args.A, args.B, args.C, args.bias);
    else
        for (size_t task = plan.tasks; task-- > 0;)
            plan.run(&plan, &args, task, task + 1);
}

static double activate(double x, const struct sco_gemm_shape *s)
{
    if (s->activation == SCO_GEMM_LINEAR || !(x < 0.0))
        return x;
    return s->activation == SCO_GEMM_RELU ? 0.0 : (double)s->slope * x;
}

static void gemm_oracle(const size_t dim[], void *const before[], size_t operand, double *value, double *scale)
{
    const struct sco_gemm_shape s = shape_of(dim);
    const float *bias = before[BUFFER_BIAS], *C = before[BUFFER_C];
    (void)operand;
    const size_t count = extent(s.M, s.N, s.ldc, s.c_step, s.batch);
    for (size_t at = 0; at < count; at++) { /* gaps keep their bits */
        value[at] = (double)C[at];
        scale[at] = 0.0;
    }
    for (size_t product = 0; product < s.batch; product++) {
        const float *A = (const float *)before[BUFFER_A] + product * s.a_step, *B = before[BUFFER_B];
        for (size_t i = 0; i < s.M; i++) {
            for (size_t j = 0; j < s.N; j++) {
                double sum = 0.0, magnitude = 0.0;
                for (size_t k = 0; k < s.K; k++) {
                    const double term = (double)A[s.trans_a ? k * s.lda + i : i * s.lda + k] *
                                        (double)B[s.trans_b ? j * s.ldb + k : k * s.ldb + j];
                    sum += term;
                    magnitude += fabs(term);
                }
                const size_t at = product * s.c_step + i * s.ldc + j;
                double x = (double)s.alpha * sum;
                magnitude *= fabs((double)s.alpha);
                if (s.beta != 0.0f) {
                    x += (double)s.beta * (double)C[at];
                    magnitude += fabs((double)s.beta * (double)C[at]);
                }
                if (s.bias) {
                    x += (double)bias[j];
                    magnitude += fabs((double)bias[j]);
                }
                value[at] = activate(x, &s);
                scale[at] = magnitude;
            }
        }
    }
}

static double gemm_flops(const size_t dim[])
{
    const struct sco_gemm_shape s = shape_of(dim);
    return 2.0 * (double)s.batch * (double)s.M * (double)s.N * (double)s.K;
}

static double gemm_bytes(const size_t dim[])
{
    const struct sco_gemm_shape s = shape_of(dim);
    const double c = (double)s.M * (double)s.N * (s.beta != 0.0f ? 2.0 : 1.0);
    return 4.0 * ((double)s.batch * ((double)s.M * (double)s.K + c) + (double)s.N * (double)s.K);
}

static double gemm_items(const size_t dim[])
{
    return gemm_flops(dim) / 2.0;
}

/* A square product whose matrices take about bytes. */
static void square(size_t bytes, size_t dim[], size_t trans_a, size_t trans_b)
{
    size_t n = 16;
    while (3 * sizeof(float) * (n + 16) * (n + 16) <= bytes && n < 2048)
        n += 16;
    dim[D_M] = dim[D_N] = dim[D_K] = n;
    dim[D_TRANS_A] = trans_a;
    dim[D_TRANS_B] = trans_b;
    dim[D_KIND] = PLAIN;
}

static void nn_size(size_t bytes, size_t dim[])
{
    square(bytes, dim, 0, 0);
}

static void nt_size(size_t bytes, size_t dim[])
{
    square(bytes, dim, 0, 1);
}

static void tn_size(size_t bytes, size_t dim[])
{
    square(bytes, dim, 1, 0);
}

static void relu_size(size_t bytes, size_t dim[])
{
    nn_size(bytes, dim);
    dim[D_KIND] = RELU;
}

#define KINDS(M, N, K, ta, tb)                                                                                         \
    {M, N, K, ta, tb, PLAIN}, {M, N, K, ta, tb, FUSED},                                                                \
    {                                                                                                                  \
        M, N, K, ta, tb, BATCHED                                                                                       \
    }
/* Around vectors, tiles, panels, strips and blocks of k; with columns that are done one by one. */
#define SHAPES(ta, tb)                                                                                                 \
    KINDS(0, 5, 5, ta, tb), KINDS(5, 0, 5, ta, tb), KINDS(5, 5, 0, ta, tb), KINDS(1, 1, 1, ta, tb),                    \
        KINDS(1, 37, 19, ta, tb), KINDS(3, 64, 8, ta, tb), KINDS(6, 16, 33, ta, tb), KINDS(7, 65, 17, ta, tb),         \
        KINDS(8, 48, 5, ta, tb), KINDS(13, 31, 16, ta, tb), KINDS(16, 16, 16, ta, tb), KINDS(17, 18, 64, ta, tb),      \
        KINDS(29, 33, 65, ta, tb), KINDS(50, 1, 70, ta, tb), KINDS(9, 82, 130, ta, tb)
#define WIDE(M, N, K, ta, tb)                                                                                          \
    {M, N, K, ta, tb, PLAIN},                                                                                          \
    {                                                                                                                  \
        M, N, K, ta, tb, FUSED                                                                                         \
    }

static const size_t nn_shapes[][SCO_CASE_DIMS] = {
    SHAPES(0, 0),
    WIDE(5, 30, 1030, 0, 0),
    WIDE(30, 49, 513, 0, 0),
    WIDE(97, 1042, 130, 0, 0),
};
static const size_t nt_shapes[][SCO_CASE_DIMS] = {SHAPES(0, 1), WIDE(6, 70, 515, 0, 1), WIDE(150, 130, 70, 0, 1)};
static const size_t tn_shapes[][SCO_CASE_DIMS] = {
    SHAPES(1, 0), SHAPES(1, 1), WIDE(20, 30, 700, 1, 0), WIDE(261, 27, 520, 1, 0), WIDE(261, 27, 520, 1, 1),
};

/* Without values that overflow: ReLU makes 0 of a sum that overflowed on the wrong side of it. */
static const size_t relu_shapes[][SCO_CASE_DIMS] = {
    {0, 5, 5, 0, 0, RELU},    {5, 5, 0, 0, 1, RELU},    {6, 33, 7, 0, 0, RELU},
    {17, 18, 64, 0, 0, RELU}, {21, 40, 15, 0, 1, RELU}, {30, 64, 520, 1, 0, RELU},
};

#define CASE(text, trans, moderate)                                                                                    \
    {                                                                                                                  \
        .name = text, .family = &sco_sgemm_family, .slot = 0, .dim_count = DIMS,                                       \
        .dim_names = {"M", "N", "K", "trans_a", "trans_b", "kind"}, .operands = gemm_operands, .run = gemm_run,        \
        .oracle = gemm_oracle, .flops = gemm_flops, .bytes = gemm_bytes, .items = gemm_items, .size = trans##_size,    \
        .shapes = trans##_shapes, .shape_count = SCO_LEN(trans##_shapes), .finite = moderate                           \
    }

static const struct sco_case cases[] = {CASE("sgemm.plan", nn, 0), CASE("sgemm.plan/nt", nt, 0),
                                        CASE("sgemm.plan/tn", tn, 0), CASE("sgemm.plan/relu", relu, 1)};

const struct sco_case_list sco_sgemm_cases = {cases, SCO_LEN(cases)};

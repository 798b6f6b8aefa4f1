/* SPDX-License-Identifier: Apache-2.0
 * Scalar rows: the definition that the others match bit for bit. */
#include "kernels/gemm/gemm.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "kernels/gemm/gemm_cell.h"

static void pack_scalar(size_t K, size_t N, const float *B, size_t ldb, float *packed)
{
    for (size_t j0 = 0; j0 < N; j0 += SCO_GEMM_NR) {
        const size_t columns = N - j0 < SCO_GEMM_NR ? N - j0 : SCO_GEMM_NR;
        const size_t width = sco_gemm_packed_count(1, columns);
        float *panel = packed + sco_gemm_packed_count(K, j0);
        for (size_t k = 0; k < K; k++) {
            memcpy(panel + k * width, B + k * ldb + j0, columns * sizeof *B);
            memset(panel + k * width + columns, 0, (width - columns) * sizeof *B);
        }
    }
}

static void gemm_f32_scalar(size_t M, size_t N, size_t K, const float *A, size_t lda, const float *packed,
                            const float *bias, int beta, float *C, size_t ldc)
{
    for (size_t j0 = 0; j0 < N; j0 += SCO_GEMM_NR) {
        const size_t columns = N - j0 < SCO_GEMM_NR ? N - j0 : SCO_GEMM_NR;
        const size_t width = sco_gemm_packed_count(1, columns);
        const float *panel = packed + sco_gemm_packed_count(K, j0);
        for (size_t i = 0; i < M; i++) {
            const float *a = A + i * lda;
            float *c = C + i * ldc + j0;
            float sum[SCO_GEMM_NR];
            for (size_t j = 0; j < columns; j++) {
                sum[j] = beta ? c[j] : 0.0f;
                if (bias != NULL)
                    sum[j] += bias[j0 + j];
            }
            for (size_t k = 0; k < K; k++)
                for (size_t j = 0; j < columns; j++)
                    sum[j] = fmaf(a[k], panel[k * width + j], sum[j]);
            memcpy(c, sum, columns * sizeof *c);
        }
    }
}

static float power_of_two(int32_t n)
{
    const uint32_t bits = (uint32_t)(n + 127) << 23;
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* e^t = 2^n (1 + m), t <= 0 */
struct exp_parts {
    int32_t n;
    float m;
};

static struct exp_parts exp_split(float t)
{
    const float z = fmaf(t, SCO_CELL_LOG2E, SCO_CELL_ROUND), n = z - SCO_CELL_ROUND;
    float r = fmaf(n, -SCO_CELL_LN2_HI, t);
    r = fmaf(n, -SCO_CELL_LN2_LO, r);
    float q = fmaf(SCO_CELL_Q4, r, SCO_CELL_Q3);
    q = fmaf(q, r, SCO_CELL_Q2);
    q = fmaf(q, r, SCO_CELL_Q1);
    q = fmaf(q, r, SCO_CELL_Q0);
    const float round = SCO_CELL_ROUND;
    int32_t z_bits, round_bits;
    memcpy(&z_bits, &z, sizeof z);
    memcpy(&round_bits, &round, sizeof round);
    return (struct exp_parts){z_bits - round_bits, fmaf(r * r, q, r)};
}

static float sigmoid(float x)
{
    const float t = -fabsf(x);
    const struct exp_parts part = exp_split(t < SCO_CELL_SIGMOID_MIN ? SCO_CELL_SIGMOID_MIN : t);
    /* two factors because 2^-150 is no float; only the second product rounds */
    const int32_t half = part.n >> 1;
    const float e = (1.0f + part.m) * power_of_two(half) * power_of_two(part.n - half);
    return (x < 0.0f ? e : 1.0f) / (1.0f + e);
}

static float tanh_exp(float x)
{
    const float t = -2.0f * fabsf(x);
    const struct exp_parts part = exp_split(t < SCO_CELL_TANH_MIN ? SCO_CELL_TANH_MIN : t);
    const float scale = power_of_two(part.n), e = fmaf(scale, part.m, scale - 1.0f);
    return copysignf(e / (2.0f + e), x);
}

static void lstm_cell_scalar(size_t n, const float *i, const float *g, const float *f, const float *o, float *c,
                             float *h)
{
    for (size_t j = 0; j < n; j++) {
        c[j] = fmaf(sigmoid(f[j] + 1.0f), c[j], sigmoid(i[j]) * tanh_exp(g[j]));
        h[j] = sigmoid(o[j]) * tanh_exp(c[j]);
    }
}

void sco_gemm_fill_scalar(void *ops, sco_isa isa)
{
    (void)isa;
    *(struct sco_gemm_ops *)ops = (struct sco_gemm_ops){gemm_f32_scalar, pack_scalar, lstm_cell_scalar};
}

SCO_FAMILY_DEFINE(gemm, SCO_GEMM_ROWS, struct sco_gemm_ops, "gemm", "pack", "lstm_cell")

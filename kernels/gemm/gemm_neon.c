/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "kernels/gemm/gemm.h"
#include "kernels/gemm/gemm_cell.h"
#include "kernels/lanes_neon.h"

/* 8x8: 16 accumulators, 8 vectors of A (four k of each row, taken lane by lane: a broadcasting load would cost an
 * arithmetic slot) and two of B of 32 registers; taller or wider tiles spill. With fewer rows the tile is wider, for enough
 * chains to hide the latency of the multiply-add, and so that one row reads the weights once, in address order. */
enum { MR = 8, NV = SCO_GEMM_NR / LANES, STEP = SCO_GEMM_STEP / LANES };
static const unsigned char tile_vectors[MR] = {16, 8, 4, 4, 2, 2, 2, 2};

/* B is fetched this far ahead: more than the latency of a last-level cache. */
enum { AHEAD_BYTES = 4096 };

static inline float32x4_t load(const float *x, size_t n)
{
    return n >= LANES ? lanes_load(x) : lanes_load_first(x, n);
}

static inline void store(float *x, float32x4_t y, size_t n)
{
    if (n >= LANES)
        lanes_store(x, y);
    else
        lanes_store_first(x, y, n);
}

/* One k: a row of B against element LANE of each vector of A. */
#define MULTIPLY_LANE(LANE)                                                                                            \
    do {                                                                                                               \
        SCO_UNROLL                                                                                                     \
        for (size_t j = 0; j < vectors; j++) {                                                                         \
            const float32x4_t b = vld1q_f32(B + j * LANES);                                                            \
            SCO_UNROLL                                                                                                 \
            for (size_t i = 0; i < rows; i++)                                                                          \
                sum[i][j] = vfmaq_laneq_f32(sum[i][j], b, a[i], LANE);                                                 \
        }                                                                                                              \
        SCO_UNROLL                                                                                                     \
        for (size_t j = 0; j < vectors; j += STEP)                                                                     \
            __builtin_prefetch((const void *)((uintptr_t)(B + j * LANES) + AHEAD_BYTES));                              \
        B += width;                                                                                                    \
    } while (0)

SCO_INLINE void tile(const size_t rows, const size_t vectors, size_t K, const float *A, size_t lda, const float *B,
                     size_t width, const float *bias, int beta, float *C, size_t ldc)
{
    float32x4_t sum[MR][NV], a[MR];
    SCO_UNROLL
    for (size_t i = 0; i < rows; i++) {
        SCO_UNROLL
        for (size_t j = 0; j < vectors; j++) {
            sum[i][j] = beta ? vld1q_f32(C + i * ldc + j * LANES) : vdupq_n_f32(0.0f);
            if (bias != NULL)
                sum[i][j] = vaddq_f32(sum[i][j], vld1q_f32(bias + j * LANES));
        }
    }
    size_t k = 0;
    for (; K - k >= LANES; k += LANES) {
        SCO_UNROLL
        for (size_t i = 0; i < rows; i++)
            a[i] = vld1q_f32(A + i * lda + k);
        MULTIPLY_LANE(0);
        MULTIPLY_LANE(1);
        MULTIPLY_LANE(2);
        MULTIPLY_LANE(3);
    }
    for (; k < K; k++) {
        SCO_UNROLL
        for (size_t i = 0; i < rows; i++)
            a[i] = vld1q_dup_f32(A + i * lda + k);
        MULTIPLY_LANE(0);
    }
    SCO_UNROLL
    for (size_t i = 0; i < rows; i++) {
        SCO_UNROLL
        for (size_t j = 0; j < vectors; j++)
            vst1q_f32(C + i * ldc + j * LANES, sum[i][j]);
    }
}

typedef void tile_fn(size_t K, const float *A, size_t lda, const float *B, size_t width, const float *bias, int beta,
                     float *C, size_t ldc);
#define TILE(rows, vectors)                                                                                            \
    static void tile_##rows##x##vectors(size_t K, const float *A, size_t lda, const float *B, size_t width,            \
                                        const float *bias, int beta, float *C, size_t ldc)                             \
    {                                                                                                                  \
        tile(rows, vectors, K, A, lda, B, width, bias, beta, C, ldc);                                                  \
    }
TILE(1, 4)
TILE(1, 8)
TILE(1, 12)
TILE(1, 16)
TILE(2, 4)
TILE(2, 8)
TILE(3, 4)
TILE(4, 4)
TILE(5, 2)
TILE(6, 2)
TILE(7, 2)
TILE(8, 2)
/* [rows - 1][vectors / STEP] */
static tile_fn *const tiles[MR][NV / STEP + 1] = {{NULL, tile_1x4, tile_1x8, tile_1x12, tile_1x16},
                                                  {NULL, tile_2x4, tile_2x8},
                                                  {NULL, tile_3x4},
                                                  {NULL, tile_4x4},
                                                  {tile_5x2},
                                                  {tile_6x2},
                                                  {tile_7x2},
                                                  {tile_8x2}};

/* A tile that N cuts short goes through whole rows of its own: only C and bias end there, packed B does not. */
static void ragged_tile(size_t rows, size_t vectors, size_t K, const float *A, size_t lda, const float *B, size_t width,
                        const float *bias, int beta, float *C, size_t ldc, size_t columns)
{
    float c[MR][SCO_GEMM_NR], whole_bias[SCO_GEMM_NR] = {0};
    for (size_t i = 0; i < rows && beta; i++) {
        memset(c[i], 0, sizeof c[i]);
        memcpy(c[i], C + i * ldc, columns * sizeof *C);
    }
    if (bias != NULL)
        memcpy(whole_bias, bias, columns * sizeof *bias);
    tiles[rows - 1][vectors / STEP](K, A, lda, B, width, bias ? whole_bias : NULL, beta, c[0], SCO_GEMM_NR);
    for (size_t i = 0; i < rows; i++)
        memcpy(C + i * ldc, c[i], columns * sizeof *C);
}

static void gemm_f32_8x8_neon(size_t M, size_t N, size_t K, const float *A, size_t lda, const float *packed,
                              const float *bias, int beta, float *C, size_t ldc)
{
    for (size_t j0 = 0; j0 < N; j0 += SCO_GEMM_NR) {
        const size_t columns = N - j0 < SCO_GEMM_NR ? N - j0 : SCO_GEMM_NR;
        const size_t width = sco_gemm_packed_count(1, columns);
        const float *panel = packed + sco_gemm_packed_count(K, j0);
        size_t rows;
        for (size_t i = 0; i < M; i += rows) {
            rows = sco_gemm_even_rows(M - i, MR);
            const float *a = A + i * lda;
            size_t vectors;
            for (size_t j = 0; j < columns; j += vectors * LANES) {
                vectors = (width - j) / LANES < tile_vectors[rows - 1] ? (width - j) / LANES : tile_vectors[rows - 1];
                float *c = C + i * ldc + j0 + j;
                const float *tile_bias = bias ? bias + j0 + j : NULL;
                if (columns - j < vectors * LANES)
                    ragged_tile(rows, vectors, K, a, lda, panel + j, width, tile_bias, beta, c, ldc, columns - j);
                else
                    tiles[rows - 1][vectors / STEP](K, a, lda, panel + j, width, tile_bias, beta, c, ldc);
            }
        }
    }
}

/* e^t = 2^n (1 + m), t <= 0 */
struct exp_parts {
    int32x4_t n;
    float32x4_t m;
};

static inline struct exp_parts exp_split(float32x4_t t)
{
    const float32x4_t round = vdupq_n_f32(SCO_CELL_ROUND);
    const float32x4_t z = vfmaq_f32(round, t, vdupq_n_f32(SCO_CELL_LOG2E)), n = vsubq_f32(z, round);
    float32x4_t r = vfmsq_f32(t, n, vdupq_n_f32(SCO_CELL_LN2_HI));
    r = vfmsq_f32(r, n, vdupq_n_f32(SCO_CELL_LN2_LO));
    float32x4_t q = vfmaq_f32(vdupq_n_f32(SCO_CELL_Q3), vdupq_n_f32(SCO_CELL_Q4), r);
    q = vfmaq_f32(vdupq_n_f32(SCO_CELL_Q2), q, r);
    q = vfmaq_f32(vdupq_n_f32(SCO_CELL_Q1), q, r);
    q = vfmaq_f32(vdupq_n_f32(SCO_CELL_Q0), q, r);
    return (struct exp_parts){vsubq_s32(vreinterpretq_s32_f32(z), vreinterpretq_s32_f32(round)),
                              vfmaq_f32(r, vmulq_f32(r, r), q)};
}

static inline float32x4_t power_of_two(int32x4_t n)
{
    return vreinterpretq_f32_s32(vshlq_n_s32(vaddq_s32(n, vdupq_n_s32(127)), 23));
}

static inline float32x4_t sigmoid(float32x4_t x)
{
    const float32x4_t one = vdupq_n_f32(1.0f), t = vnegq_f32(vabsq_f32(x));
    const struct exp_parts part = exp_split(vmaxq_f32(t, vdupq_n_f32(SCO_CELL_SIGMOID_MIN)));
    const int32x4_t half = vshrq_n_s32(part.n, 1);
    const float32x4_t e =
        vmulq_f32(vmulq_f32(vaddq_f32(one, part.m), power_of_two(half)), power_of_two(vsubq_s32(part.n, half)));
    return vdivq_f32(vbslq_f32(vcltzq_f32(x), e, one), vaddq_f32(one, e));
}

static inline float32x4_t tanh_exp(float32x4_t x)
{
    const float32x4_t one = vdupq_n_f32(1.0f), t = vmulq_f32(vdupq_n_f32(-2.0f), vabsq_f32(x));
    const struct exp_parts part = exp_split(vmaxq_f32(t, vdupq_n_f32(SCO_CELL_TANH_MIN)));
    const float32x4_t scale = power_of_two(part.n), e = vfmaq_f32(vsubq_f32(scale, one), scale, part.m);
    const float32x4_t y = vdivq_f32(e, vaddq_f32(vdupq_n_f32(2.0f), e));
    return vbslq_f32(vdupq_n_u32(0x80000000u), x, y);
}

static void lstm_cell_neon(size_t n, const float *i, const float *g, const float *f, const float *o, float *c, float *h)
{
    for (size_t j = 0; j < n; j += LANES) {
        const size_t left = n - j;
        const float32x4_t keep = sigmoid(vaddq_f32(load(f + j, left), vdupq_n_f32(1.0f)));
        const float32x4_t in = vmulq_f32(sigmoid(load(i + j, left)), tanh_exp(load(g + j, left)));
        const float32x4_t cell = vfmaq_f32(in, keep, load(c + j, left));
        store(c + j, cell, left);
        store(h + j, vmulq_f32(sigmoid(load(o + j, left)), tanh_exp(cell)), left);
    }
}

void sco_gemm_fill_neon(void *ops, sco_isa isa)
{
    struct sco_gemm_ops *gemm = ops;
    (void)isa;
    gemm->gemm = gemm_f32_8x8_neon;
    gemm->lstm_cell = lstm_cell_neon;
}

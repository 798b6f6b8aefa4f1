/* SPDX-License-Identifier: Apache-2.0 */
#include <immintrin.h>
#include <stdint.h>

#include "kernels/gemm/gemm.h"
#include "kernels/gemm/gemm_cell.h"

/* 6x16: 12 accumulators, 2 vectors of B and one broadcast of 16 ymm. With fewer rows the tile is wider, for enough
 * chains to hide the latency of the multiply-add, and so that one row reads the weights once, in address order. */
enum { LANES = 8, MR = 6, NV = SCO_GEMM_NR / LANES, STEP = SCO_GEMM_STEP / LANES };
static const unsigned char tile_vectors[MR] = {8, 4, 4, 2, 2, 2};

/* B is fetched this far ahead: more than the latency of L3. */
enum { AHEAD_BYTES = 4096 };

static const int32_t lane_mask[2 * LANES] = {-1, -1, -1, -1, -1, -1, -1, -1}; /* then eight zeros */

static inline __m256i first_lanes(size_t n)
{
    return _mm256_loadu_si256((const __m256i *)(lane_mask + LANES - (n < LANES ? n : LANES)));
}

/* gcc would rather read x again for every use, and with two rows loads are what limits. */
static inline __m256 in_register(__m256 x)
{
    __asm__("" : "+x"(x));
    return x;
}

SCO_INLINE void tile(const size_t rows, const size_t vectors, size_t K, const float *A, size_t lda, const float *B,
                     size_t width, const float *bias, int beta, float *C, size_t ldc, size_t columns)
{
    __m256 sum[MR][NV];
    __m256i lanes[NV];
    SCO_UNROLL
    for (size_t j = 0; j < vectors; j++)
        lanes[j] = first_lanes(columns > j * LANES ? columns - j * LANES : 0);
    SCO_UNROLL
    for (size_t i = 0; i < rows; i++) {
        SCO_UNROLL
        for (size_t j = 0; j < vectors; j++) {
            sum[i][j] = beta ? _mm256_maskload_ps(C + i * ldc + j * LANES, lanes[j]) : _mm256_setzero_ps();
            if (bias != NULL)
                sum[i][j] = _mm256_add_ps(sum[i][j], _mm256_maskload_ps(bias + j * LANES, lanes[j]));
        }
    }
    for (size_t k = 0; k < K; k++) {
        SCO_UNROLL
        for (size_t j = 0; j < vectors; j += STEP)
            _mm_prefetch((const char *)((uintptr_t)(B + j * LANES) + AHEAD_BYTES), _MM_HINT_T0);
        /* Hold the fewer of the k-th row of B and the k-th column of A in registers. */
        if (rows < vectors) {
            __m256 a[MR];
            SCO_UNROLL
            for (size_t i = 0; i < rows; i++)
                a[i] = _mm256_broadcast_ss(A + i * lda + k);
            SCO_UNROLL
            for (size_t j = 0; j < vectors; j++) {
                const __m256 b =
                    rows > 1 ? in_register(_mm256_loadu_ps(B + j * LANES)) : _mm256_loadu_ps(B + j * LANES);
                SCO_UNROLL
                for (size_t i = 0; i < rows; i++)
                    sum[i][j] = _mm256_fmadd_ps(a[i], b, sum[i][j]);
            }
        } else {
            __m256 b[NV];
            SCO_UNROLL
            for (size_t j = 0; j < vectors; j++)
                b[j] = _mm256_loadu_ps(B + j * LANES);
            SCO_UNROLL
            for (size_t i = 0; i < rows; i++) {
                const __m256 a = _mm256_broadcast_ss(A + i * lda + k);
                SCO_UNROLL
                for (size_t j = 0; j < vectors; j++)
                    sum[i][j] = _mm256_fmadd_ps(a, b[j], sum[i][j]);
            }
        }
        B += width;
    }
    if (columns >= vectors * LANES) {
        SCO_UNROLL
        for (size_t i = 0; i < rows; i++)
            SCO_UNROLL
        for (size_t j = 0; j < vectors; j++)
            _mm256_storeu_ps(C + i * ldc + j * LANES, sum[i][j]);
    } else {
        SCO_UNROLL
        for (size_t i = 0; i < rows; i++)
            SCO_UNROLL
        for (size_t j = 0; j < vectors; j++)
            _mm256_maskstore_ps(C + i * ldc + j * LANES, lanes[j], sum[i][j]);
    }
}

typedef void tile_fn(size_t K, const float *A, size_t lda, const float *B, size_t width, const float *bias, int beta,
                     float *C, size_t ldc, size_t columns);
#define TILE(rows, vectors)                                                                                            \
    static void tile_##rows##x##vectors(size_t K, const float *A, size_t lda, const float *B, size_t width,            \
                                        const float *bias, int beta, float *C, size_t ldc, size_t columns)             \
    {                                                                                                                  \
        tile(rows, vectors, K, A, lda, B, width, bias, beta, C, ldc, columns);                                         \
    }
TILE(1, 2)
TILE(1, 4)
TILE(1, 6)
TILE(1, 8)
TILE(2, 2)
TILE(2, 4)
TILE(3, 2)
TILE(3, 4)
TILE(4, 2)
TILE(5, 2)
TILE(6, 2)
static tile_fn *const tiles[MR][NV / STEP] = {{tile_1x2, tile_1x4, tile_1x6, tile_1x8},
                                              {tile_2x2, tile_2x4},
                                              {tile_3x2, tile_3x4},
                                              {tile_4x2},
                                              {tile_5x2},
                                              {tile_6x2}};

static void gemm_f32_6x16_avx2(size_t M, size_t N, size_t K, const float *A, size_t lda, const float *packed,
                               const float *bias, int beta, float *C, size_t ldc)
{
    for (size_t j0 = 0; j0 < N; j0 += SCO_GEMM_NR) {
        const size_t columns = N - j0 < SCO_GEMM_NR ? N - j0 : SCO_GEMM_NR;
        const size_t width = sco_gemm_packed_count(1, columns);
        const float *panel = packed + sco_gemm_packed_count(K, j0);
        size_t rows;
        for (size_t i = 0; i < M; i += rows) {
            rows = sco_gemm_even_rows(M - i, MR);
            size_t vectors;
            for (size_t j = 0; j < columns; j += vectors * LANES) {
                vectors = (width - j) / LANES < tile_vectors[rows - 1] ? (width - j) / LANES : tile_vectors[rows - 1];
                tiles[rows - 1][vectors / STEP - 1](K, A + i * lda, lda, panel + j, width, bias ? bias + j0 + j : NULL,
                                                    beta, C + i * ldc + j0 + j, ldc, columns - j);
            }
        }
    }
}

/* e^t = 2^n (1 + m), t <= 0 */
struct exp_parts {
    __m256i n;
    __m256 m;
};

static inline struct exp_parts exp_split(__m256 t)
{
    const __m256 round = _mm256_set1_ps(SCO_CELL_ROUND);
    const __m256 z = _mm256_fmadd_ps(t, _mm256_set1_ps(SCO_CELL_LOG2E), round), n = _mm256_sub_ps(z, round);
    __m256 r = _mm256_fnmadd_ps(n, _mm256_set1_ps(SCO_CELL_LN2_HI), t);
    r = _mm256_fnmadd_ps(n, _mm256_set1_ps(SCO_CELL_LN2_LO), r);
    __m256 q = _mm256_fmadd_ps(_mm256_set1_ps(SCO_CELL_Q4), r, _mm256_set1_ps(SCO_CELL_Q3));
    q = _mm256_fmadd_ps(q, r, _mm256_set1_ps(SCO_CELL_Q2));
    q = _mm256_fmadd_ps(q, r, _mm256_set1_ps(SCO_CELL_Q1));
    q = _mm256_fmadd_ps(q, r, _mm256_set1_ps(SCO_CELL_Q0));
    return (struct exp_parts){_mm256_sub_epi32(_mm256_castps_si256(z), _mm256_castps_si256(round)),
                              _mm256_fmadd_ps(_mm256_mul_ps(r, r), q, r)};
}

static inline __m256 power_of_two(__m256i n)
{
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(n, _mm256_set1_epi32(127)), 23));
}

static inline __m256 sigmoid(__m256 x)
{
    const __m256 one = _mm256_set1_ps(1.0f), t = _mm256_or_ps(x, _mm256_set1_ps(-0.0f));
    /* max returns its second operand if one is NaN */
    const struct exp_parts part = exp_split(_mm256_max_ps(_mm256_set1_ps(SCO_CELL_SIGMOID_MIN), t));
    const __m256i half = _mm256_srai_epi32(part.n, 1);
    const __m256 e = _mm256_mul_ps(_mm256_mul_ps(_mm256_add_ps(one, part.m), power_of_two(half)),
                                   power_of_two(_mm256_sub_epi32(part.n, half)));
    const __m256 negative = _mm256_cmp_ps(x, _mm256_setzero_ps(), _CMP_LT_OQ);
    return _mm256_div_ps(_mm256_blendv_ps(one, e, negative), _mm256_add_ps(one, e));
}

static inline __m256 tanh_exp(__m256 x)
{
    const __m256 one = _mm256_set1_ps(1.0f), sign = _mm256_set1_ps(-0.0f);
    const __m256 t = _mm256_mul_ps(_mm256_set1_ps(-2.0f), _mm256_andnot_ps(sign, x));
    const struct exp_parts part = exp_split(_mm256_max_ps(_mm256_set1_ps(SCO_CELL_TANH_MIN), t));
    const __m256 scale = power_of_two(part.n), e = _mm256_fmadd_ps(scale, part.m, _mm256_sub_ps(scale, one));
    const __m256 y = _mm256_div_ps(e, _mm256_add_ps(_mm256_set1_ps(2.0f), e));
    return _mm256_or_ps(_mm256_andnot_ps(sign, y), _mm256_and_ps(sign, x));
}

static void lstm_cell_avx2(size_t n, const float *i, const float *g, const float *f, const float *o, float *c, float *h)
{
    for (size_t j = 0; j < n; j += LANES) {
        const __m256i lanes = first_lanes(n - j);
        const __m256 keep = sigmoid(_mm256_add_ps(_mm256_maskload_ps(f + j, lanes), _mm256_set1_ps(1.0f)));
        const __m256 in =
            _mm256_mul_ps(sigmoid(_mm256_maskload_ps(i + j, lanes)), tanh_exp(_mm256_maskload_ps(g + j, lanes)));
        const __m256 cell = _mm256_fmadd_ps(keep, _mm256_maskload_ps(c + j, lanes), in);
        _mm256_maskstore_ps(c + j, lanes, cell);
        _mm256_maskstore_ps(h + j, lanes, _mm256_mul_ps(sigmoid(_mm256_maskload_ps(o + j, lanes)), tanh_exp(cell)));
    }
}

void sco_gemm_fill_avx2(void *ops, sco_isa isa)
{
    struct sco_gemm_ops *gemm = ops;
    (void)isa;
    gemm->gemm = gemm_f32_6x16_avx2;
    gemm->lstm_cell = lstm_cell_avx2;
}

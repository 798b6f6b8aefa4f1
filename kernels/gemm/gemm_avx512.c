/* SPDX-License-Identifier: Apache-2.0 */
#include <immintrin.h>
#include <stdint.h>

#include "kernels/gemm/gemm.h"
#include "kernels/gemm/gemm_cell.h"

/* 6x64: 24 accumulators, 4 vectors of B and one broadcast of 32 zmm. The tile is as wide as a panel, so that with one
 * to six rows the weights pass by once, in address order. */
enum { LANES = 16, MR = 6, NV = SCO_GEMM_NR / LANES };

/* Rows of B are fetched this far ahead: more than the latency of L3 at one row per four cycles. */
enum { AHEAD_BYTES = 4096 };

SCO_INLINE void tile(const size_t rows, const size_t vectors, size_t K, const float *A, size_t lda, const float *B,
                     const float *bias, int beta, float *C, size_t ldc, __mmask16 last)
{
    __m512 sum[MR][NV];
    SCO_UNROLL
    for (size_t i = 0; i < rows; i++) {
        SCO_UNROLL
        for (size_t j = 0; j < vectors; j++) {
            const __mmask16 lanes = j + 1 == vectors ? last : 0xffff;
            sum[i][j] = beta ? _mm512_maskz_loadu_ps(lanes, C + i * ldc + j * LANES) : _mm512_setzero_ps();
            if (bias != NULL)
                sum[i][j] = _mm512_add_ps(sum[i][j], _mm512_maskz_loadu_ps(lanes, bias + j * LANES));
        }
    }
    for (size_t k = 0; k < K; k++) {
        __m512 b[NV];
        SCO_UNROLL
        for (size_t j = 0; j < vectors; j++) {
            _mm_prefetch((const char *)((uintptr_t)B + AHEAD_BYTES + j * sizeof b[0]), _MM_HINT_T0);
            b[j] = _mm512_loadu_ps(B + j * LANES);
        }
        SCO_UNROLL
        for (size_t i = 0; i < rows; i++) {
            const __m512 a = _mm512_set1_ps(A[i * lda + k]);
            SCO_UNROLL
            for (size_t j = 0; j < vectors; j++)
                sum[i][j] = _mm512_fmadd_ps(a, b[j], sum[i][j]);
        }
        B += vectors * LANES;
    }
    SCO_UNROLL
    for (size_t i = 0; i < rows; i++)
        SCO_UNROLL
    for (size_t j = 0; j < vectors; j++)
        _mm512_mask_storeu_ps(C + i * ldc + j * LANES, j + 1 == vectors ? last : 0xffff, sum[i][j]);
}

typedef void tile_fn(size_t K, const float *A, size_t lda, const float *B, const float *bias, int beta, float *C,
                     size_t ldc, __mmask16 last);
#define TILE(rows, vectors)                                                                                            \
    static void tile_##rows##x##vectors(size_t K, const float *A, size_t lda, const float *B, const float *bias,       \
                                        int beta, float *C, size_t ldc, __mmask16 last)                                \
    {                                                                                                                  \
        tile(rows, vectors, K, A, lda, B, bias, beta, C, ldc, last);                                                   \
    }
#define TILES(rows) TILE(rows, 1) TILE(rows, 2) TILE(rows, 3) TILE(rows, 4)
#define NAMES(rows) tile_##rows##x1, tile_##rows##x2, tile_##rows##x3, tile_##rows##x4
TILES(1)
TILES(2)
TILES(3)
TILES(4)
TILES(5)
TILES(6)
static tile_fn *const tiles[MR * NV] = {NAMES(1), NAMES(2), NAMES(3), NAMES(4), NAMES(5), NAMES(6)};

static void gemm_f32_6x64_avx512(size_t M, size_t N, size_t K, const float *A, size_t lda, const float *packed,
                                 const float *bias, int beta, float *C, size_t ldc)
{
    for (size_t j = 0; j < N; j += SCO_GEMM_NR) {
        const size_t columns = N - j < SCO_GEMM_NR ? N - j : SCO_GEMM_NR;
        const size_t vectors = (columns + LANES - 1) / LANES;
        const __mmask16 last = (__mmask16)(0xffffu >> (vectors * LANES - columns));
        const float *panel = packed + sco_gemm_packed_count(K, j);
        size_t rows;
        for (size_t i = 0; i < M; i += rows) {
            rows = sco_gemm_even_rows(M - i, MR);
            tiles[(rows - 1) * NV + vectors - 1](K, A + i * lda, lda, panel, bias ? bias + j : NULL, beta,
                                                 C + i * ldc + j, ldc, last);
        }
    }
}

/* e^t = 2^n (1 + m), t <= 0 */
struct exp_parts {
    __m512 n, m;
};

static inline struct exp_parts exp_split(__m512 t)
{
    const __m512 round = _mm512_set1_ps(SCO_CELL_ROUND);
    const __m512 n = _mm512_sub_ps(_mm512_fmadd_ps(t, _mm512_set1_ps(SCO_CELL_LOG2E), round), round);
    __m512 r = _mm512_fnmadd_ps(n, _mm512_set1_ps(SCO_CELL_LN2_HI), t);
    r = _mm512_fnmadd_ps(n, _mm512_set1_ps(SCO_CELL_LN2_LO), r);
    __m512 q = _mm512_fmadd_ps(_mm512_set1_ps(SCO_CELL_Q4), r, _mm512_set1_ps(SCO_CELL_Q3));
    q = _mm512_fmadd_ps(q, r, _mm512_set1_ps(SCO_CELL_Q2));
    q = _mm512_fmadd_ps(q, r, _mm512_set1_ps(SCO_CELL_Q1));
    q = _mm512_fmadd_ps(q, r, _mm512_set1_ps(SCO_CELL_Q0));
    return (struct exp_parts){n, _mm512_fmadd_ps(_mm512_mul_ps(r, r), q, r)};
}

static inline __m512 sigmoid(__m512 x)
{
    const __m512 one = _mm512_set1_ps(1.0f), t = _mm512_or_ps(x, _mm512_set1_ps(-0.0f));
    /* max and min return their second operand if one is NaN */
    const struct exp_parts part = exp_split(_mm512_max_ps(_mm512_set1_ps(SCO_CELL_SIGMOID_MIN), t));
    const __m512 e = _mm512_scalef_ps(_mm512_add_ps(one, part.m), part.n);
    const __mmask16 negative = _mm512_cmp_ps_mask(x, _mm512_setzero_ps(), _CMP_LT_OQ);
    return _mm512_div_ps(_mm512_mask_mov_ps(one, negative, e), _mm512_add_ps(one, e));
}

static inline __m512 tanh_exp(__m512 x)
{
    const __m512 one = _mm512_set1_ps(1.0f), sign = _mm512_set1_ps(-0.0f);
    const __m512 t = _mm512_mul_ps(_mm512_set1_ps(-2.0f), _mm512_andnot_ps(sign, x));
    const struct exp_parts part = exp_split(_mm512_max_ps(_mm512_set1_ps(SCO_CELL_TANH_MIN), t));
    const __m512 scale = _mm512_scalef_ps(one, part.n);
    const __m512 e = _mm512_fmadd_ps(scale, part.m, _mm512_sub_ps(scale, one));
    const __m512 y = _mm512_div_ps(e, _mm512_add_ps(_mm512_set1_ps(2.0f), e));
    /* sign ? x : y, bit by bit */
    return _mm512_castsi512_ps(
        _mm512_ternarylogic_epi32(_mm512_castps_si512(sign), _mm512_castps_si512(x), _mm512_castps_si512(y), 0xca));
}

static void lstm_cell_avx512(size_t n, const float *i, const float *g, const float *f, const float *o, float *c,
                             float *h)
{
    for (size_t j = 0; j < n; j += LANES) {
        const __mmask16 lanes = (__mmask16)(n - j < LANES ? (1u << (n - j)) - 1 : 0xffff);
        const __m512 keep = sigmoid(_mm512_add_ps(_mm512_maskz_loadu_ps(lanes, f + j), _mm512_set1_ps(1.0f)));
        const __m512 in =
            _mm512_mul_ps(sigmoid(_mm512_maskz_loadu_ps(lanes, i + j)), tanh_exp(_mm512_maskz_loadu_ps(lanes, g + j)));
        const __m512 cell = _mm512_fmadd_ps(keep, _mm512_maskz_loadu_ps(lanes, c + j), in);
        _mm512_mask_storeu_ps(c + j, lanes, cell);
        _mm512_mask_storeu_ps(h + j, lanes,
                              _mm512_mul_ps(sigmoid(_mm512_maskz_loadu_ps(lanes, o + j)), tanh_exp(cell)));
    }
}

void sco_gemm_fill_avx512(void *ops, sco_isa isa)
{
    struct sco_gemm_ops *gemm = ops;
    (void)isa;
    gemm->gemm = gemm_f32_6x64_avx512;
    gemm->lstm_cell = lstm_cell_avx512;
}

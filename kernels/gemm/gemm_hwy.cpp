/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/hwy_row.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/gemm/gemm_hwy.cpp"
#include <hwy/foreach_target.h>
#include <hwy/highway.h>

#include <stdint.h>
#include <string.h>

#include "kernels/gemm/gemm.h"
#include "kernels/gemm/gemm_cell.h"

HWY_BEFORE_NAMESPACE();
namespace sco_gemm
{
namespace HWY_NAMESPACE
{
#if SCO_HWY_TARGET
#include "kernels/lanes_hwy.h"

/* A tile has as many accumulators as registers allow beside a row of B or a column of A: half of 16, three quarters of
 * 32. With few rows it is wider, for enough chains to hide the latency of the multiply-add, and so that one row reads
 * the weights once, in address order. Widths are counted in steps of SCO_GEMM_STEP columns. */
enum : size_t {
    MR = 6,
    STEP = SCO_GEMM_STEP / LANES,
    STEPS = SCO_GEMM_NR / SCO_GEMM_STEP,
    ACCUMULATORS = HWY_TARGET == HWY_AVX2 ? 12 : 24,
    AHEAD_BYTES = 4096 /* B is fetched this far ahead: more than the latency of L3 */
};

static constexpr size_t tile_steps(size_t rows)
{
    return rows == 1 ? STEPS : HWY_MIN(STEPS, rows == 2 && STEP > 1 ? 2 : ACCUMULATORS / (rows * STEP));
}

typedef void tile_fn(size_t K, const float *A, size_t lda, const float *B, size_t width, const float *bias, int beta,
                     float *C, size_t ldc, size_t columns);

/* The lanes of vector j that are columns of C. */
static HWY_INLINE size_t lanes_of(size_t columns, size_t j)
{
    return columns > j * LANES ? HWY_MIN(columns - j * LANES, static_cast<size_t>(LANES)) : 0;
}

template <size_t rows, size_t steps>
static void tile(size_t K, const float *A, size_t lda, const float *B, size_t width, const float *bias, int beta,
                 float *C, size_t ldc, size_t columns)
{
    constexpr size_t vectors = steps * STEP;
    const bool whole = columns >= vectors * LANES;
    lanes sum[rows][vectors];
    SCO_UNROLL
    for (size_t i = 0; i < rows; i++) {
        SCO_UNROLL
        for (size_t j = 0; j < vectors; j++) {
            const float *c = C + i * ldc + j * LANES;
            const size_t n = lanes_of(columns, j);
            sum[i][j] = !beta ? lanes_set(0.0f) : whole ? lanes_load(c) : lanes_load_first(c, n);
            if (bias != nullptr) {
                const float *b = bias + j * LANES;
                sum[i][j] = lanes_add(sum[i][j], whole ? lanes_load(b) : lanes_load_first(b, n));
            }
        }
    }
    for (size_t k = 0; k < K; k++) {
        SCO_UNROLL
        for (size_t j = 0; j < vectors; j += STEP)
            __builtin_prefetch(
                reinterpret_cast<const void *>(reinterpret_cast<uintptr_t>(B + j * LANES) + AHEAD_BYTES));
        /* hold the fewer of the k-th row of B and the k-th column of A in registers */
        if (rows < vectors) {
            lanes a[rows];
            SCO_UNROLL
            for (size_t i = 0; i < rows; i++)
                a[i] = lanes_set(A[i * lda + k]);
            SCO_UNROLL
            for (size_t j = 0; j < vectors; j++) {
                const lanes b = lanes_load(B + j * LANES);
                SCO_UNROLL
                for (size_t i = 0; i < rows; i++)
                    sum[i][j] = lanes_fma(a[i], b, sum[i][j]);
            }
        } else {
            lanes b[vectors];
            SCO_UNROLL
            for (size_t j = 0; j < vectors; j++)
                b[j] = lanes_load(B + j * LANES);
            SCO_UNROLL
            for (size_t i = 0; i < rows; i++) {
                const lanes a = lanes_set(A[i * lda + k]);
                SCO_UNROLL
                for (size_t j = 0; j < vectors; j++)
                    sum[i][j] = lanes_fma(a, b[j], sum[i][j]);
            }
        }
        B += width;
    }
    SCO_UNROLL
    for (size_t i = 0; i < rows; i++) {
        SCO_UNROLL
        for (size_t j = 0; j < vectors; j++) {
            float *c = C + i * ldc + j * LANES;
            if (whole)
                lanes_store(c, sum[i][j]);
            else
                lanes_store_first(c, sum[i][j], lanes_of(columns, j));
        }
    }
}

#define TILES(rows)                                                                                                    \
    {                                                                                                                  \
        tile<rows, HWY_MIN(1, tile_steps(rows))>, tile<rows, HWY_MIN(2, tile_steps(rows))>,                            \
            tile<rows, HWY_MIN(3, tile_steps(rows))>, tile<rows, HWY_MIN(4, tile_steps(rows))>                         \
    }
static tile_fn *const tiles[MR][STEPS] = {TILES(1), TILES(2), TILES(3), TILES(4), TILES(5), TILES(6)};
#undef TILES

static void gemm_f32(size_t M, size_t N, size_t K, const float *A, size_t lda, const float *packed, const float *bias,
                     int beta, float *C, size_t ldc)
{
    for (size_t j0 = 0; j0 < N; j0 += SCO_GEMM_NR) {
        const size_t columns = HWY_MIN(N - j0, static_cast<size_t>(SCO_GEMM_NR));
        const size_t width = sco_gemm_packed_count(1, columns);
        const float *panel = packed + sco_gemm_packed_count(K, j0);
        size_t rows;
        for (size_t i = 0; i < M; i += rows) {
            rows = sco_gemm_even_rows(M - i, MR);
            size_t steps;
            for (size_t j = 0; j < width; j += steps * SCO_GEMM_STEP) {
                steps = HWY_MIN((width - j) / SCO_GEMM_STEP, tile_steps(rows));
                tiles[rows - 1][steps - 1](K, A + i * lda, lda, panel + j, width, bias ? bias + j0 + j : nullptr, beta,
                                           C + i * ldc + j0 + j, ldc, columns - j);
            }
        }
    }
}

using int_lanes = hn::Vec<I32>;

/* e^t - 1 = 2^n m + (2^n - 1), t <= 0; returns m. */
static HWY_INLINE lanes exp_split(lanes t, int_lanes &n)
{
    const lanes round = lanes_set(SCO_CELL_ROUND);
    const lanes z = lanes_fma(t, lanes_set(SCO_CELL_LOG2E), round), whole = lanes_sub(z, round);
    lanes r = lanes_fnma(whole, lanes_set(SCO_CELL_LN2_HI), t);
    r = lanes_fnma(whole, lanes_set(SCO_CELL_LN2_LO), r);
    lanes q = lanes_fma(lanes_set(SCO_CELL_Q4), r, lanes_set(SCO_CELL_Q3));
    q = lanes_fma(q, r, lanes_set(SCO_CELL_Q2));
    q = lanes_fma(q, r, lanes_set(SCO_CELL_Q1));
    q = lanes_fma(q, r, lanes_set(SCO_CELL_Q0));
    n = hn::Sub(hn::BitCast(I32(), z), hn::BitCast(I32(), round));
    return lanes_fma(lanes_mul(r, r), q, r);
}

static HWY_INLINE lanes power_of_two(int_lanes n)
{
    return hn::BitCast(F32(), hn::ShiftLeft<23>(hn::Add(n, hn::Set(I32(), 127))));
}

/* x < bound ? bound : x, which keeps a NaN; x86 returns the second operand of max if one is NaN, Arm does not. */
static HWY_INLINE lanes at_least(lanes bound, lanes x)
{
#if HWY_ARCH_X86
    return hn::Max(bound, x);
#else
    return hn::IfThenElse(hn::Lt(x, bound), bound, x);
#endif
}

static HWY_INLINE lanes sigmoid(lanes x)
{
    const lanes one = lanes_set(1.0f), t = hn::Or(x, lanes_set(-0.0f));
    int_lanes n;
    const lanes m = exp_split(at_least(lanes_set(SCO_CELL_SIGMOID_MIN), t), n);
    const int_lanes half = hn::ShiftRight<1>(n);
    const lanes e = lanes_mul(lanes_mul(lanes_add(one, m), power_of_two(half)), power_of_two(hn::Sub(n, half)));
    return lanes_div(hn::IfThenElse(hn::Lt(x, lanes_set(0.0f)), e, one), lanes_add(one, e));
}

static HWY_INLINE lanes tanh_exp(lanes x)
{
    const lanes one = lanes_set(1.0f), t = lanes_mul(lanes_set(-2.0f), hn::Abs(x));
    int_lanes n;
    const lanes m = exp_split(at_least(lanes_set(SCO_CELL_TANH_MIN), t), n);
    const lanes scale = power_of_two(n), e = lanes_fma(scale, m, lanes_sub(scale, one));
    return hn::CopySign(lanes_div(e, lanes_add(lanes_set(2.0f), e)), x);
}

static HWY_INLINE lanes load(const float *x, size_t n)
{
    return n >= LANES ? lanes_load(x) : lanes_load_first(x, n);
}

static HWY_INLINE void store(float *x, lanes y, size_t n)
{
    if (n >= LANES)
        lanes_store(x, y);
    else
        lanes_store_first(x, y, n);
}

static void lstm_cell(size_t n, const float *i, const float *g, const float *f, const float *o, float *c, float *h)
{
    for (size_t j = 0; j < n; j += LANES) {
        const size_t left = n - j;
        const lanes keep = sigmoid(lanes_add(load(f + j, left), lanes_set(1.0f)));
        const lanes in = lanes_mul(sigmoid(load(i + j, left)), tanh_exp(load(g + j, left)));
        const lanes cell = lanes_fma(keep, load(c + j, left), in);
        store(c + j, cell, left);
        store(h + j, lanes_mul(sigmoid(load(o + j, left)), tanh_exp(cell)), left);
    }
}

static void fill(struct sco_gemm_ops *ops)
{
    ops->gemm = gemm_f32;
    ops->lstm_cell = lstm_cell;
}
#endif
} // namespace HWY_NAMESPACE
} // namespace sco_gemm
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
void sco_gemm_fill_hwy(void *table, sco_isa isa)
{
    using namespace sco_gemm;
    struct sco_gemm_ops *ops = static_cast<struct sco_gemm_ops *>(table);
#include "kernels/hwy_choose.h"
}
#endif

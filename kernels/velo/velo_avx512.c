/* SPDX-License-Identifier: Apache-2.0
 * AVX-512 row. The MLP sweep is bound by the two FMA pipes (111 multiply-adds, a root and a quotient per element) when
 * its tensor is in cache or one core runs alone, and by memory otherwise; the other sweeps by memory. */
#include "kernels/velo/velo.h"

#include <immintrin.h>
#include <stdbool.h>
#include <string.h>

#define INLINE static inline __attribute__((always_inline))
#define EACH(i, n)                                                                                                     \
    SCO_UNROLL                                                                                                         \
    for (int i = 0; i < (int)(n); i++)

/* Compilers would hoist the 100-odd weights out of the loop and spill them as whole vectors: 6 KB of L1 for 400 bytes. */
#define KEEP_IN_MEMORY(pointer) __asm__ volatile("" : "+r"(pointer))

enum {
    LANES = 16,
    FLUSH = 1024,           /* elements between additions of the float lanes to double */
    SMALL = 4096,           /* elements up to which the moments' sums are taken in double throughout */
    STRIP = 2048,           /* columns whose sums of squares wait in L1 */
    ROWS = 2,               /* rows that share a load and store of those sums; more streams are slower from memory */
    SQUARES_AHEAD = 1024,   /* elements to prefetch ahead */
    STATISTICS_AHEAD = 512, /* likewise, at a quarter of the time per element of */
    MLP_AHEAD = 256         /* this sweep */
};

static const float decay[3] = {SCO_VELO_D0, SCO_VELO_D1, SCO_VELO_D2};
static const float complement[3] = {1.0f - SCO_VELO_D0, 1.0f - SCO_VELO_D1, 1.0f - SCO_VELO_D2};

/* Which lanes of a vector exist. full is a constant where it is true: those loads and stores are plain ones. */
struct active {
    bool full;
    __mmask16 mask;
};
static const struct active all = {true, 0xffff};

INLINE struct active first(size_t count)
{
    return (struct active){false, count >= LANES ? (__mmask16)0xffff : (__mmask16)((1u << count) - 1u)};
}

/* Absent lanes read as 0. */
INLINE __m512 load(const float *x, struct active on)
{
    return on.full ? _mm512_loadu_ps(x) : _mm512_maskz_loadu_ps(on.mask, x);
}

INLINE void store(float *x, __m512 y, struct active on)
{
    if (on.full)
        _mm512_storeu_ps(x, y);
    else
        _mm512_mask_storeu_ps(x, on.mask, y);
}

INLINE __m512 keep(__m512 x, struct active on)
{
    return on.full ? x : _mm512_maskz_mov_ps(on.mask, x);
}

/* How far ahead of the element in work to prefetch: distance elements along the row if that is memory which will be
 * read, else as many rows as hold them. Hardware prefetchers alone reach 60 % of the bandwidth with these streams. */
static ptrdiff_t ahead_of(size_t distance, size_t cols, ptrdiff_t stride)
{
    return (ptrdiff_t)cols == stride || cols >= 4 * distance || cols == 0
               ? (ptrdiff_t)distance
               : stride * (ptrdiff_t)((distance + cols - 1) / cols);
}

INLINE void prefetch(const float *x, ptrdiff_t ahead)
{
    _mm_prefetch((const char *)((uintptr_t)x + (uintptr_t)ahead * sizeof *x), _MM_HINT_T0);
}

/* Of min and max the second operand is returned when one is NaN, so x comes second. */
INLINE __m512 clip(__m512 x, float bound)
{
    return _mm512_min_ps(_mm512_set1_ps(bound), _mm512_max_ps(_mm512_set1_ps(-bound), x));
}

INLINE __m512 relu(__m512 x)
{
    return _mm512_max_ps(_mm512_setzero_ps(), x);
}

INLINE __m512 inverse_root(__m512 x)
{
    return _mm512_div_ps(_mm512_set1_ps(1.0f), _mm512_sqrt_ps(x));
}

INLINE __m512 exp2_clamped(__m512 x)
{
    const __m512 magic = _mm512_set1_ps(SCO_VELO_EXP2_MAGIC);
    x = _mm512_max_ps(_mm512_set1_ps(SCO_VELO_EXP2_MIN), x);
    x = _mm512_min_ps(_mm512_set1_ps(SCO_VELO_EXP2_MAX), x);
    const __m512 shifted = _mm512_add_ps(x, magic);
    const __m512 f = _mm512_sub_ps(x, _mm512_sub_ps(shifted, magic));
    __m512 y = _mm512_fmadd_ps(_mm512_set1_ps(SCO_VELO_EXP2_C5), f, _mm512_set1_ps(SCO_VELO_EXP2_C4));
    y = _mm512_fmadd_ps(y, f, _mm512_set1_ps(SCO_VELO_EXP2_C3));
    y = _mm512_fmadd_ps(y, f, _mm512_set1_ps(SCO_VELO_EXP2_C2));
    y = _mm512_fmadd_ps(y, f, _mm512_set1_ps(SCO_VELO_EXP2_C1));
    y = _mm512_fmadd_ps(y, f, _mm512_set1_ps(SCO_VELO_EXP2_C0));
    const __m512i n = _mm512_slli_epi32(_mm512_castps_si512(shifted), 23);
    return _mm512_castsi512_ps(_mm512_add_epi32(_mm512_castps_si512(y), n));
}

/* Eight doubles that take 16 floats. */
INLINE __m512d low(__m512 x)
{
    return _mm512_cvtps_pd(_mm512_castps512_ps256(x));
}

INLINE __m512d high(__m512 x)
{
    return _mm512_cvtps_pd(_mm512_extractf32x8_ps(x, 1));
}

INLINE __m512d add_lanes(__m512d sum, __m512 x)
{
    return _mm512_add_pd(_mm512_add_pd(sum, low(x)), high(x));
}

/* The clipped gradient and the new momenta and second moment of 16 elements. */
struct moments {
    __m512 g, m[3], v;
};

INLINE struct moments advance(const float *g, const float *m0, const float *m1, const float *m2, const float *v,
                              struct active on)
{
    struct moments x;
    x.g = clip(load(g, on), SCO_VELO_CLIP_G);
    const __m512 share = _mm512_mul_ps(_mm512_set1_ps(complement[2]), x.g);
    x.m[0] = _mm512_fmadd_ps(_mm512_set1_ps(decay[0]), load(m0, on), _mm512_mul_ps(_mm512_set1_ps(complement[0]), x.g));
    x.m[1] = _mm512_fmadd_ps(_mm512_set1_ps(decay[1]), load(m1, on), _mm512_mul_ps(_mm512_set1_ps(complement[1]), x.g));
    x.m[2] = _mm512_fmadd_ps(_mm512_set1_ps(decay[2]), load(m2, on), share);
    x.v = _mm512_fmadd_ps(_mm512_set1_ps(decay[2]), load(v, on), _mm512_mul_ps(share, x.g));
    return x;
}

INLINE __m512 advance_d(const float *d, __m512 g, int k, struct active on)
{
    const __m512 q = _mm512_fmadd_ps(g, g, _mm512_set1_ps(SCO_VELO_EPS_Q));
    return _mm512_fmadd_ps(_mm512_set1_ps(decay[k]), load(d, on), _mm512_mul_ps(_mm512_set1_ps(complement[k]), q));
}

/* Rows share each load and store of the column sums, which are kept in double so that their error does not grow with
 * the number of rows. */
INLINE void square_block(const int rows, ptrdiff_t stride, ptrdiff_t ahead, const float *g, struct active on,
                         __m512d col[2], __m512 row[ROWS])
{
    __m512 sum = _mm512_setzero_ps();
    EACH (i, rows) {
        prefetch(g + i * stride, ahead);
        const __m512 x = clip(load(g + i * stride, on), SCO_VELO_CLIP_G);
        row[i] = _mm512_fmadd_ps(x, x, row[i]);
        sum = _mm512_fmadd_ps(x, x, sum);
    }
    col[0] = _mm512_add_pd(col[0], low(sum));
    col[1] = _mm512_add_pd(col[1], high(sum));
}

INLINE void square_rows(const int rows, size_t cols, ptrdiff_t stride, ptrdiff_t ahead, const float *g, __m512d col[],
                        float row_sum[])
{
    __m512 row[ROWS];
    EACH (i, rows)
        row[i] = _mm512_setzero_ps();
    size_t j = 0;
    for (; j + LANES <= cols; j += LANES)
        square_block(rows, stride, ahead, g + j, all, col + j / 8, row);
    if (j < cols)
        square_block(rows, stride, ahead, g + j, first(cols - j), col + j / 8, row);
    EACH (i, rows)
        row_sum[i] += _mm512_reduce_add_ps(row[i]);
}

static void velo_square_sums_avx512(size_t rows, size_t cols, ptrdiff_t stride, const float *g, float *row_sum,
                                    float *col_sum)
{
    memset(row_sum, 0, rows * sizeof row_sum[0]);
    for (size_t from = 0; from < cols; from += STRIP) {
        const size_t n = cols - from < STRIP ? cols - from : STRIP;
        __m512d col[STRIP / 8];
        for (size_t j = 0; j < n; j += LANES)
            col[j / 8] = col[j / 8 + 1] = _mm512_setzero_pd();
        const ptrdiff_t ahead = ROWS * stride * (ptrdiff_t)((SQUARES_AHEAD + ROWS * n - 1) / (ROWS * n));
        size_t i = 0;
        for (; i + ROWS <= rows; i += ROWS)
            square_rows(ROWS, n, stride, ahead, g + (ptrdiff_t)i * stride + (ptrdiff_t)from, col, row_sum + i);
        for (; i < rows; i++)
            square_rows(1, n, stride, ahead, g + (ptrdiff_t)i * stride + (ptrdiff_t)from, col, row_sum + i);
        for (size_t j = 0; j < n; j += LANES) {
            const struct active on = first(n - j);
            const __m512 sum = _mm512_insertf32x8(_mm512_castps256_ps512(_mm512_cvtpd_ps(col[j / 8])),
                                                  _mm512_cvtpd_ps(col[j / 8 + 1]), 1);
            store(col_sum + from + j, _mm512_add_ps(load(col_sum + from + j, on), sum), on);
        }
    }
}

/* Float lanes of the statistics, by the slots of sums[]; one of each suffices, as the products of a vector take longer
 * than the addition into its sums. */
struct partial {
    __m512 x[SCO_VELO_SUMS];
};

INLINE void clear(struct partial *sum, const int slots)
{
    EACH (i, slots)
        sum->x[i] = _mm512_setzero_ps();
}

INLINE void flush(struct partial *sum, __m512d total[], const int slots)
{
    EACH (i, slots)
        total[i] = add_lanes(total[i], sum->x[i]);
    clear(sum, slots);
}

/* What does not depend on where blocks 7 and 13 get their factors from; returns s^2, and g^2 and m_k^2 in square. */
INLINE __m512 add_common(struct partial *sum, const struct moments *x, struct active on, __m512 square[4])
{
    const __m512 clipped = clip(x->g, SCO_VELO_CLIP_F);
    const __m512 s2 =
        _mm512_maskz_div_ps(on.mask, _mm512_set1_ps(1.0f), _mm512_add_ps(x->v, _mm512_set1_ps(SCO_VELO_EPS_V)));
    square[0] = _mm512_mul_ps(x->g, x->g);
    sum->x[SCO_VELO_G] = _mm512_add_ps(sum->x[SCO_VELO_G], square[0]);
    sum->x[SCO_VELO_CLIP] = _mm512_fmadd_ps(clipped, clipped, sum->x[SCO_VELO_CLIP]);
    sum->x[SCO_VELO_V] = _mm512_fmadd_ps(x->v, x->v, sum->x[SCO_VELO_V]);
    sum->x[SCO_VELO_S] = _mm512_add_ps(sum->x[SCO_VELO_S], s2);
    sum->x[SCO_VELO_GS] = _mm512_fmadd_ps(square[0], s2, sum->x[SCO_VELO_GS]);
    sum->x[SCO_VELO_SUM_V] = _mm512_add_ps(sum->x[SCO_VELO_SUM_V], x->v);
    EACH (k, 3) {
        square[k + 1] = _mm512_mul_ps(x->m[k], x->m[k]);
        sum->x[SCO_VELO_M + k] = _mm512_add_ps(sum->x[SCO_VELO_M + k], square[k + 1]);
        sum->x[SCO_VELO_MS + k] = _mm512_fmadd_ps(square[k + 1], s2, sum->x[SCO_VELO_MS + k]);
        sum->x[SCO_VELO_SUM_M + k] = _mm512_add_ps(sum->x[SCO_VELO_SUM_M + k], x->m[k]);
    }
    return s2;
}

/* Sums of m_k, m_k^2, v, v^2 in double. The LSTM input takes the logarithm of a variance formed from them, which must
 * vanish for one element and stay small for nearly equal ones: a matter of small tensors. */
struct exact {
    __m512d m[3], m2[3], v, v2;
};

INLINE __m512d add_square(__m512d sum, __m512 x)
{
    sum = _mm512_fmadd_pd(low(x), low(x), sum);
    return _mm512_fmadd_pd(high(x), high(x), sum);
}

INLINE void add_exact(struct exact *sum, const struct moments *x)
{
    EACH (k, 3) {
        sum->m[k] = add_lanes(sum->m[k], x->m[k]);
        sum->m2[k] = add_square(sum->m2[k], x->m[k]);
    }
    sum->v = add_lanes(sum->v, x->v);
    sum->v2 = add_square(sum->v2, x->v);
}

static void store_exact(const struct exact *sum, double sums[SCO_VELO_SUMS])
{
    for (int k = 0; k < 3; k++) {
        sums[SCO_VELO_SUM_M + k] = _mm512_reduce_add_pd(sum->m[k]);
        sums[SCO_VELO_M + k] = _mm512_reduce_add_pd(sum->m2[k]);
    }
    sums[SCO_VELO_SUM_V] = _mm512_reduce_add_pd(sum->v);
    sums[SCO_VELO_V] = _mm512_reduce_add_pd(sum->v2);
}

static void small_panel_moments(const struct sco_velo_panel *panel, double sums[SCO_VELO_SUMS])
{
    struct exact sum = {0};
    for (size_t i = 0; i < panel->rows; i++)
        for (size_t j = 0; j < panel->cols; j += LANES) {
            const ptrdiff_t at = (ptrdiff_t)i * panel->stride + (ptrdiff_t)j;
            const struct moments x = advance(panel->g + at, panel->m[0] + at, panel->m[1] + at, panel->m[2] + at,
                                             panel->v + at, first(panel->cols - j));
            add_exact(&sum, &x);
        }
    store_exact(&sum, sums);
}

enum { PANEL_SLOTS = SCO_VELO_SUM_V + 1 };

/* gf, mf: sums of g^2 gam_k^2 and m_k^2 gam_k^2; rho_k^2 follows once per row. */
INLINE void add_panel(struct partial *sum, __m512 gf[3], __m512 mf[3], const struct sco_velo_panel *panel, size_t col,
                      ptrdiff_t at, ptrdiff_t ahead, struct active on)
{
    prefetch(panel->g + at, ahead);
    prefetch(panel->v + at, ahead);
    EACH (k, 3)
        prefetch(panel->m[k] + at, ahead);
    const struct moments x =
        advance(panel->g + at, panel->m[0] + at, panel->m[1] + at, panel->m[2] + at, panel->v + at, on);
    __m512 square[4];
    add_common(sum, &x, on, square);
    EACH (k, 3) {
        const __m512 f = load(panel->col_factor[k] + col, on), f2 = _mm512_mul_ps(f, f);
        gf[k] = _mm512_fmadd_ps(square[0], f2, gf[k]);
        mf[k] = _mm512_fmadd_ps(square[k + 1], f2, mf[k]);
    }
}

static void velo_statistics_avx512(const struct sco_velo_panel *panel, double sums[SCO_VELO_SUMS])
{
    const ptrdiff_t ahead = ahead_of(STATISTICS_AHEAD, panel->cols, panel->stride);
    __m512d total[PANEL_SLOTS];
    EACH (i, PANEL_SLOTS)
        total[i] = _mm512_setzero_pd();
    struct partial sum;
    clear(&sum, PANEL_SLOTS);
    size_t pending = 0;
    for (size_t i = 0; i < panel->rows; i++)
        for (size_t from = 0; from < panel->cols; from += FLUSH) {
            const size_t to = panel->cols - from < FLUSH ? panel->cols : from + FLUSH;
            if (pending + to - from > FLUSH) {
                flush(&sum, total, PANEL_SLOTS);
                pending = 0;
            }
            const ptrdiff_t row = (ptrdiff_t)i * panel->stride;
            __m512 gf[3], mf[3];
            EACH (k, 3)
                gf[k] = mf[k] = _mm512_setzero_ps();
            size_t j = from;
            for (; j + LANES <= to; j += LANES)
                add_panel(&sum, gf, mf, panel, j, row + (ptrdiff_t)j, ahead, all);
            if (j < to)
                add_panel(&sum, gf, mf, panel, j, row + (ptrdiff_t)j, ahead, first(to - j));
            EACH (k, 3) {
                const __m512 f = _mm512_set1_ps(panel->row_factor[k][i]), f2 = _mm512_mul_ps(f, f);
                sum.x[SCO_VELO_GF + k] = _mm512_fmadd_ps(gf[k], f2, sum.x[SCO_VELO_GF + k]);
                sum.x[SCO_VELO_MF + k] = _mm512_fmadd_ps(mf[k], f2, sum.x[SCO_VELO_MF + k]);
            }
            pending += to - from;
        }
    flush(&sum, total, PANEL_SLOTS);
    memset(sums, 0, SCO_VELO_SUMS * sizeof sums[0]);
    EACH (i, PANEL_SLOTS)
        sums[i] = _mm512_reduce_add_pd(total[i]);
    if (panel->rows * panel->cols <= SMALL)
        small_panel_moments(panel, sums);
}

INLINE __m512 reciprocal(__m512 x, float bias, struct active on)
{
    return _mm512_maskz_div_ps(on.mask, _mm512_set1_ps(1.0f), _mm512_add_ps(x, _mm512_set1_ps(bias)));
}

static void velo_statistics_diag_avx512(const struct sco_velo_slice *slice, double sums[SCO_VELO_SUMS])
{
    __m512d total[SCO_VELO_SUMS];
    for (int i = 0; i < SCO_VELO_SUMS; i++)
        total[i] = _mm512_setzero_pd();
    struct partial sum;
    struct exact exact = {0};
    for (size_t from = 0; from < slice->n; from += FLUSH) {
        const size_t to = slice->n - from < FLUSH ? slice->n : from + FLUSH;
        clear(&sum, SCO_VELO_SUMS);
        for (size_t i = from; i < to; i += LANES) {
            const struct active on = first(to - i);
            const struct moments x =
                advance(slice->g + i, slice->m[0] + i, slice->m[1] + i, slice->m[2] + i, slice->v + i, on);
            __m512 square[4];
            add_common(&sum, &x, on, square);
            add_exact(&exact, &x);
            EACH (k, 3) {
                const __m512 d = advance_d(slice->d[k] + i, x.g, k, on), kept = keep(d, on);
                sum.x[SCO_VELO_GF + k] =
                    _mm512_fmadd_ps(square[0], reciprocal(d, SCO_VELO_EPS_DG, on), sum.x[SCO_VELO_GF + k]);
                sum.x[SCO_VELO_MF + k] =
                    _mm512_fmadd_ps(square[k + 1], reciprocal(d, 0.0f, on), sum.x[SCO_VELO_MF + k]);
                sum.x[SCO_VELO_SUM_D + k] = _mm512_fmadd_ps(kept, kept, sum.x[SCO_VELO_SUM_D + k]);
                sum.x[SCO_VELO_SUM_RD + k] =
                    _mm512_add_ps(sum.x[SCO_VELO_SUM_RD + k], reciprocal(d, SCO_VELO_EPS_A, on));
            }
        }
        flush(&sum, total, SCO_VELO_SUMS);
    }
    for (int i = 0; i < SCO_VELO_SUMS; i++)
        sums[i] = _mm512_reduce_add_pd(total[i]);
    store_exact(&exact, sums);
}

/* Two vectors at a time share every broadcast weight; their 8 chains keep both FMA pipes busy at 4 cycles latency, and
 * 32 registers hold them with the inputs. More vectors spill. */
enum { PAIR = 2 };

/* Blocks 5, 6, 8 of layer 0 on nv vectors before their factor s. */
INLINE void layer0_scaled(const int nv, const struct sco_velo_mlp *mlp, const struct moments x[PAIR], __m512 t[4][PAIR])
{
    EACH (j, 4) {
        const __m512 w_s = _mm512_set1_ps(mlp->w0[SCO_VELO_S][j]), w_gs = _mm512_set1_ps(mlp->w0[SCO_VELO_GS][j]);
        EACH (u, nv)
            t[j][u] = _mm512_fmadd_ps(w_gs, x[u].g, w_s);
    }
    EACH (k, 3)
        EACH (j, 4) {
            const __m512 w = _mm512_set1_ps(mlp->w0[SCO_VELO_MS + k][j]);
            EACH (u, nv)
                t[j][u] = _mm512_fmadd_ps(w, x[u].m[k], t[j][u]);
        }
}

/* The other blocks, added to h. wg, wm: weights of blocks 7 and 13; fg, fm: what these multiply g and m_k by. */
INLINE void layer0_direct(const int nv, const struct sco_velo_mlp *mlp, const float (*wg)[4], const float (*wm)[4],
                          const struct moments x[PAIR], __m512 fg[3][PAIR], __m512 fm[3][PAIR], const __m512 p[PAIR],
                          __m512 h[4][PAIR])
{
    __m512 c[PAIR];
    EACH (j, 4) {
        EACH (u, nv)
            c[u] = _mm512_set1_ps(mlp->w0[SCO_VELO_G][j]);
        EACH (k, 3) {
            const __m512 w = _mm512_set1_ps(wg[k][j]);
            EACH (u, nv)
                c[u] = _mm512_fmadd_ps(w, fg[k][u], c[u]);
        }
        EACH (u, nv)
            h[j][u] = _mm512_fmadd_ps(c[u], x[u].g, h[j][u]);
    }
    EACH (u, nv)
        c[u] = clip(x[u].g, SCO_VELO_CLIP_F);
    EACH (j, 4) {
        const __m512 w = _mm512_set1_ps(mlp->w0[SCO_VELO_CLIP][j]);
        EACH (u, nv)
            h[j][u] = _mm512_fmadd_ps(w, c[u], h[j][u]);
    }
    EACH (j, 4) {
        const __m512 w = _mm512_set1_ps(mlp->w0[SCO_VELO_P][j]);
        EACH (u, nv)
            h[j][u] = _mm512_fmadd_ps(w, p[u], h[j][u]);
    }
    EACH (j, 4) {
        const __m512 w = _mm512_set1_ps(mlp->w0[SCO_VELO_V][j]);
        EACH (u, nv)
            h[j][u] = _mm512_fmadd_ps(w, x[u].v, h[j][u]);
    }
    EACH (k, 3)
        EACH (j, 4) {
            const __m512 w_m = _mm512_set1_ps(mlp->w0[SCO_VELO_M + k][j]), w_mf = _mm512_set1_ps(wm[k][j]);
            EACH (u, nv) {
                const __m512 w = _mm512_fmadd_ps(w_mf, fm[k][u], w_m);
                h[j][u] = _mm512_fmadd_ps(w, x[u].m[k], h[j][u]);
            }
        }
}

/* ReLU of layer 0, layers 1 and 2 and the new parameters. */
INLINE void update(const int nv, const struct sco_velo_mlp *mlp, __m512 h[4][PAIR], __m512 p[PAIR])
{
    __m512 y[4][PAIR], o[2][PAIR];
    EACH (j, 4) {
        const __m512 b = _mm512_set1_ps(mlp->b1[j]);
        EACH (u, nv) {
            h[j][u] = relu(h[j][u]);
            y[j][u] = b;
        }
    }
    EACH (i, 4)
        EACH (j, 4) {
            const __m512 w = _mm512_set1_ps(mlp->w1[i][j]);
            EACH (u, nv)
                y[j][u] = _mm512_fmadd_ps(w, h[i][u], y[j][u]);
        }
    EACH (u, nv)
        EACH (c, 2)
            o[c][u] = _mm512_set1_ps(mlp->b2[c]);
    EACH (i, 4) {
        const __m512 w0 = _mm512_set1_ps(mlp->w2[i][0]), w1 = _mm512_set1_ps(mlp->w2[i][1]);
        EACH (u, nv) {
            const __m512 z = relu(y[i][u]);
            o[0][u] = _mm512_fmadd_ps(w0, z, o[0][u]);
            o[1][u] = _mm512_fmadd_ps(w1, z, o[1][u]);
        }
    }
    EACH (u, nv)
        p[u] = _mm512_fnmadd_ps(o[0][u], exp2_clamped(o[1][u]), p[u]);
}

struct mlp_row {
    float *p, *m[3], *v;
    const float *g, *hidden;
    float wg[3][4], wm[3][4]; /* weights of blocks 7 and 13 times rho_k */
};

INLINE void mlp_block(const int nv, const struct sco_velo_panel *panel, const struct sco_velo_mlp *mlp,
                      const struct mlp_row *row, size_t at, ptrdiff_t ahead, struct active on, __m512 squares[PAIR])
{
    struct moments x[PAIR];
    __m512 s[PAIR], t[4][PAIR], h[4][PAIR], p[PAIR], f[3][PAIR];
    EACH (u, nv) {
        const size_t i = at + (size_t)u * LANES;
        prefetch(row->g + i, ahead);
        prefetch(row->p + i, ahead);
        prefetch(row->v + i, ahead);
        EACH (k, 3)
            prefetch(row->m[k] + i, ahead);
        x[u] = advance(row->g + i, row->m[0] + i, row->m[1] + i, row->m[2] + i, row->v + i, on);
        EACH (k, 3)
            store(row->m[k] + i, x[u].m[k], on);
        store(row->v + i, x[u].v, on);
        s[u] = inverse_root(_mm512_add_ps(x[u].v, _mm512_set1_ps(SCO_VELO_EPS_V)));
        p[u] = load(row->p + i, on);
        EACH (k, 3)
            f[k][u] = load(panel->col_factor[k] + i, on);
    }
    layer0_scaled(nv, mlp, x, t);
    EACH (j, 4)
        EACH (u, nv) {
            const __m512 col = load(panel->col_hidden[j] + at + (size_t)u * LANES, on);
            h[j][u] = _mm512_fmadd_ps(s[u], t[j][u], _mm512_add_ps(_mm512_set1_ps(row->hidden[j]), col));
        }
    layer0_direct(nv, mlp, row->wg, row->wm, x, f, f, p, h);
    update(nv, mlp, h, p);
    EACH (u, nv) {
        store(row->p + at + (size_t)u * LANES, p[u], on);
        p[u] = keep(p[u], on);
        squares[u] = _mm512_fmadd_ps(p[u], p[u], squares[u]);
    }
}

static double velo_mlp_avx512(const struct sco_velo_panel *panel, const struct sco_velo_mlp *mlp)
{
    const ptrdiff_t ahead = ahead_of(MLP_AHEAD, panel->cols, panel->stride);
    __m512d total = _mm512_setzero_pd();
    __m512 squares[PAIR] = {_mm512_setzero_ps(), _mm512_setzero_ps()};
    size_t pending = 0;
    for (size_t i = 0; i < panel->rows; i++) {
        const ptrdiff_t at = (ptrdiff_t)i * panel->stride;
        struct mlp_row row = {.p = panel->p + at,
                              .m = {panel->m[0] + at, panel->m[1] + at, panel->m[2] + at},
                              .v = panel->v + at,
                              .g = panel->g + at,
                              .hidden = panel->row_hidden + 4 * i};
        EACH (k, 3) {
            const __m128 rho = _mm_set1_ps(panel->row_factor[k][i]);
            _mm_storeu_ps(row.wg[k], _mm_mul_ps(rho, _mm_loadu_ps(mlp->w0[SCO_VELO_GF + k])));
            _mm_storeu_ps(row.wm[k], _mm_mul_ps(rho, _mm_loadu_ps(mlp->w0[SCO_VELO_MF + k])));
        }
        const struct mlp_row *r = &row;
        for (size_t from = 0; from < panel->cols; from += FLUSH) {
            const size_t to = panel->cols - from < FLUSH ? panel->cols : from + FLUSH;
            if (pending + to - from > FLUSH) {
                total = add_lanes(add_lanes(total, squares[0]), squares[1]);
                squares[0] = squares[1] = _mm512_setzero_ps();
                pending = 0;
            }
            size_t j = from;
            for (; j + PAIR * LANES <= to; j += PAIR * LANES) {
                KEEP_IN_MEMORY(mlp);
                KEEP_IN_MEMORY(r);
                mlp_block(PAIR, panel, mlp, r, j, ahead, all, squares);
            }
            for (; j < to; j += LANES)
                mlp_block(1, panel, mlp, r, j, ahead, first(to - j), squares);
            pending += to - from;
        }
    }
    return _mm512_reduce_add_pd(add_lanes(add_lanes(total, squares[0]), squares[1]));
}

/* Nine roots and quotients per element and decay keep the divider busy: one vector at a time is enough. */
INLINE void mlp_diag_block(const struct sco_velo_slice *slice, const struct sco_velo_mlp *mlp, size_t i,
                           struct active on, __m512d *total)
{
    struct moments x[PAIR];
    x[0] = advance(slice->g + i, slice->m[0] + i, slice->m[1] + i, slice->m[2] + i, slice->v + i, on);
    const __m512 s = inverse_root(_mm512_add_ps(x[0].v, _mm512_set1_ps(SCO_VELO_EPS_V)));
    __m512 d[3], r[3], fg[3][PAIR], fm[3][PAIR], t[4][PAIR], h[4][PAIR], p[PAIR];
    EACH (k, 3) {
        d[k] = advance_d(slice->d[k] + i, x[0].g, k, on);
        fg[k][0] = inverse_root(_mm512_add_ps(d[k], _mm512_set1_ps(SCO_VELO_EPS_DG)));
        fm[k][0] = inverse_root(d[k]);
        r[k] = inverse_root(_mm512_add_ps(d[k], _mm512_set1_ps(SCO_VELO_EPS_A)));
        store(slice->m[k] + i, x[0].m[k], on);
        store(slice->d[k] + i, d[k], on);
    }
    store(slice->v + i, x[0].v, on);
    p[0] = load(slice->p + i, on);
    layer0_scaled(1, mlp, x, t);
    EACH (j, 4)
        h[j][0] = _mm512_fmadd_ps(s, t[j][0], _mm512_set1_ps(mlp->b0[j]));
    layer0_direct(1, mlp, mlp->w0 + SCO_VELO_GF, mlp->w0 + SCO_VELO_MF, x, fg, fm, p, h);
    EACH (j, 4)
        EACH (k, 3) {
            h[j][0] = _mm512_fmadd_ps(_mm512_set1_ps(mlp->wd[k][j]), d[k], h[j][0]);
            h[j][0] = _mm512_fmadd_ps(_mm512_set1_ps(mlp->wrd[k][j]), r[k], h[j][0]);
        }
    update(1, mlp, h, p);
    store(slice->p + i, p[0], on);
    const __m512 kept = keep(p[0], on);
    *total = add_square(*total, kept);
}

static double velo_mlp_diag_avx512(const struct sco_velo_slice *slice, const struct sco_velo_mlp *mlp)
{
    __m512d total = _mm512_setzero_pd();
    for (size_t i = 0; i < slice->n; i += LANES) {
        KEEP_IN_MEMORY(mlp);
        mlp_diag_block(slice, mlp, i, first(slice->n - i), &total);
    }
    return _mm512_reduce_add_pd(total);
}

static void velo_accumulate_avx512(size_t n, const float *square_sum, float count, float *const a[3], double sum[3])
{
    __m512d total[3];
    for (int k = 0; k < 3; k++)
        total[k] = _mm512_setzero_pd();
    for (size_t i = 0; i < n; i += LANES) {
        const struct active on = first(n - i);
        const __m512 mean = _mm512_add_ps(_mm512_div_ps(load(square_sum + i, on), _mm512_set1_ps(count)),
                                          _mm512_set1_ps(SCO_VELO_EPS_Q));
        EACH (k, 3) {
            const __m512 x = _mm512_fmadd_ps(_mm512_set1_ps(decay[k]), load(a[k] + i, on),
                                             _mm512_mul_ps(_mm512_set1_ps(complement[k]), mean));
            store(a[k] + i, x, on);
            total[k] = add_lanes(total[k], keep(x, on));
        }
    }
    for (int k = 0; k < 3; k++)
        sum[k] = _mm512_reduce_add_pd(total[k]);
}

static void velo_factor_avx512(size_t n, const float *const a[3], const float mean[3], float *const factor[3],
                               double square[3], double reciprocal_sum[3])
{
    for (int k = 0; k < 3; k++) {
        __m512d squares = _mm512_setzero_pd(), reciprocals = _mm512_setzero_pd();
        for (size_t i = 0; i < n; i += LANES) {
            const struct active on = first(n - i);
            const __m512 x = load(a[k] + i, on);
            const __m512 z = mean != NULL ? _mm512_div_ps(x, _mm512_set1_ps(mean[k])) : x;
            store(factor[k] + i, inverse_root(_mm512_max_ps(_mm512_set1_ps(SCO_VELO_MIN_Z), z)), on);
            squares = add_square(squares, x);
            reciprocals = add_lanes(reciprocals, reciprocal(x, SCO_VELO_EPS_A, on));
        }
        square[k] = _mm512_reduce_add_pd(squares);
        reciprocal_sum[k] = _mm512_reduce_add_pd(reciprocals);
    }
}

/* Four hidden units of 16 entries of a row or column vector. */
INLINE void hidden_block(const float *const a[3], size_t i, struct active on, const float wa[3][4],
                         const float wra[3][4], const float b[4], __m512 h[4])
{
    EACH (j, 4)
        h[j] = _mm512_set1_ps(b[j]);
    EACH (k, 3) {
        const __m512 x = load(a[k] + i, on);
        const __m512 root = inverse_root(_mm512_add_ps(x, _mm512_set1_ps(SCO_VELO_EPS_A)));
        EACH (j, 4) {
            h[j] = _mm512_fmadd_ps(_mm512_set1_ps(wa[k][j]), x, h[j]);
            h[j] = _mm512_fmadd_ps(_mm512_set1_ps(wra[k][j]), root, h[j]);
        }
    }
}

static void velo_hidden_rows_avx512(size_t n, const float *const a[3], const float wa[3][4], const float wra[3][4],
                                    const float b[4], float *hidden)
{
    for (size_t i = 0; i < n; i += LANES) {
        __m512 h[4];
        hidden_block(a, i, first(n - i), wa, wra, b, h);
        /* 4 x 4 transposition within 128 bits: t[q] holds units 0-3 of entries q, q + 4, q + 8, q + 12; then of 128-bit
         * blocks. */
        const __m512 low01 = _mm512_unpacklo_ps(h[0], h[1]), low23 = _mm512_unpacklo_ps(h[2], h[3]);
        const __m512 high01 = _mm512_unpackhi_ps(h[0], h[1]), high23 = _mm512_unpackhi_ps(h[2], h[3]);
        const __m512 t[4] = {_mm512_shuffle_ps(low01, low23, 0x44), _mm512_shuffle_ps(low01, low23, 0xee),
                             _mm512_shuffle_ps(high01, high23, 0x44), _mm512_shuffle_ps(high01, high23, 0xee)};
        const __m512 even01 = _mm512_shuffle_f32x4(t[0], t[1], 0x88), even23 = _mm512_shuffle_f32x4(t[2], t[3], 0x88);
        const __m512 odd01 = _mm512_shuffle_f32x4(t[0], t[1], 0xdd), odd23 = _mm512_shuffle_f32x4(t[2], t[3], 0xdd);
        const __m512 rows[4] = {_mm512_shuffle_f32x4(even01, even23, 0x88), _mm512_shuffle_f32x4(odd01, odd23, 0x88),
                                _mm512_shuffle_f32x4(even01, even23, 0xdd), _mm512_shuffle_f32x4(odd01, odd23, 0xdd)};
        for (size_t q = 0; q < 4 && i + 4 * q < n; q++)
            store(hidden + 4 * i + q * LANES, rows[q], first(4 * (n - i - 4 * q)));
    }
}

static void velo_hidden_cols_avx512(size_t n, const float *const a[3], const float wa[3][4], const float wra[3][4],
                                    const float b[4], float *const hidden[4])
{
    for (size_t i = 0; i < n; i += LANES) {
        const struct active on = first(n - i);
        __m512 h[4];
        hidden_block(a, i, on, wa, wra, b, h);
        EACH (j, 4)
            store(hidden[j] + i, h[j], on);
    }
}

void sco_velo_fill_avx512(void *ops, sco_isa isa)
{
    (void)isa;
    *(struct sco_velo_ops *)ops = (struct sco_velo_ops){
        .square_sums = velo_square_sums_avx512,
        .statistics = velo_statistics_avx512,
        .statistics_diag = velo_statistics_diag_avx512,
        .mlp = velo_mlp_avx512,
        .mlp_diag = velo_mlp_diag_avx512,
        .accumulate = velo_accumulate_avx512,
        .factor = velo_factor_avx512,
        .hidden_rows = velo_hidden_rows_avx512,
        .hidden_cols = velo_hidden_cols_avx512,
    };
}

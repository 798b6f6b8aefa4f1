/* SPDX-License-Identifier: Apache-2.0
 * The VeLO sweeps for AVX2 and AVX-512, in the words of lanes_*.h, which the row file has included. The MLP sweep is bound
 * by the FMA pipes (111 multiply-adds, a root and a quotient per element) when its tensor is in cache or few cores run,
 * and by memory otherwise; the other sweeps by memory. */
#ifndef SCO_KERNELS_VELO_X86_H
#define SCO_KERNELS_VELO_X86_H

#include <stdbool.h>
#include <string.h>

#include "kernels/sum_lanes.h"
#include "kernels/velo/velo.h"

#define EACH(i, n)                                                                                                     \
    SCO_UNROLL                                                                                                         \
    for (int i = 0; i < (int)(n); i++)

/* Compilers would hoist the 100-odd weights out of the loop and spill them as whole vectors: 6 KB of L1 for 400 bytes. */
#define KEEP_IN_MEMORY(pointer) __asm__ volatile("" : "+r"(pointer))

enum {
    FLUSH = 64 * LANES,   /* elements between additions of the float lanes to double: 64 to a lane, or 4e-7 if equal */
    SMALL = 256,          /* elements up to which the moments' sums are taken in double throughout */
    STRIP = 1024,         /* columns whose sums of squares wait in L1; wider ones are slower from memory */
    ROWS = 2,             /* rows that share a load and store of those sums; more streams are slower from memory */
    SQUARES_AHEAD = 1024, /* elements to prefetch ahead */
    STATISTICS_AHEAD = 512,
    MLP_AHEAD = 256 /* its elements take longest */
};

static const float decay[3] = {SCO_VELO_D0, SCO_VELO_D1, SCO_VELO_D2};
static const float complement[3] = {1.0f - SCO_VELO_D0, 1.0f - SCO_VELO_D1, 1.0f - SCO_VELO_D2};

/* Which lanes of a vector exist: all, by a constant, or the first count. */
struct active {
    bool full;
    size_t count;
};
static const struct active all = {true, LANES};

SCO_INLINE struct active first(size_t left)
{
    return (struct active){false, left < LANES ? left : LANES};
}

/* Absent lanes read as 0. */
SCO_INLINE lanes load(const float *x, struct active on)
{
    return on.full ? lanes_load(x) : lanes_load_first(x, on.count);
}

SCO_INLINE void store(float *to, lanes x, struct active on)
{
    if (on.full)
        lanes_store(to, x);
    else
        lanes_store_first(to, x, on.count);
}

SCO_INLINE lanes keep(lanes x, struct active on)
{
    return on.full ? x : lanes_keep_first(x, on.count);
}

SCO_INLINE double total_of(lanes_f64 sum)
{
    double lane[LANES];
    lanes_f64_store(lane, sum);
    return sco_fold_lanes(lane, LANES);
}

/* How far ahead of the element in work to prefetch: distance elements along the row if that is memory which will be
 * read, else as many rows as hold them. Hardware prefetchers alone reach 60 % of the bandwidth with these streams. */
static ptrdiff_t ahead_of(size_t distance, size_t cols, ptrdiff_t stride)
{
    return (ptrdiff_t)cols == stride || cols >= 4 * distance || cols == 0
               ? (ptrdiff_t)distance
               : stride * (ptrdiff_t)((distance + cols - 1) / cols);
}

SCO_INLINE void prefetch(const float *x, ptrdiff_t ahead)
{
    __builtin_prefetch((const char *)((uintptr_t)x + (uintptr_t)ahead * sizeof *x));
}

/* Of min and max the second operand is returned when one is NaN, so x comes second. */
SCO_INLINE lanes clip(lanes x, float bound)
{
    return lanes_min(lanes_set(bound), lanes_max(lanes_set(-bound), x));
}

SCO_INLINE lanes relu(lanes x)
{
    return lanes_max(lanes_set(0.0f), x);
}

SCO_INLINE lanes inverse_root(lanes x)
{
    return lanes_div(lanes_set(1.0f), lanes_sqrt(x));
}

SCO_INLINE lanes reciprocal(lanes x, float bias, struct active on)
{
    return keep(lanes_div(lanes_set(1.0f), lanes_add(x, lanes_set(bias))), on);
}

SCO_INLINE lanes exp2_clamped(lanes x)
{
    const lanes magic = lanes_set(SCO_VELO_EXP2_MAGIC);
    x = lanes_max(lanes_set(SCO_VELO_EXP2_MIN), x);
    x = lanes_min(lanes_set(SCO_VELO_EXP2_MAX), x);
    const lanes shifted = lanes_add(x, magic);
    const lanes f = lanes_sub(x, lanes_sub(shifted, magic));
    lanes y = lanes_fma(lanes_set(SCO_VELO_EXP2_C5), f, lanes_set(SCO_VELO_EXP2_C4));
    y = lanes_fma(y, f, lanes_set(SCO_VELO_EXP2_C3));
    y = lanes_fma(y, f, lanes_set(SCO_VELO_EXP2_C2));
    y = lanes_fma(y, f, lanes_set(SCO_VELO_EXP2_C1));
    y = lanes_fma(y, f, lanes_set(SCO_VELO_EXP2_C0));
    return lanes_scale_exp2(y, shifted);
}

/* The clipped gradient and the new momenta and second moment of a vector of elements. */
struct moments {
    lanes g, m[3], v;
};

SCO_INLINE struct moments advance(const float *g, const float *m0, const float *m1, const float *m2, const float *v,
                                  struct active on)
{
    struct moments x;
    x.g = clip(load(g, on), SCO_VELO_CLIP_G);
    const lanes share = lanes_mul(lanes_set(complement[2]), x.g);
    x.m[0] = lanes_fma(lanes_set(decay[0]), load(m0, on), lanes_mul(lanes_set(complement[0]), x.g));
    x.m[1] = lanes_fma(lanes_set(decay[1]), load(m1, on), lanes_mul(lanes_set(complement[1]), x.g));
    x.m[2] = lanes_fma(lanes_set(decay[2]), load(m2, on), share);
    x.v = lanes_fma(lanes_set(decay[2]), load(v, on), lanes_mul(share, x.g));
    return x;
}

SCO_INLINE struct moments advance_panel(const struct sco_velo_panel *panel, ptrdiff_t at, struct active on)
{
    return advance(panel->g + at, panel->m[0] + at, panel->m[1] + at, panel->m[2] + at, panel->v + at, on);
}

/* What advance_panel() will read. */
SCO_INLINE void prefetch_moments(const struct sco_velo_panel *panel, ptrdiff_t at, ptrdiff_t ahead)
{
    prefetch(panel->g + at, ahead);
    prefetch(panel->v + at, ahead);
    EACH (k, 3)
        prefetch(panel->m[k] + at, ahead);
}

SCO_INLINE lanes advance_d(const float *d, lanes g, int k, struct active on)
{
    const lanes q = lanes_fma(g, g, lanes_set(SCO_VELO_EPS_Q));
    return lanes_fma(lanes_set(decay[k]), load(d, on), lanes_mul(lanes_set(complement[k]), q));
}

/* Rows share each load and store of the column sums, which are kept in double so that their error does not grow with
 * the number of rows. */
SCO_INLINE void square_block(const int rows, ptrdiff_t stride, ptrdiff_t ahead, const float *g, struct active on,
                             lanes_f64 *col, lanes row[ROWS])
{
    lanes sum = lanes_set(0.0f);
    EACH (i, rows) {
        prefetch(g + i * stride, ahead);
        const lanes x = clip(load(g + i * stride, on), SCO_VELO_CLIP_G);
        row[i] = lanes_fma(x, x, row[i]);
        sum = lanes_fma(x, x, sum);
    }
    *col = lanes_f64_add(*col, sum);
}

SCO_INLINE void square_rows(const int rows, size_t cols, ptrdiff_t stride, ptrdiff_t ahead, const float *g,
                            lanes_f64 col[], float row_sum[])
{
    lanes row[ROWS];
    EACH (i, rows)
        row[i] = lanes_set(0.0f);
    size_t j = 0;
    for (; j + LANES <= cols; j += LANES)
        square_block(rows, stride, ahead, g + j, all, col + j / LANES, row);
    if (j < cols)
        square_block(rows, stride, ahead, g + j, first(cols - j), col + j / LANES, row);
    EACH (i, rows)
        row_sum[i] += lanes_sum(row[i]);
}

static void velo_square_sums_x86(size_t rows, size_t cols, ptrdiff_t stride, const float *g, float *row_sum,
                                 float *col_sum)
{
    memset(row_sum, 0, rows * sizeof row_sum[0]);
    for (size_t from = 0; from < cols; from += STRIP) {
        const size_t n = cols - from < STRIP ? cols - from : STRIP;
        lanes_f64 col[STRIP / LANES];
        for (size_t j = 0; j < n; j += LANES)
            col[j / LANES] = lanes_f64_zero();
        const ptrdiff_t ahead = ROWS * stride * (ptrdiff_t)((SQUARES_AHEAD + ROWS * n - 1) / (ROWS * n));
        size_t i = 0;
        for (; i + ROWS <= rows; i += ROWS)
            square_rows(ROWS, n, stride, ahead, g + (ptrdiff_t)i * stride + (ptrdiff_t)from, col, row_sum + i);
        for (; i < rows; i++)
            square_rows(1, n, stride, ahead, g + (ptrdiff_t)i * stride + (ptrdiff_t)from, col, row_sum + i);
        for (size_t j = 0; j < n; j += LANES) {
            const struct active on = first(n - j);
            double sum[LANES];
            lanes_f64_store(sum, col[j / LANES]);
            store(col_sum + from + j, lanes_add(load(col_sum + from + j, on), lanes_load_f64(sum)), on);
        }
    }
}

/* Float lanes of the statistics, by the slots of sums[]; one of each suffices, as the products of a vector take longer
 * than the addition into its sums. */
struct partial {
    lanes x[SCO_VELO_SUMS];
};

SCO_INLINE void clear(struct partial *sum, const int slots)
{
    EACH (i, slots)
        sum->x[i] = lanes_set(0.0f);
}

SCO_INLINE void flush(struct partial *sum, lanes_f64 total[], const int slots)
{
    EACH (i, slots)
        total[i] = lanes_f64_add(total[i], sum->x[i]);
    clear(sum, slots);
}

/* Sums of what is made from g and the moments alone. Returns s^2, and g^2 and m_k^2 in square. */
SCO_INLINE lanes add_plain(struct partial *sum, const struct moments *x, struct active on, lanes square[4])
{
    const lanes clipped = clip(x->g, SCO_VELO_CLIP_F);
    const lanes s2 = reciprocal(x->v, SCO_VELO_EPS_V, on);
    square[0] = lanes_mul(x->g, x->g);
    sum->x[SCO_VELO_G] = lanes_add(sum->x[SCO_VELO_G], square[0]);
    sum->x[SCO_VELO_CLIP] = lanes_fma(clipped, clipped, sum->x[SCO_VELO_CLIP]);
    sum->x[SCO_VELO_V] = lanes_fma(x->v, x->v, sum->x[SCO_VELO_V]);
    sum->x[SCO_VELO_S] = lanes_add(sum->x[SCO_VELO_S], s2);
    sum->x[SCO_VELO_SUM_V] = lanes_add(sum->x[SCO_VELO_SUM_V], x->v);
    EACH (k, 3) {
        square[k + 1] = lanes_mul(x->m[k], x->m[k]);
        sum->x[SCO_VELO_M + k] = lanes_add(sum->x[SCO_VELO_M + k], square[k + 1]);
        sum->x[SCO_VELO_SUM_M + k] = lanes_add(sum->x[SCO_VELO_SUM_M + k], x->m[k]);
    }
    return s2;
}

SCO_INLINE void add_scaled(struct partial *sum, const lanes square[4], lanes s2)
{
    sum->x[SCO_VELO_GS] = lanes_fma(square[0], s2, sum->x[SCO_VELO_GS]);
    EACH (k, 3)
        sum->x[SCO_VELO_MS + k] = lanes_fma(square[k + 1], s2, sum->x[SCO_VELO_MS + k]);
}

/* Sums of m_k, m_k^2, v, v^2 in double. The LSTM input takes the logarithm of a variance formed from them, which must
 * vanish for one element and stay small for nearly equal ones: a matter of small tensors. */
struct exact {
    lanes_f64 m[3], m2[3], v, v2;
};

SCO_INLINE void add_exact(struct exact *sum, const struct moments *x)
{
    EACH (k, 3) {
        sum->m[k] = lanes_f64_add(sum->m[k], x->m[k]);
        sum->m2[k] = lanes_f64_add_square(sum->m2[k], x->m[k]);
    }
    sum->v = lanes_f64_add(sum->v, x->v);
    sum->v2 = lanes_f64_add_square(sum->v2, x->v);
}

static void store_exact(const struct exact *sum, double sums[SCO_VELO_SUMS])
{
    for (int k = 0; k < 3; k++) {
        sums[SCO_VELO_SUM_M + k] = total_of(sum->m[k]);
        sums[SCO_VELO_M + k] = total_of(sum->m2[k]);
    }
    sums[SCO_VELO_SUM_V] = total_of(sum->v);
    sums[SCO_VELO_V] = total_of(sum->v2);
}

static void small_panel_moments(const struct sco_velo_panel *panel, double sums[SCO_VELO_SUMS])
{
    struct exact sum = {0};
    for (size_t i = 0; i < panel->rows; i++)
        for (size_t j = 0; j < panel->cols; j += LANES) {
            const ptrdiff_t at = (ptrdiff_t)i * panel->stride + (ptrdiff_t)j;
            const struct moments x = advance_panel(panel, at, first(panel->cols - j));
            add_exact(&sum, &x);
        }
    store_exact(&sum, sums);
}

enum { PANEL_SLOTS = SCO_VELO_SUM_V + 1 };

/* Supplied by the row file: adds columns from .. to - 1 of a row, at most FLUSH. gf, mf: sums of g^2 gam_k^2 and
 * m_k^2 gam_k^2, to which rho_k^2 is still missing. */
SCO_INLINE void add_part(struct partial *sum, lanes gf[3], lanes mf[3], const struct sco_velo_panel *panel, size_t row,
                         size_t from, size_t to, ptrdiff_t ahead);

static void velo_statistics_x86(const struct sco_velo_panel *panel, double sums[SCO_VELO_SUMS])
{
    const ptrdiff_t ahead = ahead_of(STATISTICS_AHEAD, panel->cols, panel->stride);
    lanes_f64 total[PANEL_SLOTS];
    EACH (i, PANEL_SLOTS)
        total[i] = lanes_f64_zero();
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
            lanes gf[3], mf[3];
            EACH (k, 3)
                gf[k] = mf[k] = lanes_set(0.0f);
            add_part(&sum, gf, mf, panel, i, from, to, ahead);
            EACH (k, 3) {
                const lanes f = lanes_set(panel->row_factor[k][i]), f2 = lanes_mul(f, f);
                sum.x[SCO_VELO_GF + k] = lanes_fma(gf[k], f2, sum.x[SCO_VELO_GF + k]);
                sum.x[SCO_VELO_MF + k] = lanes_fma(mf[k], f2, sum.x[SCO_VELO_MF + k]);
            }
            pending += to - from;
        }
    flush(&sum, total, PANEL_SLOTS);
    memset(sums, 0, SCO_VELO_SUMS * sizeof sums[0]);
    EACH (i, PANEL_SLOTS)
        sums[i] = total_of(total[i]);
    if (panel->rows * panel->cols <= SMALL)
        small_panel_moments(panel, sums);
}

static void velo_statistics_diag_x86(const struct sco_velo_slice *slice, double sums[SCO_VELO_SUMS])
{
    lanes_f64 total[SCO_VELO_SUMS];
    for (int i = 0; i < SCO_VELO_SUMS; i++)
        total[i] = lanes_f64_zero();
    struct partial sum;
    struct exact exact = {0};
    for (size_t from = 0; from < slice->n; from += FLUSH) {
        const size_t to = slice->n - from < FLUSH ? slice->n : from + FLUSH;
        clear(&sum, SCO_VELO_SUMS);
        for (size_t i = from; i < to; i += LANES) {
            const struct active on = first(to - i);
            const struct moments x =
                advance(slice->g + i, slice->m[0] + i, slice->m[1] + i, slice->m[2] + i, slice->v + i, on);
            lanes square[4];
            const lanes s2 = add_plain(&sum, &x, on, square);
            add_scaled(&sum, square, s2);
            add_exact(&exact, &x);
            EACH (k, 3) {
                const lanes d = advance_d(slice->d[k] + i, x.g, k, on), kept = keep(d, on);
                sum.x[SCO_VELO_GF + k] =
                    lanes_fma(square[0], reciprocal(d, SCO_VELO_EPS_DG, on), sum.x[SCO_VELO_GF + k]);
                sum.x[SCO_VELO_MF + k] = lanes_fma(square[k + 1], reciprocal(d, 0.0f, on), sum.x[SCO_VELO_MF + k]);
                sum.x[SCO_VELO_SUM_D + k] = lanes_fma(kept, kept, sum.x[SCO_VELO_SUM_D + k]);
                sum.x[SCO_VELO_SUM_RD + k] = lanes_add(sum.x[SCO_VELO_SUM_RD + k], reciprocal(d, SCO_VELO_EPS_A, on));
            }
        }
        flush(&sum, total, SCO_VELO_SUMS);
    }
    for (int i = 0; i < SCO_VELO_SUMS; i++)
        sums[i] = total_of(total[i]);
    store_exact(&exact, sums);
}

/* Two vectors at a time share every broadcast weight; their 8 chains keep both FMA pipes busy at 4 cycles latency. Three
 * or four are slower. */
enum { PAIR = 2 };

/* Blocks 5, 6, 8 of layer 0 on nv vectors before their factor s. */
SCO_INLINE void layer0_scaled(const int nv, const struct sco_velo_mlp *mlp, const struct moments x[PAIR],
                              lanes t[4][PAIR])
{
    EACH (j, 4) {
        const lanes w_s = lanes_set(mlp->w0[SCO_VELO_S][j]), w_gs = lanes_set(mlp->w0[SCO_VELO_GS][j]);
        EACH (u, nv)
            t[j][u] = lanes_fma(w_gs, x[u].g, w_s);
    }
    EACH (k, 3)
        EACH (j, 4) {
            const lanes w = lanes_set(mlp->w0[SCO_VELO_MS + k][j]);
            EACH (u, nv)
                t[j][u] = lanes_fma(w, x[u].m[k], t[j][u]);
        }
}

/* The other blocks, added to h. wg, wm: weights of blocks 7 and 13; fg, fm: what these multiply g and m_k by. */
SCO_INLINE void layer0_direct(const int nv, const struct sco_velo_mlp *mlp, const float (*wg)[4], const float (*wm)[4],
                              const struct moments x[PAIR], lanes fg[3][PAIR], lanes fm[3][PAIR], const lanes p[PAIR],
                              lanes h[4][PAIR])
{
    lanes c[PAIR];
    EACH (j, 4) {
        EACH (u, nv)
            c[u] = lanes_set(mlp->w0[SCO_VELO_G][j]);
        EACH (k, 3) {
            const lanes w = lanes_set(wg[k][j]);
            EACH (u, nv)
                c[u] = lanes_fma(w, fg[k][u], c[u]);
        }
        EACH (u, nv)
            h[j][u] = lanes_fma(c[u], x[u].g, h[j][u]);
    }
    EACH (u, nv)
        c[u] = clip(x[u].g, SCO_VELO_CLIP_F);
    EACH (j, 4) {
        const lanes w = lanes_set(mlp->w0[SCO_VELO_CLIP][j]);
        EACH (u, nv)
            h[j][u] = lanes_fma(w, c[u], h[j][u]);
    }
    EACH (j, 4) {
        const lanes w = lanes_set(mlp->w0[SCO_VELO_P][j]);
        EACH (u, nv)
            h[j][u] = lanes_fma(w, p[u], h[j][u]);
    }
    EACH (j, 4) {
        const lanes w = lanes_set(mlp->w0[SCO_VELO_V][j]);
        EACH (u, nv)
            h[j][u] = lanes_fma(w, x[u].v, h[j][u]);
    }
    EACH (k, 3)
        EACH (j, 4) {
            const lanes w_m = lanes_set(mlp->w0[SCO_VELO_M + k][j]), w_mf = lanes_set(wm[k][j]);
            EACH (u, nv) {
                const lanes w = lanes_fma(w_mf, fm[k][u], w_m);
                h[j][u] = lanes_fma(w, x[u].m[k], h[j][u]);
            }
        }
}

/* ReLU of layer 0, layers 1 and 2 and the new parameters. */
SCO_INLINE void update(const int nv, const struct sco_velo_mlp *mlp, lanes h[4][PAIR], lanes p[PAIR])
{
    lanes y[4][PAIR], o[2][PAIR];
    EACH (j, 4) {
        const lanes b = lanes_set(mlp->b1[j]);
        EACH (u, nv) {
            h[j][u] = relu(h[j][u]);
            y[j][u] = b;
        }
    }
    EACH (i, 4)
        EACH (j, 4) {
            const lanes w = lanes_set(mlp->w1[i][j]);
            EACH (u, nv)
                y[j][u] = lanes_fma(w, h[i][u], y[j][u]);
        }
    EACH (u, nv)
        EACH (c, 2)
            o[c][u] = lanes_set(mlp->b2[c]);
    EACH (i, 4) {
        const lanes w0 = lanes_set(mlp->w2[i][0]), w1 = lanes_set(mlp->w2[i][1]);
        EACH (u, nv) {
            const lanes z = relu(y[i][u]);
            o[0][u] = lanes_fma(w0, z, o[0][u]);
            o[1][u] = lanes_fma(w1, z, o[1][u]);
        }
    }
    EACH (u, nv)
        p[u] = lanes_fnma(o[0][u], exp2_clamped(o[1][u]), p[u]);
}

struct mlp_row {
    float *p, *m[3], *v;
    const float *g, *hidden;
    float wg[3][4], wm[3][4]; /* weights of blocks 7 and 13 times rho_k */
};

/* Supplied by the row file: columns from .. to - 1 of a row, at most FLUSH; adds the new p^2 to squares. */
SCO_INLINE void mlp_part(const struct sco_velo_panel *panel, const struct sco_velo_mlp *mlp, const struct mlp_row *row,
                         size_t from, size_t to, ptrdiff_t ahead, lanes squares[PAIR]);

static double velo_mlp_x86(const struct sco_velo_panel *panel, const struct sco_velo_mlp *mlp)
{
    const ptrdiff_t ahead = ahead_of(MLP_AHEAD, panel->cols, panel->stride);
    lanes_f64 total = lanes_f64_zero();
    lanes squares[PAIR] = {lanes_set(0.0f), lanes_set(0.0f)};
    size_t pending = 0;
    for (size_t i = 0; i < panel->rows; i++) {
        const ptrdiff_t at = (ptrdiff_t)i * panel->stride;
        struct mlp_row row = {.p = panel->p + at,
                              .m = {panel->m[0] + at, panel->m[1] + at, panel->m[2] + at},
                              .v = panel->v + at,
                              .g = panel->g + at,
                              .hidden = panel->row_hidden + 4 * i};
        EACH (k, 3) {
            EACH (j, 4) {
                row.wg[k][j] = panel->row_factor[k][i] * mlp->w0[SCO_VELO_GF + k][j];
                row.wm[k][j] = panel->row_factor[k][i] * mlp->w0[SCO_VELO_MF + k][j];
            }
        }
        for (size_t from = 0; from < panel->cols; from += FLUSH) {
            const size_t to = panel->cols - from < FLUSH ? panel->cols : from + FLUSH;
            if (pending + to - from > FLUSH) {
                total = lanes_f64_add(lanes_f64_add(total, squares[0]), squares[1]);
                squares[0] = squares[1] = lanes_set(0.0f);
                pending = 0;
            }
            mlp_part(panel, mlp, &row, from, to, ahead, squares);
            pending += to - from;
        }
    }
    return total_of(lanes_f64_add(lanes_f64_add(total, squares[0]), squares[1]));
}

/* Ten roots and ten quotients keep the divider busy: one vector at a time is enough. */
SCO_INLINE void mlp_diag_block(const struct sco_velo_slice *slice, const struct sco_velo_mlp *mlp, size_t i,
                               struct active on, lanes_f64 *total)
{
    struct moments x[PAIR];
    x[0] = advance(slice->g + i, slice->m[0] + i, slice->m[1] + i, slice->m[2] + i, slice->v + i, on);
    const lanes s = inverse_root(lanes_add(x[0].v, lanes_set(SCO_VELO_EPS_V)));
    lanes d[3], r[3], fg[3][PAIR], fm[3][PAIR], t[4][PAIR], h[4][PAIR], p[PAIR];
    EACH (k, 3) {
        d[k] = advance_d(slice->d[k] + i, x[0].g, k, on);
        fg[k][0] = inverse_root(lanes_add(d[k], lanes_set(SCO_VELO_EPS_DG)));
        fm[k][0] = inverse_root(d[k]);
        r[k] = inverse_root(lanes_add(d[k], lanes_set(SCO_VELO_EPS_A)));
        store(slice->m[k] + i, x[0].m[k], on);
        store(slice->d[k] + i, d[k], on);
    }
    store(slice->v + i, x[0].v, on);
    p[0] = load(slice->p + i, on);
    layer0_scaled(1, mlp, x, t);
    EACH (j, 4)
        h[j][0] = lanes_fma(s, t[j][0], lanes_set(mlp->b0[j]));
    layer0_direct(1, mlp, mlp->w0 + SCO_VELO_GF, mlp->w0 + SCO_VELO_MF, x, fg, fm, p, h);
    EACH (j, 4)
        EACH (k, 3) {
            h[j][0] = lanes_fma(lanes_set(mlp->wd[k][j]), d[k], h[j][0]);
            h[j][0] = lanes_fma(lanes_set(mlp->wrd[k][j]), r[k], h[j][0]);
        }
    update(1, mlp, h, p);
    store(slice->p + i, p[0], on);
    const lanes kept = keep(p[0], on);
    *total = lanes_f64_add_square(*total, kept);
}

static double velo_mlp_diag_x86(const struct sco_velo_slice *slice, const struct sco_velo_mlp *mlp)
{
    lanes_f64 total = lanes_f64_zero();
    for (size_t i = 0; i < slice->n; i += LANES) {
        KEEP_IN_MEMORY(mlp);
        mlp_diag_block(slice, mlp, i, first(slice->n - i), &total);
    }
    return total_of(total);
}

static void velo_accumulate_x86(size_t n, const float *square_sum, float count, float *const a[3], double sum[3])
{
    lanes_f64 total[3];
    for (int k = 0; k < 3; k++)
        total[k] = lanes_f64_zero();
    for (size_t i = 0; i < n; i += LANES) {
        const struct active on = first(n - i);
        const lanes mean = lanes_add(lanes_div(load(square_sum + i, on), lanes_set(count)), lanes_set(SCO_VELO_EPS_Q));
        EACH (k, 3) {
            const lanes x =
                lanes_fma(lanes_set(decay[k]), load(a[k] + i, on), lanes_mul(lanes_set(complement[k]), mean));
            store(a[k] + i, x, on);
            total[k] = lanes_f64_add(total[k], keep(x, on));
        }
    }
    for (int k = 0; k < 3; k++)
        sum[k] = total_of(total[k]);
}

static void velo_factor_x86(size_t n, const float *const a[3], const float mean[3], float *const factor[3],
                            double square[3], double reciprocal_sum[3])
{
    for (int k = 0; k < 3; k++) {
        lanes_f64 squares = lanes_f64_zero(), reciprocals = lanes_f64_zero();
        for (size_t i = 0; i < n; i += LANES) {
            const struct active on = first(n - i);
            const lanes x = load(a[k] + i, on);
            const lanes z = mean != NULL ? lanes_div(x, lanes_set(mean[k])) : x;
            store(factor[k] + i, inverse_root(lanes_max(lanes_set(SCO_VELO_MIN_Z), z)), on);
            squares = lanes_f64_add_square(squares, x);
            reciprocals = lanes_f64_add(reciprocals, reciprocal(x, SCO_VELO_EPS_A, on));
        }
        square[k] = total_of(squares);
        reciprocal_sum[k] = total_of(reciprocals);
    }
}

/* Four hidden units of 16 entries of a row or column vector. */
SCO_INLINE void hidden_block(const float *const a[3], size_t i, struct active on, const float wa[3][4],
                             const float wra[3][4], const float b[4], lanes h[4])
{
    EACH (j, 4)
        h[j] = lanes_set(b[j]);
    EACH (k, 3) {
        const lanes x = load(a[k] + i, on);
        const lanes root = inverse_root(lanes_add(x, lanes_set(SCO_VELO_EPS_A)));
        EACH (j, 4) {
            h[j] = lanes_fma(lanes_set(wa[k][j]), x, h[j]);
            h[j] = lanes_fma(lanes_set(wra[k][j]), root, h[j]);
        }
    }
}

static void velo_hidden_rows_x86(size_t n, const float *const a[3], const float wa[3][4], const float wra[3][4],
                                 const float b[4], float *hidden)
{
    for (size_t i = 0; i < n; i += LANES) {
        lanes h[4];
        hidden_block(a, i, first(n - i), wa, wra, b, h);
        lanes_store_interleaved(hidden + 4 * i, h, n - i < LANES ? n - i : LANES);
    }
}

static void velo_hidden_cols_x86(size_t n, const float *const a[3], const float wa[3][4], const float wra[3][4],
                                 const float b[4], float *const hidden[4])
{
    for (size_t i = 0; i < n; i += LANES) {
        const struct active on = first(n - i);
        lanes h[4];
        hidden_block(a, i, on, wa, wra, b, h);
        EACH (j, 4)
            store(hidden[j] + i, h[j], on);
    }
}

static const struct sco_velo_ops velo_x86_ops = {
    .square_sums = velo_square_sums_x86,
    .statistics = velo_statistics_x86,
    .statistics_diag = velo_statistics_diag_x86,
    .mlp = velo_mlp_x86,
    .mlp_diag = velo_mlp_diag_x86,
    .accumulate = velo_accumulate_x86,
    .factor = velo_factor_x86,
    .hidden_rows = velo_hidden_rows_x86,
    .hidden_cols = velo_hidden_cols_x86,
};

#endif

/* SPDX-License-Identifier: Apache-2.0
 * The sweeps of velo.c on vectors, for rows whose target has no row of its own kind: NEON, and whatever Highway covers.
 * The including row brings the words of lanes_neon.h and these:
 *   floor_at(x, b), cap_at(x, b)   x < b ? b : x and x > b ? b : x, so that a NaN or a zero x is kept
 *   scale_exponent(y, shifted)     y 2^n, n in the low bits of shifted
 *   add_f64, add_squares_f64       adds a vector, or its squares, to LANES doubles in memory
 *   set4, add4, add2               weights of four hidden units, or two outputs, times vectors
 *   store_rows                     four vectors as rows of four */
#include "kernels/velo/velo.h"

enum {
    PAIR = 2,           /* vectors that share the loads of weights; more of them spill */
    STRIP = 4096,       /* columns walked together: their column vectors (28 bytes each) stay in L2 */
    SQUARES = 512,      /* columns whose sums of squares wait in L1 */
    ROWS = 8,           /* rows that share a load and store of the column sums */
    FLUSH = 64 * LANES, /* elements at most between additions of the float lanes to double */
    SMALL = 256,        /* elements up to which the sums of the moments are taken in double */
    AHEAD_BYTES = 2048, /* up to six streams are more than hardware prefetchers follow well */
    G = 0,              /* a vector of moments: the clipped gradient, the new momenta and second moment */
    M = 1,
    V = 4,
    MOMENTS = 5
};

static const float decay[3] = {SCO_VELO_D0, SCO_VELO_D1, SCO_VELO_D2};
static const float complement[3] = {1.0f - SCO_VELO_D0, 1.0f - SCO_VELO_D1, 1.0f - SCO_VELO_D2};

/* n is the constant LANES in full vectors. */
SCO_INLINE lanes load(const float *x, size_t n)
{
    return n == LANES ? lanes_load(x) : lanes_load_first(x, n);
}

SCO_INLINE void store(float *x, lanes y, size_t n)
{
    if (n == LANES)
        lanes_store(x, y);
    else
        lanes_store_first(x, y, n);
}

SCO_INLINE lanes first(lanes x, size_t n)
{
    return n == LANES ? x : lanes_keep_first(x, n);
}

SCO_INLINE size_t up_to_lanes(size_t left)
{
    return left < LANES ? left : (size_t)LANES;
}

SCO_INLINE void prefetch(const float *x, size_t bytes)
{
    __builtin_prefetch((const void *)((uintptr_t)x + bytes));
}

SCO_INLINE lanes clip(lanes x, float bound)
{
    return cap_at(floor_at(x, lanes_set(-bound)), lanes_set(bound));
}

SCO_INLINE lanes relu(lanes x)
{
    return floor_at(x, lanes_set(0.0f));
}

SCO_INLINE lanes reciprocal(lanes x)
{
    return lanes_div(lanes_set(1.0f), x);
}

SCO_INLINE lanes inverse_root(lanes x)
{
    return reciprocal(lanes_sqrt(x));
}

SCO_INLINE lanes biased(lanes x, float bias)
{
    return lanes_add(x, lanes_set(bias));
}

SCO_INLINE lanes exp2_clamped(lanes x)
{
    const lanes magic = lanes_set(SCO_VELO_EXP2_MAGIC);
    x = cap_at(floor_at(x, lanes_set(SCO_VELO_EXP2_MIN)), lanes_set(SCO_VELO_EXP2_MAX));
    const lanes shifted = lanes_add(x, magic);
    const lanes f = lanes_sub(x, lanes_sub(shifted, magic));
    lanes y = lanes_fma(lanes_set(SCO_VELO_EXP2_C5), f, lanes_set(SCO_VELO_EXP2_C4));
    y = lanes_fma(y, f, lanes_set(SCO_VELO_EXP2_C3));
    y = lanes_fma(y, f, lanes_set(SCO_VELO_EXP2_C2));
    y = lanes_fma(y, f, lanes_set(SCO_VELO_EXP2_C1));
    y = lanes_fma(y, f, lanes_set(SCO_VELO_EXP2_C0));
    return scale_exponent(y, shifted);
}

SCO_INLINE double total_of(const double x[LANES])
{
    double sum = 0.0;
    for (size_t i = 0; i < LANES; i++)
        sum += x[i];
    return sum;
}

SCO_INLINE void advance(lanes x[MOMENTS], const float *g, float *const m[3], const float *v, ptrdiff_t at, size_t n)
{
    x[G] = clip(load(g + at, n), SCO_VELO_CLIP_G);
    const lanes share = lanes_mul(lanes_set(complement[2]), x[G]);
    x[M] = lanes_fma(lanes_set(decay[0]), load(m[0] + at, n), lanes_mul(lanes_set(complement[0]), x[G]));
    x[M + 1] = lanes_fma(lanes_set(decay[1]), load(m[1] + at, n), lanes_mul(lanes_set(complement[1]), x[G]));
    x[M + 2] = lanes_fma(lanes_set(decay[2]), load(m[2] + at, n), share);
    x[V] = lanes_fma(lanes_set(decay[2]), load(v + at, n), lanes_mul(share, x[G]));
}

SCO_INLINE lanes advance_d(const float *d, lanes g, int k, size_t n)
{
    const lanes q = lanes_fma(g, g, lanes_set(SCO_VELO_EPS_Q));
    return lanes_fma(lanes_set(decay[k]), load(d, n), lanes_mul(lanes_set(complement[k]), q));
}

SCO_INLINE void prefetch_state(const float *g, float *const m[3], const float *v, ptrdiff_t at)
{
    prefetch(g + at, AHEAD_BYTES);
    prefetch(v + at, AHEAD_BYTES);
    SCO_UNROLL
    for (int k = 0; k < 3; k++)
        prefetch(m[k] + at, AHEAD_BYTES);
}

/* ---- Squares ---- */

SCO_INLINE void square_vectors(const size_t rows, const float *g, ptrdiff_t stride, lanes sum[], double *col, size_t n)
{
    lanes squares = lanes_set(0.0f);
    SCO_UNROLL
    for (size_t i = 0; i < rows; i++) {
        const float *at = g + (ptrdiff_t)i * stride;
        prefetch(at, rows * (size_t)stride * sizeof *g);
        const lanes x = clip(load(at, n), SCO_VELO_CLIP_G);
        sum[i] = lanes_fma(x, x, sum[i]);
        squares = lanes_fma(x, x, squares);
    }
    add_f64(col, squares);
}

/* Column sums are kept in double so that their error does not grow with the number of rows. cols <= SQUARES. */
SCO_INLINE void square_rows(const size_t rows, size_t cols, ptrdiff_t stride, const float *g, double *col, float *row)
{
    lanes sum[ROWS];
    SCO_UNROLL
    for (size_t i = 0; i < rows; i++)
        sum[i] = lanes_set(0.0f);
    size_t j = 0;
    for (; cols - j >= LANES; j += LANES)
        square_vectors(rows, g + j, stride, sum, col + j, LANES);
    if (j < cols)
        square_vectors(rows, g + j, stride, sum, col + j, cols - j);
    SCO_UNROLL
    for (size_t i = 0; i < rows; i++) {
        double lane[LANES] = {0.0};
        add_f64(lane, sum[i]);
        row[i] += (float)total_of(lane);
    }
}

static void square_sums(size_t rows, size_t cols, ptrdiff_t stride, const float *g, float *row_sum, float *col_sum)
{
    memset(row_sum, 0, rows * sizeof *row_sum);
    for (size_t from = 0; from < cols; from += SQUARES) {
        const size_t n = cols - from < SQUARES ? cols - from : (size_t)SQUARES;
        double col[SQUARES];
        for (size_t j = 0; j < SQUARES; j++)
            col[j] = 0.0;
        const float *x = g + from;
        size_t i = 0;
        for (; rows - i >= ROWS; i += ROWS)
            square_rows(ROWS, n, stride, x + (ptrdiff_t)i * stride, col, row_sum + i);
        for (; i < rows; i++)
            square_rows(1, n, stride, x + (ptrdiff_t)i * stride, col, row_sum + i);
        for (size_t j = 0; j < n; j++)
            col_sum[from + j] += (float)col[j];
    }
}

/* ---- Statistics: float lanes of the sums by slot, emptied into double often enough ---- */

SCO_INLINE void clear(const int slots, lanes sum[], double total[][LANES])
{
    SCO_UNROLL
    for (int i = 0; i < slots; i++) {
        sum[i] = lanes_set(0.0f);
        for (size_t l = 0; l < LANES; l++)
            total[i][l] = 0.0;
    }
}

SCO_INLINE void flush(const int slots, lanes sum[], double total[][LANES])
{
    SCO_UNROLL
    for (int i = 0; i < slots; i++) {
        add_f64(total[i], sum[i]);
        sum[i] = lanes_set(0.0f);
    }
}

/* What does not depend on where blocks 7 and 13 get their factors from; leaves g^2 and m_k^2 in square. */
SCO_INLINE void add_common(lanes sum[], const lanes x[MOMENTS], size_t n, lanes square[4])
{
    const lanes clipped = clip(x[G], SCO_VELO_CLIP_F);
    const lanes s2 = first(reciprocal(biased(x[V], SCO_VELO_EPS_V)), n);
    square[0] = lanes_mul(x[G], x[G]);
    sum[SCO_VELO_G] = lanes_add(sum[SCO_VELO_G], square[0]);
    sum[SCO_VELO_CLIP] = lanes_fma(clipped, clipped, sum[SCO_VELO_CLIP]);
    sum[SCO_VELO_V] = lanes_fma(x[V], x[V], sum[SCO_VELO_V]);
    sum[SCO_VELO_S] = lanes_add(sum[SCO_VELO_S], s2);
    sum[SCO_VELO_GS] = lanes_fma(square[0], s2, sum[SCO_VELO_GS]);
    sum[SCO_VELO_SUM_V] = lanes_add(sum[SCO_VELO_SUM_V], x[V]);
    SCO_UNROLL
    for (int k = 0; k < 3; k++) {
        square[k + 1] = lanes_mul(x[M + k], x[M + k]);
        sum[SCO_VELO_M + k] = lanes_add(sum[SCO_VELO_M + k], square[k + 1]);
        sum[SCO_VELO_MS + k] = lanes_fma(square[k + 1], s2, sum[SCO_VELO_MS + k]);
        sum[SCO_VELO_SUM_M + k] = lanes_add(sum[SCO_VELO_SUM_M + k], x[M + k]);
    }
}

/* Sums of m_k, v and their squares in double. The LSTM input takes the logarithm of a variance formed from them, which
 * must vanish for one element and stay small for nearly equal ones: a matter of small tensors. */
struct moment_sums {
    double sum[4][LANES], square[4][LANES];
};

SCO_INLINE void add_moments(struct moment_sums *to, const lanes x[MOMENTS])
{
    SCO_UNROLL
    for (int k = 0; k < 4; k++) {
        add_f64(to->sum[k], x[M + k]);
        add_squares_f64(to->square[k], x[M + k]);
    }
}

static void store_moments(const struct moment_sums *from, double sums[SCO_VELO_SUMS])
{
    sums[SCO_VELO_SUM_V] = total_of(from->sum[3]);
    sums[SCO_VELO_V] = total_of(from->square[3]);
    for (int k = 0; k < 3; k++) {
        sums[SCO_VELO_SUM_M + k] = total_of(from->sum[k]);
        sums[SCO_VELO_M + k] = total_of(from->square[k]);
    }
}

static void small_panel_moments(const struct sco_velo_panel *panel, double sums[SCO_VELO_SUMS])
{
    struct moment_sums exact = {{{0.0}}, {{0.0}}};
    for (size_t i = 0; i < panel->rows; i++)
        for (size_t j = 0; j < panel->cols; j += LANES) {
            lanes x[MOMENTS];
            advance(x, panel->g, panel->m, panel->v, (ptrdiff_t)i * panel->stride + (ptrdiff_t)j,
                    up_to_lanes(panel->cols - j));
            add_moments(&exact, x);
        }
    store_moments(&exact, sums);
}

/* (g gam_k)^2 and (m_k gam_k)^2 of a vector go to factored, whose sums over the row take rho_k^2. */
SCO_INLINE void add_panel(lanes sum[], lanes factored[6], const struct sco_velo_panel *panel, size_t i, size_t j,
                          size_t n)
{
    const ptrdiff_t at = (ptrdiff_t)i * panel->stride + (ptrdiff_t)j;
    lanes x[MOMENTS], square[4];
    prefetch_state(panel->g, panel->m, panel->v, at);
    advance(x, panel->g, panel->m, panel->v, at, n);
    add_common(sum, x, n, square);
    SCO_UNROLL
    for (int k = 0; k < 3; k++) {
        const lanes f = load(panel->col_factor[k] + j, n), f2 = lanes_mul(f, f);
        factored[k] = lanes_fma(square[0], f2, factored[k]);
        factored[3 + k] = lanes_fma(square[k + 1], f2, factored[3 + k]);
    }
}

static void statistics(const struct sco_velo_panel *panel, double sums[SCO_VELO_SUMS])
{
    enum { SLOTS = SCO_VELO_SUM_V + 1 };
    lanes sum[SLOTS];
    double total[SLOTS][LANES];
    clear(SLOTS, sum, total);
    size_t pending = 0; /* vectors added since the last flush */
    for (size_t from = 0; from < panel->cols; from += STRIP) {
        const size_t to = panel->cols - from < STRIP ? panel->cols : from + STRIP;
        for (size_t i = 0; i < panel->rows; i++) {
            for (size_t j = from; j < to;) {
                const size_t stop = to - j < FLUSH ? to : j + FLUSH;
                lanes factored[6];
                SCO_UNROLL
                for (int k = 0; k < 6; k++)
                    factored[k] = lanes_set(0.0f);
                const size_t vectors = (stop - j + LANES - 1) / LANES;
                if (pending + vectors > FLUSH / LANES) {
                    flush(SLOTS, sum, total);
                    pending = 0;
                }
                pending += vectors;
                for (; stop - j >= LANES; j += LANES)
                    add_panel(sum, factored, panel, i, j, LANES);
                if (j < stop)
                    add_panel(sum, factored, panel, i, j, stop - j);
                j = stop;
                SCO_UNROLL
                for (int k = 0; k < 3; k++) {
                    const lanes f = lanes_set(panel->row_factor[k][i]), f2 = lanes_mul(f, f);
                    sum[SCO_VELO_GF + k] = lanes_fma(factored[k], f2, sum[SCO_VELO_GF + k]);
                    sum[SCO_VELO_MF + k] = lanes_fma(factored[3 + k], f2, sum[SCO_VELO_MF + k]);
                }
            }
        }
    }
    flush(SLOTS, sum, total);
    for (int i = 0; i < SCO_VELO_SUMS; i++)
        sums[i] = i < SLOTS ? total_of(total[i]) : 0.0;
    if (panel->rows * panel->cols <= SMALL)
        small_panel_moments(panel, sums);
}

SCO_INLINE void add_slice(lanes sum[], struct moment_sums *exact, const struct sco_velo_slice *slice, size_t i,
                          size_t n)
{
    lanes x[MOMENTS], square[4];
    advance(x, slice->g, slice->m, slice->v, (ptrdiff_t)i, n);
    add_common(sum, x, n, square);
    add_moments(exact, x);
    SCO_UNROLL
    for (int k = 0; k < 3; k++) {
        const lanes d = advance_d(slice->d[k] + i, x[G], k, n), kept = first(d, n);
        const lanes rg = first(reciprocal(biased(d, SCO_VELO_EPS_DG)), n);
        const lanes rm = first(reciprocal(d), n), rd = first(reciprocal(biased(d, SCO_VELO_EPS_A)), n);
        sum[SCO_VELO_GF + k] = lanes_fma(square[0], rg, sum[SCO_VELO_GF + k]);
        sum[SCO_VELO_MF + k] = lanes_fma(square[k + 1], rm, sum[SCO_VELO_MF + k]);
        sum[SCO_VELO_SUM_D + k] = lanes_fma(kept, kept, sum[SCO_VELO_SUM_D + k]);
        sum[SCO_VELO_SUM_RD + k] = lanes_add(sum[SCO_VELO_SUM_RD + k], rd);
    }
}

static void statistics_diag(const struct sco_velo_slice *slice, double sums[SCO_VELO_SUMS])
{
    lanes sum[SCO_VELO_SUMS];
    double total[SCO_VELO_SUMS][LANES];
    struct moment_sums exact = {{{0.0}}, {{0.0}}};
    clear(SCO_VELO_SUMS, sum, total);
    for (size_t i = 0; i < slice->n;) {
        const size_t stop = slice->n - i < FLUSH ? slice->n : i + FLUSH;
        for (; stop - i >= LANES; i += LANES)
            add_slice(sum, &exact, slice, i, LANES);
        if (i < stop)
            add_slice(sum, &exact, slice, i, stop - i);
        i = stop;
        flush(SCO_VELO_SUMS, sum, total);
    }
    for (int i = 0; i < SCO_VELO_SUMS; i++)
        sums[i] = total_of(total[i]);
    store_moments(&exact, sums);
}

/* ---- MLP ---- */

/* Layer 0 of vectors x[u], in the order of velo.c. h holds the bias on entry; wg, wm: weights of blocks 7 and 13. */
SCO_INLINE void layer0(const size_t vectors, const struct sco_velo_mlp *mlp, const float (*wg)[4], const float (*wm)[4],
                       lanes x[MOMENTS][PAIR], lanes fg[3][PAIR], lanes fm[3][PAIR], const lanes p[PAIR],
                       lanes h[4][PAIR])
{
    const float(*w)[4] = mlp->w0;
    lanes s[PAIR], clipped[PAIR], t[4][PAIR];
    SCO_UNROLL
    for (size_t u = 0; u < vectors; u++) {
        s[u] = inverse_root(biased(x[V][u], SCO_VELO_EPS_V));
        clipped[u] = clip(x[G][u], SCO_VELO_CLIP_F);
    }
    set4(vectors, t, w[SCO_VELO_S]);
    add4(vectors, t, w[SCO_VELO_GS], x[G]);
    SCO_UNROLL
    for (int k = 0; k < 3; k++)
        add4(vectors, t, w[SCO_VELO_MS + k], x[M + k]);
    SCO_UNROLL
    for (int j = 0; j < 4; j++) {
        SCO_UNROLL
        for (size_t u = 0; u < vectors; u++)
            h[j][u] = lanes_fma(s[u], t[j][u], h[j][u]);
    }
    set4(vectors, t, w[SCO_VELO_G]);
    SCO_UNROLL
    for (int k = 0; k < 3; k++)
        add4(vectors, t, wg[k], fg[k]);
    SCO_UNROLL
    for (int j = 0; j < 4; j++) {
        SCO_UNROLL
        for (size_t u = 0; u < vectors; u++)
            h[j][u] = lanes_fma(t[j][u], x[G][u], h[j][u]);
    }
    add4(vectors, h, w[SCO_VELO_CLIP], clipped);
    add4(vectors, h, w[SCO_VELO_P], p);
    add4(vectors, h, w[SCO_VELO_V], x[V]);
    SCO_UNROLL
    for (int k = 0; k < 3; k++) {
        set4(vectors, t, w[SCO_VELO_M + k]);
        add4(vectors, t, wm[k], fm[k]);
        SCO_UNROLL
        for (int j = 0; j < 4; j++) {
            SCO_UNROLL
            for (size_t u = 0; u < vectors; u++)
                h[j][u] = lanes_fma(t[j][u], x[M + k][u], h[j][u]);
        }
    }
}

/* Layers 1 and 2 and the update of p. h: layer 0 before its ReLU. */
SCO_INLINE void update(const size_t vectors, const struct sco_velo_mlp *mlp, lanes h[4][PAIR], lanes p[PAIR])
{
    lanes y[4][PAIR], o[2][PAIR];
    set4(vectors, y, mlp->b1);
    SCO_UNROLL
    for (int i = 0; i < 4; i++) {
        SCO_UNROLL
        for (size_t u = 0; u < vectors; u++)
            h[i][u] = relu(h[i][u]);
        add4(vectors, y, mlp->w1[i], h[i]);
    }
    SCO_UNROLL
    for (size_t u = 0; u < vectors; u++) {
        o[0][u] = lanes_set(mlp->b2[0]);
        o[1][u] = lanes_set(mlp->b2[1]);
    }
    SCO_UNROLL
    for (int i = 0; i < 4; i++) {
        SCO_UNROLL
        for (size_t u = 0; u < vectors; u++)
            y[i][u] = relu(y[i][u]);
        add2(vectors, o, mlp->w2[i], y[i]);
    }
    SCO_UNROLL
    for (size_t u = 0; u < vectors; u++)
        p[u] = lanes_fnma(o[0][u], exp2_clamped(o[1][u]), p[u]);
}

/* Stores what both kinds of tensor keep, and returns the sum of the squares of p. */
SCO_INLINE lanes store_state(const size_t vectors, float *to_p, float *const m[3], float *v, ptrdiff_t at,
                             lanes x[MOMENTS][PAIR], const lanes p[PAIR], size_t n)
{
    lanes squares = lanes_set(0.0f);
    SCO_UNROLL
    for (size_t u = 0; u < vectors; u++) {
        const ptrdiff_t to = at + (ptrdiff_t)(u * LANES);
        SCO_UNROLL
        for (int k = 0; k < 3; k++)
            store(m[k] + to, x[M + k][u], n);
        store(v + to, x[V][u], n);
        store(to_p + to, p[u], n);
        const lanes kept = first(p[u], n);
        squares = lanes_fma(kept, kept, squares);
    }
    return squares;
}

SCO_INLINE void load_state(lanes x[MOMENTS][PAIR], size_t u, const float *g, float *const m[3], const float *v,
                           ptrdiff_t at, size_t n)
{
    lanes y[MOMENTS];
    prefetch_state(g, m, v, at);
    advance(y, g, m, v, at, n);
    SCO_UNROLL
    for (int i = 0; i < MOMENTS; i++)
        x[i][u] = y[i];
}

/* Weights of blocks 7 and 13, times the factors of a row. */
struct row_weights {
    float g[3][4], m[3][4];
};

SCO_INLINE lanes mlp_panel(const size_t vectors, const struct sco_velo_panel *panel, const struct sco_velo_mlp *mlp,
                           const struct row_weights *w, size_t i, size_t j, size_t n)
{
    const ptrdiff_t at = (ptrdiff_t)i * panel->stride + (ptrdiff_t)j;
    lanes x[MOMENTS][PAIR], p[PAIR], f[3][PAIR], h[4][PAIR];
    SCO_UNROLL
    for (size_t u = 0; u < vectors; u++) {
        const size_t col = j + u * LANES;
        const ptrdiff_t from = at + (ptrdiff_t)(u * LANES);
        load_state(x, u, panel->g, panel->m, panel->v, from, n);
        prefetch(panel->p + from, AHEAD_BYTES);
        p[u] = load(panel->p + from, n);
        SCO_UNROLL
        for (int k = 0; k < 3; k++)
            f[k][u] = load(panel->col_factor[k] + col, n);
        SCO_UNROLL
        for (size_t c = 0; c < 4; c++)
            h[c][u] = lanes_add(lanes_set(panel->row_hidden[i * 4 + c]), load(panel->col_hidden[c] + col, n));
    }
    layer0(vectors, mlp, w->g, w->m, x, f, f, p, h);
    update(vectors, mlp, h, p);
    return store_state(vectors, panel->p, panel->m, panel->v, at, x, p, n);
}

static double mlp(const struct sco_velo_panel *panel, const struct sco_velo_mlp *mlp)
{
    double total[LANES];
    for (size_t l = 0; l < LANES; l++)
        total[l] = 0.0;
    for (size_t from = 0; from < panel->cols; from += STRIP) {
        const size_t to = panel->cols - from < STRIP ? panel->cols : from + STRIP;
        for (size_t i = 0; i < panel->rows; i++) {
            struct row_weights w;
            for (int k = 0; k < 3; k++)
                for (int c = 0; c < 4; c++) {
                    w.g[k][c] = panel->row_factor[k][i] * mlp->w0[SCO_VELO_GF + k][c];
                    w.m[k][c] = panel->row_factor[k][i] * mlp->w0[SCO_VELO_MF + k][c];
                }
            for (size_t j = from; j < to;) {
                const size_t stop = to - j < FLUSH ? to : j + FLUSH;
                lanes squares = lanes_set(0.0f);
                for (; stop - j >= PAIR * LANES; j += PAIR * LANES)
                    squares = lanes_add(squares, mlp_panel(PAIR, panel, mlp, &w, i, j, LANES));
                for (; j < stop; j += up_to_lanes(stop - j))
                    squares = lanes_add(squares, mlp_panel(1, panel, mlp, &w, i, j, up_to_lanes(stop - j)));
                add_f64(total, squares);
            }
        }
    }
    return total_of(total);
}

SCO_INLINE lanes mlp_slice(const size_t vectors, const struct sco_velo_slice *slice, const struct sco_velo_mlp *mlp,
                           size_t at, size_t n)
{
    lanes x[MOMENTS][PAIR], p[PAIR], d[3][PAIR], fg[3][PAIR], fm[3][PAIR], r[3][PAIR], h[4][PAIR];
    set4(vectors, h, mlp->b0);
    SCO_UNROLL
    for (size_t u = 0; u < vectors; u++) {
        const size_t from = at + u * LANES;
        load_state(x, u, slice->g, slice->m, slice->v, (ptrdiff_t)from, n);
        p[u] = load(slice->p + from, n);
        SCO_UNROLL
        for (int k = 0; k < 3; k++) {
            d[k][u] = advance_d(slice->d[k] + from, x[G][u], k, n);
            fg[k][u] = inverse_root(biased(d[k][u], SCO_VELO_EPS_DG));
            fm[k][u] = inverse_root(d[k][u]);
            r[k][u] = inverse_root(biased(d[k][u], SCO_VELO_EPS_A));
        }
    }
    layer0(vectors, mlp, mlp->w0 + SCO_VELO_GF, mlp->w0 + SCO_VELO_MF, x, fg, fm, p, h);
    SCO_UNROLL
    for (int k = 0; k < 3; k++) {
        add4(vectors, h, mlp->wd[k], d[k]);
        add4(vectors, h, mlp->wrd[k], r[k]);
    }
    update(vectors, mlp, h, p);
    SCO_UNROLL
    for (size_t u = 0; u < vectors; u++) {
        SCO_UNROLL
        for (int k = 0; k < 3; k++)
            store(slice->d[k] + at + u * LANES, d[k][u], n);
    }
    return store_state(vectors, slice->p, slice->m, slice->v, (ptrdiff_t)at, x, p, n);
}

static double mlp_diag(const struct sco_velo_slice *slice, const struct sco_velo_mlp *mlp)
{
    double total[LANES];
    for (size_t l = 0; l < LANES; l++)
        total[l] = 0.0;
    size_t i = 0;
    for (; slice->n - i >= PAIR * LANES; i += PAIR * LANES)
        add_f64(total, mlp_slice(PAIR, slice, mlp, i, LANES));
    for (; i < slice->n; i += up_to_lanes(slice->n - i))
        add_f64(total, mlp_slice(1, slice, mlp, i, up_to_lanes(slice->n - i)));
    return total_of(total);
}

/* ---- Row and column vectors ---- */

static void accumulate(size_t n, const float *square_sum, float count, float *const a[3], double sum[3])
{
    double total[3][LANES];
    for (size_t l = 0; l < LANES; l++)
        total[0][l] = total[1][l] = total[2][l] = 0.0;
    for (size_t i = 0; i < n; i += LANES) {
        const size_t left = up_to_lanes(n - i);
        const lanes mean = biased(lanes_div(load(square_sum + i, left), lanes_set(count)), SCO_VELO_EPS_Q);
        SCO_UNROLL
        for (int k = 0; k < 3; k++) {
            const lanes share = lanes_mul(lanes_set(complement[k]), mean);
            const lanes next = lanes_fma(lanes_set(decay[k]), load(a[k] + i, left), share);
            store(a[k] + i, next, left);
            add_f64(total[k], first(next, left));
        }
    }
    for (int k = 0; k < 3; k++)
        sum[k] = total_of(total[k]);
}

static void factor(size_t n, const float *const a[3], const float mean[3], float *const out[3], double square[3],
                   double reciprocals[3])
{
    for (int k = 0; k < 3; k++) {
        double squares[LANES], total[LANES];
        for (size_t l = 0; l < LANES; l++)
            squares[l] = total[l] = 0.0;
        for (size_t i = 0; i < n; i += LANES) {
            const size_t left = up_to_lanes(n - i);
            const lanes x = load(a[k] + i, left), z = mean != NULL ? lanes_div(x, lanes_set(mean[k])) : x;
            store(out[k] + i, inverse_root(floor_at(z, lanes_set(SCO_VELO_MIN_Z))), left);
            add_squares_f64(squares, x);
            add_f64(total, first(reciprocal(biased(x, SCO_VELO_EPS_A)), left));
        }
        square[k] = total_of(squares);
        reciprocals[k] = total_of(total);
    }
}

SCO_INLINE void hidden(const float *const a[3], size_t i, const float wa[3][4], const float wra[3][4], const float b[4],
                       size_t n, lanes h[4][PAIR])
{
    set4(1, h, b);
    SCO_UNROLL
    for (int k = 0; k < 3; k++) {
        const lanes x[1] = {load(a[k] + i, n)}, r[1] = {inverse_root(biased(x[0], SCO_VELO_EPS_A))};
        add4(1, h, wa[k], x);
        add4(1, h, wra[k], r);
    }
}

static void hidden_rows(size_t n, const float *const a[3], const float wa[3][4], const float wra[3][4],
                        const float b[4], float *out)
{
    for (size_t i = 0; i < n; i += LANES) {
        lanes h[4][PAIR];
        hidden(a, i, wa, wra, b, up_to_lanes(n - i), h);
        if (n - i >= LANES) {
            store_rows(out + 4 * i, h);
        } else {
            float rows[4 * LANES];
            store_rows(rows, h);
            memcpy(out + 4 * i, rows, 4 * (n - i) * sizeof *out);
        }
    }
}

static void hidden_cols(size_t n, const float *const a[3], const float wa[3][4], const float wra[3][4],
                        const float b[4], float *const out[4])
{
    for (size_t i = 0; i < n; i += LANES) {
        lanes h[4][PAIR];
        hidden(a, i, wa, wra, b, up_to_lanes(n - i), h);
        SCO_UNROLL
        for (int c = 0; c < 4; c++)
            store(out[c] + i, h[c][0], up_to_lanes(n - i));
    }
}

static void fill(struct sco_velo_ops *ops)
{
    ops->square_sums = square_sums;
    ops->statistics = statistics;
    ops->statistics_diag = statistics_diag;
    ops->mlp = mlp;
    ops->mlp_diag = mlp_diag;
    ops->accumulate = accumulate;
    ops->factor = factor;
    ops->hidden_rows = hidden_rows;
    ops->hidden_cols = hidden_cols;
}

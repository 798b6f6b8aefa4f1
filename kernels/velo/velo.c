/* SPDX-License-Identifier: Apache-2.0
 * Scalar rows: the definition. Other rows copy the order of operations of every element-wise output; comparisons are
 * written so that a NaN is kept. Sums are taken in double here and set the mark for the others. */
#include "kernels/velo/velo.h"

#include <math.h>
#include <string.h>

static const float decay[3] = {SCO_VELO_D0, SCO_VELO_D1, SCO_VELO_D2};
static const float complement[3] = {1.0f - SCO_VELO_D0, 1.0f - SCO_VELO_D1, 1.0f - SCO_VELO_D2};

static float clip(float x, float bound)
{
    return x < -bound ? -bound : x > bound ? bound : x;
}

static float relu(float x)
{
    return x < 0.0f ? 0.0f : x;
}

static float exp2_clamped(float x)
{
    x = x < SCO_VELO_EXP2_MIN ? SCO_VELO_EXP2_MIN : x > SCO_VELO_EXP2_MAX ? SCO_VELO_EXP2_MAX : x;
    const float shifted = x + SCO_VELO_EXP2_MAGIC;
    const float f = x - (shifted - SCO_VELO_EXP2_MAGIC);
    float y = fmaf(SCO_VELO_EXP2_C5, f, SCO_VELO_EXP2_C4);
    y = fmaf(y, f, SCO_VELO_EXP2_C3);
    y = fmaf(y, f, SCO_VELO_EXP2_C2);
    y = fmaf(y, f, SCO_VELO_EXP2_C1);
    y = fmaf(y, f, SCO_VELO_EXP2_C0);
    uint32_t bits, n;
    memcpy(&bits, &y, sizeof bits);
    memcpy(&n, &shifted, sizeof n);
    bits += n << 23;
    memcpy(&y, &bits, sizeof y);
    return y;
}

/* What every feature is made from: the clipped gradient and the new momenta and second moment. */
struct moments {
    float g, m[3], v;
};

static struct moments advance(float g, const float *const m[3], const float *v, ptrdiff_t at)
{
    struct moments x = {.g = clip(g, SCO_VELO_CLIP_G)};
    float share[3];
    for (int k = 0; k < 3; k++) {
        share[k] = complement[k] * x.g;
        x.m[k] = fmaf(decay[k], m[k][at], share[k]);
    }
    x.v = fmaf(SCO_VELO_D2, v[at], share[2] * x.g);
    return x;
}

static float advance_d(float d, float g, int k)
{
    return fmaf(decay[k], d, complement[k] * fmaf(g, g, SCO_VELO_EPS_Q));
}

static float inverse_root(float x)
{
    return 1.0f / sqrtf(x);
}

static void velo_square_sums_scalar(size_t rows, size_t cols, ptrdiff_t stride, const float *g, float *row_sum,
                                    float *col_sum)
{
    for (size_t i = 0; i < rows; i++) {
        double sum = 0.0;
        for (size_t j = 0; j < cols; j++) {
            const double x = (double)clip(g[(ptrdiff_t)i * stride + (ptrdiff_t)j], SCO_VELO_CLIP_G);
            sum += x * x;
        }
        row_sum[i] = (float)sum;
    }
    for (size_t j = 0; j < cols; j++) {
        double sum = 0.0;
        for (size_t i = 0; i < rows; i++) {
            const double x = (double)clip(g[(ptrdiff_t)i * stride + (ptrdiff_t)j], SCO_VELO_CLIP_G);
            sum += x * x;
        }
        col_sum[j] += (float)sum;
    }
}

/* The sums that do not depend on where block 7 and block 13 get their factors from. */
static void add_common(const struct moments *x, double sums[SCO_VELO_SUMS])
{
    const double g = (double)x->g, c = (double)clip(x->g, SCO_VELO_CLIP_F), v = (double)x->v;
    const double s2 = (double)(1.0f / (x->v + SCO_VELO_EPS_V));
    sums[SCO_VELO_G] += g * g;
    sums[SCO_VELO_CLIP] += c * c;
    sums[SCO_VELO_V] += v * v;
    sums[SCO_VELO_S] += s2;
    sums[SCO_VELO_GS] += g * g * s2;
    sums[SCO_VELO_SUM_V] += v;
    for (int k = 0; k < 3; k++) {
        const double m = (double)x->m[k];
        sums[SCO_VELO_M + k] += m * m;
        sums[SCO_VELO_MS + k] += m * m * s2;
        sums[SCO_VELO_SUM_M + k] += m;
    }
}

static void velo_statistics_scalar(const struct sco_velo_panel *panel, double sums[SCO_VELO_SUMS])
{
    memset(sums, 0, SCO_VELO_SUMS * sizeof sums[0]);
    for (size_t i = 0; i < panel->rows; i++)
        for (size_t j = 0; j < panel->cols; j++) {
            const ptrdiff_t at = (ptrdiff_t)i * panel->stride + (ptrdiff_t)j;
            const float *const m[3] = {panel->m[0], panel->m[1], panel->m[2]};
            const struct moments x = advance(panel->g[at], m, panel->v, at);
            add_common(&x, sums);
            for (int k = 0; k < 3; k++) {
                const double factor = (double)panel->row_factor[k][i] * (double)panel->col_factor[k][j];
                const double gf = (double)x.g * factor, mf = (double)x.m[k] * factor;
                sums[SCO_VELO_GF + k] += gf * gf;
                sums[SCO_VELO_MF + k] += mf * mf;
            }
        }
}

static void velo_statistics_diag_scalar(const struct sco_velo_slice *slice, double sums[SCO_VELO_SUMS])
{
    memset(sums, 0, SCO_VELO_SUMS * sizeof sums[0]);
    for (size_t i = 0; i < slice->n; i++) {
        const float *const m[3] = {slice->m[0], slice->m[1], slice->m[2]};
        const struct moments x = advance(slice->g[i], m, slice->v, (ptrdiff_t)i);
        add_common(&x, sums);
        for (int k = 0; k < 3; k++) {
            const float df = advance_d(slice->d[k][i], x.g, k);
            const double d = (double)df, g = (double)x.g, m2 = (double)x.m[k] * (double)x.m[k];
            sums[SCO_VELO_GF + k] += g * g / (double)(df + SCO_VELO_EPS_DG);
            sums[SCO_VELO_MF + k] += m2 / d;
            sums[SCO_VELO_SUM_D + k] += d * d;
            sums[SCO_VELO_SUM_RD + k] += 1.0 / (double)(df + SCO_VELO_EPS_A);
        }
    }
}

/* What blocks 7 and 13 multiply g and m_k by, per element and with the weights. */
struct factors {
    float g[3], m[3];
};
struct factor_weights {
    float g[3][4], m[3][4];
};

/* Hidden unit j before blocks 9-12, which come in as bias or are added afterwards. Two groupings save multiplications
 * over the sum of 18 products: blocks 5, 6, 8 share s, and blocks 7 and 13 are added to the weights of g and m_k. */
static float hidden(const struct sco_velo_mlp *mlp, const struct factor_weights *wf, int j, const struct moments *x,
                    const struct factors *f, float p, float s, float bias)
{
    const float(*w)[4] = mlp->w0;
    float t = w[SCO_VELO_S][j];
    t = fmaf(w[SCO_VELO_GS][j], x->g, t);
    for (int k = 0; k < 3; k++)
        t = fmaf(w[SCO_VELO_MS + k][j], x->m[k], t);
    float h = fmaf(s, t, bias);
    float c = w[SCO_VELO_G][j];
    for (int k = 0; k < 3; k++)
        c = fmaf(wf->g[k][j], f->g[k], c);
    h = fmaf(c, x->g, h);
    h = fmaf(w[SCO_VELO_CLIP][j], clip(x->g, SCO_VELO_CLIP_F), h);
    h = fmaf(w[SCO_VELO_P][j], p, h);
    h = fmaf(w[SCO_VELO_V][j], x->v, h);
    for (int k = 0; k < 3; k++)
        h = fmaf(fmaf(wf->m[k][j], f->m[k], w[SCO_VELO_M + k][j]), x->m[k], h);
    return h;
}

/* Layers 1 and 2 and the update. h: layer 0 before its ReLU. */
static float update(const struct sco_velo_mlp *mlp, const float h[4], float p)
{
    float y[4];
    for (int j = 0; j < 4; j++) {
        y[j] = mlp->b1[j];
        for (int i = 0; i < 4; i++)
            y[j] = fmaf(mlp->w1[i][j], relu(h[i]), y[j]);
    }
    float o[2] = {mlp->b2[0], mlp->b2[1]};
    for (int i = 0; i < 4; i++)
        for (int c = 0; c < 2; c++)
            o[c] = fmaf(mlp->w2[i][c], relu(y[i]), o[c]);
    return fmaf(-o[0], exp2_clamped(o[1]), p);
}

static double velo_mlp_scalar(const struct sco_velo_panel *panel, const struct sco_velo_mlp *mlp)
{
    double squares = 0.0;
    for (size_t i = 0; i < panel->rows; i++) {
        struct factor_weights wf;
        for (int k = 0; k < 3; k++)
            for (int j = 0; j < 4; j++) {
                wf.g[k][j] = panel->row_factor[k][i] * mlp->w0[SCO_VELO_GF + k][j];
                wf.m[k][j] = panel->row_factor[k][i] * mlp->w0[SCO_VELO_MF + k][j];
            }
        for (size_t col = 0; col < panel->cols; col++) {
            const ptrdiff_t at = (ptrdiff_t)i * panel->stride + (ptrdiff_t)col;
            const float *const m[3] = {panel->m[0], panel->m[1], panel->m[2]};
            const struct moments x = advance(panel->g[at], m, panel->v, at);
            const float s = inverse_root(x.v + SCO_VELO_EPS_V);
            struct factors f;
            for (int k = 0; k < 3; k++)
                f.g[k] = f.m[k] = panel->col_factor[k][col];
            float h[4];
            for (int j = 0; j < 4; j++) {
                const float bias = panel->row_hidden[i * 4 + (size_t)j] + panel->col_hidden[j][col];
                h[j] = hidden(mlp, &wf, j, &x, &f, panel->p[at], s, bias);
            }
            const float p = update(mlp, h, panel->p[at]);
            for (int k = 0; k < 3; k++)
                panel->m[k][at] = x.m[k];
            panel->v[at] = x.v;
            panel->p[at] = p;
            squares += (double)p * (double)p;
        }
    }
    return squares;
}

static double velo_mlp_diag_scalar(const struct sco_velo_slice *slice, const struct sco_velo_mlp *mlp)
{
    struct factor_weights wf;
    memcpy(wf.g, mlp->w0[SCO_VELO_GF], sizeof wf.g);
    memcpy(wf.m, mlp->w0[SCO_VELO_MF], sizeof wf.m);
    double squares = 0.0;
    for (size_t i = 0; i < slice->n; i++) {
        const float *const m[3] = {slice->m[0], slice->m[1], slice->m[2]};
        const struct moments x = advance(slice->g[i], m, slice->v, (ptrdiff_t)i);
        const float s = inverse_root(x.v + SCO_VELO_EPS_V);
        struct factors f;
        float d[3], r[3], h[4];
        for (int k = 0; k < 3; k++) {
            d[k] = advance_d(slice->d[k][i], x.g, k);
            f.g[k] = inverse_root(d[k] + SCO_VELO_EPS_DG);
            f.m[k] = inverse_root(d[k]);
            r[k] = inverse_root(d[k] + SCO_VELO_EPS_A);
        }
        for (int j = 0; j < 4; j++) {
            h[j] = hidden(mlp, &wf, j, &x, &f, slice->p[i], s, mlp->b0[j]);
            for (int k = 0; k < 3; k++) {
                h[j] = fmaf(mlp->wd[k][j], d[k], h[j]);
                h[j] = fmaf(mlp->wrd[k][j], r[k], h[j]);
            }
        }
        const float p = update(mlp, h, slice->p[i]);
        for (int k = 0; k < 3; k++) {
            slice->m[k][i] = x.m[k];
            slice->d[k][i] = d[k];
        }
        slice->v[i] = x.v;
        slice->p[i] = p;
        squares += (double)p * (double)p;
    }
    return squares;
}

static void velo_accumulate_scalar(size_t n, const float *square_sum, float count, float *const a[3], double sum[3])
{
    sum[0] = sum[1] = sum[2] = 0.0;
    for (size_t i = 0; i < n; i++) {
        const float mean = square_sum[i] / count + SCO_VELO_EPS_Q;
        for (int k = 0; k < 3; k++) {
            a[k][i] = fmaf(decay[k], a[k][i], complement[k] * mean);
            sum[k] += (double)a[k][i];
        }
    }
}

static void velo_factor_scalar(size_t n, const float *const a[3], const float mean[3], float *const factor[3],
                               double square[3], double reciprocal[3])
{
    for (int k = 0; k < 3; k++) {
        square[k] = reciprocal[k] = 0.0;
        for (size_t i = 0; i < n; i++) {
            const float z = mean != NULL ? a[k][i] / mean[k] : a[k][i];
            factor[k][i] = inverse_root(z < SCO_VELO_MIN_Z ? SCO_VELO_MIN_Z : z);
            square[k] += (double)a[k][i] * (double)a[k][i];
            reciprocal[k] += 1.0 / (double)(a[k][i] + SCO_VELO_EPS_A);
        }
    }
}

static float hidden_vector(const float *const a[3], size_t i, const float wa[3][4], const float wra[3][4], int j,
                           float h)
{
    for (int k = 0; k < 3; k++) {
        h = fmaf(wa[k][j], a[k][i], h);
        h = fmaf(wra[k][j], inverse_root(a[k][i] + SCO_VELO_EPS_A), h);
    }
    return h;
}

static void velo_hidden_rows_scalar(size_t n, const float *const a[3], const float wa[3][4], const float wra[3][4],
                                    const float b[4], float *out)
{
    for (size_t i = 0; i < n; i++)
        for (int j = 0; j < 4; j++)
            out[i * 4 + (size_t)j] = hidden_vector(a, i, wa, wra, j, b[j]);
}

static void velo_hidden_cols_scalar(size_t n, const float *const a[3], const float wa[3][4], const float wra[3][4],
                                    const float b[4], float *const out[4])
{
    for (int j = 0; j < 4; j++)
        for (size_t i = 0; i < n; i++)
            out[j][i] = hidden_vector(a, i, wa, wra, j, b[j]);
}

void sco_velo_fill_scalar(void *ops, sco_isa isa)
{
    (void)isa;
    *(struct sco_velo_ops *)ops = (struct sco_velo_ops){
        .square_sums = velo_square_sums_scalar,
        .statistics = velo_statistics_scalar,
        .statistics_diag = velo_statistics_diag_scalar,
        .mlp = velo_mlp_scalar,
        .mlp_diag = velo_mlp_diag_scalar,
        .accumulate = velo_accumulate_scalar,
        .factor = velo_factor_scalar,
        .hidden_rows = velo_hidden_rows_scalar,
        .hidden_cols = velo_hidden_cols_scalar,
    };
}

SCO_FAMILY_DEFINE(velo, SCO_VELO_ROWS, struct sco_velo_ops, "square_sums", "statistics", "statistics_diag", "mlp",
                  "mlp_diag", "accumulate", "factor", "hidden_rows", "hidden_cols")

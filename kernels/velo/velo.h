/* SPDX-License-Identifier: Apache-2.0
 * The three sweeps of a VeLO step over a tensor, and the row and column vectors between them.
 *
 * Notation of "VeLO: Training Versatile Learned Optimizers by Scaling Up" (arXiv 2211.09760) as released: gradient g,
 * parameter p, momenta m_k (k = 0, 1, 2), second moment v, factored accumulators R (mean of g^2 over the largest axis
 * c) and C (over the second largest axis r), rho_k and gam_k the factors made from them, s = 1 / sqrt(v + 1e-6).
 *
 * A tensor is walked as panels: rows x cols elements, columns contiguous, rows stride elements apart. Whether a panel's
 * rows run along r or along c does not matter here: rho_k gam_k is row_factor[k][i] * col_factor[k][j] either way.
 * No feature is stored. Of the 30 inputs of the per-parameter MLP, the 12 of blocks 9-12 are constant along a row or a
 * column and arrive as row_hidden and col_hidden; the other 18 are made on the fly from g, p, m, v. */
#ifndef SCO_KERNELS_VELO_H
#define SCO_KERNELS_VELO_H

#include <stdint.h>

#include "kernels/kernel.h"

/* Constants of the released optimizer, as the reference's float32 has them: 1 - d is 1.0f - d, not 0.001f. v decays
 * like m_2. */
#define SCO_VELO_D0     0.9f
#define SCO_VELO_D1     0.99f
#define SCO_VELO_D2     0.999f
#define SCO_VELO_CLIP_G 1000.0f /* every use of g */
#define SCO_VELO_CLIP_F 0.1f    /* the feature clip(g) */
#define SCO_VELO_EPS_V  1e-6f   /* s = 1 / sqrt(v + 1e-6) */
#define SCO_VELO_EPS_Q  1e-30f  /* q = g^2 + 1e-30 */
#define SCO_VELO_EPS_A  1e-8f   /* 1 / sqrt(R + 1e-8), also of C and D */
#define SCO_VELO_EPS_DG 1e-9f   /* g / sqrt(D + 1e-9) */
#define SCO_VELO_MIN_Z  1e-9f   /* rho, gam = 1 / sqrt(max(z, 1e-9)) */

/* 2^x: x is clamped to [-125, 127], n = round to nearest even by adding and subtracting SCO_VELO_EXP2_MAGIC, whose sum
 * keeps n in its low bits; 2^(x - n) by this polynomial (Horner, fused), relative error 1.6e-7 on [-0.5, 0.5] and 1 at
 * 0; n is added to its exponent. */
#define SCO_VELO_EXP2_MIN   (-125.0f)
#define SCO_VELO_EXP2_MAX   127.0f
#define SCO_VELO_EXP2_MAGIC 12582912.0f /* 1.5 * 2^23 */
#define SCO_VELO_EXP2_C0    1.0f
#define SCO_VELO_EXP2_C1    0x1.62e428p-1f
#define SCO_VELO_EXP2_C2    0x1.ebf918p-3f
#define SCO_VELO_EXP2_C3    0x1.c6b6e4p-5f
#define SCO_VELO_EXP2_C4    0x1.3d0c52p-7f
#define SCO_VELO_EXP2_C5    0x1.5c08e6p-10f

/* Per-element inputs of layer 0, in the order of the feature blocks (0-8 and 13). */
enum sco_velo_input {
    SCO_VELO_G,       /* block 0: g */
    SCO_VELO_CLIP,    /* block 1: clip(g, -0.1, 0.1) */
    SCO_VELO_P,       /* block 2: p, old */
    SCO_VELO_M,       /* block 3: m_k, new, three of them */
    SCO_VELO_V = 6,   /* block 4: v, new */
    SCO_VELO_MS,      /* block 5: m_k s, three */
    SCO_VELO_S = 10,  /* block 6: s */
    SCO_VELO_GF,      /* block 7: g rho_k gam_k, three */
    SCO_VELO_GS = 14, /* block 8: g s */
    SCO_VELO_MF,      /* block 13: m_k rho_k gam_k, three */
    SCO_VELO_INPUTS = 18
};

/* Sums over elements that the statistics sweep returns: squares of the 18 inputs (slot SCO_VELO_P stays 0: the MLP
 * sweep of the step before summed p^2), then sums of the new m_k and v for the next step's LSTM input; for unfactored
 * tensors also the squares of D_k and of 1 / sqrt(D_k + 1e-8). */
enum {
    SCO_VELO_SUM_M = SCO_VELO_INPUTS,     /* sum m_k, three */
    SCO_VELO_SUM_V = SCO_VELO_SUM_M + 3,  /* sum v */
    SCO_VELO_SUM_D = SCO_VELO_SUM_V + 1,  /* sum D_k^2, three */
    SCO_VELO_SUM_RD = SCO_VELO_SUM_D + 3, /* sum 1 / (D_k + 1e-8), three */
    SCO_VELO_SUMS = SCO_VELO_SUM_RD + 3
};

/* A panel of a factored tensor. p, m, v are in/out for the MLP sweep and read-only for the statistics sweep. */
struct sco_velo_panel {
    size_t rows, cols;
    ptrdiff_t stride;
    float *p, *m[3], *v;
    const float *g;
    const float *row_factor[3]; /* [rows] */
    const float *col_factor[3]; /* [cols] */
    const float *row_hidden;    /* [rows][4]: b0 and the row-constant part of layer 0; MLP sweep only */
    const float *col_hidden[4]; /* [cols] each: the column-constant part; MLP sweep only */
};

/* A slice of an unfactored tensor (rank 0 or 1). D_k is updated by the MLP sweep, recomputed by the statistics sweep.
 */
struct sco_velo_slice {
    size_t n;
    float *p, *m[3], *v, *d[3];
    const float *g;
};

/* The per-parameter MLP of one tensor in one step, normalisers folded into layer 0, lr * scale * 0.001 into the
 * direction column of w2 and b2, 0.001 * log2(e) into the magnitude column: p' = p - o_0 2^(o_1). */
struct sco_velo_mlp {
    float w0[SCO_VELO_INPUTS][4];
    float wd[3][4];        /* unfactored only: D_k, blocks 9 and 10 added up */
    float wrd[3][4];       /* unfactored only: 1 / sqrt(D_k + 1e-8), blocks 11 and 12 added up */
    float b0[4];           /* unfactored only; factored tensors have it in row_hidden */
    float w1[4][4], b1[4]; /* w1[in][out] */
    float w2[4][2], b2[2]; /* column 0 direction, 1 magnitude */
};

typedef void sco_velo_square_sums_fn(size_t rows, size_t cols, ptrdiff_t stride, const float *g, float *row_sum,
                                     float *col_sum);
typedef void sco_velo_statistics_fn(const struct sco_velo_panel *panel, double sums[SCO_VELO_SUMS]);
typedef void sco_velo_statistics_diag_fn(const struct sco_velo_slice *slice, double sums[SCO_VELO_SUMS]);
typedef double sco_velo_mlp_fn(const struct sco_velo_panel *panel, const struct sco_velo_mlp *mlp);
typedef double sco_velo_mlp_diag_fn(const struct sco_velo_slice *slice, const struct sco_velo_mlp *mlp);
typedef void sco_velo_accumulate_fn(size_t n, const float *square_sum, float count, float *const a[3], double sum[3]);
typedef void sco_velo_factor_fn(size_t n, const float *const a[3], const float mean[3], float *const factor[3],
                                double square[3], double reciprocal[3]);
typedef void sco_velo_hidden_rows_fn(size_t n, const float *const a[3], const float wa[3][4], const float wra[3][4],
                                     const float b[4], float *hidden);
typedef void sco_velo_hidden_cols_fn(size_t n, const float *const a[3], const float wa[3][4], const float wra[3][4],
                                     const float b[4], float *const hidden[4]);

/* Contracts; g is clipped to [-1000, 1000] first wherever it enters (NaN stays NaN).
 *
 * square_sums      row_sum[i] = sum_j g_ij^2 (written), col_sum[j] += sum_i g_ij^2 (added to). Reads 4 B per element.
 * statistics       sums[] written: see above; m, v advanced on the fly, not stored. Reads 20 B per element.
 * statistics_diag  the same for a slice, from advanced D_k. Reads 32 B per element.
 * mlp              advances m_k, v; p' = p - o_0 2^(o_1). Returns sum p'^2. Reads 24 B, writes 20 B per element.
 * mlp_diag         the same, and advances D_k. Reads 36 B, writes 32 B per element.
 * accumulate       a_k[i] = f_k a_k[i] + (1 - f_k) (square_sum[i] / count + 1e-30), f = (0.9, 0.99, 0.999);
 *                  sum[k] = sum_i a_k[i].
 * factor           z = a_k[i] / mean[k] (mean NULL: z = a_k[i]; mean holds the mean over r plus 1e-9);
 *                  factor_k[i] = 1 / sqrt(max(z, 1e-9)); square[k] = sum_i a_k[i]^2,
 *                  reciprocal[k] = sum_i 1 / (a_k[i] + 1e-8).
 * hidden_rows      hidden[i][j] = b[j] + sum_k wa[k][j] a_k[i] + wra[k][j] / sqrt(a_k[i] + 1e-8), j < 4.
 * hidden_cols      the same into four planes hidden[j][i].
 *
 * Element-wise outputs (p, m, v, D, a, factor, hidden) have the same bits in every row: operations and their order,
 * fused multiply-adds included, are those of velo.c. Sums differ in rounding by at most the case's bound; one call's
 * sums depend on its arguments only. Sizes may be 0. 4-byte alignment suffices; arrays must not overlap. */
struct sco_velo_ops {
    sco_velo_square_sums_fn *square_sums;
    sco_velo_statistics_fn *statistics;
    sco_velo_statistics_diag_fn *statistics_diag;
    sco_velo_mlp_fn *mlp;
    sco_velo_mlp_diag_fn *mlp_diag;
    sco_velo_accumulate_fn *accumulate;
    sco_velo_factor_fn *factor;
    sco_velo_hidden_rows_fn *hidden_rows;
    sco_velo_hidden_cols_fn *hidden_cols;
};

#define SCO_VELO_ROWS(ROW)                                                                                             \
    ROW(velo, scalar, 0)                                                                                               \
    SCO_HWY(ROW(velo, hwy, SCO_USE_HWY))                                                                               \
    SCO_X86(ROW(velo, avx2, SCO_ISA_AVX2))                                                                             \
    SCO_X86(ROW(velo, avx512, SCO_ISA_AVX512))                                                                         \
    SCO_ARM64(ROW(velo, neon, SCO_ISA_NEON))
SCO_BEGIN_DECLS
SCO_FAMILY_DECLARE(velo, SCO_VELO_ROWS)
SCO_END_DECLS

#endif

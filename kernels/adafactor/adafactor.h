/* SPDX-License-Identifier: Apache-2.0
 * Adafactor in pieces, between which a caller combines sums over blocks in a fixed order.
 *
 * A factored tensor is walked as panels: rows x cols elements, columns contiguous, rows stride elements apart. Which of
 * rows and columns is the factored "r" and which the "c" does not matter here: the update of element i, j is
 * g row_factor[i] col_factor[j]. An unfactored tensor keeps v per element.
 *
 *   factored      square_sums over all blocks -> accumulate, factor on the vectors -> update_square_sum -> apply
 *   unfactored    update_square_sum_diag (advances v) -> apply_diag
 *
 * The update is u = scale (g row_factor col_factor) or scale (gscale g / sqrt(v)); scale holds lr, the clipping of
 * rms(u) and, in optax's definition, the parameter scale. With a momentum, u = m' = b1 m + (1 - b1) u. AlgoPerf stores
 * m as 8-bit integers times a bucket; a bucket is the largest |m'| along the first axis / 127, known only after a pass
 * over m': apply_int8 steps p and collects the peaks, quantize_int8 makes m' again and stores it. */
#ifndef SCO_KERNELS_ADAFACTOR_H
#define SCO_KERNELS_ADAFACTOR_H

#include <stdint.h>

#include "kernels/kernel.h"

/* Accumulators of a row or column statistic. */
struct sco_adafactor_decay {
    float decay;     /* a' = decay a + mixing (sum scale + eps) */
    float mixing;    /* 1 - decay, as its own rounded number */
    float sum_scale; /* 1 / count of elements summed, times gscale^2 */
    float eps;       /* 1e-30 */
};

/* The second moment of an unfactored tensor. */
struct sco_adafactor_diag {
    float gscale; /* multiplies g first: the factor of global-norm clipping, or 1 */
    float decay;
    float mixing;
    float eps;
};

struct sco_adafactor_coef {
    float gscale; /* unfactored only; a factored tensor has it in row_factor */
    float scale;  /* u per unit of normalised gradient: lr / max(1, rms / threshold) ... */
    float b1;     /* first moment, and 1 - b1 as its own rounded number */
    float one_minus_b1;
    float decay; /* p' = p - (u + decay p): weight_decay in optax's definition, lr weight_decay in AlgoPerf's */
};

/* A block of a factored tensor, and its share of the two factors. */
struct sco_adafactor_panel {
    size_t rows, cols;
    ptrdiff_t stride;        /* of g, p, m and q, in elements */
    const float *row_factor; /* [rows] */
    const float *col_factor; /* [cols] */
};

/* 8-bit momentum. Buckets of row i start at i * bucket_stride: 0 where all rows of the panel share one bucket per
 * column (matrices), cols where the first axis is outside the panel (rank 3 and above). */
struct sco_adafactor_int8 {
    int8_t *q;           /* as g */
    const float *bucket; /* m = q bucket */
    ptrdiff_t bucket_stride;
};

/* row_sum[i] = sum_j g_ij^2 (written); col_sum[j] += sum_i g_ij^2.
 *
 * Shapes    g: float[rows][stride] in; row_sum: double[rows] out; col_sum: float[cols] in/out. Sizes may be 0.
 * Units     gradient units squared.
 * Layout    4-byte alignment required, 64 preferred. The arrays must not overlap.
 * Numerics  rows: runs of 1024 columns in f32, 16 lanes folded in halves, runs added up in f64. Columns: f32, in row
 *           order, so a caller keeps blocks short (1024 rows) and adds them up in f64. Same bits from every row of the table.
 * Cost      4 flops, 4 bytes read per element.
 * Threads   reentrant; disjoint blocks with column sums of their own may run at once.
 * Memory    none allocated.
 * Errors    none.
 * Source    Shazeer and Stern, "Adafactor: Adaptive Learning Rates with Sublinear Memory Cost", ICML 2018, Algorithm 4.
 */
typedef void sco_adafactor_square_sums_fn(size_t rows, size_t cols, ptrdiff_t stride, const float *SCO_RESTRICT g,
                                          double *SCO_RESTRICT row_sum, float *SCO_RESTRICT col_sum);

/* a' = decay a + mixing (sum sum_scale + eps); returns sum of a'.
 *
 * Shapes    a: float[n] in/out; sum: double[n] in, rounded to f32 first. n = 0 gives 0.
 * Numerics  a in f32, the result in f64, 16 lanes folded in halves. Same bits from every row.
 * Cost      6 flops, 12 bytes read and 4 written per element.
 * Units, Layout, Threads, Memory, Errors, Source    as above. */
typedef double sco_adafactor_accumulate_fn(size_t n, float *SCO_RESTRICT a, const double *SCO_RESTRICT sum,
                                           const struct sco_adafactor_decay *decay);

/* factor[i] = gain / sqrt(a[i] scale). gain carries gscale into the row factor, scale is 1 / mean of a for the rows.
 *
 * Shapes    a: float[n] in; factor: float[n] out. n = 0 is a no-op.
 * Numerics  f32; divide and root correctly rounded. Same bits from every row.
 * Cost      3 flops, 4 bytes read and 4 written per element.
 * Units, Layout, Threads, Memory, Errors, Source    as above. */
typedef void sco_adafactor_factor_fn(size_t n, const float *SCO_RESTRICT a, float scale, float gain,
                                     float *SCO_RESTRICT factor);

/* Sum of (g row_factor col_factor)^2 over a panel.
 *
 * Shapes    g: float[rows][stride] in. Sizes may be 0.
 * Numerics  products in f32, row factor first; squares and sum in f64: 16 lanes, element j of each row to lane j mod
 *           16, rows in order, folded in halves at the end. Same bits from every row of the table.
 * Cost      4 flops, 4 bytes read per element.
 * Units, Layout, Threads, Memory, Errors, Source    as above. */
typedef double sco_adafactor_update_square_sum_fn(const struct sco_adafactor_panel *panel, const float *SCO_RESTRICT g);

/* The step over a panel: u = scale ((g row_factor) col_factor); with a momentum u = m' = b1 m + (1 - b1) u;
 * p' = p - (u + decay p).
 *
 * Shapes    p, m: float[rows][stride] in/out; g: the same, in. m is NULL and unused in apply.
 * Numerics  f32; operations, order and fusing as in adafactor.c. Same bits from every row of the table.
 * Cost      apply 6 flops, 8 bytes read and 4 written; apply_momentum 9 flops, 12 read and 8 written per element.
 * Units, Layout, Threads, Memory, Errors, Source    as above. */
typedef void sco_adafactor_apply_fn(const struct sco_adafactor_panel *panel, float *SCO_RESTRICT p,
                                    float *SCO_RESTRICT m, const float *SCO_RESTRICT g,
                                    const struct sco_adafactor_coef *coef);

/* The step with 8-bit momentum, first half: p' as above with m = q bucket; peak = max(peak, |m'|), laid out as bucket.
 *
 * Shapes    p: float[rows][stride] in/out; g: the same, in; q: int8_t[rows][stride] in; bucket: in; peak: in/out.
 * Numerics  as above. A NaN m' makes its peak NaN for good.
 * Cost      11 flops, 9 bytes read and 4 written per element, peaks apart.
 * Units, Layout, Threads, Memory, Errors, Source    as above; blocks that share buckets need peaks of their own. */
typedef void sco_adafactor_apply_int8_fn(const struct sco_adafactor_panel *panel, float *SCO_RESTRICT p,
                                         const float *SCO_RESTRICT g, const struct sco_adafactor_int8 *m,
                                         float *SCO_RESTRICT peak, const struct sco_adafactor_coef *coef);

/* Second half: q' = m' / new_bucket rounded to nearest even, within -127 .. 127; a bucket of 0 counts as 1, NaN stores
 * 0.
 *
 * Shapes    q: int8_t[rows][stride] in/out; g: float, the same, in; bucket, new_bucket (peak / 127): in.
 * Numerics  m' has the bits of the first half.
 * Cost      8 flops, 5 bytes read and 1 written per element, buckets apart.
 * Units, Layout, Threads, Memory, Errors, Source    as above. */
typedef void sco_adafactor_quantize_int8_fn(const struct sco_adafactor_panel *panel, const float *SCO_RESTRICT g,
                                            const struct sco_adafactor_int8 *m, const float *SCO_RESTRICT new_bucket,
                                            const struct sco_adafactor_coef *coef);

/* v' = decay v + mixing ((gscale g)^2 + eps); returns the sum of (gscale g / sqrt(v'))^2.
 *
 * Shapes    v: float[n] in/out; g: float[n] in. n = 0 gives 0.
 * Numerics  v and the quotient in f32; squares and sum in f64, 16 lanes folded in halves. Same bits from every row.
 * Cost      10 flops, 8 bytes read and 4 written per element.
 * Units, Layout, Threads, Memory, Errors, Source    as above. */
typedef double sco_adafactor_update_square_sum_diag_fn(size_t n, float *SCO_RESTRICT v, const float *SCO_RESTRICT g,
                                                       const struct sco_adafactor_diag *diag);

/* The step of an unfactored slice: u = scale (gscale g / sqrt(v)), the rest as for panels.
 *
 * Shapes    p, m: float[n] in/out; v, g: float[n] in. m is NULL and unused in apply_diag. n = 0 is a no-op.
 * Numerics  f32, with the quotient's bits from the pass before. Same bits from every row.
 * Cost      apply_diag 7 flops, 12 bytes read and 4 written; apply_diag_momentum 10 flops, 16 read and 8 written.
 * Units, Layout, Threads, Memory, Errors, Source    as above. */
typedef void sco_adafactor_apply_diag_fn(size_t n, float *SCO_RESTRICT p, float *SCO_RESTRICT m,
                                         const float *SCO_RESTRICT v, const float *SCO_RESTRICT g,
                                         const struct sco_adafactor_coef *coef);

/* The unfactored step with 8-bit momentum in its two halves; rank 1 has a single bucket. apply returns the larger of
 * peak and the largest |m'|, NaN if any is.
 *
 * Shapes    p: float[n] in/out; v, g: float[n] in; q: int8_t[n], in for apply, in/out for quantize.
 * Numerics  as for panels.
 * Cost      12 flops, 13 bytes read and 4 written; 9 flops, 9 bytes read and 1 written per element.
 * Units, Layout, Threads, Memory, Errors, Source    as above. */
typedef float sco_adafactor_apply_diag_int8_fn(size_t n, float *SCO_RESTRICT p, const float *SCO_RESTRICT v,
                                               const float *SCO_RESTRICT g, const int8_t *SCO_RESTRICT q, float bucket,
                                               float peak, const struct sco_adafactor_coef *coef);
typedef void sco_adafactor_quantize_diag_int8_fn(size_t n, const float *SCO_RESTRICT v, const float *SCO_RESTRICT g,
                                                 int8_t *SCO_RESTRICT q, float bucket, float new_bucket,
                                                 const struct sco_adafactor_coef *coef);

struct sco_adafactor_ops {
    sco_adafactor_square_sums_fn *square_sums;
    sco_adafactor_accumulate_fn *accumulate;
    sco_adafactor_factor_fn *factor;
    sco_adafactor_update_square_sum_fn *update_square_sum;
    sco_adafactor_apply_fn *apply;
    sco_adafactor_apply_fn *apply_momentum;
    sco_adafactor_apply_int8_fn *apply_int8;
    sco_adafactor_quantize_int8_fn *quantize_int8;
    sco_adafactor_update_square_sum_diag_fn *update_square_sum_diag;
    sco_adafactor_apply_diag_fn *apply_diag;
    sco_adafactor_apply_diag_fn *apply_diag_momentum;
    sco_adafactor_apply_diag_int8_fn *apply_diag_int8;
    sco_adafactor_quantize_diag_int8_fn *quantize_diag_int8;
};

#define SCO_ADAFACTOR_ROWS(ROW)                                                                                        \
    ROW(adafactor, scalar, 0)                                                                                          \
    SCO_HWY(ROW(adafactor, hwy, SCO_USE_HWY))                                                                          \
    SCO_X86(ROW(adafactor, avx2, SCO_ISA_AVX2))                                                                        \
    SCO_X86(ROW(adafactor, avx512, SCO_ISA_AVX512))                                                                    \
    SCO_ARM64(ROW(adafactor, neon, SCO_ISA_NEON))
SCO_BEGIN_DECLS
SCO_FAMILY_DECLARE(adafactor, SCO_ADAFACTOR_ROWS)
SCO_END_DECLS

#endif

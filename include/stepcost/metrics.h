/* SPDX-License-Identifier: Apache-2.0
 * Metrics of the workloads: structural similarity (fastMRI) and mean average precision (OGBG-molpcba). */
#ifndef STEPCOST_METRICS_H
#define STEPCOST_METRICS_H

#include <stddef.h>
#include <stdint.h>

#include "stepcost/ctx.h"

SCO_BEGIN_DECLS

/* Structural similarity of N pairs of images, as fastMRI scores reconstructions: both images are de-normalised
 * (x std + mean), compared in every 7 x 7 window that lies inside, with uniform weights, K1 = 0.01, K2 = 0.03,
 *
 *   S = (2 ux uy + c1) (2 vxy + c2) / ((ux^2 + uy^2 + c1) (vx + vy + c2)),  c1 = (K1 R)^2,  c2 = (K2 R)^2
 *
 * with sample variances (49 / 48) and R the largest value of the image's volume, or 1 where that is 0; the result is the
 * mean of S over the windows.
 *
 * Shapes    x, y: float[N][H][W]; mean, std, volume_max: float[N]; ssim: double[N] out. N = 0 is a no-op.
 * Units     x, y: normalised intensities; mean, std, volume_max: intensities of the volume.
 * Layout    contiguous, 4-byte alignment.
 * Numerics  double throughout. The same bits for any number of threads. NaN in an image makes its ssim NaN.
 * Cost      about 90 additions and 25 other operations a window; memory traffic of one pass.
 * Threads   the team of ctx; by image.
 * Memory    40 W bytes for each image under work, allocated and freed.
 * Errors    SCO_SHAPE: H or W below 7; SCO_NOMEM. ssim is untouched on error.
 * Source    Wang, Bovik, Sheikh, Simoncelli, "Image quality assessment: from error visibility to structural similarity",
 *           2004, Eq. 13; window and borders as in scikit-image and fastMRI. */
SCO_API enum sco_status sco_ssim(struct sco_ctx *ctx, size_t N, size_t H, size_t W, const float *x, const float *y,
                                 const float *mean, const float *std, const float *volume_max, double *ssim);

/* Average precision of each of T tasks and its mean: AP = sum over distinct scores, from the highest, of (R_k - R_{k-1}) P_k
 * with recall R_k and precision P_k among the rows that score at least as high.
 *
 * Shapes    score, label: float[n][T]; ap: double[T] out, or NULL; mean: double[1] out.
 * Units     label: 1 positive, 0 negative, NaN missing: such a row does not count for that task.
 * Layout    contiguous, 4-byte alignment.
 * Numerics  counts are exact, the sums double. Rows of equal score count together, whatever their order; -0 equals 0. A task
 *           without a positive or without a negative is undefined: its ap is NaN, and the mean is over the others; NaN
 *           when there are none. As in AlgoPerf, a missing label stands for a negative when that is decided.
 * Cost      n log n comparisons a task.
 * Threads   the team of ctx; by task. The same bits for any number of threads.
 * Memory    8 n bytes for each task under work, allocated and freed.
 * Errors    SCO_NONFINITE: a score that counts is NaN (the message names row and task); SCO_FORMAT: a label that is
 *           neither 0, 1 nor NaN; SCO_NOMEM. Outputs are undefined on error.
 * Source    scikit-learn's average_precision_score, as OGB and AlgoPerf use it. */
SCO_API enum sco_status sco_mean_average_precision(struct sco_ctx *ctx, size_t n, size_t T, const float *score,
                                                   const float *label, double *ap, double *mean);

SCO_END_DECLS
#endif

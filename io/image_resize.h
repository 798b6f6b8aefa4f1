/* SPDX-License-Identifier: Apache-2.0
 * Bicubic resize of one crop, a row at a time, and where to crop. */
#ifndef SCO_IO_IMAGE_RESIZE_H
#define SCO_IO_IMAGE_RESIZE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A rectangle of an image. */
struct sco_crop {
    size_t top, left, H, W;
};

/* What evaluation sees: a square in the middle, side / (side + 32) of the shorter edge and at least a pixel. */
struct sco_crop sco_crop_centre(size_t H, size_t W, size_t side);

enum { SCO_CROP_NUMBERS = 40 }; /* what sco_crop_random takes of the sequence of seed: indices 0 .. 39 */

/* What training sees: 8 to 100 % of the image (and a tenth of it at least), width / height 3/4 to 4/3; the centre crop
 * where ten attempts give no such rectangle, or the whole image. H * W fits 31 bits.
 * Source    the arithmetic of TensorFlow's sample_distorted_bounding_box, its last offsets left out as there; random
 *           numbers are ours: 4 an attempt, for aspect ratio, height, top and left. */
struct sco_crop sco_crop_random(uint64_t seed, size_t H, size_t W, size_t side);

/* The four elements of a row or column that make one of the result. */
struct sco_tap {
    float weight[4];
    uint32_t index[4];
};

/* Taps of an axis of in elements resized to out.
 * Source    Keys, "Cubic Convolution Interpolation for Digital Image Processing", IEEE TASSP 29 (1981), a = -1/2. As in
 *           TensorFlow: centres at half pixels, positions rounded to 1/1024, taps outside weigh nothing and the others
 *           are scaled to sum 1; no filter against aliasing. */
void sco_resize_taps(size_t in, size_t out, struct sco_tap *taps);

enum { SCO_RESIZE_BLOCK = 16 }; /* rows and columns are read and written up to a multiple of it */

/* out[i] = sum of weight[k] row[k][i]: TensorFlow's order, columns first. */
void sco_resize_column(const unsigned char *const row[4], const float weight[4], size_t n, float *out);

/* A row of the result: column holds pixels of 3 channels and a float more. Not clipped; (x - mean) / deviation of
 * ImageNet's channels; mirrored on demand. */
void sco_resize_row(const float *column, const struct sco_tap *taps, size_t side, bool mirror, float *out);

#endif

/* SPDX-License-Identifier: Apache-2.0
 * fastMRI, single coil: volumes in HDF5 files, and the way from a slice of k-space to network input and target. */
#ifndef SCO_IO_FASTMRI_H
#define SCO_IO_FASTMRI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "stepcost/status.h"

/* ---- Volumes (fastmri_volume.c) ---- */

/* Bounds of what a file may claim, so that buffers are bounded too. */
enum { SCO_FASTMRI_MOST_SIDE = 4096, SCO_FASTMRI_MOST_SLICES = 65535 };

struct sco_fastmri_volume {
    size_t slices, H, W;       /* of kspace */
    size_t target_H, target_W; /* of the reconstruction, at most H and W */
    float max;                 /* attribute of the file; 0 where missing */
};

/* Reads the headers of a file. Any thread: HDF5 is called by one at a time.
 * Errors    SCO_IO: cannot be opened; SCO_FORMAT: no volume of fastMRI, or truncated. */
enum sco_status sco_fastmri_describe(const char *path, struct sco_fastmri_volume *volume);

/* Reads slice into kspace [H][W][2] and target [target_H][target_W]; the file must still be as volume says.
 * Errors    as above, and SCO_FORMAT: a value that is not finite, k-space that is all zero. */
enum sco_status sco_fastmri_read(const char *path, const struct sco_fastmri_volume *volume, size_t slice, float *kspace,
                                 float *target);

/* ---- Slices (fastmri_slice.c) ---- */

/* Sets kept[w] for the columns of k-space that a scan of a quarter of them would have: the centre 8 %, the others at random.
 * Depends on seed and W alone. Numbers are those of arch/random.h, not those of another framework. */
void sco_fastmri_mask(size_t W, uint64_t seed, bool *kept);

/* Fourier transforms by length: made once, read by any thread. */
struct sco_fastmri_transforms;
enum sco_status sco_fastmri_transforms_create(struct sco_fastmri_transforms **transforms);
void sco_fastmri_transforms_destroy(struct sco_fastmri_transforms *transforms); /* NULL is a no-op */
/* Not beside other calls on the same transforms. A length that is there already costs nothing. */
enum sco_status sco_fastmri_transforms_add(struct sco_fastmri_transforms *transforms, size_t length);

/* Scratch of one thread: bytes for slices up to H x W of which rows are kept. */
size_t sco_fastmri_scratch_bytes(size_t H, size_t W, size_t rows);

/* Magnitudes of the orthonormal, centred inverse transform of the kept columns of kspace, cut to rows x columns at (top, left).
 * H and W have been added to transforms. scratch comes from sco_alloc(). Rows and columns that the mask or the cut drops are
 * never transformed: a whole transform's values but for rounding, for a third of its work. */
void sco_fastmri_image(const struct sco_fastmri_transforms *transforms, size_t H, size_t W, const float *kspace,
                       const bool *kept, size_t top, size_t left, size_t rows, size_t columns, void *scratch,
                       float *image);

/* Mean and population deviation of count values; false where nothing can be divided by them. */
bool sco_fastmri_moments(size_t count, const float *x, double *mean, double *deviation);

/* (x - mean) / deviation, within [-6, 6]; y may be x. */
void sco_fastmri_normalise(size_t count, const float *x, double mean, double deviation, float *y);

#endif

/* SPDX-License-Identifier: Apache-2.0
 * JPEG images as rows of RGB, decoded as far as a crop needs. */
#ifndef SCO_IO_IMAGE_JPEG_H
#define SCO_IO_IMAGE_JPEG_H

#include <stddef.h>

#include "io/image_resize.h"
#include "stepcost/status.h"

/* A decoder and its memory, used again for image after image. Grayscale becomes three channels, CMYK and YCCK (inverted
 * where Adobe's marker says so) become RGB. Bits are those of libjpeg's exact integer transform and smooth upsampling,
 * whatever the crop. Messages begin with the byte in the file, and the scan line where one was being decoded: the
 * caller puts the name in front. After an error the decoder is ready for the next image. */
struct sco_jpeg;

enum { SCO_JPEG_SIDE = 65500, SCO_JPEG_PIXELS = 100000000, SCO_JPEG_SCANS = 500 };

/* Adds the memory it takes to *bytes; progressive images take more, up to 8 bytes a pixel, while they are decoded.
 * Errors    SCO_NOMEM. */
enum sco_status sco_jpeg_create(struct sco_jpeg **jpeg, size_t *bytes);
void sco_jpeg_destroy(struct sco_jpeg *jpeg); /* NULL is a no-op */

/* Reads the header. bytes stay the caller's and are read until finish.
 * Errors    SCO_FORMAT: not a JPEG (what it is instead), damaged, or too large; SCO_NOMEM. */
enum sco_status sco_jpeg_start(struct sco_jpeg *jpeg, const unsigned char *bytes, size_t size, size_t *H, size_t *W);

/* The next row will be the first of crop, which lies within the image. */
enum sco_status sco_jpeg_crop(struct sco_jpeg *jpeg, const struct sco_crop *crop);

/* The next row of the crop: W pixels of 3 bytes, readable up to a multiple of SCO_RESIZE_BLOCK; valid until the fourth
 * call after this one.
 * Errors    SCO_FORMAT: cut short, or damaged in any way that libjpeg notices, even where it would go on. */
enum sco_status sco_jpeg_row(struct sco_jpeg *jpeg, const unsigned char **row);

/* Reads what is left, so that a damaged file is found whatever the crop. */
enum sco_status sco_jpeg_finish(struct sco_jpeg *jpeg);

#endif

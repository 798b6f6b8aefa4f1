/* SPDX-License-Identifier: Apache-2.0
 * Two-dimensional convolution in float32: forward, its gradients, and its transposition. */
#ifndef STEPCOST_CONV2D_H
#define STEPCOST_CONV2D_H

#include "stepcost/ctx.h"

SCO_BEGIN_DECLS

/* ---- Layout ------------------------------------------------------------------------------------------------------ */

/* Activations are kept in blocks of channels through a whole network:
 *
 *   x[n][C / B][H][W][B],  B = sco_channel_block(C): 16, or C itself where C is less
 *
 * in which an image of few channels is plain NHWC. Where B does not divide C the last block is padded with channels
 * that are zero; every writer writes those zeros (for finite inputs), every reader may multiply them. Two images are
 * *_image floats apart, at least the image itself: a tensor can be a range of channels of a wider one, and concatenation
 * costs nothing. */
enum { SCO_CHANNEL_BLOCK = 16 };

static inline size_t sco_channel_block(size_t C)
{
    const size_t block = SCO_CHANNEL_BLOCK;
    return C < block ? C : block;
}

/* Floats of one image of C channels in blocks. */
static inline size_t sco_blocked_image(size_t C, size_t H, size_t W)
{
    const size_t block = SCO_CHANNEL_BLOCK;
    return (C <= block ? C : (C + block - 1) / block * block) * H * W;
}

struct sco_conv2d_shape {
    size_t N, C, H, W; /* src */
    size_t OC, KH, KW; /* wei */
    size_t stride;     /* of both axes, from 1 */
    size_t pad_top, pad_left, pad_bottom, pad_right;
    size_t src_image, dst_image; /* floats from one image to the next; to create functions 0: the image itself */
};

/* Rows and columns of dst; 0 where the filter is larger than the padded src. */
static inline size_t sco_conv2d_extent(size_t in, size_t pad_low, size_t pad_high, size_t k, size_t stride)
{
    return in + pad_low + pad_high < k ? 0 : (in + pad_low + pad_high - k) / stride + 1;
}

static inline size_t sco_conv2d_oh(const struct sco_conv2d_shape *s)
{
    return sco_conv2d_extent(s->H, s->pad_top, s->pad_bottom, s->KH, s->stride);
}

static inline size_t sco_conv2d_ow(const struct sco_conv2d_shape *s)
{
    return sco_conv2d_extent(s->W, s->pad_left, s->pad_right, s->KW, s->stride);
}

/* Activations between NHWC and blocks, images image floats apart in blocks (0: the image itself). Padding channels are
 * written as zeros.
 *
 * Shapes    nhwc: float[N][H][W][C]; blocked: N images of sco_blocked_image(C, H, W).
 * Layout    4-byte alignment; they must not overlap.
 * Cost      one pass over both.
 * Threads   the team of ctx; by row of an image.
 * Memory    none.
 * Errors    SCO_SHAPE: image is less than an image. */
SCO_API enum sco_status sco_blocked_from_nhwc(struct sco_ctx *ctx, size_t N, size_t C, size_t H, size_t W, size_t image,
                                              const float *nhwc, float *blocked);
SCO_API enum sco_status sco_nhwc_from_blocked(struct sco_ctx *ctx, size_t N, size_t C, size_t H, size_t W, size_t image,
                                              const float *blocked, float *nhwc);

/* ---- Convolution ------------------------------------------------------------------------------------------------- */

enum sco_conv2d_direction { SCO_CONV2D_FWD, SCO_CONV2D_BWD_DATA, SCO_CONV2D_BWD_WEIGHTS, SCO_CONV2D_DIRECTIONS };
SCO_API const char *
sco_conv2d_direction_name(enum sco_conv2d_direction direction); /* "fwd", "bwd_data", "bwd_weights" */

/* What follows the sum in fwd, fused: dst = activation(sum + bias[oc] + residual). */
enum sco_conv2d_activation { SCO_CONV2D_LINEAR, SCO_CONV2D_RELU, SCO_CONV2D_LEAKY_RELU };

struct sco_conv2d_epilogue {
    const float *bias;                     /* OC floats, or NULL */
    const float *residual;                 /* in the layout of dst, or NULL; may be dst itself */
    enum sco_conv2d_activation activation; /* at zero and below: 0, or slope times the sum */
    float slope;                           /* of SCO_CONV2D_LEAKY_RELU */
};

struct sco_conv2d;
struct sco_conv2d_tuning;

/* Which plan. NULL in place of it means what zeros mean. */
struct sco_conv2d_choice {
    const char *rows;                       /* comma list of rows to choose among; NULL: all in force */
    const struct sco_conv2d_tuning *tuning; /* NULL: the file that STEPCOST_TUNE names, if any */
};

/* Plans one direction of a convolution,
 *
 *   dst[n,oc,oh,ow] = sum over kh, kw, c of src[n, c, oh stride + kh - pad_top, ow stride + kw - pad_left] wei[kh,kw,c,oc]
 *
 * (cross-correlation, as in every deep learning framework; src outside its H x W is zero), or the gradient of sum(dst ddst)
 * with respect to src (bwd_data) or wei (bwd_weights). The tuned choice where the tuning has one for this CPU and shape;
 * otherwise the best row in force takes its own choice.
 *
 * Shapes    as in struct sco_conv2d_shape; N, C, OC may be 0. The filter must fit into the padded src.
 * Layout    activations in blocks of channels, see above. Weights in a layout of the plan's own: pack and unpack.
 * Numerics  float32 sums in an order that depends on shape and plan alone: the same bits for any number of threads.
 *           |error| <= sco_conv2d_error_k() 2^-24 times the sum of the terms' magnitudes; where a plan mixes the outputs
 *           of a tile (Winograd), times the largest such sum in the tile.
 * Cost      2 N OH OW KH KW C OC flops; a plan may need less.
 * Threads   the team of ctx, which must outlive the object; by blocks of work that depend on the shape alone. One call at
 *           a time for one object.
 * Memory    the object; what a run needs beyond its operands is reported by sco_conv2d_workspace_bytes().
 * Errors    SCO_SHAPE: an impossible or too large shape; SCO_INVALID: a row that is unknown or not in force; SCO_FORMAT,
 *           SCO_IO: the tuning file; SCO_NOMEM.
 * Source    Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", 2016, for Winograd's; Georganas et al.,
 *           "Anatomy of High-Performance Deep Learning Convolutions on SIMD Architectures", 2018, for the layout. */
SCO_API enum sco_status sco_conv2d_create(struct sco_conv2d **conv, struct sco_ctx *ctx,
                                          enum sco_conv2d_direction direction, const struct sco_conv2d_shape *shape,
                                          const struct sco_conv2d_choice *choice);

/* The transposed convolution in Flax's sense (ConvTranspose, transpose_kernel = False, padding VALID): every element of src
 * stamps the filter, turned by half a turn, onto dst,
 *
 *   dst[n, oc, ih stride + KH-1 - kh, iw stride + KW-1 - kw] += src[n,c,ih,iw] wei[kh,kw,c,oc]
 *
 * with dst of (H - 1) stride + KH rows and (W - 1) stride + KW columns, and its two gradients. For the U-Net KH = KW =
 * stride = 2. The object is used like any other; fwd takes no epilogue.
 *
 * Shapes    as in struct sco_conv2d_shape, pads 0. H, W >= 1.
 * Memory    the object, with a copy of the weights in which input and output channels are exchanged.
 * All else as for sco_conv2d_create. */
SCO_API enum sco_status sco_conv2d_create_transposed(struct sco_conv2d **conv, struct sco_ctx *ctx,
                                                     enum sco_conv2d_direction direction,
                                                     const struct sco_conv2d_shape *shape,
                                                     const struct sco_conv2d_choice *choice);
SCO_API void sco_conv2d_destroy(struct sco_conv2d *conv); /* NULL is a no-op */

/* What the caller allocates: floats of packed weights; bytes of workspace for all threads together, best 64-byte
 * aligned (sco_alloc). scratch_bytes is the part of it that each thread has to itself. */
SCO_API size_t sco_conv2d_packed_count(const struct sco_conv2d *conv);
SCO_API size_t sco_conv2d_workspace_bytes(const struct sco_conv2d *conv);
SCO_API size_t sco_conv2d_scratch_bytes(const struct sco_conv2d *conv);

/* Row and plan: "avx512 direct 6x64 rows 4". Valid for the life of conv. */
SCO_API const char *sco_conv2d_plan_name(const struct sco_conv2d *conv);
SCO_API double sco_conv2d_error_k(const struct sco_conv2d *conv);

/* Weights float[KH][KW][C][OC] into the plan's layout (fwd, bwd_data), or out of it (bwd_weights).
 * Errors    SCO_INVALID: the plan's direction is another, or a pointer is NULL. */
SCO_API enum sco_status sco_conv2d_pack(struct sco_conv2d *conv, const float *hwio, float *packed);
SCO_API enum sco_status sco_conv2d_unpack(struct sco_conv2d *conv, const float *packed, float *hwio);

/* Run the plan once. Outputs are overwritten, never read; floats between two images are left alone. Nothing may overlap,
 * except that residual may be dst. epilogue NULL: the sum alone.
 * Memory    none allocated.
 * Errors    SCO_INVALID: the plan's direction is another, a pointer is NULL, an impossible activation; SCO_UNSUPPORTED:
 *           an epilogue for a transposed convolution. Outputs are untouched on error. */
SCO_API enum sco_status sco_conv2d_fwd(struct sco_conv2d *conv, const float *src, const float *packed, float *dst,
                                       const struct sco_conv2d_epilogue *epilogue, void *workspace);
SCO_API enum sco_status sco_conv2d_bwd_data(struct sco_conv2d *conv, const float *ddst, const float *packed,
                                            float *dsrc, void *workspace);
SCO_API enum sco_status sco_conv2d_bwd_weights(struct sco_conv2d *conv, const float *src, const float *ddst,
                                               float *dpacked, void *workspace);

/* ---- Tuning ------------------------------------------------------------------------------------------------------ */

/* Choices that were timed, one a line:
 *
 *   CPU | levels | version | rows | direction | shape | row | candidate | plan | ns
 *
 * Everything before row is the key; the number of threads is not in it, since results must not depend on the team. Lines
 * of other CPUs and versions are kept. A choice whose plan has another name by now is passed over.
 *
 * path NULL: the file that STEPCOST_TUNE names. Unset or empty: in memory only. A file that does not exist is an empty one.
 * Errors    SCO_FORMAT: a line is damaged (the message names file and line); SCO_IO; SCO_NOMEM. */
SCO_API enum sco_status sco_conv2d_tuning_open(struct sco_conv2d_tuning **tuning, const char *path);
SCO_API void sco_conv2d_tuning_close(struct sco_conv2d_tuning *tuning); /* NULL is a no-op */

/* Times every candidate of every row in rows (as in struct sco_conv2d_choice) on random data, in turn, and keeps the
 * fastest; nothing is timed where the choice is known. A candidate is timed only after its result was compared with
 * scalar code. The file is replaced whole, or not at all.
 *
 * Cost      a few runs of each candidate; those much slower than the best drop out.
 * Threads   the team of ctx.
 * Memory    operands, and weights and workspace for all candidates; allocated and freed.
 * Errors    as sco_conv2d_create; SCO_INVALID: a result is wrong; SCO_IO: the file cannot be written. */
SCO_API enum sco_status sco_conv2d_tune(struct sco_conv2d_tuning *tuning, struct sco_ctx *ctx,
                                        enum sco_conv2d_direction direction, const struct sco_conv2d_shape *shape,
                                        const char *rows);

SCO_END_DECLS
#endif

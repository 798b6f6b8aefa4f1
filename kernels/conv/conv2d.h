/* SPDX-License-Identifier: Apache-2.0
 * float32 two-dimensional convolution and its two gradients, as planned operations.
 *
 *   dst[n,oc,oh,ow] = sum over kh, kw, c of src[n, c, oh stride + kh - pad_top, ow stride + kw - pad_left] wei[kh,kw,c,oc]
 *
 * (cross-correlation, as in every deep learning framework; src outside its H x W is zero). bwd_data is its gradient with
 * respect to src and bwd_weights the one with respect to wei, both of sum(dst diff_dst).
 *
 * A planned family: the slots are planners. A planner either declines a shape or fills a plan, which says how much
 * workspace a run takes, into how many phases of independent tasks it falls, and which function does a range of tasks.
 * Whoever runs the plan puts a barrier between phases and may give tasks to threads as it likes: what a task computes,
 * and in which order it adds, depends on shape, row and candidate alone. */
#ifndef SCO_KERNELS_CONV2D_H
#define SCO_KERNELS_CONV2D_H

#include <stdbool.h>

#include "kernels/kernel.h"

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
    return C < SCO_CHANNEL_BLOCK ? C : SCO_CHANNEL_BLOCK;
}

/* Floats of one image of C channels in blocks. */
static inline size_t sco_blocked_image(size_t C, size_t H, size_t W)
{
    return C <= SCO_CHANNEL_BLOCK ? C * H * W
                                  : (C + SCO_CHANNEL_BLOCK - 1) / SCO_CHANNEL_BLOCK * SCO_CHANNEL_BLOCK * H * W;
}

struct sco_conv2d_shape {
    size_t N, C, H, W; /* src */
    size_t OC, KH, KW; /* wei */
    size_t stride;     /* of both axes, from 1 */
    size_t pad_top, pad_left, pad_bottom, pad_right;
    size_t src_image, dst_image; /* floats from one image to the next */
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

enum sco_conv2d_direction { SCO_CONV2D_FWD, SCO_CONV2D_BWD_DATA, SCO_CONV2D_BWD_WEIGHTS, SCO_CONV2D_DIRECTIONS };

/* What follows the sum in fwd, fused: dst = activation(sum + bias[oc] + residual). */
enum sco_conv2d_activation { SCO_CONV2D_LINEAR, SCO_CONV2D_RELU, SCO_CONV2D_LEAKY_RELU };

/* Operands of a run. fwd reads src, wei, writes dst; bwd_data reads dst (diff_dst), wei, writes src (diff_src);
 * bwd_weights reads src, dst (diff_dst), writes wei (diff_wei). wei is in the plan's own packed layout. Outputs are
 * overwritten, never read. Nothing overlaps, except that residual may be dst. 4-byte alignment suffices, 64 is faster. */
struct sco_conv2d_args {
    float *src, *wei, *dst;
    const float *bias;                     /* fwd: OC floats, or NULL */
    const float *residual;                 /* fwd: in the layout of dst, or NULL */
    enum sco_conv2d_activation activation; /* of fwd */
    float slope;                           /* of SCO_CONV2D_LEAKY_RELU below zero */
    void *workspace; /* plan->workspace_bytes, shared by all tasks; contents undefined before and after */
    void *scratch;   /* plan->scratch_bytes of the calling thread alone; contents undefined between calls */
};

struct sco_conv2d_plan;

typedef void sco_conv2d_run_fn(const struct sco_conv2d_plan *plan, const struct sco_conv2d_args *args, size_t phase,
                               size_t first, size_t last);
/* Weights as HWIO, wei[kh][kw][c][oc] dense, into the plan's layout (fwd, bwd_data) or out of it (bwd_weights); tasks
 * [first, last) of plan->pack_tasks. flip reads or writes HWIO at [KH-1-kh][KW-1-kw]: Flax's unflipped transposed
 * convolution is bwd_data with flip. */
typedef void sco_conv2d_pack_fn(const struct sco_conv2d_plan *plan, float *hwio, float *packed, bool flip, size_t first,
                                size_t last);

enum { SCO_CONV2D_PHASES = 4, SCO_CONV2D_PRIVATE = 24 };

struct sco_conv2d_plan {
    struct sco_conv2d_shape shape;
    enum sco_conv2d_direction direction;
    char name[40];       /* of the algorithm and its tiles: "direct 6x64 rows 4", "winograd 4x4" */
    size_t packed_count; /* floats of wei */
    size_t pack_tasks;
    sco_conv2d_pack_fn *pack;
    size_t workspace_bytes, scratch_bytes; /* both for 64-byte aligned memory */
    size_t phases, tasks[SCO_CONV2D_PHASES];
    sco_conv2d_run_fn *run;
    /* |error| <= error_k 2^-24 sum |terms|: what the algorithm promises (checked). Where the outputs of a tile are mixed
     * (Winograd) the sum is the largest in the tile; others promise sco_conv2d_sum_error() or less. */
    double error_k;
    size_t own[SCO_CONV2D_PRIVATE];                /* of the row: tiles, strides */
    void *handle;                                  /* of rows that wrap a library */
    void (*destroy)(struct sco_conv2d_plan *plan); /* NULL: nothing to release */
};

/* Candidate 0 is the row's own choice; more are other tiles and algorithms that could be faster on some CPU, for tuning.
 * False: this row has no such candidate, or not for this shape (the next lower row is asked). On false plan is undefined.
 * Sizes may be 0. Precondition: stride >= 1, KH, KW >= 1. */
typedef bool sco_conv2d_plan_fn(const struct sco_conv2d_shape *shape, size_t candidate, struct sco_conv2d_plan *plan);

struct sco_conv2d_ops {
    sco_conv2d_plan_fn *fwd, *bwd_data, *bwd_weights;
};

#define SCO_CONV2D_ROWS(ROW)                                                                                           \
    ROW(conv2d, scalar, 0)                                                                                             \
    SCO_X86(ROW(conv2d, avx2, SCO_ISA_AVX2))                                                                           \
    SCO_X86(ROW(conv2d, avx512, SCO_ISA_AVX512))                                                                       \
    SCO_ARM64(ROW(conv2d, neon, SCO_ISA_NEON))                                                                         \
    SCO_ONEDNN(ROW(conv2d, onednn, SCO_USE_ONEDNN))
SCO_BEGIN_DECLS
SCO_FAMILY_DECLARE(conv2d, SCO_CONV2D_ROWS)

SCO_END_DECLS

#endif

/* SPDX-License-Identifier: Apache-2.0
 * How operators walk through tensors in blocks of channels, and where they cut them. */
#ifndef SCO_MODELS_BLOCKED_VIEW_H
#define SCO_MODELS_BLOCKED_VIEW_H

#include "kernels/conv/conv2d.h"
#include "stepcost/blocked.h"

/* A piece is so many pixels of one block of one image: 64 KiB, half a level-2 cache with the result beside it. */
enum { SCO_PIECE_PIXELS = 1024 };

struct sco_blocked_view {
    size_t N, C, H, W;
    size_t block, blocks;  /* channels of a block, blocks of an image */
    size_t pixels, pieces; /* of a plane */
    size_t src_image, dst_image;
};

/* Errors    SCO_SHAPE, with op in front of the message. */
enum sco_status sco_blocked_view(const char *op, const struct sco_blocked *shape, struct sco_blocked_view *view);

/* Where the plane of a block starts. */
static inline size_t sco_src_plane(const struct sco_blocked_view *v, size_t image, size_t block)
{
    return image * v->src_image + block * v->pixels * v->block;
}

static inline size_t sco_dst_plane(const struct sco_blocked_view *v, size_t image, size_t block)
{
    return image * v->dst_image + block * v->pixels * v->block;
}

/* Channels of a block that are not padding. */
static inline size_t sco_block_channels(const struct sco_blocked_view *v, size_t block)
{
    const size_t left = v->C - block * v->block;
    return left < v->block ? left : v->block;
}

#endif

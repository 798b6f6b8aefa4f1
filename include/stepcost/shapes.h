/* SPDX-License-Identifier: Apache-2.0
 * Tensor lists: built in, or read from a JSON file. */
#ifndef STEPCOST_SHAPES_H
#define STEPCOST_SHAPES_H

#include <stddef.h>

#include "stepcost/tensor.h"

SCO_BEGIN_DECLS

/* An owned tensor list with its name. */
struct sco_shapes;

/* Names of the built-in lists; NULL past the end. The first four are the parameters of four AlgoPerf workloads
 * in JAX's layout and tree order: resnet50 (ImageNet), ogbg (graph network), dlrm (Criteo 1 TB), unet (fastMRI). The
 * others are synthetic: "10k" (a small two-layer network), "1M" (4 of 512 x 512), "100M" (24 of 2048 x 2048). */
SCO_API const char *sco_shapes_builtin(size_t index);

/* A built-in list by name, or else the JSON file of that name.
 * Errors    SCO_INVALID: neither; the message lists the built-in names. Otherwise as sco_shapes_read. */
SCO_API enum sco_status sco_shapes_open(struct sco_shapes **shapes, const char *name_or_path);

/* A JSON array of {"name": string, "shape": [sizes]}, in the order the optimizer is to see.
 *
 * Shapes    1 .. 100,000 tensors of rank 0 .. 8; sizes are whole numbers from 0 to 2^53 - 1.
 * Memory    file limit 16 MiB.
 * Errors    SCO_IO: not a readable regular file; SCO_FORMAT: not JSON, too large, a wrong type, an unknown or missing
 * or repeated key, a repeated or empty name; SCO_SHAPE: a size that is negative, fractional or too large, a rank above
 * 8, more elements than can be addressed; SCO_NOMEM. Messages give the index and the name of the tensor. */
SCO_API enum sco_status sco_shapes_read(struct sco_shapes **shapes, const char *path);

/* The same from memory; name stands for the file in messages and becomes the list's name. text is not kept. */
SCO_API enum sco_status sco_shapes_decode(struct sco_shapes **shapes, const char *text, size_t bytes, const char *name);

SCO_API void sco_shapes_destroy(struct sco_shapes *shapes); /* NULL is a no-op */

/* Valid as long as shapes. */
SCO_API const struct sco_tensor_list *sco_shapes_list(const struct sco_shapes *shapes);
SCO_API const char *sco_shapes_name(const struct sco_shapes *shapes); /* built-in name, or the path given */

SCO_END_DECLS
#endif

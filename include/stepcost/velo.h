/* SPDX-License-Identifier: Apache-2.0
 * VeLO's learned weights (theta): read from the released checkpoint format, or generated for cost measurements. */
#ifndef STEPCOST_VELO_H
#define STEPCOST_VELO_H

#include <stddef.h>
#include <stdint.h>

#include "stepcost/status.h"

SCO_BEGIN_DECLS

struct sco_velo_theta;

enum { SCO_VELO_ARRAYS = 33 };

/* Reads learned weights: the released checkpoint {"params": theta, "gen_id", "step"}, theta alone, or the older tuple
 * {"0": theta, "1", "2"}. Sizes H and P are taken from the arrays.
 *
 * Layout    msgpack as Flax writes it: nested maps, arrays as extension 1 = [shape, dtype, little-endian bytes].
 * Numerics  float32 as stored; NaN and Inf are refused.
 * Memory    at most the file and as much again for the arrays, whatever the file's headers claim; file limit 256 MiB.
 * Threads   reentrant.
 * Errors    SCO_IO: not a readable regular file; SCO_FORMAT: too large, truncated, trailing bytes, not msgpack, a key
 * that is unknown, repeated or missing, a value of the wrong type; SCO_SHAPE: an array whose shape does not fit H and
 * P; SCO_NONFINITE; SCO_NOMEM. Messages name the file, the path of the array and the byte offset. Source    Metz et
 * al., "VeLO: Training Versatile Learned Optimizers by Scaling Up", arXiv 2211.09760, released weights. */
SCO_API enum sco_status sco_velo_theta_read(struct sco_velo_theta **theta, const char *path);

/* The same from memory; name stands for the file in messages and in the origin. bytes is not kept. */
SCO_API enum sco_status sco_velo_theta_decode(struct sco_velo_theta **theta, const void *bytes, size_t size,
                                              const char *name);

/* The released form in memory: *bytes is for sco_free.
 *
 * Layout    as sco_velo_theta_read; keys in the released order, so that a file read and written again has the same bytes.
 * Errors    SCO_INVALID: gen_id longer than 255 bytes, or more bytes than a reader accepts; SCO_NOMEM. */
SCO_API enum sco_status sco_velo_theta_encode(const struct sco_velo_theta *theta, const char *gen_id, uint64_t step,
                                              unsigned char **bytes, size_t *size);

/* The same to path: a temporary file beside it, synced, then renamed, so that path is always whole.
 * Errors    as sco_velo_theta_encode; SCO_IO. */
SCO_API enum sco_status sco_velo_theta_write(const struct sco_velo_theta *theta, const char *path, const char *gen_id,
                                             uint64_t step);

/* Weights made by a generator, of any size: good for cost and for the recorded traces, not for training.
 *
 *   array[i] = (2 u(i) - 1) scale (+ 1.5 for rnn_params/step_size/b),  u from splitmix64 seeded by FNV-1a(path) + seed
 *
 * Columns 0 and 1 of ff_mod_stack/~/w2 and b2 are then multiplied by direction_scale and magnitude_scale. Scales follow
 * the fan-in: 3.5/sqrt(2H) for the LSTM, 3/sqrt(H) for the step size, 2.5 sqrt(P/256)/sqrt(H) for the controls (and
 * 0.3 sqrt(P/256) for their bias: a mixture of P experts is divided by P), constants elsewhere.
 *
 * Shapes    hidden: 1 .. 4096, experts: 1 .. 65536 (released: 512, 256).
 * Numerics  the same bits on every machine.
 * Errors    SCO_INVALID: a size out of range or a scale that is not finite; SCO_NOMEM. */
struct sco_velo_generator {
    size_t hidden, experts;
    uint64_t seed;
    float magnitude_scale, direction_scale;
};
SCO_API enum sco_status sco_velo_theta_generate(struct sco_velo_theta **theta,
                                                const struct sco_velo_generator *generator);
SCO_API void sco_velo_theta_destroy(struct sco_velo_theta *theta); /* NULL is a no-op */

SCO_API size_t sco_velo_theta_hidden(const struct sco_velo_theta *theta);
SCO_API size_t sco_velo_theta_experts(const struct sco_velo_theta *theta);

/* "generated (cost only), H = 512, P = 256, seed 15" or "FILE (gen_id ..., step ...)": every output names it. */
SCO_API const char *sco_velo_theta_origin(const struct sco_velo_theta *theta);

/* A learned array by its checkpoint path without the leading "params" ("rnn_params/rnn/linear/w"), row major, at a
 * 64-byte boundary, valid as long as theta. NULL when there is none. shape receives *rank sizes; both may be NULL. */
SCO_API const float *sco_velo_theta_array(const struct sco_velo_theta *theta, const char *path, size_t shape[3],
                                          size_t *rank);

struct sco_optim; /* stepcost/optim.h */

/* The effective prompt of a VeLO optimizer: inner steps of the run, num_steps without gradient accumulation. *gradients,
 * unless NULL, receives how many gradients are averaged for each. */
SCO_API uint64_t sco_velo_prompt(const struct sco_optim *optim, uint64_t *gradients);

/* To be called when the caller has changed parameters of a VeLO optimizer between steps: reads them once for sum p^2, which
 * is otherwise known from the step before.
 *
 * Shapes    p: as in sco_optim_init.
 * Cost      4 bytes read per element.
 * Errors    SCO_INVALID: a NULL pointer, named. */
SCO_API enum sco_status sco_velo_params_changed(struct sco_optim *optim, const float *const *p);

/* The path of array index in the released order, 0 .. SCO_VELO_ARRAYS - 1; NULL past the end. */
SCO_API const char *sco_velo_theta_path(size_t index);

SCO_END_DECLS
#endif

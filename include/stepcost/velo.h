/* SPDX-License-Identifier: Apache-2.0
 * VeLO's learned weights (theta): read from the released checkpoint format, or generated for cost measurements. */
#ifndef STEPCOST_VELO_H
#define STEPCOST_VELO_H

#include <stddef.h>
#include <stdint.h>

#include "stepcost/status.h"

SCO_BEGIN_DECLS

struct sco_velo_theta;

/* Reads a Flax msgpack checkpoint ({"params", "gen_id", "step"}), a theta-only map, or the older tuple form.
 * Errors    SCO_IO, SCO_FORMAT (truncated, oversized, not msgpack; offset named), SCO_SHAPE (array and shapes named), SCO_NOMEM. */
SCO_API enum sco_status sco_velo_theta_read(struct sco_velo_theta **theta, const char *path);

/* Generated weights of LSTM size hidden and experts count (released: 512, 256), good for cost only: splitmix64 per array
 * path, scales as listed in docs/velo.md. seed, magnitude_scale and direction_scale as in the recorded traces. */
struct sco_velo_generator {
    size_t hidden, experts;
    uint64_t seed;
    float magnitude_scale, direction_scale;
};
SCO_API enum sco_status sco_velo_theta_generate(struct sco_velo_theta **theta, const struct sco_velo_generator *generator);
SCO_API void sco_velo_theta_destroy(struct sco_velo_theta *theta);

SCO_API size_t sco_velo_theta_hidden(const struct sco_velo_theta *theta);
SCO_API size_t sco_velo_theta_experts(const struct sco_velo_theta *theta);

/* "generated (cost only), H = 512, P = 256, seed 15" or "FILE (gen_id ...)": every output names it. */
SCO_API const char *sco_velo_theta_origin(const struct sco_velo_theta *theta);

/* A learned array by its checkpoint path without the leading "params" ("rnn_params/rnn/linear/w"); row major.
 * NULL when there is none. shape receives up to 3 sizes, *rank their number. */
SCO_API const float *sco_velo_theta_array(const struct sco_velo_theta *theta, const char *path, size_t shape[3],
                                          size_t *rank);

SCO_END_DECLS
#endif

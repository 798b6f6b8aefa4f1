/* SPDX-License-Identifier: Apache-2.0
 * Replays recorded runs of whole models and measures how far this library's outputs and gradients are from them. */
#ifndef STEPCOST_MODEL_REPLAY_H
#define STEPCOST_MODEL_REPLAY_H

#include <stddef.h>
#include <stdint.h>

#include "stepcost/ctx.h"
#include "stepcost/dataset.h"

SCO_BEGIN_DECLS

struct sco_model_replay;

enum sco_model_replay_kind {
    SCO_MODEL_REPLAY_PARAMETER, /* as regenerated: whether both sides speak of the same model */
    SCO_MODEL_REPLAY_LOSS,
    SCO_MODEL_REPLAY_OUTPUT,   /* outputs, sums and running statistics */
    SCO_MODEL_REPLAY_GRADIENT, /* of a tensor */
    SCO_MODEL_REPLAY_KINDS
};

/* "parameter", "loss", "output", "gradient"; static. */
SCO_API const char *sco_model_replay_kind_name(enum sco_model_replay_kind kind);

/* The error e of an array v, as far as the record shows it: the sum of v, its norm |v|, a few entries. All measures are
 * of |e| / |v|; norm and sum cannot be larger than that, entries estimates it. A gradient is measured by 2^-24 of the
 * norm of all gradients together where its own is less. */
struct sco_model_replay_entry {
    enum sco_model_replay_kind kind;
    const char *name;
    size_t count;   /* elements */
    double norm;    /* | |v| - |recorded| | / |v| */
    double sum;     /* | sum of e | / (sqrt(count) |v|) */
    double entries; /* rms of e over the recorded entries x sqrt(count) / |v| */
    double error;   /* the largest of the three; infinite for NaN */
    double bound;   /* on error */
    int passed;     /* error <= bound */
};

/* Replays dir/name.json, one forward and one backward of the model that its members tell (ResNet-50, graph network,
 * DLRM, U-Net), parameters and inputs drawn as tests/golden/algoperf/README.md says.
 *
 * plan: "" or NULL, or a word: convolutions take the first plan with that word in its name ("winograd"), where a row in
 * force has one.
 *
 * Numerics  differences and norms in f64. Bounds: docs/numerics.md.
 * Cost      a step of the model, and drawing its parameters.
 * Threads   the team of ctx.
 * Memory    the model (sco_model_plan), the record, entries.
 * Errors    SCO_IO; SCO_FORMAT: not such a record, what it lacks or has too much of; those of sco_model_create and its
 *           steps. An error above its bound is none: see passed. */
SCO_API enum sco_status sco_model_replay_create(struct sco_model_replay **replay, struct sco_ctx *ctx, const char *dir,
                                                const char *name, const char *plan);
SCO_API void sco_model_replay_destroy(struct sco_model_replay *replay); /* NULL is a no-op */

SCO_API enum sco_workload sco_model_replay_workload(const struct sco_model_replay *replay);

/* Entries by kind, gradients in the order of the tensors; NULL past the last. */
SCO_API const struct sco_model_replay_entry *sco_model_replay_at(const struct sco_model_replay *replay, size_t index);

/* A hash of every bit of outputs, running statistics and gradients: the same for any number of threads. */
SCO_API uint64_t sco_model_replay_hash(const struct sco_model_replay *replay);

SCO_END_DECLS
#endif

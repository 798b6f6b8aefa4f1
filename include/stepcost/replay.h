/* SPDX-License-Identifier: Apache-2.0
 * Replays recorded optimizer runs and measures how far this library's steps are from them. */
#ifndef STEPCOST_REPLAY_H
#define STEPCOST_REPLAY_H

#include <stddef.h>
#include <stdint.h>

#include "stepcost/ctx.h"

SCO_BEGIN_DECLS

struct sco_replay;

enum sco_replay_mode {
    SCO_REPLAY_STEP, /* one step from every recorded state: the error of a step alone */
    SCO_REPLAY_RUN,  /* all steps from the first: what the errors of steps add up to */
    SCO_REPLAY_TRACE /* what a step computes on the way, from the recorded state before it (VeLO) */
};

/* The largest deviation of one array over all steps at which it was compared. */
struct sco_replay_entry {
    const char *optimizer; /* "velo", or the baseline's name in the trace */
    enum sco_replay_mode mode;
    const char *stage; /* "p"; "update": p before minus p after; a state array; a traced stage */
    size_t tensor;     /* SIZE_MAX: of the optimizer as a whole */
    size_t steps;      /* compared at so many steps */
    double absolute;   /* max |x - recorded|; infinite for NaN */
    double
        relative; /* max |x - recorded| / scale; scale is the rms of the recorded array, of the update for p and update
                          of a single VeLO step, and 1 where the bound is absolute */
    double ulp;   /* max |x - recorded| in units of the last place of recorded */
    size_t step, index; /* where relative was met: step from 1, element */
    double bound;       /* on relative */
    int passed;         /* relative <= bound */
};

/* Replays trace name of folder dir (format and bounds: tests/golden/velo/README.md): a VeLO run, or a set of baselines.
 *
 * Shapes    the trace's. Weights of VeLO come from the checkpoint that the trace names, or from the generator.
 * Units     as in the trace.
 * Numerics  differences and rms in f64.
 * Cost      every recorded step about twice.
 * Threads   from the thread that created ctx.
 * Memory    the trace, one state and one copy of the parameters.
 * Errors    of sco_trace_open, sco_velo_theta_read and sco_optim_*; SCO_FORMAT: the trace lacks an array or has it in another
 *           shape (named), or is of an unknown kind or wrapper. A deviation above its bound is no error: see passed. */
SCO_API enum sco_status sco_replay_create(struct sco_replay **replay, struct sco_ctx *ctx, const char *dir,
                                          const char *name);
SCO_API void sco_replay_destroy(struct sco_replay *replay); /* NULL is a no-op */

/* Entries in order of first comparison; NULL past the last. */
SCO_API const struct sco_replay_entry *sco_replay_at(const struct sco_replay *replay, size_t index);

/* A hash of every bit computed: parameters after every step, states where they were compared. The same rows give the same
 * hash for any number of threads. */
SCO_API uint64_t sco_replay_hash(const struct sco_replay *replay);

/* Where VeLO's weights came from; "" for baselines. */
SCO_API const char *sco_replay_weights(const struct sco_replay *replay);

SCO_END_DECLS
#endif

/* SPDX-License-Identifier: Apache-2.0
 * Learning-rate schedules. */
#ifndef STEPCOST_SCHEDULE_H
#define STEPCOST_SCHEDULE_H

#include <stdint.h>

#include "stepcost/status.h"

SCO_BEGIN_DECLS

enum sco_schedule_kind { SCO_SCHEDULE_CONSTANT, SCO_SCHEDULE_COSINE, SCO_SCHEDULE_LINEAR };

struct sco_schedule {
    enum sco_schedule_kind kind;
    double lr;                 /* peak rate; the only field that SCO_SCHEDULE_CONSTANT reads */
    double warmup_steps;       /* W; AlgoPerf: (int)(warmup_factor * step_hint). Need not be whole. */
    uint64_t total_steps;      /* H; AlgoPerf: step_hint */
    double end_factor;         /* final rate as a fraction of lr; 0 for AlgoPerf's cosine */
    double decay_steps_factor; /* linear only: share of the steps after warm-up in which the rate falls */
};

/* Learning rate of the 0-based step t (the first step after warm-up from 0 has rate 0).
 *
 *   warm-up   t < W:  lr t / W
 *   constant  lr, from the first step
 *   cosine    lr (e + (1 - e) (1 + cos(pi min(t - W, n) / n)) / 2),  n = max(H - W, 1)
 *   linear    lr e + lr (1 - e) (1 - min(t - W, D) / D),  D = floor((H - W) decay_steps_factor), H - W where the
 *             factor is 1; lr where D is 0
 *
 * Shapes    none.
 * Units     lr and the result: parameter units per step; t, W, H: steps; e = end_factor: a fraction.
 * Layout    none.
 * Numerics  double; callers round to float once. Within 2 ulp (float) of the float32 schedules of optax.
 * Cost      one cosine.
 * Threads   reentrant.
 * Memory    none allocated.
 * Errors    none: the schedule has passed sco_schedule_check.
 * Source    AlgoPerf (mlcommons/algorithmic-efficiency), baselines adamw and momentum: optax warm-up,
 *           cosine_decay_schedule, linear_schedule, joined at W. */
SCO_API double sco_schedule_lr(const struct sco_schedule *schedule, uint64_t t);

/* Tells whether a schedule is usable.
 *
 * Errors    SCO_INVALID: lr negative or not finite; unless constant, W negative, not finite or above H, end_factor
 *           outside [0, 1]; for linear, decay_steps_factor outside [0, 1]. The message has the field and its value.
 * Threads   reentrant.
 * Memory    none allocated. */
SCO_API enum sco_status sco_schedule_check(const struct sco_schedule *schedule);

SCO_END_DECLS
#endif

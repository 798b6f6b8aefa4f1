/* SPDX-License-Identifier: Apache-2.0 */
#include "stepcost/schedule.h"

#include <inttypes.h>
#include <math.h>

#include "arch/fail.h"

static const double pi = 3.14159265358979323846;

double sco_schedule_lr(const struct sco_schedule *schedule, uint64_t t)
{
    const double lr = schedule->lr, end = schedule->end_factor;
    if (schedule->kind == SCO_SCHEDULE_CONSTANT)
        return lr;

    const double warmup = schedule->warmup_steps, step = (double)t;
    if (step < warmup)
        return lr * step / warmup;

    const double rest = (double)schedule->total_steps - warmup;
    if (schedule->kind == SCO_SCHEDULE_COSINE) {
        const double n = fmax(rest, 1);
        return lr * (end + (1 - end) * 0.5 * (1 + cos(pi * fmin(step - warmup, n) / n)));
    }
    const double decay = schedule->decay_steps_factor == 1 ? rest : floor(rest * schedule->decay_steps_factor);
    if (decay <= 0)
        return lr;
    return lr * end + lr * (1 - end) * (1 - fmin(step - warmup, decay) / decay);
}

/* Written so that NaN fails too. */
static int within(double x, double low, double high)
{
    return x >= low && x <= high;
}

enum sco_status sco_schedule_check(const struct sco_schedule *schedule)
{
    if (!within(schedule->lr, 0, 3.0e38))
        return sco_fail(SCO_INVALID, "lr is %g; it must be finite and at least 0", schedule->lr);
    if (schedule->kind == SCO_SCHEDULE_CONSTANT)
        return SCO_OK;
    if (schedule->kind != SCO_SCHEDULE_COSINE && schedule->kind != SCO_SCHEDULE_LINEAR)
        return sco_fail(SCO_INVALID, "unknown schedule %d", (int)schedule->kind);
    if (!within(schedule->warmup_steps, 0, (double)schedule->total_steps))
        return sco_fail(SCO_INVALID, "warmup_steps is %g; it must be from 0 to total_steps = %" PRIu64,
                        schedule->warmup_steps, schedule->total_steps);
    if (!within(schedule->end_factor, 0, 1))
        return sco_fail(SCO_INVALID, "end_factor is %g; it must be from 0 to 1", schedule->end_factor);
    if (schedule->kind == SCO_SCHEDULE_LINEAR && !within(schedule->decay_steps_factor, 0, 1))
        return sco_fail(SCO_INVALID, "decay_steps_factor is %g; it must be from 0 to 1", schedule->decay_steps_factor);
    return SCO_OK;
}

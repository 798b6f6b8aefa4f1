/* SPDX-License-Identifier: Apache-2.0
 * Interleaved rounds over several participants. */
#ifndef SCO_MICROBENCH_ROUNDS_H
#define SCO_MICROBENCH_ROUNDS_H

#include <stdbool.h>

#include "stepcost/microbench.h"

/* One participant. The caller sets the first group; the rest starts zeroed and grows over the rounds. */
struct sco_lane {
    void *argument;
    enum sco_status (*step)(void *argument);  /* what is timed */
    enum sco_status (*after)(void *argument); /* untimed, after every sample; may be NULL */

    size_t calls;    /* steps of one sample: several where one is too short for the clock */
    bool warm;       /* one untimed step starts every burst: what it touches may be in cache */
    size_t steps;    /* samples of a burst; 0 = not calibrated yet */
    double *samples; /* ns per step */
    size_t sample_count, sample_capacity;
    double *medians; /* of each round */
    size_t round_count, round_capacity;
};

struct sco_rounds {
    double seconds;                             /* budget; a hundred rounds end it too */
    size_t min_rounds;                          /* whatever the budget; spread is not judged before six */
    double overhead_ns;                         /* of reading the clock; subtracted from every step */
    enum sco_status (*between)(void *argument); /* untimed, after every round; may be NULL */
    void *argument;
};

/* Calibrates lanes that have steps = 0 with two untimed steps, then runs rounds: the order is turned by one lane each
 * round. Lanes keep samples of earlier calls; *rounds is the number added. */
enum sco_status sco_rounds_run(struct sco_lane *const *lanes, size_t count, const struct sco_rounds *options,
                               size_t *rounds, enum sco_stop *stop);
void sco_lane_free(struct sco_lane *lane);

/* Appends to a growing array. */
enum sco_status sco_push(double **array, size_t *count, size_t *capacity, double value);

/* Statistics over medians of consecutive groups of per_group values; min over all values. SCO_NOMEM only. */
enum sco_status sco_grouped_stats(const double *value, size_t count, size_t per_group, struct sco_stats *stats);

#endif

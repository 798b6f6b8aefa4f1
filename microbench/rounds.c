/* SPDX-License-Identifier: Apache-2.0 */
#include "microbench/rounds.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "arch/fail.h"
#include "stepcost/clock.h"

/* A burst is long enough that its median means something and short enough that a round sees one state of the machine.
 */
#define BURST_NS 2e7
enum { MAX_STEPS = 64, SPREAD_ROUNDS = 6, MAX_ROUNDS = 100 };
#define SPREAD_LIMIT 0.01

/* A sample this long is a hundred times the resolution and the cost of a reading of an ordinary clock. */
#define SAMPLE_NS 4e3

/* Below this, what a step touches may well be cache-sized: the first step after another lane's burst is then not like
 * the rest. Above it a step streams through more than any cache holds. */
#define WARM_NS 1e7

enum sco_status sco_push(double **array, size_t *count, size_t *capacity, double value)
{
    if (*count == *capacity) {
        const size_t grown = *capacity ? 2 * *capacity : 64;
        double *moved = realloc(*array, grown * sizeof **array);
        if (moved == NULL)
            return sco_fail(SCO_NOMEM, "measurement: no memory for %zu samples", grown);
        *array = moved;
        *capacity = grown;
    }
    (*array)[(*count)++] = value;
    return SCO_OK;
}

enum sco_status sco_grouped_stats(const double *value, size_t count, size_t per_group, struct sco_stats *stats)
{
    memset(stats, 0, sizeof *stats);
    if (count == 0)
        return SCO_OK;
    const size_t groups = count / per_group;
    double *medians = malloc(groups * sizeof *medians), *group = malloc(per_group * sizeof *group);
    if (medians == NULL || group == NULL) {
        free(medians);
        free(group);
        return sco_fail(SCO_NOMEM, "measurement: no memory for statistics of %zu samples", count);
    }
    double min = INFINITY;
    for (size_t i = 0; i < groups; i++) {
        struct sco_stats of_group;
        memcpy(group, value + i * per_group, per_group * sizeof *group);
        sco_stats_sort(group, per_group, &of_group);
        medians[i] = of_group.median;
        min = fmin(min, of_group.min);
    }
    sco_stats_sort(medians, groups, stats);
    stats->min = min;
    free(medians);
    free(group);
    return SCO_OK;
}

static enum sco_status calibrate(struct sco_lane *lane)
{
    double ns = 0.0;
    for (int i = 0; i < 2; i++) {
        const uint64_t start = sco_clock_ns();
        const enum sco_status status = lane->step(lane->argument);
        ns = fmax((double)(sco_clock_ns() - start), 1.0);
        if (status != SCO_OK)
            return status;
        if (ns > BURST_NS)
            break;
    }
    lane->calls = (size_t)ceil(SAMPLE_NS / ns);
    lane->steps = (size_t)fmin(fmax(BURST_NS / (ns * (double)lane->calls), 1.0), (double)MAX_STEPS);
    lane->warm = ns < WARM_NS;
    return SCO_OK;
}

static enum sco_status burst(struct sco_lane *lane, double overhead_ns)
{
    enum sco_status status = SCO_OK;
    if (lane->warm && (status = lane->step(lane->argument)) != SCO_OK)
        return status;
    const size_t first = lane->sample_count;
    for (size_t i = 0; i < lane->steps; i++) {
        const uint64_t start = sco_clock_ns();
        for (size_t call = 0; call < lane->calls && status == SCO_OK; call++)
            status = lane->step(lane->argument);
        const double ns = (double)(sco_clock_ns() - start) - overhead_ns;
        if (status != SCO_OK)
            return status;
        if (lane->after != NULL && (status = lane->after(lane->argument)) != SCO_OK)
            return status;
        status =
            sco_push(&lane->samples, &lane->sample_count, &lane->sample_capacity, fmax(ns, 0.0) / (double)lane->calls);
        if (status != SCO_OK)
            return status;
    }
    double sorted[MAX_STEPS];
    struct sco_stats stats;
    memcpy(sorted, lane->samples + first, lane->steps * sizeof *sorted);
    sco_stats_sort(sorted, lane->steps, &stats);
    return sco_push(&lane->medians, &lane->round_count, &lane->round_capacity, stats.median);
}

static enum sco_status widest_spread(struct sco_lane *const *lanes, size_t count, size_t rounds, double *spread)
{
    *spread = 0.0;
    for (size_t i = 0; i < count; i++) {
        struct sco_stats stats;
        const enum sco_status status =
            sco_grouped_stats(lanes[i]->medians + lanes[i]->round_count - rounds, rounds, 1, &stats);
        if (status != SCO_OK)
            return status;
        *spread = fmax(*spread, stats.spread);
    }
    return SCO_OK;
}

enum sco_status sco_rounds_run(struct sco_lane *const *lanes, size_t count, const struct sco_rounds *options,
                               size_t *rounds, enum sco_stop *stop)
{
    const uint64_t start = sco_clock_ns();
    enum sco_status status;
    *rounds = 0;
    *stop = SCO_STOP_BUDGET;
    for (size_t i = 0; i < count; i++)
        if (lanes[i]->steps == 0 && (status = calibrate(lanes[i])) != SCO_OK)
            return status;
    for (;;) {
        const uint64_t round_start = sco_clock_ns();
        for (size_t i = 0; i < count; i++) {
            status = burst(lanes[(*rounds + i) % count], options->overhead_ns);
            if (status != SCO_OK)
                return status;
        }
        if (options->between != NULL && (status = options->between(options->argument)) != SCO_OK)
            return status;
        ++*rounds;

        const uint64_t now = sco_clock_ns();
        if (*rounds >= SPREAD_ROUNDS) {
            double spread;
            if ((status = widest_spread(lanes, count, *rounds, &spread)) != SCO_OK)
                return status;
            if (spread < SPREAD_LIMIT) {
                *stop = SCO_STOP_SPREAD;
                return SCO_OK;
            }
        }
        if (*rounds >= options->min_rounds &&
            (double)(now - start) + (double)(now - round_start) > options->seconds * 1e9)
            return SCO_OK;
    }
}

void sco_lane_free(struct sco_lane *lane)
{
    free(lane->samples);
    free(lane->medians);
}

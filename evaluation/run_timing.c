/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "evaluation/run.h"
#include "stepcost/clock.h"

const char *sco_part_name(enum sco_part part)
{
    static const char *const names[SCO_PARTS] = {
        [SCO_PART_DATA] = "data",           [SCO_PART_FORWARD] = "forward",       [SCO_PART_BACKWARD] = "backward",
        [SCO_PART_OPTIMIZER] = "optimizer", [SCO_PART_EVALUATION] = "evaluation", [SCO_PART_CHECKPOINT] = "checkpoint",
        [SCO_PART_LOGGING] = "logging",     [SCO_PART_OTHER] = "other",
    };
    return names[part];
}

static void open_counters(struct sco_timing *timing)
{
    static const char *const names[] = {"PAPI_TOT_CYC", "PAPI_TOT_INS",      "PAPI_L2_DCM",
                                        "PAPI_L3_TCM",  "perf::PAGE-FAULTS", "clock::THREAD-CPU-NS"};
    enum { NAMES = sizeof names / sizeof *names };
    _Static_assert((int)NAMES <= (int)SCO_RUN_COUNTERS, "room for every event");
    if (sco_counters_open(&timing->counters, names, NAMES) != SCO_OK)
        return;
    if (sco_counters_start(timing->counters) != SCO_OK || sco_counters_read(timing->counters, timing->last) != SCO_OK) {
        sco_counters_close(timing->counters);
        timing->counters = NULL;
        return;
    }
    timing->counts.count = NAMES;
    for (size_t i = 0; i < NAMES; i++) {
        timing->counts.event[i] = sco_counters_event(timing->counters, i);
        for (size_t part = 0; part < SCO_PARTS && timing->last[i] == SCO_COUNT_ABSENT; part++)
            timing->counts.total[part][i] = SCO_COUNT_ABSENT;
    }
}

void sco_timing_start(struct sco_timing *timing, bool counters)
{
    memset(timing, 0, sizeof *timing);
    if (counters)
        open_counters(timing);
    timing->mark = sco_clock_ns();
}

void sco_timing_stop(struct sco_timing *timing)
{
    sco_counters_close(timing->counters);
    timing->counters = NULL;
}

void sco_timing_lap(struct sco_timing *timing, enum sco_part part)
{
    const uint64_t now = sco_clock_ns(), ns = now - timing->mark;
    timing->part[part] += ns;
    timing->total[part] += ns;
    timing->mark = now;
    int64_t counts[SCO_RUN_COUNTERS];
    if (timing->counters == NULL || sco_counters_read(timing->counters, counts) != SCO_OK)
        return;
    for (size_t i = 0; i < timing->counts.count; i++)
        if (counts[i] != SCO_COUNT_ABSENT) {
            timing->counts.total[part][i] += counts[i] - timing->last[i];
            timing->last[i] = counts[i];
        }
}

void sco_timing_iteration(struct sco_timing *timing)
{
    memset(timing->part, 0, sizeof timing->part);
    sco_timing_lap(timing, SCO_PART_OTHER);
}

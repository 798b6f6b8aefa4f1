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

static void open_counters(struct sco_split *split)
{
    static const char *const names[] = {"PAPI_TOT_CYC", "PAPI_TOT_INS",      "PAPI_L2_DCM",
                                        "PAPI_L3_TCM",  "perf::PAGE-FAULTS", "clock::THREAD-CPU-NS"};
    enum { NAMES = sizeof names / sizeof *names };
    _Static_assert((int)NAMES <= (int)SCO_RUN_COUNTERS, "room for every event");
    if (sco_counters_open(&split->counters, names, NAMES) != SCO_OK)
        return;
    if (sco_counters_start(split->counters) != SCO_OK || sco_counters_read(split->counters, split->last) != SCO_OK) {
        sco_counters_close(split->counters);
        split->counters = NULL;
        return;
    }
    split->counts.count = NAMES;
    for (size_t i = 0; i < NAMES; i++) {
        split->counts.event[i] = sco_counters_event(split->counters, i);
        for (size_t part = 0; part < SCO_PARTS && split->last[i] == SCO_COUNT_ABSENT; part++)
            split->counts.total[part][i] = SCO_COUNT_ABSENT;
    }
}

void sco_split_start(struct sco_split *split, bool counters)
{
    memset(split, 0, sizeof *split);
    if (counters)
        open_counters(split);
    split->mark = sco_clock_ns();
}

void sco_split_stop(struct sco_split *split)
{
    sco_counters_close(split->counters);
    split->counters = NULL;
}

void sco_split_lap(struct sco_split *split, enum sco_part part)
{
    const uint64_t now = sco_clock_ns(), ns = now - split->mark;
    split->part[part] += ns;
    split->total[part] += ns;
    split->mark = now;
    int64_t counts[SCO_RUN_COUNTERS];
    if (split->counters == NULL || sco_counters_read(split->counters, counts) != SCO_OK)
        return;
    for (size_t i = 0; i < split->counts.count; i++)
        if (counts[i] != SCO_COUNT_ABSENT) {
            split->counts.total[part][i] += counts[i] - split->last[i];
            split->last[i] = counts[i];
        }
}

void sco_split_iteration(struct sco_split *split)
{
    memset(split->part, 0, sizeof split->part);
    sco_split_lap(split, SCO_PART_OTHER);
}

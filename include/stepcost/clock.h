/* SPDX-License-Identifier: Apache-2.0
 * Time. */
#ifndef STEPCOST_CLOCK_H
#define STEPCOST_CLOCK_H

#include <stdint.h>

#include "stepcost/status.h"

SCO_BEGIN_DECLS

/* Nanoseconds of CLOCK_MONOTONIC_RAW since an arbitrary start. Unlike CLOCK_MONOTONIC it is not slewed by the time
 * daemon (up to 500 ppm, and changing within a run), so two intervals of one run are in one unit; and unlike the cycle
 * counter it needs no knowledge of the CPU. Reading it costs tens of nanoseconds, no system call since Linux 5.3. */
SCO_API uint64_t sco_clock_ns(void);

/* What the clock is worth here, measured at the call (about 3 ms).
 *
 * resolution_ns      smallest nonzero difference of two readings
 * overhead_ns        median cost of one reading: subtract it from an interval that two readings bracket
 * cycles_per_ns      core clock in GHz, an estimate: a chain of dependent integer additions runs one per cycle on every
 *                    core of the last 20 years, so its rate is the frequency while it ran; the median of short chains.
 *                    Labelled as an estimate because the frequency elsewhere in the run may differ. */
struct sco_clock_quality {
    double resolution_ns, overhead_ns, cycles_per_ns;
};
SCO_API struct sco_clock_quality sco_clock_measure(void);

SCO_END_DECLS
#endif

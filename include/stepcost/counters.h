/* SPDX-License-Identifier: Apache-2.0
 * Hardware and software counters of the calling thread, each with its provenance, or with the reason why there is none. */
#ifndef STEPCOST_COUNTERS_H
#define STEPCOST_COUNTERS_H

#include <stddef.h>
#include <stdint.h>

#include "stepcost/status.h"

SCO_BEGIN_DECLS

struct sco_counters;

/* What made a count. Hardware and software must not be mixed up in a report: a software event of the same name counts
 * what the kernel saw. */
enum sco_counter_source {
    SCO_COUNTER_ABSENT,   /* cannot be read here; reason says why and how to change it */
    SCO_COUNTER_PRESET,   /* PAPI preset, one or more hardware events ("PAPI_TOT_CYC") */
    SCO_COUNTER_NATIVE,   /* hardware event by its own name ("amd64_fam19h_zen3::RETIRED_SSE_AVX_FLOPS:ANY") */
    SCO_COUNTER_SOFTWARE, /* kernel event ("perf::PAGE-FAULTS") */
    SCO_COUNTER_CLOCK     /* "clock::WALL-NS", "clock::THREAD-CPU-NS": always there */
};

struct sco_counter {
    const char *name;
    enum sco_counter_source source;
    const char *reason; /* "" unless absent */
};

/* The count of an absent event, so that it cannot be taken for a measured zero. */
#define SCO_COUNT_ABSENT INT64_MIN

/* Opens a set of events by name. Names that cannot be counted do not fail the call: ask sco_counters_event for each. An
 * event is there when adding it and starting it succeed in this set, which also finds sets larger than the number of
 * hardware counters: nothing is multiplexed, so open the rest in another set for another pass. User mode only, unless
 * the name ends in ":u=1:k=1".
 *
 * Cost      milliseconds; the first call of the process also initialises PAPI.
 * Threads   a set counts the thread that opened it and is used by that thread alone; threads open their own.
 * Errors    SCO_NOMEM; SCO_INVALID: count = 0 or a NULL name. */
SCO_API enum sco_status sco_counters_open(struct sco_counters **counters, const char *const *names, size_t count);
SCO_API void sco_counters_close(struct sco_counters *counters); /* NULL is a no-op; stops first */

SCO_API size_t sco_counters_count(const struct sco_counters *counters);
SCO_API struct sco_counter sco_counters_event(const struct sco_counters *counters, size_t event);
SCO_API const char *sco_counter_source_name(enum sco_counter_source source); /* "hardware preset", ... */

/* start zeroes and counts; read and stop write count values, in the order of the names; SCO_COUNT_ABSENT where absent.
 *
 * Cost      a read is a few microseconds, start and stop some ten: bracket work that takes far longer.
 * Errors    SCO_INVALID: start while running, read or stop while not; SCO_UNSUPPORTED: the system refused what it granted
 *           when the set was opened. */
SCO_API enum sco_status sco_counters_start(struct sco_counters *counters);
SCO_API enum sco_status sco_counters_read(struct sco_counters *counters, int64_t *values);
SCO_API enum sco_status sco_counters_stop(struct sco_counters *counters, int64_t *values);

/* Writes what can be counted here, line by line, with reason and fix for what cannot, cut to bytes. Tries a list of
 * common events one by one. Returns the bytes the whole text needs, terminator included. */
SCO_API size_t sco_counters_describe(char *buffer, size_t bytes);

SCO_END_DECLS
#endif

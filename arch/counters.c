/* SPDX-License-Identifier: Apache-2.0 */
#include "stepcost/counters.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "arch/counter_backend.h"
#include "arch/fail.h"
#include "arch/text.h"
#include "stepcost/clock.h"

enum { NAME_BYTES = 128, REASON_BYTES = 512 };

struct event {
    char name[NAME_BYTES];
    char reason[REASON_BYTES];
    enum sco_counter_source source;
    size_t index;  /* clocks: into clocks[]; others: into raw[] */
    int64_t start; /* clocks */
};

struct sco_counters {
    struct sco_backend *backend;
    int64_t *raw; /* what the backend counts, in order of adding */
    size_t raw_count;
    int running;
    size_t count;
    struct event events[];
};

static int64_t wall_ns(void)
{
    return (int64_t)sco_clock_ns();
}

static int64_t thread_cpu_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static const struct {
    const char *name;
    int64_t (*now)(void);
} clocks[] = {{"clock::WALL-NS", wall_ns}, {"clock::THREAD-CPU-NS", thread_cpu_ns}};
enum { CLOCKS = sizeof clocks / sizeof clocks[0] };

static void add(struct sco_counters *counters, struct event *event, const char *name)
{
    if ((size_t)snprintf(event->name, sizeof event->name, "%s", name) >= sizeof event->name) {
        snprintf(event->reason, sizeof event->reason, "the name is longer than %d characters", NAME_BYTES - 1);
        return;
    }
    for (size_t i = 0; i < CLOCKS; i++)
        if (strcmp(name, clocks[i].name) == 0) {
            event->source = SCO_COUNTER_CLOCK;
            event->index = i;
            return;
        }
    if (sco_backend_add(counters->backend, name, &event->source, event->reason, sizeof event->reason))
        event->index = counters->raw_count++;
}

enum sco_status sco_counters_open(struct sco_counters **counters, const char *const *names, size_t count)
{
    if (count == 0)
        return sco_fail(SCO_INVALID, "counters: no event named");
    for (size_t i = 0; i < count; i++)
        if (names[i] == NULL)
            return sco_fail(SCO_INVALID, "counters: event %zu of %zu has no name", i + 1, count);
    if (count > SIZE_MAX / 2 / sizeof(struct event))
        return sco_fail(SCO_NOMEM, "counters: no memory for %zu events", count);
    struct sco_counters *made = calloc(1, sizeof *made + count * sizeof made->events[0]);
    if (made == NULL)
        return sco_fail(SCO_NOMEM, "counters: no memory for %zu events", count);
    made->count = count;
    made->raw = calloc(count, sizeof *made->raw);
    made->backend = sco_backend_open();
    if (made->raw == NULL || made->backend == NULL) {
        sco_counters_close(made);
        return sco_fail(SCO_NOMEM, "counters: no memory for %zu events", count);
    }
    for (size_t i = 0; i < count; i++)
        add(made, &made->events[i], names[i]);
    *counters = made;
    return SCO_OK;
}

void sco_counters_close(struct sco_counters *counters)
{
    if (counters == NULL)
        return;
    if (counters->running && counters->raw_count > 0)
        sco_backend_stop(counters->backend, counters->raw);
    if (counters->backend != NULL)
        sco_backend_close(counters->backend);
    free(counters->raw);
    free(counters);
}

size_t sco_counters_count(const struct sco_counters *counters)
{
    return counters->count;
}

struct sco_counter sco_counters_event(const struct sco_counters *counters, size_t event)
{
    const struct event *e = &counters->events[event];
    return (struct sco_counter){e->name, e->source, e->reason};
}

const char *sco_counter_source_name(enum sco_counter_source source)
{
    switch (source) {
    case SCO_COUNTER_ABSENT: return "absent";
    case SCO_COUNTER_PRESET: return "hardware preset";
    case SCO_COUNTER_NATIVE: return "hardware native";
    case SCO_COUNTER_SOFTWARE: return "software event";
    case SCO_COUNTER_CLOCK: return "clock";
    }
    return "unknown";
}

enum sco_status sco_counters_start(struct sco_counters *counters)
{
    if (counters->running)
        return sco_fail(SCO_INVALID, "counters: start while running");
    if (counters->raw_count > 0) {
        const enum sco_status status = sco_backend_start(counters->backend);
        if (status != SCO_OK)
            return status;
    }
    counters->running = 1;
    for (size_t i = 0; i < counters->count; i++)
        if (counters->events[i].source == SCO_COUNTER_CLOCK)
            counters->events[i].start = clocks[counters->events[i].index].now();
    return SCO_OK;
}

/* Clocks are read on the inner side of start and stop, so that they do not time the counters. */
static enum sco_status take(struct sco_counters *counters, int64_t *values, const char *call,
                            enum sco_status (*get)(struct sco_backend *, int64_t *))
{
    if (!counters->running)
        return sco_fail(SCO_INVALID, "counters: %s while stopped", call);
    for (size_t i = 0; i < counters->count; i++) {
        const struct event *event = &counters->events[i];
        if (event->source == SCO_COUNTER_CLOCK)
            values[i] = clocks[event->index].now() - event->start;
    }
    if (counters->raw_count > 0) {
        const enum sco_status status = get(counters->backend, counters->raw);
        if (status != SCO_OK)
            return status;
    }
    for (size_t i = 0; i < counters->count; i++) {
        const struct event *event = &counters->events[i];
        if (event->source == SCO_COUNTER_ABSENT)
            values[i] = SCO_COUNT_ABSENT;
        else if (event->source != SCO_COUNTER_CLOCK)
            values[i] = counters->raw[event->index];
    }
    return SCO_OK;
}

enum sco_status sco_counters_read(struct sco_counters *counters, int64_t *values)
{
    return take(counters, values, "read", sco_backend_read);
}

enum sco_status sco_counters_stop(struct sco_counters *counters, int64_t *values)
{
    const enum sco_status status = take(counters, values, "stop", sco_backend_stop);
    counters->running = 0;
    return status;
}

size_t sco_counters_describe(char *buffer, size_t bytes)
{
    static const char *const common[] = {
        "PAPI_TOT_CYC",     "PAPI_TOT_INS",         "PAPI_FP_OPS",
        "PAPI_L1_DCM",      "PAPI_L2_DCM",          "PAPI_BR_MSP",
        "perf::TASK-CLOCK", "perf::PAGE-FAULTS",    "perf::CONTEXT-SWITCHES:u=1:k=1",
        "clock::WALL-NS",   "clock::THREAD-CPU-NS",
    };
    struct sco_text text = {buffer, bytes, 0};
    sco_text_add(&text, "%s\n", sco_backend_name());
    char last[REASON_BYTES] = "";
    for (size_t i = 0; i < sizeof common / sizeof common[0]; i++) {
        struct sco_counters *counters;
        if (sco_counters_open(&counters, &common[i], 1) != SCO_OK) {
            sco_text_add(&text, "%s: %s\n", common[i], sco_error_message());
            continue;
        }
        const struct sco_counter event = sco_counters_event(counters, 0);
        if (event.source != SCO_COUNTER_ABSENT) {
            sco_text_add(&text, "%s: %s\n", event.name, sco_counter_source_name(event.source));
        } else {
            /* One cause usually stops all hardware events: it is worth one line. */
            sco_text_add(&text, "%s: n/a, %s\n", event.name,
                         strcmp(last, event.reason) == 0 ? "as above" : event.reason);
            snprintf(last, sizeof last, "%s", event.reason);
        }
        sco_counters_close(counters);
    }
    return text.used + 1;
}

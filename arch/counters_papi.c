/* SPDX-License-Identifier: Apache-2.0
 * PAPI's low-level interface. Its queries answer from a table of what the CPU model should have, so where the kernel
 * offers no counters they say yes; only adding and starting an event ask the kernel. */
#include <papi.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arch/counter_backend.h"
#include "arch/fail.h"
#include "arch/perf.h"

_Static_assert(sizeof(long long) == sizeof(int64_t), "PAPI writes long long");

struct sco_backend {
    int set;
    size_t count;
};

static struct {
    pthread_once_t once;
    int status; /* PAPI_VER_CURRENT when usable */
    char name[32];
} papi = {.once = PTHREAD_ONCE_INIT};

static unsigned long thread_id(void)
{
    return (unsigned long)pthread_self();
}

static void initialise(void)
{
    snprintf(papi.name, sizeof papi.name, "PAPI %d.%d.%d", PAPI_VERSION_MAJOR(PAPI_VERSION),
             PAPI_VERSION_MINOR(PAPI_VERSION), PAPI_VERSION_REVISION(PAPI_VERSION));
    papi.status = PAPI_library_init(PAPI_VER_CURRENT);
    if (papi.status == PAPI_VER_CURRENT && PAPI_thread_init(thread_id) != PAPI_OK)
        papi.status = PAPI_ENOINIT;
}

const char *sco_backend_name(void)
{
    pthread_once(&papi.once, initialise);
    return papi.name;
}

struct sco_backend *sco_backend_open(void)
{
    pthread_once(&papi.once, initialise);
    struct sco_backend *backend = calloc(1, sizeof *backend);
    if (backend == NULL)
        return NULL;
    backend->set = PAPI_NULL;
    if (papi.status == PAPI_VER_CURRENT) {
        PAPI_register_thread();
        PAPI_create_eventset(&backend->set);
    }
    return backend;
}

void sco_backend_close(struct sco_backend *backend)
{
    if (backend->set != PAPI_NULL) {
        PAPI_cleanup_eventset(backend->set);
        PAPI_destroy_eventset(&backend->set);
    }
    free(backend);
}

/* The kernel's software events, as libpfm's unit "perf" names them; it also carries generic hardware events. Events that
 * happen in the kernel read 0 for ever, and without an error, when user mode alone is counted. */
static const struct {
    const char *name;
    int in_kernel;
} software[] = {{"CPU-CLOCK", 0},
                {"TASK-CLOCK", 0},
                {"PAGE-FAULTS", 0},
                {"FAULTS", 0},
                {"MINOR-FAULTS", 0},
                {"MAJOR-FAULTS", 0},
                {"BPF-OUTPUT", 0},
                {"ALIGNMENT-FAULTS", 0},
                {"EMULATION-FAULTS", 0},
                {"CPU-MIGRATIONS", 1},
                {"MIGRATIONS", 1},
                {"CONTEXT-SWITCHES", 1},
                {"CS", 1},
                {"CGROUP-SWITCHES", 1}};
enum { SOFTWARE = sizeof software / sizeof software[0] };

/* Index into software[], or SOFTWARE for hardware events. The kernel's names (PERF_COUNT_SW_PAGE_FAULTS) are aliases. */
static size_t find_software(const char *name)
{
    if (strncmp(name, "perf::", 6) != 0)
        return SOFTWARE;
    name += 6;
    if (strncmp(name, "PERF_COUNT_SW_", 14) == 0)
        name += 14;
    for (size_t i = 0; i < SOFTWARE; i++) {
        const char *a = name, *b = software[i].name;
        while (*b != '\0' && (*a == *b || (*a == '_' && *b == '-')))
            a++, b++;
        if (*b == '\0' && (*a == '\0' || *a == ':'))
            return i;
    }
    return SOFTWARE;
}

/* Why the component that all these events come through is switched off; NULL when it is on. */
static const char *component_disabled(void)
{
    for (int i = 0; i < PAPI_num_components(); i++) {
        const PAPI_component_info_t *info = PAPI_get_component_info(i);
        if (info != NULL && strcmp(info->name, "perf_event") == 0)
            return info->disabled ? info->disabled_reason : NULL;
    }
    return "not compiled in";
}

static void explain(const char *call, int code, int is_software, size_t others, char *reason, size_t bytes)
{
    const struct sco_perf_facts facts = sco_perf_probe();
    const char *disabled = component_disabled();
    if (is_software && code == PAPI_EPERM)
        snprintf(reason, bytes,
                 "kernel mode may not be counted (kernel.perf_event_paranoid = %d). "
                 "Fix: sudo sysctl kernel.perf_event_paranoid=1, or run with CAP_PERFMON",
                 facts.paranoid);
    else if (!is_software && facts.error != 0)
        sco_perf_diagnose(&facts, reason, bytes);
    else if (disabled != NULL)
        snprintf(
            reason, bytes,
            "%s switched its perf_event component off (%.128s); this happens when its libpfm is older than the CPU. "
            "Fix: a newer PAPI",
            papi.name, disabled);
    else if (code == PAPI_ECNFLCT || code == PAPI_ECOUNT)
        snprintf(reason, bytes, "no counter is free beside the %zu events before it. Fix: count it in another pass",
                 others);
    else
        snprintf(reason, bytes,
                 "%s: %s: this CPU has no such event, or %s does not know it. "
                 "Fix: take a name that papi_avail or papi_native_avail lists",
                 call, PAPI_strerror(code), papi.name);
}

int sco_backend_add(struct sco_backend *backend, const char *name, enum sco_counter_source *source, char *reason,
                    size_t bytes)
{
    if (backend->set == PAPI_NULL) {
        snprintf(reason, bytes, "%s cannot be initialised (%s). Fix: papi_component_avail says why", papi.name,
                 papi.status > 0 ? "the library loaded has another version" : PAPI_strerror(papi.status));
        return 0;
    }
    const size_t found = find_software(name);
    const int is_software = found < SOFTWARE;
    if (is_software && software[found].in_kernel && strstr(name, ":k=1") == NULL) {
        snprintf(reason, bytes, "it happens in kernel mode and would read 0. Fix: name it %s:u=1:k=1", name);
        return 0;
    }
    int code = 0;
    const char *call = "PAPI_event_name_to_code";
    int status = PAPI_event_name_to_code(name, &code);
    if (status == PAPI_OK) {
        call = "PAPI_add_event";
        status = PAPI_add_event(backend->set, code);
    }
    if (status == PAPI_OK) {
        call = "PAPI_start";
        status = PAPI_start(backend->set);
        if (status == PAPI_OK)
            status = PAPI_stop(backend->set, NULL);
        if (status != PAPI_OK)
            PAPI_remove_event(backend->set, code);
    }
    if (status != PAPI_OK) {
        explain(call, status, is_software, backend->count, reason, bytes);
        return 0;
    }
    backend->count++;
    *source = is_software ? SCO_COUNTER_SOFTWARE : IS_PRESET(code) ? SCO_COUNTER_PRESET : SCO_COUNTER_NATIVE;
    return 1;
}

static enum sco_status result(const char *call, int status)
{
    if (status == PAPI_OK)
        return SCO_OK;
    return sco_fail(SCO_UNSUPPORTED, "counters: %s failed: %s", call, PAPI_strerror(status));
}

enum sco_status sco_backend_start(struct sco_backend *backend)
{
    return result("PAPI_start", PAPI_start(backend->set));
}

enum sco_status sco_backend_read(struct sco_backend *backend, int64_t *values)
{
    return result("PAPI_read", PAPI_read(backend->set, (long long *)values));
}

enum sco_status sco_backend_stop(struct sco_backend *backend, int64_t *values)
{
    return result("PAPI_stop", PAPI_stop(backend->set, (long long *)values));
}

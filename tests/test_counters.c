/* SPDX-License-Identifier: Apache-2.0
 * Counters: provenance where there is a count, a reason and a fix where there is none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "arch/perf.h"
#include "stepcost/counters.h"

/* Machines that nobody needs to own. */
static void test_diagnosis(void **state)
{
    (void)state;
    static const struct {
        struct sco_perf_facts facts;
        const char *cause, *fix;
    } cases[] = {
        {{.error = EACCES, .paranoid = 3}, "perf_event_paranoid = 3", "sysctl kernel.perf_event_paranoid=2"},
        {{.error = EPERM, .paranoid = 4, .seccomp = 1}, "perf_event_paranoid = 4", "CAP_PERFMON"},
        {{.error = EPERM, .paranoid = 2, .seccomp = 1}, "seccomp", "docker run"},
        {{.error = ENOSYS, .paranoid = SCO_PERF_UNKNOWN, .seccomp = 1}, "seccomp", "docker run"},
        {{.error = EACCES, .paranoid = 1}, "denies perf_event_open", "CAP_PERFMON"},
        {{.error = ENOENT, .paranoid = 2, .hypervisor = 1}, "virtual machine", "pmu=on"},
        {{.error = EOPNOTSUPP, .paranoid = 2, .hypervisor = 1}, "virtual machine", "pmu=on"},
        {{.error = ENOENT, .paranoid = 2}, "no performance monitoring unit on this CPU", "PMU driver"},
        {{.error = ENOSYS, .paranoid = SCO_PERF_UNKNOWN}, "CONFIG_PERF_EVENTS", "a kernel that has it"},
        {{.error = EMFILE, .paranoid = 2}, "Too many open files", "other users of counters"},
    };
    char text[512];
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        sco_perf_diagnose(&cases[i].facts, text, sizeof text);
        if (strstr(text, cases[i].cause) == NULL || strstr(text, cases[i].fix) == NULL || strstr(text, "Fix: ") == NULL)
            fail_msg("case %zu: \"%s\" lacks \"%s\" or \"%s\"", i, text, cases[i].cause, cases[i].fix);
    }
    assert_string_equal(sco_perf_diagnose(&(struct sco_perf_facts){0}, text, sizeof text), "");
}

static size_t find(struct sco_counters *counters, const char *name)
{
    for (size_t i = 0; i < sco_counters_count(counters); i++)
        if (strcmp(sco_counters_event(counters, i).name, name) == 0)
            return i;
    fail_msg("no event %s", name);
    return 0;
}

enum { PAGES = 256 };

static void touch_pages(void)
{
    const size_t page = (size_t)sysconf(_SC_PAGESIZE);
    char *memory = mmap(NULL, PAGES * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(memory != MAP_FAILED);
    madvise(memory, PAGES * page, MADV_NOHUGEPAGE);
    for (size_t i = 0; i < PAGES; i++)
        ((volatile char *)memory)[i * page] = 1;
    munmap(memory, PAGES * page);
}

static void test_set(void **state)
{
    (void)state;
    static const char *const names[] = {"clock::WALL-NS",         "PAPI_TOT_CYC",
                                        "perf::PAGE-FAULTS",      "PAPI_NO_SUCH_EVENT",
                                        "perf::CONTEXT-SWITCHES", "perf::PERF_COUNT_SW_CONTEXT_SWITCHES",
                                        "clock::THREAD-CPU-NS"};
    enum { EVENTS = sizeof names / sizeof names[0] };
    int64_t half[EVENTS], whole[EVENTS];
    struct sco_counters *counters;
    assert_int_equal(sco_counters_open(&counters, names, EVENTS), SCO_OK);
    assert_int_equal(sco_counters_count(counters), EVENTS);
    assert_int_equal(sco_counters_read(counters, half), SCO_INVALID);
    assert_int_equal(sco_counters_stop(counters, half), SCO_INVALID);
    assert_int_equal(sco_counters_start(counters), SCO_OK);
    assert_int_equal(sco_counters_start(counters), SCO_INVALID);
    touch_pages();
    assert_int_equal(sco_counters_read(counters, half), SCO_OK);
    assert_int_equal(sco_counters_stop(counters, whole), SCO_OK);

    for (size_t i = 0; i < EVENTS; i++) {
        const struct sco_counter event = sco_counters_event(counters, i);
        print_message("%s: %s%s%s\n", event.name, sco_counter_source_name(event.source), event.reason[0] ? ", " : "",
                      event.reason);
        assert_string_equal(event.name, names[i]);
        if (event.source == SCO_COUNTER_ABSENT) {
            assert_true(whole[i] == SCO_COUNT_ABSENT);
            assert_non_null(strstr(event.reason, "Fix: "));
        } else {
            assert_true(half[i] >= 0 && whole[i] >= half[i]);
            assert_string_equal(event.reason, "");
        }
    }
    assert_int_equal(sco_counters_event(counters, find(counters, "clock::WALL-NS")).source, SCO_COUNTER_CLOCK);
    assert_int_equal(sco_counters_event(counters, find(counters, "PAPI_NO_SUCH_EVENT")).source, SCO_COUNTER_ABSENT);

    /* Counting cycles is up to the machine, and the kernel's answer decides, not PAPI's tables. */
    const size_t cycles = find(counters, "PAPI_TOT_CYC"), faults = find(counters, "perf::PAGE-FAULTS");
    const struct sco_perf_facts facts = sco_perf_probe();
    if (facts.error != 0)
        assert_int_equal(sco_counters_event(counters, cycles).source, SCO_COUNTER_ABSENT);
#if defined(SCO_HAVE_PAPI)
    char diagnosis[512];
    if (facts.error != 0)
        assert_string_equal(sco_counters_event(counters, cycles).reason,
                            sco_perf_diagnose(&facts, diagnosis, sizeof diagnosis));
    const char *switches = sco_counters_event(counters, find(counters, "perf::CONTEXT-SWITCHES")).reason;
    if (sco_counters_event(counters, faults).source != SCO_COUNTER_ABSENT) {
        assert_non_null(strstr(switches, "perf::CONTEXT-SWITCHES:u=1:k=1"));
        assert_int_equal(sco_counters_event(counters, faults).source, SCO_COUNTER_SOFTWARE);
        assert_true(whole[faults] >= PAGES);
    }
#else
    assert_non_null(strstr(sco_counters_event(counters, cycles).reason, "no PAPI"));
    assert_non_null(strstr(sco_counters_event(counters, faults).reason, "no PAPI"));
#endif
    sco_counters_close(counters);
}

static void test_refused(void **state)
{
    (void)state;
    struct sco_counters *counters = NULL;
    const char *names[] = {"clock::WALL-NS", NULL};
    char longer[400];
    const char *name = longer;
    assert_int_equal(sco_counters_open(&counters, names, 0), SCO_INVALID);
    assert_int_equal(sco_counters_open(&counters, names, 2), SCO_INVALID);
    assert_null(counters);
    memset(longer, 'x', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    assert_int_equal(sco_counters_open(&counters, &name, 1), SCO_OK);
    assert_int_equal(sco_counters_event(counters, 0).source, SCO_COUNTER_ABSENT);
    assert_int_equal(sco_counters_start(counters), SCO_OK);
    sco_counters_close(counters); /* while running */
    sco_counters_close(NULL);
}

static void test_describe(void **state)
{
    (void)state;
    char text[4096], small[8];
    const size_t need = sco_counters_describe(text, sizeof text);
    assert_int_equal(need, strlen(text) + 1);
    assert_non_null(strstr(text, "clock::WALL-NS: clock"));
    assert_non_null(strstr(text, "PAPI_TOT_CYC: "));
    assert_int_equal(sco_counters_describe(small, sizeof small), need);
    print_message("%s", text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_diagnosis),
        cmocka_unit_test(test_set),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_describe),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: Apache-2.0
 * Why the kernel gives no hardware counters, and what to do about it. */
#ifndef SCO_ARCH_PERF_H
#define SCO_ARCH_PERF_H

#include <stddef.h>

/* What a diagnosis rests on, apart from it so that a test can make up machines. */
struct sco_perf_facts {
    int error;      /* errno of perf_event_open for user-mode CPU cycles of this thread; 0 = it worked */
    int paranoid;   /* kernel.perf_event_paranoid, SCO_PERF_UNKNOWN when it cannot be read */
    int seccomp;    /* a seccomp filter is in force */
    int hypervisor; /* this is a virtual machine */
};
#define SCO_PERF_UNKNOWN (-100)

struct sco_perf_facts sco_perf_probe(void);

/* Writes one sentence of cause and one of remedy; "" when error = 0. Returns buffer. */
char *sco_perf_diagnose(const struct sco_perf_facts *facts, char *buffer, size_t bytes);

#endif

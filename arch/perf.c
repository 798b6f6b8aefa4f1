/* SPDX-License-Identifier: Apache-2.0 */
#include "arch/perf.h"

#include <errno.h>
#include <linux/perf_event.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__x86_64__)
#include <cpuid.h>
#endif

static int is_virtual(void)
{
#if defined(__x86_64__)
    unsigned a, b, c, d;
    return __get_cpuid(1, &a, &b, &c, &d) && (c >> 31 & 1); /* reserved for hypervisors, 0 on real CPUs */
#else
    /* Firmware tables of the common hypervisors; Arm has no such bit. */
    static const char *const names[] = {"QEMU", "KVM", "Amazon EC2", "VMware", "Google", "Microsoft Corporation"};
    char vendor[64] = "";
    FILE *file = fopen("/sys/class/dmi/id/sys_vendor", "re");
    if (file == NULL)
        return 0;
    const int read = fgets(vendor, sizeof vendor, file) != NULL;
    fclose(file);
    for (size_t i = 0; read && i < sizeof names / sizeof names[0]; i++)
        if (strncmp(vendor, names[i], strlen(names[i])) == 0)
            return 1;
    return 0;
#endif
}

static int read_number(const char *path, const char *format, int missing)
{
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return missing;
    char line[256];
    int value = missing;
    while (fgets(line, sizeof line, file) != NULL)
        if (sscanf(line, format, &value) == 1)
            break;
    fclose(file);
    return value;
}

struct sco_perf_facts sco_perf_probe(void)
{
    struct perf_event_attr attr = {
        .type = PERF_TYPE_HARDWARE,
        .size = sizeof attr,
        .config = PERF_COUNT_HW_CPU_CYCLES,
        .disabled = 1,
        .exclude_kernel = 1,
        .exclude_hv = 1,
    };
    struct sco_perf_facts facts = {0};
    const long fd = syscall(SYS_perf_event_open, &attr, 0, -1, -1, 0);
    if (fd >= 0)
        close((int)fd);
    else
        facts.error = errno;
    facts.paranoid = read_number("/proc/sys/kernel/perf_event_paranoid", "%d", SCO_PERF_UNKNOWN);
    facts.seccomp = read_number("/proc/self/status", "Seccomp: %d", 0) == 2;
    facts.hypervisor = is_virtual();
    return facts;
}

char *sco_perf_diagnose(const struct sco_perf_facts *facts, char *buffer, size_t bytes)
{
    const int denied = facts->error == EACCES || facts->error == EPERM;
    if (bytes > 0)
        buffer[0] = '\0';
    if (facts->error == 0)
        return buffer;
    /* Paranoid 2 still allows user-mode counting of one's own threads; Debian and Ubuntu know 3 and 4, which do not. */
    if (denied && facts->paranoid > 2)
        snprintf(buffer, bytes,
                 "kernel.perf_event_paranoid = %d forbids counting without privilege. "
                 "Fix: sudo sysctl kernel.perf_event_paranoid=2, or give the program CAP_PERFMON",
                 facts->paranoid);
    else if (facts->seccomp && (denied || facts->error == ENOSYS))
        snprintf(buffer, bytes,
                 "a seccomp filter (a container's) forbids perf_event_open. "
                 "Fix: docker run --cap-add PERFMON --security-opt seccomp=unconfined");
    else if (denied)
        snprintf(buffer, bytes,
                 "the kernel denies perf_event_open (%s). Fix: run with CAP_PERFMON, or ask who set the policy",
                 strerror(facts->error));
    else if (facts->error == ENOSYS)
        snprintf(buffer, bytes,
                 "there is no perf_event_open: the kernel was built without CONFIG_PERF_EVENTS, or this is user-mode "
                 "emulation. Fix: run on a kernel that has it");
    else if (facts->hypervisor && (facts->error == ENOENT || facts->error == EOPNOTSUPP || facts->error == ENODEV))
        snprintf(buffer, bytes,
                 "this virtual machine has no performance monitoring unit. Fix: have the hypervisor expose one "
                 "(QEMU and KVM: -cpu host,pmu=on), or run on bare metal");
    else if (facts->error == ENOENT || facts->error == EOPNOTSUPP || facts->error == ENODEV)
        snprintf(buffer, bytes,
                 "the kernel drives no performance monitoring unit on this CPU. Fix: a newer kernel, or see "
                 "dmesg | grep -i 'PMU driver'");
    else
        snprintf(buffer, bytes,
                 "perf_event_open failed: %s. Fix: close other users of counters, or see man 2 "
                 "perf_event_open",
                 strerror(facts->error));
    return buffer;
}

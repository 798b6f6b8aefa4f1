/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "arch/fail.h"
#include "build_commit.h"
#include "stepcost/clock.h"
#include "stepcost/memory.h"
#include "stepcost/microbench.h"
#include "stepcost/topology.h"

#if defined(__clang__)
#define COMPILER "clang " __clang_version__
#else
#define COMPILER "gcc " __VERSION__
#endif

const char *sco_build_version(void)
{
    return SCO_VERSION;
}

const char *sco_build_commit(void)
{
    return SCO_BUILD_COMMIT;
}

const char *sco_build_compiler(void)
{
    return COMPILER;
}

const char *sco_build_flags(void)
{
    return SCO_BUILD_FLAGS;
}

/* First line of a file of the system, without its end; "unknown" where there is none. */
static void read_line(const char *path, char *line, size_t bytes)
{
    snprintf(line, bytes, "unknown");
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return;
    if (fgets(line, (int)bytes, file) != NULL)
        line[strcspn(line, "\n")] = '\0';
    fclose(file);
}

/* The kernel lists the choices and brackets the one in force: "always [madvise] never". */
static void read_huge_pages(char *choice, size_t bytes)
{
    char line[128];
    read_line("/sys/kernel/mm/transparent_hugepage/enabled", line, sizeof line);
    const char *open = strchr(line, '['), *close = open != NULL ? strchr(open, ']') : NULL;
    if (close != NULL)
        snprintf(choice, bytes, "%.*s", (int)(close - open - 1), open + 1);
    else
        snprintf(choice, bytes, "%.*s", (int)bytes - 1, line);
}

enum sco_status sco_environment_create(struct sco_environment **environment, struct sco_ctx *ctx)
{
    const struct sco_topology *topology = sco_ctx_topology(ctx);
    const size_t threads = sco_team_size(sco_ctx_team(ctx));
    struct sco_environment *e = calloc(1, sizeof *e);
    if (e == NULL || (e->cores = malloc(threads * sizeof *e->cores)) == NULL) {
        free(e);
        return sco_fail(SCO_NOMEM, "environment: no memory to describe %zu threads", threads);
    }
    e->version = sco_build_version();
    e->commit = sco_build_commit();
    e->compiler = sco_build_compiler();
    e->flags = sco_build_flags();
    snprintf(e->cpu, sizeof e->cpu, "%s", sco_cpu_name());
    sco_isa_format(sco_ctx_isa(ctx), e->isa, sizeof e->isa);

    struct utsname system;
    if (uname(&system) == 0)
        snprintf(e->system, sizeof e->system, "%.60s %.60s %.32s", system.sysname, system.release, system.machine);
    const time_t now = time(NULL);
    struct tm utc;
    strftime(e->date, sizeof e->date, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &utc));

    e->threads = threads;
    e->pus = sco_topology_counts(topology).pus;
    for (size_t rank = 0; rank < threads; rank++)
        e->cores[rank] = sco_topology_pu(topology, rank);
    char path[96];
    snprintf(path, sizeof path, "/sys/devices/system/cpu/cpu%u/cpufreq/scaling_governor", e->cores[0]);
    read_line(path, e->governor, sizeof e->governor);
    read_huge_pages(e->huge_pages, sizeof e->huge_pages);

    const long pages = sysconf(_SC_PHYS_PAGES), page_bytes = sysconf(_SC_PAGESIZE);
    if (pages > 0 && page_bytes > 0)
        e->memory_bytes = (size_t)pages * (size_t)page_bytes;
    e->memory_available_bytes = sco_memory_available();
    if (getloadavg(&e->load_average, 1) != 1)
        e->load_average = 0.0;

    const struct sco_clock_quality clock = sco_clock_measure();
    e->cycles_per_ns = clock.cycles_per_ns;
    e->clock_overhead_ns = clock.overhead_ns;
    e->clock_resolution_ns = clock.resolution_ns;
    *environment = e;
    return SCO_OK;
}

void sco_environment_destroy(struct sco_environment *environment)
{
    if (environment == NULL)
        return;
    free(environment->cores);
    free(environment);
}

/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "arch/counter_backend.h"
#include "arch/fail.h"

/* Nothing is ever added, so any address will do. */
struct sco_backend {
    char unused;
};
static struct sco_backend none;

const char *sco_backend_name(void)
{
    return "built without PAPI";
}

struct sco_backend *sco_backend_open(void)
{
    return &none;
}

void sco_backend_close(struct sco_backend *backend)
{
    (void)backend;
}

int sco_backend_add(struct sco_backend *backend, const char *name, enum sco_counter_source *source, char *reason,
                    size_t bytes)
{
    (void)backend, (void)name, (void)source;
    snprintf(reason, bytes, "this build has no PAPI. Fix: install libpapi-dev and configure with -DSTEPCOST_PAPI=ON");
    return 0;
}

enum sco_status sco_backend_start(struct sco_backend *backend)
{
    (void)backend;
    return sco_fail(SCO_UNSUPPORTED, "counters: this build has no PAPI");
}

enum sco_status sco_backend_read(struct sco_backend *backend, int64_t *values)
{
    (void)values;
    return sco_backend_start(backend);
}

enum sco_status sco_backend_stop(struct sco_backend *backend, int64_t *values)
{
    (void)values;
    return sco_backend_start(backend);
}

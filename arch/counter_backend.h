/* SPDX-License-Identifier: Apache-2.0
 * What counts events for arch/counters.c: counters_papi.c, or counters_none.c in a build without PAPI. */
#ifndef SCO_ARCH_COUNTER_BACKEND_H
#define SCO_ARCH_COUNTER_BACKEND_H

#include "stepcost/counters.h"

/* The event set of one thread. */
struct sco_backend;

const char *sco_backend_name(void);
struct sco_backend *sco_backend_open(void); /* NULL: no memory */
void sco_backend_close(struct sco_backend *backend);

/* Returns 1 and *source when the event can be added and started; 0 and why not, with the fix. */
int sco_backend_add(struct sco_backend *backend, const char *name, enum sco_counter_source *source, char *reason,
                    size_t bytes);

/* values: one per added event, in order of adding. Called only when there is at least one. */
enum sco_status sco_backend_start(struct sco_backend *backend);
enum sco_status sco_backend_read(struct sco_backend *backend, int64_t *values);
enum sco_status sco_backend_stop(struct sco_backend *backend, int64_t *values);

#endif

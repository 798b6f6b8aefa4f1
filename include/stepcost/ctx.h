/* SPDX-License-Identifier: Apache-2.0
 * A context: one machine view, one choice of kernels, one thread team. */
#ifndef STEPCOST_CTX_H
#define STEPCOST_CTX_H

#include "stepcost/cpu.h"
#include "stepcost/team.h"

SCO_BEGIN_DECLS

struct sco_ctx;

/* NULL or 0 means: the environment variable, and where that is unset, everything there is. */
struct sco_ctx_options {
    const char *isa;   /* STEPCOST_ISA: comma list of levels, "scalar" = none; it can only remove */
    const char *row;   /* STEPCOST_ROW: family:row, comma list; pins single families */
    size_t threads;    /* STEPCOST_THREADS: 1 .. allowed CPUs; unset, one per allowed core */
    int oversubscribe; /* STEPCOST_OVERSUBSCRIBE=1: threads may exceed the allowed CPUs (slow; for tests) */
    int unbound;       /* STEPCOST_UNBOUND=1: threads are not bound to CPUs */
};

/* Detects the machine, resolves every kernel family once and starts the team. The tables never change again.
 * options may be NULL.
 * Errors    SCO_INVALID or SCO_UNSUPPORTED: a word that is unknown or impossible here; the message lists what is possible. */
SCO_API enum sco_status sco_ctx_create(struct sco_ctx **ctx, const struct sco_ctx_options *options);
SCO_API void sco_ctx_destroy(struct sco_ctx *ctx);

SCO_API sco_isa sco_ctx_isa(const struct sco_ctx *ctx);
SCO_API struct sco_team *sco_ctx_team(struct sco_ctx *ctx);
SCO_API const struct sco_topology *sco_ctx_topology(const struct sco_ctx *ctx);

/* Families and the row behind each slot, for reports. Index past the end gives NULL. */
SCO_API const char *sco_ctx_family(const struct sco_ctx *ctx, size_t family);
SCO_API const char *sco_ctx_slot(const struct sco_ctx *ctx, size_t family, size_t slot);
SCO_API const char *sco_ctx_row(const struct sco_ctx *ctx, size_t family, size_t slot);

/* Name of the i-th row of a family among those that the levels in force allow, scalar first; NULL past the last. */
SCO_API const char *sco_ctx_family_row(const struct sco_ctx *ctx, size_t family, size_t i);

SCO_END_DECLS
#endif

/* SPDX-License-Identifier: Apache-2.0
 * Operators as benchmarks see them: a whole operation on whole tensors with the context's team, as a training runs it.
 * One sco_op_class per family of operators, listed in op_registry.c; `stepcost bench` and its peer protocol walk the list. */
#ifndef SCO_MICROBENCH_OP_H
#define SCO_MICROBENCH_OP_H

#include "stepcost/ctx.h"
#include "stepcost/microbench.h"

/* One prepared operator. Everything is allocated and filled, and the result has been compared with scalar code. */
struct sco_op_instance {
    void *data;
    enum sco_status (*step)(void *data); /* runs it once; allocates nothing */
    void (*destroy)(void *data);
    double flops, bytes; /* per step: of the best algorithm known, bytes that must move */
    double items;        /* per step: what ns is divided by */
    const char *item;    /* its name: "mac", "lookup", "edge", "element" */
    char note[96];       /* what ran: row and plan */

    /* What bounds the operator where neither the stream roofs nor the multiply-add peak do (random rows): runs the bare
     * access pattern once over limit_bytes bytes. NULL: no such limit. */
    enum sco_status (*limit)(void *data);
    double limit_bytes;
};

struct sco_op_class {
    const char *const *ops; /* "conv_fwd", ...; NULL-terminated */
    /* Name of the index-th case of op, NULL past the last. */
    const char *(*name)(const char *op, size_t index);
    /* Ways to run op, best first, NULL-terminated: "" where there is one; "own" leaves out other libraries' rows. */
    const char *const *(*variants)(const char *op);
    /* Errors    SCO_UNSUPPORTED: unknown op, name or variant, or a variant that this build or CPU lacks; SCO_NOMEM;
     *           SCO_INVALID: the result differs from scalar code (nothing wrong is ever timed). */
    enum sco_status (*prepare)(struct sco_op_instance *instance, struct sco_ctx *ctx,
                               const struct sco_op_request *request);
};

/* The class that has op, or NULL. */
const struct sco_op_class *sco_op_class_of(const char *op);

#endif

/* SPDX-License-Identifier: Apache-2.0
 * What check_kernels and the benchmark need to know of one slot of a family: its operands, how to call it, how exact it
 * is, what it costs. Linked by tests and microbench only. A family with slots and no case does not build its test. */
#ifndef SCO_KERNELS_CASE_H
#define SCO_KERNELS_CASE_H

#include "kernels/kernel.h"

enum { SCO_CASE_DIMS = 12, SCO_CASE_OPERANDS = 32 };

enum sco_role {
    SCO_IN,
    SCO_OUT,
    SCO_INOUT,
    SCO_SCRATCH /* workspace: undefined before, not compared after, guarded like any other operand */
};
enum sco_fill {
    SCO_FILL_SIGNED,  /* any float the fill in force makes */
    SCO_FILL_POSITIVE /* its magnitude: second moments, accumulators, counts */
};
enum sco_bound {
    SCO_EXACT, /* bits of the scalar row; any NaN equals any NaN */
    SCO_ULP,   /* |x - oracle| <= k ulp of max(|oracle|, scale) */
    SCO_GAMMA  /* |x - oracle| <= k 2^-24 scale, scale = the sum of the terms' magnitudes */
};

struct sco_operand {
    const char *name;
    size_t count;         /* elements */
    size_t element_bytes; /* 4 float, 8 double; integers by prepare() */
    enum sco_role role;
    enum sco_fill fill;
    enum sco_bound bound; /* of outputs */
    double k;
};

struct sco_case {
    const char *name; /* "adam.step", unique; a variant follows a slash: "adam.step/decay" */
    const struct sco_family *family;
    size_t slot;
    size_t dim_count;
    const char *dim_names[SCO_CASE_DIMS];

    /* Lists the operands for these dims; returns how many. */
    size_t (*operands)(const size_t dim[], struct sco_operand operand[SCO_CASE_OPERANDS]);
    /* Overwrites inputs that random numbers cannot make: indices, offsets, labels, counters. Depends on dims alone. Runs
     * after every fill; NULL: nothing to overwrite. */
    void (*prepare)(const size_t dim[], void *const buffer[]);
    /* Calls the slot in ops (the family's table) on buffers in operand order. */
    void (*run)(const void *ops, const size_t dim[], void *const buffer[]);
    /* For outputs that are not SCO_EXACT: value and scale of every element in double, from the inputs as they were
     * before the call. NULL when all are exact. */
    void (*oracle)(const size_t dim[], void *const before[], size_t operand, double *value, double *scale);

    double (*flops)(const size_t dim[]); /* fused multiply-add = 2, divide = root = 1 */
    double (*bytes)(const size_t dim[]); /* bytes asked for: reads plus writes */
    double (*items)(const size_t dim[]); /* what ns is divided by: elements, outputs, ... */
    /* Dims whose operands take about bytes together, for the benchmark's sweep from L1 to memory. */
    void (*size)(size_t bytes, size_t dim[]);
    /* Shapes to check beyond the lengths the checker makes up itself for one-dimensional cases; may be NULL. */
    const size_t (*shapes)[SCO_CASE_DIMS];
    size_t shape_count;
    /* Inputs stay finite and moderate (no Inf, NaN, huge or tiny values): for kernels that promise nothing about them,
     * such as transforms that mix elements. */
    int finite;
};

struct sco_case_list {
    const struct sco_case *cases;
    size_t count;
};

/* Every case of every family, in family order (kernels/cases.c). */
size_t sco_case_lists(const struct sco_case_list *const **lists);

#endif

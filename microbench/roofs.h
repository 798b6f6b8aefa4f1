/* SPDX-License-Identifier: Apache-2.0
 * The roof kernels on a team, as lanes of the rounds. */
#ifndef SCO_MICROBENCH_ROOFS_H
#define SCO_MICROBENCH_ROOFS_H

#include "kernels/roof/roof.h"
#include "microbench/rounds.h"

enum { SCO_ROOF_ARRAYS = 6 };

/* Six arrays of n elements, shared by the patterns. */
struct sco_roof_set {
    struct sco_team *team;
    struct sco_roof_ops ops;
    size_t n;
    float *memory, *array[SCO_ROOF_ARRAYS]; /* p, g, v, m0, m1, m2 */
};

size_t sco_roof_set_bytes(size_t n);
enum sco_status sco_roof_set_init(struct sco_roof_set *set, struct sco_ctx *ctx, size_t n);
void sco_roof_set_free(struct sco_roof_set *set);

struct sco_roof_run {
    struct sco_roof_set *set;
    enum sco_roof_pattern pattern;
    size_t n;       /* elements of each array, at most the set's */
    size_t repeats; /* passes over the arrays in one step */
    bool alone;     /* rank 0 does it all: forking and joining costs more than it saves */
};
/* Decides alone by trying both. */
void sco_roof_run_init(struct sco_roof_run *run, struct sco_roof_set *set, enum sco_roof_pattern pattern, size_t n);
enum sco_status sco_roof_step(void *argument); /* a struct sco_roof_run */

/* Multiply-adds in registers on every rank at once, GFLOP/s of the whole team: the best of a few bursts. row: index in
 * the roof family; 0, the scalar row, has none: its multiply-add may be a library call, which says nothing of the CPU. */
double sco_roof_peak(struct sco_ctx *ctx, size_t row);
/* The row of the roof family that isa selects for multiply-adds. */
size_t sco_roof_peak_row(sco_isa isa);

#endif

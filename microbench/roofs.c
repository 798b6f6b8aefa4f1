/* SPDX-License-Identifier: Apache-2.0 */
#include "microbench/roofs.h"

#include <math.h>

#include "arch/fail.h"
#include "stepcost/clock.h"
#include "stepcost/memory.h"

enum { ARRAY_P, ARRAY_G, ARRAY_V, ARRAY_M0, ARRAY_M1, ARRAY_M2 };

const char *sco_roof_name(enum sco_roof_pattern pattern)
{
    static const char *const names[SCO_ROOF_PATTERNS] = {"read", "rw32", "rw43", "rw65"};
    return names[pattern];
}

double sco_roof_bytes(enum sco_roof_pattern pattern)
{
    static const double bytes[SCO_ROOF_PATTERNS] = {4.0, 20.0, 28.0, 44.0};
    return bytes[pattern];
}

/* Arrays lie 1088 bytes further apart than whole pages: streams that run at equal offsets within a page share cache
 * sets, and a load that follows a store to the same offset waits for it on some CPUs (4 KiB aliasing). */
enum { PAGE_FLOATS = 1024, SKEW_FLOATS = 272 };

static size_t array_floats(size_t n)
{
    return (n + PAGE_FLOATS - 1) / PAGE_FLOATS * PAGE_FLOATS + SKEW_FLOATS;
}

size_t sco_roof_set_bytes(size_t n)
{
    return SCO_ROOF_ARRAYS * array_floats(n) * sizeof(float);
}

/* Whole cache lines, so that no rank shares one with its neighbour. */
static void line_block(size_t n, size_t rank, size_t size, size_t *begin, size_t *end)
{
    enum { LINE = SCO_ALIGN / sizeof(float) };
    sco_team_block((n + LINE - 1) / LINE, rank, size, begin, end);
    *begin = *begin * LINE < n ? *begin * LINE : n;
    *end = *end * LINE < n ? *end * LINE : n;
}

static void first_touch(size_t rank, size_t size, void *argument)
{
    const struct sco_roof_set *set = argument;
    size_t begin, end;
    line_block(set->n, rank, size, &begin, &end);
    for (size_t a = 0; a < SCO_ROOF_ARRAYS; a++)
        for (size_t i = begin; i < end; i++)
            set->array[a][i] = 1e-3f * (float)(i % 1024 + 1);
}

enum sco_status sco_roof_set_init(struct sco_roof_set *set, struct sco_ctx *ctx, size_t n)
{
    set->team = sco_ctx_team(ctx);
    set->n = n;
    sco_family_resolve(&sco_roof_family, sco_ctx_isa(ctx), &set->ops);
    set->memory = sco_alloc(sco_roof_set_bytes(n));
    if (set->memory == NULL)
        return sco_fail(SCO_NOMEM, "roofs: no memory for six arrays of %zu elements (%zu bytes)", n,
                        sco_roof_set_bytes(n));
    for (size_t a = 0; a < SCO_ROOF_ARRAYS; a++)
        set->array[a] = set->memory + a * array_floats(n);
    sco_team_run(set->team, first_touch, set);
    return SCO_OK;
}

void sco_roof_set_free(struct sco_roof_set *set)
{
    sco_free(set->memory);
    set->memory = NULL;
}

static void roof_block(size_t rank, size_t size, void *argument)
{
    const struct sco_roof_run *run = argument;
    const struct sco_roof_set *set = run->set;
    float *const *x = set->array;
    size_t begin, end;
    line_block(run->n, rank, size, &begin, &end);
    const size_t n = end - begin;
    float *const m[3] = {x[ARRAY_M0] + begin, x[ARRAY_M1] + begin, x[ARRAY_M2] + begin};
    float *const p = x[ARRAY_P] + begin, *const v = x[ARRAY_V] + begin;
    const float *const g = x[ARRAY_G] + begin;
    for (size_t t = 0; t < run->repeats; t++) {
        switch (run->pattern) {
        case SCO_ROOF_READ: {
            float sum;
            set->ops.read(n, g, &sum);
            break;
        }
        case SCO_ROOF_RW32: set->ops.rw32(n, p, m[0], g); break;
        case SCO_ROOF_RW43: set->ops.rw43(n, p, m[0], v, g); break;
        case SCO_ROOF_RW65: set->ops.rw65(n, p, m, v, g); break;
        case SCO_ROOF_PATTERNS: break;
        }
    }
}

enum sco_status sco_roof_step(void *argument)
{
    const struct sco_roof_run *run = argument;
    if (run->alone)
        roof_block(0, 1, argument);
    else
        sco_team_run(run->set->team, roof_block, argument);
    return SCO_OK;
}

static double best_ns(struct sco_roof_run *run)
{
    double best = INFINITY;
    for (int i = 0; i < 20; i++) {
        const uint64_t start = sco_clock_ns();
        sco_roof_step(run);
        best = fmin(best, (double)(sco_clock_ns() - start));
    }
    return best;
}

/* Above this many elements a fork and a join are nothing beside the work. */
enum { ALONE_ELEMENTS = 1 << 17 };

void sco_roof_run_init(struct sco_roof_run *run, struct sco_roof_set *set, enum sco_roof_pattern pattern, size_t n)
{
    *run = (struct sco_roof_run){set, pattern, n, 1, false};
    if (sco_team_size(set->team) == 1 || n > ALONE_ELEMENTS)
        return;
    const double together = best_ns(run);
    run->alone = true;
    run->alone = best_ns(run) < together;
}

struct peak {
    sco_roof_fma_fn *fma;
    size_t iterations;
};

static void peak_block(size_t rank, size_t size, void *argument)
{
    const struct peak *peak = argument;
    float x[SCO_ROOF_CHAINS];
    (void)rank;
    (void)size;
    for (size_t i = 0; i < SCO_ROOF_CHAINS; i++)
        x[i] = 0.1f;
    peak->fma(peak->iterations, x);
}

double sco_roof_peak(struct sco_ctx *ctx, size_t row)
{
    struct sco_team *team = sco_ctx_team(ctx);
    struct sco_roof_ops ops;
    if (row == 0)
        return 0.0;
    sco_family_pin(&sco_roof_family, row, sco_ctx_isa(ctx), &ops);
    struct peak peak = {ops.fma, 64};
    const double flops = 2.0 * SCO_ROOF_CHAINS * (double)sco_team_size(team);
    double best = 0.0;
    /* Grown until a burst takes 2 ms, which hides the fork and the join; then the best of ten is the peak. */
    for (int bursts = 0; bursts < 10;) {
        const uint64_t start = sco_clock_ns();
        sco_team_run(team, peak_block, &peak);
        const double ns = fmax((double)(sco_clock_ns() - start), 1.0);
        if (ns < 2e6) {
            peak.iterations *= 2;
            continue;
        }
        best = fmax(best, flops * (double)peak.iterations / ns);
        bursts++;
    }
    return best;
}

size_t sco_roof_peak_row(sco_isa isa)
{
    return sco_family_source(&sco_roof_family, isa, offsetof(struct sco_roof_ops, fma) / sizeof(sco_roof_fma_fn *));
}

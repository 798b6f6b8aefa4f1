/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "arch/fail.h"
#include "stepcost/memory.h"
#include "stepcost/microbench.h"

enum { STEPS = 3, P_SEED = 1, G_SEED = 2 };

/* Ranks 0 to 4, sizes one, lengths around vector widths, ties of the two largest axes, and one tensor with more elements
 * than a thread's share is likely to hold in one piece. */
static const struct sco_tensor shapes[] = {
    {"scalar", 0, {0}},      {"one", 1, {1}},        {"seven", 1, {7}},
    {"bias", 1, {257}},      {"row", 2, {1, 50}},    {"square", 2, {33, 33}},
    {"wide", 2, {37, 1031}}, {"tall", 2, {515, 19}}, {"convolution", 4, {3, 3, 5, 40}},
};
enum { TENSORS = sizeof shapes / sizeof *shapes };
static const struct sco_tensor_list list = {TENSORS, shapes};

struct trial {
    size_t n;
    float *memory; /* start, end and g, n elements each */
    float *start, *end, *g;
    size_t offset[TENSORS], count[TENSORS];
};

static enum sco_status trial_init(struct trial *trial)
{
    *trial = (struct trial){0};
    for (size_t i = 0; i < TENSORS; i++) {
        const enum sco_status status = sco_tensor_elements(&shapes[i], &trial->count[i]);
        if (status != SCO_OK)
            return status;
        trial->offset[i] = trial->n;
        trial->n += trial->count[i];
    }
    trial->memory = sco_alloc(3 * trial->n * sizeof(float));
    if (trial->memory == NULL)
        return sco_fail(SCO_NOMEM, "verification: no memory for %zu parameters", trial->n);
    trial->start = trial->memory;
    trial->end = trial->start + trial->n;
    trial->g = trial->end + trial->n;
    return SCO_OK;
}

static enum sco_status trial_run(struct trial *trial, struct sco_ctx *ctx, const struct sco_optim_config *config)
{
    float *p[TENSORS];
    const float *g[TENSORS], *p_const[TENSORS];
    struct sco_optim *optim;
    enum sco_status status = sco_optim_create(&optim, ctx, config, &list);
    if (status != SCO_OK)
        return status;
    sco_draw(sco_ctx_team(ctx), trial->start, trial->n, P_SEED, 2e-2f);
    memcpy(trial->end, trial->start, trial->n * sizeof(float));
    for (size_t i = 0; i < TENSORS; i++) {
        p_const[i] = p[i] = trial->end + trial->offset[i];
        g[i] = trial->g + trial->offset[i];
    }
    status = sco_optim_init(optim, p_const);
    for (size_t step = 0; step < STEPS && status == SCO_OK; step++) {
        sco_draw(sco_ctx_team(ctx), trial->g, trial->n, G_SEED + step, 1e-3f);
        status = sco_optim_step(optim, 1.0f - 0.1f * (float)step, p, g);
    }
    sco_optim_destroy(optim);
    return status;
}

/* Element-wise kinds have the same bits in every row; sums (Adafactor, LAMB, VeLO) may round differently, and VeLO's LSTM
 * passes a rounding on: 2e-3 of the update is the bound of its recorded traces. */
static double tolerance(enum sco_optim_kind kind)
{
    return kind == SCO_OPTIM_VELO ? 2e-3 : 1e-4;
}

static enum sco_status compare(const struct trial *fast, const struct trial *scalar, enum sco_optim_kind kind)
{
    for (size_t t = 0; t < TENSORS; t++) {
        const float *x = fast->end + fast->offset[t], *y = scalar->end + scalar->offset[t];
        const float *from = scalar->start + scalar->offset[t];
        double squares = 0.0;
        for (size_t i = 0; i < scalar->count[t]; i++)
            squares += ((double)y[i] - (double)from[i]) * ((double)y[i] - (double)from[i]);
        const double rms = sqrt(squares / (double)scalar->count[t]);
        for (size_t i = 0; i < scalar->count[t]; i++) {
            /* The update is the difference of two rounded numbers: one unit in the last place of either. */
            const double ulp = 0x1p-23 * fmax(fabs((double)y[i]), fabs((double)from[i]));
            const double bound = tolerance(kind) * rms + 2.0 * ulp, error = fabs((double)x[i] - (double)y[i]);
            if (!(error <= bound))
                return sco_fail(SCO_INVALID,
                                "%s: tensor \"%s\" element %zu is %.9g after %d steps, %.9g with the scalar rows "
                                "(bound %.3g): a wrong step is not timed",
                                sco_optim_name(kind), shapes[t].name, i, (double)x[i], STEPS, (double)y[i], bound);
        }
    }
    return SCO_OK;
}

enum sco_status sco_cost_verify(struct sco_ctx *ctx, const struct sco_optim_config *config)
{
    struct trial fast, scalar = {0};
    struct sco_ctx *scalar_ctx = NULL;
    enum sco_status status = trial_init(&fast);
    if (status == SCO_OK)
        status = trial_init(&scalar);
    if (status == SCO_OK)
        status = sco_ctx_create(&scalar_ctx, &(struct sco_ctx_options){.isa = "scalar", .row = "", .threads = 1});
    if (status == SCO_OK)
        status = trial_run(&fast, ctx, config);
    if (status == SCO_OK)
        status = trial_run(&scalar, scalar_ctx, config);
    if (status == SCO_OK)
        status = compare(&fast, &scalar, config->kind);
    sco_ctx_destroy(scalar_ctx);
    sco_free(scalar.memory);
    sco_free(fast.memory);
    return status;
}

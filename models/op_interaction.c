/* SPDX-License-Identifier: Apache-2.0 */
#include <stdint.h>
#include <stdlib.h>

#include "arch/fail.h"
#include "kernels/interact/dot_interaction.h"
#include "models/parallel.h"
#include "optim/ctx.h"
#include "stepcost/interaction.h"
#include "stepcost/memory.h"

struct sco_interaction {
    struct sco_ctx *ctx;
    const struct sco_dot_interaction_ops *ops;
    size_t F, dim;
    float *scratch; /* F x F for each rank */
};

struct job {
    const struct sco_interaction *interaction;
    const float *x, *gy;
    float *y, *dx;
};

enum sco_status sco_interaction_create(struct sco_interaction **interaction, struct sco_ctx *ctx, size_t F, size_t dim)
{
    if (F == 0)
        return sco_fail(SCO_SHAPE, "interaction: samples of no features; at least 1 is needed");
    if (F > UINT32_MAX / 4 || dim > SIZE_MAX / 16 / F)
        return sco_fail(SCO_SHAPE, "interaction: %zu features of %zu floats do not fit an address space", F, dim);
    struct sco_interaction *made = malloc(sizeof *made);
    float *scratch = sco_alloc(sco_team_size(sco_ctx_team(ctx)) * F * F * sizeof *scratch);
    if (made == NULL || scratch == NULL) {
        free(made);
        sco_free(scratch);
        return sco_fail(SCO_NOMEM, "interaction: no memory for %zu x %zu floats a thread", F, F);
    }
    *made = (struct sco_interaction){ctx, sco_ctx_ops(ctx, &sco_dot_interaction_family), F, dim, scratch};
    *interaction = made;
    return SCO_OK;
}

void sco_interaction_destroy(struct sco_interaction *interaction)
{
    if (interaction == NULL)
        return;
    sco_free(interaction->scratch);
    free(interaction);
}

size_t sco_interaction_columns(const struct sco_interaction *interaction)
{
    return interaction->dim + sco_interaction_pairs(interaction->F);
}

static void forward_samples(size_t phase, size_t first, size_t last, size_t rank, void *argument)
{
    const struct job *job = argument;
    const struct sco_interaction *in = job->interaction;
    (void)phase, (void)rank;
    in->ops->forward(last - first, in->F, in->dim, job->x + first * in->F * in->dim,
                     job->y + first * sco_interaction_columns(in));
}

static void backward_samples(size_t phase, size_t first, size_t last, size_t rank, void *argument)
{
    const struct job *job = argument;
    const struct sco_interaction *in = job->interaction;
    (void)phase;
    in->ops->backward(last - first, in->F, in->dim, job->x + first * in->F * in->dim,
                      job->gy + first * sco_interaction_columns(in), in->scratch + rank * in->F * in->F,
                      job->dx + first * in->F * in->dim);
}

enum sco_status sco_interaction_forward(struct sco_interaction *interaction, size_t samples, const float *x, float *y)
{
    struct job job = {.interaction = interaction, .x = x, .y = y};
    sco_parallel(sco_ctx_team(interaction->ctx), 1, &samples, forward_samples, &job);
    return SCO_OK;
}

enum sco_status sco_interaction_backward(struct sco_interaction *interaction, size_t samples, const float *x,
                                         const float *gy, float *dx)
{
    struct job job = {.interaction = interaction, .x = x, .gy = gy, .dx = dx};
    sco_parallel(sco_ctx_team(interaction->ctx), 1, &samples, backward_samples, &job);
    return SCO_OK;
}

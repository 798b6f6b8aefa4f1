/* SPDX-License-Identifier: Apache-2.0
 * Heavy ball and Nesterov over a list of tensors. */
#include <stdlib.h>

#include "arch/fail.h"
#include "kernels/momentum/momentum.h"
#include "optim/ctx.h"
#include "optim/optim.h"

struct momentum {
    sco_momentum_fn *kernel;
    struct sco_momentum_coef coef;
};

static void defaults(struct sco_optim_config *config)
{
    config->schedule.lr = 0.05;
}

/* Plane t is the momentum of tensor t. */
static void layout(struct sco_layout *layout, const struct sco_ctx *ctx, const struct sco_optim_config *config,
                   const struct sco_tensor_list *list)
{
    (void)ctx, (void)config;
    for (size_t t = 0; t < list->count; t++)
        sco_layout_plane(layout, "trace", t, sco_elements(&list->tensors[t]), sizeof(float));
}

static enum sco_status create(struct sco_optim *optim)
{
    const struct sco_momentum_ops *ops = sco_ctx_ops(optim->ctx, &sco_momentum_family);
    struct momentum *momentum = optim->data = calloc(1, sizeof *momentum);
    if (momentum == NULL)
        return sco_fail(SCO_NOMEM, "no memory for an optimizer");
    momentum->kernel = optim->config.kind == SCO_OPTIM_NESTEROV ? ops->nesterov : ops->heavy_ball;
    return SCO_OK;
}

static enum sco_status prepare(struct sco_optim *optim, float loss)
{
    (void)loss;
    struct momentum *momentum = optim->data;
    momentum->coef = (struct sco_momentum_coef){
        .gscale = optim->gscale,
        .b1 = (float)optim->config.b1,
        .lr = (float)sco_schedule_lr(&optim->config.schedule, optim->steps),
        .weight_decay = (float)optim->config.weight_decay,
    };
    return SCO_OK;
}

static void slice(const struct sco_optim *optim, size_t tensor, size_t begin, size_t end, float *p, const float *g)
{
    const struct momentum *momentum = optim->data;
    float *m = sco_optim_plane(optim, tensor);
    momentum->kernel(end - begin, p, m + begin, g, &momentum->coef);
}

/* kernels/momentum/momentum.h: p, m, g in, p, m out. */
static void cost(const struct sco_optim_config *config, const struct sco_tensor_list *list, double *bytes,
                 double *flops)
{
    const double n = sco_list_elements(list);
    *bytes = 20 * n;
    *flops = (config->kind == SCO_OPTIM_NESTEROV ? 9 : 7) * n;
}

#define MOMENTUM_CLASS                                                                                                 \
    {                                                                                                                  \
        .defaults = defaults, .layout = layout, .create = create, .prepare = prepare, .slice = slice, .cost = cost     \
    }
const struct sco_optim_class sco_heavy_ball_class = MOMENTUM_CLASS, sco_nesterov_class = MOMENTUM_CLASS;

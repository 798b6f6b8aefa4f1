/* SPDX-License-Identifier: Apache-2.0
 * Lion over a list of tensors. */
#include <stdlib.h>

#include "arch/fail.h"
#include "kernels/lion/lion.h"
#include "optim/ctx.h"
#include "optim/optim.h"

struct lion {
    sco_lion_fn *kernel;
    struct sco_lion_coef coef;
};

static void defaults(struct sco_optim_config *config)
{
    config->schedule.lr = 1e-4;
    config->b2 = 0.99;
    config->weight_decay = 1e-3;
}

/* Plane t is the momentum of tensor t. */
static void layout(struct sco_layout *layout, const struct sco_ctx *ctx, const struct sco_optim_config *config,
                   const struct sco_tensor_list *list)
{
    (void)ctx, (void)config;
    for (size_t t = 0; t < list->count; t++)
        sco_layout_plane(layout, "mu", t, sco_elements(&list->tensors[t]), sizeof(float));
}

static enum sco_status create(struct sco_optim *optim)
{
    const struct sco_lion_ops *ops = sco_ctx_ops(optim->ctx, &sco_lion_family);
    struct lion *lion = optim->data = calloc(1, sizeof *lion);
    if (lion == NULL)
        return sco_fail(SCO_NOMEM, "no memory for an optimizer");
    lion->kernel = ops->lion;
    return SCO_OK;
}

static enum sco_status prepare(struct sco_optim *optim, float loss)
{
    (void)loss;
    const struct sco_optim_config *config = &optim->config;
    struct lion *lion = optim->data;
    lion->coef = (struct sco_lion_coef){
        .gscale = optim->gscale,
        .b1 = (float)config->b1,
        .one_minus_b1 = (float)(1 - config->b1),
        .b2 = (float)config->b2,
        .one_minus_b2 = (float)(1 - config->b2),
        .lr = (float)sco_schedule_lr(&config->schedule, optim->steps),
        .weight_decay = (float)config->weight_decay,
    };
    return SCO_OK;
}

static void slice(const struct sco_optim *optim, size_t tensor, size_t begin, size_t end, float *p, const float *g)
{
    const struct lion *lion = optim->data;
    float *m = sco_optim_plane(optim, tensor);
    lion->kernel(end - begin, p, m + begin, g, &lion->coef);
}

/* kernels/lion/lion.h: p, m, g in, p, m out. */
static void cost(const struct sco_optim_config *config, const struct sco_tensor_list *list, double *bytes,
                 double *flops)
{
    (void)config;
    const double n = sco_list_elements(list);
    *bytes = 20 * n;
    *flops = 12 * n;
}

const struct sco_optim_class sco_lion_class = {
    .defaults = defaults,
    .layout = layout,
    .create = create,
    .prepare = prepare,
    .slice = slice,
    .cost = cost,
};

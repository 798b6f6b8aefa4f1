/* SPDX-License-Identifier: Apache-2.0
 * Adam, AdamW, NAdam and NAdamW over a list of tensors. */
#include <math.h>
#include <stdlib.h>

#include "arch/fail.h"
#include "kernels/adam/adam.h"
#include "optim/ctx.h"
#include "optim/optim.h"

struct adam {
    sco_adam_fn *kernel;
    struct sco_adam_coef coef;
};

static bool has_lookahead(const struct sco_optim_config *config)
{
    return config->kind == SCO_OPTIM_NADAM || config->kind == SCO_OPTIM_NADAMW;
}

static bool has_decay(const struct sco_optim_config *config)
{
    return config->kind == SCO_OPTIM_ADAMW || config->kind == SCO_OPTIM_NADAMW;
}

static void defaults(struct sco_optim_config *config)
{
    config->schedule.lr = config->kind == SCO_OPTIM_ADAM ? 0.005 : 0.01;
    config->weight_decay = has_decay(config) ? 0.004 : 0;
}

static enum sco_status check(const struct sco_optim_config *config)
{
    if (config->weight_decay > 0 && !has_decay(config))
        return sco_fail(SCO_INVALID, "%s has no weight decay; use %sw", sco_optim_name(config->kind),
                        sco_optim_name(config->kind));
    return SCO_OK;
}

/* Planes t and T + t are the first and second moment of tensor t of T. */
static void layout(struct sco_layout *layout, const struct sco_ctx *ctx, const struct sco_optim_config *config,
                   const struct sco_tensor_list *list)
{
    (void)ctx, (void)config;
    static const char *const moments[] = {"mu", "nu"};
    for (size_t i = 0; i < 2; i++)
        for (size_t t = 0; t < list->count; t++)
            sco_layout_plane(layout, moments[i], t, sco_elements(&list->tensors[t]), sizeof(float));
}

static enum sco_status create(struct sco_optim *optim)
{
    const struct sco_adam_ops *ops = sco_ctx_ops(optim->ctx, &sco_adam_family);
    struct adam *adam = optim->data = calloc(1, sizeof *adam);
    if (adam == NULL)
        return sco_fail(SCO_NOMEM, "no memory for an optimizer");
    if (has_lookahead(&optim->config))
        adam->kernel = has_decay(&optim->config) ? ops->nadamw : ops->nadam;
    else
        adam->kernel = has_decay(&optim->config) ? ops->adamw : ops->adam;
    return SCO_OK;
}

static enum sco_status prepare(struct sco_optim *optim, float loss)
{
    (void)loss;
    const struct sco_optim_config *config = &optim->config;
    struct adam *adam = optim->data;
    const double b1 = config->b1, b2 = config->b2, k = (double)(optim->steps + 1);

    /* In double: the float power of optax puts 1 - b2^k off by 1.3e-5 of itself at k = 1. */
    const double correction1 = 1 - pow(b1, k), correction2 = 1 - pow(b2, k);
    double cm = 1 / correction1, cg = 0;
    if (has_lookahead(config)) {
        cm = b1 / (config->nadam_optax ? 1 - pow(b1, k + 1) : correction1);
        cg = (1 - b1) / correction1;
    }
    adam->coef = (struct sco_adam_coef){
        .gscale = optim->gscale,
        .b1 = (float)b1,
        .one_minus_b1 = (float)(1 - b1),
        .b2 = (float)b2,
        .one_minus_b2 = (float)(1 - b2),
        .cm = (float)cm,
        .cg = (float)cg,
        .c2 = (float)(1 / correction2),
        .eps = (float)config->eps,
        .lr = (float)sco_schedule_lr(&config->schedule, optim->steps),
        .weight_decay = (float)config->weight_decay,
    };
    return SCO_OK;
}

static void slice(const struct sco_optim *optim, size_t tensor, size_t begin, size_t end, float *p, const float *g)
{
    const struct adam *adam = optim->data;
    float *m = sco_optim_plane(optim, tensor), *v = sco_optim_plane(optim, optim->list.count + tensor);
    adam->kernel(end - begin, p, m + begin, v + begin, g, &adam->coef);
}

/* kernels/adam/adam.h: p, m, v, g in, p, m, v out. */
static void cost(const struct sco_optim_config *config, const struct sco_tensor_list *list, double *bytes,
                 double *flops)
{
    const double n = sco_list_elements(list);
    *bytes = 28 * n;
    *flops = (15 + 2 * has_lookahead(config) + 2 * has_decay(config)) * n;
}

#define ADAM_CLASS                                                                                                     \
    {                                                                                                                  \
        .defaults = defaults, .check = check, .layout = layout, .create = create, .prepare = prepare, .slice = slice,  \
        .cost = cost                                                                                                   \
    }
const struct sco_optim_class sco_adam_class = ADAM_CLASS, sco_adamw_class = ADAM_CLASS, sco_nadam_class = ADAM_CLASS,
                             sco_nadamw_class = ADAM_CLASS;

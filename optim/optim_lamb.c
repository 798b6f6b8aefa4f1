/* SPDX-License-Identifier: Apache-2.0
 * LAMB over a list of tensors. Its trust ratio needs both norms of a tensor before any parameter moves, hence two
 * passes. Tensors are taken in groups that stay in cache between the passes; one barrier a group, since the second pass
 * of a group and the first of the next touch different tensors. */
#include <math.h>
#include <stdlib.h>

#include "arch/fail.h"
#include "kernels/lamb/lamb.h"
#include "optim/ctx.h"
#include "optim/optim.h"

/* p, m, v and g of a group: 4 MiB, within the caches of two cores of any CPU with a last level worth the name. */
enum { GROUP_ELEMENTS = 1 << 18 };

struct lamb {
    struct sco_lamb_ops ops;
    struct sco_lamb_coef coef;
    double lr;
    size_t sums; /* workspace offset: sum p^2, sum u^2 of each chunk of the list */
};

static void defaults(struct sco_optim_config *config)
{
    config->schedule.lr = 1e-3;
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
    sco_layout_scratch(layout, 2 * sco_list_chunks(list), sizeof(double));
}

static enum sco_status create(struct sco_optim *optim)
{
    const struct sco_lamb_ops *ops = sco_ctx_ops(optim->ctx, &sco_lamb_family);
    struct lamb *lamb = optim->data = calloc(1, sizeof *lamb);
    if (lamb == NULL)
        return sco_fail(SCO_NOMEM, "no memory for an optimizer");
    lamb->ops = *ops;
    lamb->sums = optim->kind_scratch;
    return SCO_OK;
}

static enum sco_status prepare(struct sco_optim *optim, float loss)
{
    (void)loss;
    const struct sco_optim_config *config = &optim->config;
    struct lamb *lamb = optim->data;
    const double k = (double)(optim->steps + 1);
    lamb->lr = sco_schedule_lr(&config->schedule, optim->steps);
    lamb->coef = (struct sco_lamb_coef){
        .gscale = optim->gscale,
        .b1 = (float)config->b1,
        .one_minus_b1 = (float)(1 - config->b1),
        .b2 = (float)config->b2,
        .one_minus_b2 = (float)(1 - config->b2),
        .cm = (float)(1 / (1 - pow(config->b1, k))),
        .c2 = (float)(1 / (1 - pow(config->b2, k))),
        .eps = (float)config->eps,
        .weight_decay = (float)config->weight_decay,
    };
    return SCO_OK;
}

static void first_pass(const struct sco_work *work, const struct sco_share *share)
{
    const struct sco_optim *optim = work->optim;
    const struct lamb *lamb = optim->data;
    double *sums = sco_optim_scratch(optim, lamb->sums);
    for (size_t t = share->first; t < share->end; t++) {
        float *m = sco_optim_plane(optim, t), *v = sco_optim_plane(optim, optim->list.count + t);
        const float *p = work->p[t - work->first], *g = work->g[t - work->first];
        size_t begin = 0, end = 0;
        for (sco_share_range(optim, share, t, &begin, &end); begin < end; begin += SCO_CHUNK) {
            const size_t n = end - begin < SCO_CHUNK ? end - begin : SCO_CHUNK;
            lamb->ops.moments(n, p + begin, m + begin, v + begin, g + begin, &lamb->coef,
                              sums + 2 * (optim->first_chunk[t] + begin / SCO_CHUNK));
        }
    }
}

static void second_pass(const struct sco_work *work, const struct sco_share *share)
{
    const struct sco_optim *optim = work->optim;
    const struct lamb *lamb = optim->data;
    const double *sums = sco_optim_scratch(optim, lamb->sums);
    for (size_t t = share->first; t < share->end; t++) {
        size_t begin = 0, end = 0;
        sco_share_range(optim, share, t, &begin, &end);
        if (begin >= end)
            continue;
        double p_norm = 0, u_norm = 0;
        for (size_t c = optim->first_chunk[t]; c < optim->first_chunk[t + 1]; c++) {
            p_norm += sums[2 * c];
            u_norm += sums[2 * c + 1];
        }
        p_norm = sqrt(p_norm), u_norm = sqrt(u_norm);
        const double ratio = p_norm == 0 || u_norm == 0 ? 1 : p_norm / u_norm;
        float *m = sco_optim_plane(optim, t), *v = sco_optim_plane(optim, optim->list.count + t);
        lamb->ops.apply(end - begin, work->p[t - work->first] + begin, m + begin, v + begin, &lamb->coef,
                        (float)(lamb->lr * ratio));
    }
}

static void body(size_t rank, size_t size, void *argument)
{
    const struct sco_work *work = argument;
    struct sco_share share;
    for (size_t first = work->first; first < work->first + work->count;) {
        const size_t end = sco_work_group(work, first, GROUP_ELEMENTS);
        share = sco_group_share(work->optim, first, end, rank, size);
        first_pass(work, &share);
        sco_optim_barrier(work->optim, rank, size);
        second_pass(work, &share);
        first = end;
    }
}

static void apply(struct sco_optim *optim, size_t tensor, float *p, const float *g)
{
    struct sco_work work = {optim, tensor, 1, &p, &g};
    sco_optim_run(optim, optim->elements[tensor], body, &work);
}

static void step(struct sco_optim *optim, float *const *p, const float *const *g)
{
    struct sco_work work = {optim, 0, optim->list.count, p, g};
    sco_optim_run(optim, optim->total_elements, body, &work);
}

/* kernels/lamb/lamb.h: p, m, v, g in, m, v out; then p, m, v in, p out. */
static void cost(const struct sco_optim_config *config, const struct sco_tensor_list *list, double *bytes,
                 double *flops)
{
    (void)config;
    const double n = sco_list_elements(list);
    *bytes = 40 * n;
    *flops = 28 * n;
}

const struct sco_optim_class sco_lamb_class = {
    .group_elements = GROUP_ELEMENTS,
    .defaults = defaults,
    .layout = layout,
    .create = create,
    .prepare = prepare,
    .apply = apply,
    .step = step,
    .cost = cost,
};

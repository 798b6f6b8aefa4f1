/* SPDX-License-Identifier: Apache-2.0
 * VeLO as a kind of optimizer: configuration, placement of state, the reference's two wrappers (gradient accumulation
 * inside, coupled weight decay outside), and the order of a step. */
#include "optim/velo_optim.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arch/fail.h"
#include "optim/ctx.h"
#include "stepcost/clock.h"
#include "stepcost/topology.h"

/* The reference's wrapper accumulates gradients in longer runs: no task of the meta-training was longer. */
static const uint64_t max_num_steps = 150000;

/* Planes in the order in which they are declared; one of each per tensor, then those of the optimizer. */
enum plane {
    PLANE_M0,
    PLANE_M1,
    PLANE_M2,
    PLANE_V,
    PLANE_ROWS, /* three: R or C along the rows of the panels */
    PLANE_COLS = PLANE_ROWS + 3,
    PLANE_D = PLANE_COLS + 3,
    PLANE_GRADIENT_SUM = PLANE_D + 3,
    TENSOR_PLANES
};
static const char *const plane_names[TENSOR_PLANES] = {
    "m0", "m1", "m2", "v", "rows0", "rows1", "rows2", "cols0", "cols1", "cols2", "d0", "d1", "d2", "gradient_sum"};
enum optimizer_plane {
    PLANE_LSTM_H,
    PLANE_LSTM_C,
    PLANE_LOSS_MEANS,
    PLANE_LOSS_RUNNING_MIN,
    PLANE_LOSS_SUM,
    PLANE_MOMENTS,
    OPTIMIZER_PLANES
};
static const char *const optimizer_plane_names[OPTIMIZER_PLANES] = {"lstm_h",           "lstm_c",   "loss_means",
                                                                    "loss_running_min", "loss_sum", "moments"};

/* ---- Configuration ---- */

static void velo_defaults(struct sco_optim_config *config)
{
    config->weight_decay = 0;
    config->past_end = SCO_VELO_HOLD;
}

static enum sco_status velo_check(const struct sco_optim_config *config)
{
    if (config->theta == NULL)
        return sco_fail(SCO_INVALID,
                        "velo: no weights; read a checkpoint with sco_velo_theta_read, or generate some with "
                        "sco_velo_theta_generate to measure cost");
    if (config->num_steps == 0)
        return sco_fail(SCO_INVALID,
                        "velo: num_steps is 0; it must be the number of steps of the run, since the network "
                        "chooses the step from the fraction of the run that is over");
    if (config->num_steps > INT32_MAX)
        return sco_fail(SCO_INVALID, "velo: num_steps is %" PRIu64 "; it must be below 2^31", config->num_steps);
    if (config->accumulate != SCO_VELO_AUTO && config->accumulate > config->num_steps)
        return sco_fail(SCO_INVALID,
                        "velo: accumulating %" PRIu64 " gradients leaves no inner step of num_steps = %" PRIu64,
                        config->accumulate, config->num_steps);
    if ((unsigned)config->past_end > SCO_VELO_EXCEED)
        return sco_fail(SCO_INVALID, "velo: unknown policy %d past the end of the run", (int)config->past_end);
    return SCO_OK;
}

static uint64_t gradients_per_step(const struct sco_optim_config *config)
{
    if (config->accumulate == SCO_VELO_AUTO)
        return (config->num_steps + max_num_steps - 1) / max_num_steps;
    return config->accumulate == 0 ? 1 : config->accumulate;
}

static bool wants_own_gradient(const struct sco_optim_config *config)
{
    return config->weight_decay > 0 || config->grad_clip > 0 || gradients_per_step(config) > 1;
}

/* ---- Placement ---- */

/* Bytes that a group may read in all three sweeps together, g, p, m and v: three quarters of the last cache level that is
 * there, since R, C and their like, and other processes, want room too. */
static size_t group_bytes(const struct sco_ctx *ctx)
{
    const struct sco_topology *topology = sco_ctx_topology(ctx);
    const size_t size = sco_team_size(sco_ctx_team((struct sco_ctx *)ctx));
    size_t share = 0;
    for (unsigned level = SCO_CACHE_LEVELS; level > 0 && share == 0; level--)
        share = sco_topology_cache_share(topology, 0, size, level);
    return (share != 0 ? share : (size_t)1 << 20) * size / 4 * 3;
}

/* What creation needs to know before memory is there. */
struct measure {
    size_t network, parts, group; /* bytes */
    size_t groups, sum_blocks, blocks, items;
    size_t tile_floats;
    bool overflow;
};

static void measure_list(struct measure *measure, const struct sco_ctx *ctx, const struct sco_optim_config *config,
                         const struct sco_tensor_list *list, struct velo_group *groups)
{
    const size_t limit = group_bytes(ctx) / (6 * sizeof(float));
    struct velo_network network;
    struct velo_arena arena = {0}, part_arena = {0}, network_arena = {0};
    size_t elements = 0;
    *measure = (struct measure){.tile_floats = VELO_VECTOR_MAX};
    sco_velo_network_carve(&network, &network_arena, config->theta, list->count);
    measure->network = network_arena.used;
    measure->overflow = network_arena.overflow;
    for (size_t t = 0; t < list->count; t++) {
        struct velo_tensor tensor;
        sco_velo_tensor_make(&tensor, &list->tensors[t]);
        if (t == 0 || (elements != 0 && elements + tensor.shape.n > limit)) {
            if (groups != NULL)
                groups[measure->groups] = (struct velo_group){t, t};
            measure->groups++;
            arena = part_arena = (struct velo_arena){0};
            elements = 0;
        }
        if (groups != NULL)
            groups[measure->groups - 1].end = t + 1;
        elements += tensor.shape.n;
        sco_velo_tensor_carve(&tensor, &part_arena, &arena, wants_own_gradient(config));
        measure->overflow |= arena.overflow | part_arena.overflow;
        measure->group = arena.used > measure->group ? arena.used : measure->group;
        measure->parts = part_arena.used > measure->parts ? part_arena.used : measure->parts;
        measure->sum_blocks += tensor.sum_block_count;
        measure->blocks += tensor.block_count;
        measure->items += tensor.item_count;
        const size_t tile = tensor.cut.panels * tensor.cut.rows * tensor.cut.cols;
        if (tensor.shape.inner > 1 && tile > measure->tile_floats)
            measure->tile_floats = tile;
    }
}

/* The workspace in the order in which create carves it. */
static void carve(struct velo *velo, struct velo_arena *arena, const struct measure *measure,
                  const struct sco_optim_config *config, size_t count, size_t team, unsigned char **parts,
                  unsigned char **group)
{
    sco_velo_network_carve(&velo->network, arena, config->theta, count);
    velo->squares = sco_velo_take(arena, measure->blocks, sizeof(double));
    velo->tiles = sco_velo_take(arena, team * 2 * measure->tile_floats, sizeof(float));
    *parts = sco_velo_take(arena, measure->parts, 1);
    *group = sco_velo_take(arena, measure->group, 1);
}

static void velo_layout(struct sco_layout *layout, const struct sco_ctx *ctx, const struct sco_optim_config *config,
                        const struct sco_tensor_list *list)
{
    const bool accumulates = gradients_per_step(config) > 1;
    for (size_t plane = 0; plane < TENSOR_PLANES; plane++)
        for (size_t t = 0; t < list->count; t++) {
            struct velo_tensor tensor;
            sco_velo_tensor_make(&tensor, &list->tensors[t]);
            const struct velo_shape *shape = &tensor.shape;
            size_t count = shape->n;
            if (plane == PLANE_GRADIENT_SUM)
                count = accumulates ? shape->n : 0;
            else if (plane >= PLANE_D)
                count = shape->factored ? 0 : shape->n;
            else if (plane >= PLANE_ROWS)
                count = shape->factored ? shape->batch * (plane >= PLANE_COLS ? shape->cols : shape->rows) : 0;
            sco_layout_plane(layout, plane_names[plane], t, count, sizeof(float));
        }
    const size_t hidden = sco_velo_theta_hidden(config->theta);
    const struct {
        size_t count, bytes;
    } own[OPTIMIZER_PLANES] = {
        {list->count * hidden, sizeof(float)}, {list->count * hidden, sizeof(float)},
        {VELO_HORIZONS, sizeof(float)},        {VELO_HORIZONS, sizeof(float)},
        {accumulates, sizeof(float)},          {list->count * VELO_MOMENTS, sizeof(double)},
    };
    for (size_t plane = 0; plane < OPTIMIZER_PLANES; plane++)
        sco_layout_plane(layout, optimizer_plane_names[plane], SIZE_MAX, own[plane].count, own[plane].bytes);

    struct measure measure;
    struct velo velo;
    struct velo_arena arena = {0};
    unsigned char *parts, *group;
    measure_list(&measure, ctx, config, list, NULL);
    carve(&velo, &arena, &measure, config, list->count, sco_team_size(sco_ctx_team((struct sco_ctx *)ctx)), &parts,
          &group);
    layout->overflow |= arena.overflow || measure.overflow;
    sco_layout_scratch(layout, arena.used, 1);
}

static void *plane_of(const struct sco_optim *optim, enum plane plane, size_t t)
{
    return sco_optim_plane(optim, (size_t)plane * optim->list.count + t);
}

static void *own_plane(const struct sco_optim *optim, enum optimizer_plane plane)
{
    return sco_optim_plane(optim, TENSOR_PLANES * optim->list.count + plane);
}

static void place_state(struct velo *velo)
{
    const struct sco_optim *optim = velo->optim;
    for (size_t t = 0; t < velo->count; t++) {
        struct velo_tensor *tensor = &velo->tensors[t];
        tensor->v = plane_of(optim, PLANE_V, t);
        tensor->gradient_sum = velo->accumulate > 1 ? plane_of(optim, PLANE_GRADIENT_SUM, t) : NULL;
        for (size_t k = 0; k < 3; k++) {
            tensor->m[k] = plane_of(optim, (enum plane)(PLANE_M0 + k), t);
            tensor->a[VELO_ROWS][k] = plane_of(optim, (enum plane)(PLANE_ROWS + k), t);
            tensor->a[VELO_COLS][k] = plane_of(optim, (enum plane)(PLANE_COLS + k), t);
            tensor->d[k] = plane_of(optim, (enum plane)(PLANE_D + k), t);
        }
    }
    velo->lstm_h = own_plane(optim, PLANE_LSTM_H);
    velo->lstm_c = own_plane(optim, PLANE_LSTM_C);
    velo->loss_mean = own_plane(optim, PLANE_LOSS_MEANS);
    velo->loss_running_min = own_plane(optim, PLANE_LOSS_RUNNING_MIN);
    velo->loss_sum = own_plane(optim, PLANE_LOSS_SUM);
    velo->moments = own_plane(optim, PLANE_MOMENTS);
}

/* Work in front of each unit: its elements, and as many more as its calls cost. */
enum { CALL_WORK = 64 };

static void list_work(struct velo *velo, const struct measure *measure)
{
    for (size_t i = 0; i < measure->sum_blocks; i++) {
        const struct velo_block *block = &velo->sum_blocks[i];
        velo->sum_block_work[i + 1] = velo->sum_block_work[i] + block->panels * (block->rows * block->cols + CALL_WORK);
    }
    for (size_t i = 0; i < measure->blocks; i++) {
        const struct velo_block *block = &velo->blocks[i];
        velo->block_work[i + 1] = velo->block_work[i] + block->panels * (block->rows * block->cols + CALL_WORK);
    }
    for (size_t i = 0; i < measure->items; i++) {
        const struct velo_item *item = &velo->items[i];
        velo->item_work[i + 1] = velo->item_work[i] + item->panels * (item->n + CALL_WORK);
    }
}

static void list_units(struct velo *velo)
{
    size_t sum_block = 0, block = 0, item = 0;
    for (size_t t = 0; t < velo->count; t++) {
        struct velo_tensor *tensor = &velo->tensors[t];
        sco_velo_tensor_make(tensor, &velo->optim->list.tensors[t]);
        tensor->sum_block = sum_block;
        tensor->block = block;
        tensor->item = item;
        sco_velo_cut_list(&tensor->shape, &tensor->sum_cut, t, velo->sum_blocks + sum_block);
        sco_velo_cut_list(&tensor->shape, &tensor->cut, t, velo->blocks + block);
        for (enum velo_side side = 0; side < VELO_SIDES; side++) {
            sco_velo_vector_list(&tensor->shape, &tensor->vector_cut[side], t, side, velo->items + item);
            item += sco_velo_vector_items(&tensor->shape, &tensor->vector_cut[side]);
        }
        sum_block += tensor->sum_block_count;
        block += tensor->block_count;
    }
}

static void velo_destroy(struct sco_optim *optim)
{
    struct velo *velo = optim->data;
    if (velo == NULL)
        return;
    free(velo->tensors);
    free(velo->sum_blocks);
    free(velo->blocks);
    free(velo->items);
    free(velo->sum_block_work);
    free(velo->block_work);
    free(velo->item_work);
    free(velo->groups);
    free(velo->p);
    free(velo->g);
    free(velo->caller_g);
}

static enum sco_status velo_create(struct sco_optim *optim)
{
    struct velo *velo = calloc(1, sizeof *velo);
    const size_t count = optim->list.count, team = sco_team_size(sco_ctx_team(optim->ctx));
    struct measure measure;
    optim->data = velo;
    if (velo == NULL)
        return sco_fail(SCO_NOMEM, "velo: no memory for an optimizer");
    velo->optim = optim;
    velo->ops = sco_ctx_ops(optim->ctx, &sco_velo_family);
    velo->gemm = sco_ctx_ops(optim->ctx, &sco_gemm_family);
    velo->count = count;
    velo->accumulate = gradients_per_step(&optim->config);
    velo->num_steps = optim->config.num_steps / velo->accumulate;
    velo->own_gradient = wants_own_gradient(&optim->config);
    sco_velo_loss_decays(velo->loss_decay, optim->config.bugged_loss_features ? 10 : velo->num_steps);

    velo->groups = calloc(count + 1, sizeof *velo->groups);
    if (velo->groups == NULL)
        return sco_fail(SCO_NOMEM, "velo: no memory for a list of %zu tensors", count);
    measure_list(&measure, optim->ctx, &optim->config, &optim->list, velo->groups);
    velo->group_count = measure.groups;
    velo->tile_floats = measure.tile_floats;
    velo->tensors = calloc(count + 1, sizeof *velo->tensors);
    velo->sum_blocks = calloc(measure.sum_blocks + 1, sizeof *velo->sum_blocks);
    velo->blocks = calloc(measure.blocks + 1, sizeof *velo->blocks);
    velo->items = calloc(measure.items + 1, sizeof *velo->items);
    velo->sum_block_work = calloc(measure.sum_blocks + 1, sizeof *velo->sum_block_work);
    velo->block_work = calloc(measure.blocks + 1, sizeof *velo->block_work);
    velo->item_work = calloc(measure.items + 1, sizeof *velo->item_work);
    velo->p = calloc(count + 1, sizeof *velo->p);
    velo->g = calloc(count + 1, sizeof *velo->g);
    velo->caller_g = calloc(count + 1, sizeof *velo->caller_g);
    if (velo->tensors == NULL || velo->sum_blocks == NULL || velo->blocks == NULL || velo->items == NULL ||
        velo->sum_block_work == NULL || velo->block_work == NULL || velo->item_work == NULL || velo->p == NULL ||
        velo->g == NULL || velo->caller_g == NULL)
        return sco_fail(SCO_NOMEM, "velo: no memory for a list of %zu tensors", count);

    struct velo_arena arena = {0};
    unsigned char *parts, *group;
    carve(velo, &arena, &measure, &optim->config, count, team, &parts, &group);
    arena = (struct velo_arena){.base = optim->workspace + (optim->layout.workspace_bytes - arena.used)};
    carve(velo, &arena, &measure, &optim->config, count, team, &parts, &group);
    list_units(velo);
    list_work(velo, &measure);
    place_state(velo);
    for (size_t i = 0; i < velo->group_count; i++) {
        struct velo_arena part_arena = {.base = parts}, group_arena = {.base = group};
        for (size_t t = velo->groups[i].first; t < velo->groups[i].end; t++)
            sco_velo_tensor_carve(&velo->tensors[t], &part_arena, &group_arena, velo->own_gradient);
    }
    return sco_velo_network_load(&velo->network, velo->gemm, optim->config.theta);
}

/* ---- A run ---- */

static void parameters_body(size_t rank, size_t size, void *argument)
{
    sco_velo_sweep_parameters(argument, rank, size);
}

static void read_parameters(struct velo *velo, const float *const *p)
{
    for (size_t t = 0; t < velo->count; t++)
        velo->p[t] = p != NULL ? (float *)p[t] : NULL; /* only read */
    sco_optim_run(velo->optim, velo->optim->total_elements, parameters_body, velo);
}

static enum sco_status velo_init(struct sco_optim *optim, const float *const *p)
{
    struct velo *velo = optim->data;
    const size_t H = velo->network.hidden;
    const float *h = sco_velo_theta_array(optim->config.theta, "lstm_init_state/hidden", NULL, NULL);
    const float *c = sco_velo_theta_array(optim->config.theta, "lstm_init_state/cell", NULL, NULL);
    for (size_t t = 0; t < velo->count; t++) {
        memcpy(velo->lstm_h + t * H, h, H * sizeof *h);
        memcpy(velo->lstm_c + t * H, c, H * sizeof *c);
    }
    struct velo_loss buffer;
    sco_velo_loss_init(&buffer);
    memcpy(velo->loss_mean, buffer.mean, sizeof buffer.mean);
    memcpy(velo->loss_running_min, buffer.running_min, sizeof buffer.running_min);
    read_parameters(velo, p);
    return SCO_OK;
}

static float decay_penalty(const struct velo *velo)
{
    double squares = 0.0;
    for (size_t t = 0; t < velo->count; t++)
        squares += velo->moments[t * VELO_MOMENTS + VELO_MOMENT_P2];
    return (float)velo->optim->config.weight_decay * (float)squares;
}

static void update_loss(struct velo *velo, uint64_t step, float loss)
{
    struct velo_loss buffer;
    memcpy(buffer.decay, velo->loss_decay, sizeof buffer.decay);
    memcpy(buffer.mean, velo->loss_mean, sizeof buffer.mean);
    memcpy(buffer.running_min, velo->loss_running_min, sizeof buffer.running_min);
    sco_velo_loss_update(&buffer, step, loss);
    sco_velo_loss_features(&buffer, step + 1, velo->loss_features);
    memcpy(velo->loss_mean, buffer.mean, sizeof buffer.mean);
    memcpy(velo->loss_running_min, buffer.running_min, sizeof buffer.running_min);
}

static void network_body(size_t rank, size_t size, void *argument)
{
    sco_velo_network_run(argument, rank, size);
}

static enum sco_status velo_prepare(struct sco_optim *optim, float loss)
{
    struct velo *velo = optim->data;
    const struct sco_optim_config *config = &optim->config;
    const uint64_t step = optim->steps / velo->accumulate, call = optim->steps % velo->accumulate;
    if (config->past_end == SCO_VELO_ERROR && step >= velo->num_steps)
        return sco_fail(SCO_INVALID,
                        "velo: all of num_steps = %" PRIu64 " steps are done; create the optimizer for a longer "
                        "run, or let it go on with past_end = hold",
                        config->num_steps);
    velo->lap = sco_clock_ns();
    memset(velo->phase_ns, 0, sizeof velo->phase_ns);
    velo->inner = call + 1 == velo->accumulate;
    if (config->weight_decay > 0)
        loss += decay_penalty(velo);
    if (velo->accumulate > 1) {
        velo->loss_sum[0] = call == 0 ? loss : velo->loss_sum[0] + loss;
        loss = velo->loss_sum[0] / (float)velo->accumulate;
    }
    if (!velo->inner)
        return SCO_OK;
    update_loss(velo, step, loss);
    velo->progress = (float)step / (float)velo->num_steps;
    if (config->past_end == SCO_VELO_HOLD && velo->progress > 1.0f)
        velo->progress = 1.0f;
    if (velo->count != 0)
        sco_team_run(sco_ctx_team(optim->ctx), network_body, velo);
    return SCO_OK;
}

/* An element costs about as much as ten of an element-wise kind, by which sco_optim_run decides on a fork-join. */
enum { ELEMENT_WORK = 10 };

struct sweep_call {
    struct velo *velo;
    const struct velo_group *groups;
    size_t count;
};

static void sweep_body(size_t rank, size_t size, void *argument)
{
    const struct sweep_call *call = argument;
    sco_velo_sweep_run(call->velo, call->groups, call->count, rank, size);
}

static void take_arguments(struct velo *velo, size_t t, float *p, const float *g)
{
    velo->p[t] = p;
    velo->caller_g[t] = g;
    velo->g[t] = velo->own_gradient ? velo->tensors[t].gradient : g;
}

static void velo_apply(struct sco_optim *optim, size_t tensor, float *p, const float *g)
{
    struct velo *velo = optim->data;
    const struct velo_group group = {tensor, tensor + 1};
    struct sweep_call call = {velo, &group, 1};
    take_arguments(velo, tensor, p, g);
    velo->lap = sco_clock_ns();
    sco_optim_run(optim, optim->elements[tensor] * ELEMENT_WORK, sweep_body, &call);
}

static void velo_step(struct sco_optim *optim, float *const *p, const float *const *g)
{
    struct velo *velo = optim->data;
    struct sweep_call call = {velo, velo->groups, velo->group_count};
    for (size_t t = 0; t < velo->count; t++)
        take_arguments(velo, t, p[t], g[t]);
    velo->lap = sco_clock_ns();
    sco_optim_run(optim, optim->total_elements * ELEMENT_WORK, sweep_body, &call);
}

/* ---- State ---- */

static int velo_describe(const struct sco_optim *optim, char *text, size_t bytes)
{
    const struct velo *velo = optim->data;
    const struct sco_optim_config *config = &optim->config;
    return snprintf(text, bytes,
                    "hidden=%zu experts=%zu num_steps=%" PRIu64 " accumulate=%" PRIu64
                    " weight_decay=%a past_end=%d bugged=%d,%d blocks=%d",
                    velo->network.hidden, velo->network.experts, velo->num_steps, velo->accumulate,
                    config->weight_decay, (int)config->past_end, config->bugged_loss_features != 0,
                    config->bugged_lstm_state != 0, VELO_BLOCK_VERSION);
}

static const char *velo_state_array(const struct sco_optim *optim, size_t tensor, size_t i, size_t *count)
{
    const struct velo *velo = optim->data;
    if (tensor == SIZE_MAX) {
        const size_t state = velo->count * velo->network.hidden;
        const size_t counts[] = {state, state, VELO_HORIZONS, VELO_HORIZONS, 1};
        if (i >= (velo->accumulate > 1 ? 5u : 4u))
            return NULL;
        *count = counts[i];
        return optimizer_plane_names[i];
    }
    const struct velo_shape *shape = &velo->tensors[tensor].shape;
    const char *const names[] = {"m", "rms", shape->factored ? "fac_row" : "fac_diag",
                                 shape->factored ? "fac_col" : NULL};
    const bool r_on_rows = shape->axis[VELO_ROWS] == shape->r;
    const size_t rows = shape->batch * shape->rows, cols = shape->batch * shape->cols;
    const size_t counts[] = {3 * shape->n, shape->n,
                             3 * (!shape->factored ? shape->n
                                  : r_on_rows      ? rows
                                                   : cols),
                             3 * (r_on_rows ? cols : rows)};
    if (i < SCO_LEN(names) && names[i] != NULL) {
        *count = counts[i];
        return names[i];
    }
    if (velo->accumulate == 1 || i != (shape->factored ? 4u : 3u))
        return NULL;
    *count = shape->n;
    return "gradient_sum";
}

static void copy_element(float *plane, float *array, bool set)
{
    if (set)
        *plane = *array;
    else
        *array = *plane;
}

/* Between a plane and every width-th float of an array in tensor order. */
static void copy_plane(const struct velo *velo, const struct velo_tensor *tensor, float *plane, float *array,
                       size_t width, bool set)
{
    const struct velo_shape *shape = &tensor->shape;
    if (shape->inner == 1) {
        for (size_t i = 0; i < shape->n; i++)
            copy_element(plane + i, array + i * width, set);
        return;
    }
    for (size_t n = 0; n < tensor->block_count; n++) {
        const struct velo_block *block = &velo->blocks[tensor->block + n];
        float *x = plane + block->offset;
        for (size_t b = block->b; b < block->b + block->panels; b++)
            for (size_t i = block->row; i < block->row + block->rows; i++)
                for (size_t j = block->col; j < block->col + block->cols; j++)
                    copy_element(x++, array + sco_velo_element_index(shape, b, i, j) * width, set);
    }
}

static void copy_vectors(const struct velo *velo, size_t t, enum velo_side side, float *array, bool set)
{
    const struct velo_tensor *tensor = &velo->tensors[t];
    const size_t n = side == VELO_ROWS ? tensor->shape.rows : tensor->shape.cols;
    for (size_t b = 0; b < tensor->shape.batch; b++)
        for (size_t i = 0; i < n; i++) {
            const size_t at = sco_velo_vector_index(&tensor->shape, &velo->optim->list.tensors[t], side, b, i);
            for (size_t k = 0; k < 3; k++)
                copy_element(tensor->a[side][k] + b * n + i, array + at * 3 + k, set);
        }
}

static void copy_tensor_state(const struct velo *velo, size_t t, const char *name, float *array, bool set)
{
    const struct velo_tensor *tensor = &velo->tensors[t];
    const enum velo_side r = tensor->shape.axis[VELO_ROWS] == tensor->shape.r ? VELO_ROWS : VELO_COLS;
    if (strcmp(name, "rms") == 0)
        copy_plane(velo, tensor, tensor->v, array, 1, set);
    for (size_t k = 0; strcmp(name, "m") == 0 && k < 3; k++)
        copy_plane(velo, tensor, tensor->m[k], array + k, 3, set);
    for (size_t k = 0; strcmp(name, "fac_diag") == 0 && k < 3; k++)
        copy_plane(velo, tensor, tensor->d[k], array + k, 3, set);
    if (strcmp(name, "fac_row") == 0)
        copy_vectors(velo, t, r, array, set);
    if (strcmp(name, "fac_col") == 0)
        copy_vectors(velo, t, !r, array, set);
    for (size_t i = 0; strcmp(name, "gradient_sum") == 0 && i < tensor->shape.n; i++)
        copy_element(tensor->gradient_sum + i, array + i, set);
}

static float *own_array(const struct sco_optim *optim, const char *name, size_t *count)
{
    size_t plane = 0;
    while (strcmp(optimizer_plane_names[plane], name) != 0)
        plane++;
    velo_state_array(optim, SIZE_MAX, plane, count);
    return own_plane(optim, (enum optimizer_plane)plane);
}

static void velo_state_get(const struct sco_optim *optim, size_t tensor, const char *name, float *dst)
{
    size_t count;
    if (tensor != SIZE_MAX) {
        copy_tensor_state(optim->data, tensor, name, dst, false);
        return;
    }
    const float *own = own_array(optim, name, &count);
    memcpy(dst, own, count * sizeof *dst);
}

static void velo_state_set(struct sco_optim *optim, size_t tensor, const char *name, const float *src)
{
    struct velo *velo = optim->data;
    size_t count;
    if (tensor == SIZE_MAX) {
        float *own = own_array(optim, name, &count);
        memcpy(own, src, count * sizeof *own);
        return;
    }
    copy_tensor_state(velo, tensor, name, (float *)src, true); /* only read */
    if (strcmp(name, "m") == 0 || strcmp(name, "rms") == 0)
        sco_velo_sweep_moments(&velo->tensors[tensor], velo->moments + tensor * VELO_MOMENTS);
}

/* ---- Reports ---- */

static const char *velo_phase(const struct sco_optim *optim, size_t i, double *seconds)
{
    static const char *const names[VELO_PHASES] = {"accumulate", "statistics", "lstm", "hypernetwork", "mlp"};
    const struct velo *velo = optim->data;
    if (i >= VELO_PHASES)
        return NULL;
    *seconds = (double)velo->phase_ns[i] * 1e-9;
    return names[i];
}

/* Per element: see kernels/velo/velo.h; a fused multiply-add counts twice. Vectors along rows and columns are left out.
 * Per step: every weight of the LSTM, the controls and the experts is read once. */
static void velo_cost(const struct sco_optim_config *config, const struct sco_tensor_list *list, double *bytes,
                      double *flops)
{
    const double H = (double)sco_velo_theta_hidden(config->theta), P = (double)sco_velo_theta_experts(config->theta);
    const double per_tensor = VELO_FEATURES * H + VELO_FEATURES * 4 * H + H * 4 * H + H * (P + 1) + P * VELO_BANK;
    const double pool = H * 4 * H;
    double factored = 0, diagonal = 0;
    for (size_t t = 0; t < list->count; t++) {
        struct velo_shape shape;
        sco_velo_shape_make(&shape, &list->tensors[t]);
        *(shape.factored ? &factored : &diagonal) += (double)shape.n;
    }
    const double calls = (double)gradients_per_step(config);
    *bytes = (factored * (4 + 20 + 44) + diagonal * (32 + 68) + (per_tensor + pool) * sizeof(float)) / calls;
    *flops =
        (factored * (3 + 66 + 260) + diagonal * (84 + 296) + ((double)list->count * per_tensor + pool) * 2) / calls;
    if (wants_own_gradient(config)) {
        *bytes += (factored + diagonal) * (calls > 1 ? 16 : 12);
        *flops += (factored + diagonal) * (calls > 1 ? 5 : 3);
    }
}

uint64_t sco_velo_prompt(const struct sco_optim *optim, uint64_t *gradients)
{
    const struct velo *velo = optim->data;
    if (gradients != NULL)
        *gradients = velo->accumulate;
    return velo->num_steps;
}

enum sco_status sco_velo_params_changed(struct sco_optim *optim, const float *const *p)
{
    for (size_t t = 0; t < optim->list.count; t++)
        if (optim->elements[t] != 0 && (p == NULL || p[t] == NULL))
            return sco_fail(SCO_INVALID, "velo: p of tensor %zu is NULL", t);
    read_parameters(optim->data, p);
    return SCO_OK;
}

const struct sco_optim_class sco_velo_class = {
    .defaults = velo_defaults,
    .check = velo_check,
    .layout = velo_layout,
    .create = velo_create,
    .destroy = velo_destroy,
    .init = velo_init,
    .prepare = velo_prepare,
    .apply = velo_apply,
    .step = velo_step,
    .describe = velo_describe,
    .state_array = velo_state_array,
    .state_get = velo_state_get,
    .state_set = velo_state_set,
    .phase = velo_phase,
    .cost = velo_cost,
};

/* SPDX-License-Identifier: Apache-2.0 */
#include "optim/optim.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arch/fail.h"
#include "kernels/finite/finite.h"
#include "optim/ctx.h"
#include "optim/state_file.h"
#include "stepcost/memory.h"

static const char *const names[SCO_OPTIM_KINDS] = {
    [SCO_OPTIM_HEAVY_BALL] = "heavy_ball",
    [SCO_OPTIM_NESTEROV] = "nesterov",
    [SCO_OPTIM_ADAM] = "adam",
    [SCO_OPTIM_ADAMW] = "adamw",
    [SCO_OPTIM_NADAM] = "nadam",
    [SCO_OPTIM_NADAMW] = "nadamw",
    [SCO_OPTIM_ADAFACTOR] = "adafactor",
    [SCO_OPTIM_LION] = "lion",
    [SCO_OPTIM_LAMB] = "lamb",
    [SCO_OPTIM_VELO] = "velo",
};

static const struct sco_optim_class *const classes[SCO_OPTIM_KINDS] = {
    [SCO_OPTIM_HEAVY_BALL] = &sco_heavy_ball_class,
    [SCO_OPTIM_NESTEROV] = &sco_nesterov_class,
    [SCO_OPTIM_ADAM] = &sco_adam_class,
    [SCO_OPTIM_ADAMW] = &sco_adamw_class,
    [SCO_OPTIM_NADAM] = &sco_nadam_class,
    [SCO_OPTIM_NADAMW] = &sco_nadamw_class,
    [SCO_OPTIM_ADAFACTOR] = &sco_adafactor_class,
    [SCO_OPTIM_LION] = &sco_lion_class,
    [SCO_OPTIM_LAMB] = &sco_lamb_class,
    [SCO_OPTIM_VELO] = &sco_velo_class,
};

/* Elements below which the caller works alone. An element-wise step takes 0.07 to 0.3 ns per element in cache, a
 * fork-join of two spinning threads 0.1 us, of threads that went to sleep between steps tens of us. A constant, so that
 * the choice depends on the size alone. */
static const size_t fork_elements = 16384;

/* ---- Kinds and configuration ---- */

const char *sco_optim_name(enum sco_optim_kind kind)
{
    return names[kind];
}

enum sco_status sco_optim_parse(const char *name, enum sco_optim_kind *kind)
{
    char all[256] = "";
    size_t used = 0;
    for (size_t i = 0; i < SCO_OPTIM_KINDS; i++) {
        if (strcmp(name, names[i]) == 0) {
            *kind = (enum sco_optim_kind)i;
            return SCO_OK;
        }
        used += (size_t)snprintf(all + used, sizeof all - used, i == 0 ? "%s" : ", %s", names[i]);
    }
    return sco_fail(SCO_INVALID, "unknown optimizer \"%s\"; there are %s", name, all);
}

void sco_optim_defaults(enum sco_optim_kind kind, struct sco_optim_config *config)
{
    memset(config, 0, sizeof *config);
    config->kind = kind;
    config->schedule.kind = SCO_SCHEDULE_CONSTANT;
    config->schedule.lr = 1e-3;
    config->schedule.decay_steps_factor = 1;
    config->b1 = 0.9;
    config->b2 = 0.999;
    config->eps = 1e-8;
    config->nonfinite = SCO_NONFINITE_STOP;
    classes[kind]->defaults(config);
}

static enum sco_status check_number(const char *kind, const char *what, double value, double end, const char *range)
{
    if (value >= 0 && value < end) /* false for NaN */
        return SCO_OK;
    return sco_fail(SCO_INVALID, "%s: %s is %g; it must be %s", kind, what, value, range);
}

static enum sco_status check_config(const struct sco_optim_config *config)
{
    if ((unsigned)config->kind >= SCO_OPTIM_KINDS)
        return sco_fail(SCO_INVALID, "unknown optimizer kind %d", (int)config->kind);
    const struct sco_optim_class *type = classes[config->kind];
    const char *kind = names[config->kind];

    enum sco_status status = sco_schedule_check(&config->schedule);
    if (status != SCO_OK)
        return sco_fail_context(status, "%s", kind);
    const struct {
        const char *what;
        double value, end;
        const char *range;
    } numbers[] = {
        {"b1", config->b1, 1, "at least 0 and below 1"},
        {"b2", config->b2, 1, "at least 0 and below 1"},
        {"eps", config->eps, INFINITY, "finite and at least 0"},
        {"weight_decay", config->weight_decay, INFINITY, "finite and at least 0"},
        {"grad_clip", config->grad_clip, INFINITY, "finite and at least 0 (0 is off)"},
    };
    for (size_t i = 0; i < SCO_LEN(numbers) && status == SCO_OK; i++)
        status = check_number(kind, numbers[i].what, numbers[i].value, numbers[i].end, numbers[i].range);
    if (status != SCO_OK)
        return status;
    if ((unsigned)config->nonfinite > SCO_NONFINITE_PASS)
        return sco_fail(SCO_INVALID, "%s: unknown policy %d for NaN and Inf", kind, (int)config->nonfinite);
    return type->check == NULL ? SCO_OK : type->check(config);
}

/* ---- Layout ---- */

/* Adds count elements at a 64-byte boundary to *bytes and returns where they start. */
static size_t place(struct sco_layout *layout, size_t *bytes, size_t count, size_t element_bytes)
{
    const size_t start = *bytes;
    size_t size = 0, end = 0;
    if (__builtin_mul_overflow(count, element_bytes, &size) || __builtin_add_overflow(start, size, &end) ||
        end > SIZE_MAX - SCO_ALIGN) {
        layout->overflow = true;
        return 0;
    }
    *bytes = (end + SCO_ALIGN - 1) / SCO_ALIGN * SCO_ALIGN;
    return start;
}

size_t sco_layout_plane(struct sco_layout *layout, const char *name, size_t tensor, size_t count, size_t element_bytes)
{
    const size_t offset = place(layout, &layout->state_bytes, count, element_bytes);
    if (layout->planes != NULL)
        layout->planes[layout->plane_count] = (struct sco_plane){name, tensor, count, element_bytes, offset};
    return layout->plane_count++;
}

size_t sco_layout_scratch(struct sco_layout *layout, size_t count, size_t element_bytes)
{
    return place(layout, &layout->workspace_bytes, count, element_bytes);
}

/* The partial sums of clipping, at the start of the workspace, then what the kind declares. Returns where that
 * starts. */
static size_t lay_out(struct sco_layout *layout, const struct sco_ctx *ctx, const struct sco_optim_config *config,
                      const struct sco_tensor_list *list)
{
    sco_layout_scratch(layout, config->grad_clip > 0 ? sco_list_chunks(list) : 0, sizeof(double));
    const size_t kind_scratch = layout->workspace_bytes;
    classes[config->kind]->layout(layout, ctx, config, list);
    return kind_scratch;
}

static enum sco_status size_up(struct sco_layout *layout, const struct sco_ctx *ctx,
                               const struct sco_optim_config *config, const struct sco_tensor_list *list,
                               size_t *total_elements)
{
    enum sco_status status = check_config(config);
    if (status == SCO_OK)
        status = sco_tensor_list_elements(list, total_elements);
    if (status != SCO_OK)
        return status;
    lay_out(layout, ctx, config, list);
    size_t sum = 0;
    if (layout->overflow || __builtin_add_overflow(layout->state_bytes, layout->workspace_bytes, &sum))
        return sco_fail(SCO_SHAPE, "%s: the state of %zu elements does not fit the address space", names[config->kind],
                        *total_elements);
    return SCO_OK;
}

enum sco_status sco_optim_plan(const struct sco_ctx *ctx, const struct sco_optim_config *config,
                               const struct sco_tensor_list *list, size_t *state_bytes, size_t *workspace_bytes)
{
    struct sco_layout layout = {0};
    size_t total = 0;
    const enum sco_status status = size_up(&layout, ctx, config, list, &total);
    if (status != SCO_OK)
        return status;
    *state_bytes = layout.state_bytes;
    *workspace_bytes = layout.workspace_bytes;
    return SCO_OK;
}

enum sco_status sco_optim_cost_model(const struct sco_optim_config *config, const struct sco_tensor_list *list,
                                     double *bytes, double *flops)
{
    size_t total = 0;
    enum sco_status status = check_config(config);
    if (status == SCO_OK)
        status = sco_tensor_list_elements(list, &total);
    if (status == SCO_OK)
        classes[config->kind]->cost(config, list, bytes, flops);
    return status;
}

/* ---- Work on a range of tensors ---- */

/* The boundary nearest to element x of the concatenated tensors that is a multiple of SCO_CHUNK or a tensor's start. */
static struct sco_cut cut_near(const struct sco_optim *optim, size_t x)
{
    size_t t = 0;
    while (t < optim->list.count && x >= optim->elements[t])
        x -= optim->elements[t++];
    struct sco_cut cut = {t, (x + SCO_CHUNK / 2) / SCO_CHUNK * SCO_CHUNK};
    if (t == optim->list.count)
        cut.element = 0;
    else if (cut.element >= optim->elements[t])
        cut = (struct sco_cut){t + 1, 0};
    return cut;
}

static void cut_list(struct sco_optim *optim, size_t size)
{
    for (size_t rank = 0; rank < size; rank++) {
        size_t begin = 0, end = 0;
        sco_team_block(optim->total_elements, rank, size, &begin, &end);
        optim->cuts[rank] = cut_near(optim, begin);
    }
    optim->cuts[0] = (struct sco_cut){0, 0}; /* empty tensors in front belong to rank 0 */
    optim->cuts[size] = (struct sco_cut){optim->list.count, 0};
}

struct sco_share sco_work_share(const struct sco_work *work, size_t rank, size_t size)
{
    const struct sco_optim *optim = work->optim;
    const size_t end = work->first + work->count;
    if (size == 1)
        return (struct sco_share){work->first, end, 0, work->count == 0 ? 0 : optim->elements[end - 1]};
    if (work->count == 1) {
        const size_t n = optim->elements[work->first];
        size_t begin_chunk = 0, end_chunk = 0;
        sco_team_block(sco_chunks(n), rank, size, &begin_chunk, &end_chunk);
        const size_t last = end_chunk * SCO_CHUNK < n ? end_chunk * SCO_CHUNK : n;
        return (struct sco_share){work->first, end, begin_chunk * SCO_CHUNK < last ? begin_chunk * SCO_CHUNK : last,
                                  last};
    }
    const struct sco_cut from = optim->cuts[rank], to = optim->cuts[rank + 1];
    if (to.element != 0)
        return (struct sco_share){from.tensor, to.tensor + 1, from.element, to.element};
    return (struct sco_share){from.tensor, to.tensor, from.element,
                              to.tensor == 0 ? 0 : optim->elements[to.tensor - 1]};
}

size_t sco_work_group(const struct sco_work *work, size_t first, size_t elements)
{
    const size_t limit = work->first + work->count;
    size_t end = first + 1, sum = work->optim->elements[first];
    while (end < limit && sum < elements && work->optim->elements[end] <= elements - sum)
        sum += work->optim->elements[end++];
    return end;
}

struct sco_share sco_group_share(const struct sco_optim *optim, size_t first, size_t end, size_t rank, size_t size)
{
    const size_t *chunk = optim->first_chunk;
    size_t from = 0, to = 0;
    sco_team_block(chunk[end] - chunk[first], rank, size, &from, &to);
    if (from == to)
        return (struct sco_share){first, first, 0, 0};
    from += chunk[first], to += chunk[first];
    size_t t = first, last = first;
    while (chunk[t + 1] <= from)
        t++;
    for (last = t; chunk[last + 1] < to;)
        last++;
    const size_t stop = (to - chunk[last]) * SCO_CHUNK;
    return (struct sco_share){t, last + 1, (from - chunk[t]) * SCO_CHUNK,
                              stop < optim->elements[last] ? stop : optim->elements[last]};
}

void sco_optim_run(const struct sco_optim *optim, size_t elements, sco_team_fn *body, void *argument)
{
    if (elements < fork_elements)
        body(0, 1, argument);
    else
        sco_team_run(sco_ctx_team(optim->ctx), body, argument);
}

void sco_optim_barrier(const struct sco_optim *optim, size_t rank, size_t size)
{
    if (size > 1)
        sco_team_barrier(sco_ctx_team(optim->ctx), rank);
}

static size_t work_elements(const struct sco_work *work)
{
    return work->count == 1 ? work->optim->elements[work->first] : work->optim->total_elements;
}

static void slice_body(size_t rank, size_t size, void *argument)
{
    const struct sco_work *work = argument;
    const struct sco_optim *optim = work->optim;
    const struct sco_share share = sco_work_share(work, rank, size);
    for (size_t t = share.first; t < share.end; t++) {
        size_t begin = 0, end = 0;
        sco_share_range(optim, &share, t, &begin, &end);
        if (begin < end)
            optim->type->slice(optim, t, begin, end, work->p[t - work->first] + begin,
                               work->g[t - work->first] + begin);
    }
}

static void scan_body(size_t rank, size_t size, void *argument)
{
    const struct sco_work *work = argument;
    const struct sco_optim *optim = work->optim;
    const struct sco_share share = sco_work_share(work, rank, size);
    struct sco_hit hit = {SIZE_MAX, 0};
    for (size_t t = share.first; t < share.end && hit.tensor == SIZE_MAX; t++) {
        size_t begin = 0, end = 0;
        sco_share_range(optim, &share, t, &begin, &end);
        if (begin == end)
            continue;
        const size_t first = optim->finite->first_nonfinite(end - begin, work->g[t - work->first] + begin);
        if (first < end - begin)
            hit = (struct sco_hit){t, begin + first};
    }
    optim->hits[rank] = hit;
    if (size == 1)
        for (size_t i = 1; i < sco_team_size(sco_ctx_team(optim->ctx)); i++)
            optim->hits[i].tensor = SIZE_MAX;
}

/* The first NaN or Inf in list order; shares are in list order too. tensor = SIZE_MAX: there is none. */
static struct sco_hit scan(struct sco_work *work)
{
    const struct sco_optim *optim = work->optim;
    sco_optim_run(optim, work_elements(work), scan_body, work);
    size_t rank = 0;
    while (rank + 1 < sco_team_size(sco_ctx_team(optim->ctx)) && optim->hits[rank].tensor == SIZE_MAX)
        rank++;
    return optim->hits[rank];
}

static void clip_body(size_t rank, size_t size, void *argument)
{
    const struct sco_work *work = argument;
    const struct sco_optim *optim = work->optim;
    double *sums = sco_optim_scratch(optim, 0);
    const struct sco_share share = sco_work_share(work, rank, size);
    for (size_t t = share.first; t < share.end; t++) {
        size_t begin = 0, end = 0;
        sco_share_range(optim, &share, t, &begin, &end);
        for (; begin < end; begin += SCO_CHUNK)
            sums[optim->first_chunk[t] + begin / SCO_CHUNK] =
                optim->finite->square_sum(end - begin < SCO_CHUNK ? end - begin : SCO_CHUNK, work->g[t] + begin);
    }
}

/* Global norm of the gradient. Not finite exactly if an element is not: squares of floats do not overflow a double. */
static double global_norm(struct sco_work *work)
{
    const struct sco_optim *optim = work->optim;
    sco_optim_run(optim, optim->total_elements, clip_body, work);
    const double *sums = sco_optim_scratch(optim, 0);
    double sum = 0;
    for (size_t i = 0; i < optim->first_chunk[optim->list.count]; i++)
        sum += sums[i];
    return sqrt(sum);
}

/* ---- Life of an optimizer ---- */

char *sco_optim_label(const struct sco_optim *optim, size_t tensor, char *buffer, size_t bytes)
{
    const char *name = optim->list.tensors[tensor].name;
    snprintf(buffer, bytes, name != NULL ? "tensor %zu (%s)" : "tensor %zu", tensor, name);
    return buffer;
}

void sco_optim_destroy(struct sco_optim *optim)
{
    if (optim == NULL)
        return;
    if (optim->type->destroy != NULL)
        optim->type->destroy(optim);
    free(optim->data);
    sco_free(optim->state);
    sco_free(optim->workspace);
    free(optim->layout.planes);
    free(optim->tensors);
    free(optim->names);
    free(optim->elements);
    free(optim->first_chunk);
    free(optim->applied);
    free(optim->cuts);
    free(optim->hits);
    free(optim);
}

static enum sco_status copy_list(struct sco_optim *optim, const struct sco_tensor_list *list)
{
    size_t name_bytes = 1;
    for (size_t i = 0; i < list->count; i++)
        name_bytes += list->tensors[i].name == NULL ? 0 : strlen(list->tensors[i].name) + 1;

    /* One more of each, so that an empty list is no special case of calloc. */
    optim->names = calloc(name_bytes, 1);
    optim->tensors = calloc(list->count + 1, sizeof *optim->tensors);
    optim->elements = calloc(list->count + 1, sizeof *optim->elements);
    optim->first_chunk = calloc(list->count + 1, sizeof *optim->first_chunk);
    optim->applied = calloc(list->count + 1, sizeof *optim->applied);
    if (optim->names == NULL || optim->tensors == NULL || optim->elements == NULL || optim->first_chunk == NULL ||
        optim->applied == NULL)
        return sco_fail(SCO_NOMEM, "no memory for a list of %zu tensors", list->count);

    char *name = optim->names;
    for (size_t i = 0; i < list->count; i++) {
        optim->tensors[i] = list->tensors[i];
        optim->elements[i] = sco_elements(&list->tensors[i]);
        optim->first_chunk[i + 1] = optim->first_chunk[i] + sco_chunks(optim->elements[i]);
        if (list->tensors[i].name == NULL)
            continue;
        const size_t bytes = strlen(list->tensors[i].name) + 1;
        optim->tensors[i].name = memcpy(name, list->tensors[i].name, bytes);
        name += bytes;
    }
    optim->list = (struct sco_tensor_list){list->count, optim->tensors};
    return SCO_OK;
}

enum sco_status sco_optim_create(struct sco_optim **optim_out, struct sco_ctx *ctx,
                                 const struct sco_optim_config *config, const struct sco_tensor_list *list)
{
    *optim_out = NULL;
    struct sco_layout layout = {0};
    size_t total = 0;
    enum sco_status status = size_up(&layout, ctx, config, list, &total);
    if (status != SCO_OK)
        return status;

    const size_t need = layout.state_bytes + layout.workspace_bytes, available = sco_memory_available();
    if (available != 0 && need > available)
        return sco_fail(SCO_NOMEM,
                        "%s: %zu parameters need %zu bytes (%.2f GiB) of state and workspace; %zu bytes (%.2f GiB) are "
                        "available",
                        names[config->kind], total, need, (double)need / 0x1p30, available, (double)available / 0x1p30);

    struct sco_optim *optim = calloc(1, sizeof *optim);
    if (optim == NULL)
        return sco_fail(SCO_NOMEM, "no memory for an optimizer");
    optim->type = classes[config->kind];
    optim->ctx = ctx;
    optim->config = *config;
    optim->total_elements = total;
    optim->gscale = 1;
    optim->finite = sco_ctx_ops(ctx, &sco_finite_family);
    status = copy_list(optim, list);
    if (status != SCO_OK)
        goto fail;

    const size_t team = sco_team_size(sco_ctx_team(ctx));
    optim->layout.planes = calloc(layout.plane_count + 1, sizeof *optim->layout.planes);
    optim->cuts = calloc(team + 1, sizeof *optim->cuts);
    optim->hits = calloc(team, sizeof *optim->hits);
    optim->state = sco_alloc(layout.state_bytes);
    optim->workspace = sco_alloc(layout.workspace_bytes);
    if (optim->layout.planes == NULL || optim->cuts == NULL || optim->hits == NULL || optim->state == NULL ||
        optim->workspace == NULL) {
        status = sco_fail(SCO_NOMEM, "%s: %zu bytes of state and workspace were refused", names[config->kind], need);
        goto fail;
    }
    optim->kind_scratch = lay_out(&optim->layout, ctx, config, &optim->list);
    cut_list(optim, team);
    if (optim->type->create != NULL)
        status = optim->type->create(optim);
    if (status != SCO_OK)
        goto fail;
    *optim_out = optim;
    return SCO_OK;

fail:
    sco_optim_destroy(optim);
    return status;
}

static enum sco_status check_pointers(const struct sco_optim *optim, const char *what, const float *const *pointers)
{
    for (size_t i = 0; i < optim->list.count; i++) {
        if (optim->elements[i] == 0 || (pointers != NULL && pointers[i] != NULL))
            continue;
        char label[256];
        return sco_fail(SCO_INVALID, "%s of %s is NULL", what, sco_optim_label(optim, i, label, sizeof label));
    }
    return SCO_OK;
}

/* Each thread writes first what it will use: its share of the planes that are laid out like their tensor, of the list
 * or, for kinds that work in groups, of the group. Rank 0 takes the others, which are small (row and column statistics)
 * or used by all. Planes of one name come in list order, so that a plane's group is seldom far from the last one's. */
static void zero_body(size_t rank, size_t size, void *argument)
{
    const struct sco_work *work = argument;
    const struct sco_optim *optim = work->optim;
    const size_t group = optim->type->group_elements;
    struct sco_share share = sco_work_share(work, rank, size);
    size_t group_first = 0, group_end = 0;
    for (size_t i = 0; i < optim->layout.plane_count; i++) {
        const struct sco_plane *plane = &optim->layout.planes[i];
        const size_t t = plane->tensor;
        size_t begin = 0, end = rank == 0 ? plane->count : 0;
        if (t != SIZE_MAX && plane->count == optim->elements[t]) {
            end = 0;
            if (group != 0 && (t < group_first || t >= group_end)) {
                group_end = t < group_first ? 0 : group_end;
                do {
                    group_first = group_end;
                    group_end = sco_work_group(work, group_first, group);
                } while (t >= group_end);
                share = sco_group_share(optim, group_first, group_end, rank, size);
            }
            if (t >= share.first && t < share.end)
                sco_share_range(optim, &share, t, &begin, &end);
        }
        if (begin < end)
            memset(optim->state + plane->offset + begin * plane->element_bytes, 0,
                   (end - begin) * plane->element_bytes);
    }
}

void sco_optim_zero(struct sco_optim *optim)
{
    struct sco_work work = {.optim = optim, .count = optim->list.count};
    sco_optim_run(optim, optim->total_elements, zero_body, &work);
}

enum sco_status sco_optim_init(struct sco_optim *optim, const float *const *p)
{
    enum sco_status status = check_pointers(optim, "p", p);
    if (status != SCO_OK)
        return status;
    sco_optim_zero(optim);
    optim->steps = optim->skipped = 0;
    optim->prepared = false;
    if (optim->type->init != NULL)
        status = optim->type->init(optim, p);
    optim->ready = status == SCO_OK;
    return status;
}

/* ---- A step ---- */

static enum sco_status check_ready(const struct sco_optim *optim)
{
    if (optim->ready)
        return SCO_OK;
    return sco_fail(SCO_INVALID, "%s has no state yet; call sco_optim_init or sco_optim_load first",
                    names[optim->config.kind]);
}

/* What the policy makes of a loss or gradient that is not finite: the message is set either way. */
static enum sco_status refuse(struct sco_optim *optim, const char *message)
{
    const bool skip = optim->config.nonfinite == SCO_NONFINITE_SKIP;
    optim->skipped += skip;
    sco_fail(SCO_NONFINITE, "%s: %s", message, skip ? "skipped" : "nothing was changed");
    return skip ? SCO_OK : SCO_NONFINITE;
}

static enum sco_status refuse_loss(struct sco_optim *optim, float loss)
{
    char message[128];
    snprintf(message, sizeof message, "loss is %g in step %llu", (double)loss, (unsigned long long)optim->steps + 1);
    return refuse(optim, message);
}

static enum sco_status refuse_gradient(struct sco_optim *optim, struct sco_hit hit, float value)
{
    char message[512], label[256];
    snprintf(message, sizeof message, "gradient of %s is %g at element %zu of %zu",
             sco_optim_label(optim, hit.tensor, label, sizeof label), (double)value, hit.element,
             optim->elements[hit.tensor]);
    return refuse(optim, message);
}

static void apply_work(struct sco_work *work)
{
    struct sco_optim *optim = work->optim;
    if (optim->type->slice != NULL)
        sco_optim_run(optim, work_elements(work), slice_body, work);
    else if (work->count == optim->list.count)
        optim->type->step(optim, work->p, work->g);
    else
        optim->type->apply(optim, work->first, work->p[0], work->g[0]);
}

enum sco_status sco_optim_prepare(struct sco_optim *optim, float loss)
{
    enum sco_status status = check_ready(optim);
    if (status != SCO_OK)
        return status;
    const bool skipping = !isfinite(loss) && optim->config.nonfinite != SCO_NONFINITE_PASS;
    if (skipping) {
        status = refuse_loss(optim, loss);
    } else {
        optim->gscale = 1;
        status = optim->type->prepare(optim, loss);
    }
    if (status != SCO_OK)
        return status;
    optim->steps += !skipping;
    optim->skipping = skipping;
    optim->prepared = true;
    memset(optim->applied, 0, optim->list.count * sizeof *optim->applied);
    return SCO_OK;
}

enum sco_status sco_optim_apply(struct sco_optim *optim, size_t tensor, float *p, const float *g)
{
    char label[256];
    if (!optim->prepared)
        return sco_fail(SCO_INVALID, "sco_optim_apply without sco_optim_prepare");
    if (tensor >= optim->list.count)
        return sco_fail(SCO_INVALID, "no tensor %zu in a list of %zu", tensor, optim->list.count);
    sco_optim_label(optim, tensor, label, sizeof label);
    if (optim->applied[tensor])
        return sco_fail(SCO_INVALID, "%s was already applied in this step", label);
    if (optim->config.grad_clip > 0)
        return sco_fail(SCO_UNSUPPORTED, "grad_clip needs all gradients at once; use sco_optim_step");
    if (optim->elements[tensor] != 0 && (p == NULL || g == NULL))
        return sco_fail(SCO_INVALID, "%s of %s is NULL", p == NULL ? "p" : "g", label);

    struct sco_work work = {optim, tensor, 1, &p, &g};
    if (!optim->skipping) {
        struct sco_hit hit = {SIZE_MAX, 0};
        if (optim->config.nonfinite != SCO_NONFINITE_PASS)
            hit = scan(&work);
        if (hit.tensor == SIZE_MAX) {
            apply_work(&work);
        } else {
            const enum sco_status status = refuse_gradient(optim, hit, g[hit.element]);
            if (status != SCO_OK)
                return status;
        }
    }
    optim->applied[tensor] = true;
    return SCO_OK;
}

enum sco_status sco_optim_step(struct sco_optim *optim, float loss, float *const *p, const float *const *g)
{
    enum sco_status status = check_ready(optim);
    if (status == SCO_OK)
        status = check_pointers(optim, "p", (const float *const *)p);
    if (status == SCO_OK)
        status = check_pointers(optim, "g", g);
    if (status != SCO_OK)
        return status;

    const bool look = optim->config.nonfinite != SCO_NONFINITE_PASS;
    const double clip = optim->config.grad_clip;
    struct sco_work work = {optim, 0, optim->list.count, p, g};
    optim->prepared = false;
    if (look && !isfinite(loss))
        return refuse_loss(optim, loss);
    const double norm = clip > 0 ? global_norm(&work) : 0;
    if (look && (clip == 0 || !isfinite(norm))) {
        const struct sco_hit hit = scan(&work);
        if (hit.tensor != SIZE_MAX)
            return refuse_gradient(optim, hit, g[hit.tensor][hit.element]);
    }
    /* AlgoPerf: clamp(clip / (norm + 1e-6), 0, 1); written so that a NaN norm stays NaN. */
    const double factor = clip / (norm + 1e-6);
    optim->gscale = clip > 0 && !(factor >= 1) ? (float)factor : 1;
    status = optim->type->prepare(optim, loss);
    if (status != SCO_OK)
        return status;
    optim->steps++;
    apply_work(&work);
    return SCO_OK;
}

/* ---- State ---- */

uint64_t sco_optim_steps(const struct sco_optim *optim)
{
    return optim->steps;
}

uint64_t sco_optim_skipped(const struct sco_optim *optim)
{
    return optim->skipped;
}

const struct sco_optim_config *sco_optim_get_config(const struct sco_optim *optim)
{
    return &optim->config;
}

const char *sco_optim_phase(const struct sco_optim *optim, size_t i, double *seconds)
{
    return optim->type->phase == NULL ? NULL : optim->type->phase(optim, i, seconds);
}

enum sco_status sco_optim_set_steps(struct sco_optim *optim, uint64_t steps)
{
    const enum sco_status status = check_ready(optim);
    if (status != SCO_OK)
        return status;
    optim->steps = steps;
    optim->prepared = false;
    if (optim->type->loaded != NULL)
        optim->type->loaded(optim);
    return SCO_OK;
}

static const struct sco_plane *plane_at(const struct sco_optim *optim, size_t tensor, size_t i)
{
    for (size_t k = 0; k < optim->layout.plane_count; k++)
        if (optim->layout.planes[k].tensor == tensor && i-- == 0)
            return &optim->layout.planes[k];
    return NULL;
}

const char *sco_optim_state_array(const struct sco_optim *optim, size_t tensor, size_t i, size_t *count)
{
    if (optim->type->state_array != NULL)
        return optim->type->state_array(optim, tensor, i, count);
    const struct sco_plane *plane = plane_at(optim, tensor, i);
    if (plane == NULL)
        return NULL;
    *count = plane->count;
    return plane->name;
}

static enum sco_status find_array(const struct sco_optim *optim, size_t tensor, const char *name, size_t count,
                                  size_t *index)
{
    enum sco_status status = check_ready(optim);
    if (status != SCO_OK)
        return status;
    if (tensor != SIZE_MAX && tensor >= optim->list.count)
        return sco_fail(SCO_INVALID, "no tensor %zu in a list of %zu", tensor, optim->list.count);

    char label[256] = "the optimizer", all[256] = "none";
    if (tensor != SIZE_MAX)
        sco_optim_label(optim, tensor, label, sizeof label);
    size_t used = 0, elements = 0;
    const char *found = NULL;
    for (size_t i = 0; (found = sco_optim_state_array(optim, tensor, i, &elements)) != NULL; i++) {
        if (strcmp(found, name) == 0) {
            *index = i;
            return elements == count ? SCO_OK
                                     : sco_fail(SCO_INVALID, "state %s of %s has %zu elements, not %zu", name, label,
                                                elements, count);
        }
        if (used < sizeof all)
            used += (size_t)snprintf(all + used, sizeof all - used, i == 0 ? "%s" : ", %s", found);
    }
    return sco_fail(SCO_INVALID, "%s of %s has no state \"%s\"; there is %s", label, names[optim->config.kind], name,
                    all);
}

enum sco_status sco_optim_state_get(const struct sco_optim *optim, size_t tensor, const char *name, float *dst,
                                    size_t count)
{
    size_t index = 0;
    const enum sco_status status = find_array(optim, tensor, name, count, &index);
    if (status != SCO_OK || count == 0)
        return status;
    if (optim->type->state_get != NULL) {
        optim->type->state_get(optim, tensor, name, dst);
        return SCO_OK;
    }
    const struct sco_plane *plane = plane_at(optim, tensor, index);
    const void *src = optim->state + plane->offset;
    if (plane->element_bytes == sizeof(float))
        memcpy(dst, src, count * sizeof(float));
    else
        for (size_t i = 0; i < count; i++)
            dst[i] = ((const int8_t *)src)[i];
    return SCO_OK;
}

enum sco_status sco_optim_state_set(struct sco_optim *optim, size_t tensor, const char *name, const float *src,
                                    size_t count)
{
    size_t index = 0;
    const enum sco_status status = find_array(optim, tensor, name, count, &index);
    if (status != SCO_OK || count == 0)
        return status;
    if (optim->type->state_set != NULL) {
        optim->type->state_set(optim, tensor, name, src);
    } else {
        const struct sco_plane *plane = plane_at(optim, tensor, index);
        void *dst = optim->state + plane->offset;
        if (plane->element_bytes == sizeof(float))
            memcpy(dst, src, count * sizeof(float));
        else
            for (size_t i = 0; i < count; i++)
                ((int8_t *)dst)[i] = (int8_t)fmaxf(-127, fminf(127, rintf(src[i])));
    }
    optim->prepared = false;
    if (optim->type->loaded != NULL)
        optim->type->loaded(optim);
    return SCO_OK;
}

enum sco_status sco_optim_save(const struct sco_optim *optim, const char *path)
{
    const enum sco_status status = check_ready(optim);
    return status != SCO_OK ? status : sco_state_file_write(optim, path);
}

enum sco_status sco_optim_load(struct sco_optim *optim, const char *path)
{
    /* Without a state there is none to lose, and the file may go straight where it belongs, onto pages that their users
     * have touched first. */
    unsigned char *state = optim->state;
    const size_t bytes = optim->layout.state_bytes;
    if (optim->ready) {
        const size_t available = sco_memory_available();
        state = available != 0 && bytes > available ? NULL : sco_alloc(bytes);
        if (state == NULL)
            return sco_fail(SCO_NOMEM, "%s: no memory for a second copy of the state (%zu bytes) beside the live one",
                            path, bytes);
    } else {
        sco_optim_zero(optim);
    }
    struct sco_state_counts counts = {0, 0};
    const enum sco_status status = sco_state_file_read(optim, path, state, &counts);
    if (status == SCO_OK) {
        for (size_t i = 0; state != optim->state && i < optim->layout.plane_count; i++) {
            const struct sco_plane *plane = &optim->layout.planes[i];
            memcpy(optim->state + plane->offset, state + plane->offset, plane->count * plane->element_bytes);
        }
        optim->steps = counts.steps;
        optim->skipped = counts.skipped;
        optim->prepared = false;
        optim->ready = true;
        if (optim->type->loaded != NULL)
            optim->type->loaded(optim);
    }
    if (state != optim->state)
        sco_free(state);
    return status;
}

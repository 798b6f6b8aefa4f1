/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arch/fail.h"
#include "microbench/roofs.h"
#include "microbench/rounds.h"
#include "microbench/shorten.h"
#include "stepcost/clock.h"
#include "stepcost/memory.h"
#include "stepcost/microbench.h"
#include "stepcost/velo.h"

enum { P_SEED = 11, G_SEED = 12, MIN_ROUNDS = 3 };
#define P_DEVIATION 2e-2f
#define G_DEVIATION 1e-3f
#define P_LIMIT     1e3f

/* The roof's arrays are as long as the list, but no longer than this: 32 Mi elements are 128 MiB an array, beyond any cache
 * when four to six are in use, and a longer one would only take longer. */
#define ROOF_ELEMENTS ((size_t)32 << 20)

/* A step that asks for so many times the bytes of its pattern on the list spends them elsewhere: a few tensors under VeLO
 * cost one pass over the LSTM's weights. Its roof is then a read of as many bytes as the step asks for. */
#define ELSEWHERE 3.0

/* Of the memory available; the rest is for the kernel, page tables and what others need meanwhile. */
#define MEMORY_SHARE 0.9

/* A kind on one workload. */
struct entry {
    struct sco_optim_config config;
    size_t state_bytes, workspace_bytes;
    double model_bytes, model_flops; /* of a step */
    enum sco_roof_pattern pattern;   /* its roof */
    struct sco_optim *optim;         /* NULL while its state does not exist */
    struct run *run;
    struct sco_lane lane;
    size_t adam_first, roof_first; /* rounds of Adam's and the roof's lane before this lane's first */
    bool timed, with_adam;
    enum sco_stop stop;
    size_t resets;
    size_t phase_count;
    const char *phase_names[SCO_COST_PHASES];
    double *phases; /* seconds, phase_count per step */
    size_t phase_samples, phase_capacity;
};

/* One workload. */
struct run {
    struct sco_ctx *ctx;
    const struct sco_cost_options *options;
    struct sco_cost_report *report;
    const char *name;
    double seconds, overhead_ns;

    struct sco_short_list shortened;
    size_t floats; /* of p and of g: tensors start at cache lines */
    float *p_memory, *g_memory;
    float **p;
    const float **g;
    _Atomic bool drifted;

    struct sco_roof_set roofs;
    struct sco_roof_run roof_runs[SCO_ROOF_PATTERNS];
    struct sco_lane roof_lanes[SCO_ROOF_PATTERNS];

    struct entry *entries;
    struct entry *adam;                   /* NULL when not asked for */
    struct entry *group[SCO_OPTIM_KINDS]; /* entries alive now */
    size_t group_count;
};

static enum sco_roof_pattern update_pattern(enum sco_optim_kind kind)
{
    switch (kind) {
    case SCO_OPTIM_HEAVY_BALL:
    case SCO_OPTIM_NESTEROV:
    case SCO_OPTIM_LION:
    case SCO_OPTIM_ADAFACTOR: return SCO_ROOF_RW32;
    case SCO_OPTIM_VELO: return SCO_ROOF_RW65;
    default: return SCO_ROOF_RW43;
    }
}

static void configure(struct sco_optim_config *config, enum sco_optim_kind kind, const struct sco_cost_options *options)
{
    sco_optim_defaults(kind, config);
    config->nonfinite = options->nonfinite;
    if (kind == SCO_OPTIM_VELO) {
        config->theta = options->theta;
        config->num_steps = options->num_steps;
        config->past_end = SCO_VELO_HOLD;
    }
}

static void progress(const struct run *run, const char *format, ...) SCO_PRINTF(2, 3);
static void progress(const struct run *run, const char *format, ...)
{
    char text[160];
    va_list args;
    if (run->options->progress == NULL)
        return;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    run->options->progress(run->options->argument, text);
}

/* ---- Parameters and gradients ---- */

enum { LINE = SCO_ALIGN / sizeof(float), SKEW = 272 /* floats; see roofs.c on equal offsets within a page */ };

static enum sco_status make_tensors(struct run *run)
{
    const struct sco_tensor_list *list = &run->shortened.list;
    struct sco_team *team = sco_ctx_team(run->ctx);
    run->p = malloc(list->count * sizeof *run->p);
    run->g = malloc(list->count * sizeof *run->g);
    run->p_memory = sco_alloc(run->floats * sizeof(float));
    run->g_memory = sco_alloc((run->floats + SKEW) * sizeof(float));
    if (run->p == NULL || run->g == NULL || run->p_memory == NULL || run->g_memory == NULL)
        return sco_fail(SCO_NOMEM, "%s: no memory for %zu parameters and gradients", run->name, run->shortened.params);
    for (size_t i = 0, at = 0; i < list->count; i++) {
        size_t n = 0;
        const enum sco_status status = sco_tensor_elements(&list->tensors[i], &n);
        if (status != SCO_OK)
            return status;
        run->p[i] = run->p_memory + at;
        run->g[i] = run->g_memory + SKEW + at;
        at += (n + LINE - 1) / LINE * LINE;
    }
    sco_draw(team, run->p_memory, run->floats, P_SEED, P_DEVIATION);
    sco_draw(team, run->g_memory + SKEW, run->floats, G_SEED, G_DEVIATION);
    return SCO_OK;
}

static void look_for_drift(size_t rank, size_t size, void *argument)
{
    struct run *run = argument;
    size_t begin, end;
    sco_team_block(run->floats, rank, size, &begin, &end);
    bool drifted = false;
    for (size_t i = begin; i < end; i++)
        drifted |= !(fabsf(run->p_memory[i]) <= P_LIMIT);
    if (drifted)
        atomic_store(&run->drifted, true);
}

/* Between rounds. The optimizers start afresh with the parameters, since VeLO keeps a sum over them. */
static enum sco_status tame(void *argument)
{
    struct run *run = argument;
    struct sco_team *team = sco_ctx_team(run->ctx);
    atomic_store(&run->drifted, false);
    sco_team_run(team, look_for_drift, run);
    if (!atomic_load(&run->drifted))
        return SCO_OK;
    sco_draw(team, run->p_memory, run->floats, P_SEED, P_DEVIATION);
    for (size_t i = 0; i < run->group_count; i++) {
        const enum sco_status status = sco_optim_init(run->group[i]->optim, (const float *const *)run->p);
        if (status != SCO_OK)
            return status;
        run->group[i]->resets++;
    }
    return SCO_OK;
}

/* ---- Lanes ---- */

static enum sco_status step(void *argument)
{
    const struct entry *entry = argument;
    return sco_optim_step(entry->optim, 1.0f, entry->run->p, entry->run->g);
}

static enum sco_status read_phases(void *argument)
{
    struct entry *entry = argument;
    for (size_t i = 0; i < entry->phase_count; i++) {
        double seconds = 0.0;
        sco_optim_phase(entry->optim, i, &seconds);
        const enum sco_status status = sco_push(&entry->phases, &entry->phase_samples, &entry->phase_capacity, seconds);
        if (status != SCO_OK)
            return status;
    }
    return SCO_OK;
}

static enum sco_status create(struct entry *entry)
{
    struct run *run = entry->run;
    enum sco_status status = sco_optim_create(&entry->optim, run->ctx, &entry->config, &run->shortened.list);
    if (status == SCO_OK)
        status = sco_optim_init(entry->optim, (const float *const *)run->p);
    if (status != SCO_OK)
        return status;
    double seconds;
    entry->phase_count = 0;
    while (entry->phase_count < SCO_COST_PHASES && (entry->phase_names[entry->phase_count] = sco_optim_phase(
                                                        entry->optim, entry->phase_count, &seconds)) != NULL)
        entry->phase_count++;
    return SCO_OK;
}

static void destroy(struct entry *entry)
{
    sco_optim_destroy(entry->optim);
    entry->optim = NULL;
}

static void refuse(struct run *run, const struct entry *entry, size_t needed, size_t available, const char *why)
{
    struct sco_cost_refusal *refusal = &run->report->refusals[run->report->refusal_count++];
    *refusal = (struct sco_cost_refusal){
        .workload = run->name, .kind = entry->config.kind, .needed_bytes = needed, .available_bytes = available};
    snprintf(refusal->why, sizeof refusal->why, "%s", why);
}

/* Times the entries of a group and the patterns they are measured against in the same rounds. */
static enum sco_status time_group(struct run *run, struct entry *const *group, size_t count, double seconds)
{
    struct sco_lane *lanes[SCO_OPTIM_KINDS + SCO_ROOF_PATTERNS];
    size_t lane_count = 0, rounds;
    bool needed[SCO_ROOF_PATTERNS] = {false}, adam = false;
    enum sco_status status = SCO_OK;
    run->group_count = 0;
    for (size_t i = 0; i < count && status == SCO_OK; i++) {
        struct entry *entry = group[i];
        if (entry->optim == NULL)
            status = create(entry);
        if (status != SCO_OK)
            break;
        run->group[run->group_count++] = entry;
        lanes[lane_count++] = &entry->lane;
        needed[entry->pattern] = true;
        adam |= entry == run->adam;
    }
    if (status != SCO_OK)
        return status;
    for (size_t i = 0; i < count; i++) {
        struct entry *entry = group[i];
        if (entry->timed)
            continue; /* Adam, again */
        entry->timed = true;
        entry->with_adam = adam;
        entry->adam_first = adam ? run->adam->lane.round_count : 0;
        entry->roof_first = run->roof_lanes[entry->pattern].round_count;
    }
    for (size_t pattern = 0; pattern < SCO_ROOF_PATTERNS; pattern++)
        if (needed[pattern])
            lanes[lane_count++] = &run->roof_lanes[pattern];
    const struct sco_rounds options = {seconds, MIN_ROUNDS, run->overhead_ns, tame, run};
    enum sco_stop stop;
    status = sco_rounds_run(lanes, lane_count, &options, &rounds, &stop);
    for (size_t i = 0; i < count; i++)
        group[i]->stop = stop;
    return status;
}

static size_t entry_bytes(const struct entry *entry)
{
    return entry->state_bytes + entry->workspace_bytes;
}

/* Pairs of each kind with Adam where both fit, then what fits alone; the rest is refused with the size it needs. Adam's
 * state lives through all pairs. Groups with Adam come first, so that round i of Adam is round i of its pattern. */
static enum sco_status time_apart(struct run *run, size_t shared_bytes, size_t available)
{
    const size_t kinds = run->options->kind_count;
    struct entry *adam = run->adam;
    if (adam != NULL && shared_bytes + entry_bytes(adam) > available)
        adam = NULL;
    const double seconds = run->seconds / (double)(kinds > 1 ? kinds - (adam != NULL) : 1);
    enum sco_status status = SCO_OK;
    for (size_t i = 0; i < kinds && adam != NULL && status == SCO_OK; i++) {
        struct entry *entry = &run->entries[i];
        if (entry == adam || shared_bytes + entry_bytes(adam) + entry_bytes(entry) > available)
            continue;
        progress(run, "%s: %s beside %s", run->name, sco_optim_name(entry->config.kind),
                 sco_optim_name(adam->config.kind));
        status = time_group(run, (struct entry *[]){adam, entry}, 2, seconds);
        destroy(entry);
    }
    if (adam != NULL && !adam->timed && status == SCO_OK)
        status = time_group(run, &adam, 1, seconds);
    if (adam != NULL)
        destroy(adam);
    for (size_t i = 0; i < kinds && status == SCO_OK; i++) {
        struct entry *entry = &run->entries[i];
        if (entry->timed)
            continue;
        if (shared_bytes + entry_bytes(entry) > available) {
            char why[160];
            snprintf(why, sizeof why, "needs %.1f GiB of memory, %.1f GiB may be used: shorten the list (--max-params)",
                     (double)(shared_bytes + entry_bytes(entry)) / 0x1p30, (double)available / 0x1p30);
            refuse(run, entry, shared_bytes + entry_bytes(entry), available, why);
            continue;
        }
        progress(run, "%s: %s", run->name, sco_optim_name(entry->config.kind));
        status = time_group(run, &entry, 1, seconds);
        destroy(entry);
    }
    return status;
}

static enum sco_status time_all(struct run *run)
{
    struct entry *group[SCO_OPTIM_KINDS];
    for (size_t i = 0; i < run->options->kind_count; i++)
        group[i] = &run->entries[i];
    progress(run, "%s: %zu optimizers in turn", run->name, run->options->kind_count);
    return time_group(run, group, run->options->kind_count, run->seconds);
}

/* ---- Results ---- */

/* Median of the ratios of rounds of a lane to the rounds of another that ran beside it. */
static enum sco_status round_ratios(const struct sco_lane *lane, const struct sco_lane *other, size_t first,
                                    struct sco_stats *ratio)
{
    double *ratios = malloc(lane->round_count * sizeof *ratios);
    if (ratios == NULL)
        return sco_fail(SCO_NOMEM, "measurement: no memory for %zu ratios", lane->round_count);
    for (size_t i = 0; i < lane->round_count; i++)
        ratios[i] = lane->medians[i] / other->medians[first + i];
    sco_stats_sort(ratios, lane->round_count, ratio);
    free(ratios);
    return SCO_OK;
}

static void scale_stats(struct sco_stats *stats, double factor)
{
    stats->min *= factor;
    stats->median *= factor;
    stats->low *= factor;
    stats->high *= factor;
}

/* The shortest time possible, round by round: bytes at the bandwidth that the pattern had in that round, or flops at the
 * peak. */
static enum sco_status roof_fraction(const struct run *run, const struct entry *entry, struct sco_cost_row *row)
{
    const struct sco_lane *lane = &entry->lane, *roof = &run->roof_lanes[row->pattern];
    const double params = (double)row->params;
    const double peak = run->report->peak_gflops;
    const double compute_ns = peak > 0.0 ? params * row->model_flops / peak : 0.0;
    const double pattern_bytes = (double)run->roof_runs[row->pattern].n * sco_roof_bytes(row->pattern);
    const double passes = params * row->model_bytes / pattern_bytes;
    double *fraction = malloc(lane->round_count * sizeof *fraction),
           *roof_ns = malloc(lane->round_count * sizeof *roof_ns);
    struct sco_stats stats = {0}, roof_stats = {0};
    if (fraction != NULL && roof_ns != NULL) {
        for (size_t i = 0; i < lane->round_count; i++) {
            roof_ns[i] = roof->medians[entry->roof_first + i];
            fraction[i] = fmax(passes * roof_ns[i], compute_ns) / lane->medians[i];
        }
        sco_stats_sort(fraction, lane->round_count, &stats);
        sco_stats_sort(roof_ns, lane->round_count, &roof_stats);
    }
    free(fraction);
    free(roof_ns);
    if (stats.count == 0)
        return sco_fail(SCO_NOMEM, "measurement: no memory for %zu rounds", lane->round_count);
    row->roof_fraction = stats.median;
    row->roof_gbs = pattern_bytes / roof_stats.median;
    row->roof_gflops = peak;
    row->compute_bound = compute_ns > passes * roof_stats.median;
    return SCO_OK;
}

static enum sco_status phase_stats(const struct entry *entry, struct sco_cost_row *row)
{
    const size_t steps = entry->phase_count > 0 ? entry->phase_samples / entry->phase_count : 0;
    double *seconds = malloc((steps + 1) * sizeof *seconds);
    if (seconds == NULL)
        return sco_fail(SCO_NOMEM, "measurement: no memory for phases of %zu steps", steps);
    enum sco_status status = SCO_OK;
    for (size_t phase = 0; phase < entry->phase_count && status == SCO_OK; phase++) {
        for (size_t i = 0; i < steps; i++)
            seconds[i] = entry->phases[i * entry->phase_count + phase];
        row->phases[phase].name = entry->phase_names[phase];
        status = sco_grouped_stats(seconds, steps, entry->lane.steps, &row->phases[phase].ns_per_param);
        scale_stats(&row->phases[phase].ns_per_param, 1e9 / (double)row->params);
    }
    row->phase_count = entry->phase_count;
    free(seconds);
    return status;
}

static enum sco_status add_row(struct run *run, struct entry *entry, struct sco_cost_row *rows, size_t *count)
{
    struct sco_cost_row *row = &rows[(*count)++];
    struct sco_lane *lane = &entry->lane;
    const size_t params = run->shortened.params;
    *row = (struct sco_cost_row){
        .workload = run->name,
        .kind = entry->config.kind,
        .weights = entry->config.kind == SCO_OPTIM_VELO ? sco_velo_theta_origin(run->options->theta) : NULL,
        .tensors = run->shortened.list.count,
        .params = params,
        .full_params = run->shortened.full_params,
        .state_bytes = entry->state_bytes,
        .workspace_bytes = entry->workspace_bytes,
        .pattern = entry->pattern,
        .stop = entry->stop,
        .resets = entry->resets,
        .steps_per_sample = lane->calls,
        .samples_per_round = lane->steps,
        .sample_count = lane->sample_count,
        .samples = lane->samples,
    };
    lane->samples = NULL; /* the row owns them now */
    enum sco_status status =
        sco_grouped_stats(row->samples, row->sample_count, row->samples_per_round, &row->ns_per_param);
    if (status != SCO_OK)
        return status;
    row->model_bytes = entry->model_bytes / (double)params;
    row->model_flops = entry->model_flops / (double)params;
    row->gbs = entry->model_bytes / row->ns_per_param.median;
    row->gflops = entry->model_flops / row->ns_per_param.median;
    scale_stats(&row->ns_per_param, 1.0 / (double)params);

    if (entry->with_adam) {
        row->ratio_paired = 1;
        status = round_ratios(lane, &run->adam->lane, entry->adam_first, &row->ratio_to_adam);
    }
    if (status == SCO_OK)
        status = roof_fraction(run, entry, row);
    if (status == SCO_OK)
        status = phase_stats(entry, row);
    return status;
}

/* Where the two could not be in memory together. */
static void unpaired_ratios(struct sco_cost_row *rows, size_t count)
{
    const struct sco_cost_row *adam = NULL;
    for (size_t i = 0; i < count; i++)
        if (rows[i].kind == SCO_OPTIM_ADAM)
            adam = &rows[i];
    for (size_t i = 0; i < count && adam != NULL; i++)
        if (!rows[i].ratio_paired) {
            const double ratio = rows[i].ns_per_param.median / adam->ns_per_param.median;
            rows[i].ratio_to_adam = (struct sco_stats){ratio, ratio, ratio, ratio, 0.0, 0.0, 1};
        }
}

static enum sco_status add_roofs(struct run *run)
{
    for (size_t pattern = 0; pattern < SCO_ROOF_PATTERNS; pattern++) {
        const struct sco_lane *lane = &run->roof_lanes[pattern];
        if (lane->round_count == 0)
            continue;
        struct sco_roof *roof = &run->report->roofs[run->report->roof_count++];
        *roof = (struct sco_roof){
            .pattern = (enum sco_roof_pattern)pattern, .workload = run->name, .elements = run->roof_runs[pattern].n};
        const enum sco_status status =
            sco_grouped_stats(lane->samples, lane->sample_count, lane->steps, &roof->ns_per_element);
        if (status != SCO_OK)
            return status;
        scale_stats(&roof->ns_per_element, 1.0 / (double)roof->elements);
        roof->gbs = sco_roof_bytes(roof->pattern) / roof->ns_per_element.median;
    }
    return SCO_OK;
}

/* Chooses an entry's roof and returns the elements of its arrays. */
static size_t choose_roof(const struct run *run, struct entry *entry)
{
    double elements = (double)run->shortened.params;
    entry->pattern = update_pattern(entry->config.kind);
    if (entry->model_bytes > ELSEWHERE * elements * sco_roof_bytes(entry->pattern)) {
        entry->pattern = SCO_ROOF_READ;
        elements = entry->model_bytes / sco_roof_bytes(SCO_ROOF_READ);
    }
    return elements < (double)ROOF_ELEMENTS ? (size_t)elements : ROOF_ELEMENTS;
}

static enum sco_status plan(struct run *run, size_t *shared_bytes, size_t *state_bytes)
{
    const struct sco_cost_options *options = run->options;
    const struct sco_tensor_list *list = &run->shortened.list;
    enum sco_status status = SCO_OK;
    run->floats = 0;
    for (size_t i = 0; i < list->count && status == SCO_OK; i++) {
        size_t n = 0;
        status = sco_tensor_elements(&list->tensors[i], &n);
        run->floats += (n + LINE - 1) / LINE * LINE;
    }
    *state_bytes = 0;
    for (size_t i = 0; i < options->kind_count && status == SCO_OK; i++) {
        struct entry *entry = &run->entries[i];
        entry->run = run;
        entry->lane = (struct sco_lane){.argument = entry, .step = step, .after = read_phases};
        configure(&entry->config, options->kinds[i], options);
        status = sco_optim_plan(run->ctx, &entry->config, list, &entry->state_bytes, &entry->workspace_bytes);
        *state_bytes += entry_bytes(entry);
        if (status == SCO_OK)
            status = sco_optim_cost_model(&entry->config, list, &entry->model_bytes, &entry->model_flops);
        const size_t elements = choose_roof(run, entry);
        if (elements > run->roof_runs[entry->pattern].n)
            run->roof_runs[entry->pattern].n = elements;
        if (elements > run->roofs.n)
            run->roofs.n = elements;
        if (options->kinds[i] == SCO_OPTIM_ADAM)
            run->adam = entry;
    }
    *shared_bytes = 2 * run->floats * sizeof(float) + sco_roof_set_bytes(run->roofs.n);
    return status;
}

static enum sco_status time_workload(struct run *run, struct sco_cost_row *rows, size_t *row_count)
{
    const struct sco_cost_options *options = run->options;
    size_t shared_bytes, state_bytes;
    const size_t first_row = *row_count;
    run->entries = calloc(options->kind_count, sizeof *run->entries);
    if (run->entries == NULL)
        return sco_fail(SCO_NOMEM, "%s: no memory for %zu optimizers", run->name, options->kind_count);
    enum sco_status status = plan(run, &shared_bytes, &state_bytes);
    if (status != SCO_OK)
        return status;
    const size_t available = (size_t)(MEMORY_SHARE * (double)sco_memory_available());
    size_t least = SIZE_MAX;
    for (size_t i = 0; i < options->kind_count; i++)
        if (entry_bytes(&run->entries[i]) < least)
            least = entry_bytes(&run->entries[i]);
    if (shared_bytes + least <= available) {
        progress(run, "%s: drawing %zu parameters and gradients", run->name, run->shortened.params);
        status = make_tensors(run);
        if (status == SCO_OK)
            status = sco_roof_set_init(&run->roofs, run->ctx, run->roofs.n);
        for (size_t pattern = 0; pattern < SCO_ROOF_PATTERNS; pattern++) {
            sco_roof_run_init(&run->roof_runs[pattern], &run->roofs, (enum sco_roof_pattern)pattern,
                              run->roof_runs[pattern].n);
            run->roof_lanes[pattern] = (struct sco_lane){.argument = &run->roof_runs[pattern], .step = sco_roof_step};
        }
    }
    if (status == SCO_OK)
        status = shared_bytes + state_bytes <= available ? time_all(run) : time_apart(run, shared_bytes, available);
    for (size_t i = 0; i < options->kind_count && status == SCO_OK; i++)
        if (run->entries[i].timed)
            status = add_row(run, &run->entries[i], rows, row_count);
    if (status == SCO_OK)
        unpaired_ratios(rows + first_row, *row_count - first_row);
    return status;
}

static void run_free(struct run *run)
{
    for (size_t i = 0; run->entries != NULL && i < run->options->kind_count; i++) {
        sco_optim_destroy(run->entries[i].optim);
        sco_lane_free(&run->entries[i].lane);
        free(run->entries[i].phases);
    }
    for (size_t pattern = 0; pattern < SCO_ROOF_PATTERNS; pattern++)
        sco_lane_free(&run->roof_lanes[pattern]);
    free(run->entries);
    sco_roof_set_free(&run->roofs);
    free(run->p);
    free(run->g);
    sco_free(run->p_memory);
    sco_free(run->g_memory);
    sco_short_list_free(&run->shortened);
}

/* ---- The whole run ---- */

/* Half decades from 1 to 1e8. */
enum { SWEEP_POINTS = 17 };

static size_t sweep_params(size_t point)
{
    static const double tenths[2] = {1.0, 3.1622776601683795};
    return (size_t)llround(tenths[point % 2] * pow(10.0, (double)(point / 2)));
}

static enum sco_status sweep(struct sco_cost_report *report, struct sco_ctx *ctx,
                             const struct sco_cost_options *options, double seconds, double overhead_ns)
{
    enum sco_optim_kind kinds[2];
    size_t kind_count = 0;
    for (size_t i = 0; i < options->kind_count; i++)
        if (options->kinds[i] == SCO_OPTIM_ADAM || options->kinds[i] == SCO_OPTIM_VELO)
            kinds[kind_count++] = options->kinds[i];
    if (kind_count == 0)
        return SCO_OK;
    struct sco_cost_options selected = *options;
    selected.kinds = kinds;
    selected.kind_count = kind_count;
    enum sco_status status = SCO_OK;
    for (size_t point = 0; point < SWEEP_POINTS && status == SCO_OK; point++) {
        const size_t n = sweep_params(point), rows = (size_t)floor(sqrt((double)n));
        if (options->max_params != 0 && n > options->max_params)
            break;
        const struct sco_tensor tensor = {"square", 2, {rows, n / rows}};
        const struct sco_tensor_list list = {1, &tensor};
        struct run run = {.ctx = ctx,
                          .options = &selected,
                          .report = report,
                          .name = "sweep",
                          .seconds = seconds / SWEEP_POINTS,
                          .overhead_ns = overhead_ns};
        status = sco_short_list_init(&run.shortened, &list, 0);
        if (status == SCO_OK)
            status = time_workload(&run, report->sweep, &report->sweep_count);
        run_free(&run);
    }
    return status;
}

static enum sco_status cost_run(struct sco_cost_report *report, struct sco_ctx *ctx,
                                const struct sco_cost_options *options)
{
    enum sco_status status = SCO_OK;
    for (size_t i = 0; i < options->kind_count && status == SCO_OK; i++) {
        struct sco_optim_config config;
        configure(&config, options->kinds[i], options);
        status = sco_cost_verify(ctx, &config);
    }
    if (status != SCO_OK)
        return status;
    const size_t peak_row = sco_roof_peak_row(sco_ctx_isa(ctx));
    report->peak_gflops = sco_roof_peak(ctx, peak_row);
    report->peak_row = sco_roof_family.rows[peak_row].name;
    const double overhead_ns = sco_clock_measure().overhead_ns;

    /* The sweep's share is about that of one workload. */
    const double seconds = options->seconds / (double)(options->workload_count + (options->sweep != 0));
    for (size_t i = 0; i < options->workload_count && status == SCO_OK; i++) {
        struct run run = {.ctx = ctx,
                          .options = options,
                          .report = report,
                          .name = options->workloads[i].name,
                          .seconds = seconds,
                          .overhead_ns = overhead_ns};
        status = sco_short_list_init(&run.shortened, &options->workloads[i].list, options->max_params);
        if (status == SCO_OK)
            status = time_workload(&run, report->rows, &report->row_count);
        if (status == SCO_OK)
            status = add_roofs(&run);
        run_free(&run);
        if (status != SCO_OK)
            return sco_fail_context(status, "workload %s", options->workloads[i].name);
    }
    return options->sweep ? sweep(report, ctx, options, seconds, overhead_ns) : SCO_OK;
}

enum sco_status sco_cost_run(struct sco_cost_report **report, struct sco_ctx *ctx,
                             const struct sco_cost_options *options)
{
    const uint64_t start = sco_clock_ns();
    if (options->kind_count == 0 || options->kind_count > SCO_OPTIM_KINDS || options->workload_count == 0)
        return sco_fail(SCO_INVALID, "cost: at least one workload and 1 to %d optimizers are needed", SCO_OPTIM_KINDS);
    const size_t cells = options->workload_count * options->kind_count + (options->sweep ? 2 * SWEEP_POINTS : 0);
    struct sco_cost_report *r = calloc(1, sizeof *r);
    if (r == NULL)
        return sco_fail(SCO_NOMEM, "cost: no memory for the report");
    r->rows = calloc(cells, sizeof *r->rows);
    r->sweep = calloc(2 * SWEEP_POINTS, sizeof *r->sweep);
    r->roofs = calloc(options->workload_count * SCO_ROOF_PATTERNS, sizeof *r->roofs);
    r->refusals = calloc(cells, sizeof *r->refusals);
    r->nonfinite = options->nonfinite;
    enum sco_status status = SCO_OK;
    if (r->rows == NULL || r->sweep == NULL || r->roofs == NULL || r->refusals == NULL)
        status = sco_fail(SCO_NOMEM, "cost: no memory for a report of %zu rows", cells);
    for (size_t i = 0; i < options->kind_count; i++)
        if (options->kinds[i] == SCO_OPTIM_VELO && options->theta != NULL)
            r->weights = sco_velo_theta_origin(options->theta);
        else if (options->kinds[i] == SCO_OPTIM_VELO && status == SCO_OK)
            status = sco_fail(SCO_INVALID, "cost: VeLO needs weights, read or generated");
    if (status == SCO_OK)
        status = cost_run(r, ctx, options);
    if (status != SCO_OK) {
        sco_cost_report_destroy(r);
        return status;
    }
    r->elapsed_seconds = (double)(sco_clock_ns() - start) * 1e-9;
    *report = r;
    return SCO_OK;
}

void sco_cost_report_destroy(struct sco_cost_report *report)
{
    if (report == NULL)
        return;
    for (size_t i = 0; report->rows != NULL && i < report->row_count; i++)
        free(report->rows[i].samples);
    for (size_t i = 0; report->sweep != NULL && i < report->sweep_count; i++)
        free(report->sweep[i].samples);
    free(report->rows);
    free(report->sweep);
    free(report->roofs);
    free(report->refusals);
    free(report);
}

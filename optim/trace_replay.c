/* SPDX-License-Identifier: Apache-2.0 */
#include "stepcost/replay.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arch/fail.h"
#include "optim/velo_traced.h"
#include "stepcost/memory.h"
#include "stepcost/trace.h"
#include "stepcost/velo.h"

/* ---- What is replayed ---- */

/* A baseline of the trace. Bounds: rounding of a whole run relative to rms(p); the int8 momentum of AlgoPerf's Adafactor
 * may fall to either side of a bucket's edge, which moves p by lr times a bucket. */
struct baseline {
    const char *name;
    enum sco_optim_kind kind;
    enum sco_schedule_kind schedule;
    double bound;
    bool decay, clip, nadam_optax, adafactor_algoperf, adafactor_momentum;
};

static const struct baseline baselines[] = {
    {"adam", SCO_OPTIM_ADAM, SCO_SCHEDULE_CONSTANT, 3e-5, .decay = false},
    {"adamw", SCO_OPTIM_ADAMW, SCO_SCHEDULE_COSINE, 3e-5, .decay = true},
    {"nadam", SCO_OPTIM_NADAM, SCO_SCHEDULE_CONSTANT, 3e-5, .decay = false},
    {"nadamw", SCO_OPTIM_NADAMW, SCO_SCHEDULE_COSINE, 3e-5, .decay = true},
    {"nadamw_optax", SCO_OPTIM_NADAMW, SCO_SCHEDULE_COSINE, 3e-5, .decay = true, .nadam_optax = true},
    {"nadamw_clip", SCO_OPTIM_NADAMW, SCO_SCHEDULE_COSINE, 3e-5, .decay = true, .clip = true},
    {"momentum", SCO_OPTIM_HEAVY_BALL, SCO_SCHEDULE_LINEAR, 3e-6, .decay = true},
    {"nesterov", SCO_OPTIM_NESTEROV, SCO_SCHEDULE_LINEAR, 3e-6, .decay = true},
    {"lamb", SCO_OPTIM_LAMB, SCO_SCHEDULE_COSINE, 3e-5, .decay = true},
    {"lion", SCO_OPTIM_LION, SCO_SCHEDULE_CONSTANT, 3e-6, .decay = true},
    {"adafactor_optax", SCO_OPTIM_ADAFACTOR, SCO_SCHEDULE_CONSTANT, 3e-6, .decay = false},
    {"adafactor_optax_mom", SCO_OPTIM_ADAFACTOR, SCO_SCHEDULE_CONSTANT, 3e-6, .decay = true,
     .adafactor_momentum = true},
    {"adafactor_algoperf", SCO_OPTIM_ADAFACTOR, SCO_SCHEDULE_COSINE, 1e-3, .decay = true, .adafactor_algoperf = true},
};

/* Bounds of tests/golden/velo/README.md. The state of a baseline whose rms is below the floor counts as zero; VeLO's has
 * meaning down to the 1e-30 that is added to g^2. */
static const double baseline_floor = 1e-25;
static const double velo_step_bound = 2e-3, velo_run_bound = 3e-4;

static const struct {
    const char *name;
    double bound;
} state_bounds[] = {{"lstm_h", 1e-4}, {"lstm_c", 1e-4}, {"loss_means", 1e-3}, {"loss_running_min", 1e-3}};
static const double accumulator_bound = 1e-5, traced_bound = 1e-4, normaliser_bound = 1e-5;

static double state_bound(const char *name)
{
    for (size_t i = 0; i < sizeof state_bounds / sizeof *state_bounds; i++)
        if (strcmp(name, state_bounds[i].name) == 0)
            return state_bounds[i].bound;
    return accumulator_bound;
}

/* ---- The report ---- */

struct sco_replay {
    struct sco_replay_entry *entries;
    size_t count, room;
    uint64_t hash;
    char *weights;
};

void sco_replay_destroy(struct sco_replay *replay)
{
    if (replay == NULL)
        return;
    free(replay->entries);
    free(replay->weights);
    free(replay);
}

const struct sco_replay_entry *sco_replay_at(const struct sco_replay *replay, size_t index)
{
    return index < replay->count ? &replay->entries[index] : NULL;
}

uint64_t sco_replay_hash(const struct sco_replay *replay)
{
    return replay->hash;
}

const char *sco_replay_weights(const struct sco_replay *replay)
{
    return replay->weights != NULL ? replay->weights : "";
}

/* FNV-1a over 32-bit words. */
static void add_bits(struct sco_replay *replay, const float *x, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint32_t word;
        memcpy(&word, &x[i], sizeof word);
        replay->hash = (replay->hash ^ word) * 0x100000001b3;
    }
}

/* ---- Comparison ---- */

/* One optimizer under replay. */
struct session {
    struct sco_replay *replay;
    const struct sco_trace *trace;
    const char *optimizer;
    const struct baseline *baseline; /* NULL: VeLO */
    struct sco_optim *optim;
    struct sco_tensor_list list;
    size_t *elements;
    size_t steps, stride; /* recorded; calls of step for one inner step */
    const float *losses;  /* NULL for baselines */
    float **p, **before;
    const float **g;
    float *scratch, *wanted; /* as long as the longest state array */
    size_t scratch_count;
};

static double rms(const float *x, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        sum += (double)x[i] * x[i];
    return n > 0 ? sqrt(sum / (double)n) : 0;
}

/* Distance between x and its neighbour away from zero. */
static double ulp_of(float x)
{
    int exponent;
    frexpf(x, &exponent);
    return ldexp(1, (exponent > -125 ? exponent : -125) - 24);
}

/* The entry of that optimizer, mode, stage and tensor; NULL without memory. */
static struct sco_replay_entry *entry_of(const struct session *s, enum sco_replay_mode mode, const char *stage,
                                         size_t tensor)
{
    struct sco_replay *replay = s->replay;
    for (size_t i = replay->count; i > 0; i--) {
        struct sco_replay_entry *entry = &replay->entries[i - 1];
        if (strcmp(entry->optimizer, s->optimizer) != 0)
            break; /* optimizers come one after the other */
        if (entry->mode == mode && entry->tensor == tensor && strcmp(entry->stage, stage) == 0)
            return entry;
    }
    if (replay->count == replay->room) {
        const size_t room = 2 * replay->room + 64;
        struct sco_replay_entry *entries = realloc(replay->entries, room * sizeof *entries);
        if (entries == NULL)
            return NULL;
        replay->entries = entries;
        replay->room = room;
    }
    struct sco_replay_entry *entry = &replay->entries[replay->count++];
    *entry = (struct sco_replay_entry){
        .optimizer = s->optimizer, .mode = mode, .stage = stage, .tensor = tensor, .passed = 1};
    return entry;
}

/* Compares n values; those of one array at one step share scale and bound. */
static enum sco_status compare(const struct session *s, enum sco_replay_mode mode, const char *stage, size_t tensor,
                               size_t step, const float *got, const float *want, size_t n, double scale, double bound)
{
    struct sco_replay_entry *entry = entry_of(s, mode, stage, tensor);
    if (entry == NULL)
        return sco_fail(SCO_NOMEM, "no memory for the replay of %s", s->optimizer);
    entry->steps++;
    entry->bound = bound;
    for (size_t i = 0; i < n; i++) {
        const double difference = fabs((double)got[i] - want[i]);
        const double absolute = isnan(difference) ? INFINITY : difference;
        const double relative = absolute == 0 ? 0 : scale > 0 ? absolute / scale : INFINITY;
        const double ulp = absolute / ulp_of(want[i]);
        entry->absolute = fmax(entry->absolute, absolute);
        entry->ulp = fmax(entry->ulp, ulp);
        if (relative > entry->relative || (entry->steps == 1 && i == 0)) {
            entry->relative = relative;
            entry->step = step;
            entry->index = i;
        }
    }
    entry->passed = entry->relative <= entry->bound;
    return SCO_OK;
}

/* ---- Recorded arrays ---- */

static enum sco_status lacks(const struct session *s, const char *what, size_t step, size_t tensor)
{
    return sco_fail(SCO_FORMAT, "trace %s: %s of %s, step %zu, tensor %zu, is missing or has another shape",
                    sco_trace_name(s->trace), what, s->optimizer, step, tensor);
}

/* Parameters after a step (0: at the start), or gradients of one; NULL when absent or of another size. */
static const float *recorded(const struct session *s, const char *what, size_t step, size_t tensor)
{
    const struct sco_trace_array *array;
    if (step == 0)
        array = sco_trace_find(s->trace, "init/%s/%zu", what, tensor);
    else if (s->baseline != NULL && strcmp(what, "p") == 0)
        array = sco_trace_find(s->trace, "%s/s%03zu/%s/%zu", s->optimizer, step, what, tensor);
    else
        array = sco_trace_find(s->trace, "s%03zu/%s/%zu", step, what, tensor);
    return array != NULL && array->type == SCO_TRACE_F32 && array->elements == s->elements[tensor] ? array->data : NULL;
}

static bool ends_with(const char *text, const char *tail)
{
    const size_t n = strlen(text), m = strlen(tail);
    return n >= m && strcmp(text + n - m, tail) == 0;
}

/* The recorded state array; in optax's trees its name stands behind places that differ between optimizers. */
static const struct sco_trace_array *recorded_state(const struct session *s, size_t step, const char *name,
                                                    size_t tensor)
{
    if (s->baseline == NULL && tensor == SIZE_MAX)
        return sco_trace_find(s->trace, "s%03zu/%s", step, name);
    if (s->baseline == NULL)
        return sco_trace_find(s->trace, "s%03zu/%s/%zu", step, name, tensor);
    char prefix[64], tail[64];
    snprintf(prefix, sizeof prefix, "%s/s%03zu/state/", s->optimizer, step);
    snprintf(tail, sizeof tail, "/%s/t%02zu", name, tensor);
    const struct sco_trace_array *array;
    for (size_t i = 0; (array = sco_trace_at(s->trace, i)) != NULL; i++)
        if (strncmp(array->key, prefix, strlen(prefix)) == 0 && ends_with(array->key, tail))
            return array;
    return NULL;
}

/* Whether the trace keeps the state after a step. */
static bool is_kept(const struct session *s, size_t step)
{
    if (s->baseline == NULL)
        return sco_trace_find(s->trace, "s%03zu/lstm_h", step) != NULL;
    size_t count;
    const char *first = sco_optim_state_array(s->optim, 0, 0, &count);
    return first != NULL && recorded_state(s, step, first, 0) != NULL;
}

/* VeLO's sums of gradients and losses are not recorded: states are kept at the end of inner steps, where the next sums
 * begin anew. */
static bool is_recorded(const char *name)
{
    return strcmp(name, "gradient_sum") != 0 && strcmp(name, "loss_sum") != 0;
}

/* Copies a recorded state array of count elements to s->wanted. */
static enum sco_status load_state(const struct session *s, size_t step, const char *name, size_t tensor, size_t count)
{
    const struct sco_trace_array *array = recorded_state(s, step, name, tensor);
    if (array == NULL || array->elements != count || array->type == SCO_TRACE_I32)
        return lacks(s, name, step, tensor);
    for (size_t i = 0; i < count; i++)
        s->wanted[i] =
            array->type == SCO_TRACE_I8 ? (float)((const int8_t *)array->data)[i] : ((const float *)array->data)[i];
    return SCO_OK;
}

/* ---- Steps ---- */

/* The optimizer's own arrays come after those of the last tensor. */
static size_t state_owner(const struct session *s, size_t i)
{
    return i < s->list.count ? i : SIZE_MAX;
}

/* Puts parameters and state as recorded after step in place; 0 is the start. */
static enum sco_status restore(struct session *s, size_t step)
{
    enum sco_status status;
    for (size_t i = 0; i < s->list.count; i++) {
        const float *p = recorded(s, "p", step, i);
        if (p == NULL)
            return lacks(s, "p", step, i);
        memcpy(s->p[i], p, s->elements[i] * sizeof *p);
    }
    status = sco_optim_init(s->optim, (const float *const *)s->p);
    if (status != SCO_OK || step == 0)
        return status;
    for (size_t i = 0; i <= s->list.count; i++) {
        const size_t owner = state_owner(s, i);
        const char *name;
        size_t count;
        for (size_t k = 0; (name = sco_optim_state_array(s->optim, owner, k, &count)) != NULL; k++)
            if (is_recorded(name) &&
                ((status = load_state(s, step, name, owner, count)) != SCO_OK ||
                 (status = sco_optim_state_set(s->optim, owner, name, s->wanted, count)) != SCO_OK))
                return status;
    }
    return sco_optim_set_steps(s->optim, step);
}

/* Makes step number step (from 1); s->before keeps the parameters from before it. */
static enum sco_status make_step(struct session *s, size_t step)
{
    for (size_t i = 0; i < s->list.count; i++) {
        s->g[i] = recorded(s, "g", step, i);
        if (s->g[i] == NULL)
            return lacks(s, "g", step, i);
        memcpy(s->before[i], s->p[i], s->elements[i] * sizeof **s->p);
    }
    const enum sco_status status = sco_optim_step(s->optim, s->losses != NULL ? s->losses[step - 1] : 0, s->p, s->g);
    for (size_t i = 0; i < s->list.count; i++)
        add_bits(s->replay, s->p[i], s->elements[i]);
    return status;
}

/* Whether the buckets of a tensor's 8-bit momentum hold anything: at a learning rate of 0 they hold the recording
 * program's rounding errors, scaled up. */
static bool is_noise(const struct session *s, size_t step, size_t tensor)
{
    const struct sco_trace_array *scale = recorded_state(s, step, "m_scale", tensor);
    return scale != NULL && scale->type == SCO_TRACE_F32 && rms(scale->data, scale->elements) < baseline_floor;
}

static enum sco_status compare_state(struct session *s, enum sco_replay_mode mode, size_t step)
{
    for (size_t i = 0; i <= s->list.count; i++) {
        const size_t owner = state_owner(s, i);
        const char *name;
        size_t count;
        for (size_t k = 0; (name = sco_optim_state_array(s->optim, owner, k, &count)) != NULL; k++) {
            if (!is_recorded(name))
                continue;
            enum sco_status status = sco_optim_state_get(s->optim, owner, name, s->scratch, count);
            if (status != SCO_OK || (status = load_state(s, step, name, owner, count)) != SCO_OK)
                return status;
            add_bits(s->replay, s->scratch, count);
            /* Bucket numbers: one bucket off is legal, two are not. */
            const bool buckets = recorded_state(s, step, name, owner)->type == SCO_TRACE_I8;
            if (buckets && is_noise(s, step, owner))
                continue;
            const double scale = fmax(rms(s->wanted, count), s->baseline != NULL ? baseline_floor : 0);
            status = compare(s, mode, name, owner, step, s->scratch, s->wanted, count, buckets ? 1 : scale,
                             buckets ? 1 : state_bound(name));
            if (status != SCO_OK)
                return status;
        }
    }
    return SCO_OK;
}

/* Ratio of the product's normalisers to those of the recorded features, as s->scratch against ones in s->wanted. */
static enum sco_status compare_normalisers(struct session *s, size_t step, size_t tensor, const char *stage,
                                           size_t count)
{
    const struct sco_trace_array *features = sco_trace_find(s->trace, "s%03zu/trace/feat/%zu", step, tensor);
    if (features == NULL || features->type != SCO_TRACE_F32 || features->elements != s->elements[tensor] * count)
        return lacks(s, "trace/feat", step, tensor);
    const float *feature = features->data;
    for (size_t f = 0; f < count; f++) {
        double squares = 0;
        for (size_t i = 0; i < s->elements[tensor]; i++)
            squares += (double)feature[i * count + f] * feature[i * count + f];
        s->scratch[f] = (float)(s->scratch[f] * sqrt(1e-5 + squares / (double)s->elements[tensor]));
        s->wanted[f] = 1;
    }
    return compare(s, SCO_REPLAY_TRACE, stage, tensor, step, s->scratch, s->wanted, count, 1, normaliser_bound);
}

/* A recorded stage into s->wanted; w2 and b2 are recorded with a third output that nothing reads. */
static enum sco_status load_traced(struct session *s, size_t step, const char *stage, size_t tensor, size_t count)
{
    const bool output = strcmp(stage, "w2") == 0 || strcmp(stage, "b2") == 0;
    const size_t columns = output ? 3 : 1, kept = output ? 2 : 1;
    const struct sco_trace_array *array = tensor == SIZE_MAX
                                              ? sco_trace_find(s->trace, "s%03zu/trace/%s", step, stage)
                                              : sco_trace_find(s->trace, "s%03zu/trace64/%s/%zu", step, stage, tensor);
    if (array == NULL || array->type != SCO_TRACE_F32 || array->elements != count / kept * columns)
        return lacks(s, stage, step, tensor);
    for (size_t i = 0; i < count; i++)
        s->wanted[i] = ((const float *)array->data)[i / kept * columns + i % kept];
    return SCO_OK;
}

/* What the step just made computed on the way, at the steps where the trace has it. */
static enum sco_status compare_traced(struct session *s, size_t step)
{
    if (s->baseline != NULL || sco_trace_find(s->trace, "s%03zu/trace/lstm_in", step) == NULL)
        return SCO_OK;
    for (size_t i = 0; i <= s->list.count; i++) {
        const size_t owner = state_owner(s, i);
        const char *stage;
        size_t count;
        for (size_t k = 0; (stage = sco_velo_traced(s->optim, owner, k, NULL, &count)) != NULL; k++) {
            sco_velo_traced(s->optim, owner, k, s->scratch, &count);
            enum sco_status status;
            if (strcmp(stage, "normaliser") == 0)
                status = compare_normalisers(s, step, owner, stage, count);
            else if ((status = load_traced(s, step, stage, owner, count)) == SCO_OK)
                status = compare(s, SCO_REPLAY_TRACE, stage, owner, step, s->scratch, s->wanted, count,
                                 rms(s->wanted, count), traced_bound);
            if (status != SCO_OK)
                return status;
        }
    }
    return SCO_OK;
}

/* Parameters after a step, and where recorded the update and the state. A single step of VeLO is measured by its update, in
 * which errors of the step show whatever the size of p. */
static enum sco_status compare_step(struct session *s, enum sco_replay_mode mode, size_t step)
{
    enum sco_status status = SCO_OK;
    for (size_t i = 0; i < s->list.count && status == SCO_OK; i++) {
        const float *p = recorded(s, "p", step, i);
        if (p == NULL)
            return lacks(s, "p", step, i);
        const size_t n = s->elements[i];
        const double run_bound = s->baseline != NULL ? s->baseline->bound : velo_run_bound;
        if (mode == SCO_REPLAY_RUN || s->baseline != NULL) {
            status = compare(s, mode, "p", i, step, s->p[i], p, n, rms(p, n), run_bound);
            continue;
        }
        const float *update = recorded(s, "upd64", step, i);
        if (update == NULL)
            return lacks(s, "upd64", step, i);
        const double scale = rms(update, n);
        for (size_t k = 0; k < n; k++)
            s->scratch[k] = s->before[i][k] - s->p[i][k];
        if ((status = compare(s, mode, "p", i, step, s->p[i], p, n, scale, velo_step_bound)) == SCO_OK)
            status = compare(s, mode, "update", i, step, s->scratch, update, n, scale, velo_step_bound);
    }
    return status == SCO_OK && is_kept(s, step) ? compare_state(s, mode, step) : status;
}

static enum sco_status replay_run(struct session *s)
{
    enum sco_status status = restore(s, 0);
    for (size_t step = 1; step <= s->steps && status == SCO_OK; step++)
        if ((status = make_step(s, step)) == SCO_OK)
            status = compare_step(s, SCO_REPLAY_RUN, step);
    return status;
}

/* From every state the trace keeps, the calls up to the end of the next inner step. */
static enum sco_status replay_steps(struct session *s)
{
    enum sco_status status = SCO_OK;
    for (size_t from = 0; from + s->stride <= s->steps && status == SCO_OK; from += s->stride) {
        if (from != 0 && !is_kept(s, from))
            continue;
        status = restore(s, from);
        for (size_t step = from + 1; step <= from + s->stride && status == SCO_OK; step++)
            status = make_step(s, step);
        if (status == SCO_OK && (status = compare_step(s, SCO_REPLAY_STEP, from + s->stride)) == SCO_OK)
            status = compare_traced(s, from + s->stride);
    }
    return status;
}

/* ---- Setting up ---- */

static void session_clear(struct session *s)
{
    sco_optim_destroy(s->optim);
    for (size_t i = 0; i < s->list.count; i++) {
        sco_free(s->p != NULL ? s->p[i] : NULL);
        sco_free(s->before != NULL ? s->before[i] : NULL);
    }
    free(s->p);
    free(s->before);
    free(s->g);
    free(s->elements);
    free((void *)s->list.tensors);
    sco_free(s->scratch);
    sco_free(s->wanted);
}

/* The tensor list of the trace, and room for parameters. */
static enum sco_status session_tensors(struct session *s)
{
    size_t count = 0;
    while (sco_trace_find(s->trace, "init/p/%zu", count) != NULL)
        count++;
    if (count == 0)
        return sco_fail(SCO_FORMAT, "trace %s: init/p/0 is missing", sco_trace_name(s->trace));
    struct sco_tensor *tensors = calloc(count, sizeof *tensors);
    s->list = (struct sco_tensor_list){tensors != NULL ? count : 0, tensors};
    s->elements = calloc(count, sizeof *s->elements);
    s->p = calloc(count, sizeof *s->p);
    s->before = calloc(count, sizeof *s->before);
    s->g = calloc(count, sizeof *s->g);
    bool memory = tensors != NULL && s->elements != NULL && s->p != NULL && s->before != NULL && s->g != NULL;
    for (size_t i = 0; i < count && memory; i++) {
        const struct sco_trace_array *p = sco_trace_find(s->trace, "init/p/%zu", i);
        if (p->rank > SCO_MAX_RANK)
            return sco_fail(SCO_SHAPE, "trace %s: init/p/%zu has rank %zu, above %d", sco_trace_name(s->trace), i,
                            p->rank, SCO_MAX_RANK);
        tensors[i].rank = p->rank;
        memcpy(tensors[i].shape, p->shape, p->rank * sizeof *p->shape);
        s->elements[i] = p->elements;
        s->p[i] = sco_alloc(p->elements * sizeof(float));
        s->before[i] = sco_alloc(p->elements * sizeof(float));
        memory = s->p[i] != NULL && s->before[i] != NULL;
        s->scratch_count = s->scratch_count > p->elements ? s->scratch_count : p->elements;
    }
    return memory ? SCO_OK : sco_fail(SCO_NOMEM, "trace %s: no memory for its tensors", sco_trace_name(s->trace));
}

static enum sco_status session_replay(struct session *s, struct sco_ctx *ctx, const struct sco_optim_config *config)
{
    enum sco_status status = sco_optim_create(&s->optim, ctx, config, &s->list);
    if (status != SCO_OK)
        return status;
    for (size_t i = 0; i <= s->list.count; i++) {
        const size_t owner = state_owner(s, i);
        size_t count;
        for (size_t k = 0; sco_optim_state_array(s->optim, owner, k, &count) != NULL; k++)
            s->scratch_count = s->scratch_count > count ? s->scratch_count : count;
        for (size_t k = 0; s->baseline == NULL && sco_velo_traced(s->optim, owner, k, NULL, &count) != NULL; k++)
            s->scratch_count = s->scratch_count > count ? s->scratch_count : count;
    }
    s->scratch = sco_alloc(s->scratch_count * sizeof(float));
    s->wanted = sco_alloc(s->scratch_count * sizeof(float));
    if (s->scratch == NULL || s->wanted == NULL)
        return sco_fail(SCO_NOMEM, "trace %s: no memory to compare", sco_trace_name(s->trace));
    if ((status = replay_steps(s)) == SCO_OK)
        status = replay_run(s);
    return status;
}

static enum sco_status whole_number(const struct sco_trace *trace, const char *key, uint64_t *value)
{
    double number;
    const enum sco_status status = sco_trace_number(trace, key, &number);
    if (status != SCO_OK)
        return status;
    if (!(number >= 0 && number < 0x1p53) || number != floor(number))
        return sco_fail(SCO_FORMAT, "trace %s: '%s' is %g, expected a count", sco_trace_name(trace), key, number);
    *value = (uint64_t)number;
    return SCO_OK;
}

static enum sco_status read_theta(struct sco_velo_theta **theta, const struct sco_trace *trace, const char *dir)
{
    const char *file;
    if (sco_trace_text(trace, "checkpoint/file", &file) == SCO_OK) {
        char *path;
        if (asprintf(&path, "%s/%s", dir, file) < 0)
            return sco_fail(SCO_NOMEM, "%s/%s: no memory for its name", dir, file);
        const enum sco_status status = sco_velo_theta_read(theta, path);
        free(path);
        return status;
    }
    uint64_t hidden, experts, seed;
    double magnitude, direction;
    enum sco_status status;
    if ((status = whole_number(trace, "lstm_hidden_size", &hidden)) != SCO_OK ||
        (status = whole_number(trace, "param_inits", &experts)) != SCO_OK ||
        (status = whole_number(trace, "weight_seed", &seed)) != SCO_OK ||
        (status = sco_trace_number(trace, "magcol", &magnitude)) != SCO_OK ||
        (status = sco_trace_number(trace, "dirscale", &direction)) != SCO_OK)
        return status;
    return sco_velo_theta_generate(theta, &(struct sco_velo_generator){.hidden = hidden,
                                                                       .experts = experts,
                                                                       .seed = seed,
                                                                       .magnitude_scale = (float)magnitude,
                                                                       .direction_scale = (float)direction});
}

static enum sco_status replay_velo(struct sco_replay *replay, struct sco_ctx *ctx, const struct sco_trace *trace,
                                   const char *dir)
{
    struct session s = {.replay = replay, .trace = trace, .optimizer = "velo", .stride = 1};
    struct sco_velo_theta *theta = NULL;
    const char *wrapper;
    uint64_t steps;
    struct sco_optim_config config;
    sco_optim_defaults(SCO_OPTIM_VELO, &config);
    config.past_end = SCO_VELO_EXCEED; /* as the reference does */
    enum sco_status status;
    if ((status = whole_number(trace, "num_steps", &config.num_steps)) != SCO_OK ||
        (status = whole_number(trace, "steps", &steps)) != SCO_OK ||
        (status = sco_trace_text(trace, "wrapper", &wrapper)) != SCO_OK)
        return status;
    s.steps = steps;
    const struct sco_trace_array *losses = sco_trace_find(trace, "losses");
    if (losses == NULL || losses->type != SCO_TRACE_F32 || losses->elements != s.steps)
        return sco_fail(SCO_FORMAT, "trace %s: losses are missing or not one per step", sco_trace_name(trace));
    s.losses = losses->data;
    /* The recorded wrappers; the json names them, the README has their numbers. */
    if (strcmp(wrapper, "wd") == 0)
        config.weight_decay = 0.01;
    else if (strcmp(wrapper, "accum") == 0)
        config.accumulate = s.stride = 3;
    else if (strcmp(wrapper, "none") != 0)
        return sco_fail(SCO_FORMAT, "trace %s: unknown wrapper '%s', expected none, wd or accum", sco_trace_name(trace),
                        wrapper);
    if ((status = read_theta(&theta, trace, dir)) != SCO_OK)
        return status;
    config.theta = theta;
    replay->weights = strdup(sco_velo_theta_origin(theta));
    if ((status = session_tensors(&s)) == SCO_OK)
        status = session_replay(&s, ctx, &config);
    session_clear(&s);
    sco_velo_theta_destroy(theta);
    return status;
}

static enum sco_status baseline_config(const struct sco_trace *trace, const struct baseline *baseline,
                                       struct sco_optim_config *config)
{
    double lr, decay, b1, b2, warmup, end, decay_steps, clip;
    uint64_t hint, min_dim;
    enum sco_status status;
    if ((status = sco_trace_number(trace, "hparams/lr", &lr)) != SCO_OK ||
        (status = sco_trace_number(trace, "hparams/weight_decay", &decay)) != SCO_OK ||
        (status = sco_trace_number(trace, "hparams/beta1", &b1)) != SCO_OK ||
        (status = sco_trace_number(trace, "hparams/beta2", &b2)) != SCO_OK ||
        (status = sco_trace_number(trace, "hparams/warmup_factor", &warmup)) != SCO_OK ||
        (status = sco_trace_number(trace, "hparams/end_factor", &end)) != SCO_OK ||
        (status = sco_trace_number(trace, "hparams/decay_steps_factor", &decay_steps)) != SCO_OK ||
        (status = sco_trace_number(trace, "hparams/grad_clip", &clip)) != SCO_OK ||
        (status = whole_number(trace, "hparams/step_hint", &hint)) != SCO_OK ||
        (status = whole_number(trace, "hparams/adafactor_min_dim", &min_dim)) != SCO_OK)
        return status;
    sco_optim_defaults(baseline->kind, config);
    config->schedule = (struct sco_schedule){.kind = baseline->schedule,
                                             .lr = lr,
                                             .warmup_steps = floor(warmup * (double)hint),
                                             .total_steps = hint,
                                             .end_factor = baseline->schedule == SCO_SCHEDULE_LINEAR ? end : 0,
                                             .decay_steps_factor = decay_steps};
    config->b1 = b1;
    if (baseline->kind != SCO_OPTIM_LION) /* recorded with optax's own b2, 0.99 */
        config->b2 = b2;
    config->weight_decay = baseline->decay ? decay : 0;
    config->grad_clip = baseline->clip ? clip : 0;
    config->nadam_optax = baseline->nadam_optax;
    config->adafactor_algoperf = baseline->adafactor_algoperf;
    config->adafactor_momentum = baseline->adafactor_momentum;
    config->adafactor_min_dim = min_dim;
    return SCO_OK;
}

static enum sco_status replay_baselines(struct sco_replay *replay, struct sco_ctx *ctx, const struct sco_trace *trace)
{
    uint64_t steps;
    enum sco_status status = whole_number(trace, "steps", &steps);
    for (size_t i = 0; i < sizeof baselines / sizeof *baselines && status == SCO_OK; i++) {
        struct session s = {.replay = replay,
                            .trace = trace,
                            .optimizer = baselines[i].name,
                            .baseline = &baselines[i],
                            .steps = steps,
                            .stride = 1};
        struct sco_optim_config config;
        if ((status = baseline_config(trace, &baselines[i], &config)) == SCO_OK &&
            (status = session_tensors(&s)) == SCO_OK)
            status = session_replay(&s, ctx, &config);
        session_clear(&s);
        if (status != SCO_OK)
            sco_fail_context(status, "%s", baselines[i].name);
    }
    return status;
}

enum sco_status sco_replay_create(struct sco_replay **out, struct sco_ctx *ctx, const char *dir, const char *name)
{
    struct sco_trace *trace;
    const char *kind;
    enum sco_status status = sco_trace_open(&trace, dir, name);
    if (status != SCO_OK)
        return status;
    struct sco_replay *replay = calloc(1, sizeof *replay);
    if (replay == NULL) {
        status = sco_fail(SCO_NOMEM, "no memory for a replay");
    } else if ((status = sco_trace_text(trace, "kind", &kind)) == SCO_OK) {
        replay->hash = 0xcbf29ce484222325;
        if (strcmp(kind, "velo") == 0)
            status = replay_velo(replay, ctx, trace, dir);
        else if (strcmp(kind, "baselines") == 0)
            status = replay_baselines(replay, ctx, trace);
        else
            status = sco_fail(SCO_FORMAT, "unknown kind '%s', expected velo or baselines", kind);
    }
    sco_trace_close(trace);
    if (status != SCO_OK) {
        sco_replay_destroy(replay);
        return sco_fail_context(status, "%s/%s", dir, name);
    }
    *out = replay;
    return SCO_OK;
}

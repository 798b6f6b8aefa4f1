/* SPDX-License-Identifier: Apache-2.0
 * The configuration of a run as it is recorded, and what two sittings of one run must have in common. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arch/fail.h"
#include "evaluation/run.h"
#include "stepcost/velo.h"

static json_t *number(double x)
{
    return isfinite(x) ? json_real(x) : json_null();
}

static json_t *count(uint64_t n)
{
    return json_integer((json_int_t)n);
}

enum sco_status sco_train_check(const struct sco_train_config *config)
{
    if ((unsigned)config->preset >= SCO_PRESETS)
        return sco_fail(SCO_INVALID, "preset %d does not exist", (int)config->preset);
    if ((unsigned)config->model.workload >= SCO_WORKLOADS)
        return sco_fail(SCO_INVALID, "workload %d does not exist", (int)config->model.workload);
    if (config->data.path == NULL || config->data.path[0] == '\0')
        return sco_fail(SCO_INVALID, "data: a folder, a file or \"synthetic\" is needed");
    if (!(config->max_runtime >= 0.0) || !(config->eval_period >= 0.0))
        return sco_fail(SCO_INVALID, "max_runtime is %g and eval_period %g seconds; neither may be below 0",
                        config->max_runtime, config->eval_period);
    if (config->fused_step && config->optim.grad_clip > 0.0)
        return sco_fail(SCO_INVALID, "grad_clip needs the gradients of all tensors at once, fused_step has one at a "
                                     "time; leave out one of the two");
    if (config->optim.kind == SCO_OPTIM_VELO && config->optim.theta == NULL)
        return sco_fail(SCO_INVALID, "velo needs weights");
    if (config->optim.kind == SCO_OPTIM_VELO && config->optim.num_steps == 0)
        return sco_fail(SCO_INVALID, "velo needs num_steps, the number of steps it is prompted with");
    if (config->steps == 0 && config->max_runtime == 0.0 && !config->until_targets && config->stop == NULL)
        return sco_fail(SCO_INVALID, "a run without steps, max_runtime, until_targets and stop would never end");
    return SCO_OK;
}

static uint64_t weights_hash(const struct sco_velo_theta *theta)
{
    uint64_t hash = SCO_HASH_START;
    for (size_t i = 0; i < SCO_VELO_ARRAYS; i++) {
        size_t shape[3] = {0}, rank = 0, n = 1;
        const float *values = sco_velo_theta_array(theta, sco_velo_theta_path(i), shape, &rank);
        for (size_t axis = 0; axis < rank; axis++)
            n *= shape[axis];
        if (values != NULL)
            hash = sco_hash_floats(hash, values, n);
    }
    return hash;
}

static json_t *schedule_object(const struct sco_schedule *schedule)
{
    static const char *const names[] = {
        [SCO_SCHEDULE_CONSTANT] = "constant", [SCO_SCHEDULE_COSINE] = "cosine", [SCO_SCHEDULE_LINEAR] = "linear"};
    json_t *object = json_pack("{s:s, s:o}", "kind", names[schedule->kind], "lr", number(schedule->lr));
    if (schedule->kind != SCO_SCHEDULE_CONSTANT) {
        json_object_set_new(object, "warmup_steps", number(schedule->warmup_steps));
        json_object_set_new(object, "total_steps", count(schedule->total_steps));
        json_object_set_new(object, "end_factor", number(schedule->end_factor));
    }
    if (schedule->kind == SCO_SCHEDULE_LINEAR)
        json_object_set_new(object, "decay_steps_factor", number(schedule->decay_steps_factor));
    return object;
}

static json_t *optimizer_object(const struct sco_optim_config *o)
{
    static const char *const policies[] = {"stop", "skip", "pass"};
    json_t *object =
        json_pack("{s:s, s:o, s:o, s:s}", "name", sco_optim_name(o->kind), "weight_decay", number(o->weight_decay),
                  "grad_clip", number(o->grad_clip), "nonfinite", policies[o->nonfinite]);
    if (o->kind == SCO_OPTIM_VELO) {
        char hash[24];
        snprintf(hash, sizeof hash, "%016llx", (unsigned long long)weights_hash(o->theta));
        json_object_set_new(object, "num_steps", count(o->num_steps));
        json_object_set_new(object, "past_end", json_integer(o->past_end));
        json_object_set_new(object, "accumulate", count(o->accumulate));
        json_object_set_new(object, "weights_hash", json_string(hash));
        return object;
    }
    json_object_set_new(object, "b1", number(o->b1));
    json_object_set_new(object, "b2", number(o->b2));
    json_object_set_new(object, "eps", number(o->eps));
    json_object_set_new(object, "schedule", schedule_object(&o->schedule));
    if (o->kind == SCO_OPTIM_ADAFACTOR) {
        json_object_set_new(object, "algoperf", json_integer(o->adafactor_algoperf));
        json_object_set_new(object, "min_dim", count(o->adafactor_min_dim));
        json_object_set_new(object, "momentum", json_integer(o->adafactor_momentum));
    }
    if (o->kind == SCO_OPTIM_NADAM || o->kind == SCO_OPTIM_NADAMW)
        json_object_set_new(object, "optax", json_integer(o->nadam_optax));
    return object;
}

static json_t *model_object(const struct sco_model *model)
{
    const struct sco_model_config *m = sco_model_get_config(model);
    json_t *object = json_pack("{s:o, s:o, s:o, s:o, s:o, s:o}", "width", number(m->width), "depth", count(m->depth),
                               "most_samples", count(m->batch), "tensors", count(sco_model_tensors(model)->count),
                               "parameters", count(sco_model_get_plan(model)->parameters), "dropout",
                               m->has_dropout ? number((double)m->dropout) : json_string("default"));
    switch (m->workload) {
    case SCO_RESNET50:
        json_object_set_new(object, "label_smoothing", number((double)m->label_smoothing));
        json_object_set_new(object, "classes", count(m->classes)); /* fall through */
    case SCO_UNET:
        json_object_set_new(object, "height", count(m->H));
        json_object_set_new(object, "width_pixels", count(m->W));
        break;
    case SCO_OGBG:
        json_object_set_new(object, "tasks", count(m->classes));
        json_object_set_new(object, "max_nodes", count(m->max_nodes));
        json_object_set_new(object, "max_edges", count(m->max_edges));
        break;
    default: json_object_set_new(object, "table_rows", count(m->table_rows)); break;
    }
    return object;
}

json_t *sco_train_identity(const struct sco_train_config *config, const struct sco_train_plan *plan,
                           const struct sco_model *model)
{
    const struct sco_dataset_facts *facts = &plan->data;
    return json_pack("{s:s, s:s, s:o, s:o, s:o, s:o, s:s, s:s, s:o, s:o}", "workload",
                     sco_workload_name(config->model.workload), "preset", sco_preset_name(config->preset), "batch",
                     count(config->model.batch), "seed", count(config->seed), "synthetic",
                     json_boolean(facts->synthetic), "train_samples", count(facts->samples), "on_bad_sample",
                     config->data.bad_sample == SCO_BAD_SKIP ? "skip" : "stop", "step",
                     config->fused_step ? "fused" : "after backward", "optimizer", optimizer_object(&config->optim),
                     "model", model_object(model));
}

/* Which of the preset's constants the run does not use. */
static json_t *overrides(const struct sco_train_config *c)
{
    const struct sco_protocol *protocol = sco_protocol_of(c->preset, c->model.workload);
    const struct {
        const char *name;
        bool differs;
    } settings[] = {
        {"batch", c->model.batch != protocol->batch},
        {"eval_batch", c->eval_batch != protocol->eval_batch},
        {"eval_period", c->eval_steps != 0 || c->no_evaluation || c->eval_period != protocol->eval_period},
        {"eval_samples", c->eval_samples != 0},
        {"max_runtime", c->max_runtime != protocol->max_runtime},
        {"until_targets", !c->until_targets},
        {"steps", c->steps != 0},
        {"width", c->model.width != 0.0 && c->model.width != 1.0},
        {"depth", c->model.depth != 0},
        {"side", c->data.side != 0},
        {"classes", c->model.classes != 0},
        {"table_rows", c->data.table_rows != 0},
        {"dropout", c->model.has_dropout != 0},
        {"label_smoothing", c->model.label_smoothing != 0.0f},
    };
    json_t *list = json_array();
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++)
        if (settings[i].differs)
            json_array_append_new(list, json_string(settings[i].name));
    return list;
}

json_t *sco_train_settings(const struct sco_train_config *config, size_t threads)
{
    const char *tune = getenv("STEPCOST_TUNE");
    json_t *object = json_pack(
        "{s:s, s:o, s:o, s:b, s:o, s:o, s:o, s:o, s:b, s:o, s:o, s:o, s:o}", "data", config->data.path, "steps",
        count(config->steps), "max_runtime", number(config->max_runtime), "until_targets", config->until_targets,
        "eval_batch", count(config->eval_batch), "eval_samples", count(config->eval_samples), "eval_period",
        number(config->eval_period), "eval_steps", count(config->eval_steps), "no_evaluation", config->no_evaluation,
        "checkpoint_steps", count(config->checkpoint_steps), "threads", count(threads), "workers",
        count(config->data.workers), "not_the_preset's", overrides(config));
    json_object_set_new(object, "tune", tune != NULL && tune[0] != '\0' ? json_string(tune) : json_null());
    return object;
}

static enum sco_status differs(const char *where, const char *prefix, const char *key, const json_t *saved,
                               const json_t *mine)
{
    char *theirs = saved != NULL ? json_dumps(saved, JSON_ENCODE_ANY | JSON_REAL_PRECISION(9)) : NULL;
    char *ours = mine != NULL ? json_dumps(mine, JSON_ENCODE_ANY | JSON_REAL_PRECISION(9)) : NULL;
    sco_fail(SCO_INVALID,
             "%s: is of a run with %s%s = %s, this one has %s; resume with the same options, or choose "
             "another folder",
             where, prefix, key, theirs != NULL ? theirs : "nothing", ours != NULL ? ours : "nothing");
    free(theirs);
    free(ours);
    return SCO_INVALID;
}

static enum sco_status compare(const char *where, const char *prefix, const json_t *saved, const json_t *mine)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)mine, key, value)
    {
        const json_t *other = json_object_get(saved, key);
        if (other != NULL && json_equal(other, value))
            continue;
        if (!json_is_object(value) || !json_is_object(other))
            return differs(where, prefix, key, other, value);
        char inner[128];
        snprintf(inner, sizeof inner, "%s%s.", prefix, key);
        return compare(where, inner, other, value);
    }
    json_object_foreach((json_t *)saved, key, value)
    {
        if (json_object_get(mine, key) == NULL)
            return differs(where, prefix, key, value, NULL);
    }
    return SCO_OK;
}

enum sco_status sco_train_same(const char *where, const json_t *saved, const json_t *mine)
{
    return compare(where, "", saved, mine);
}

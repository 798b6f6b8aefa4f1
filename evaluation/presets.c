/* SPDX-License-Identifier: Apache-2.0
 * The constants of the presets, in one table, and the optimizers that the study compares. */
#include <stdio.h>
#include <string.h>

#include "arch/fail.h"
#include "stepcost/train.h"

static const char *const preset_names[SCO_PRESETS] = {
    [SCO_PRESET_STUDY] = "study",
    [SCO_PRESET_ALGOPERF_05] = "algoperf-0.5",
    [SCO_PRESET_ALGOPERF_06] = "algoperf-0.6",
};

static const struct sco_protocol protocols[SCO_PRESETS][SCO_WORKLOADS] =
    {
        [SCO_PRESET_STUDY] =
            {
                [SCO_RESNET50] = {1024,
                                  1024,
                                  1281167,
                                  50000,
                                  10000,
                                  81783,
                                  661,
                                  0.77431,
                                  0.6560,
                                  186666,
                                  {156960, 117720, 196200, 150000}},
                [SCO_OGBG] = {512,
                              32768,
                              350343,
                              43793,
                              43793,
                              14859,
                              193,
                              0.28098,
                              0.268729,
                              80000,
                              {74972, 56229, 93715, 80000}},
                [SCO_DLRM] = {262144,
                              524288,
                              4195197692,
                              89000000,
                              89274637,
                              11387,
                              177,
                              0.123649,
                              0.126060,
                              10666,
                              {7545, 5658, 9431, 7000}},
                [SCO_UNET] =
                    {32, 256, 34742, 3554, 3581, 10308, 93, 0.7344, 0.741652, 36189, {37160, 27870, 46450, 36000}},
            },
        [SCO_PRESET_ALGOPERF_05] =
            {
                [SCO_RESNET50] = {1024, 1024, 1281167, 50000, 10000, 63008, 510, 0.77431, 0.6560, 186666, {0, 0, 0, 0}},
                [SCO_OGBG] = {512, 32768, 350343, 43793, 43793, 18477, 240, 0.28098, 0.268729, 80000, {0, 0, 0, 0}},
                [SCO_DLRM] = {262144,
                              524288,
                              4195197692,
                              83274637,
                              95000000,
                              7703,
                              120,
                              0.123735,
                              0.126041,
                              10666,
                              {0, 0, 0, 0}},
                [SCO_UNET] = {32, 256, 34742, 3554, 3581, 8859, 80, 0.723653, 0.740633, 36189, {0, 0, 0, 0}},
            },
        [SCO_PRESET_ALGOPERF_06] =
            {
                [SCO_RESNET50] = {1024, 1024, 1281167, 50000, 10000, 66159, 510, 0.77431, 0.6560, 195999, {0, 0, 0, 0}},
                [SCO_OGBG] = {512, 32768, 350343, 43793, 43793, 12011, 240, 0.28098, 0.268729, 52000, {0, 0, 0, 0}},
                [SCO_DLRM] = {262144,
                              524288,
                              4195197692,
                              83274637,
                              95000000,
                              7703,
                              120,
                              0.123735,
                              0.126041,
                              10666,
                              {0, 0, 0, 0}},
                [SCO_UNET] = {32, 256, 34742, 3554, 3581, 4430, 80, 0.723653, 0.740633, 18094, {0, 0, 0, 0}},
            },
};

const char *sco_preset_name(enum sco_preset preset)
{
    return preset_names[preset];
}

enum sco_status sco_preset_parse(const char *name, enum sco_preset *preset)
{
    for (size_t i = 0; i < SCO_PRESETS; i++)
        if (strcmp(name, preset_names[i]) == 0) {
            *preset = (enum sco_preset)i;
            return SCO_OK;
        }
    return sco_fail(SCO_INVALID, "unknown preset \"%s\"; there are study, algoperf-0.5, algoperf-0.6", name);
}

const struct sco_protocol *sco_protocol_of(enum sco_preset preset, enum sco_workload workload)
{
    return &protocols[preset][workload];
}

const char *sco_workload_metric(enum sco_workload workload)
{
    static const char *const names[SCO_WORKLOADS] = {
        [SCO_RESNET50] = "accuracy", [SCO_OGBG] = "mean_average_precision", [SCO_DLRM] = "loss", [SCO_UNET] = "ssim"};
    return names[workload];
}

/* The study's baselines, one point for every workload. A warm-up of 5 % of the horizon, not rounded. */
static void baseline(enum sco_optim_kind kind, uint64_t step_hint, struct sco_optim_config *optim)
{
    const int momentum = kind == SCO_OPTIM_HEAVY_BALL || kind == SCO_OPTIM_NESTEROV;
    struct sco_schedule *schedule = &optim->schedule;
    sco_optim_defaults(kind, optim);
    schedule->total_steps = momentum ? step_hint : step_hint * 3 / 4;
    schedule->warmup_steps = 0.05 * (double)schedule->total_steps;
    schedule->kind = momentum ? SCO_SCHEDULE_LINEAR : SCO_SCHEDULE_COSINE;
    schedule->end_factor = momentum ? 0.02 : 1e-4; /* momentum: to a rate of 0.001 */
    schedule->decay_steps_factor = 1.0;
    switch (kind) {
    case SCO_OPTIM_HEAVY_BALL:
    case SCO_OPTIM_NESTEROV:
        schedule->lr = 0.05;
        optim->b1 = 0.9;
        optim->weight_decay = 0.0;
        break;
    case SCO_OPTIM_ADAM:
    case SCO_OPTIM_NADAM:
    case SCO_OPTIM_NADAMW:
        schedule->lr = kind == SCO_OPTIM_ADAM ? 0.005 : 0.01;
        optim->b1 = 0.9;
        optim->b2 = 0.999;
        optim->eps = 1e-8;
        optim->weight_decay = kind == SCO_OPTIM_NADAMW ? 0.004 : 0.0;
        break;
    case SCO_OPTIM_VELO: sco_optim_defaults(kind, optim); break; /* its rate is its own */
    default: break;                                              /* not in the study: the kind's own defaults */
    }
}

void sco_train_defaults(enum sco_preset preset, enum sco_workload workload, enum sco_optim_kind kind,
                        struct sco_train_config *config)
{
    const struct sco_protocol *protocol = sco_protocol_of(preset, workload);
    *config = (struct sco_train_config){
        .preset = preset,
        .model = {.workload = workload, .batch = protocol->batch},
        .max_runtime = protocol->max_runtime,
        .eval_period = protocol->eval_period,
        .until_targets = 1,
        .log_steps = 1,
    };
    baseline(kind, protocol->step_hint, &config->optim);
}

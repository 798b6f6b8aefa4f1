/* SPDX-License-Identifier: Apache-2.0
 * What the files of `stepcost train` share. */
#ifndef SCO_CLI_TRAINING_H
#define SCO_CLI_TRAINING_H

#include "cli/cli.h"
#include "stepcost/ctx.h"
#include "stepcost/microbench.h"
#include "stepcost/train.h"

struct training {
    struct sco_train_config config;
    struct sco_velo_theta *theta;
    struct sco_ctx *ctx;
    struct sco_environment *environment;
    struct cli_output json;
    size_t bench_steps, warmup_steps;
    bool predict; /* time the optimizer as `stepcost cost` does */
};

/* Milliseconds of the optimizer's step over these tensors as `stepcost cost` measures it, and the multiply-add peak of the
 * machine; not measured: why says it, and the figures are 0. */
struct prediction {
    double ms, peak_gflops;
    char why[320];
};
void training_predict(const struct training *training, const struct sco_tensor_list *tensors, struct prediction *out);

/* Each returns the exit code. */
int training_dry_run(struct training *training);
int training_bench(struct training *training);

/* "ogbg on made-up data with adam, 2 threads" */
char *training_title(const struct training *training, const struct sco_train_plan *plan, char *text, size_t bytes);

/* How many units, and the unit: "12.3 k". */
char *training_count(char text[16], double n);

#endif

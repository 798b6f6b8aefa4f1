/* SPDX-License-Identifier: Apache-2.0
 * Training runs on tiny models and made-up data: presets, the bits of a run whatever the team, the fused step and
 * interruptions, records, protocol, refusals. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "stepcost/train.h"
#include "stepcost/velo.h"

static struct sco_ctx *one, *three; /* contexts of so many threads */
static struct sco_velo_theta *theta;
static char folder[256];

static struct sco_train_config tiny(enum sco_workload workload, enum sco_optim_kind kind, uint64_t steps)
{
    static const struct {
        size_t batch, depth, side, table_rows;
        double width;
    } size[SCO_WORKLOADS] = {
        [SCO_RESNET50] = {4, 1, 32, 0, 1.0 / 16},
        [SCO_OGBG] = {8, 1, 0, 0, 1.0 / 16},
        [SCO_DLRM] = {32, 1, 0, 500, 1.0 / 16},
        [SCO_UNET] = {2, 1, 32, 0, 1.0 / 16},
    };
    struct sco_train_config config;
    sco_train_defaults(SCO_PRESET_STUDY, workload, kind, &config);
    config.model.batch = size[workload].batch;
    config.model.depth = size[workload].depth;
    config.model.width = size[workload].width;
    config.data.path = "synthetic";
    config.data.side = size[workload].side;
    config.data.table_rows = size[workload].table_rows;
    config.data.samples = 256;
    config.seed = 7;
    config.steps = steps;
    config.max_runtime = 0.0;
    config.until_targets = 0;
    config.eval_samples = 16;
    config.eval_steps = 5;
    if (kind == SCO_OPTIM_VELO) {
        config.optim.theta = theta;
        config.optim.num_steps = steps;
    } else {
        config.optim.schedule = (struct sco_schedule){.kind = SCO_SCHEDULE_CONSTANT, .lr = 1e-3};
    }
    return config;
}

/* Removes the test's folder and what is in it. */
static void clean(void)
{
    DIR *dir = opendir(folder);
    if (dir == NULL)
        return;
    for (const struct dirent *entry; (entry = readdir(dir)) != NULL;)
        unlinkat(dirfd(dir), entry->d_name, 0);
    closedir(dir);
    rmdir(folder);
}

static void succeed(enum sco_status status)
{
    if (status != SCO_OK)
        fail_msg("%s", sco_error_message());
}

static struct sco_run *open_run(struct sco_ctx *ctx, const struct sco_train_config *config)
{
    struct sco_run *run = NULL;
    succeed(sco_run_open(&run, ctx, config));
    return run;
}

/* Runs to the end and returns the hash of the parameters. */
static uint64_t finish(struct sco_run *run)
{
    while (!sco_run_get_progress(run)->done)
        succeed(sco_run_step(run));
    succeed(sco_run_finish(run));
    const uint64_t hash = sco_run_hash(run);
    sco_run_close(run);
    return hash;
}

static uint64_t hash_of(struct sco_ctx *ctx, const struct sco_train_config *config)
{
    return finish(open_run(ctx, config));
}

/* ---- Presets ----------------------------------------------------------------------------------------------------- */

static void test_presets(void **state)
{
    (void)state;
    enum sco_preset preset;
    for (size_t i = 0; i < SCO_PRESETS; i++) {
        assert_int_equal(sco_preset_parse(sco_preset_name((enum sco_preset)i), &preset), SCO_OK);
        assert_int_equal(preset, i);
    }
    assert_int_equal(sco_preset_parse("algoperf", &preset), SCO_INVALID);
    assert_non_null(strstr(sco_error_message(), "algoperf-0.6"));

    /* One number of each kind, and each where presets differ. */
    const struct sco_protocol *study = sco_protocol_of(SCO_PRESET_STUDY, SCO_UNET);
    const struct sco_protocol *v05 = sco_protocol_of(SCO_PRESET_ALGOPERF_05, SCO_UNET);
    const struct sco_protocol *v06 = sco_protocol_of(SCO_PRESET_ALGOPERF_06, SCO_UNET);
    assert_int_equal(study->batch, 32);
    assert_int_equal(study->eval_batch, 256);
    assert_true(study->max_runtime == 10308 && v05->max_runtime == 8859 && v06->max_runtime == 4430);
    assert_true(study->eval_period == 93 && v05->eval_period == 80 && v06->eval_period == 80);
    assert_true(study->validation_target == 0.7344 && v05->validation_target == 0.723653);
    assert_true(study->step_hint == 36189 && v05->step_hint == 36189 && v06->step_hint == 18094);
    assert_true(study->velo.full == 37160 && study->velo.three_quarters == 27870 && v05->velo.full == 0);
    for (size_t w = 0; w < SCO_WORKLOADS; w++) {
        const struct sco_prompts *velo = &sco_protocol_of(SCO_PRESET_STUDY, (enum sco_workload)w)->velo;
        assert_int_equal(velo->three_quarters, velo->full * 3 / 4);
        assert_in_range(velo->long_run, velo->full * 5 / 4, velo->full * 5 / 4 + 1);
    }
    assert_string_equal(sco_workload_metric(SCO_OGBG), "mean_average_precision");
}

static void test_baselines(void **state)
{
    (void)state;
    struct sco_train_config config;
    sco_train_defaults(SCO_PRESET_STUDY, SCO_DLRM, SCO_OPTIM_NADAMW, &config);
    const struct sco_schedule *schedule = &config.optim.schedule;
    assert_int_equal(schedule->total_steps, 7999);
    assert_true(schedule->warmup_steps == 0.05 * 7999 && schedule->lr == 0.01 && config.optim.weight_decay == 0.004);
    assert_true(sco_schedule_lr(schedule, 0) == 0.0);
    assert_true(fabs(sco_schedule_lr(schedule, 7999) - 1e-6) < 1e-18);
    sco_train_defaults(SCO_PRESET_STUDY, SCO_DLRM, SCO_OPTIM_NESTEROV, &config);
    assert_int_equal(schedule->total_steps, 10666);
    assert_true(fabs(sco_schedule_lr(schedule, 20000) - 0.001) < 1e-15);
    assert_true(config.max_runtime == 11387 && config.until_targets && config.model.batch == 262144);
}

/* ---- Bits -------------------------------------------------------------------------------------------------------- */

/* One step at a time, all at once, with one thread and with three: the parameters have the same bits. */
static void same_bits(enum sco_workload workload)
{
    static const enum sco_optim_kind kinds[] = {SCO_OPTIM_ADAM, SCO_OPTIM_NADAMW, SCO_OPTIM_NESTEROV, SCO_OPTIM_VELO};
    uint64_t last = 0;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        struct sco_train_config config = tiny(workload, kinds[i], 4);
        config.no_evaluation = 1;
        const uint64_t hash = hash_of(one, &config);
        assert_int_equal(hash_of(three, &config), hash);
        config.fused_step = 1;
        config.data.workers = 2;
        assert_int_equal(hash_of(three, &config), hash);
        assert_int_not_equal(hash, last);
        last = hash;
    }
}

/* Mean loss of the first and of the last tenth of the steps. */
static void loss_falls(enum sco_workload workload, enum sco_optim_kind kind, double lr, uint64_t steps)
{
    struct sco_train_config config = tiny(workload, kind, steps);
    double first = 0.0, last = 0.0;
    config.no_evaluation = 1;
    config.optim.schedule.lr = lr;
    struct sco_run *run = open_run(one, &config);
    const struct sco_run_progress *progress = sco_run_get_progress(run);
    for (uint64_t step = 0; step < steps; step++) {
        succeed(sco_run_step(run));
        if (step < steps / 10)
            first += progress->loss;
        if (step >= steps - steps / 10)
            last += progress->loss;
    }
    if (!(last < 0.97 * first))
        fail_msg("%s, %s: the loss went from %g to %g", sco_workload_name(workload), sco_optim_name(kind),
                 first / (double)(steps / 10), last / (double)(steps / 10));
    sco_run_close(run);
}

static void learns(enum sco_workload workload, uint64_t steps, double momentum_lr)
{
    loss_falls(workload, SCO_OPTIM_ADAM, 2e-3, steps);
    loss_falls(workload, SCO_OPTIM_NADAMW, 2e-3, steps);
    loss_falls(workload, SCO_OPTIM_NESTEROV, momentum_lr, steps);
}

static void test_resnet(void **state)
{
    (void)state;
    same_bits(SCO_RESNET50);
    learns(SCO_RESNET50, 150, 0.02);
}

static void test_ogbg(void **state)
{
    (void)state;
    same_bits(SCO_OGBG);
    learns(SCO_OGBG, 150, 0.05);
}

static void test_dlrm(void **state)
{
    (void)state;
    same_bits(SCO_DLRM);
    learns(SCO_DLRM, 200, 0.05);
}

static void test_unet(void **state)
{
    (void)state;
    same_bits(SCO_UNET);
    learns(SCO_UNET, 150, 0.05);
}

/* ---- Records and resumption -------------------------------------------------------------------------------------- */

static char *read_text(const char *name)
{
    char path[320];
    static char text[1 << 18];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    const size_t bytes = fread(text, 1, sizeof text - 1, file);
    text[bytes] = '\0';
    fclose(file);
    return text;
}

static void append(const char *name, const char *text)
{
    char path[320];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "a");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

/* Every line an object; steps from 1 to steps, each once and in order; the times of a sitting's parts are all there. */
static void check_events(uint64_t steps)
{
    json_int_t last = 0, sum = 0, evaluations = 0;
    json_error_t error;
    char *line = read_text("events.jsonl");
    for (char *end; (end = strchr(line, '\n')) != NULL; line = end + 1) {
        json_t *event = json_loadb(line, (size_t)(end - line), 0, &error);
        assert_non_null(event);
        const char *kind = json_string_value(json_object_get(event, "event"));
        const json_int_t step = json_integer_value(json_object_get(event, "step"));
        if (strcmp(kind, "step") == 0) {
            assert_int_equal(step, last + 1);
            last = step;
        } else if (strcmp(kind, "start") == 0 || strcmp(kind, "resume") == 0) {
            assert_true(json_is_true(json_object_get(event, "synthetic_data")));
            assert_non_null(json_object_get(json_object_get(event, "configuration"), "optimizer"));
        } else if (strcmp(kind, "evaluation") == 0) {
            evaluations++;
        } else if (strcmp(kind, "end") == 0) {
            const char *key;
            json_t *value;
            json_object_foreach(json_object_get(event, "ns"), key, value) sum += json_integer_value(value);
            assert_int_equal(sum, json_integer_value(json_object_get(event, "wall_ns")));
        }
        json_decref(event);
    }
    assert_string_equal(line, "");
    assert_int_equal(last, steps);
    assert_true(evaluations > 0 && sum > 0);
}

static void check_measurements(const char *const *steps)
{
    char *text = read_text("measurements.csv"), *rest = text, *line = strsep(&rest, "\n");
    assert_non_null(line);
    for (; *steps != NULL; steps++) {
        line = strsep(&rest, "\n");
        assert_non_null(line);
        char *cell = NULL;
        for (size_t column = 0; column < 4; column++)
            cell = strsep(&line, ",");
        assert_string_equal(cell, *steps);
    }
    assert_string_equal(rest, "");
}

static void test_columns(void **state)
{
    (void)state;
    struct sco_train_config config = tiny(SCO_OGBG, SCO_OPTIM_ADAM, 11);
    config.out = folder;
    clean();
    hash_of(one, &config);
    static const char header[] =
        "accumulated_eval_time,accumulated_logging_time,accumulated_submission_time,global_step,preemption_count,score,"
        "test/loss,test/mean_average_precision,test/num_examples,total_duration,train/loss,"
        "train/mean_average_precision,validation/loss,validation/mean_average_precision,validation/num_examples\n";
    assert_memory_equal(read_text("measurements.csv"), header, sizeof header - 1);
    check_measurements((const char *const[]){"1", "5", "10", "11", NULL});
    check_events(11);

    config = tiny(SCO_DLRM, SCO_OPTIM_ADAM, 1);
    config.out = folder;
    clean();
    hash_of(one, &config);
    static const char clicks[] =
        "accumulated_eval_time,accumulated_logging_time,accumulated_submission_time,global_step,"
        "preemption_count,score,test/loss,test/num_examples,total_duration,train/loss,"
        "validation/loss,validation/num_examples\n";
    assert_memory_equal(read_text("measurements.csv"), clicks, sizeof clicks - 1);
    clean();
}

static void test_parts_close(void **state)
{
    (void)state;
    struct sco_train_config config = tiny(SCO_DLRM, SCO_OPTIM_ADAM, 6);
    config.out = folder;
    config.counters = 1;
    clean();
    struct sco_run *run = open_run(one, &config);
    const struct sco_run_progress *p = sco_run_get_progress(run);
    while (!p->done) {
        succeed(sco_run_step(run));
        uint64_t sum = 0;
        for (size_t part = 0; part < SCO_PARTS; part++) {
            sum += p->total_ns[part];
            assert_true(p->seconds_ns[part] <= p->total_ns[part]);
        }
        assert_int_equal(sum, p->wall_ns);
        for (size_t part = SCO_PART_DATA; part <= SCO_PART_OPTIMIZER; part++)
            assert_true(p->seconds_ns[part] > 0);
    }
    const struct sco_run_counters *counters = sco_run_get_counters(run);
    assert_true(counters->count > 0);
    for (size_t i = 0; i < counters->count; i++) {
        const int64_t forward = counters->total[SCO_PART_FORWARD][i];
        if (counters->event[i].source == SCO_COUNTER_ABSENT)
            assert_true(forward == SCO_COUNT_ABSENT && counters->event[i].reason[0] != '\0');
        else
            assert_true(forward >= 0);
    }
    sco_run_close(run);
    clean();
}

/* Killed between two steps, resumed by another team, with what the killed process wrote later in the files. */
static void resume_gives_the_same(enum sco_workload workload, enum sco_optim_kind kind, int fused)
{
    struct sco_train_config config = tiny(workload, kind, 11);
    config.fused_step = fused;
    const uint64_t whole = hash_of(one, &config);

    config.out = folder;
    config.checkpoint_steps = 4;
    clean();
    struct sco_run *run = open_run(one, &config);
    for (int i = 0; i < 6; i++)
        succeed(sco_run_step(run));
    sco_run_close(run);
    append("events.jsonl", "{\"event\":\"step\",\"st");
    append("measurements.csv", "0.1,0.2,0.3,6,");

    run = open_run(three, &config);
    assert_int_equal(sco_run_get_progress(run)->step, 4);
    assert_int_equal(sco_run_get_progress(run)->preemptions, 1);
    assert_int_equal(finish(run), whole);
    check_events(11);
    check_measurements((const char *const[]){"1", "5", "10", "11", NULL});

    /* A run that is over says so, and changes nothing. */
    run = open_run(one, &config);
    assert_int_equal(sco_run_get_progress(run)->step, 11);
    assert_int_equal(finish(run), whole);
    check_measurements((const char *const[]){"1", "5", "10", "11", NULL});
    clean();
}

static void test_resume(void **state)
{
    (void)state;
    resume_gives_the_same(SCO_OGBG, SCO_OPTIM_ADAM, 0);
    resume_gives_the_same(SCO_OGBG, SCO_OPTIM_VELO, 1);
    resume_gives_the_same(SCO_DLRM, SCO_OPTIM_NESTEROV, 0);
    resume_gives_the_same(SCO_RESNET50, SCO_OPTIM_NADAMW, 0);
    resume_gives_the_same(SCO_UNET, SCO_OPTIM_VELO, 0);
}

static void test_killed_before_the_first_checkpoint(void **state)
{
    (void)state;
    struct sco_train_config config = tiny(SCO_DLRM, SCO_OPTIM_ADAM, 5);
    config.out = folder;
    clean();
    struct sco_run *run = open_run(one, &config);
    succeed(sco_run_step(run));
    sco_run_close(run);
    config.seed = 8;
    assert_int_equal(sco_run_open(&run, one, &config), SCO_INVALID);
    assert_non_null(strstr(sco_error_message(), "seed = 7, this one has 8"));
    config.seed = 7;
    hash_of(one, &config);
    check_events(5);
    check_measurements((const char *const[]){"1", "5", NULL});
    clean();
}

static void refuse(const struct sco_train_config *config, enum sco_status status, const char *text)
{
    struct sco_run *run;
    assert_int_equal(sco_run_open(&run, one, config), status);
    assert_null(run);
    if (strstr(sco_error_message(), text) == NULL)
        fail_msg("\"%s\" lacks \"%s\"", sco_error_message(), text);
}

static void test_other_configurations(void **state)
{
    (void)state;
    const struct sco_train_config config = tiny(SCO_DLRM, SCO_OPTIM_ADAM, 3);
    struct sco_train_config other;
    struct sco_train_config saved = config;
    saved.out = folder;
    clean();
    const uint64_t hash = hash_of(one, &saved);
    other = saved;
    other.optim.schedule.lr = 2e-3;
    refuse(&other, SCO_INVALID, "optimizer.schedule.lr = 0.001, this one has 0.002");
    other = saved;
    other.model.batch = 16;
    refuse(&other, SCO_INVALID, "batch = 32, this one has 16");
    other = tiny(SCO_OGBG, SCO_OPTIM_ADAM, 3);
    other.out = folder;
    refuse(&other, SCO_INVALID, "workload");
    other = saved;
    other.model.width = 0.125;
    refuse(&other, SCO_INVALID, "model.width");

    /* More steps are the same run. */
    other = config;
    other.steps = 6;
    const uint64_t longer = hash_of(one, &other);
    assert_int_not_equal(longer, hash);
    other.out = folder;
    assert_int_equal(hash_of(one, &other), longer);
    clean();
}

static void test_damaged_folders(void **state)
{
    (void)state;
    struct sco_train_config config = tiny(SCO_DLRM, SCO_OPTIM_ADAM, 3);
    char path[320];
    config.out = folder;
    clean();
    hash_of(one, &config);

    struct sco_run *run = open_run(one, &config);
    refuse(&config, SCO_INVALID, "another run writes to it");
    sco_run_close(run);
    snprintf(path, sizeof path, "%s/measurements.csv", folder);
    assert_int_equal(truncate(path, 10), 0);
    refuse(&config, SCO_FORMAT, "has 10 bytes, the checkpoint was saved with");

    clean();
    config.out = "no/such/folder";
    refuse(&config, SCO_IO, "no/such/folder: the folder cannot be made");
    config.out = folder;
    struct sco_train_config first = config;
    run = open_run(one, &first);
    sco_run_close(run);
    snprintf(path, sizeof path, "%s/events.jsonl", folder);
    assert_int_equal(truncate(path, 0), 0);
    append("events.jsonl", "somebody's notes\n");
    refuse(&config, SCO_FORMAT, "not an event of a run");
    assert_string_equal(read_text("events.jsonl"), "somebody's notes\n");
    clean();
}

/* ---- Protocol ---------------------------------------------------------------------------------------------------- */

static int countdown(void *argument)
{
    return (*(int *)argument)-- <= 0;
}

static void test_stop(void **state)
{
    (void)state;
    struct sco_train_config config = tiny(SCO_DLRM, SCO_OPTIM_ADAM, 9);
    const uint64_t whole = hash_of(one, &config);
    config.out = folder;
    /* Between steps and in the middle of evaluations. */
    for (int polls = 0; polls < 12; polls++) {
        int left = polls;
        clean();
        config.stop = countdown;
        config.stop_argument = &left;
        struct sco_run *run = open_run(one, &config);
        while (!sco_run_get_progress(run)->done)
            succeed(sco_run_step(run));
        assert_int_equal(sco_run_get_progress(run)->end, SCO_RUN_STOPPED);
        succeed(sco_run_finish(run));
        sco_run_close(run);
        config.stop = NULL;
        assert_int_equal(hash_of(one, &config), whole);
        check_events(9);
        check_measurements((const char *const[]){"1", "5", "9", NULL});
    }
    clean();
}

static void test_ends(void **state)
{
    (void)state;
    struct sco_train_config config = tiny(SCO_DLRM, SCO_OPTIM_ADAM, 0);
    config.max_runtime = 1e-9;
    struct sco_run *run = open_run(one, &config);
    succeed(sco_run_step(run));
    assert_int_equal(sco_run_get_progress(run)->end, SCO_RUN_RUNTIME);
    assert_int_equal(sco_run_get_progress(run)->evaluated, 1);
    sco_run_close(run);

    /* By time: after step 1, and when training is complete. */
    config = tiny(SCO_DLRM, SCO_OPTIM_ADAM, 3);
    config.eval_steps = 0;
    config.eval_period = 1e6;
    run = open_run(one, &config);
    const struct sco_run_progress *progress = sco_run_get_progress(run);
    succeed(sco_run_step(run));
    assert_int_equal(progress->evaluated, 1);
    assert_int_equal(progress->validation.samples, 16);
    assert_true(isfinite(progress->test.loss));
    succeed(sco_run_step(run));
    assert_int_equal(progress->evaluated, 1);
    succeed(sco_run_step(run));
    assert_int_equal(progress->evaluated, 3);
    assert_int_equal(progress->end, SCO_RUN_COMPLETE);
    sco_run_close(run);
}

static void test_refusals(void **state)
{
    (void)state;
    struct sco_train_config config = tiny(SCO_DLRM, SCO_OPTIM_ADAM, 3);
    config.fused_step = 1;
    config.optim.grad_clip = 1.0;
    refuse(&config, SCO_INVALID, "grad_clip");
    config = tiny(SCO_DLRM, SCO_OPTIM_VELO, 3);
    config.optim.num_steps = 0;
    refuse(&config, SCO_INVALID, "num_steps");
    config = tiny(SCO_DLRM, SCO_OPTIM_ADAM, 0);
    refuse(&config, SCO_INVALID, "never end");
    config = tiny(SCO_DLRM, SCO_OPTIM_ADAM, 3);
    config.data.path = NULL;
    refuse(&config, SCO_INVALID, "data");
    config = tiny(SCO_DLRM, SCO_OPTIM_ADAM, 3);
    config.data.table_rows = INT32_MAX;
    config.model.width = 64.0;
    struct sco_train_plan plan;
    succeed(sco_train_plan_of(one, &config, &plan, NULL));
    assert_true(plan.total_bytes > plan.available_bytes);
    refuse(&config, SCO_NOMEM, "lower the batch");
}

/* NaN under the policy that stops: the step is refused, and the run can be opened again where it was saved. */
static void test_nonfinite(void **state)
{
    (void)state;
    struct sco_train_config config = tiny(SCO_DLRM, SCO_OPTIM_NESTEROV, 20);
    config.optim.schedule.lr = 1e30;
    config.out = folder;
    config.checkpoint_steps = 1;
    config.no_evaluation = 1;
    clean();
    struct sco_run *run = open_run(one, &config);
    enum sco_status status = SCO_OK;
    while (status == SCO_OK && !sco_run_get_progress(run)->done)
        status = sco_run_step(run);
    assert_int_equal(status, SCO_NONFINITE);
    const uint64_t step = sco_run_get_progress(run)->step;
    assert_int_equal(sco_run_step(run), SCO_INVALID);
    assert_int_equal(sco_run_finish(run), SCO_INVALID);
    sco_run_close(run);
    run = open_run(one, &config);
    assert_int_equal(sco_run_get_progress(run)->step, step);
    sco_run_close(run);

    config.optim.nonfinite = SCO_NONFINITE_SKIP;
    clean();
    run = open_run(one, &config);
    while (!sco_run_get_progress(run)->done)
        succeed(sco_run_step(run));
    assert_int_equal(sco_run_get_progress(run)->skipped_steps, 20 - step);
    succeed(sco_run_finish(run));
    assert_non_null(strstr(read_text("events.jsonl"), "skipped_updates"));
    sco_run_close(run);
    clean();
}

static void test_plan(void **state)
{
    (void)state;
    struct sco_train_config config = tiny(SCO_OGBG, SCO_OPTIM_ADAM, 3);
    struct sco_train_plan plain, fused;
    struct sco_model *draft = NULL;
    succeed(sco_train_plan_of(one, &config, &plain, &draft));
    assert_int_equal(sco_model_tensors(draft)->count, plain.tensors);
    sco_model_destroy(draft);
    assert_true(plain.optim_state_bytes >= 8 * plain.model.parameters);
    assert_true(plain.data_bytes > 0 && plain.has_validation && plain.has_test && plain.data.synthetic);
    assert_int_equal(plain.total_bytes, plain.model.total_bytes + plain.optim_state_bytes +
                                            plain.optim_workspace_bytes + plain.data_bytes);
    config.fused_step = 1;
    succeed(sco_train_plan_of(one, &config, &fused, NULL));
    assert_true(fused.model.gradient_bytes < plain.model.gradient_bytes);
    assert_int_equal(fused.gradient_bytes_unfused, plain.model.gradient_bytes);
}

int main(void)
{
    const struct sco_velo_generator generator = {16, 8, 15, 30.0f, 1e-3f};
    const char *temporary = getenv("TMPDIR");
    snprintf(folder, sizeof folder, "%s/test_train_XXXXXX", temporary != NULL ? temporary : P_tmpdir);
    if (mkdtemp(folder) == NULL ||
        sco_ctx_create(&one, &(struct sco_ctx_options){.threads = 1, .unbound = 1}) != SCO_OK ||
        sco_ctx_create(&three, &(struct sco_ctx_options){.threads = 3, .oversubscribe = 1, .unbound = 1}) != SCO_OK ||
        sco_velo_theta_generate(&theta, &generator) != SCO_OK) {
        fprintf(stderr, "%s\n", sco_error_message());
        return 1;
    }
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_presets),
        cmocka_unit_test(test_baselines),
        cmocka_unit_test(test_resnet),
        cmocka_unit_test(test_ogbg),
        cmocka_unit_test(test_dlrm),
        cmocka_unit_test(test_unet),
        cmocka_unit_test(test_columns),
        cmocka_unit_test(test_parts_close),
        cmocka_unit_test(test_resume),
        cmocka_unit_test(test_killed_before_the_first_checkpoint),
        cmocka_unit_test(test_other_configurations),
        cmocka_unit_test(test_damaged_folders),
        cmocka_unit_test(test_stop),
        cmocka_unit_test(test_ends),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_nonfinite),
        cmocka_unit_test(test_plan),
    };
    const int failures = cmocka_run_group_tests(tests, NULL, NULL);
    clean();
    sco_velo_theta_destroy(theta);
    sco_ctx_destroy(three);
    sco_ctx_destroy(one);
    return failures;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <jansson.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli/report/report.h"
#include "cli/training.h"
#include "stepcost/checkpoint.h"
#include "stepcost/clock.h"
#include "stepcost/velo.h"

enum {
    KEY_LR = 256,
    KEY_SCHEDULE,
    KEY_WARMUP,
    KEY_HORIZON,
    KEY_END_FACTOR,
    KEY_DECAY,
    KEY_B1,
    KEY_B2,
    KEY_EPS,
    KEY_CLIP,
    KEY_NONFINITE,
    KEY_NUM_STEPS,
    KEY_WEIGHTS,
    KEY_STEPS,
    KEY_SEED,
    KEY_PRESET,
    KEY_RUNTIME,
    KEY_TARGETS,
    KEY_EVAL_STEPS,
    KEY_EVAL_PERIOD,
    KEY_EVAL_SAMPLES,
    KEY_EVAL_BATCH,
    KEY_NO_EVALUATION,
    KEY_CHECKPOINT,
    KEY_LOG_STEPS,
    KEY_FUSED,
    KEY_WIDTH,
    KEY_DEPTH,
    KEY_SIDE,
    KEY_CLASSES,
    KEY_ROWS,
    KEY_DROPOUT,
    KEY_SMOOTHING,
    KEY_SAMPLES,
    KEY_WORKERS,
    KEY_BAD,
    KEY_TUNE,
    KEY_OUT,
    KEY_RESUME,
    KEY_DRY_RUN,
    KEY_BENCH,
    KEY_NO_COST
};

static const struct argp_option options[] = {
    {"workload", 'w', "W", 0, "resnet50, ogbg, dlrm or unet", 0},
    {"data", 'd', "DIR", 0, "The workload's data (docs/data.md), or synthetic: made up, nothing is read", 0},
    {"optimizer", 'o', "NAME", 0, "Such as adam, nadamw, nesterov or velo", 0},
    {"out", KEY_OUT, "DIR", 0, "Folder of measurements.csv, events.jsonl and checkpoints; goes on from its checkpoint",
     0},
    {"steps", KEY_STEPS, "N", 0, "Steps of the run (default: until targets or runtime); with --bench: timed steps", 0},
    {"batch", 'b', "N", 0, "Images, rows, slices, or molecules of average size (default: the preset's)", 0},
    {"seed", KEY_SEED, "S", 0, "Of parameters, order of data, augmentation and dropout (default: 0)", 0},
    {"preset", KEY_PRESET, "P", 0, "study, algoperf-0.5 or algoperf-0.6 (docs/training.md; default: study)", 0},
    {"threads", 't', "N", 0, "Threads (default: one per allowed core)", 0},
    {"tune", KEY_TUNE, "FILE", 0, "Choices of tuned convolutions, as stepcost bench --tune makes them", 0},
    {"resume", KEY_RESUME, NULL, 0, "Refuse to start where DIR has no checkpoint", 0},
    {"dry-run", KEY_DRY_RUN, NULL, 0, "Print the plan: memory and time; train nothing", 0},
    {"bench", KEY_BENCH, NULL, 0, "Time steps by part; nothing is written", 0},
    {"json", 'j', "FILE", 0, "With --dry-run and --bench: write the report as JSON; - is standard output", 0},
    {"no-cost", KEY_NO_COST, NULL, 0, "Do not time the optimizer alone for comparison", 0},

    {NULL, 0, NULL, 0, "Optimizer:", 1},
    {"lr", KEY_LR, "X", 0, "Learning rate (default: the study's baseline)", 1},
    {"schedule", KEY_SCHEDULE, "S", 0, "constant, cosine or linear", 1},
    {"warmup", KEY_WARMUP, "N", 0, "Steps of warm-up (default: 5 % of the horizon)", 1},
    {"horizon", KEY_HORIZON, "N", 0,
     "Steps of the schedule (default: --steps, or with --preset or without --steps the preset's)", 1},
    {"end-factor", KEY_END_FACTOR, "X", 0, "Last rate as a fraction of the highest", 1},
    {"weight-decay", KEY_DECAY, "X", 0, "Weight decay", 1},
    {"b1", KEY_B1, "X", 0, "First moment's decay, or momentum", 1},
    {"b2", KEY_B2, "X", 0, "Second moment's decay", 1},
    {"eps", KEY_EPS, "X", 0, "Added to the root of the second moment", 1},
    {"grad-clip", KEY_CLIP, "X", 0, "Largest global norm of the gradient (default: off)", 1},
    {"nonfinite", KEY_NONFINITE, "POLICY", 0, "What a step does about NaN and Inf: stop, skip or pass (default: stop)",
     1},
    {"num-steps", KEY_NUM_STEPS, "N", 0, "VeLO: the number of steps it is prompted with; required", 1},
    {"weights", KEY_WEIGHTS, "FILE", 0, "VeLO: learned weights (default: generated, for cost only)", 1},
    {"fused-step", KEY_FUSED, NULL, 0, "Update each tensor as its gradient arrives in the backward pass", 1},

    {NULL, 0, NULL, 0, "Protocol:", 2},
    {"max-runtime", KEY_RUNTIME, "S", 0, "Seconds of submission time (default: the preset's, none with --steps)", 2},
    {"until-targets", KEY_TARGETS, NULL, 0, "End when both targets have been met (default without --steps)", 2},
    {"eval-steps", KEY_EVAL_STEPS, "N", 0, "Evaluate after step 1 and every N steps, instead of by time", 2},
    {"eval-period", KEY_EVAL_PERIOD, "S", 0, "Seconds between evaluations (default: the preset's)", 2},
    {"eval-samples", KEY_EVAL_SAMPLES, "N", 0, "At most N samples of each split", 2},
    {"eval-batch", KEY_EVAL_BATCH, "N", 0, "Batch of evaluations (default: --batch, which takes no further memory)", 2},
    {"no-evaluation", KEY_NO_EVALUATION, NULL, 0, "Never evaluate", 2},
    {"checkpoint-steps", KEY_CHECKPOINT, "N", 0, "Save every N steps (default: at the end, and on SIGINT and SIGTERM)",
     2},
    {"log-steps", KEY_LOG_STEPS, "N", 0, "An event for every N steps (default: 1)", 2},

    {NULL, 0, NULL, 0, "Model and data:", 3},
    {"width", KEY_WIDTH, "X", 0, "Multiplies channels and hidden units (default: 1)", 3},
    {"depth", KEY_DEPTH, "N", 0, "Blocks, message steps, top layers or poolings at most", 3},
    {"side", KEY_SIDE, "N", 0, "Pixels of an image or slice", 3},
    {"classes", KEY_CLASSES, "N", 0, "resnet50: outputs (default: 1000)", 3},
    {"table-rows", KEY_ROWS, "N", 0, "dlrm: rows of the embedding table (default: 4194304)", 3},
    {"dropout", KEY_DROPOUT, "X", 0, "Probability (default: ogbg 0.1, others 0)", 3},
    {"label-smoothing", KEY_SMOOTHING, "X", 0, "resnet50 (default: 0)", 3},
    {"samples", KEY_SAMPLES, "N", 0, "At most N samples of the training data", 3},
    {"workers", KEY_WORKERS, "N", 0, "Threads that prepare batches (default: 1)", 3},
    {"on-bad-sample", KEY_BAD, "WHAT", 0, "stop or skip (default: stop)", 3},
    {0},
};

/* Defaults depend on words that may come last, so the line is parsed twice: for those words, then for the rest. */
struct arguments {
    enum { PASS_WORDS, PASS_REST } pass;
    bool has_workload, has_optimizer, has_preset, has_horizon, has_warmup, has_schedule, has_runtime, has_targets;
    bool resume, dry_run, bench, no_cost;
    enum sco_workload workload;
    enum sco_preset preset;
    enum sco_optim_kind kind;
    const char *tune, *weights, *json;
    size_t threads;
    struct sco_train_config config;
};

static double real(const char *text, const char *option, double low, double high, struct argp_state *state)
{
    char *end;
    const double x = strtod(text, &end);
    if (end == text || *end != '\0' || !(x >= low && x <= high))
        argp_error(state, "--%s=%s: a number from %g to %g is needed", option, text, low, high);
    return x;
}

static int one_of(const char *text, const char *option, const char *const *words, struct argp_state *state)
{
    int i = 0;
    while (words[i] != NULL && strcmp(words[i], text) != 0)
        i++;
    if (words[i] == NULL) {
        char list[96] = "";
        for (int k = 0; words[k] != NULL; k++)
            snprintf(list + strlen(list), sizeof list - strlen(list), "%s%s", k == 0 ? "" : ", ", words[k]);
        argp_error(state, "--%s=%s: possible: %s", option, text, list);
    }
    return i;
}

static error_t parse_words(int key, char *argument, struct argp_state *state)
{
    struct arguments *a = state->input;
    enum sco_status status = SCO_OK;
    switch (key) {
    case 'w':
        status = sco_workload_parse(argument, &a->workload);
        a->has_workload = true;
        break;
    case 'o':
        status = sco_optim_parse(argument, &a->kind);
        a->has_optimizer = true;
        break;
    case KEY_PRESET:
        status = sco_preset_parse(argument, &a->preset);
        a->has_preset = true;
        break;
    case ARGP_KEY_ARG: argp_error(state, "unexpected argument \"%s\"", argument); break;
    case ARGP_KEY_END:
        if (!a->has_workload || !a->has_optimizer)
            argp_error(state, "--workload, --data and --optimizer are needed");
        break;
    default: return key >= ' ' && key < 0x10000 ? 0 : ARGP_ERR_UNKNOWN;
    }
    if (status != SCO_OK)
        argp_error(state, "%s", sco_error_message());
    return 0;
}

static error_t parse_optimizer(int key, char *argument, struct argp_state *state)
{
    static const char *const schedules[] = {"constant", "cosine", "linear", NULL};
    static const char *const policies[] = {"stop", "skip", "pass", NULL};
    struct arguments *a = state->input;
    struct sco_optim_config *optim = &a->config.optim;
    switch (key) {
    case KEY_LR: optim->schedule.lr = real(argument, "lr", 0.0, 1e30, state); return 0;
    case KEY_SCHEDULE:
        optim->schedule.kind = (enum sco_schedule_kind)one_of(argument, "schedule", schedules, state);
        a->has_schedule = true;
        return 0;
    case KEY_WARMUP:
        optim->schedule.warmup_steps = real(argument, "warmup", 0.0, 1e15, state);
        a->has_warmup = true;
        return 0;
    case KEY_HORIZON:
        optim->schedule.total_steps = cli_number(argument, "horizon", 1, (uint64_t)1 << 50, state);
        a->has_horizon = true;
        return 0;
    case KEY_END_FACTOR: optim->schedule.end_factor = real(argument, "end-factor", 0.0, 1.0, state); return 0;
    case KEY_DECAY: optim->weight_decay = real(argument, "weight-decay", 0.0, 1e30, state); return 0;
    case KEY_B1: optim->b1 = real(argument, "b1", 0.0, 1.0, state); return 0;
    case KEY_B2: optim->b2 = real(argument, "b2", 0.0, 1.0, state); return 0;
    case KEY_EPS: optim->eps = real(argument, "eps", 0.0, 1e30, state); return 0;
    case KEY_CLIP: optim->grad_clip = real(argument, "grad-clip", 0.0, 1e30, state); return 0;
    case KEY_NONFINITE:
        optim->nonfinite = (enum sco_nonfinite_policy)one_of(argument, "nonfinite", policies, state);
        return 0;
    case KEY_NUM_STEPS: optim->num_steps = cli_number(argument, "num-steps", 1, UINT32_MAX, state); return 0;
    case KEY_WEIGHTS: a->weights = argument; return 0;
    case KEY_FUSED: a->config.fused_step = 1; return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

static error_t parse_model(int key, char *argument, struct argp_state *state)
{
    static const char *const bad[] = {"stop", "skip", NULL};
    struct arguments *a = state->input;
    struct sco_train_config *c = &a->config;
    switch (key) {
    case KEY_WIDTH: c->model.width = real(argument, "width", 1e-3, 64.0, state); return 0;
    case KEY_DEPTH: c->model.depth = cli_number(argument, "depth", 1, 1000, state); return 0;
    case KEY_SIDE: c->data.side = cli_number(argument, "side", 1, 65536, state); return 0;
    case KEY_CLASSES: c->model.classes = cli_number(argument, "classes", 1, 1 << 24, state); return 0;
    case KEY_ROWS:
        c->data.table_rows = c->model.table_rows = cli_number(argument, "table-rows", 1, INT32_MAX, state);
        return 0;
    case KEY_DROPOUT:
        c->model.dropout = (float)real(argument, "dropout", 0.0, 0.99, state);
        c->model.has_dropout = 1;
        return 0;
    case KEY_SMOOTHING: c->model.label_smoothing = (float)real(argument, "label-smoothing", 0.0, 0.99, state); return 0;
    case KEY_SAMPLES: c->data.samples = cli_number(argument, "samples", 1, (uint64_t)1 << 50, state); return 0;
    case KEY_WORKERS: c->data.workers = cli_number(argument, "workers", 1, 256, state); return 0;
    case KEY_BAD: c->data.bad_sample = (enum sco_bad_sample)one_of(argument, "on-bad-sample", bad, state); return 0;
    default: return parse_optimizer(key, argument, state);
    }
}

static void check_line(struct arguments *a, struct argp_state *state)
{
    const struct sco_protocol *protocol = sco_protocol_of(a->preset, a->workload);
    if (a->config.data.path == NULL)
        argp_error(state, "--data is needed: a folder, or synthetic");
    if (a->config.out == NULL && !a->dry_run && !a->bench)
        argp_error(state, "--out is needed: a folder for measurements and checkpoints");
    if (a->json != NULL && !a->dry_run && !a->bench)
        argp_error(state, "--json needs --dry-run or --bench; a run writes events.jsonl");
    if (a->dry_run && a->bench)
        argp_error(state, "--dry-run or --bench, not both");
    if (a->kind == SCO_OPTIM_VELO && a->config.optim.num_steps == 0 && protocol->velo.full != 0)
        argp_error(state,
                   "velo needs --num-steps; the study prompted %s with %" PRIu64 " (and %" PRIu64 ", %" PRIu64
                   "), a shorter run takes its own --steps",
                   sco_workload_name(a->workload), protocol->velo.full, protocol->velo.three_quarters,
                   protocol->velo.long_run);
    if (a->kind == SCO_OPTIM_VELO && a->config.optim.num_steps == 0)
        argp_error(state, "velo needs --num-steps, the number of steps it is prompted with");
    if (a->weights != NULL && a->kind != SCO_OPTIM_VELO)
        argp_error(state, "--weights are VeLO's, the optimizer is %s", sco_optim_name(a->kind));
}

/* A run of its own length has a schedule of its own length, and no limits but those that were asked for. */
static void settle(struct arguments *a)
{
    struct sco_train_config *config = &a->config;
    struct sco_schedule *schedule = &config->optim.schedule;
    if (config->steps != 0 && !a->has_runtime)
        config->max_runtime = 0.0;
    if (config->steps != 0 && !a->has_targets)
        config->until_targets = 0;
    if (a->kind == SCO_OPTIM_VELO)
        return;
    if (!a->has_horizon && config->steps != 0 && !a->has_preset)
        schedule->total_steps = config->steps;
    if (!a->has_warmup && (schedule->kind != SCO_SCHEDULE_CONSTANT || a->has_schedule))
        schedule->warmup_steps = 0.05 * (double)schedule->total_steps;
}

static error_t parse_rest(int key, char *argument, struct argp_state *state)
{
    struct arguments *a = state->input;
    struct sco_train_config *c = &a->config;
    switch (key) {
    case 'w':
    case 'o':
    case KEY_PRESET: return 0;
    case 'd': c->data.path = argument; return 0;
    case 'b': c->model.batch = cli_number(argument, "batch", 1, 1 << 30, state); return 0;
    case 't': a->threads = cli_number(argument, "threads", 1, 65536, state); return 0;
    case 'j': a->json = argument; return 0;
    case KEY_OUT: c->out = argument; return 0;
    case KEY_STEPS: c->steps = cli_number(argument, "steps", 1, 9999999999u, state); return 0;
    case KEY_SEED: c->seed = cli_number(argument, "seed", 0, INT64_MAX, state); return 0;
    case KEY_TUNE: a->tune = argument; return 0;
    case KEY_RESUME: a->resume = true; return 0;
    case KEY_DRY_RUN: a->dry_run = true; return 0;
    case KEY_BENCH: a->bench = true; return 0;
    case KEY_NO_COST: a->no_cost = true; return 0;
    case KEY_RUNTIME:
        c->max_runtime = real(argument, "max-runtime", 1e-3, 1e9, state);
        a->has_runtime = true;
        return 0;
    case KEY_TARGETS:
        c->until_targets = 1;
        a->has_targets = true;
        return 0;
    case KEY_EVAL_STEPS: c->eval_steps = cli_number(argument, "eval-steps", 1, 9999999999u, state); return 0;
    case KEY_EVAL_PERIOD: c->eval_period = real(argument, "eval-period", 0.0, 1e9, state); return 0;
    case KEY_EVAL_SAMPLES:
        c->eval_samples = cli_number(argument, "eval-samples", 1, (uint64_t)1 << 50, state);
        return 0;
    case KEY_EVAL_BATCH: c->eval_batch = cli_number(argument, "eval-batch", 1, 1 << 30, state); return 0;
    case KEY_NO_EVALUATION: c->no_evaluation = 1; return 0;
    case KEY_CHECKPOINT:
        c->checkpoint_steps = cli_number(argument, "checkpoint-steps", 1, 9999999999u, state);
        return 0;
    case KEY_LOG_STEPS: c->log_steps = cli_number(argument, "log-steps", 1, 1 << 30, state); return 0;
    case ARGP_KEY_ARG: argp_error(state, "unexpected argument \"%s\"", argument); return 0;
    case ARGP_KEY_END:
        check_line(a, state);
        settle(a);
        return 0;
    default: return parse_model(key, argument, state);
    }
}

static error_t parse(int key, char *argument, struct argp_state *state)
{
    const struct arguments *a = state->input;
    return a->pass == PASS_WORDS ? parse_words(key, argument, state) : parse_rest(key, argument, state);
}

static const struct argp argp = {
    .options = options,
    .parser = parse,
    .doc = "Trains one of four AlgoPerf models under AlgoPerf's protocol and says what each part of a step costs. "
           "SIGINT or "
           "SIGTERM once saves a checkpoint and leaves with 130 or 143; the same command goes on from there, with the "
           "same bits. Twice: leaves at once."
           "\vExamples:\n"
           "  stepcost train -w ogbg -d synthetic -o adam --batch 32 --steps 200 --out run\n"
           "  stepcost train -w resnet50 -d imagenet -o nadamw --preset study --dry-run\n"
           "  stepcost train -w dlrm -d synthetic -o velo --num-steps 500 --steps 500 --table-rows 100000 --out run\n"
           "  stepcost train -w unet -d synthetic -o velo --num-steps 100 --batch 2 --fused-step --bench --steps 10\n\n"
           "docs/training.md has the files, the presets and the protocol.\n\n" CLI_EXIT_TEXT,
};

/* ---- Signals ----------------------------------------------------------------------------------------------------- */

static volatile sig_atomic_t signalled;

static void on_signal(int number)
{
    if (signalled != 0)
        _exit(128 + number);
    signalled = number;
}

static int is_signalled(void *argument)
{
    (void)argument;
    return signalled != 0;
}

static void listen(void)
{
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

/* ---- The run ----------------------------------------------------------------------------------------------------- */

static double seconds_left(const struct sco_run_progress *progress, const struct sco_train_config *config)
{
    const double done = (double)(progress->step - progress->step_zero);
    if (done <= 0.0)
        return NAN;
    const double wall = (double)progress->wall_ns * 1e-9;
    double left = INFINITY;
    if (config->steps != 0)
        left = (double)(config->steps - progress->step) * wall / done;
    if (config->max_runtime > 0.0) {
        double spent = 0.0;
        for (size_t part = SCO_PART_DATA; part <= SCO_PART_OPTIMIZER; part++)
            spent += (double)progress->total_ns[part] * 1e-9;
        left = fmin(left, (config->max_runtime - progress->submission_time) * wall / fmax(spent, 1e-9));
    }
    return left;
}

static void show(const struct sco_run_progress *progress, const struct sco_train_config *config)
{
    static uint64_t shown;
    const bool terminal = isatty(STDERR_FILENO);
    const uint64_t now = sco_clock_ns(), period = terminal ? 200000000u : 10000000000u;
    char text[160], left[48] = "";
    if (shown == 0 && !terminal)
        shown = now; /* a line after the first period, not at once */
    if (now - shown < period || progress->wall_ns == 0)
        return;
    shown = now;
    const double seconds = seconds_left(progress, config);
    if (isfinite(seconds))
        snprintf(left, sizeof left, ", %.0f:%02.0f:%02.0f left", floor(seconds / 3600.0),
                 floor(fmod(seconds, 3600.0) / 60.0), floor(fmod(seconds, 60.0)));
    snprintf(text, sizeof text, "step %" PRIu64 ", loss %.5g, %.3g steps/s%s", progress->step, progress->loss,
             (double)(progress->step - progress->step_zero) / ((double)progress->wall_ns * 1e-9), left);
    if (terminal)
        cli_progress(NULL, text);
    else
        fprintf(stderr, "%s\n", text);
}

static void print_evaluation(const char *split, const struct sco_evaluation *e, const char *metric)
{
    if (e->samples == 0)
        return;
    printf("  %-10s loss %.6g", split, e->loss);
    if (strcmp(metric, "loss") != 0)
        printf(", %s %.6g", metric, e->metric);
    printf(" (%" PRIu64 " samples)\n", e->samples);
}

static void print_summary(const struct training *training, struct sco_run *run, const struct prediction *prediction)
{
    const struct sco_run_progress *p = sco_run_get_progress(run);
    const char *metric = sco_workload_metric(training->config.model.workload);
    char title[512];
    printf("%s%s%s: %s at step %" PRIu64 "\n", cli_bold(),
           training_title(training, sco_run_get_plan(run), title, sizeof title), cli_plain(), sco_run_end_name(p->end),
           p->step);
    if (training->theta != NULL)
        printf("  velo weights: %s\n", sco_velo_theta_origin(training->theta));
    if (p->step > p->step_zero)
        printf("  loss %.6g in the last step; submission time %.3f s\n", p->loss, p->submission_time);
    print_evaluation("train", &p->train, metric);
    print_evaluation("validation", &p->validation, metric);
    print_evaluation("test", &p->test, metric);
    const struct sco_train_plan *plan = sco_run_get_plan(run);
    if (plan->no_validation[0] != '\0')
        printf("  no validation data: %s\n", plan->no_validation);
    if (plan->no_test[0] != '\0')
        printf("  no test data: %s\n", plan->no_test);
    if (p->skipped_samples > 0 || p->skipped_steps > 0)
        printf("  left out: %" PRIu64 " samples, %" PRIu64 " updates\n", p->skipped_samples, p->skipped_steps);
    const double steps = (double)(p->step - p->step_zero), wall = (double)p->wall_ns;
    double iteration = 0.0;
    for (size_t part = 0; part < SCO_PARTS; part++) {
        const double ns = (double)p->total_ns[part];
        iteration += part <= SCO_PART_OPTIMIZER ? ns : 0.0;
        printf("  %-10s %10.3f s %6.1f %%", sco_part_name((enum sco_part)part), ns * 1e-9, 100.0 * ns / wall);
        if (part <= SCO_PART_OPTIMIZER && steps > 0.0)
            printf("  %10.3f ms a step", ns * 1e-6 / steps);
        putchar('\n');
    }
    printf("  %-10s %10.3f s\n", "wall clock", wall * 1e-9);
    if (steps > 0.0 && iteration > 0.0) {
        const double ms = (double)p->total_ns[SCO_PART_OPTIMIZER] * 1e-6 / steps;
        printf("  optimizer: %.1f %% of an iteration", 100.0 * (double)p->total_ns[SCO_PART_OPTIMIZER] / iteration);
        if (prediction->ms > 0.0)
            printf("; %.3f ms a step, stepcost cost has %.3f ms for these tensors (%+.1f %%)", ms, prediction->ms,
                   100.0 * (ms - prediction->ms) / prediction->ms);
        putchar('\n');
    }
    printf("parameters %016" PRIx64 "\n", sco_run_hash(run));
}

static int train(struct training *training)
{
    struct sco_run *run = NULL;
    struct prediction prediction = {0};
    int code = CLI_OK;
    enum sco_status status = sco_run_open(&run, training->ctx, &training->config);
    if (status != SCO_OK)
        return cli_fail_status(status);
    const struct sco_run_progress *progress = sco_run_get_progress(run);
    if (progress->step_zero > 0)
        fprintf(stderr, "goes on from the checkpoint of step %" PRIu64 "\n", progress->step_zero);
    while (!progress->done && status == SCO_OK) {
        status = sco_run_step(run);
        show(progress, &training->config);
    }
    cli_progress_end();
    if (status != SCO_OK)
        code = cli_fail_status(status);
    if (code == CLI_OK) {
        status = sco_run_finish(run);
        if (status != SCO_OK)
            code = cli_fail_status(status);
    }
    if (code == CLI_OK) {
        if (training->predict && progress->end != SCO_RUN_STOPPED && progress->step > progress->step_zero)
            training_predict(training, sco_model_tensors(sco_run_model(run)), &prediction);
        print_summary(training, run, &prediction);
        if (progress->end == SCO_RUN_STOPPED)
            code = 128 + (int)signalled;
    }
    sco_run_close(run);
    return code;
}

/* ---- The verb ---------------------------------------------------------------------------------------------------- */

/* Steps that are small beside any parameter, even where features are far from the rest, as those of the few rows of DLRM's table
 * that a batch touches: steps cost the same and the parameters stay finite. */
static enum sco_status open_weights(struct training *training, const char *path)
{
    static const struct sco_velo_generator generator = {512, 256, 15, 1.0f, 1e-6f};
    if (training->config.optim.kind != SCO_OPTIM_VELO)
        return SCO_OK;
    const enum sco_status status = path != NULL ? sco_velo_theta_read(&training->theta, path)
                                                : sco_velo_theta_generate(&training->theta, &generator);
    training->config.optim.theta = training->theta;
    return status;
}

/* --resume: something must be there to go on from. */
static int check_resume(const char *out)
{
    int found = 0;
    uint64_t step;
    const enum sco_status status = sco_checkpoint_latest(out, &found, &step);
    if (status != SCO_OK)
        return cli_fail_status(status);
    return found ? CLI_OK : cli_fail(CLI_DATA, "%s: there is no checkpoint to resume from; leave out --resume", out);
}

static int run(int argc, char **argv)
{
    struct arguments a = {.pass = PASS_WORDS};
    argp_parse(&argp, argc, argv, 0, NULL, &a);
    sco_train_defaults(a.preset, a.workload, a.kind, &a.config);
    a.pass = PASS_REST;
    argp_parse(&argp, argc, argv, 0, NULL, &a);
    if (a.tune != NULL && setenv("STEPCOST_TUNE", a.tune, 1) != 0)
        return cli_fail(CLI_ENVIRONMENT, "no memory");

    struct training training = {.config = a.config, .predict = !a.no_cost};
    char *context = NULL;
    training.config.counters = 1;
    training.config.stop = is_signalled;
    training.bench_steps = a.config.steps != 0 ? (size_t)a.config.steps : 20;
    training.warmup_steps = 3;
    int code = a.resume && a.config.out != NULL ? check_resume(a.config.out) : CLI_OK;
    if (code == CLI_OK)
        code = cli_output_open(&training.json, a.json);
    enum sco_status status = SCO_OK;
    if (code == CLI_OK) {
        status = open_weights(&training, a.weights);
        if (status == SCO_OK)
            status = sco_ctx_create(&training.ctx, &(struct sco_ctx_options){.threads = a.threads});
        if (status == SCO_OK)
            status = sco_environment_create(&training.environment, training.ctx);
        if (status != SCO_OK)
            code = cli_fail_status(status);
    }
    if (code == CLI_OK) {
        json_t *object = cli_report_context(training.ctx, training.environment);
        training.config.context = context = json_dumps(object, JSON_COMPACT);
        json_decref(object);
        listen();
        code = a.dry_run ? training_dry_run(&training) : a.bench ? training_bench(&training) : train(&training);
    }
    cli_output_discard(&training.json);
    sco_environment_destroy(training.environment);
    sco_ctx_destroy(training.ctx);
    sco_velo_theta_destroy(training.theta);
    free(context);
    return code;
}

const struct cli_verb cli_train_verb = {"train", "Train a workload, and say what each part of a step costs", &argp, run,
                                        false};

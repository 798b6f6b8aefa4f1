/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arch/fail.h"
#include "arch/text.h"
#include "microbench/op.h"
#include "microbench/roofs.h"
#include "microbench/rounds.h"
#include "stepcost/clock.h"
#include "stepcost/memory.h"

enum { MIN_ROUNDS = 3, MAX_VARIANTS = 8 };

/* A roof is measured on arrays as long as the operator's, up to four times the last level: memory gets no slower. */
#define ROOF_BYTES 128e6

struct sco_op {
    struct sco_op_instance instance;
};

enum sco_status sco_op_create(struct sco_op **op, struct sco_ctx *ctx, const struct sco_op_request *request)
{
    const struct sco_op_class *class = sco_op_class_of(request->op);
    if (class == NULL)
        return sco_fail(SCO_UNSUPPORTED, "operator %s: unknown; see stepcost bench --list", request->op);
    struct sco_op_request whole = *request;
    if (whole.variant == NULL || whole.variant[0] == '\0')
        whole.variant = class->variants(request->op)[0];
    struct sco_op *made = calloc(1, sizeof *made);
    if (made == NULL)
        return sco_fail(SCO_NOMEM, "operator %s: no memory", request->op);
    const enum sco_status status = class->prepare(&made->instance, ctx, &whole);
    if (status == SCO_OK)
        *op = made;
    else
        free(made);
    return status;
}

void sco_op_destroy(struct sco_op *op)
{
    if (op == NULL)
        return;
    op->instance.destroy(op->instance.data);
    free(op);
}

enum sco_status sco_op_step(struct sco_op *op)
{
    return op->instance.step(op->instance.data);
}

const char *sco_op_note(const struct sco_op *op)
{
    return op->instance.note;
}

/* ---- Timing ---- */

/* One case: the variants that exist here, the limit that the operator names or else a stream over as many bytes. */
struct contest {
    struct sco_op *op[MAX_VARIANTS];
    const char *variant[MAX_VARIANTS];
    struct sco_lane lane[MAX_VARIANTS];
    size_t count;
    struct sco_roof_set roofs;
    struct sco_roof_run roof;
    struct sco_lane limit;
};

static enum sco_status step(void *argument)
{
    return sco_op_step(argument);
}

static enum sco_status enter(struct contest *contest, struct sco_ctx *ctx, const char *op, const char *name,
                             const struct sco_op_options *options)
{
    const char *variant;
    for (size_t v = 0; (variant = sco_op_variant(op, v)) != NULL && contest->count < MAX_VARIANTS; v++) {
        if (options->variants == NULL ? v > 0 : !sco_text_listed(options->variants, variant))
            continue;
        const struct sco_op_request request = {op, name, variant, options->batch, options->rows};
        struct sco_op **made = &contest->op[contest->count];
        const enum sco_status status = sco_op_create(made, ctx, &request);
        if (status == SCO_UNSUPPORTED)
            continue;
        if (status != SCO_OK)
            return status;
        contest->lane[contest->count] = (struct sco_lane){.argument = *made, .step = step};
        contest->variant[contest->count++] = variant;
    }
    if (contest->count == 0)
        return SCO_OK;
    const struct sco_op_instance *first = &contest->op[0]->instance;
    if (first->limit != NULL) {
        contest->limit = (struct sco_lane){.argument = first->data, .step = first->limit};
        return SCO_OK;
    }
    const size_t arrays = 3; /* rw32 */
    const double bytes = fmin(fmax(first->bytes, 4096.0), ROOF_BYTES);
    const enum sco_status status = sco_roof_set_init(&contest->roofs, ctx, (size_t)bytes / (sizeof(float) * arrays));
    if (status == SCO_OK) {
        sco_roof_run_init(&contest->roof, &contest->roofs, SCO_ROOF_RW32, contest->roofs.n);
        contest->limit = (struct sco_lane){.argument = &contest->roof, .step = sco_roof_step};
    }
    return status;
}

static void leave(struct contest *contest)
{
    for (size_t i = 0; i < contest->count; i++) {
        sco_op_destroy(contest->op[i]);
        sco_lane_free(&contest->lane[i]);
    }
    sco_lane_free(&contest->limit);
    sco_roof_set_free(&contest->roofs);
}

static double limit_gbs(const struct contest *contest, double limit_ns)
{
    const struct sco_op_instance *first = &contest->op[0]->instance;
    if (first->limit != NULL)
        return first->limit_bytes / limit_ns;
    return sco_roof_bytes(SCO_ROOF_RW32) * (double)contest->roof.n * (double)contest->roof.repeats / limit_ns;
}

static enum sco_status report_case(struct contest *contest, const char *op, const char *name, double peak,
                                   enum sco_stop stop, struct sco_op_report *report)
{
    struct sco_stats limit;
    enum sco_status status =
        sco_grouped_stats(contest->limit.samples, contest->limit.sample_count, contest->limit.steps, &limit);
    for (size_t i = 0; i < contest->count && status == SCO_OK; i++) {
        const struct sco_op_instance *instance = &contest->op[i]->instance;
        struct sco_lane *lane = &contest->lane[i];
        struct sco_op_row *row = &report->rows[report->row_count++];
        *row = (struct sco_op_row){.op = op,
                                   .name = name,
                                   .variant = contest->variant[i],
                                   .item = instance->item,
                                   .items = instance->items,
                                   .bytes = instance->bytes,
                                   .flops = instance->flops,
                                   .roof_gbs = limit_gbs(contest, limit.median),
                                   .roof_gflops = peak,
                                   .stop = stop};
        snprintf(row->note, sizeof row->note, "%s", instance->note);
        status = sco_grouped_stats(lane->samples, lane->sample_count, lane->steps, &row->ns);
        row->samples = lane->samples;
        row->sample_count = lane->sample_count;
        lane->samples = NULL; /* the row owns them now */
        const double memory_ns = row->bytes / row->roof_gbs, compute_ns = peak > 0.0 ? row->flops / peak : 0.0;
        row->gbs = row->bytes / row->ns.median;
        row->gflops = row->flops / row->ns.median;
        row->limit = compute_ns > memory_ns ? "compute" : instance->limit != NULL ? "rows" : "memory";
        row->roof_fraction = fmax(memory_ns, compute_ns) / row->ns.median;
    }
    return status;
}

static enum sco_status bench_case(struct sco_op_report *report, struct sco_ctx *ctx, const char *op, const char *name,
                                  const struct sco_op_options *options, double seconds, double overhead_ns, double peak)
{
    struct contest contest = {.count = 0};
    struct sco_lane *lanes[MAX_VARIANTS + 1];
    size_t rounds;
    enum sco_stop stop;
    enum sco_status status = enter(&contest, ctx, op, name, options);
    if (status == SCO_OK && contest.count > 0) {
        for (size_t i = 0; i < contest.count; i++)
            lanes[i] = &contest.lane[i];
        lanes[contest.count] = &contest.limit;
        const struct sco_rounds how = {seconds, MIN_ROUNDS, overhead_ns, NULL, NULL};
        status = sco_rounds_run(lanes, contest.count + 1, &how, &rounds, &stop);
        if (status == SCO_OK)
            status = report_case(&contest, op, name, peak, stop, report);
    }
    leave(&contest);
    return status;
}

typedef enum sco_status case_fn(void *argument, const char *op, const char *name);

/* Calls body on every case that the options select. */
static enum sco_status each_case(const struct sco_op_options *options, case_fn *body, void *argument)
{
    const char *op, *name;
    enum sco_status status = SCO_OK;
    for (size_t o = 0; (op = sco_op_name(o)) != NULL; o++) {
        if (options->ops != NULL && !sco_text_listed(options->ops, op))
            continue;
        for (size_t c = 0; (name = sco_op_case(op, c)) != NULL && status == SCO_OK; c++)
            if (options->filter == NULL || strstr(name, options->filter) != NULL)
                status = body(argument, op, name);
    }
    return status;
}

static enum sco_status count_case(void *argument, const char *op, const char *name)
{
    (void)op, (void)name;
    ++*(size_t *)argument;
    return SCO_OK;
}

struct bench_run {
    struct sco_op_report *report;
    struct sco_ctx *ctx;
    const struct sco_op_options *options;
    double seconds, overhead_ns, peak;
};

static enum sco_status time_case(void *argument, const char *op, const char *name)
{
    const struct bench_run *run = argument;
    char text[96];
    snprintf(text, sizeof text, "%s, %s", op, name);
    if (run->options->progress != NULL)
        run->options->progress(run->options->argument, text);
    return bench_case(run->report, run->ctx, op, name, run->options, run->seconds, run->overhead_ns, run->peak);
}

/* Each word of a list must be the name of an operator. */
static enum sco_status check_ops(const char *ops)
{
    char *copy = strdup(ops), *rest = copy;
    enum sco_status status = copy != NULL ? SCO_OK : sco_fail(SCO_NOMEM, "operators: no memory");
    for (const char *word; status == SCO_OK && (word = strsep(&rest, ",")) != NULL;)
        if (sco_op_class_of(word) == NULL) {
            char list[512] = "";
            struct sco_text text = {list, sizeof list, 0};
            const char *op;
            for (size_t o = 0; (op = sco_op_name(o)) != NULL; o++)
                sco_text_add(&text, "%s%s", o ? ", " : "", op);
            status = sco_fail(SCO_INVALID, "unknown operator \"%s\"; there are: %s", word, list);
        }
    free(copy);
    return status;
}

enum sco_status sco_op_bench(struct sco_op_report **report, struct sco_ctx *ctx, const struct sco_op_options *options)
{
    size_t cases = 0;
    enum sco_status status = options->ops != NULL ? check_ops(options->ops) : SCO_OK;
    if (status != SCO_OK)
        return status;
    each_case(options, count_case, &cases);
    if (cases == 0)
        return sco_fail(SCO_INVALID, "no operator case matches \"%s\"; see stepcost bench --list",
                        options->filter != NULL ? options->filter : "");
    struct sco_op_report *made = calloc(1, sizeof *made);
    if (made == NULL || (made->rows = calloc(cases * MAX_VARIANTS, sizeof *made->rows)) == NULL) {
        free(made);
        return sco_fail(SCO_NOMEM, "operators: no memory for the report of %zu cases", cases);
    }
    const struct sco_clock_quality clock = sco_clock_measure();
    struct bench_run run = {made,
                            ctx,
                            options,
                            options->seconds / (double)cases,
                            clock.overhead_ns,
                            sco_roof_peak(ctx, sco_roof_peak_row(sco_ctx_isa(ctx)))};
    status = each_case(options, time_case, &run);
    if (status == SCO_OK)
        *report = made;
    else
        sco_op_report_destroy(made);
    return status;
}

void sco_op_report_destroy(struct sco_op_report *report)
{
    if (report == NULL)
        return;
    for (size_t i = 0; i < report->row_count; i++)
        free(report->rows[i].samples);
    free(report->rows);
    free(report);
}

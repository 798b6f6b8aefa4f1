/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arch/fail.h"
#include "arch/text.h"
#include "microbench/case_check.h"
#include "microbench/roofs.h"
#include "microbench/rounds.h"
#include "stepcost/clock.h"
#include "stepcost/memory.h"
#include "stepcost/microbench.h"
#include "stepcost/topology.h"

enum { MIN_ROUNDS = 3, MAX_ROWS = 8, MAX_SLOTS = 32 };
#define DEVIATION 1e-2f

/* A call in a fork-join is repeated until it takes this long, beside which forking and joining do not show. */
#define REPEAT_NS 5e4

/* A call longer than this (scalar matrix products) is timed once, outside the rounds: it would take the whole budget. */
#define ONCE_NS 2e8

static const struct sco_case *case_at(size_t index)
{
    const struct sco_case_list *const *lists;
    const size_t count = sco_case_lists(&lists);
    for (size_t l = 0; l < count; l++) {
        if (index < lists[l]->count)
            return &lists[l]->cases[index];
        index -= lists[l]->count;
    }
    return NULL;
}

const char *sco_bench_case(size_t index)
{
    const struct sco_case *c = case_at(index);
    return c != NULL ? c->name : NULL;
}

/* ---- Sizes ---- */

/* Half of what a thread may count on in a level; for memory four times the last level, divided among the threads. 0 when
 * there is no such level. */
static size_t level_bytes(struct sco_ctx *ctx, unsigned level)
{
    const struct sco_topology *topology = sco_ctx_topology(ctx);
    const size_t threads = sco_team_size(sco_ctx_team(ctx));
    size_t last = 0;
    if (level <= SCO_CACHE_LEVELS)
        return sco_topology_cache_share(topology, 0, threads, level) / 2;
    for (unsigned l = 1; l <= SCO_CACHE_LEVELS; l++) {
        const size_t share = sco_topology_cache_share(topology, 0, threads, l);
        last = share > last ? share : last;
    }
    return last != 0 ? 4 * last : (size_t)256 << 20;
}

static const char *const level_names[SCO_BENCH_LEVELS] = {"L1", "L2", "L3", "mem"};

static enum sco_status parse_size(struct sco_ctx *ctx, const char *word, struct sco_bench_size *size)
{
    for (unsigned level = 0; level < SCO_BENCH_LEVELS; level++)
        if (strcmp(word, level_names[level]) == 0) {
            size->bytes = level_bytes(ctx, level + 1);
            if (size->bytes == 0)
                return sco_fail(SCO_UNSUPPORTED, "size %s: this machine has no such level", word);
            snprintf(size->name, sizeof size->name, "%s", word);
            return SCO_OK;
        }
    char *end;
    errno = 0;
    unsigned long long bytes = strtoull(word, &end, 10);
    unsigned shift = 0;
    if (*end == 'K' || *end == 'M' || *end == 'G')
        shift = *end == 'K' ? 10 : *end == 'M' ? 20 : 30, end++;
    if (word[0] < '0' || word[0] > '9' || *end != '\0' || errno != 0 || bytes > (1ull << 40) >> shift ||
        bytes << shift < 64 || strlen(word) >= sizeof size->name)
        return sco_fail(SCO_INVALID,
                        "size \"%s\": possible: L1, L2, L3, mem, or 64 to 2^40 bytes such as 65536, 64K, 1M", word);
    size->bytes = (size_t)(bytes << shift);
    snprintf(size->name, sizeof size->name, "%s", word);
    return SCO_OK;
}

enum sco_status sco_bench_sizes(struct sco_ctx *ctx, const char *words, struct sco_bench_size *sizes, size_t capacity,
                                size_t *count)
{
    *count = 0;
    if (words == NULL) {
        for (unsigned level = 0; level < SCO_BENCH_LEVELS && *count < capacity; level++) {
            sizes[*count].bytes = level_bytes(ctx, level + 1);
            snprintf(sizes[*count].name, sizeof sizes[*count].name, "%s", level_names[level]);
            *count += sizes[*count].bytes != 0;
        }
        return SCO_OK;
    }
    char *copy = strdup(words), *rest = copy;
    enum sco_status status = copy != NULL ? SCO_OK : sco_fail(SCO_NOMEM, "sizes: no memory");
    for (const char *word; status == SCO_OK && (word = strsep(&rest, ",")) != NULL;) {
        if (*count == capacity)
            status = sco_fail(SCO_INVALID, "at most %zu sizes at a time", capacity);
        else if ((status = parse_size(ctx, word, &sizes[*count])) == SCO_OK)
            ++*count;
    }
    free(copy);
    return status;
}

/* ---- Rows ---- */

/* Each word of rows must be the name of a row of some family that runs here. */
static enum sco_status check_rows(const char *rows, sco_isa isa)
{
    char *copy = strdup(rows), *rest = copy;
    enum sco_status status = copy != NULL ? SCO_OK : sco_fail(SCO_NOMEM, "rows: no memory");
    for (const char *word; status == SCO_OK && (word = strsep(&rest, ",")) != NULL;) {
        bool known = false, runs = false;
        const struct sco_case *c;
        for (size_t i = 0; (c = case_at(i)) != NULL; i++)
            for (size_t row = 0; row < c->family->row_count; row++)
                if (strcmp(c->family->rows[row].name, word) == 0) {
                    known = true;
                    runs |= (c->family->rows[row].need & ~isa) == 0;
                }
        char levels[64];
        if (!known)
            status = sco_fail(SCO_INVALID, "row \"%s\" is not compiled in; see stepcost bench --list", word);
        else if (!runs)
            status = sco_fail(SCO_UNSUPPORTED, "row \"%s\" cannot run here: the levels in force are %s", word,
                              sco_isa_format(isa, levels, sizeof levels));
    }
    free(copy);
    return status;
}

/* ---- One case at one size ---- */

struct bench;

struct row_run {
    struct bench *bench;
    size_t row;
    void (*ops[MAX_SLOTS])(void);
    size_t repeats;
    bool once;
    struct sco_lane lane;
};

struct bench {
    struct sco_ctx *ctx;
    const struct sco_case *c;
    size_t dim[SCO_CASE_DIMS], threads;
    struct sco_case_buffers *buffers; /* of each rank */
    struct row_run rows[MAX_ROWS];
    size_t row_count;
    struct sco_roof_set roofs;
    struct sco_roof_run roof;
    struct sco_lane roof_lane;
};

static void fill_block(size_t rank, size_t size, void *argument)
{
    const struct bench *bench = argument;
    (void)size;
    sco_case_fill(&bench->buffers[rank], DEVIATION);
}

/* Between rounds: whatever is updated in place starts again from the values it had. */
static enum sco_status refill(void *argument)
{
    const struct bench *bench = argument;
    sco_team_run(sco_ctx_team(bench->ctx), fill_block, argument);
    return SCO_OK;
}

static void row_block(size_t rank, size_t size, void *argument)
{
    const struct row_run *run = argument;
    const struct bench *bench = run->bench;
    (void)size;
    for (size_t i = 0; i < run->repeats; i++)
        bench->c->run(run->ops, bench->dim, bench->buffers[rank].buffer);
}

static enum sco_status row_step(void *argument)
{
    const struct row_run *run = argument;
    sco_team_run(sco_ctx_team(run->bench->ctx), row_block, argument);
    return SCO_OK;
}

static double time_once(enum sco_status (*step)(void *), void *argument)
{
    const uint64_t start = sco_clock_ns();
    step(argument);
    return fmax((double)(sco_clock_ns() - start), 1.0);
}

static size_t repeats_for(double first_ns, enum sco_status (*step)(void *), void *argument)
{
    if (first_ns > REPEAT_NS)
        return 1;
    return (size_t)ceil(REPEAT_NS / time_once(step, argument)); /* not the first time: that had cold code and data */
}

/* The pattern with the streams of the case: operands about as long as the longest. */
static enum sco_roof_pattern pattern_of(const struct sco_case_buffers *buffers)
{
    size_t longest = 0, streams = 0, written = 0;
    for (size_t i = 0; i < buffers->count; i++)
        if (buffers->operand[i].count > longest)
            longest = buffers->operand[i].count;
    for (size_t i = 0; i < buffers->count; i++)
        if (buffers->operand[i].count > longest / 2) {
            streams++;
            written += buffers->operand[i].role == SCO_OUT || buffers->operand[i].role == SCO_INOUT;
        }
    if (written == 0)
        return SCO_ROOF_READ;
    return streams <= 3 ? SCO_ROOF_RW32 : streams == 4 ? SCO_ROOF_RW43 : SCO_ROOF_RW65;
}

static size_t pattern_arrays(enum sco_roof_pattern pattern)
{
    static const size_t arrays[SCO_ROOF_PATTERNS] = {1, 3, 4, 6};
    return arrays[pattern];
}

/* Multiply-add peak with the instructions of a row; the best there is for scalar code and rows that the roof family lacks. */
static double peak_of(struct sco_ctx *ctx, const char *row_name)
{
    const sco_isa isa = sco_ctx_isa(ctx);
    size_t row = sco_roof_peak_row(isa);
    for (size_t i = 1; i < sco_roof_family.row_count; i++)
        if (strcmp(sco_roof_family.rows[i].name, row_name) == 0 && (sco_roof_family.rows[i].need & ~isa) == 0)
            row = i;
    return sco_roof_peak(ctx, row);
}

static enum sco_status bench_init(struct bench *bench, size_t bytes, const struct sco_bench_options *options)
{
    const struct sco_case *c = bench->c;
    const sco_isa isa = sco_ctx_isa(bench->ctx);
    bench->threads = sco_team_size(sco_ctx_team(bench->ctx));
    c->size(bytes, bench->dim);
    const size_t needed = bench->threads * (sco_case_bytes(c, bench->dim) + bytes);
    if (needed > sco_memory_available())
        return sco_fail(SCO_NOMEM, "%s: %zu bytes for each of %zu threads need %zu bytes of memory", c->name, bytes,
                        bench->threads, needed);
    bench->buffers = calloc(bench->threads, sizeof *bench->buffers);
    if (bench->buffers == NULL)
        return sco_fail(SCO_NOMEM, "%s: no memory", c->name);
    enum sco_status status = SCO_OK;
    for (size_t rank = 0; rank < bench->threads && status == SCO_OK; rank++)
        status = sco_case_buffers_init(&bench->buffers[rank], c, bench->dim);
    if (status != SCO_OK)
        return status;
    refill(bench);

    for (size_t row = 0; row < c->family->row_count && bench->row_count < MAX_ROWS; row++) {
        if (!sco_case_has_row(c, row, isa) ||
            (options->rows != NULL && !sco_text_listed(options->rows, c->family->rows[row].name)))
            continue;
        struct row_run *run = &bench->rows[bench->row_count++];
        *run = (struct row_run){.bench = bench, .row = row, .repeats = 1};
        sco_family_pin(c->family, row, isa, run->ops);
        run->lane = (struct sco_lane){.argument = run, .step = row_step};
        const double first_ns = time_once(row_step, run);
        if (first_ns > ONCE_NS) {
            run->once = true;
            run->lane.steps = 1;
            status = sco_push(&run->lane.samples, &run->lane.sample_count, &run->lane.sample_capacity, first_ns);
            if (status != SCO_OK)
                return status;
        } else {
            run->repeats = repeats_for(first_ns, row_step, run);
        }
    }
    const enum sco_roof_pattern pattern = pattern_of(&bench->buffers[0]);
    status = sco_roof_set_init(&bench->roofs, bench->ctx, bench->threads * bytes / (4 * pattern_arrays(pattern)));
    if (status == SCO_OK) {
        bench->roof = (struct sco_roof_run){&bench->roofs, pattern, bench->roofs.n, 1, false};
        bench->roof.repeats = repeats_for(time_once(sco_roof_step, &bench->roof), sco_roof_step, &bench->roof);
        bench->roof_lane = (struct sco_lane){.argument = &bench->roof, .step = sco_roof_step};
    }
    return status;
}

static void bench_free(struct bench *bench)
{
    for (size_t rank = 0; bench->buffers != NULL && rank < bench->threads; rank++)
        sco_case_buffers_free(&bench->buffers[rank]);
    free(bench->buffers);
    for (size_t i = 0; i < bench->row_count; i++)
        sco_lane_free(&bench->rows[i].lane);
    sco_lane_free(&bench->roof_lane);
    sco_roof_set_free(&bench->roofs);
}

static enum sco_status lane_stats(struct sco_lane *lane, double divisor, struct sco_stats *stats)
{
    for (size_t i = 0; i < lane->sample_count; i++)
        lane->samples[i] /= divisor;
    return sco_grouped_stats(lane->samples, lane->sample_count, lane->steps, stats);
}

static enum sco_status add_row(struct bench *bench, struct row_run *run, const struct sco_bench_size *size,
                               enum sco_stop stop, const struct sco_roof *roof, double cycles_per_ns,
                               struct sco_bench_report *report)
{
    const struct sco_case *c = bench->c;
    struct sco_bench_row *row = &report->rows[report->row_count++];
    *row = (struct sco_bench_row){
        .name = c->name,
        .row = c->family->rows[run->row].name,
        .size = *size,
        .dim_count = c->dim_count,
        .items = c->items(bench->dim),
        .bytes = c->bytes(bench->dim),
        .flops = c->flops(bench->dim),
        .pattern = roof->pattern,
        .roof_gbs = roof->gbs,
        .stop = stop,
    };
    for (size_t i = 0; i < c->dim_count; i++) {
        row->dims[i] = bench->dim[i];
        row->dim_names[i] = c->dim_names[i];
    }
    struct sco_stats ns;
    const enum sco_status status = lane_stats(&run->lane, (double)run->repeats, &ns);
    if (status != SCO_OK)
        return status;
    row->samples = run->lane.samples;
    row->sample_count = run->lane.sample_count;
    run->lane.samples = NULL; /* the row owns them now */
    const double threads = (double)bench->threads;
    row->roof_gflops = peak_of(bench->ctx, row->row);
    row->gbs = threads * row->bytes / ns.median;
    row->gflops = threads * row->flops / ns.median;
    const double memory_ns = threads * row->bytes / row->roof_gbs,
                 compute_ns = row->roof_gflops > 0.0 ? threads * row->flops / row->roof_gflops : 0.0;
    row->compute_bound = compute_ns > memory_ns;
    row->roof_fraction = fmax(memory_ns, compute_ns) / ns.median;
    ns.min /= row->items;
    ns.median /= row->items;
    ns.low /= row->items;
    ns.high /= row->items;
    row->ns_per_item = ns;
    row->cycles_per_item = ns.median * cycles_per_ns;
    return SCO_OK;
}

static enum sco_status bench_case(struct sco_ctx *ctx, const struct sco_case *c, const struct sco_bench_size *size,
                                  const struct sco_bench_options *options, double seconds,
                                  struct sco_clock_quality clock, struct sco_bench_report *report)
{
    struct bench bench = {.ctx = ctx, .c = c};
    struct sco_lane *lanes[MAX_ROWS + 1];
    size_t lane_count = 0, rounds;
    enum sco_stop stop;
    enum sco_status status = bench_init(&bench, size->bytes, options);
    if (status == SCO_OK && bench.row_count > 0) {
        for (size_t i = 0; i < bench.row_count; i++)
            if (!bench.rows[i].once)
                lanes[lane_count++] = &bench.rows[i].lane;
        lanes[lane_count++] = &bench.roof_lane;
        const struct sco_rounds how = {seconds, MIN_ROUNDS, clock.overhead_ns, refill, &bench};
        status = sco_rounds_run(lanes, lane_count, &how, &rounds, &stop);
    }
    if (status == SCO_OK && bench.row_count > 0) {
        struct sco_roof *roof = &report->roofs[report->roof_count++];
        *roof = (struct sco_roof){.pattern = bench.roof.pattern, .elements = bench.roofs.n};
        status =
            lane_stats(&bench.roof_lane, (double)bench.roof.repeats * (double)bench.roofs.n, &roof->ns_per_element);
        roof->gbs = sco_roof_bytes(roof->pattern) / roof->ns_per_element.median;
        for (size_t i = 0; i < bench.row_count && status == SCO_OK; i++)
            status = add_row(&bench, &bench.rows[i], size, bench.rows[i].once ? SCO_STOP_BUDGET : stop, roof,
                             clock.cycles_per_ns, report);
    }
    bench_free(&bench);
    return status;
}

/* ---- The whole run ---- */

/* Variants of a case (after a slash) are for checking; they are timed when the filter asks for them. */
static bool selected(const struct sco_case *c, const struct sco_bench_options *options)
{
    if (options->filter == NULL || strchr(options->filter, '/') == NULL)
        return strchr(c->name, '/') == NULL && (options->filter == NULL || strstr(c->name, options->filter) != NULL);
    return strstr(c->name, options->filter) != NULL;
}

static enum sco_status check_case(const struct sco_case *c, sco_isa isa, const struct sco_bench_options *options)
{
    enum sco_status status = SCO_OK;
    for (size_t row = 0; row < c->family->row_count && status == SCO_OK; row++)
        if (sco_case_has_row(c, row, isa) &&
            (options->rows == NULL || sco_text_listed(options->rows, c->family->rows[row].name)))
            status = sco_case_check(c, row, isa);
    return status;
}

static enum sco_status bench_run(struct sco_bench_report *report, struct sco_ctx *ctx,
                                 const struct sco_bench_options *options, size_t cells)
{
    const struct sco_clock_quality clock = sco_clock_measure();
    const struct sco_case *c;
    enum sco_status status = SCO_OK;
    for (size_t i = 0; (c = case_at(i)) != NULL && status == SCO_OK; i++) {
        if (!selected(c, options))
            continue;
        status = check_case(c, sco_ctx_isa(ctx), options);
        for (size_t s = 0; s < options->size_count && status == SCO_OK; s++) {
            char text[96];
            snprintf(text, sizeof text, "%s, %s", c->name, options->sizes[s].name);
            if (options->progress != NULL)
                options->progress(options->argument, text);
            status = bench_case(ctx, c, &options->sizes[s], options, options->seconds / (double)cells, clock, report);
        }
    }
    return status;
}

static size_t count_cells(const struct sco_bench_options *options)
{
    size_t cells = 0;
    const struct sco_case *c;
    for (size_t i = 0; (c = case_at(i)) != NULL; i++)
        cells += selected(c, options) ? options->size_count : 0;
    return cells;
}

enum sco_status sco_bench_check_options(const struct sco_ctx *ctx, const struct sco_bench_options *options)
{
    if (count_cells(options) == 0)
        return sco_fail(SCO_INVALID, "no kernel case matches \"%s\"; see stepcost bench --list",
                        options->filter != NULL ? options->filter : "");
    return options->rows != NULL ? check_rows(options->rows, sco_ctx_isa(ctx)) : SCO_OK;
}

enum sco_status sco_bench_run(struct sco_bench_report **report, struct sco_ctx *ctx,
                              const struct sco_bench_options *options)
{
    const size_t cells = count_cells(options);
    enum sco_status status = sco_bench_check_options(ctx, options);
    if (status != SCO_OK)
        return status;
    struct sco_bench_report *r = calloc(1, sizeof *r);
    if (r == NULL)
        return sco_fail(SCO_NOMEM, "bench: no memory for the report");
    r->rows = calloc(cells * MAX_ROWS, sizeof *r->rows);
    r->roofs = calloc(cells, sizeof *r->roofs);
    if (r->rows == NULL || r->roofs == NULL)
        status = sco_fail(SCO_NOMEM, "bench: no memory for %zu rows", cells * MAX_ROWS);
    else
        status = bench_run(r, ctx, options, cells);
    if (status != SCO_OK) {
        sco_bench_report_destroy(r);
        return status;
    }
    *report = r;
    return SCO_OK;
}

void sco_bench_report_destroy(struct sco_bench_report *report)
{
    if (report == NULL)
        return;
    for (size_t i = 0; report->rows != NULL && i < report->row_count; i++)
        free(report->rows[i].samples);
    free(report->rows);
    free(report->roofs);
    free(report);
}

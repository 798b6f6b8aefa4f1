/* SPDX-License-Identifier: Apache-2.0
 * The page of a cost report: what to know first, then plots, tables, conditions, method and data. It needs no script
 * and no network, and is made from the text of the JSON report alone: the same JSON gives the same bytes. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/report/cost_environment.h"
#include "cli/report/cost_plots.h"
#include "cli/report/cost_view.h"
#include "cli/report/html.h"
#include "cli/report/report.h"
#include "cli/report/report_style.h"

/* Above this the raw samples, nearly all of the JSON, stay out of the page, which is to remain below 1 MB. */
enum { MOST_JSON_BYTES = 600000 };

/* ---- Cells ------------------------------------------------------------------------------------------------------ */

static void cell(FILE *out, double value)
{
    char text[HTML_NUMBER];
    fprintf(out, "<td>%s</td>", html_number(text, value));
}

static void cell_text(FILE *out, const char *text)
{
    fputs("<td class=\"text\">", out);
    html_text(out, text[0] != '\0' ? text : "\u2013");
    fputs("</td>", out);
}

static void cell_interval(FILE *out, const char *kind, double value, double low, double high, const char *mark)
{
    char text[HTML_NUMBER];
    fprintf(out, "<td class=\"%s\">%s%s", kind, html_number(text, value), mark);
    if (!isnan(low) && !isnan(high)) {
        fprintf(out, "<small>%s\u2013", html_number(text, low));
        fprintf(out, "%s</small>", html_number(text, high));
    }
    fputs("</td>", out);
}

static void cell_ns(FILE *out, const struct view_row *row)
{
    cell_interval(out, "key", row->ns.median, row->ns.low, row->ns.high, row->ns.confidence < 0.95 ? "!" : "");
}

/* Adam's own is 1 without an interval. */
static void cell_ratio(FILE *out, const struct view_row *row)
{
    if (view_is_adam(row)) {
        cell_interval(out, "key", row->ratio, (double)NAN, (double)NAN, "");
        return;
    }
    cell_interval(out, "key", row->ratio, row->ratio_low, row->ratio_high,
                  !isnan(row->ratio) && !row->ratio_paired ? "*" : "");
}

static void cell_rounds(FILE *out, const struct view_row *row)
{
    char text[HTML_NUMBER];
    fprintf(out, "<td>%s<small>", html_count(text, row->ns.rounds));
    html_text(out, row->stop);
    fputs("</small></td>", out);
}

static void cell_percent(FILE *out, double value)
{
    char text[HTML_NUMBER];
    fprintf(out, "<td>%s</td>", html_percent(text, value));
}

static void cell_count(FILE *out, double value)
{
    char text[HTML_NUMBER];
    fprintf(out, "<td>%s</td>", html_count(text, value));
}

static const char *tone(const struct view_row *row)
{
    return view_is_velo(row) ? "velo" : view_is_adam(row) ? "adam" : "other";
}

/* kind: "scroll", or "scroll wide" for many columns */
static void begin_table(FILE *out, const char *kind, const char *label)
{
    fprintf(out, "<div class=\"%s\" role=\"region\" aria-label=\"%s\" tabindex=\"0\"><table>\n<thead><tr>", kind,
            label);
}

/* The rest of a table's head. A leading < aligns a column of text to the left; a line may break at |. */
static void end_heads(FILE *out, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const bool left = names[i][0] == '<';
        fputs(left ? "<th class=\"text\">" : "<th>", out);
        for (const char *c = names[i] + left; *c != '\0'; c++)
            if (*c == '|')
                fputs("<br/>", out);
            else
                fputc(*c, out);
        fputs("</th>", out);
    }
    fputs("</tr></thead>\n", out);
}

static void end_table(FILE *out)
{
    fputs("</tbody></table></div>\n", out);
}

static void begin_row(FILE *out, const struct view_row *row, const char *name)
{
    fprintf(out, "<tr class=\"%s\" data-row=\"%zu\"><th scope=\"row\">", tone(row), row->index);
    html_text(out, name);
    fputs("</th>", out);
}

/* "resnet50 · 161 tensors, 25.6 M parameters" with what must be said about a list that was cut. */
static void workload_title(FILE *out, const struct view_row *row)
{
    char text[HTML_NUMBER];
    html_text(out, row->workload);
    fprintf(out, " <span>\u00b7 %s tensors", html_count(text, row->tensors));
    fprintf(out, ", %s parameters", html_count(text, row->params));
    if (row->shortened)
        fprintf(out, ", shortened from %s", html_count(text, row->full_params));
    fputs("</span>", out);
}

/* ---- Downloads -------------------------------------------------------------------------------------------------- */

static void csv_row(FILE *csv, const struct view_row *row)
{
    csv_text(csv, row->workload, ',');
    csv_text(csv, row->optimizer, ',');
    const double numbers[] = {row->threads,   row->tensors,    row->params,    row->ns.median,   row->ns.low,
                              row->ns.high,   row->ns.min,     row->ns.rounds, row->ms.median,   row->ratio,
                              row->ratio_low, row->ratio_high, row->state,     row->bytes,       row->flops,
                              row->gbs,       row->gflops,     row->roof_gbs,  row->roof_gflops, row->roof_fraction};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        csv_number(csv, numbers[i], ',');
    csv_text(csv, row->limit, '\n');
}

static void csv_rows(FILE *csv, const struct view_row *rows, size_t count)
{
    fputs("workload,optimizer,threads,tensors,params,ns_per_param,ns_per_param_low,ns_per_param_high,", csv);
    fputs("ns_per_param_min,rounds,ms_per_step,ratio_to_adam,ratio_to_adam_low,ratio_to_adam_high,", csv);
    fputs("state_bytes_per_param,model_bytes_per_param,model_flops_per_param,gbs,gflops,roof_gbs,", csv);
    fputs("roof_gflops,roof_fraction,limit\n", csv);
    for (size_t i = 0; i < count; i++)
        csv_row(csv, &rows[i]);
}

static void csv_phases(FILE *csv, const struct view_row *rows, size_t count)
{
    fputs("workload,optimizer,params,phase,ns_per_param,ns_per_param_low,ns_per_param_high\n", csv);
    for (size_t i = 0; i < count; i++)
        for (size_t p = 0; p < rows[i].phase_count; p++) {
            csv_text(csv, rows[i].workload, ',');
            csv_text(csv, rows[i].optimizer, ',');
            csv_number(csv, rows[i].params, ',');
            csv_text(csv, rows[i].phase_name[p], ',');
            csv_number(csv, rows[i].phase[p].median, ',');
            csv_number(csv, rows[i].phase[p].low, ',');
            csv_number(csv, rows[i].phase[p].high, '\n');
        }
}

/* A page without the link is still whole, so memory that runs out is no error here. */
static void download(FILE *out, const char *name, void (*write)(FILE *, const struct view_row *, size_t),
                     const struct view_row *rows, size_t count)
{
    char *text = NULL;
    size_t bytes = 0;
    FILE *csv = open_memstream(&text, &bytes);
    if (csv == NULL)
        return;
    write(csv, rows, count);
    if (fclose(csv) == 0) {
        fputs("<p>", out);
        html_download(out, name, "These values as CSV", text, bytes);
        fputs("</p>\n", out);
    }
    free(text);
}

/* ---- The answer ------------------------------------------------------------------------------------------------- */

/* What the answer is about: VeLO where it was timed, otherwise Adam, otherwise what stands first. */
static const char *subject(const struct cost_view *view)
{
    const char *optimizer = view->row_count > 0 ? view->rows[0].optimizer : "";
    for (size_t i = 0; i < view->row_count; i++) {
        if (view_is_velo(&view->rows[i]))
            return view->rows[i].optimizer;
        if (view_is_adam(&view->rows[i]))
            optimizer = view->rows[i].optimizer;
    }
    return optimizer;
}

static void write_limit(FILE *out, const struct view_row *row)
{
    char text[HTML_NUMBER];
    const bool compute = strcmp(row->limit, "compute") == 0;
    if (isnan(row->roof_fraction))
        return;
    fprintf(out, ". It reaches <b>%s</b> of the %s limit measured beside it", html_percent(text, row->roof_fraction),
            compute ? "compute" : "memory");
    if (compute && row->roof_gbs > 0.0)
        fprintf(out, " (%s of the memory limit)", html_percent(text, row->gbs / row->roof_gbs));
}

static void write_range(FILE *out, double low, double high)
{
    char first[HTML_NUMBER], second[HTML_NUMBER];
    html_number(first, low);
    html_number(second, high);
    fputs(first, out);
    if (strcmp(first, second) != 0)
        fprintf(out, " to %s", second);
}

static void write_sentence(FILE *out, const struct cost_view *view, const char *optimizer)
{
    const struct view_row *lead = NULL;
    double least = INFINITY, most = 0.0, least_ratio = INFINITY, most_ratio = 0.0;
    size_t count = 0;
    for (size_t i = 0; i < view->row_count; i++) {
        const struct view_row *row = &view->rows[i];
        if (strcmp(row->optimizer, optimizer) != 0)
            continue;
        lead = lead != NULL ? lead : row;
        least = fmin(least, row->ns.median);
        most = fmax(most, row->ns.median);
        least_ratio = fmin(least_ratio, row->ratio);
        most_ratio = fmax(most_ratio, row->ratio);
        count++;
    }
    if (lead == NULL) {
        fputs("<p class=\"answer\">Nothing was measured; the notes below say why.</p>\n", out);
        return;
    }
    char text[HTML_NUMBER], more[HTML_NUMBER];
    const char *name = view_optimizer(optimizer);
    fprintf(out, "<p class=\"answer\">On this CPU %s ",
            strchr("AEIOUaeiou", name[0]) != NULL && name[0] != '\0' ? "an" : "a");
    html_text(out, name);
    fprintf(out, " step costs <b class=\"%s\">%s\u00a0ns/param</b>", tone(lead), html_number(text, lead->ns.median));
    if (!isnan(lead->ns.low))
        fprintf(out, " (95\u00a0%% interval %s to %s)", html_number(text, lead->ns.low),
                html_number(more, lead->ns.high));
    fputs(" on ", out);
    html_text(out, lead->workload);
    if (!isnan(lead->ratio) && !view_is_adam(lead))
        fprintf(out, ", <b class=\"%s\">%s\u00a0\u00d7\u00a0Adam</b>", tone(lead), html_number(text, lead->ratio));
    write_limit(out, lead);
    if (count > 1) {
        fprintf(out, ". Over the %zu workloads it costs ", count);
        write_range(out, least, most);
        fputs("\u00a0ns/param", out);
        if (most_ratio > 0.0 && !view_is_adam(lead)) {
            fputs(", ", out);
            write_range(out, least_ratio, most_ratio);
            fputs("\u00a0\u00d7\u00a0Adam", out);
        }
    }
    fputs(".</p>\n", out);
}

static void write_notes(FILE *out, const struct cost_view *view)
{
    const char *weights = view_text(view->report, "weights");
    bool unpaired = false, few = false;
    for (size_t i = 0; i < view->row_count; i++) {
        unpaired |= !isnan(view->rows[i].ratio) && !view->rows[i].ratio_paired;
        few |= view->rows[i].ns.confidence < 0.95;
    }
    fputs("<ul class=\"notes\">\n", out);
    if (weights[0] != '\0') {
        fputs("<li>VeLO\u2019s weights: ", out);
        html_text(out, weights);
        fputs(strncmp(weights, "generated", 9) == 0 ? ". They tell what a step costs, not how well it trains.</li>\n"
                                                    : ".</li>\n",
              out);
    }
    for (size_t i = 0; i < view->workload_count; i++)
        if (view->workloads[i].rows[0].shortened) {
            char text[HTML_NUMBER];
            fputs("<li><b>Shortened:</b> ", out);
            html_text(out, view->workloads[i].rows[0].workload);
            fprintf(out, " was cut from %s ", html_count(text, view->workloads[i].rows[0].full_params));
            fprintf(out, "to %s parameters.</li>\n", html_count(text, view->workloads[i].rows[0].params));
        }
    for (size_t i = 0; i < view->refusal_count; i++) {
        fputs("<li><b>Not measured:</b> ", out);
        html_text(out, view->refusals[i].workload);
        fputs(" with ", out);
        html_text(out, view_optimizer(view->refusals[i].optimizer));
        fputs(": ", out);
        html_text(out, view->refusals[i].why);
        fputs("</li>\n", out);
    }
    if (few)
        fputs("<li><b>!</b> fewer than six rounds: the interval is the range of what was seen, and covers less than "
              "95\u00a0%.</li>\n",
              out);
    if (unpaired)
        fputs("<li><b>*</b> ratio of medians: memory did not hold the optimizer and Adam at once.</li>\n", out);
    const char *nonfinite = view_text(view->report, "nonfinite");
    if (nonfinite[0] != '\0' && strcmp(nonfinite, "pass") != 0)
        fputs(
            "<li>Steps looked for NaN and Inf first, and read the gradient once more than the model bytes say.</li>\n",
            out);
    fputs("<li>Numbers have three significant digits; small print in a cell is the 95\u00a0% interval of the median. "
          "Time is per step and parameter, on all threads together.</li>\n"
          "</ul>\n",
          out);
}

static void write_answer(FILE *out, const struct cost_view *view)
{
    const char *optimizer = subject(view);
    write_sentence(out, view, optimizer);
    if (view->row_count > 0) {
        static const char *const heads[] = {"parameters",   "ns/param",    "ms/step",       "\u00d7 Adam",
                                            "of the limit", "<limited by", "state, B/param"};
        begin_table(out, "scroll", "The answer by workload");
        fputs("<th>", out);
        html_text(out, view_optimizer(optimizer));
        fputs(" on</th>", out);
        end_heads(out, heads, sizeof heads / sizeof *heads);
        fputs("<tbody>\n", out);
        for (size_t i = 0; i < view->row_count; i++) {
            const struct view_row *row = &view->rows[i];
            if (strcmp(row->optimizer, optimizer) != 0)
                continue;
            begin_row(out, row, row->workload);
            cell_count(out, row->params);
            cell_ns(out, row);
            cell(out, row->ms.median);
            cell_ratio(out, row);
            cell_percent(out, row->roof_fraction);
            cell_text(out, row->limit);
            cell(out, row->state);
            fputs("</tr>\n", out);
        }
        end_table(out);
    }
    write_notes(out, view);
}

/* ---- Plots with their tables ------------------------------------------------------------------------------------ */

/* One plot for each workload, under its title. */
static void write_figures(FILE *out, const struct cost_view *view, const char *name,
                          void (*plot)(FILE *out, const char *id, const struct view_workload *workload))
{
    for (size_t i = 0; i < view->workload_count; i++) {
        char id[32];
        snprintf(id, sizeof id, "%s-%zu", name, i);
        fputs("<figure><h3>", out);
        workload_title(out, view->workloads[i].rows);
        fputs("</h3>\n", out);
        plot(out, id, &view->workloads[i]);
        fputs("</figure>\n", out);
    }
}

static void write_bars(FILE *out, const struct cost_view *view)
{
    fputs("<section id=\"cost\"><h2>Cost per parameter</h2>\n"
          "<p class=\"note\">Median time of a step divided by the parameters.<i class=\"key w\"></i>95\u00a0% "
          "interval.<i class=\"key l\"></i>Shortest time possible: the modelled bytes at the measured bandwidth or "
          "the modelled flops at the measured peak, whichever takes longer.</p>\n"
          "<div class=\"grid2\">\n",
          out);
    write_figures(out, view, "bars", plot_bars);
    fputs("</div>\n<p class=\"note\">All values stand in the <a href=\"#table\">full table</a>.</p></section>\n", out);
}

static void write_sweep(FILE *out, const struct cost_view *view)
{
    static const char *const heads[] = {"optimizer",   "parameters",   "ns/param",    "time/step",
                                        "\u00d7 Adam", "of the limit", "<limited by", "rounds"};
    if (view->sweep_count == 0)
        return;
    fputs("<section id=\"size\"><h2>Cost against tensor size</h2>\n"
          "<p>Steps on one square tensor. While it is small the fixed cost of a step counts, for VeLO a pass over "
          "the weights of its LSTM; past the caches, memory does.</p>\n"
          "<p class=\"note\">Shaded: where parameters, gradients and state of the optimizers fill a <a "
          "href=\"#environment\">cache</a> of the cores in use, from the optimizer with the most bytes per parameter "
          "to the one with the fewest.</p>\n"
          "<div class=\"grid2\"><figure>\n",
          out);
    plot_sweep(out, "sweep-param", view, false);
    fputs("</figure><figure>\n", out);
    plot_sweep(out, "sweep-step", view, true);
    fputs("</figure></div>\n<details><summary>Table</summary>\n", out);
    begin_table(out, "scroll", "Cost against tensor size");
    end_heads(out, heads, sizeof heads / sizeof *heads);
    fputs("<tbody>\n", out);
    for (size_t i = 0; i < view->sweep_count; i++) {
        const struct view_row *row = &view->sweep[i];
        char text[HTML_NUMBER];
        begin_row(out, row, view_optimizer(row->optimizer));
        cell_count(out, row->params);
        cell_ns(out, row);
        fprintf(out, "<td>%s</td>", html_seconds(text, row->ns.median * row->params));
        cell_ratio(out, row);
        cell_percent(out, row->roof_fraction);
        cell_text(out, row->limit);
        cell_rounds(out, row);
        fputs("</tr>\n", out);
    }
    end_table(out);
    fputs("</details>\n", out);
    download(out, "stepcost-sweep.csv", csv_rows, view->sweep, view->sweep_count);
    fputs("</section>\n", out);
}

static const struct view_row *first_with_phases(const struct cost_view *view)
{
    for (size_t i = 0; i < view->row_count; i++)
        if (view->rows[i].phase_count > 0)
            return &view->rows[i];
    return NULL;
}

static void write_phases(FILE *out, const struct cost_view *view)
{
    static const char *const meaning[][2] = {
        {"accumulate", "row and column sums of squared gradients, for the factored moments"},
        {"statistics", "mean squares of the 30 features, which are computed and never stored"},
        {"lstm", "once per tensor, for all tensors as one matrix product"},
        {"hypernetwork", "mixes each tensor\u2019s MLP from the bank of experts"},
        {"mlp", "the update of each parameter; writes parameters and state"},
    };
    const struct view_row *first = first_with_phases(view);
    if (first == NULL)
        return;
    fputs("<section id=\"phases\"><h2>Where a ", out);
    html_text(out, view_optimizer(first->optimizer));
    fputs(" step spends its time</h2>\n<div class=\"grid2\"><figure>\n", out);
    plot_phases(out, "phases-plot", view);
    fputs("<figcaption>The number at the end is the sum of the medians.</figcaption></figure><dl>\n", out);
    for (size_t i = 0; i < sizeof meaning / sizeof *meaning; i++)
        fprintf(out, "<dt>%s</dt><dd>%s</dd>\n", meaning[i][0], meaning[i][1]);
    fputs("</dl></div>\n", out);
    begin_table(out, "scroll", "Phases by workload, ns per parameter");
    fputs("<th>ns/param</th>", out);
    for (size_t p = 0; p < first->phase_count; p++) {
        fputs("<th>", out);
        html_text(out, first->phase_name[p]);
        fputs("</th>", out);
    }
    fputs("<th>whole step</th></tr></thead>\n<tbody>\n", out);
    for (size_t i = 0; i < view->row_count; i++) {
        const struct view_row *row = &view->rows[i];
        if (row->phase_count == 0)
            continue;
        begin_row(out, row, row->workload);
        for (size_t p = 0; p < first->phase_count; p++) {
            const struct view_stat phase = view_phase(row, first->phase_name[p]);
            cell_interval(out, "", phase.median, phase.low, phase.high, "");
        }
        cell_ns(out, row);
        fputs("</tr>\n", out);
    }
    end_table(out);
    download(out, "stepcost-phases.csv", csv_phases, view->rows, view->row_count);
    fputs("</section>\n", out);
}

static void write_roofline(FILE *out, const struct cost_view *view)
{
    if (view->workload_count == 0)
        return;
    fputs("<section id=\"roofline\"><h2>Roofline</h2>\n"
          "<p class=\"note\">Points: modelled flops per modelled byte, and GFLOP/s attained. Slopes: bandwidth of "
          "the access patterns (rw43: four arrays read and three written in place, and so on), measured in the same "
          "rounds on the same threads, on arrays of the workload\u2019s size. Flat: multiply-adds in registers on "
          "all threads. A point above its slope had part of its bytes in cache.</p>\n"
          "<div class=\"grid2\">\n",
          out);
    write_figures(out, view, "roofline", plot_roofline);
    fputs("</div></section>\n", out);
}

static void write_table(FILE *out, const struct cost_view *view)
{
    static const char *const heads[] = {"optimizer",      "ns/param",         "minimum",      "ms/step", "\u00d7 Adam",
                                        "state,|B/param", "traffic,|B/param", "flops/|param", "GB/s",    "GFLOP/s",
                                        "roof,|GB/s",     "of the|limit",     "<limited by",  "rounds"};
    fputs("<section id=\"table\"><h2>Full table</h2>\n", out);
    begin_table(out, "scroll wide", "All measurements");
    end_heads(out, heads, sizeof heads / sizeof *heads);
    for (size_t w = 0; w < view->workload_count; w++) {
        fputs("<tbody><tr><th scope=\"rowgroup\" colspan=\"14\">", out);
        workload_title(out, view->workloads[w].rows);
        fputs("</th></tr>\n", out);
        for (size_t i = 0; i < view->workloads[w].count; i++) {
            const struct view_row *row = &view->workloads[w].rows[i];
            begin_row(out, row, view_optimizer(row->optimizer));
            cell_ns(out, row);
            cell(out, row->ns.min);
            cell(out, row->ms.median);
            cell_ratio(out, row);
            cell(out, row->state);
            cell(out, row->bytes);
            cell(out, row->flops);
            cell(out, row->gbs);
            cell(out, row->gflops);
            cell(out, row->roof_gbs);
            cell_percent(out, row->roof_fraction);
            cell_text(out, row->limit);
            cell_rounds(out, row);
            fputs("</tr>\n", out);
        }
        fputs(w + 1 < view->workload_count ? "</tbody>\n" : "", out);
    }
    if (view->workload_count == 0)
        fputs("<tbody>", out);
    end_table(out);
    fputs("<p class=\"note\">State: kept between steps. Traffic and flops: by formula, what a step asks of memory and "
          "computes; a multiply-add is two flops, a division or a root one. Rounds ended by spread: everything "
          "timed together had settled within 1\u00a0%; by budget: time was up.</p>\n",
          out);
    download(out, "stepcost-cost.csv", csv_rows, view->rows, view->row_count);
    fputs("</section>\n", out);
}

/* ---- Method, data ----------------------------------------------------------------------------------------------- */

static void write_method(FILE *out, const struct cost_view *view)
{
    char text[HTML_NUMBER];
    fputs("<section id=\"method\"><h2>Method</h2>\n"
          "<p>Before an optimizer is timed, its steps are compared with those of scalar code. Then all optimizers of "
          "a workload, and the access patterns that they are measured against, run in interleaved rounds "
          "(A\u00a0B\u00a0C, B\u00a0C\u00a0A, \u2026), so that a slow spell of the machine falls on all alike. A "
          "round is a short burst of each; the median of a burst is one value. Medians and their intervals, by order "
          "statistics, are over rounds; minima are over all samples; ratios are formed within a round.</p>\n"
          "<p>The limit is the shortest time possible on the same threads in the same run: modelled bytes at the "
          "bandwidth of the most similar access pattern, or modelled flops at the multiply-add peak, whichever takes "
          "longer. Above 100\u00a0% part of the bytes came from cache.</p>\n"
          "<p>Not measured: how well an optimizer trains, forward and backward passes, energy, and traffic or "
          "instructions as hardware counts them; bytes and flops here are by formula.",
          out);
    const double elapsed = view_number(view->report, "elapsed_seconds");
    if (!isnan(elapsed))
        fprintf(out, " The whole run took %s.", html_seconds(text, elapsed * 1e9));
    fputs("</p></section>\n", out);
}

/* JSON as the text of a script element: no character of markup is left in it. */
static void write_json(FILE *out, const char *json)
{
    for (; *json != '\0'; json++)
        if (strchr("<>&\x7f", *json) != NULL)
            fprintf(out, "\\u%04x", (unsigned)*json);
        else
            fputc(*json, out);
}

static void write_data(FILE *out, const struct cost_view *view, const char *json, bool samples)
{
    const char *command = view_text(view->report, "command");
    fputs("<section id=\"data\"><h2>Data</h2>\n", out);
    if (command[0] != '\0') {
        fputs("<p>The command that measured this:</p>\n<pre class=\"wrap\">", out);
        html_text(out, command);
        fputs("</pre>\n", out);
    }
    fprintf(out,
            "<p>This page holds the report as JSON (keys: docs/json.md)%s in the element "
            "<code>script#stepcost-json</code>. To take it out:</p>\n"
            "<pre class=\"wrap\">python3 -c 'import re,sys; "
            "print(re.search(r\"stepcost-json.&gt;(.*?)\\x3c/script\", sys.stdin.read(), re.S)[1])' &lt; "
            "stepcost-report.html</pre>\n",
            samples ? ", raw samples included," : " without the raw samples, which --json keeps,");
    fputs("<script type=\"application/json\" id=\"stepcost-json\">", out);
    write_json(out, json);
    fputs("</script></section>\n", out);
}

/* ---- The page --------------------------------------------------------------------------------------------------- */

static void write_head(FILE *out, const struct cost_view *view)
{
    const char *cpu = view_text(view->context, "cpu");
    char text[HTML_NUMBER];
    fputs("<!DOCTYPE html>\n<html lang=\"en\" xmlns=\"http://www.w3.org/1999/xhtml\">\n<head>\n<meta "
          "charset=\"utf-8\"/>\n"
          "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src "
          "'unsafe-inline'\"/>\n"
          "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n"
          "<meta name=\"color-scheme\" content=\"light dark\"/>\n"
          "<title>Cost of an optimizer step: ",
          out);
    html_text(out, cpu);
    fputs("</title>\n<style>\n", out);
    report_style(out);
    fputs("</style>\n</head>\n<body>\n<header><p class=\"kicker\">stepcost ", out);
    html_text(out, view_text(view->context, "version"));
    fputs(" \u00b7 ", out);
    html_text(out, view_text(view->context, "date"));
    fputs("</p>\n<h1>What an optimizer step costs on ", out);
    html_text(out, cpu[0] != '\0' ? cpu : "this CPU");
    fputs("</h1>\n<p class=\"kicker\">", out);
    const double threads = view_number(view->context, "threads");
    fprintf(out, "%s thread%s \u00b7 ", html_count(text, threads), threads == 1.0 ? "" : "s");
    html_text(out, view_text(view->context, "isa"));
    fprintf(out, " \u00b7 %s GHz</p>\n</header>\n<main>\n",
            html_number(text, view_number(view->context, "ghz_estimate")));
}

static void write_contents(FILE *out, const struct cost_view *view)
{
    fputs("<nav aria-label=\"Contents\"><a href=\"#cost\">Cost</a>", out);
    if (view->sweep_count > 0)
        fputs("<a href=\"#size\">Tensor size</a>", out);
    if (first_with_phases(view) != NULL)
        fputs("<a href=\"#phases\">Phases</a>", out);
    if (view->workload_count > 0)
        fputs("<a href=\"#roofline\">Roofline</a>", out);
    fputs("<a href=\"#table\">Full table</a><a href=\"#environment\">Environment</a><a href=\"#method\">Method</a>"
          "<a href=\"#data\">Data</a></nav>\n",
          out);
}

static void write_page(FILE *out, const struct cost_view *view, const char *json, bool samples)
{
    write_head(out, view);
    write_answer(out, view);
    write_contents(out, view);
    write_bars(out, view);
    write_sweep(out, view);
    write_phases(out, view);
    write_roofline(out, view);
    write_table(out, view);
    page_environment(out, view);
    write_method(out, view);
    write_data(out, view, json, samples);
    fputs("</main>\n<footer>Made by stepcost; this page loads nothing and runs nothing.</footer>\n</body>\n</html>\n",
          out);
}

static void drop_samples(json_t *rows)
{
    for (size_t i = 0; i < json_array_size(rows); i++)
        json_object_del(json_array_get(rows, i), "samples");
}

int cli_report_html(FILE *file, const char *path, const json_t *report)
{
    const size_t flags = JSON_COMPACT | JSON_REAL_PRECISION(CLI_REPORT_DIGITS);
    struct cost_view view = {0};
    char *json = json_dumps(report, flags);
    json_t *copy = json != NULL ? json_loads(json, 0, NULL) : NULL;
    const bool samples = json != NULL && strlen(json) <= MOST_JSON_BYTES;
    int code = CLI_OK;
    if (copy != NULL && !samples) {
        drop_samples(json_object_get(copy, "rows"));
        drop_samples(json_object_get(copy, "sweep"));
        free(json);
        json = json_dumps(copy, flags);
    }
    if (copy == NULL || json == NULL || cost_view_create(&view, copy) != 0)
        code = cli_fail(CLI_ENVIRONMENT, "%s: no memory for the report", path);
    else
        write_page(file, &view, json, samples);
    cost_view_destroy(&view);
    json_decref(copy);
    free(json);
    return code;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/report/cost_environment.h"

#include <math.h>
#include <string.h>

#include "cli/cli.h"
#include "cli/report/html.h"

/* ---- Terms ------------------------------------------------------------------------------------------------------ */

static void begin_term(FILE *out, const char *name)
{
    fprintf(out, "<dt>%s</dt><dd>", name);
}

static void end_term(FILE *out)
{
    fputs("</dd>\n", out);
}

static void text_term(FILE *out, const char *name, const json_t *object, const char *key)
{
    const char *text = view_text(object, key);
    begin_term(out, name);
    html_text(out, text[0] != '\0' ? text : "\u2013");
    end_term(out);
}

static void number(FILE *out, const json_t *object, const char *key)
{
    char text[HTML_NUMBER];
    fputs(html_number(text, view_number(object, key)), out);
}

static void count(FILE *out, const json_t *object, const char *key)
{
    char text[HTML_NUMBER];
    fputs(html_count(text, view_number(object, key)), out);
}

static void bytes(FILE *out, const json_t *object, const char *key)
{
    char text[CLI_BYTES_TEXT];
    const double value = view_number(object, key);
    fputs(isnan(value) ? "\u2013" : cli_format_bytes(text, value), out);
}

/* ---- Kernels ---------------------------------------------------------------------------------------------------- */

/* Calls write for each row (variant) that some kernel runs on, with all kernels: most of them share one. */
static void for_each_kernel_row(FILE *out, json_t *kernels, void (*write)(FILE *, json_t *kernels, const json_t *row))
{
    const char *slot, *earlier;
    json_t *row, *other;
    json_object_foreach(kernels, slot, row)
    {
        bool first = json_is_string(row);
        json_object_foreach(kernels, earlier, other)
        {
            if (other == row)
                break;
            first &= !json_equal(other, row);
        }
        if (first)
            write(out, kernels, row);
    }
}

/* "avx512 41 " */
static void count_kernels(FILE *out, json_t *kernels, const json_t *row)
{
    const char *slot;
    json_t *other;
    size_t same = 0;
    json_object_foreach(kernels, slot, other) same += (size_t)json_equal(other, row);
    html_text(out, json_string_value(row));
    fprintf(out, "\u00a0%zu ", same);
}

static void list_kernels(FILE *out, json_t *kernels, const json_t *row)
{
    const char *slot, *separator = "";
    json_t *other;
    fputs("<dt>", out);
    html_text(out, json_string_value(row));
    fputs("</dt><dd>", out);
    json_object_foreach(kernels, slot, other) if (json_equal(other, row))
    {
        fputs(separator, out);
        html_text(out, slot);
        separator = ", ";
    }
    fputs("</dd>\n", out);
}

/* ---- Counters --------------------------------------------------------------------------------------------------- */

static bool same_verdict(const json_t *a, const json_t *b)
{
    return strcmp(view_text(a, "source"), view_text(b, "source")) == 0 &&
           strcmp(view_text(a, "reason"), view_text(b, "reason")) == 0;
}

/* Which events can be read and, said once for all that share it, why others cannot and what would help. */
static void write_counters(FILE *out, const json_t *counters)
{
    const size_t events = json_array_size(counters);
    if (events == 0)
        return;
    fputs("<h3>Hardware counters <span>\u00b7 no figure here rests on them</span></h3>\n<ul class=\"notes\">\n", out);
    for (size_t i = 0; i < events; i++) {
        const json_t *counter = json_array_get(counters, i);
        bool first = true;
        for (size_t j = 0; j < i; j++)
            first &= !same_verdict(json_array_get(counters, j), counter);
        if (!first)
            continue;
        const bool available = json_is_true(json_object_get(counter, "available"));
        fputs(available ? "<li>Can be read" : "<li><b>Cannot be read</b>", out);
        const char *separator = ": ";
        for (size_t j = i; j < events; j++)
            if (same_verdict(json_array_get(counters, j), counter)) {
                fputs(separator, out);
                html_text(out, view_text(json_array_get(counters, j), "name"));
                separator = ", ";
            }
        fputs(available ? ". Source: " : ". Reason: ", out);
        html_text(out, view_text(counter, available ? "source" : "reason"));
        fputs("</li>\n", out);
    }
    fputs("</ul>\n", out);
}

/* ---- The section ------------------------------------------------------------------------------------------------ */

static void write_cache(FILE *out, const json_t *cache)
{
    fputs("<dt>L", out);
    count(out, cache, "level");
    fputs(" cache", out);
    if (view_number(cache, "core_kind") > 0.0) {
        fputs(", core kind ", out);
        count(out, cache, "core_kind");
    }
    fputs("</dt><dd>", out);
    bytes(out, cache, "bytes");
    fputs(", lines of ", out);
    count(out, cache, "line_bytes");
    fputs("\u00a0B, shared by ", out);
    count(out, cache, "cpus");
    fputs(view_number(cache, "cpus") == 1.0 ? "\u00a0CPU" : "\u00a0CPUs", out);
    end_term(out);
}

static void write_machine(FILE *out, const json_t *context)
{
    const json_t *caches = json_object_get(context, "caches");
    fputs("<dl>\n", out);
    text_term(out, "CPU", context, "cpu");
    begin_term(out, "topology");
    fputs("packages: ", out);
    count(out, context, "packages");
    fputs(", NUMA nodes: ", out);
    count(out, context, "numa_nodes");
    fputs(", cores: ", out);
    count(out, context, "cores");
    fputs(", CPUs allowed: ", out);
    count(out, context, "allowed_cpus");
    end_term(out);
    for (size_t i = 0; i < json_array_size(caches); i++)
        write_cache(out, json_array_get(caches, i));
    begin_term(out, "memory");
    bytes(out, context, "memory_bytes");
    fputs(", available ", out);
    bytes(out, context, "memory_available_bytes");
    end_term(out);
    text_term(out, "huge pages", context, "huge_pages");
    begin_term(out, "clock");
    number(out, context, "ghz_estimate");
    fputs(" GHz, estimated", out);
    end_term(out);
    text_term(out, "governor", context, "governor");
    begin_term(out, "load average");
    number(out, context, "load_average");
    fputs(", before the measurement", out);
    end_term(out);
    fputs("</dl>", out);
}

static void write_software(FILE *out, const json_t *context)
{
    const json_t *pinned = json_object_get(context, "pinned_cpus");
    fputs("<dl>\n", out);
    text_term(out, "system", context, "system");
    begin_term(out, "threads");
    count(out, context, "threads");
    for (size_t i = 0; i < json_array_size(pinned); i++)
        fprintf(out, "%s%lld", i == 0 ? ", on CPUs " : " ", (long long)json_integer_value(json_array_get(pinned, i)));
    end_term(out);
    text_term(out, "levels in force", context, "isa");
    begin_term(out, "kernels by level");
    for_each_kernel_row(out, json_object_get(context, "rows"), count_kernels);
    end_term(out);
    text_term(out, "stepcost", context, "version");
    text_term(out, "commit", context, "commit");
    text_term(out, "compiler", context, "compiler");
    text_term(out, "flags", context, "flags");
    begin_term(out, "timer");
    number(out, context, "clock_overhead_ns");
    fputs(" ns a reading, subtracted; resolution ", out);
    number(out, context, "clock_resolution_ns");
    fputs(" ns", out);
    end_term(out);
    text_term(out, "measured", context, "date");
    fputs("</dl>", out);
}

void page_environment(FILE *out, const struct cost_view *view)
{
    fputs("<section id=\"environment\"><h2>Environment</h2>\n<div class=\"grid2\">", out);
    write_machine(out, view->context);
    write_software(out, view->context);
    fputs("</div>\n<details><summary>Kernels and what each runs on</summary><dl>\n", out);
    for_each_kernel_row(out, json_object_get(view->context, "rows"), list_kernels);
    fputs("</dl></details>\n", out);
    write_counters(out, json_object_get(view->report, "counters"));
    fputs("</section>\n", out);
}

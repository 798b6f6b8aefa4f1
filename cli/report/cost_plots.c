/* SPDX-License-Identifier: Apache-2.0
 * Drawn 440 units wide: about its size in a column on a desk screen, and still 10 px text on a telephone. */
#include "cli/report/cost_plots.h"

#include <math.h>
#include <string.h>

#include "cli/report/html.h"

enum { WIDTH = 440 };

/* ---- Axes ------------------------------------------------------------------------------------------------------- */

/* Values from .. to at positions start .. end. */
struct axis {
    double from, to, start, end;
    bool log;
};

static double at(const struct axis *axis, double value)
{
    const double part = axis->log ? log(value / axis->from) / log(axis->to / axis->from)
                                  : (value - axis->from) / (axis->to - axis->from);
    return axis->start + part * (axis->end - axis->start);
}

/* A report that was damaged or made up may hold anything: what is outside stays out of a plot, and the arithmetic of
 * axes inside the range of a double. */
static bool drawable(double value)
{
    return value >= 1e-30 && value <= 1e30;
}

/* The larger of two, the second if it can be drawn. */
static double longer(double longest, double value)
{
    return drawable(value) ? fmax(longest, value) : longest;
}

/* Smallest of 1, 2, 5 times a power of ten that is not below value. */
static double nice_above(double value)
{
    const double power = pow(10.0, floor(log10(value)));
    static const double steps[] = {1.0, 2.0, 5.0, 10.0};
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++)
        if (steps[i] * power >= value * (1.0 - 1e-9))
            return steps[i] * power;
    return 10.0 * power;
}

/* A tick's number without digits that are not there: 0.1, 1, 20, 10 000. */
static char *plain(char text[HTML_NUMBER], double value)
{
    if (value >= 1000.0)
        return html_number(text, value);
    snprintf(text, HTML_NUMBER, "%g", value);
    return text;
}

/* A log tick at each power of ten, and at 2 and 5 where the axis is short. Calls draw for each tick. */
static void log_ticks(const struct axis *axis, void (*draw)(void *argument, double value), void *argument)
{
    static const double steps[] = {1.0, 2.0, 5.0};
    const size_t count = axis->to / axis->from < 500.0 ? 3 : 1;
    for (int power = (int)floor(log10(axis->from)); power <= (int)ceil(log10(axis->to)); power++)
        for (size_t i = 0; i < count; i++) {
            const double value = steps[i] * pow(10.0, power);
            if (value >= axis->from * (1.0 - 1e-9) && value <= axis->to * (1.0 + 1e-9))
                draw(argument, value);
        }
}

/* ---- Pieces ----------------------------------------------------------------------------------------------------- */

static void begin(FILE *out, const char *id, double height, const char *title)
{
    fprintf(out,
            "<svg viewBox=\"0 0 %d %.0f\" role=\"img\" aria-labelledby=\"%s-t %s-d\" "
            "xmlns=\"http://www.w3.org/2000/svg\">\n"
            "<title id=\"%s-t\">",
            WIDTH, height, id, id, id);
    html_text(out, title);
    fprintf(out, "</title>\n<desc id=\"%s-d\">", id);
}

static const char *tone(const struct view_row *row)
{
    return view_is_velo(row) ? "velo" : view_is_adam(row) ? "adam" : "other";
}

/* "0.224 ns/param, 95 % interval 0.213 to 0.235" */
static void describe_ns(FILE *out, const struct view_row *row)
{
    char median[HTML_NUMBER], low[HTML_NUMBER], high[HTML_NUMBER];
    html_text(out, view_optimizer(row->optimizer));
    fprintf(out, " %s ns/param, interval %s to %s", html_number(median, row->ns.median), html_number(low, row->ns.low),
            html_number(high, row->ns.high));
}

/* Shapes tell optimizers apart without colour. */
static void marker(FILE *out, const struct view_row *row, double x, double y)
{
    static const struct {
        const char *optimizer, *path; /* around 0 0 */
    } shapes[] = {
        {"velo", "M0-6L1.8-1.9L6-1.9L2.6.9L3.8 5.2L0 2.6L-3.8 5.2L-2.6.9L-6-1.9L-1.8-1.9Z"},
        {"adam", "M-4-4H4V4H-4Z"},
        {"adamw", "M0-5.2L5.2 0L0 5.2L-5.2 0Z"},
        {"nadam", "M-4.6 4L0-4.8L4.6 4Z"},
        {"nadamw", "M-4.6-4L0 4.8L4.6-4Z"},
        {"adafactor", "M-1.6-4.8H1.6V-1.6H4.8V1.6H1.6V4.8H-1.6V1.6H-4.8V-1.6H-1.6Z"},
        {"lion", "M-2.3-4.4H2.3L4.6 0L2.3 4.4H-2.3L-4.6 0Z"},
        {"lamb", "M-4.6-2.6L-2.6-4.6L0-2L2.6-4.6L4.6-2.6L2 0L4.6 2.6L2.6 4.6L0 2L-2.6 4.6L-4.6 2.6L-2 0Z"},
        {"nesterov", "M-4 0A4 4 0 1 1 4 0A4 4 0 1 1-4 0ZM-2 0A2 2 0 1 0 2 0A2 2 0 1 0-2 0Z"},
    };
    const char *path = "M-4 0A4 4 0 1 1 4 0A4 4 0 1 1-4 0Z";
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        if (strcmp(row->optimizer, shapes[i].optimizer) == 0)
            path = shapes[i].path;
    fprintf(out, "<path class=\"mark %s\" data-row=\"%zu\" transform=\"translate(%.2f %.2f)\" d=\"%s\"><title>",
            tone(row), row->index, x, y, path);
}

/* ---- Bars ------------------------------------------------------------------------------------------------------- */

void plot_bars(FILE *out, const char *id, const struct view_workload *workload)
{
    enum { TOP = 24, STEP = 23, BAR = 13, NAMES = 82, RIGHT = 296, NS = 362, RATIO = 436 };
    double longest = 0.0;
    for (size_t i = 0; i < workload->count; i++) {
        const struct view_row *row = &workload->rows[i];
        longest = longer(longest, row->ns.median);
        longest = longer(longest, row->ns.high);
        longest = longer(longest, row->ns.median * row->roof_fraction);
    }
    const double end = longest > 0.0 ? 1.02 * longest : 1.0, step = nice_above(end / 5.0);
    const struct axis x = {0.0, end, NAMES + 6, RIGHT, false};
    const double bottom = TOP + STEP * (double)workload->count;

    begin(out, id, bottom + 24.0, "Time per parameter");
    for (size_t i = 0; i < workload->count; i++) {
        fputs(i > 0 ? "; " : "", out);
        describe_ns(out, &workload->rows[i]);
    }
    fputs("</desc>\n", out);

    char text[HTML_NUMBER];
    for (int i = 0; step * i <= end; i++) {
        const double value = step * i, position = at(&x, value);
        fprintf(out,
                "<path class=\"grid\" d=\"M%.2f %dV%.2f\"/><text class=\"tick mid\" x=\"%.2f\" y=\"%.2f\">%s</text>\n",
                position, TOP - 4, bottom, position, bottom + 15.0, plain(text, value));
    }
    fprintf(out,
            "<text class=\"head end\" x=\"%d\" y=\"12\">ns/param</text>"
            "<text class=\"head end\" x=\"%d\" y=\"12\">\u00d7 Adam</text>\n",
            NS, RATIO);
    for (size_t i = 0; i < workload->count; i++) {
        const struct view_row *row = &workload->rows[i];
        const double y = TOP + STEP * (double)i, middle = y + 0.5 * STEP - 1.0;
        fprintf(out, "<g><title>");
        describe_ns(out, row);
        fprintf(out, "</title><text class=\"name end %s\" x=\"%d\" y=\"%.2f\">", tone(row), NAMES, middle + 4.0);
        html_clipped(out, view_optimizer(row->optimizer), 11);
        fputs("</text>", out);
        if (drawable(row->ns.median))
            fprintf(out, "<rect class=\"bar %s\" data-row=\"%zu\" x=\"%.2f\" y=\"%.2f\" width=\"%.2f\" height=\"%d\"/>",
                    tone(row), row->index, x.start, middle - 0.5 * BAR, at(&x, row->ns.median) - x.start, BAR);
        const double limit = row->ns.median * row->roof_fraction;
        if (drawable(limit))
            fprintf(out, "<path class=\"halo\" d=\"M%.2f %.2fv%d\"/><path class=\"limit\" d=\"M%.2f %.2fv%d\"/>",
                    at(&x, limit), middle - 0.5 * BAR - 3.0, BAR + 6, at(&x, limit), middle - 0.5 * BAR - 3.0, BAR + 6);
        if (drawable(row->ns.low) && drawable(row->ns.high))
            fprintf(out, "<path class=\"whisker\" d=\"M%.2f %.2fH%.2fm0-3v6M%.2f %.2fv6\"/>", at(&x, row->ns.low),
                    middle, at(&x, row->ns.high), at(&x, row->ns.low), middle - 3.0);
        fprintf(out, "<text class=\"value end\" x=\"%d\" y=\"%.2f\">%s</text>", NS, middle + 4.0,
                html_number(text, row->ns.median));
        fprintf(out, "<text class=\"value end\" x=\"%d\" y=\"%.2f\">%s</text></g>\n", RATIO, middle + 4.0,
                html_number(text, row->ratio));
    }
    fputs("</svg>\n", out);
}

/* ---- Frame of a log-log plot ------------------------------------------------------------------------------------ */

struct frame {
    FILE *out;
    struct axis x, y;
    char *(*x_text)(char text[HTML_NUMBER], double value);
    char *(*y_text)(char text[HTML_NUMBER], double value);
};

static void x_tick(void *argument, double value)
{
    const struct frame *f = argument;
    char text[HTML_NUMBER];
    fprintf(f->out,
            "<path class=\"grid\" d=\"M%.2f %.2fV%.2f\"/><text class=\"tick mid x\" x=\"%.2f\" y=\"%.2f\">%s</text>\n",
            at(&f->x, value), f->y.start, f->y.end, at(&f->x, value), f->y.start + 16.0, f->x_text(text, value));
}

static void y_tick(void *argument, double value)
{
    const struct frame *f = argument;
    char text[HTML_NUMBER];
    fprintf(f->out,
            "<path class=\"grid\" d=\"M%.2f %.2fH%.2f\"/><text class=\"tick end y\" x=\"%.2f\" y=\"%.2f\">%s</text>\n",
            f->x.start, at(&f->y, value), f->x.end, f->x.start - 6.0, at(&f->y, value) + 4.0, f->y_text(text, value));
}

static void draw_frame(struct frame *f, const char *x_title, const char *y_title)
{
    log_ticks(&f->x, x_tick, f);
    log_ticks(&f->y, y_tick, f);
    fprintf(f->out,
            "<text class=\"head end\" x=\"%.2f\" y=\"%.2f\">%s</text><text class=\"head\" x=\"2\" y=\"12\">%s</text>\n",
            f->x.end, f->y.start + 33.0, x_title, y_title);
}

static char *round_seconds(char text[HTML_NUMBER], double ns)
{
    static const char *const units[] = {"ns", "\u00b5s", "ms", "s"};
    size_t unit = 0;
    for (; unit + 1 < sizeof units / sizeof *units && ns >= 999.5; unit++)
        ns *= 1e-3;
    snprintf(text, HTML_NUMBER, "%g\u00a0%s", round(ns * 1e6) * 1e-6, units[unit]);
    return text;
}

static char *round_count(char text[HTML_NUMBER], double value)
{
    static const char *const units[] = {"", "\u00a0k", "\u00a0M", "\u00a0G"};
    size_t unit = 0;
    for (; unit + 1 < sizeof units / sizeof *units && value >= 999.5; unit++)
        value *= 1e-3;
    snprintf(text, HTML_NUMBER, "%g%s", round(value * 1e6) * 1e-6, units[unit]);
    return text;
}

/* ---- Sweep ------------------------------------------------------------------------------------------------------ */

static double sweep_value(const struct view_row *row, double ns, bool whole)
{
    return whole ? ns * row->params : ns;
}

/* Where the working sets of all optimizers (parameters, gradients, state) pass the size of each cache: from the
 * optimizer with the most bytes per parameter to the one with the fewest. */
static void draw_caches(const struct frame *f, const struct cost_view *view)
{
    double most = 0.0, least = INFINITY;
    for (size_t i = 0; i < view->sweep_count; i++) {
        /* The last and largest size of each optimizer: padding of the state counts least there. */
        bool last = true;
        for (size_t j = i + 1; j < view->sweep_count; j++)
            last &= strcmp(view->sweep[i].optimizer, view->sweep[j].optimizer) != 0;
        if (last && view->sweep[i].state >= 0.0) {
            most = fmax(most, 8.0 + view->sweep[i].state);
            least = fmin(least, 8.0 + view->sweep[i].state);
        }
    }
    if (!(most > 0.0))
        return;
    const json_t *caches = json_object_get(view->context, "caches");
    const double threads = view_number(view->context, "threads");
    for (size_t i = 0; i < json_array_size(caches); i++) {
        const json_t *cache = json_array_get(caches, i);
        const double bytes = view_number(cache, "bytes"), cpus = view_number(cache, "cpus");
        if (view_number(cache, "core_kind") != 0.0 || !(bytes > 0.0) || !(cpus > 0.0))
            continue;
        const double instances = isnan(threads) ? 1.0 : fmax(1.0, ceil(threads / cpus));
        const double from = bytes * instances / most, to = bytes * instances / least;
        if (from < f->x.from || to > f->x.to)
            continue;
        const double left = at(&f->x, from), right = at(&f->x, to);
        fprintf(f->out,
                "<rect class=\"cache\" x=\"%.2f\" y=\"%.2f\" width=\"%.2f\" height=\"%.2f\"/>"
                "<text class=\"tick mid\" x=\"%.2f\" y=\"%.2f\">L%.0f</text>\n",
                left, f->y.end, fmax(1.5, right - left), f->y.start - f->y.end, 0.5 * (left + right), f->y.end - 4.0,
                view_number(cache, "level"));
    }
}

static void draw_series(const struct frame *f, const struct cost_view *view, size_t first, bool whole)
{
    const struct view_row *head = &view->sweep[first], *named = NULL;
    const char *command = "M";
    fprintf(f->out, "<path class=\"line %s\" d=\"", tone(head));
    for (size_t i = first; i < view->sweep_count; i++) {
        const struct view_row *row = &view->sweep[i];
        const double y = sweep_value(row, row->ns.median, whole);
        if (strcmp(row->optimizer, head->optimizer) != 0 || !drawable(row->params) || !drawable(y))
            continue;
        fprintf(f->out, "%s%.2f %.2f", command, at(&f->x, row->params), at(&f->y, y));
        command = "L";
        if (named == NULL || row->params <= sqrt(f->x.from * f->x.to))
            named = row;
    }
    fputs("\"/>\n", f->out);
    for (size_t i = first; i < view->sweep_count; i++) {
        const struct view_row *row = &view->sweep[i];
        const double y = sweep_value(row, row->ns.median, whole);
        if (strcmp(row->optimizer, head->optimizer) != 0 || !drawable(row->params) || !drawable(y))
            continue;
        const double low = sweep_value(row, row->ns.low, whole), high = sweep_value(row, row->ns.high, whole);
        if (drawable(low) && drawable(high))
            fprintf(f->out, "<path class=\"whisker\" d=\"M%.2f %.2fV%.2f\"/>", at(&f->x, row->params), at(&f->y, low),
                    at(&f->y, high));
        marker(f->out, row, at(&f->x, row->params), at(&f->y, y));
        char count[HTML_NUMBER], time[HTML_NUMBER];
        describe_ns(f->out, row);
        fprintf(f->out, "; %s parameters, %s a step</title></path>\n", html_count(count, row->params),
                html_seconds(time, row->ns.median * row->params));
    }
    if (named != NULL) {
        fprintf(f->out, "<text class=\"name%s %s\" x=\"%.2f\" y=\"%.2f\">", whole ? " end" : "", tone(head),
                at(&f->x, named->params) + (whole ? -4.0 : 6.0),
                at(&f->y, sweep_value(named, named->ns.median, whole)) - 10.0);
        html_clipped(f->out, view_optimizer(head->optimizer), 16);
        fputs("</text>\n", f->out);
    }
}

void plot_sweep(FILE *out, const char *id, const struct cost_view *view, bool whole)
{
    double low = INFINITY, high = 0.0, least = INFINITY, most = 0.0;
    for (size_t i = 0; i < view->sweep_count; i++) {
        const struct view_row *row = &view->sweep[i];
        const double value = sweep_value(row, row->ns.median, whole);
        if (!drawable(row->params) || !drawable(value))
            continue;
        const double bottom = sweep_value(row, row->ns.low, whole);
        low = fmin(low, drawable(bottom) ? fmin(value, bottom) : value);
        high = longer(fmax(high, value), sweep_value(row, row->ns.high, whole));
        least = fmin(least, row->params);
        most = fmax(most, row->params);
    }
    if (!(high > 0.0) || !(low > 0.0))
        low = least = 1.0, high = most = 10.0;
    struct frame f = {
        .out = out,
        .x = {least / 1.8, most * 1.8, 56.0, 434.0, true},
        .y = {low / 1.8, high * 1.8, 268.0, 36.0, true},
        .x_text = round_count,
        .y_text = whole ? round_seconds : plain,
    };
    begin(out, id, 306.0, whole ? "Time of a step against tensor size" : "Time per parameter against tensor size");
    fputs("Log axes. The table below holds the same values.</desc>\n", out);
    draw_caches(&f, view);
    draw_frame(&f, "parameters in one square tensor", whole ? "time per step" : "ns/param");
    for (size_t i = 0; i < view->sweep_count; i++) {
        bool first = true;
        for (size_t j = 0; j < i; j++)
            first &= strcmp(view->sweep[i].optimizer, view->sweep[j].optimizer) != 0;
        if (first)
            draw_series(&f, view, i, whole);
    }
    fputs("</svg>\n", out);
}

/* ---- Phases ----------------------------------------------------------------------------------------------------- */

static double phase_sum(const struct view_row *row)
{
    double sum = 0.0;
    for (size_t i = 0; i < row->phase_count; i++)
        if (drawable(row->phase[i].median))
            sum += row->phase[i].median;
    return sum;
}

void plot_phases(FILE *out, const char *id, const struct cost_view *view)
{
    enum { TOP = 46, STEP = 46, BAR = 22, LEFT = 4, RIGHT = 372, VALUE = 436, LEGEND = 5 };
    const struct view_row *first = NULL;
    double longest = 0.0;
    size_t count = 0;
    for (size_t i = 0; i < view->row_count; i++)
        if (view->rows[i].phase_count > 0) {
            first = first != NULL ? first : &view->rows[i];
            longest = fmax(longest, phase_sum(&view->rows[i]));
            count++;
        }
    if (first == NULL || !(longest > 0.0))
        return;
    const double step = nice_above(longest / 6.0);
    const struct axis x = {0.0, longest, LEFT, RIGHT, false};
    const double bottom = TOP + STEP * (double)count;

    begin(out, id, bottom + 30.0, "Phases of a step");
    char text[HTML_NUMBER];
    fputs("Time per parameter of each phase, stacked. The table holds the same values.</desc>\n", out);

    fprintf(out,
            "<defs><pattern id=\"%s-hatch\" width=\"6\" height=\"6\" patternUnits=\"userSpaceOnUse\" "
            "patternTransform=\"rotate(45)\"><path class=\"hatch\" d=\"M0 0V6\"/></pattern>"
            "<pattern id=\"%s-dots\" width=\"5\" height=\"5\" patternUnits=\"userSpaceOnUse\">"
            "<circle class=\"dot\" cx=\"2\" cy=\"2\" r=\"1\"/></pattern></defs>\n",
            id, id);
    double legend = LEFT;
    for (size_t p = 0; p < first->phase_count; p++) {
        fprintf(out, "<rect class=\"phase p%zu\" x=\"%.2f\" y=\"5\" width=\"11\" height=\"11\"/>", p % LEGEND, legend);
        if (p % 2 == 1)
            fprintf(out, "<rect x=\"%.2f\" y=\"5\" width=\"11\" height=\"11\" fill=\"url(#%s-%s)\"/>", legend, id,
                    p % 4 == 1 ? "hatch" : "dots");
        fprintf(out, "<text class=\"tick\" x=\"%.2f\" y=\"15\">", legend + 15.0);
        html_clipped(out, first->phase_name[p], 14);
        fputs("</text>\n", out);
        legend += 30.0 + 6.4 * fmin(14.0, (double)strlen(first->phase_name[p]));
    }
    for (int i = 0; step * i <= longest; i++)
        fprintf(out,
                "<path class=\"grid\" d=\"M%.2f %dV%.2f\"/><text class=\"tick %s\" x=\"%.2f\" y=\"%.2f\">%s</text>\n",
                at(&x, step * i), TOP - 16, bottom, i == 0 ? "" : "mid", at(&x, step * i), bottom + 15.0,
                plain(text, step * i));
    fprintf(out, "<text class=\"head end\" x=\"%d\" y=\"%.2f\">ns/param</text>\n", VALUE, bottom + 15.0);

    size_t line = 0;
    for (size_t i = 0; i < view->row_count; i++) {
        const struct view_row *row = &view->rows[i];
        if (row->phase_count == 0)
            continue;
        const double y = TOP + STEP * (double)line++;
        double sum = 0.0;
        fprintf(out, "<text class=\"name\" x=\"%d\" y=\"%.2f\">", LEFT, y);
        html_clipped(out, row->workload, 40);
        fputs("</text>", out);
        for (size_t p = 0; p < row->phase_count; p++) {
            const double median = row->phase[p].median;
            if (!drawable(median))
                continue;
            const double left = at(&x, sum), width = at(&x, sum + median) - left;
            fprintf(out, "<g><title>");
            html_text(out, row->phase_name[p]);
            fprintf(out, " %s ns/param</title><rect class=\"phase p%zu\" data-row=\"%zu\" data-phase=\"",
                    html_number(text, median), p % LEGEND, row->index);
            html_text(out, row->phase_name[p]);
            fprintf(out, "\" x=\"%.3f\" y=\"%.2f\" width=\"%.3f\" height=\"%d\"/>", left, y + 6.0, width, BAR);
            if (p % 2 == 1)
                fprintf(out, "<rect x=\"%.3f\" y=\"%.2f\" width=\"%.3f\" height=\"%d\" fill=\"url(#%s-%s)\"/>", left,
                        y + 6.0, width, BAR, id, p % 4 == 1 ? "hatch" : "dots");
            fputs("</g>\n", out);
            sum += median;
        }
        fprintf(out, "<text class=\"value end\" x=\"%d\" y=\"%.2f\">%s</text>\n", VALUE, y + 21.0,
                html_number(text, sum));
    }
    fputs("</svg>\n", out);
}

/* ---- Roofline --------------------------------------------------------------------------------------------------- */

enum { MOST_POINTS = 32 };

struct point {
    const struct view_row *row;
    double x, y;   /* of the mark */
    double lx, ly; /* of the label's left end, on its middle line */
    bool direct;   /* beside its mark, without a line */
};

/* On which side of the line from a to b the point p lies, as a sign. */
static double side(double ax, double ay, double bx, double by, double px, double py)
{
    return (bx - ax) * (py - ay) - (by - ay) * (px - ax);
}

/* Whether the lines from marks to labels cross. */
static bool lines_cross(const struct point *a, const struct point *b)
{
    return side(a->x, a->y, a->lx, a->ly, b->x, b->y) * side(a->x, a->y, a->lx, a->ly, b->lx, b->ly) < 0.0 &&
           side(b->x, b->y, b->lx, b->ly, a->x, a->y) * side(b->x, b->y, b->lx, b->ly, a->lx, a->ly) < 0.0;
}

/* Points with neighbours get their labels in a column to the right of all of them, under the roof, in the order that
 * crosses fewest lines; others stand alone and are labelled beside the mark. bandwidth: of the lowest slope,
 * 0 without. */
static void place_labels(struct point *points, size_t count, const struct frame *f, double bandwidth)
{
    enum { NEAR_X = 110, NEAR_Y = 40, LINE = 14 };
    struct point *column[MOST_POINTS];
    size_t n = 0;
    double right = 0.0, middle = 0.0;
    for (size_t i = 0; i < count; i++) {
        points[i].direct = true;
        for (size_t j = 0; j < count; j++)
            if (i != j && fabs(points[i].x - points[j].x) < NEAR_X && fabs(points[i].y - points[j].y) < NEAR_Y)
                points[i].direct = false;
        points[i].lx = points[i].x + 9.0;
        points[i].ly = points[i].y;
        if (!points[i].direct) {
            column[n++] = &points[i];
            right = fmax(right, points[i].x);
            middle += points[i].y;
        }
    }
    if (n == 0)
        return;
    for (size_t i = 1; i < n; i++)
        for (size_t j = i; j > 0 && column[j]->y < column[j - 1]->y; j--) {
            struct point *swap = column[j];
            column[j] = column[j - 1];
            column[j - 1] = swap;
        }
    const double x = right + 34.0;
    double top = middle / (double)n - 0.5 * LINE * (double)(n - 1);
    /* Under the slope at the column's left end, and inside the frame. */
    const double intensity = f->x.from * pow(f->x.to / f->x.from, (x - f->x.start) / (f->x.end - f->x.start));
    if (bandwidth > 0.0)
        top = fmax(top, at(&f->y, bandwidth * intensity) + 16.0);
    top = fmin(top, f->y.start - 8.0 - LINE * (double)(n - 1));
    for (size_t i = 0; i < n; i++) {
        column[i]->lx = x;
        column[i]->ly = top + LINE * (double)i;
    }
    for (size_t pass = 0; pass < n; pass++)
        for (size_t i = 0; i + 1 < n; i++)
            if (lines_cross(column[i], column[i + 1])) {
                struct point *swap = column[i];
                const double y = column[i]->ly;
                column[i]->ly = column[i + 1]->ly;
                column[i + 1]->ly = y;
                column[i] = column[i + 1];
                column[i + 1] = swap;
            }
}

struct slope {
    const char *pattern;
    double gbs;
};

void plot_roofline(FILE *out, const char *id, const struct view_workload *workload)
{
    enum { MOST_SLOPES = 4 };
    struct point points[MOST_POINTS];
    struct slope slopes[MOST_SLOPES];
    size_t count = 0, slope_count = 0;
    double peak = 0.0, low = INFINITY, high = 0.0, least = INFINITY, most = 0.0, slowest = INFINITY, fastest = 0.0;
    const char *peak_row = "";
    for (size_t i = 0; i < workload->count; i++) {
        const struct view_row *row = &workload->rows[i];
        const double intensity = row->flops / row->bytes;
        if (drawable(row->roof_gflops) && row->roof_gflops > peak) {
            peak = row->roof_gflops;
            peak_row = row->peak_row;
        }
        bool known = !drawable(row->roof_gbs);
        for (size_t s = 0; s < slope_count; s++)
            known |= strcmp(slopes[s].pattern, row->pattern) == 0;
        if (!known && slope_count < MOST_SLOPES) {
            slopes[slope_count++] = (struct slope){row->pattern, row->roof_gbs};
            slowest = fmin(slowest, row->roof_gbs);
            fastest = fmax(fastest, row->roof_gbs);
        }
        if (count < MOST_POINTS && drawable(intensity) && drawable(row->gflops)) {
            points[count++] = (struct point){.row = row};
            low = fmin(low, row->gflops);
            high = fmax(high, row->gflops);
            least = fmin(least, intensity);
            most = fmax(most, intensity);
        }
    }
    if (count == 0)
        low = least = 1.0, high = most = 10.0;
    if (peak > 0.0 && slope_count > 0)
        most = fmax(most, peak / slowest);
    struct frame f = {
        .out = out,
        .x = {least / 1.7, most * 3.0, 48.0, 434.0, true},
        .y = {low / 8.0, fmax(high, peak) * 2.0, 282.0, 24.0, true},
        .x_text = plain,
        .y_text = plain,
    };

    begin(out, id, 320.0, "Roofline");
    char text[HTML_NUMBER], more[HTML_NUMBER];
    fprintf(out, "Log axes: modelled flops per byte against GFLOP/s.");
    for (size_t i = 0; i < count; i++) {
        fputs(i > 0 ? "; " : " ", out);
        html_text(out, view_optimizer(points[i].row->optimizer));
        fprintf(out, " %s flops per byte, %s GFLOP/s", html_number(text, points[i].row->flops / points[i].row->bytes),
                html_number(more, points[i].row->gflops));
    }
    fputs("</desc>\n", out);
    draw_frame(&f, "flops per byte", "GFLOP/s");

    for (size_t s = 0; s < slope_count; s++) {
        /* Up to the ridge, or where the frame ends. */
        const double end = fmin(f.x.to, (peak > 0.0 ? peak : f.y.to) / slopes[s].gbs);
        const double start = fmax(f.x.from, f.y.from / slopes[s].gbs);
        if (start < end)
            fprintf(out, "<path class=\"roof s%zu\" data-gbs=\"%.9g\" d=\"M%.2f %.2fL%.2f %.2f\"/>\n", s, slopes[s].gbs,
                    at(&f.x, start), at(&f.y, slopes[s].gbs * start), at(&f.x, end), at(&f.y, slopes[s].gbs * end));
        fprintf(out, "<path class=\"roof s%zu\" d=\"M%.2f %.2fh24\"/><text class=\"tick\" x=\"%.2f\" y=\"%.2f\">", s,
                f.x.start + 8.0, f.y.end + 14.0 + 15.0 * (double)s, f.x.start + 38.0,
                f.y.end + 18.0 + 15.0 * (double)s);
        html_clipped(out, slopes[s].pattern, 12);
        fprintf(out, " %s GB/s</text>\n", html_number(text, slopes[s].gbs));
    }
    if (peak > 0.0) {
        const double ridge = slope_count > 0 ? peak / fastest : f.x.from;
        fprintf(out, "<path class=\"roof peak\" d=\"M%.2f %.2fH%.2f\"/><text class=\"tick end\" x=\"%.2f\" y=\"%.2f\">",
                at(&f.x, fmax(f.x.from, ridge)), at(&f.y, peak), f.x.end, f.x.end - 4.0, at(&f.y, peak) - 6.0);
        html_clipped(out, peak_row, 10);
        fprintf(out, " FMA %s GFLOP/s</text>\n", html_number(text, peak));
    }

    for (size_t i = 0; i < count; i++) {
        points[i].x = at(&f.x, points[i].row->flops / points[i].row->bytes);
        points[i].y = at(&f.y, points[i].row->gflops);
    }
    place_labels(points, count, &f, slope_count > 0 ? slowest : 0.0);
    for (size_t i = 0; i < count; i++)
        if (!points[i].direct)
            fprintf(out, "<path class=\"leader\" d=\"M%.2f %.2fL%.2f %.2f\"/>\n", points[i].x, points[i].y,
                    points[i].lx - 3.0, points[i].ly);
    for (size_t i = 0; i < count; i++) {
        const struct view_row *row = points[i].row;
        marker(out, row, points[i].x, points[i].y);
        html_text(out, view_optimizer(row->optimizer));
        fprintf(out, " %s flops per byte, %s GFLOP/s</title></path>", html_number(text, row->flops / row->bytes),
                html_number(more, row->gflops));
        fprintf(out, "<text class=\"name %s\" x=\"%.2f\" y=\"%.2f\">", tone(row), points[i].lx, points[i].ly + 4.0);
        html_clipped(out, view_optimizer(row->optimizer), 12);
        fputs("</text>\n", out);
    }
    fputs("</svg>\n", out);
}

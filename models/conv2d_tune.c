/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "arch/fail.h"
#include "arch/text.h"
#include "io/file.h"
#include "models/conv2d_trial.h"
#include "optim/ctx.h"
#include "stepcost/clock.h"
#include "stepcost/memory.h"

/* ---- Lines ---- */

enum { KEY_FIELDS = 6, FIELDS = KEY_FIELDS + 4, KEY_BYTES = 512, FILE_LIMIT = 16 << 20 };
static const char separator[] = " | ";
static const char heading[] = "# Convolution plans by time (stepcost bench --tune); one choice a line, remove any:\n"
                              "# CPU | levels | version | rows | direction | shape | row | candidate | plan | ns\n";

struct entry {
    char *key; /* the first KEY_FIELDS fields as one text */
    char *row, *plan;
    size_t candidate;
    double ns;
};

struct sco_conv2d_tuning {
    char *path; /* NULL: in memory only */
    struct entry *entries;
    size_t count, capacity;
    char *preferred; /* word in the names of plans; NULL: choices are the entries' */
};

static void entry_free(struct entry *entry)
{
    free(entry->key);
    free(entry->row);
    free(entry->plan);
}

static struct entry *find(const struct sco_conv2d_tuning *tuning, const char *key)
{
    for (size_t i = 0; i < tuning->count; i++)
        if (strcmp(tuning->entries[i].key, key) == 0)
            return &tuning->entries[i];
    return NULL;
}

/* Takes the place of an entry of the same key. */
static enum sco_status put(struct sco_conv2d_tuning *tuning, const char *key, const char *row, size_t candidate,
                           const char *plan, double ns)
{
    const struct entry made = {strdup(key), strdup(row), strdup(plan), candidate, ns};
    struct entry *place = find(tuning, key);
    bool good = made.key != NULL && made.row != NULL && made.plan != NULL;
    if (good && place == NULL && tuning->count == tuning->capacity) {
        const size_t capacity = tuning->capacity * 2 + 16;
        struct entry *grown = realloc(tuning->entries, capacity * sizeof *grown);
        good = grown != NULL;
        if (good)
            tuning->entries = grown, tuning->capacity = capacity;
    }
    if (!good) {
        struct entry rest = made;
        entry_free(&rest);
        return sco_fail(SCO_NOMEM, "conv2d tuning: no memory for a choice");
    }
    if (place != NULL)
        entry_free(place);
    else
        place = &tuning->entries[tuning->count++];
    *place = made;
    return SCO_OK;
}

/* Cuts line into fields; how many there are. */
static size_t split(char *line, char *field[FIELDS + 1])
{
    size_t count = 0;
    for (char *rest = line; rest != NULL && count <= FIELDS; count++) {
        field[count] = rest;
        rest = strstr(rest, separator);
        if (rest != NULL) {
            *rest = '\0';
            rest += sizeof separator - 1;
        }
    }
    return count;
}

static bool read_count(const char *text, size_t *count)
{
    char *end;
    errno = 0;
    const unsigned long long value = strtoull(text, &end, 10);
    *count = (size_t)value;
    return text[0] >= '0' && text[0] <= '9' && *end == '\0' && errno == 0 && value < 1u << 20;
}

static enum sco_status read_line(struct sco_conv2d_tuning *tuning, char *line, size_t number)
{
    char *field[FIELDS + 1], *end;
    size_t candidate;
    if (line[0] == '#' || line[0] == '\0')
        return SCO_OK;
    const size_t count = split(line, field);
    if (count != FIELDS)
        return sco_fail(SCO_FORMAT, "%s:%zu: %zu fields instead of %d; remove the line or the file", tuning->path,
                        number, count, FIELDS);
    for (size_t i = 0; i < FIELDS; i++)
        if (field[i][0] == '\0')
            return sco_fail(SCO_FORMAT, "%s:%zu: field %zu is empty; remove the line or the file", tuning->path, number,
                            i + 1);
    if (!read_count(field[KEY_FIELDS + 1], &candidate))
        return sco_fail(SCO_FORMAT, "%s:%zu: \"%s\" is not the number of a candidate; remove the line or the file",
                        tuning->path, number, field[KEY_FIELDS + 1]);
    const double ns = strtod(field[KEY_FIELDS + 3], &end);
    if (*end != '\0' || !isfinite(ns) || ns <= 0.0)
        return sco_fail(SCO_FORMAT, "%s:%zu: \"%s\" is not a time in ns; remove the line or the file", tuning->path,
                        number, field[KEY_FIELDS + 3]);
    char key[KEY_BYTES];
    struct sco_text text = {key, sizeof key, 0};
    for (size_t i = 0; i < KEY_FIELDS; i++)
        sco_text_add(&text, "%s%s", i ? separator : "", field[i]);
    if (text.used >= sizeof key)
        return sco_fail(SCO_FORMAT, "%s:%zu: more than %d characters before the row; remove the line or the file",
                        tuning->path, number, KEY_BYTES - 1);
    return put(tuning, key, field[KEY_FIELDS], candidate, field[KEY_FIELDS + 2], ns);
}

enum sco_status sco_conv2d_tuning_open(struct sco_conv2d_tuning **tuning, const char *path)
{
    struct sco_conv2d_tuning *made = calloc(1, sizeof *made);
    if (path == NULL)
        path = getenv("STEPCOST_TUNE");
    if (path != NULL && path[0] == '\0')
        path = NULL;
    if (made == NULL || (path != NULL && (made->path = strdup(path)) == NULL)) {
        free(made);
        return sco_fail(SCO_NOMEM, "conv2d tuning: no memory");
    }
    unsigned char *bytes = NULL;
    size_t size;
    enum sco_status status = SCO_OK;
    if (path != NULL && (access(path, F_OK) == 0 || errno != ENOENT))
        status = sco_file_read(path, FILE_LIMIT, &bytes, &size);
    if (status == SCO_OK && bytes != NULL && memchr(bytes, 0, size) != NULL)
        status = sco_fail(SCO_FORMAT, "%s: a zero byte; this is no text file", path);
    char *rest = (char *)bytes;
    for (size_t number = 1; status == SCO_OK && rest != NULL && *rest != '\0'; number++)
        status = read_line(made, strsep(&rest, "\n"), number);
    sco_free(bytes);
    if (status == SCO_OK)
        *tuning = made;
    else
        sco_conv2d_tuning_close(made);
    return status;
}

void sco_conv2d_tuning_close(struct sco_conv2d_tuning *tuning)
{
    if (tuning == NULL)
        return;
    for (size_t i = 0; i < tuning->count; i++)
        entry_free(&tuning->entries[i]);
    free(tuning->entries);
    free(tuning->preferred);
    free(tuning->path);
    free(tuning);
}

static enum sco_status save(const struct sco_conv2d_tuning *tuning)
{
    if (tuning->path == NULL)
        return SCO_OK;
    char *text = NULL;
    size_t size = 0;
    FILE *stream = open_memstream(&text, &size);
    if (stream == NULL)
        return sco_fail(SCO_NOMEM, "%s: no memory to write it", tuning->path);
    fputs(heading, stream);
    for (size_t i = 0; i < tuning->count; i++) {
        const struct entry *e = &tuning->entries[i];
        fprintf(stream, "%s%s%s%s%zu%s%s%s%.0f\n", e->key, separator, e->row, separator, e->candidate, separator,
                e->plan, separator, e->ns);
    }
    const bool failed = fclose(stream) != 0;
    const enum sco_status status = failed ? sco_fail(SCO_NOMEM, "%s: no memory to write it", tuning->path)
                                          : sco_file_write(tuning->path, text, size);
    free(text);
    return status;
}

/* ---- Keys ---- */

static void write_key(char key[KEY_BYTES], struct sco_ctx *ctx, enum sco_conv2d_direction direction,
                      const struct sco_conv2d_shape *s, const struct sco_row *const *rows, size_t row_count)
{
    char levels[64];
    struct sco_text text = {key, KEY_BYTES, 0};
    sco_text_add(&text, "%s%s%s%s%s%s", sco_cpu_name(), separator,
                 sco_isa_format(sco_ctx_isa(ctx), levels, sizeof levels), separator, SCO_VERSION, separator);
    for (size_t i = 0; i < row_count; i++)
        sco_text_add(&text, "%s%s", i ? "," : "", rows[i]->name);
    sco_text_add(&text, "%s%s%s%zux%zux%zux%zu to %zu by %zux%zu stride %zu pad %zu %zu %zu %zu", separator,
                 sco_conv2d_direction_name(direction), separator, s->N, s->C, s->H, s->W, s->OC, s->KH, s->KW,
                 s->stride, s->pad_top, s->pad_left, s->pad_bottom, s->pad_right);
    if (s->src_image != sco_blocked_image(s->C, s->H, s->W) ||
        s->dst_image != sco_blocked_image(s->OC, sco_conv2d_oh(s), sco_conv2d_ow(s)))
        sco_text_add(&text, " images %zu %zu", s->src_image, s->dst_image);
}

/* The name of the plan without its row, which has a field of its own. */
static const char *plan_of(const struct sco_conv2d *conv, const struct sco_row *row)
{
    return sco_conv2d_plan_name(conv) + strlen(row->name) + 1;
}

enum sco_status sco_conv2d_tuning_prefer(struct sco_conv2d_tuning **tuning, const char *word)
{
    struct sco_conv2d_tuning *made = calloc(1, sizeof *made);
    if (made == NULL || (made->preferred = strdup(word)) == NULL) {
        free(made);
        return sco_fail(SCO_NOMEM, "conv2d tuning: no memory");
    }
    *tuning = made;
    return SCO_OK;
}

/* As sco_conv2d_tuned(), by the name of the plan. */
static bool find_preferred(const char *word, struct sco_ctx *ctx, enum sco_conv2d_direction direction,
                           const struct sco_conv2d_shape *shape, const struct sco_row *const *rows, size_t row_count,
                           struct sco_conv2d **conv)
{
    for (size_t i = 0; i < row_count; i++)
        for (size_t candidate = 0;
             sco_conv2d_create_candidate(conv, ctx, direction, shape, rows[i], candidate) == SCO_OK; candidate++) {
            if (strstr(plan_of(*conv, rows[i]), word) != NULL)
                return true;
            sco_conv2d_destroy(*conv);
        }
    return false;
}

bool sco_conv2d_tuned(const struct sco_conv2d_tuning *tuning, struct sco_ctx *ctx, enum sco_conv2d_direction direction,
                      const struct sco_conv2d_shape *shape, const struct sco_row *const *rows, size_t row_count,
                      struct sco_conv2d **conv)
{
    char key[KEY_BYTES];
    if (tuning->preferred != NULL)
        return find_preferred(tuning->preferred, ctx, direction, shape, rows, row_count, conv);
    write_key(key, ctx, direction, shape, rows, row_count);
    const struct entry *entry = find(tuning, key);
    for (size_t i = 0; entry != NULL && i < row_count; i++) {
        if (strcmp(entry->row, rows[i]->name) != 0 ||
            sco_conv2d_create_candidate(conv, ctx, direction, shape, rows[i], entry->candidate) != SCO_OK)
            continue;
        if (strcmp(entry->plan, plan_of(*conv, rows[i])) == 0)
            return true;
        sco_conv2d_destroy(*conv);
    }
    return false;
}

/* ---- Timing ---- */

enum { MAX_CONTENDERS = 256, ROUNDS = 12 };

/* A candidate that falls this far behind the best is timed no more: less and less, as noise leaves the minima. */
static double hopeless(size_t round)
{
    return 1.03 + 0.5 / (double)round;
}

/* Shorter samples than this are runs in a row. */
#define SAMPLE_NS 200e3

struct contender {
    struct sco_conv2d *conv;
    const struct sco_row *row;
    size_t candidate, repeats;
    float *packed;
    double best; /* ns a run */
};

struct contest {
    const struct sco_conv2d_trial *trial;
    struct contender contender[MAX_CONTENDERS];
    size_t count;
    void *workspace; /* the largest of all */
    double best;
};

static enum sco_status enter(struct contest *contest, struct sco_ctx *ctx, const struct sco_row *row)
{
    const struct sco_conv2d_trial *trial = contest->trial;
    for (size_t candidate = 0; contest->count < MAX_CONTENDERS; candidate++) {
        struct contender *c = &contest->contender[contest->count];
        *c = (struct contender){.row = row, .candidate = candidate, .repeats = 1, .best = INFINITY};
        const enum sco_status status =
            sco_conv2d_create_candidate(&c->conv, ctx, trial->direction, &trial->shape, row, candidate);
        if (status == SCO_UNSUPPORTED)
            break;
        if (status != SCO_OK)
            return status;
        contest->count++;
    }
    return SCO_OK;
}

static enum sco_status allocate(struct contest *contest)
{
    size_t workspace_bytes = 0;
    bool good = true;
    for (size_t i = 0; i < contest->count; i++) {
        struct contender *c = &contest->contender[i];
        const size_t bytes = sco_conv2d_workspace_bytes(c->conv);
        workspace_bytes = bytes > workspace_bytes ? bytes : workspace_bytes;
        c->packed = sco_alloc(sco_conv2d_packed_count(c->conv) * sizeof(float));
        good = good && c->packed != NULL;
    }
    contest->workspace = sco_alloc(workspace_bytes);
    if (!good || contest->workspace == NULL)
        return sco_fail(SCO_NOMEM, "conv2d tuning: no memory for %zu candidates with a workspace of %zu bytes",
                        contest->count, workspace_bytes);
    return SCO_OK;
}

static enum sco_status time_one(struct contest *contest, struct contender *c)
{
    enum sco_status status = SCO_OK;
    const uint64_t start = sco_clock_ns();
    for (size_t i = 0; i < c->repeats && status == SCO_OK; i++)
        status = sco_conv2d_trial_run(contest->trial, c->conv, c->packed, contest->workspace);
    const double ns = fmax((double)(sco_clock_ns() - start), 1.0) / (double)c->repeats;
    c->best = fmin(c->best, ns);
    contest->best = fmin(contest->best, ns);
    if (c->repeats == 1 && ns < SAMPLE_NS)
        c->repeats = (size_t)(SAMPLE_NS / ns) + 1;
    return status;
}

static enum sco_status compete(struct contest *contest)
{
    enum sco_status status = SCO_OK;
    contest->best = INFINITY;
    for (size_t i = 0; i < contest->count && status == SCO_OK; i++) {
        struct contender *c = &contest->contender[i];
        status = sco_conv2d_trial_check(contest->trial, c->conv, c->packed, contest->workspace);
    }
    for (size_t round = 0; round < ROUNDS; round++)
        for (size_t i = 0; i < contest->count && status == SCO_OK; i++) {
            struct contender *c = &contest->contender[(i + round) % contest->count];
            if (round == 0 || c->best <= hopeless(round) * contest->best)
                status = time_one(contest, c);
        }
    return status;
}

static void leave(struct contest *contest)
{
    for (size_t i = 0; i < contest->count; i++) {
        sco_conv2d_destroy(contest->contender[i].conv);
        sco_free(contest->contender[i].packed);
    }
    sco_free(contest->workspace);
    free(contest);
}

static enum sco_status choose(struct sco_conv2d_tuning *tuning, struct sco_ctx *ctx,
                              const struct sco_conv2d_trial *trial, const struct sco_row *const *rows, size_t row_count,
                              const char *key)
{
    struct contest *contest = calloc(1, sizeof *contest);
    if (contest == NULL)
        return sco_fail(SCO_NOMEM, "conv2d tuning: no memory");
    contest->trial = trial;
    enum sco_status status = SCO_OK;
    for (size_t i = 0; i < row_count && status == SCO_OK; i++)
        /* The definition, slow by design, runs only where nothing else does. */
        if (rows[i]->need != 0 || contest->count == 0)
            status = enter(contest, ctx, rows[i]);
    if (status == SCO_OK && contest->count == 0)
        status = sco_fail(SCO_UNSUPPORTED, "conv2d %s: no row of those chosen takes this shape",
                          sco_conv2d_direction_name(trial->direction));
    if (status == SCO_OK)
        status = allocate(contest);
    if (status == SCO_OK)
        status = compete(contest);
    const struct contender *first = &contest->contender[0];
    for (size_t i = 1; i < contest->count; i++)
        if (contest->contender[i].best < first->best)
            first = &contest->contender[i];
    if (status == SCO_OK)
        status = put(tuning, key, first->row->name, first->candidate, plan_of(first->conv, first->row), first->best);
    leave(contest);
    return status == SCO_OK ? save(tuning) : status;
}

enum sco_status sco_conv2d_tune(struct sco_conv2d_tuning *tuning, struct sco_ctx *ctx,
                                enum sco_conv2d_direction direction, const struct sco_conv2d_shape *shape,
                                const char *words)
{
    const struct sco_row *rows[SCO_CONV2D_MAX_ROWS];
    struct sco_conv2d_shape whole;
    struct sco_conv2d_trial trial;
    struct sco_conv2d *known;
    char key[KEY_BYTES];
    size_t count;
    enum sco_status status = sco_conv2d_complete(shape, &whole);
    if (status == SCO_OK)
        status = sco_conv2d_rows(ctx, words, rows, &count);
    if (status != SCO_OK)
        return status;
    if (sco_conv2d_tuned(tuning, ctx, direction, &whole, rows, count, &known)) {
        sco_conv2d_destroy(known);
        return SCO_OK;
    }
    write_key(key, ctx, direction, &whole, rows, count);
    status = sco_conv2d_trial_init(&trial, ctx, direction, &whole);
    if (status != SCO_OK)
        return status;
    status = choose(tuning, ctx, &trial, rows, count, key);
    sco_conv2d_trial_free(&trial);
    return status;
}

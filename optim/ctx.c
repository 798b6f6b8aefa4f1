/* SPDX-License-Identifier: Apache-2.0 */
#include "optim/ctx.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "arch/fail.h"
#include "arch/text.h"
#include "kernels/registry.h"
#include "stepcost/topology.h"

typedef void slot_fn(void);

/* One family as resolved. row[slot] is the index of the row behind it. */
struct binding {
    const struct sco_family *family;
    slot_fn **ops;
    size_t *row;
    size_t pinned; /* index of the only row over scalar, or SIZE_MAX */
};

struct sco_ctx {
    sco_isa isa;
    struct sco_topology *topology;
    struct sco_team *team;
    size_t family_count;
    struct binding *bindings;
};

enum { LIST_BYTES = 512 };

/* The option, or else the variable; NULL when neither says anything. *source names which for messages. */
static const char *choose(const char *option, const char *variable, const char **source)
{
    const char *value = option != NULL ? option : getenv(variable);
    *source = option != NULL ? "option" : variable;
    return value != NULL && value[0] != '\0' ? value : NULL;
}

static enum sco_status read_flag(int option, const char *variable, int *flag)
{
    const char *value = getenv(variable);
    *flag = option != 0;
    if (option != 0 || value == NULL || value[0] == '\0')
        return SCO_OK;
    if ((value[0] != '0' && value[0] != '1') || value[1] != '\0')
        return sco_fail(SCO_INVALID, "%s=%s: possible here: 0 or 1", variable, value);
    *flag = value[0] == '1';
    return SCO_OK;
}

static enum sco_status read_threads(size_t option, size_t allowed, size_t cores, size_t *threads)
{
    const char *value = getenv("STEPCOST_THREADS");
    *threads = option != 0 ? option : cores;
    if (option != 0 || value == NULL || value[0] == '\0')
        return SCO_OK;
    char *end;
    errno = 0;
    const unsigned long long number = strtoull(value, &end, 10);
    if (value[0] < '0' || value[0] > '9' || *end != '\0' || errno != 0 || number == 0 || number > SIZE_MAX)
        return sco_fail(SCO_INVALID, "STEPCOST_THREADS=%s: not a number of threads; possible here: 1 to %zu", value,
                        allowed);
    *threads = (size_t)number;
    return SCO_OK;
}

static enum sco_status start_team(struct sco_ctx *ctx, const struct sco_ctx_options *options)
{
    int oversubscribe, unbound;
    size_t threads;
    enum sco_status status = sco_topology_create(&ctx->topology, SCO_TOPOLOGY_MACHINE, NULL, NULL);
    if (status == SCO_OK)
        status = read_flag(options->oversubscribe, "STEPCOST_OVERSUBSCRIBE", &oversubscribe);
    if (status == SCO_OK)
        status = read_flag(options->unbound, "STEPCOST_UNBOUND", &unbound);
    if (status != SCO_OK)
        return status;
    const struct sco_topology_counts counts = sco_topology_counts(ctx->topology);
    status = read_threads(options->threads, counts.pus, counts.cores, &threads);
    if (status != SCO_OK)
        return status;
    return sco_team_create(&ctx->team, ctx->topology, threads,
                           (oversubscribe ? SCO_TEAM_OVERSUBSCRIBE : 0u) | (unbound ? SCO_TEAM_UNBOUND : 0u));
}

static enum sco_status resolve(struct sco_ctx *ctx)
{
    const struct sco_family *const *families = sco_families(&ctx->family_count);
    ctx->bindings = calloc(ctx->family_count + 1, sizeof *ctx->bindings);
    if (ctx->bindings == NULL)
        return sco_fail(SCO_NOMEM, "context: no memory");
    for (size_t f = 0; f < ctx->family_count; f++) {
        struct binding *binding = &ctx->bindings[f];
        binding->family = families[f];
        binding->pinned = SIZE_MAX;
        binding->ops = calloc(families[f]->slot_count, sizeof *binding->ops);
        binding->row = calloc(families[f]->slot_count, sizeof *binding->row);
        if (binding->ops == NULL || binding->row == NULL)
            return sco_fail(SCO_NOMEM, "context: no memory");
        sco_family_resolve(families[f], ctx->isa, binding->ops);
        for (size_t slot = 0; slot < families[f]->slot_count; slot++)
            binding->row[slot] = sco_family_source(families[f], ctx->isa, slot);
    }
    return SCO_OK;
}

static int equals(const char *name, const char *word, size_t n)
{
    return strlen(name) == n && memcmp(name, word, n) == 0;
}

/* Gives the family the row alone over scalar. A blank table shows which slots the row fills. */
static enum sco_status pin_row(struct binding *binding, size_t row, sco_isa isa)
{
    const struct sco_family *family = binding->family;
    slot_fn **filled = calloc(family->slot_count, sizeof *filled);
    if (filled == NULL)
        return sco_fail(SCO_NOMEM, "context: no memory");
    family->rows[row].fill(filled, isa);
    for (size_t slot = 0; slot < family->slot_count; slot++)
        binding->row[slot] = filled[slot] != NULL ? row : 0;
    free(filled);
    binding->pinned = row;
    sco_family_pin(family, row, isa, binding->ops);
    return SCO_OK;
}

/* One "family:row" of n characters out of words. */
static enum sco_status pin_word(struct sco_ctx *ctx, const char *word, size_t n, const char *words, const char *source)
{
    char list[LIST_BYTES] = "";
    struct sco_text text = {list, sizeof list, 0};
    const size_t head = strcspn(word, ":,");
    struct binding *binding = NULL;
    for (size_t f = 0; f < ctx->family_count; f++) {
        sco_text_add(&text, "%s%s", f ? ", " : "", ctx->bindings[f].family->name);
        if (equals(ctx->bindings[f].family->name, word, head))
            binding = &ctx->bindings[f];
    }
    if (head >= n)
        return sco_fail(SCO_INVALID, "%s \"%s\": \"%.*s\" is not FAMILY:ROW; families: %s", source, words, (int)n, word,
                        list);
    if (binding == NULL)
        return sco_fail(SCO_INVALID, "%s \"%s\": unknown family \"%.*s\"; families: %s", source, words, (int)head, word,
                        list);

    const struct sco_family *family = binding->family;
    const char *name = word + head + 1;
    const size_t name_length = n - head - 1;
    size_t found = family->row_count;
    text.used = 0;
    for (size_t r = 0; r < family->row_count; r++) {
        if ((family->rows[r].need & ~ctx->isa) == 0)
            sco_text_add(&text, "%s%s", text.used ? ", " : "", family->rows[r].name);
        if (equals(family->rows[r].name, name, name_length))
            found = r;
    }
    if (found == family->row_count)
        return sco_fail(SCO_INVALID, "%s \"%s\": %s has no row \"%.*s\"; possible here: %s", source, words,
                        family->name, (int)name_length, name, list);
    if ((family->rows[found].need & ~ctx->isa) != 0)
        return sco_fail(SCO_UNSUPPORTED,
                        "%s \"%s\": row %s of %s needs more than the levels in force; possible here: %s", source, words,
                        family->rows[found].name, family->name, list);
    return pin_row(binding, found, ctx->isa);
}

static enum sco_status pin(struct sco_ctx *ctx, const char *words, const char *source)
{
    for (const char *word = words;; word++) {
        const size_t n = strcspn(word, ",");
        const enum sco_status status = pin_word(ctx, word, n, words, source);
        word += n;
        if (status != SCO_OK || *word == '\0')
            return status;
    }
}

enum sco_status sco_ctx_create(struct sco_ctx **ctx, const struct sco_ctx_options *options)
{
    static const struct sco_ctx_options defaults;
    if (options == NULL)
        options = &defaults;
    struct sco_ctx *made = calloc(1, sizeof *made);
    if (made == NULL)
        return sco_fail(SCO_NOMEM, "context: no memory");

    const char *source;
    enum sco_status status = SCO_OK;
    made->isa = sco_isa_detected();
    const char *words = choose(options->isa, "STEPCOST_ISA", &source);
    if (words != NULL) {
        status = sco_isa_parse(words, made->isa, &made->isa);
        if (status != SCO_OK)
            sco_fail_context(status, "%s", source);
    }
    if (status == SCO_OK)
        status = resolve(made);
    words = choose(options->row, "STEPCOST_ROW", &source);
    if (status == SCO_OK && words != NULL)
        status = pin(made, words, source);
    if (status == SCO_OK)
        status = start_team(made, options);
    if (status == SCO_OK)
        *ctx = made;
    else
        sco_ctx_destroy(made);
    return status;
}

void sco_ctx_destroy(struct sco_ctx *ctx)
{
    if (ctx == NULL)
        return;
    sco_team_destroy(ctx->team);
    sco_topology_destroy(ctx->topology);
    for (size_t f = 0; ctx->bindings != NULL && f < ctx->family_count; f++) {
        free(ctx->bindings[f].ops);
        free(ctx->bindings[f].row);
    }
    free(ctx->bindings);
    free(ctx);
}

sco_isa sco_ctx_isa(const struct sco_ctx *ctx)
{
    return ctx->isa;
}

struct sco_team *sco_ctx_team(struct sco_ctx *ctx)
{
    return ctx->team;
}

const struct sco_topology *sco_ctx_topology(const struct sco_ctx *ctx)
{
    return ctx->topology;
}

const void *sco_ctx_ops(const struct sco_ctx *ctx, const struct sco_family *family)
{
    for (size_t f = 0; f < ctx->family_count; f++)
        if (ctx->bindings[f].family == family)
            return ctx->bindings[f].ops;
    return NULL;
}

size_t sco_ctx_rows(const struct sco_ctx *ctx, const struct sco_family *family, const struct sco_row **rows,
                    size_t capacity)
{
    size_t count = 0;
    for (size_t f = 0; f < ctx->family_count; f++) {
        if (ctx->bindings[f].family != family)
            continue;
        for (size_t r = family->row_count; r-- > 0 && count < capacity;)
            if ((family->rows[r].need & ~ctx->isa) == 0 &&
                (ctx->bindings[f].pinned == SIZE_MAX || r == 0 || r == ctx->bindings[f].pinned))
                rows[count++] = &family->rows[r];
    }
    return count;
}

const char *sco_ctx_family(const struct sco_ctx *ctx, size_t family)
{
    return family < ctx->family_count ? ctx->bindings[family].family->name : NULL;
}

const char *sco_ctx_slot(const struct sco_ctx *ctx, size_t family, size_t slot)
{
    if (family >= ctx->family_count || slot >= ctx->bindings[family].family->slot_count)
        return NULL;
    return ctx->bindings[family].family->slots[slot];
}

const char *sco_ctx_row(const struct sco_ctx *ctx, size_t family, size_t slot)
{
    if (sco_ctx_slot(ctx, family, slot) == NULL)
        return NULL;
    return ctx->bindings[family].family->rows[ctx->bindings[family].row[slot]].name;
}

const char *sco_ctx_family_row(const struct sco_ctx *ctx, size_t family, size_t i)
{
    if (family >= ctx->family_count)
        return NULL;
    const struct sco_family *rows = ctx->bindings[family].family;
    for (size_t r = 0; r < rows->row_count; r++)
        if ((rows->rows[r].need & ~ctx->isa) == 0 && i-- == 0)
            return rows->rows[r].name;
    return NULL;
}

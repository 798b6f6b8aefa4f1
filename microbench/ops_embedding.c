/* SPDX-License-Identifier: Apache-2.0
 * Embedding bags of a recommendation model: 26 bags a sample over one table of rows x 128. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arch/fail.h"
#include "kernels/embed/embedding_bag.h"
#include "microbench/op.h"
#include "optim/ctx.h"
#include "stepcost/embedding.h"
#include "stepcost/memory.h"

enum { DIM = 128, FEATURES = 26, DEFAULT_ROWS = 4000000 };

static const struct {
    const char *name;
    size_t samples, lookups; /* per bag */
    int zipf;
} shapes[] = {{"B2048_L1_uniform", 2048, 1, 0},
              {"B2048_L1_zipf", 2048, 1, 1},
              {"B512_L20_uniform", 512, 20, 0},
              {"B512_L20_zipf", 512, 20, 1}};

static const char *const ops[] = {"emb_fwd", "emb_bwd", NULL};

static const char *name(const char *op, size_t index)
{
    (void)op;
    return index < SCO_LEN(shapes) ? shapes[index].name : NULL;
}

static const char *const *variants(const char *op)
{
    static const char *const only[] = {"", NULL};
    (void)op;
    return only;
}

struct instance {
    struct sco_ctx *ctx;
    const struct sco_embedding_bag_ops *kernels;
    struct sco_embedding *embedding;
    struct sco_embedding_batch batch;
    size_t rows, bags, lookups;
    int64_t *offset, *index;
    float *table, *y, *gy, *sums;
    int backward;
};

static const struct sco_embedding_optimizer sgd = {.rule = SCO_EMBEDDING_SGD, .lr = 1e-3f, .gradient_scale = 1.0f};

static enum sco_status step(void *data)
{
    struct instance *in = data;
    const enum sco_status status = sco_embedding_forward(in->embedding, &in->batch, in->table, in->y);
    if (status != SCO_OK || !in->backward)
        return status;
    return sco_embedding_step(in->embedding, &in->batch, in->gy, &sgd, in->table, NULL, NULL);
}

/* A single bag for each rank: the rows are read and added up, and nothing is written. */
static void sum_rows(size_t rank, size_t size, void *argument)
{
    const struct instance *in = argument;
    size_t begin, end;
    sco_team_block(in->lookups, rank, size, &begin, &end);
    const int64_t offset[2] = {(int64_t)begin, (int64_t)end};
    in->kernels->forward_i64(1, offset, in->index, NULL, 0, in->rows, DIM, in->table, 0, in->sums + rank * DIM);
}

static enum sco_status limit(void *data)
{
    struct instance *in = data;
    sco_team_run(sco_ctx_team(in->ctx), sum_rows, in);
    return SCO_OK;
}

static void destroy(void *data)
{
    struct instance *in = data;
    sco_embedding_destroy(in->embedding);
    sco_free(in->offset);
    sco_free(in->index);
    sco_free(in->table);
    sco_free(in->y);
    sco_free(in->gy);
    sco_free(in->sums);
    free(in);
}

/* Rows by the inverse of the distribution function of a power law of exponent 1.05, multiplied by a prime so that
 * frequent rows are no neighbours; or uniform. */
static void draw_indices(struct instance *in, int zipf)
{
    const double a = 1.05, rows = (double)in->rows;
    uint64_t state = 0x9e3779b97f4a7c15u;
    for (size_t l = 0; l < in->lookups; l++) {
        state ^= state << 13, state ^= state >> 7, state ^= state << 17;
        const double u = (double)(state >> 11) * 0x1p-53;
        const double x = zipf ? pow(1.0 - u * (1.0 - pow(rows, 1.0 - a)), 1.0 / (1.0 - a)) : u * rows;
        in->index[l] = (int64_t)(zipf ? (uint64_t)x * 2654435761u % in->rows : (uint64_t)x);
    }
}

/* ---- Against scalar code ------------------------------------------------------------------------------------------ */

static enum sco_status check_forward(const struct instance *in, const char *op)
{
    struct sco_embedding_bag_ops scalar;
    float y[DIM];
    sco_family_pin(&sco_embedding_bag_family, 0, 0, &scalar);
    for (size_t b = 0; b < in->bags; b++) {
        scalar.forward_i64(1, in->offset + b, in->index, NULL, 0, in->rows, DIM, in->table, 0, y);
        if (memcmp(y, in->y + b * DIM, sizeof y) != 0)
            return sco_fail(SCO_INVALID, "operator %s: bag %zu differs from scalar code", op, b);
    }
    return SCO_OK;
}

/* Lookups in the order of their rows. */
static int ascending(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

/* One step, and what it made of every row that it touched: in double, from the row before. */
static enum sco_status check_step(struct instance *in, const char *op)
{
    const size_t n = in->lookups, per_bag = n / in->bags;
    uint64_t *order = sco_alloc(n * sizeof *order);
    float *before = sco_alloc(n * DIM * sizeof *before); /* of the row of each lookup, in order */
    enum sco_status status = SCO_OK;
    if (order == NULL || before == NULL) {
        status = sco_fail(SCO_NOMEM, "operator %s: out of memory", op);
        goto done;
    }
    for (size_t l = 0; l < n; l++)
        order[l] = (uint64_t)in->index[l] << 32 | l;
    qsort(order, n, sizeof *order, ascending);
    for (size_t i = 0; i < n; i++)
        memcpy(before + i * DIM, in->table + (order[i] >> 32) * DIM, DIM * sizeof *before);
    status = step(in);
    for (size_t i = 0, next; i < n && status == SCO_OK; i = next) {
        const size_t row = order[i] >> 32;
        for (next = i; next < n && order[next] >> 32 == row; next++)
            ;
        for (size_t j = 0; j < DIM; j++) {
            double sum = 0.0, magnitude = 0.0;
            for (size_t k = i; k < next; k++) {
                const double g = (double)in->gy[(uint32_t)order[k] / per_bag * DIM + j];
                sum += g;
                magnitude += fabs(g);
            }
            const double p = (double)before[i * DIM + j];
            const double bound = 0x1p-23 * (fabs(p) + (double)sgd.lr * magnitude * (double)(next - i + 2));
            const double error = fabs((double)in->table[row * DIM + j] - (p - (double)sgd.lr * sum));
            if (!(error <= bound)) {
                status = sco_fail(SCO_INVALID, "operator %s: row %zu, column %zu is off by %g, more than %g", op, row,
                                  j, error, bound);
                break;
            }
        }
    }
done:
    sco_free(order);
    sco_free(before);
    return status;
}

static enum sco_status allocate(struct instance *in, const char *op)
{
    in->offset = sco_alloc((in->bags + 1) * sizeof *in->offset);
    in->index = sco_alloc(in->lookups * sizeof *in->index);
    in->table = sco_alloc(in->rows * DIM * sizeof *in->table);
    in->y = sco_alloc(in->bags * DIM * sizeof *in->y);
    in->gy = sco_alloc(in->bags * DIM * sizeof *in->gy);
    in->sums = sco_alloc(sco_team_size(sco_ctx_team(in->ctx)) * DIM * sizeof *in->sums);
    if (in->offset == NULL || in->index == NULL || in->table == NULL || in->y == NULL || in->gy == NULL ||
        in->sums == NULL)
        return sco_fail(SCO_NOMEM, "operator %s: no memory for a table of %zu rows of %d", op, in->rows, DIM);
    return SCO_OK;
}

static enum sco_status prepare(struct sco_op_instance *instance, struct sco_ctx *ctx,
                               const struct sco_op_request *request)
{
    size_t shape = 0;
    while (shape < SCO_LEN(shapes) && strcmp(shapes[shape].name, request->name) != 0)
        shape++;
    if (shape == SCO_LEN(shapes) || strcmp(request->variant, "") != 0)
        return sco_fail(SCO_UNSUPPORTED, "operator %s: case %s, variant '%s' is unknown", request->op, request->name,
                        request->variant);
    struct instance *in = calloc(1, sizeof *in);
    if (in == NULL)
        return sco_fail(SCO_NOMEM, "operator %s: out of memory", request->op);
    in->ctx = ctx;
    in->kernels = sco_ctx_ops(ctx, &sco_embedding_bag_family);
    in->rows = request->rows != 0 ? request->rows : DEFAULT_ROWS;
    in->bags = shapes[shape].samples * FEATURES;
    in->lookups = in->bags * shapes[shape].lookups;
    in->backward = strcmp(request->op, "emb_bwd") == 0;
    enum sco_status status = allocate(in, request->op);
    if (status == SCO_OK)
        status = sco_embedding_create(&in->embedding, ctx,
                                      &(struct sco_embedding_shape){in->rows, DIM, in->bags, in->lookups});
    if (status == SCO_OK) {
        for (size_t b = 0; b <= in->bags; b++)
            in->offset[b] = (int64_t)(b * shapes[shape].lookups);
        draw_indices(in, shapes[shape].zipf);
        in->batch = (struct sco_embedding_batch){
            .bags = in->bags, .offset = in->offset, .index = in->index, .index_bits = 64, .mode = SCO_EMBEDDING_SUM};
        sco_draw(sco_ctx_team(ctx), in->table, in->rows * DIM, 1, 1e-2f);
        sco_draw(sco_ctx_team(ctx), in->gy, in->bags * DIM, 2, 1.0f);
        status = sco_embedding_forward(in->embedding, &in->batch, in->table, in->y);
    }
    if (status == SCO_OK)
        status = in->backward ? check_step(in, request->op) : check_forward(in, request->op);
    if (status != SCO_OK) {
        destroy(in);
        return status;
    }
    const double n = (double)in->lookups, bags = (double)in->bags;
    *instance = (struct sco_op_instance){.data = in,
                                         .step = step,
                                         .destroy = destroy,
                                         .flops = (in->backward ? 2.0 : 1.0) * n * DIM,
                                         .bytes = n * ((in->backward ? 8.0 : 4.0) * DIM + 8.0) + bags * 4.0 * DIM,
                                         .items = n,
                                         .item = "lookup",
                                         .limit = limit,
                                         .limit_bytes = n * 4.0 * DIM};
    return SCO_OK;
}

const struct sco_op_class sco_embedding_op_class = {ops, name, variants, prepare};

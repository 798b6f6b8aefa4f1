/* SPDX-License-Identifier: Apache-2.0 */
#include "models/op_dense.h"

#include <stdint.h>
#include <string.h>

#include "kernels/gemm/gemm.h"
#include "kernels/graph/graph.h"
#include "models/parallel.h"
#include "optim/ctx.h"

/* BLOCK rows are a task: sixteen tiles of six. A kernel's gradient is cut into tiles of TILE_IN x TILE_OUT, and takes DEPTH
 * rows at a time, whose gradients then stay in L2. */
enum { BLOCK = 96, TILE_IN = 32, TILE_OUT = SCO_GEMM_NR, DEPTH = 256 };

struct job {
    const struct sco_dense *dense;
    const struct sco_gemm_ops *gemm;
    const struct sco_graph_ops *graph;
    size_t rows;
    const float *x, *kernel, *bias, *dy;
    float *y, *dx, *dkernel;
};

static size_t parts(size_t n, size_t size)
{
    return n / size + (n % size != 0);
}

size_t sco_dense_packed_bytes(size_t in, size_t out)
{
    size_t bytes;
    if (in > SIZE_MAX / 2 || out > SIZE_MAX / 2 ||
        __builtin_mul_overflow(in + SCO_GEMM_STEP, out + SCO_GEMM_STEP, &bytes) ||
        __builtin_mul_overflow(bytes, sizeof(float), &bytes))
        return SIZE_MAX;
    return bytes;
}

/* ---- Forward ---- */

static void pack_panels(const struct job *job, size_t first, size_t last)
{
    const size_t in = job->dense->in, out = job->dense->out, column = first * SCO_GEMM_NR;
    const size_t end = last * SCO_GEMM_NR < out ? last * SCO_GEMM_NR : out;
    job->gemm->pack(in, end - column, job->kernel + column, out,
                    job->dense->packed + sco_gemm_packed_count(in, column));
}

static void fwd_tasks(size_t phase, size_t first, size_t last, size_t rank, void *argument)
{
    const struct job *job = argument;
    const size_t in = job->dense->in, out = job->dense->out, row = first * BLOCK;
    (void)rank;
    if (phase == 0) {
        pack_panels(job, first, last);
        return;
    }
    const size_t end = last * BLOCK < job->rows ? last * BLOCK : job->rows;
    job->gemm->gemm(end - row, out, in, job->x + row * in, in, job->dense->packed, job->bias, 0, job->y + row * out,
                    out);
}

static struct job job_of(const struct sco_dense *dense, size_t rows, const float *x, const float *kernel)
{
    return (struct job){.dense = dense,
                        .gemm = sco_ctx_ops(dense->ctx, &sco_gemm_family),
                        .graph = sco_ctx_ops(dense->ctx, &sco_graph_family),
                        .rows = rows,
                        .x = x,
                        .kernel = kernel};
}

void sco_dense_fwd(const struct sco_dense *dense, size_t rows, const float *x, const float *kernel, const float *bias,
                   float *y)
{
    struct job job = job_of(dense, rows, x, kernel);
    job.bias = bias;
    job.y = y;
    const size_t tasks[] = {parts(dense->out, SCO_GEMM_NR), parts(rows, BLOCK)};
    sco_parallel(sco_ctx_team(dense->ctx), SCO_LEN(tasks), tasks, fwd_tasks, &job);
}

/* ---- Backward ---- */

/* Panel p of the transpose, which is out x in. */
static void pack_transposed(const struct job *job, size_t p)
{
    const size_t in = job->dense->in, out = job->dense->out, first = p * SCO_GEMM_NR;
    const size_t count = in - first < SCO_GEMM_NR ? in - first : SCO_GEMM_NR;
    const size_t width = sco_gemm_packed_count(1, count);
    float *panel = job->dense->packed + sco_gemm_packed_count(out, first);
    for (size_t k = 0; k < out; k++) {
        for (size_t j = 0; j < count; j++)
            panel[k * width + j] = job->kernel[(first + j) * out + k];
        memset(panel + k * width + count, 0, (width - count) * sizeof *panel);
    }
}

static void kernel_tile(const struct job *job, size_t tile)
{
    const size_t in = job->dense->in, out = job->dense->out, across = parts(out, TILE_OUT);
    const size_t i = tile / across * TILE_IN, j = tile % across * TILE_OUT;
    const size_t M = in - i < TILE_IN ? in - i : TILE_IN, N = out - j < TILE_OUT ? out - j : TILE_OUT;
    size_t k = 0;
    do {
        const size_t depth = job->rows - k < DEPTH ? job->rows - k : DEPTH;
        job->graph->weight_grad(M, N, depth, job->x + k * in + i, in, job->dy + k * out + j, out, k > 0,
                                job->dkernel + i * out + j, out);
        k += depth;
    } while (k < job->rows);
}

enum { BWD_PACK, BWD_ROWS, BWD_KERNEL, BWD_PHASES };

static void bwd_tasks(size_t phase, size_t first, size_t last, size_t rank, void *argument)
{
    const struct job *job = argument;
    const size_t in = job->dense->in, out = job->dense->out, row = first * BLOCK;
    const size_t end = last * BLOCK < job->rows ? last * BLOCK : job->rows;
    (void)rank;
    switch (phase) {
    case BWD_PACK:
        for (size_t p = first; p < last; p++)
            pack_transposed(job, p);
        break;
    case BWD_ROWS:
        job->gemm->gemm(end - row, in, out, job->dy + row * out, out, job->dense->packed, NULL, 0, job->dx + row * in,
                        in);
        break;
    default:
        for (size_t tile = first; tile < last; tile++)
            kernel_tile(job, tile);
    }
}

void sco_dense_bwd(const struct sco_dense *dense, size_t rows, const float *x, const float *kernel, const float *dy,
                   float *dx, float *dkernel)
{
    /* A matrix without rows may be NULL, which nothing may be added to. */
    struct job job = job_of(dense, rows, rows > 0 ? x : dy, kernel);
    job.dy = dy;
    job.dx = dx;
    job.dkernel = dkernel;
    const size_t tasks[BWD_PHASES] = {dx != NULL ? parts(dense->in, SCO_GEMM_NR) : 0,
                                      dx != NULL ? parts(rows, BLOCK) : 0,
                                      parts(dense->in, TILE_IN) * parts(dense->out, TILE_OUT)};
    sco_parallel(sco_ctx_team(dense->ctx), BWD_PHASES, tasks, bwd_tasks, &job);
}

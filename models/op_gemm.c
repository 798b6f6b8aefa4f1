/* SPDX-License-Identifier: Apache-2.0 */
#include "models/op_gemm.h"

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "arch/fail.h"
#include "kernels/sgemm/sgemm.h"
#include "models/parallel.h"
#include "optim/ctx.h"
#include "stepcost/memory.h"

struct sco_gemm {
    struct sco_sgemm_plan plan;
    struct sco_team *team;
    size_t scratch_bytes; /* of a rank, whole cache lines */
    char name[120];
};

/* rows x width at stride, step apart, batch times: the count of floats must fit an address. */
static enum sco_status check_matrix(const char *name, size_t rows, size_t width, size_t stride, size_t step,
                                    size_t batch)
{
    if (stride != 0 && stride < width)
        return sco_fail(SCO_SHAPE, "gemm: rows of %s hold %zu floats and are ld%c = %zu apart; give at least %zu, or 0",
                        name, width, name[0] + ('a' - 'A'), stride, width);
    size_t floats, steps;
    if (__builtin_mul_overflow(rows, stride != 0 ? stride : width, &floats) ||
        __builtin_mul_overflow(step, batch, &steps) || __builtin_add_overflow(floats, steps, &floats) ||
        floats > PTRDIFF_MAX / sizeof(float))
        return sco_fail(SCO_SHAPE, "gemm: %s of %zu x %zu floats, %zu times, exceeds the address space", name, rows,
                        width, batch);
    return SCO_OK;
}

static enum sco_status check_shape(const struct sco_gemm_shape *shape)
{
    const struct sco_gemm_shape s = sco_sgemm_full(shape);
    enum sco_status status;
    if ((status = check_matrix("A", s.trans_a ? s.K : s.M, s.trans_a ? s.M : s.K, shape->lda, s.a_step, s.batch)) !=
            SCO_OK ||
        (status = check_matrix("B", s.trans_b ? s.N : s.K, s.trans_b ? s.K : s.N, shape->ldb, s.b_step, s.batch)) !=
            SCO_OK ||
        (status = check_matrix("C", s.M, s.N, shape->ldc, s.c_step, s.batch)) != SCO_OK)
        return status;
    if (s.batch > 1 && s.M > 0 && s.N > 0 && s.c_step < (s.M - 1) * s.ldc + s.N)
        return sco_fail(SCO_SHAPE, "gemm: products of the batch overlap in C: c_step = %zu, give at least %zu",
                        s.c_step, (s.M - 1) * s.ldc + s.N);
    if (s.activation < SCO_GEMM_LINEAR || s.activation > SCO_GEMM_LEAKY_RELU)
        return sco_fail(SCO_INVALID, "gemm: activation %d; possible: 0 linear, 1 relu, 2 leaky relu",
                        (int)s.activation);
    return SCO_OK;
}

enum sco_status sco_gemm_create_row(struct sco_gemm **gemm, struct sco_ctx *ctx, const struct sco_gemm_shape *shape,
                                    const char *row)
{
    const enum sco_status status = check_shape(shape);
    if (status != SCO_OK)
        return status;
    struct sco_gemm *made = sco_alloc_zero(sizeof *made);
    if (made == NULL)
        return sco_fail(SCO_NOMEM, "gemm: no memory for a plan (%zu bytes)", sizeof *made);
    const struct sco_row *rows[8];
    const size_t count = sco_ctx_rows(ctx, &sco_sgemm_family, rows, SCO_LEN(rows));
    for (size_t i = 0; i < count; i++) {
        struct sco_sgemm_ops ops = {NULL};
        if (row != NULL && strcmp(row, rows[i]->name) != 0)
            continue;
        rows[i]->fill(&ops, sco_ctx_isa(ctx));
        if (ops.plan == NULL || !ops.plan(shape, &made->plan))
            continue;
        made->team = sco_ctx_team(ctx);
        made->scratch_bytes = (made->plan.scratch_bytes + SCO_ALIGN - 1) / SCO_ALIGN * SCO_ALIGN;
        snprintf(made->name, sizeof made->name, "%s %s", rows[i]->name, made->plan.name);
        *gemm = made;
        return SCO_OK;
    }
    sco_free(made);
    return sco_fail(SCO_UNSUPPORTED, "gemm: row \"%s\" is not in force here, or not for this shape",
                    row != NULL ? row : "scalar");
}

enum sco_status sco_gemm_create(struct sco_gemm **gemm, struct sco_ctx *ctx, const struct sco_gemm_shape *shape)
{
    return sco_gemm_create_row(gemm, ctx, shape, NULL);
}

void sco_gemm_destroy(struct sco_gemm *gemm)
{
    sco_free(gemm);
}

size_t sco_gemm_workspace_bytes(const struct sco_gemm *gemm)
{
    return gemm->scratch_bytes * sco_team_size(gemm->team);
}

const char *sco_gemm_plan_name(const struct sco_gemm *gemm)
{
    return gemm->name;
}

struct job {
    const struct sco_gemm *gemm;
    struct sco_sgemm_args args; /* scratch of rank 0 */
};

static void tasks(size_t phase, size_t first, size_t last, size_t rank, void *argument)
{
    const struct job *job = argument;
    struct sco_sgemm_args args = job->args;
    (void)phase;
    if (args.scratch != NULL)
        args.scratch += rank * (job->gemm->scratch_bytes / sizeof *args.scratch);
    job->gemm->plan.run(&job->gemm->plan, &args, first, last);
}

static enum sco_status refuse(const struct sco_gemm *gemm, const void *A, const void *B, const void *C,
                              const void *bias)
{
    const char *missing = C == NULL ? "C" : A == NULL ? "A" : B == NULL ? "B" : bias == NULL ? "bias" : "workspace";
    return sco_fail(SCO_INVALID, "gemm of %zu x %zu x %zu: %s is NULL", gemm->plan.shape.M, gemm->plan.shape.N,
                    gemm->plan.shape.K, missing);
}

enum sco_status sco_gemm_run(const struct sco_gemm *gemm, const float *A, const float *B, float *C, const float *bias,
                             void *workspace)
{
    const struct sco_sgemm_plan *plan = &gemm->plan;
    if (plan->small != NULL) {
        if (A == NULL || B == NULL || C == NULL || (plan->shape.bias && bias == NULL))
            return refuse(gemm, A, B, C, bias);
        plan->small(plan, A, B, C, plan->shape.bias ? bias : NULL);
        return SCO_OK;
    }
    if (plan->tasks == 0)
        return SCO_OK;
    if (C == NULL || ((A == NULL || B == NULL) && plan->shape.K > 0) || (plan->shape.bias && bias == NULL) ||
        (workspace == NULL && plan->scratch_bytes > 0))
        return refuse(gemm, A, B, C, plan->shape.bias ? bias : C);
    struct job job = {gemm, {A, B, plan->shape.bias ? bias : NULL, C, workspace}};
    if (plan->tasks == 1)
        plan->run(plan, &job.args, 0, 1);
    else
        sco_parallel(gemm->team, 1, &plan->tasks, tasks, &job);
    return SCO_OK;
}

/* SPDX-License-Identifier: Apache-2.0
 * Scalar row: the definition, one fused multiply-add per k in ascending order. */
#include "kernels/sgemm/sgemm.h"

#include <math.h>
#include <string.h>

static float activate(float x, const struct sco_gemm_shape *s)
{
    if (s->activation == SCO_GEMM_RELU)
        return x < 0.0f ? 0.0f : x;
    return s->activation == SCO_GEMM_LEAKY_RELU && x < 0.0f ? s->slope * x : x;
}

/* A task is a row of C. */
static void run_scalar(const struct sco_sgemm_plan *plan, const struct sco_sgemm_args *args, size_t first, size_t last)
{
    const struct sco_gemm_shape *s = &plan->shape;
    const size_t a_row = s->trans_a ? 1 : s->lda, a_k = s->trans_a ? s->lda : 1;
    const size_t b_column = s->trans_b ? s->ldb : 1, b_k = s->trans_b ? 1 : s->ldb;
    for (size_t task = first; task < last; task++) {
        const size_t product = task / s->M, i = task % s->M;
        const float *a = args->A + product * s->a_step + i * a_row, *B = args->B + product * s->b_step;
        float *c = args->C + product * s->c_step + i * s->ldc;
        for (size_t j = 0; j < s->N; j++) {
            float sum = 0.0f;
            for (size_t k = 0; k < s->K; k++)
                sum = fmaf(a[k * a_k], B[k * b_k + j * b_column], sum);
            float x = s->alpha * sum;
            if (s->beta != 0.0f)
                x = fmaf(s->beta, c[j], x);
            if (args->bias != NULL)
                x += args->bias[j];
            c[j] = activate(x, s);
        }
    }
}

static bool plan_scalar(const struct sco_gemm_shape *shape, struct sco_sgemm_plan *plan)
{
    memset(plan, 0, sizeof *plan);
    plan->shape = sco_sgemm_full(shape);
    plan->tasks = plan->shape.batch * plan->shape.M;
    plan->run = run_scalar;
    memcpy(plan->name, "scalar", sizeof "scalar");
    return true;
}

void sco_sgemm_fill_scalar(void *ops, sco_isa isa)
{
    (void)isa;
    *(struct sco_sgemm_ops *)ops = (struct sco_sgemm_ops){plan_scalar};
}

SCO_FAMILY_DEFINE(sgemm, SCO_SGEMM_ROWS, struct sco_sgemm_ops, "plan")

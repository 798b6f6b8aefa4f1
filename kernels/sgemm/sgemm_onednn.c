/* SPDX-License-Identifier: Apache-2.0
 * The product by oneDNN's sgemm, on the calling thread alone; the library keeps no plans, and what follows the sum takes
 * another pass over C. */
#include <oneapi/dnnl/dnnl.h>
#include <string.h>

#include "kernels/sgemm/sgemm.h"

/* How many threads OpenMP would use next is a property of the calling thread, so setting it disturbs nobody. Declared
 * here since omp.h belongs to the compiler, and this runtime to oneDNN. */
#if DNNL_CPU_THREADING_RUNTIME == DNNL_RUNTIME_OMP
int omp_get_max_threads(void);
void omp_set_num_threads(int threads);
#endif

enum { M_BLOCKS, N_BLOCKS };

static void follow(const struct sco_gemm_shape *s, size_t rows, size_t columns, float *C, const float *bias)
{
    for (size_t i = 0; i < rows; i++) {
        for (size_t j = 0; j < columns; j++) {
            const float x = bias != NULL ? C[i * s->ldc + j] + bias[j] : C[i * s->ldc + j];
            const float below = s->activation == SCO_GEMM_RELU ? 0.0f : s->slope * x;
            C[i * s->ldc + j] = s->activation != SCO_GEMM_LINEAR && x < 0.0f ? below : x;
        }
    }
}

static void run_onednn(const struct sco_sgemm_plan *plan, const struct sco_sgemm_args *args, size_t first, size_t last)
{
    const struct sco_gemm_shape *s = &plan->shape;
    const size_t m_blocks = plan->own[M_BLOCKS], n_blocks = plan->own[N_BLOCKS], cells = m_blocks * n_blocks;
#if DNNL_CPU_THREADING_RUNTIME == DNNL_RUNTIME_OMP
    const int threads = omp_get_max_threads();
    omp_set_num_threads(1);
#endif
    for (size_t task = first; task < last; task++) {
        const size_t product = task / cells, m = task % cells / n_blocks, n = task % n_blocks;
        const size_t i0 = s->M * m / m_blocks, i1 = s->M * (m + 1) / m_blocks;
        const size_t j0 = s->N * n / n_blocks, j1 = s->N * (n + 1) / n_blocks;
        const float *A = args->A + product * s->a_step + i0 * (s->trans_a ? 1 : s->lda);
        const float *B = args->B + product * s->b_step + j0 * (s->trans_b ? s->ldb : 1);
        float *C = args->C + product * s->c_step + i0 * s->ldc + j0;
        dnnl_sgemm(s->trans_a ? 'T' : 'N', s->trans_b ? 'T' : 'N', (dnnl_dim_t)(i1 - i0), (dnnl_dim_t)(j1 - j0),
                   (dnnl_dim_t)s->K, s->alpha, A, (dnnl_dim_t)s->lda, B, (dnnl_dim_t)s->ldb, s->beta, C,
                   (dnnl_dim_t)s->ldc);
        if (args->bias != NULL || s->activation != SCO_GEMM_LINEAR)
            follow(s, i1 - i0, j1 - j0, C, args->bias != NULL ? args->bias + j0 : NULL);
    }
#if DNNL_CPU_THREADING_RUNTIME == DNNL_RUNTIME_OMP
    omp_set_num_threads(threads);
#endif
}

static bool plan_onednn(const struct sco_gemm_shape *shape, struct sco_sgemm_plan *plan)
{
    enum { BLOCK = 512 };
    memset(plan, 0, sizeof *plan);
    plan->shape = sco_sgemm_full(shape);
    const struct sco_gemm_shape *s = &plan->shape;
    if (s->M == 0 || s->N == 0 || s->K == 0) /* empty products are not for the library */
        return false;
    plan->own[M_BLOCKS] = (s->M + BLOCK - 1) / BLOCK;
    plan->own[N_BLOCKS] = (s->N + BLOCK - 1) / BLOCK;
    if (s->batch * plan->own[M_BLOCKS] * plan->own[N_BLOCKS] == 1 && s->M * s->N * s->K > 1u << 20)
        plan->own[s->M > s->N ? M_BLOCKS : N_BLOCKS] = 2;
    plan->tasks = s->batch * plan->own[M_BLOCKS] * plan->own[N_BLOCKS];
    plan->run = run_onednn;
    memcpy(plan->name, "sgemm", sizeof "sgemm");
    return true;
}

void sco_sgemm_fill_onednn(void *ops, sco_isa isa)
{
    (void)isa;
    ((struct sco_sgemm_ops *)ops)->plan = plan_onednn;
}

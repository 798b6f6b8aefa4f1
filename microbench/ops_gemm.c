/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "arch/fail.h"
#include "kernels/sgemm/sgemm.h"
#include "microbench/op.h"
#include "models/op_gemm.h"
#include "stepcost/memory.h"

/* MxNxK, op(A) op(B) where a prefix says so. Common sizes; a message step, two convolutions as products and tiny ones;
 * then forward, input gradient (nt) and weight gradient (tn) of the workloads' dense layers: DLRM at batch 2048, the graph
 * network's edges, nodes and globals, ResNet-50's last layer, and the LSTM of VeLO. */
static const char *const cases[] = {
    "256x256x256",       "1024x1024x1024",   "2048x2048x2048",    "28672x256x768",     "64x3136x64",
    "512x49x4608",       "16x16x16",         "32x32x32",          "nn_2048x512x13",    "nn_2048x256x512",
    "nn_2048x128x256",   "nn_2048x1024x506", "nn_2048x1024x1024", "nn_2048x512x1024",  "nn_2048x1x256",
    "nt_2048x512x256",   "nt_2048x256x128",  "nt_2048x506x1024",  "nt_2048x1024x1024", "nt_2048x1024x512",
    "nt_2048x256x1",     "tn_13x512x2048",   "tn_512x256x2048",   "tn_256x128x2048",   "tn_506x1024x2048",
    "tn_1024x1024x2048", "tn_1024x512x2048", "tn_256x1x2048",     "nn_28672x256x896",  "nn_28672x256x1024",
    "nn_13312x256x768",  "nn_512x256x640",   "nn_512x256x768",    "nn_512x128x256",    "nt_28672x768x256",
    "tn_768x256x28672",  "tn_256x256x13312", "nn_32x1000x2048",   "nn_128x1000x2048",  "nn_256x1000x2048",
    "nt_256x2048x1000",  "tn_2048x1000x256", "nn_17x2048x1024",   "nn_24x2048x1024",   "nn_66x2048x1024",
    "nn_161x2048x1024",
};

static const char *const ops[] = {"gemm", NULL};
/* "" and "own" are one: no other library stands above the rows of this one. */
static const char *const ways[] = {"own", "onednn", NULL};

struct gemm_run {
    struct sco_gemm_shape shape;
    struct sco_gemm *gemm;
    float *A, *B, *C;
    void *workspace;
};

static enum sco_status step(void *data)
{
    const struct gemm_run *run = data;
    return sco_gemm_run(run->gemm, run->A, run->B, run->C, NULL, run->workspace);
}

static void destroy(void *data)
{
    struct gemm_run *run = data;
    if (run == NULL)
        return;
    sco_gemm_destroy(run->gemm);
    sco_free(run->A);
    sco_free(run->B);
    sco_free(run->C);
    sco_free(run->workspace);
    free(run);
}

/* Elements spread over C against sums in double, which for all of a large C would take minutes. */
static enum sco_status check(struct gemm_run *run, const char *name)
{
    enum { PROBES = 997 };
    const struct sco_gemm_shape s = sco_sgemm_full(&run->shape);
    const size_t count = s.M * s.N, stride = count / PROBES + 1;
    for (size_t i = 0; i < count; i++)
        run->C[i] = NAN;
    const enum sco_status status = step(run);
    if (status != SCO_OK)
        return status;
    for (size_t at = 0; at < count; at += at + stride < count || at + 1 == count ? stride : count - 1 - at) {
        const size_t i = at / s.N, j = at % s.N;
        double sum = 0.0, magnitude = 0.0;
        for (size_t k = 0; k < s.K; k++) {
            const double term = (double)run->A[s.trans_a ? k * s.lda + i : i * s.lda + k] *
                                (double)run->B[s.trans_b ? j * s.ldb + k : k * s.ldb + j];
            sum += term;
            magnitude += fabs(term);
        }
        if (!(fabs((double)run->C[at] - sum) <= sco_sgemm_error(s.K) * 0x1p-24 * magnitude))
            return sco_fail(SCO_INVALID, "gemm %s: C[%zu][%zu] is %.9g, not %.9g: a wrong result is not timed", name, i,
                            j, (double)run->C[at], sum);
    }
    return SCO_OK;
}

static enum sco_status prepare(struct sco_op_instance *instance, struct sco_ctx *ctx,
                               const struct sco_op_request *request)
{
    const char *name = NULL;
    for (size_t i = 0; i < SCO_LEN(cases); i++)
        if (strcmp(cases[i], request->name) == 0)
            name = cases[i];
    const bool own = request->variant[0] == '\0' || strcmp(request->variant, "own") == 0;
    if (name == NULL || (!own && strcmp(request->variant, "onednn") != 0))
        return sco_fail(SCO_UNSUPPORTED, "gemm: no case \"%s\" with variant \"%s\"", request->name, request->variant);
    struct gemm_run *run = calloc(1, sizeof *run);
    if (run == NULL)
        return sco_fail(SCO_NOMEM, "gemm: no memory");
    struct sco_gemm_shape *s = &run->shape;
    const char *sizes = strchr(name, '_') != NULL ? name + 3 : name;
    s->alpha = 1.0f;
    s->trans_a = name[0] == 't';
    s->trans_b = name[1] == 't';
    if (sscanf(sizes, "%zux%zux%zu", &s->M, &s->N, &s->K) != 3) {
        destroy(run);
        return sco_fail(SCO_INVALID, "gemm: \"%s\" is not MxNxK", name);
    }
    enum sco_status status = sco_gemm_create_row(&run->gemm, ctx, s, own ? NULL : "onednn");
    if (status != SCO_OK) {
        destroy(run);
        return status;
    }
    run->A = sco_alloc(s->M * s->K * sizeof(float));
    run->B = sco_alloc(s->K * s->N * sizeof(float));
    run->C = sco_alloc(s->M * s->N * sizeof(float));
    run->workspace = sco_alloc(sco_gemm_workspace_bytes(run->gemm));
    if (run->A == NULL || run->B == NULL || run->C == NULL || run->workspace == NULL) {
        destroy(run);
        return sco_fail(SCO_NOMEM, "gemm %s: no memory for its matrices", name);
    }
    sco_draw(sco_ctx_team(ctx), run->A, s->M * s->K, 31, 1.0f);
    sco_draw(sco_ctx_team(ctx), run->B, s->K * s->N, 32, 1.0f);
    status = check(run, name);
    if (status != SCO_OK) {
        destroy(run);
        return status;
    }
    const double macs = (double)s->M * (double)s->N * (double)s->K;
    const size_t floats = s->M * s->K + s->K * s->N + s->M * s->N;
    *instance = (struct sco_op_instance){.data = run,
                                         .step = step,
                                         .destroy = destroy,
                                         .flops = 2.0 * macs,
                                         .bytes = 4.0 * (double)floats,
                                         .items = macs,
                                         .item = "mac"};
    snprintf(instance->note, sizeof instance->note, "%.*s", (int)sizeof instance->note - 1,
             sco_gemm_plan_name(run->gemm));
    return SCO_OK;
}

static const char *name_of(const char *op, size_t index)
{
    (void)op;
    return index < SCO_LEN(cases) ? cases[index] : NULL;
}

static const char *const *variants(const char *op)
{
    (void)op;
    return ways;
}

const struct sco_op_class sco_gemm_op_class = {ops, name_of, variants, prepare};

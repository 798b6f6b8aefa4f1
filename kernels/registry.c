/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/registry.h"

#include "kernels/activation/activation.h"
#include "kernels/adafactor/adafactor.h"
#include "kernels/adam/adam.h"
#include "kernels/conv/conv2d.h"
#include "kernels/dropout/dropout.h"
#include "kernels/embed/embedding_bag.h"
#include "kernels/finite/finite.h"
#include "kernels/gemm/gemm.h"
#include "kernels/graph/graph.h"
#include "kernels/interact/dot_interaction.h"
#include "kernels/lamb/lamb.h"
#include "kernels/lion/lion.h"
#include "kernels/loss/loss.h"
#include "kernels/momentum/momentum.h"
#include "kernels/norm/norm.h"
#include "kernels/pool/pool.h"
#include "kernels/roof/roof.h"
#include "kernels/sgemm/sgemm.h"
#include "kernels/velo/velo.h"

static const struct sco_family *const families[] = {
    &sco_activation_family,
    &sco_adafactor_family,
    &sco_adam_family,
    &sco_conv2d_family,
    &sco_dot_interaction_family,
    &sco_dropout_family,
    &sco_embedding_bag_family,
    &sco_finite_family,
    &sco_gemm_family,
    &sco_graph_family,
    &sco_lamb_family,
    &sco_lion_family,
    &sco_loss_family,
    &sco_momentum_family,
    &sco_norm_family,
    &sco_pool_family,
    &sco_roof_family,
    &sco_sgemm_family,
    &sco_velo_family,
};

const struct sco_family *const *sco_families(size_t *count)
{
    *count = SCO_LEN(families);
    return families;
}

/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/registry.h"

#include "kernels/gemm/gemm.h"
#include "kernels/roof/roof.h"

static const struct sco_family *const families[] = {
    &sco_gemm_family,
    &sco_roof_family,
    NULL /* keeps the list non-empty and is not counted */
};

const struct sco_family *const *sco_families(size_t *count)
{
    *count = SCO_LEN(families) - 1;
    return families;
}

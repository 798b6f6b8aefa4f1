/* SPDX-License-Identifier: Apache-2.0 */
#include <immintrin.h>

#define VEC    __m256
#define LANES  8
#define CHAINS 12
#define LOAD   _mm256_loadu_ps
#define STORE  _mm256_storeu_ps
#define SET1   _mm256_set1_ps
#define ADD    _mm256_add_ps
#define MUL    _mm256_mul_ps
#define FMA    _mm256_fmadd_ps

#include "kernels/roof/roof_lanes.h"

void sco_roof_fill_avx2(void *ops, sco_isa isa)
{
    (void)isa;
    *(struct sco_roof_ops *)ops = (struct sco_roof_ops){roof_read, roof_rw32, roof_rw43, roof_rw65, roof_fma};
}

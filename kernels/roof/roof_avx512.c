/* SPDX-License-Identifier: Apache-2.0 */
#include <immintrin.h>

#define VEC    __m512
#define LANES  16
#define CHAINS 12
#define LOAD   _mm512_loadu_ps
#define STORE  _mm512_storeu_ps
#define SET1   _mm512_set1_ps
#define ADD    _mm512_add_ps
#define MUL    _mm512_mul_ps
#define FMA    _mm512_fmadd_ps

#include "kernels/roof/roof_lanes.h"

void sco_roof_fill_avx512(void *ops, sco_isa isa)
{
    (void)isa;
    *(struct sco_roof_ops *)ops = (struct sco_roof_ops){roof_read, roof_rw32, roof_rw43, roof_rw65, roof_fma};
}

/* SPDX-License-Identifier: Apache-2.0
 * The exponential of exp_scalar.h over the lanes of the row that includes this file. */
#include "kernels/gemm/gemm_cell.h"
#include "kernels/kernel.h"

/* e^t = 2^n (1 + m), t <= 0; returns m, and n in the low bits of *z. */
SCO_INLINE lanes exp_split(lanes t, lanes *z)
{
    const lanes round = lanes_set(SCO_CELL_ROUND);
    *z = lanes_fma(t, lanes_set(SCO_CELL_LOG2E), round);
    const lanes n = lanes_sub(*z, round);
    lanes r = lanes_fnma(n, lanes_set(SCO_CELL_LN2_HI), t);
    r = lanes_fnma(n, lanes_set(SCO_CELL_LN2_LO), r);
    lanes q = lanes_fma(lanes_set(SCO_CELL_Q4), r, lanes_set(SCO_CELL_Q3));
    q = lanes_fma(q, r, lanes_set(SCO_CELL_Q2));
    q = lanes_fma(q, r, lanes_set(SCO_CELL_Q1));
    q = lanes_fma(q, r, lanes_set(SCO_CELL_Q0));
    return lanes_fma(lanes_mul(r, r), q, r);
}

/* bound where x is below it; keeps NaN. */
SCO_INLINE lanes at_least(lanes x, float bound)
{
    return lanes_if_less(x, lanes_set(bound), lanes_set(bound), x);
}

/* e^t, t <= 0; 0 below SCO_EXP_MIN. */
SCO_INLINE lanes exp_negative(lanes t)
{
    lanes z;
    const lanes m = exp_split(at_least(t, SCO_EXP_MIN), &z), scale = lanes_power_of_two(z);
    return lanes_if_less(t, lanes_set(SCO_EXP_MIN), lanes_set(0.0f), lanes_fma(scale, m, scale));
}

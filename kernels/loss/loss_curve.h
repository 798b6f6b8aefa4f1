/* SPDX-License-Identifier: Apache-2.0
 * What the rows of the losses share so that their bits agree.
 *
 * log(1 + e) for 0 <= e <= 1 through s = e / (2 + e): 2 atanh(s) = 2 s (1 + s^2 L(s^2)), L of degree 4, relative error
 * 1.1e-9. */
#ifndef SCO_KERNELS_LOSS_CURVE_H
#define SCO_KERNELS_LOSS_CURVE_H

#include <stdint.h>
#include <string.h>

#define SCO_LOSS_L0 0x1.555556p-2f
#define SCO_LOSS_L1 0x1.9998d2p-3f
#define SCO_LOSS_L2 0x1.24c9bep-3f
#define SCO_LOSS_L3 0x1.bc7bdcp-4f
#define SCO_LOSS_L4 0x1.dbef9ep-4f

enum { SCO_LOSS_LANES = 16 };

/* log(x) for normal x > 0, within 2 ulp of a double; NaN stays. With x = 2^k m, m about 1, log(m) = 2 atanh((m - 1) /
 * (m + 1)), whose series is cut where a double ends. Its own, since rows also run where there is no C library. */
static inline double sco_loss_log(double x)
{
    if (!(x < 0x1p1023))
        return x;
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    int64_t k = (int64_t)(bits >> 52) - 1023;
    bits = (bits & 0xfffffffffffffu) | 0x3ff0000000000000u;
    double m;
    memcpy(&m, &bits, sizeof m);
    if (m > 0x1.6a09e667f3bcdp+0)
        m *= 0.5, k++;
    const double s = (m - 1.0) / (m + 1.0), z = s * s;
    double series = 1.0 / 19.0;
    for (int i = 17; i >= 1; i -= 2)
        series = series * z + 1.0 / i;
    return (double)k * 0x1.62e42fefa39efp-1 + 2.0 * s * series;
}

/* The sum of virtual lanes, by halves. */
static inline double sco_loss_fold(double lane[SCO_LOSS_LANES])
{
    for (int half = SCO_LOSS_LANES / 2; half > 0; half /= 2)
        for (int l = 0; l < half; l++)
            lane[l] += lane[l + half];
    return lane[0];
}

#endif

/* SPDX-License-Identifier: Apache-2.0 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "stepcost/microbench.h"

static int ascending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double sorted_median(const double *value, size_t count)
{
    return count % 2 ? value[count / 2] : 0.5 * (value[count / 2 - 1] + value[count / 2]);
}

/* P(X = k) for X ~ Binomial(n, 1/2); through logarithms, since 2^-n underflows at n = 1075. */
static double coin(size_t n, size_t k)
{
    int sign;
    const double log_choose =
        lgamma_r((double)n + 1.0, &sign) - lgamma_r((double)k + 1.0, &sign) - lgamma_r((double)(n - k) + 1.0, &sign);
    return exp(log_choose - (double)n * 0.693147180559945309);
}

/* Of n sorted values the median lies between value[k] and value[n - 1 - k] with probability 1 - 2 P(X <= k). */
static size_t interval_rank(size_t n, double *confidence)
{
    double tail = coin(n, 0);
    size_t k = 0;
    *confidence = 1.0 - 2.0 * tail;
    while (k + 1 < n / 2) {
        const double next = tail + coin(n, k + 1);
        if (1.0 - 2.0 * next < 0.95)
            break;
        tail = next;
        *confidence = 1.0 - 2.0 * tail;
        k++;
    }
    return k;
}

void sco_stats_sort(double *value, size_t count, struct sco_stats *stats)
{
    memset(stats, 0, sizeof *stats);
    if (count == 0)
        return;
    qsort(value, count, sizeof *value, ascending);
    const size_t k = interval_rank(count, &stats->confidence);
    stats->count = count;
    stats->min = value[0];
    stats->median = sorted_median(value, count);
    stats->low = value[k];
    stats->high = value[count - 1 - k];

    /* Two pointers from the ends inward meet the deviations in descending order; half of them reach the median one. */
    size_t left = 0, right = count - 1;
    double above = 0.0, deviation = 0.0;
    for (size_t taken = 0; taken <= count / 2; taken++) {
        const double l = stats->median - value[left], r = value[right] - stats->median;
        above = deviation;
        if (l > r) {
            deviation = l;
            left++;
        } else {
            deviation = r;
            right -= right > 0;
        }
    }
    const double mad = count % 2 ? deviation : 0.5 * (above + deviation);
    stats->spread = stats->median != 0.0 ? mad / fabs(stats->median) : 0.0;
}

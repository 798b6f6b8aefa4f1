/* SPDX-License-Identifier: Apache-2.0 */
#include <complex.h> /* before fftw3.h, whose complex type is then that of C */
#include <fftw3.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "arch/fail.h"
#include "arch/random.h"
#include "io/fastmri.h"
#include "stepcost/memory.h"

void sco_fastmri_mask(size_t W, uint64_t seed, bool *kept)
{
    /* Single precision as in the definition of the benchmark: 0.08 of a width may round to the next integer. */
    const size_t centre = (size_t)((float)W * 0.08f);
    const size_t first = (W - centre + 1) / 2;
    const double probability = ((double)W / 4.0 - (double)centre) / (double)(W - centre);
    for (size_t w = 0; w < W; w++)
        kept[w] = (w >= first && w - first < centre) || sco_random_uniform(seed, w) < probability;
}

/* ---- Transforms ---- */

struct transform {
    size_t length;
    fftwf_plan plan;
};

struct sco_fastmri_transforms {
    struct transform *list;
    size_t count;
};

/* FFTW makes and destroys one plan at a time; it executes any number. */
static pthread_mutex_t planner = PTHREAD_MUTEX_INITIALIZER;

enum { COLUMNS = 8 }; /* transformed together: a row of k-space is read by cache lines of eight complex values */

/* Complex values from one line of scratch to the next: every line is aligned as the one that plans were made for. */
static size_t stride(size_t length)
{
    return (length + 7) / 8 * 8;
}

enum sco_status sco_fastmri_transforms_create(struct sco_fastmri_transforms **transforms)
{
    *transforms = calloc(1, sizeof **transforms);
    return *transforms != NULL ? SCO_OK : sco_fail(SCO_NOMEM, "no memory for transforms");
}

void sco_fastmri_transforms_destroy(struct sco_fastmri_transforms *transforms)
{
    if (transforms == NULL)
        return;
    pthread_mutex_lock(&planner);
    for (size_t i = 0; i < transforms->count; i++)
        fftwf_destroy_plan(transforms->list[i].plan);
    pthread_mutex_unlock(&planner);
    free(transforms->list);
    free(transforms);
}

static fftwf_plan find(const struct sco_fastmri_transforms *transforms, size_t length)
{
    for (size_t i = 0; i < transforms->count; i++)
        if (transforms->list[i].length == length)
            return transforms->list[i].plan;
    return NULL;
}

enum sco_status sco_fastmri_transforms_add(struct sco_fastmri_transforms *transforms, size_t length)
{
    if (find(transforms, length) != NULL)
        return SCO_OK;
    struct transform *list = realloc(transforms->list, (transforms->count + 1) * sizeof *list);
    if (list != NULL)
        transforms->list = list;
    fftwf_complex *line = sco_alloc(length * sizeof *line);
    fftwf_plan plan = NULL;
    if (list != NULL && line != NULL) {
        /* An estimated plan is the same in every run; a measured one would change the bits of a batch. */
        pthread_mutex_lock(&planner);
        plan = fftwf_plan_dft_1d((int)length, line, line, FFTW_BACKWARD, FFTW_ESTIMATE);
        pthread_mutex_unlock(&planner);
    }
    sco_free(line);
    if (plan == NULL)
        return sco_fail(SCO_NOMEM, "no memory for a transform of %zu values", length);
    transforms->list[transforms->count++] = (struct transform){length, plan};
    return SCO_OK;
}

/* Where the value at i of a centred axis of n lies in the transform's own order, and the other way round. */
static size_t shifted(size_t i, size_t n)
{
    i += n - n / 2;
    return i < n ? i : i - n;
}

size_t sco_fastmri_scratch_bytes(size_t H, size_t W, size_t rows)
{
    return (COLUMNS * stride(H) + rows * stride(W)) * sizeof(fftwf_complex);
}

/* Columns which[0 .. count - 1] of kspace, transformed, into the rows of lines that the cut keeps. */
static void transform_columns(fftwf_plan plan, size_t H, size_t W, const fftwf_complex *kspace, const size_t *which,
                              size_t count, size_t top, size_t rows, fftwf_complex *column, fftwf_complex *lines)
{
    const size_t pitch = stride(H);
    for (size_t h = 0; h < H; h++)
        for (size_t c = 0; c < count; c++)
            column[c * pitch + shifted(h, H)] = kspace[h * W + which[c]];
    for (size_t c = 0; c < count; c++)
        fftwf_execute_dft(plan, column + c * pitch, column + c * pitch);
    for (size_t r = 0; r < rows; r++)
        for (size_t c = 0; c < count; c++)
            lines[r * stride(W) + shifted(which[c], W)] = column[c * pitch + shifted(top + r, H)];
}

void sco_fastmri_image(const struct sco_fastmri_transforms *transforms, size_t H, size_t W, const float *kspace,
                       const bool *kept, size_t top, size_t left, size_t rows, size_t columns, void *scratch,
                       float *image)
{
    fftwf_complex *column = scratch, *lines = column + COLUMNS * stride(H);
    const fftwf_plan down = find(transforms, H), across = find(transforms, W);
    size_t which[COLUMNS], count = 0;

    memset(lines, 0, rows * stride(W) * sizeof *lines);
    for (size_t w = 0; w < W; w++) {
        if (kept[w])
            which[count++] = w;
        if (count == COLUMNS || (count > 0 && w + 1 == W)) {
            transform_columns(down, H, W, (const fftwf_complex *)kspace, which, count, top, rows, column, lines);
            count = 0;
        }
    }

    const double scale = 1.0 / sqrt((double)H * (double)W);
    for (size_t r = 0; r < rows; r++) {
        fftwf_complex *line = lines + r * stride(W);
        fftwf_execute_dft(across, line, line);
        for (size_t c = 0; c < columns; c++) {
            const fftwf_complex z = line[shifted(left + c, W)];
            /* Squares of single precision neither vanish nor overflow in double. */
            const double re = crealf(z), im = cimagf(z);
            image[r * columns + c] = (float)(scale * sqrt(re * re + im * im));
        }
    }
}

bool sco_fastmri_moments(size_t count, const float *x, double *mean, double *deviation)
{
    double sum = 0.0, squares = 0.0;
    for (size_t i = 0; i < count; i++)
        sum += (double)x[i];
    *mean = sum / (double)count;
    for (size_t i = 0; i < count; i++)
        squares += ((double)x[i] - *mean) * ((double)x[i] - *mean);
    *deviation = sqrt(squares / (double)count);
    /* Both leave as single precision. */
    return isfinite((float)*mean) && isfinite((float)*deviation) && (float)*deviation > 0.0f;
}

void sco_fastmri_normalise(size_t count, const float *x, double mean, double deviation, float *y)
{
    for (size_t i = 0; i < count; i++) {
        const double z = ((double)x[i] - mean) / deviation;
        y[i] = (float)(z < -6.0 ? -6.0 : z > 6.0 ? 6.0 : z);
    }
}

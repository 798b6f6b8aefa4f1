/* SPDX-License-Identifier: Apache-2.0
 * make_fixtures FOLDER: small made-up data in the real file formats, learnable, for tests without real samples.
 *
 *   FOLDER/imagenet   train and val, four classes of six JPEG files, told apart by their colour
 *   FOLDER/criteo     day_0.gz and day_1.gz, rows whose label depends on one category
 *   FOLDER/fastmri    singlecoil_train and singlecoil_val, volumes of discs */
#include <complex.h>
#include <hdf5.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <zlib.h>

#include <jpeglib.h>

#include "arch/random.h"

static const char *root;

static void fail(const char *what)
{
    fprintf(stderr, "make_fixtures: %s\n", what);
    exit(1);
}

static void folder(const char *name)
{
    char path[2048];
    snprintf(path, sizeof path, "%s/%s", root, name);
    if (mkdir(path, 0777) != 0)
        fail(path);
}

/* ---- Images ---- */

enum { CLASSES = 4, IMAGES = 6, WIDTH = 96, HEIGHT = 80 };

static void write_image(const char *path, unsigned class, uint64_t seed)
{
    struct jpeg_compress_struct jpeg;
    struct jpeg_error_mgr errors;
    FILE *file = fopen(path, "wb");
    if (file == NULL)
        fail(path);
    jpeg.err = jpeg_std_error(&errors);
    jpeg_create_compress(&jpeg);
    jpeg_stdio_dest(&jpeg, file);
    jpeg.image_width = WIDTH;
    jpeg.image_height = HEIGHT;
    jpeg.input_components = 3;
    jpeg.in_color_space = JCS_RGB;
    jpeg_set_defaults(&jpeg);
    jpeg_start_compress(&jpeg, TRUE);
    for (unsigned y = 0; y < HEIGHT; y++) {
        JSAMPLE line[3 * WIDTH], *lines = line;
        for (unsigned x = 0; x < 3 * WIDTH; x++)
            line[x] = (JSAMPLE)((x % 3 == class % 3 ? 150 : 40) + (class == 3 ? 60 : 0) +
                                (int)sco_random_below(seed, y * 3 * WIDTH + x, 40));
        jpeg_write_scanlines(&jpeg, &lines, 1);
    }
    jpeg_finish_compress(&jpeg);
    jpeg_destroy_compress(&jpeg);
    fclose(file);
}

static void make_images(void)
{
    static const char *const splits[] = {"train", "val"};
    folder("imagenet");
    for (unsigned s = 0; s < 2; s++) {
        char name[512];
        snprintf(name, sizeof name, "imagenet/%s", splits[s]);
        folder(name);
        for (unsigned c = 0; c < CLASSES; c++) {
            snprintf(name, sizeof name, "imagenet/%s/n0000000%u", splits[s], c);
            folder(name);
            for (unsigned i = 0; i < IMAGES; i++) {
                char path[2048];
                snprintf(path, sizeof path, "%s/%s/n0000000%u_%u.JPEG", root, name, c, i);
                write_image(path, c, sco_random_stream(s, c * IMAGES + i));
            }
        }
    }
}

/* ---- Clicks ---- */

static void make_clicks(void)
{
    folder("criteo");
    for (unsigned day = 0; day < 2; day++) {
        char path[512];
        snprintf(path, sizeof path, "%s/criteo/day_%u.gz", root, day);
        gzFile file = gzopen(path, "wb");
        if (file == NULL)
            fail(path);
        for (uint64_t row = 0; row < 400; row++) {
            const uint64_t seed = sco_random_stream(day, row), first = sco_random_below(seed, 0, 6);
            gzprintf(file, "%d", first < 2);
            for (uint64_t i = 1; i <= 13; i++)
                gzprintf(file, "\t%d", (int)sco_random_below(seed, i, 50));
            for (uint64_t i = 0; i < 26; i++)
                gzprintf(file, "\t%08x", (unsigned)(i == 0 ? first : sco_random_below(seed, 20 + i, 4)));
            gzputc(file, '\n');
        }
        gzclose(file);
    }
}

/* ---- Slices ---- */

enum { SLICES = 4, ROWS = 48, COLUMNS = 40, SIDE = 32 };

/* Centred, orthonormal DFT along one axis of a ROWS x COLUMNS image. */
static void transform(double complex *image, size_t n, size_t stride, size_t lines, size_t line_stride)
{
    double complex out[ROWS > COLUMNS ? ROWS : COLUMNS];
    for (size_t l = 0; l < lines; l++) {
        double complex *line = image + l * line_stride;
        for (size_t k = 0; k < n; k++) {
            out[k] = 0.0;
            for (size_t x = 0; x < n; x++) {
                const double phase = -2.0 * 3.14159265358979323846 * ((double)k - (double)(n / 2)) *
                                     ((double)x - (double)(n / 2)) / (double)n;
                out[k] += line[x * stride] * cexp(I * phase);
            }
        }
        for (size_t k = 0; k < n; k++)
            line[k * stride] = out[k] / sqrt((double)n);
    }
}

static double disc(size_t slice, uint64_t seed, size_t y, size_t x)
{
    double sum = 0.0;
    for (uint64_t d = 0; d < 4; d++) {
        const double cy = 14.0 + 20.0 * sco_random_uniform(seed, 10 * slice + 40 * d);
        const double cx = 10.0 + 20.0 * sco_random_uniform(seed, 10 * slice + 40 * d + 1);
        const double dy = (double)y - cy, dx = (double)x - cx, r = 3.0 + 2.0 * (double)d;
        sum += dy * dy + dx * dx < r * r ? 1e-4 / (1.0 + (double)d) : 0.0;
    }
    return sum;
}

static void write_volume(const char *path, uint64_t seed)
{
    static double complex image[ROWS * COLUMNS];
    static float kspace[SLICES][ROWS][COLUMNS][2], target[SLICES][SIDE][SIDE];
    float most = 0.0f;
    for (size_t s = 0; s < SLICES; s++) {
        for (size_t y = 0; y < ROWS; y++)
            for (size_t x = 0; x < COLUMNS; x++)
                image[y * COLUMNS + x] = disc(s, seed, y, x);
        for (size_t y = 0; y < SIDE; y++)
            for (size_t x = 0; x < SIDE; x++) {
                target[s][y][x] = (float)disc(s, seed, y + (ROWS - SIDE) / 2, x + (COLUMNS - SIDE) / 2);
                most = target[s][y][x] > most ? target[s][y][x] : most;
            }
        transform(image, COLUMNS, 1, ROWS, COLUMNS);
        transform(image, ROWS, COLUMNS, COLUMNS, 1);
        for (size_t i = 0; i < ROWS * COLUMNS; i++) {
            kspace[s][i / COLUMNS][i % COLUMNS][0] = (float)creal(image[i]);
            kspace[s][i / COLUMNS][i % COLUMNS][1] = (float)cimag(image[i]);
        }
    }
    const hid_t file = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    const hid_t complex_type = H5Tcreate(H5T_COMPOUND, 2 * sizeof(float));
    H5Tinsert(complex_type, "r", 0, H5T_NATIVE_FLOAT);
    H5Tinsert(complex_type, "i", sizeof(float), H5T_NATIVE_FLOAT);
    const hsize_t k_dims[] = {SLICES, ROWS, COLUMNS}, t_dims[] = {SLICES, SIDE, SIDE};
    const hid_t k_space = H5Screate_simple(3, k_dims, NULL), t_space = H5Screate_simple(3, t_dims, NULL);
    const hid_t k_set = H5Dcreate2(file, "kspace", complex_type, k_space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    const hid_t t_set =
        H5Dcreate2(file, "reconstruction_esc", H5T_IEEE_F32LE, t_space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    const hid_t scalar = H5Screate(H5S_SCALAR);
    const hid_t max = H5Acreate2(file, "max", H5T_IEEE_F32LE, scalar, H5P_DEFAULT, H5P_DEFAULT);
    if (H5Dwrite(k_set, complex_type, H5S_ALL, H5S_ALL, H5P_DEFAULT, kspace) < 0 ||
        H5Dwrite(t_set, H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, target) < 0 ||
        H5Awrite(max, H5T_NATIVE_FLOAT, &most) < 0)
        fail(path);
    H5Aclose(max);
    H5Sclose(scalar);
    H5Dclose(t_set);
    H5Dclose(k_set);
    H5Sclose(t_space);
    H5Sclose(k_space);
    H5Tclose(complex_type);
    H5Fclose(file);
}

static void make_slices(void)
{
    static const char *const files[] = {"singlecoil_train/file_a.h5", "singlecoil_train/file_b.h5",
                                        "singlecoil_val/file_c.h5"};
    folder("fastmri");
    folder("fastmri/singlecoil_train");
    folder("fastmri/singlecoil_val");
    for (uint64_t i = 0; i < 3; i++) {
        char path[512];
        snprintf(path, sizeof path, "%s/fastmri/%s", root, files[i]);
        write_volume(path, i);
    }
}

int main(int argc, char **argv)
{
    if (argc != 2)
        fail("usage: make_fixtures FOLDER");
    root = argv[1];
    make_images();
    make_clicks();
    make_slices();
    return 0;
}

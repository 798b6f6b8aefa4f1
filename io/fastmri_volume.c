/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <hdf5.h>
#include <math.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "arch/fail.h"
#include "io/fastmri.h"

enum { RANK = 3 };

/* HDF5 is mostly built without its own lock. */
static pthread_mutex_t library = PTHREAD_MUTEX_INITIALIZER;

/* What the program had set for HDF5's own printing of errors. */
struct quiet {
    H5E_auto2_t print;
    void *data;
};

static void enter(struct quiet *quiet)
{
    pthread_mutex_lock(&library);
    H5Eget_auto2(H5E_DEFAULT, &quiet->print, &quiet->data);
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
}

static void leave(const struct quiet *quiet)
{
    H5Eset_auto2(H5E_DEFAULT, quiet->print, quiet->data);
    pthread_mutex_unlock(&library);
}

static herr_t keep_innermost(unsigned depth, const H5E_error2_t *error, void *reason)
{
    if (depth == 0 && error->desc != NULL)
        snprintf(reason, 200, "%s", error->desc);
    return 0;
}

/* Why the last call of HDF5 failed; valid until the next one. */
#define REASON ((char[200]){"no reason given"})
static const char *innermost(char *reason)
{
    H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, keep_innermost, reason);
    return reason;
}

static enum sco_status open_file(const char *path, hid_t *file)
{
    struct stat info;
    if (stat(path, &info) != 0)
        return sco_fail(SCO_IO, "%s: cannot be examined: %s", path, strerror(errno));
    if (!S_ISREG(info.st_mode)) /* a FIFO would hang the open */
        return sco_fail(SCO_IO, "%s: not a regular file", path);
    const hid_t access = H5Pcreate(H5P_FILE_ACCESS);
#if H5_VERSION_GE(1, 12, 1) || (H5_VERSION_GE(1, 10, 7) && !H5_VERSION_GE(1, 11, 0))
    /* Nothing is written, and network file systems often refuse locks. */
    H5Pset_file_locking(access, 0, 1);
#endif
    *file = H5Fopen(path, H5F_ACC_RDONLY, access);
    const enum sco_status status =
        *file >= 0 ? SCO_OK
                   : sco_fail(SCO_FORMAT, "%s: HDF5 cannot open it (%s); fetch it again", path, innermost(REASON));
    H5Pclose(access);
    return status;
}

/* ---- Datasets ---- */

/* How values are stored: here, in full, by filters that are part of every HDF5. */
static enum sco_status check_storage(const char *path, const char *name, hid_t dataset)
{
    enum { MOST_CHUNK = 1 << 28 };
    enum sco_status status = SCO_OK;
    const hid_t creation = H5Dget_create_plist(dataset);
    const H5D_layout_t layout = H5Pget_layout(creation);
    if (layout == H5D_VIRTUAL || H5Pget_external_count(creation) != 0) {
        status = sco_fail(SCO_FORMAT, "%s: %s: its values lie in other files; copy them in with h5repack", path, name);
        goto out;
    }
    if (H5Dget_storage_size(dataset) == 0) {
        status = sco_fail(SCO_FORMAT, "%s: %s: holds no values; fetch the file again", path, name);
        goto out;
    }
    if (layout != H5D_CHUNKED)
        goto out;

    hsize_t chunk[RANK], values = 1;
    if (H5Pget_chunk(creation, RANK, chunk) != RANK) {
        status = sco_fail(SCO_FORMAT, "%s: %s: its chunks have no size (%s)", path, name, innermost(REASON));
        goto out;
    }
    for (size_t i = 0; i < RANK; i++)
        if (chunk[i] > MOST_CHUNK || (values *= chunk[i]) > MOST_CHUNK) {
            status = sco_fail(
                SCO_FORMAT, "%s: %s: chunks of more than %d values; store slice by slice with h5repack -l CHUNK=1x...",
                path, name, MOST_CHUNK);
            goto out;
        }
    const int filters = H5Pget_nfilters(creation);
    for (int i = 0; i < filters; i++) {
        unsigned flags, config;
        size_t count = 0;
        char title[64] = "";
        const H5Z_filter_t filter =
            H5Pget_filter2(creation, (unsigned)i, &flags, &count, NULL, sizeof title, title, &config);
        if (filter != H5Z_FILTER_DEFLATE && filter != H5Z_FILTER_SHUFFLE && filter != H5Z_FILTER_FLETCHER32) {
            status = sco_fail(
                SCO_FORMAT, "%s: %s: stored through filter %d (%s); gzip can be read, which h5repack -f GZIP=4 writes",
                path, name, filter, title);
            goto out;
        }
    }
out:
    H5Pclose(creation);
    return status;
}

/* Opens a dataset of three axes within the bounds of fastmri.h. */
static enum sco_status open_dataset(const char *path, hid_t file, const char *name, hid_t *dataset, size_t axes[RANK])
{
    H5L_info_t link;
    if (H5Lget_info(file, name, &link, H5P_DEFAULT) < 0)
        return sco_fail(SCO_FORMAT, "%s: no dataset %s; is it a single-coil file of fastMRI?", path, name);
    if (link.type != H5L_TYPE_HARD)
        return sco_fail(SCO_FORMAT, "%s: %s: a link to elsewhere, not a dataset", path, name);
    *dataset = H5Dopen2(file, name, H5P_DEFAULT);
    if (*dataset < 0)
        return sco_fail(SCO_FORMAT, "%s: %s: cannot be opened as a dataset (%s)", path, name, innermost(REASON));

    const hid_t space = H5Dget_space(*dataset);
    hsize_t sizes[RANK] = {0};
    const int rank = H5Sget_simple_extent_ndims(space);
    if (rank == RANK)
        H5Sget_simple_extent_dims(space, sizes, NULL);
    H5Sclose(space);
    if (rank != RANK)
        return sco_fail(SCO_FORMAT, "%s: %s: %d axes, not the three of slices, rows and columns", path, name, rank);
    for (size_t i = 0; i < RANK; i++) {
        const size_t most = i == 0 ? SCO_FASTMRI_MOST_SLICES : SCO_FASTMRI_MOST_SIDE;
        if (sizes[i] == 0 || sizes[i] > most)
            return sco_fail(SCO_FORMAT, "%s: %s: %llu %s; possible: 1 to %zu", path, name, (unsigned long long)sizes[i],
                            ((const char *const[]){"slices", "rows", "columns"})[i], most);
        axes[i] = (size_t)sizes[i];
    }
    return check_storage(path, name, *dataset);
}

static bool is_float(hid_t type)
{
    return H5Tget_class(type) == H5T_FLOAT && H5Tget_size(type) == sizeof(float);
}

static bool is_complex(hid_t type)
{
    if (H5Tget_class(type) != H5T_COMPOUND || H5Tget_nmembers(type) != 2 || H5Tget_size(type) != 2 * sizeof(float))
        return false;
    bool right = true;
    for (unsigned i = 0; i < 2; i++) {
        const hid_t member = H5Tget_member_type(type, i);
        char *name = H5Tget_member_name(type, i);
        /* A damaged header may place a member outside the value, and HDF5 follows it there. */
        right = right && is_float(member) && H5Tget_member_offset(type, i) == i * sizeof(float) && name != NULL &&
                strcmp(name, i == 0 ? "r" : "i") == 0;
        H5free_memory(name);
        H5Tclose(member);
    }
    return right;
}

/* ---- A volume ---- */

struct open_volume {
    hid_t file, kspace, target;
    const char *target_name;
};

static void close_volume(struct open_volume *open)
{
    if (open->kspace >= 0)
        H5Dclose(open->kspace);
    if (open->target >= 0)
        H5Dclose(open->target);
    if (open->file >= 0)
        H5Fclose(open->file);
}

static enum sco_status read_max(const char *path, hid_t file, float *max)
{
    *max = 0.0f;
    if (H5Aexists(file, "max") <= 0)
        return SCO_OK;
    enum sco_status status = SCO_OK;
    const hid_t attribute = H5Aopen(file, "max", H5P_DEFAULT);
    const hid_t type = H5Aget_type(attribute), space = H5Aget_space(attribute);
    if (H5Tget_class(type) != H5T_FLOAT || H5Sget_simple_extent_npoints(space) != 1 ||
        H5Aread(attribute, H5T_NATIVE_FLOAT, max) < 0)
        status = sco_fail(SCO_FORMAT, "%s: attribute max is not one floating-point number", path);
    else if (!isfinite(*max) || *max < 0.0f)
        status = sco_fail(SCO_FORMAT, "%s: attribute max is %g; it should be the brightest value of the volume", path,
                          (double)*max);
    H5Sclose(space);
    H5Tclose(type);
    H5Aclose(attribute);
    return status;
}

static enum sco_status open_volume(const char *path, struct open_volume *open, struct sco_fastmri_volume *volume)
{
    *open = (struct open_volume){-1, -1, -1, "reconstruction_esc"};
    size_t axes[RANK] = {0}, target[RANK] = {0};
    enum sco_status status = open_file(path, &open->file);
    if (status == SCO_OK)
        status = open_dataset(path, open->file, "kspace", &open->kspace, axes);
    if (status != SCO_OK)
        return status;
    if (H5Lexists(open->file, open->target_name, H5P_DEFAULT) <= 0 &&
        H5Lexists(open->file, "reconstruction_rss", H5P_DEFAULT) > 0)
        open->target_name = "reconstruction_rss";
    status = open_dataset(path, open->file, open->target_name, &open->target, target);
    if (status != SCO_OK)
        return status;

    hid_t type = H5Dget_type(open->kspace);
    const bool is_right = is_complex(type);
    H5Tclose(type);
    if (!is_right)
        return sco_fail(SCO_FORMAT, "%s: kspace: not of complex values {r, i} of 32 bits each", path);
    type = H5Dget_type(open->target);
    const bool is_target = is_float(type);
    H5Tclose(type);
    if (!is_target)
        return sco_fail(SCO_FORMAT, "%s: %s: not of floating-point values of 32 bits", path, open->target_name);
    if (target[0] != axes[0])
        return sco_fail(SCO_FORMAT, "%s: %zu slices in kspace and %zu in %s", path, axes[0], target[0],
                        open->target_name);
    if (target[1] > axes[1] || target[2] > axes[2])
        return sco_fail(SCO_FORMAT, "%s: %s is of %zu x %zu, larger than the %zu x %zu of kspace", path,
                        open->target_name, target[1], target[2], axes[1], axes[2]);
    *volume = (struct sco_fastmri_volume){
        .slices = axes[0], .H = axes[1], .W = axes[2], .target_H = target[1], .target_W = target[2]};
    return read_max(path, open->file, &volume->max);
}

enum sco_status sco_fastmri_describe(const char *path, struct sco_fastmri_volume *volume)
{
    struct quiet quiet;
    struct open_volume open;
    enter(&quiet);
    const enum sco_status status = open_volume(path, &open, volume);
    close_volume(&open);
    leave(&quiet);
    return status;
}

static enum sco_status read_slice(const char *path, const char *name, hid_t dataset, hid_t type, size_t slice,
                                  size_t rows, size_t columns, void *values)
{
    const hsize_t start[RANK] = {slice, 0, 0}, count[RANK] = {1, rows, columns};
    const hid_t space = H5Dget_space(dataset), memory = H5Screate_simple(RANK, count, NULL);
    enum sco_status status = SCO_OK;
    if (H5Sselect_hyperslab(space, H5S_SELECT_SET, start, NULL, count, NULL) < 0 ||
        H5Dread(dataset, type, memory, space, H5P_DEFAULT, values) < 0)
        status = sco_fail(SCO_FORMAT, "%s: %s: slice %zu cannot be read (%s); fetch the file again", path, name, slice,
                          innermost(REASON));
    H5Sclose(memory);
    H5Sclose(space);
    return status;
}

/* Index of the first value that is not finite; count where all are. */
static size_t first_nonfinite(size_t count, const float *x)
{
    const uint32_t exponent = 0x7f800000;
    for (size_t i = 0; i < count; i++) {
        uint32_t bits;
        memcpy(&bits, &x[i], sizeof bits);
        if ((bits & exponent) == exponent)
            return i;
    }
    return count;
}

static enum sco_status check_values(const char *path, const char *target_name, const struct sco_fastmri_volume *volume,
                                    size_t slice, const float *kspace, const float *target)
{
    const size_t values = 2 * volume->H * volume->W, pixels = volume->target_H * volume->target_W;
    size_t bad = first_nonfinite(values, kspace);
    if (bad < values)
        return sco_fail(SCO_FORMAT, "%s: kspace: slice %zu, row %zu, column %zu is not finite", path, slice,
                        bad / 2 / volume->W, bad / 2 % volume->W);
    bad = first_nonfinite(pixels, target);
    if (bad < pixels)
        return sco_fail(SCO_FORMAT, "%s: %s: slice %zu, row %zu, column %zu is not finite", path, target_name, slice,
                        bad / volume->target_W, bad % volume->target_W);
    for (size_t i = 0; i < values; i++)
        if (kspace[i] != 0.0f)
            return SCO_OK;
    return sco_fail(SCO_FORMAT, "%s: kspace: slice %zu is all zero", path, slice);
}

enum sco_status sco_fastmri_read(const char *path, const struct sco_fastmri_volume *volume, size_t slice, float *kspace,
                                 float *target)
{
    struct quiet quiet;
    struct open_volume open;
    struct sco_fastmri_volume now;
    hid_t type = -1;
    enter(&quiet);
    enum sco_status status = open_volume(path, &open, &now);
    if (status != SCO_OK)
        goto out;
    if (now.slices != volume->slices || now.H != volume->H || now.W != volume->W || now.target_H != volume->target_H ||
        now.target_W != volume->target_W) {
        status = sco_fail(SCO_IO, "%s: changed since it was opened; start again", path);
        goto out;
    }
    type = H5Tcreate(H5T_COMPOUND, 2 * sizeof(float));
    H5Tinsert(type, "r", 0, H5T_NATIVE_FLOAT);
    H5Tinsert(type, "i", sizeof(float), H5T_NATIVE_FLOAT);
    status = read_slice(path, "kspace", open.kspace, type, slice, volume->H, volume->W, kspace);
    if (status == SCO_OK)
        status = read_slice(path, open.target_name, open.target, H5T_NATIVE_FLOAT, slice, volume->target_H,
                            volume->target_W, target);
out:
    if (type >= 0)
        H5Tclose(type);
    close_volume(&open);
    leave(&quiet);
    return status == SCO_OK ? check_values(path, open.target_name, volume, slice, kspace, target) : status;
}

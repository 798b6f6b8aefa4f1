/* SPDX-License-Identifier: Apache-2.0 */
#include "io/ilsvrc_list.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "arch/fail.h"
#include "io/file.h"
#include "io/ilsvrc_tar.h"
#include "stepcost/memory.h"

enum { IMAGES_MAX = 1 << 28, LABELS_BYTES = 1 << 26 };

static const char train_tar[] = "ILSVRC2012_img_train.tar", val_tar[] = "ILSVRC2012_img_val.tar";
static const char val_labels[] = "ILSVRC2012_val_labels.txt";

enum sco_status sco_ilsvrc_found(struct sco_ilsvrc_report *report, enum sco_status status)
{
    if (report == NULL || status == SCO_OK || status == SCO_NOMEM)
        return status;
    report->findings++;
    report->found(report->argument, status, sco_error_message());
    return SCO_OK;
}

/* ---- Growing arrays ---------------------------------------------------------------------------------------------- */

static enum sco_status grow(void **array, size_t *room, size_t needed, size_t element)
{
    if (needed <= *room)
        return SCO_OK;
    size_t more = *room < 64 ? 64 : *room + *room / 2;
    more = more < needed ? needed : more;
    void *memory = more > SIZE_MAX / element ? NULL : realloc(*array, more * element);
    if (memory == NULL)
        return sco_fail(SCO_NOMEM, "no memory for a list of %zu entries", more);
    *array = memory;
    *room = more;
    return SCO_OK;
}

static enum sco_status add_text(struct sco_ilsvrc_list *list, const char *text, size_t length, size_t *at)
{
    void *array = list->text;
    const enum sco_status status = grow(&array, &list->text_room, list->text_used + length + 1, 1);
    if (status != SCO_OK)
        return status;
    list->text = array;
    memcpy(list->text + list->text_used, text, length);
    list->text[list->text_used + length] = '\0';
    *at = list->text_used;
    list->text_used += length + 1;
    return SCO_OK;
}

static enum sco_status add_group(struct sco_ilsvrc_list *list, const char *name, size_t length, uint64_t offset,
                                 uint64_t size)
{
    void *array = list->groups;
    enum sco_status status = list->group_count >= INT32_MAX
                                 ? sco_fail(SCO_FORMAT, "%s: more classes than can be numbered", list->path)
                                 : grow(&array, &list->group_room, list->group_count + 1, sizeof *list->groups);
    if (status != SCO_OK)
        return status;
    list->groups = array;
    struct sco_ilsvrc_group group = {.offset = offset, .size = size, .label = -1};
    status = add_text(list, name, length, &group.name);
    if (status == SCO_OK)
        list->groups[list->group_count++] = group;
    return status;
}

static enum sco_status add_image(struct sco_ilsvrc_list *list, size_t group, const char *name, uint64_t offset,
                                 uint64_t size)
{
    void *array = list->images;
    if (list->count >= IMAGES_MAX)
        return sco_fail(SCO_FORMAT, "%s: more than %d images", list->path, IMAGES_MAX);
    enum sco_status status = grow(&array, &list->room, list->count + 1, sizeof *list->images);
    if (status != SCO_OK)
        return status;
    list->images = array;
    struct sco_ilsvrc_image image = {.offset = offset,
                                     .size = size > UINT32_MAX ? UINT32_MAX : (uint32_t)size,
                                     .group = (uint32_t)group,
                                     .label = list->groups[group].label};
    status = add_text(list, name, strlen(name), &image.name);
    if (status == SCO_OK)
        list->images[list->count++] = image;
    return status;
}

/* ---- Names ------------------------------------------------------------------------------------------------------- */

static bool ends(const char *name, const char *end)
{
    const size_t n = strlen(name), m = strlen(end);
    return n > m && strcasecmp(name + n - m, end) == 0;
}

static bool is_image(const char *name)
{
    return name[0] != '.' && (ends(name, ".jpeg") || ends(name, ".jpg"));
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash == NULL ? path : slash + 1;
}

/* A class by number, -1 where text is something else. */
static int32_t number(const char *text, size_t length)
{
    int32_t value = 0;
    if (length == 0 || length > 6)
        return -1;
    for (size_t i = 0; i < length; i++) {
        if (text[i] < '0' || text[i] > '9')
            return -1;
        value = 10 * value + (text[i] - '0');
    }
    return value;
}

/* Groups by name, and so numbered by a bisection of names. */
static int by_group(const void *a, const void *b, void *text)
{
    const struct sco_ilsvrc_group *x = a, *y = b;
    return strcmp((const char *)text + x->name, (const char *)text + y->name);
}

static int32_t rank_of(const struct sco_ilsvrc_list *classes, size_t count, const char *name, size_t length)
{
    size_t low = 0, high = count;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        const char *other = classes->text + classes->groups[middle].name;
        const int order = strncmp(other, name, length);
        if (order == 0 && other[length] == '\0')
            return (int32_t)middle;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return -1;
}

static int by_name(const void *a, const void *b, void *argument)
{
    const struct sco_ilsvrc_image *x = a, *y = b;
    const char *text = argument;
    const int order = strcmp(text + x->name, text + y->name);
    return order != 0 ? order : (x->group > y->group) - (x->group < y->group);
}

static int by_rank(const void *a, const void *b)
{
    const struct sco_ilsvrc_image *x = a, *y = b;
    return x->rank != y->rank ? (x->rank > y->rank) - (x->rank < y->rank)
                              : (x->group > y->group) - (x->group < y->group);
}

/* ---- Folders ----------------------------------------------------------------------------------------------------- */

static enum sco_status join(char text[PATH_MAX], const char *folder, const char *name)
{
    return snprintf(text, PATH_MAX, "%s/%s", folder, name) < PATH_MAX
               ? SCO_OK
               : sco_fail(SCO_IO, "%s/%s: the path is too long", folder, name);
}

static bool is_folder(const char *path)
{
    struct stat info;
    return stat(path, &info) == 0 && S_ISDIR(info.st_mode);
}

/* Calls add for every name in a folder that does not begin with a dot. */
typedef enum sco_status name_fn(struct sco_ilsvrc_list *list, const char *folder, const struct dirent *entry,
                                size_t group);

static enum sco_status each_name(struct sco_ilsvrc_list *list, const char *folder, name_fn *add, size_t group)
{
    enum sco_status status = SCO_OK;
    DIR *dir = opendir(folder);
    if (dir == NULL)
        return sco_fail(SCO_IO, "%s: cannot be opened: %s", folder, strerror(errno));
    while (status == SCO_OK) {
        errno = 0;
        const struct dirent *entry = readdir(dir);
        if (entry == NULL && errno != 0)
            status = sco_fail(SCO_IO, "%s: cannot be read: %s", folder, strerror(errno));
        if (entry == NULL)
            break;
        if (entry->d_name[0] != '.')
            status = add(list, folder, entry, group);
    }
    closedir(dir);
    return status;
}

static enum sco_status add_class_folder(struct sco_ilsvrc_list *list, const char *folder, const struct dirent *entry,
                                        size_t group)
{
    (void)group;
    char path[PATH_MAX];
    const enum sco_status status = join(path, folder, entry->d_name);
    if (status != SCO_OK || !(entry->d_type == DT_DIR || is_folder(path)))
        return status;
    return add_group(list, entry->d_name, strlen(entry->d_name), 0, 0);
}

static enum sco_status add_image_file(struct sco_ilsvrc_list *list, const char *folder, const struct dirent *entry,
                                      size_t group)
{
    (void)folder;
    return is_image(entry->d_name) ? add_image(list, group, entry->d_name, 0, 0) : SCO_OK;
}

/* ---- Tar files --------------------------------------------------------------------------------------------------- */

struct members {
    struct sco_ilsvrc_list *list;
    size_t group;
};

/* A member of the outer tar: a tar of a class, or an image of a flat one. */
static enum sco_status add_member(void *argument, const char *name, uint64_t offset, uint64_t size)
{
    struct sco_ilsvrc_list *list = ((struct members *)argument)->list;
    name = base_name(name);
    if (name[0] != '.' && ends(name, ".tar"))
        return add_group(list, name, strlen(name) - 4, offset, size);
    if (!is_image(name))
        return SCO_OK;
    if (list->group_count == 0) {
        const enum sco_status status = add_group(list, "", 0, 0, 0);
        if (status != SCO_OK)
            return status;
    }
    if (list->text[list->groups[0].name] != '\0')
        return sco_fail(SCO_FORMAT,
                        "%s: byte %ju: %s lies beside tar files of classes; pack images or classes, not "
                        "both",
                        list->path, (uintmax_t)offset, name);
    return add_image(list, 0, name, offset, size);
}

static enum sco_status add_inner_member(void *argument, const char *name, uint64_t offset, uint64_t size)
{
    const struct members *members = argument;
    name = base_name(name);
    return is_image(name) ? add_image(members->list, members->group, name, offset, size) : SCO_OK;
}

/* ---- Listing ----------------------------------------------------------------------------------------------------- */

/* Opens a folder or a tar file and lists its groups in order; of a flat tar, its images. */
static enum sco_status list_groups(struct sco_ilsvrc_list *list, const char *path)
{
    enum sco_status status;
    list->path = strdup(path);
    if (list->path == NULL)
        return sco_fail(SCO_NOMEM, "%s: no memory for its list", path);
    if (is_folder(path)) {
        status = each_name(list, path, add_class_folder, 0);
    } else {
        struct stat info;
        list->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
        if (list->fd < 0 || fstat(list->fd, &info) != 0)
            return sco_fail(SCO_IO, "%s: cannot be opened: %s", path, strerror(errno));
        if (!S_ISREG(info.st_mode))
            return sco_fail(SCO_IO, "%s: neither a folder nor a regular file", path);
        status = sco_tar_walk(list->fd, path, 0, (uint64_t)info.st_size, add_member, &(struct members){.list = list});
    }
    if (status == SCO_OK && list->group_count > 0)
        qsort_r(list->groups, list->group_count, sizeof *list->groups, by_group, list->text);
    for (size_t g = 1; g < list->group_count && status == SCO_OK; g++)
        if (by_group(&list->groups[g - 1], &list->groups[g], list->text) == 0)
            status = sco_fail(SCO_FORMAT, "%s: class %s is there twice", path, list->text + list->groups[g].name);
    return status;
}

static bool is_flat(const struct sco_ilsvrc_list *list)
{
    return list->fd >= 0 && list->group_count == 1 && list->text[list->groups[0].name] == '\0';
}

/* Numbers the groups by classes; without, by their own order. Names that are all numbers number themselves. */
static enum sco_status label_groups(struct sco_ilsvrc_list *list, const struct sco_ilsvrc_list *classes,
                                    struct sco_ilsvrc_report *report)
{
    enum sco_status status = SCO_OK;
    bool numbers = list->group_count > 0;
    list->classes = classes != NULL ? classes->group_count : list->group_count;
    for (size_t g = 0; g < list->group_count; g++)
        numbers &= number(list->text + list->groups[g].name, strlen(list->text + list->groups[g].name)) >= 0;
    for (size_t g = 0; g < list->group_count && status == SCO_OK; g++) {
        struct sco_ilsvrc_group *group = &list->groups[g];
        const char *name = list->text + group->name;
        group->label = classes != NULL ? rank_of(classes, classes->group_count, name, strlen(name)) : (int32_t)g;
        if (numbers && (classes == NULL || group->label < 0)) {
            group->label = number(name, strlen(name));
            if (classes == NULL && (size_t)group->label >= list->classes)
                list->classes = (size_t)group->label + 1;
        }
        if (group->label < 0 || (size_t)group->label >= list->classes) {
            group->label = -1;
            status =
                sco_fail(SCO_FORMAT, "%s/%s: not one of the %zu classes of train and val; remove it, or add it there",
                         list->path, name, list->classes);
            status = sco_ilsvrc_found(report, status);
        }
    }
    return status;
}

static enum sco_status list_images(struct sco_ilsvrc_list *list, struct sco_ilsvrc_report *report)
{
    for (size_t g = 0; g < list->group_count; g++) {
        enum sco_status status;
        const size_t before = list->count;
        const char *name = list->text + list->groups[g].name;
        char where[PATH_MAX + 64];
        if (list->fd < 0) {
            status = join(where, list->path, name);
            if (status == SCO_OK)
                status = each_name(list, where, add_image_file, g);
        } else {
            const uint64_t from = list->groups[g].offset;
            snprintf(where, sizeof where, "%s: %s.tar", list->path, name);
            status = sco_tar_walk(list->fd, where, from, from + list->groups[g].size, add_inner_member,
                                  &(struct members){.list = list, .group = g});
        }
        const size_t count = list->groups[g].count = list->count - before;
        if (status == SCO_OK && count == 0 && report != NULL)
            status =
                sco_fail(SCO_FORMAT, "%s: a class without images; fetch it again, or remove it from all splits", where);
        status = sco_ilsvrc_found(report, status);
        if (status != SCO_OK)
            return status;
        if (count > 0)
            qsort_r(list->images + before, count, sizeof *list->images, by_name, list->text);
        for (size_t i = 0; i < count; i++)
            list->images[before + i].rank = (uint32_t)i;
    }
    return SCO_OK;
}

/* Labels of a flat tar: line i is of image i. */
static enum sco_status read_labels(struct sco_ilsvrc_list *list, const char *folder,
                                   const struct sco_ilsvrc_list *classes)
{
    unsigned char *bytes = NULL;
    size_t size, line = 0;
    char path[PATH_MAX];
    enum sco_status status = join(path, folder, val_labels);
    if (status == SCO_OK)
        status = sco_file_read(path, LABELS_BYTES, &bytes, &size);
    if (status != SCO_OK)
        return sco_fail_context(
            status, "%s: its labels, a synset or a class a line for each image in the order of names", list->path);
    list->classes = classes == NULL ? 0 : classes->group_count;
    const char *at = (const char *)bytes, *end = at + size;
    while (at < end && status == SCO_OK) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        const char *stop = newline == NULL ? end : newline;
        size_t length = (size_t)(stop - at);
        length -= length > 0 && at[length - 1] == '\r';
        const int32_t label = number(at, length);
        const int32_t rank = classes == NULL ? -1 : rank_of(classes, classes->group_count, at, length);
        const int32_t use = rank >= 0 ? rank : label;
        line++;
        if (line > list->count)
            status = sco_fail(SCO_FORMAT, "%s: line %zu: more lines than the %zu images of %s", path, line, list->count,
                              list->path);
        else if (use < 0)
            status =
                sco_fail(SCO_FORMAT, "%s: line %zu: '%.*s' is neither a class nor a synset%s", path, line,
                         (int)(length < 40 ? length : 40), at,
                         classes == NULL ? " (synsets need train beside it, whose order numbers them)" : " of train");
        else if (classes != NULL && (size_t)use >= classes->group_count)
            status = sco_fail(SCO_FORMAT,
                              "%s: line %zu: class %d of %zu, which count from 0 in the order of synsets; the "
                              "numbers of the development kit, 1 to 1000, are in another order",
                              path, line, use, classes->group_count);
        else
            list->images[line - 1].label = use;
        if (classes == NULL && (size_t)use + 1 > list->classes && status == SCO_OK)
            list->classes = (size_t)use + 1;
        at = stop + 1;
    }
    if (status == SCO_OK && line != list->count)
        status = sco_fail(SCO_FORMAT, "%s: %zu lines for the %zu images of %s", path, line, list->count, list->path);
    sco_free(bytes);
    return status;
}

/* ---- Splits ------------------------------------------------------------------------------------------------------ */

static bool exists(const char *path)
{
    return access(path, F_OK) == 0;
}

/* The folder NAME below root, or else the tar file; path is that of the folder where there is neither. */
static enum sco_status part_path(char path[PATH_MAX], const char *root, const char *name, const char *tar)
{
    enum sco_status status = join(path, root, name);
    if (status != SCO_OK || exists(path) || tar == NULL)
        return status;
    char other[PATH_MAX];
    status = join(other, root, tar);
    if (status == SCO_OK && exists(other))
        strcpy(path, other);
    return status;
}

/* The folder of the dataset; *is_tar: path is a file in it. */
static enum sco_status find_root(char root[PATH_MAX], const char *path, bool *is_tar)
{
    struct stat info;
    if (stat(path, &info) != 0)
        return sco_fail(SCO_IO, "%s: cannot be opened: %s", path, strerror(errno));
    *is_tar = !S_ISDIR(info.st_mode);
    if (snprintf(root, PATH_MAX, "%s", path) >= PATH_MAX)
        return sco_fail(SCO_IO, "%s: the path is too long", path);
    if (!*is_tar)
        return SCO_OK;
    char *slash = strrchr(root, '/');
    if (slash == NULL)
        strcpy(root, ".");
    else
        slash[slash == root] = '\0';
    return SCO_OK;
}

void sco_ilsvrc_list_close(struct sco_ilsvrc_list *list)
{
    if (list->fd >= 0)
        close(list->fd);
    free(list->path);
    free(list->text);
    free(list->groups);
    free(list->images);
    *list = (struct sco_ilsvrc_list){.fd = -1};
}

static void move(struct sco_ilsvrc_list *to, struct sco_ilsvrc_list *from)
{
    *to = *from;
    *from = (struct sco_ilsvrc_list){.fd = -1};
}

static bool of_train(enum sco_split split)
{
    return split == SCO_TRAIN || split == SCO_TRAIN_SUBSET;
}

static enum sco_status split_path(char path[PATH_MAX], const char *root, enum sco_split split)
{
    return of_train(split)           ? part_path(path, root, "train", train_tar)
           : split == SCO_VALIDATION ? part_path(path, root, "val", val_tar)
                                     : part_path(path, root, "test", NULL);
}

/* Adds those groups of from that classes has not, and sorts. */
static enum sco_status add_classes(struct sco_ilsvrc_list *classes, const struct sco_ilsvrc_list *from)
{
    const size_t before = classes->group_count;
    enum sco_status status = SCO_OK;
    for (size_t g = 0; g < from->group_count && status == SCO_OK; g++) {
        const char *name = from->text + from->groups[g].name;
        if (rank_of(classes, before, name, strlen(name)) < 0)
            status = add_group(classes, name, strlen(name), 0, 0);
    }
    if (classes->group_count > 0)
        qsort_r(classes->groups, classes->group_count, sizeof *classes->groups, by_group, classes->text);
    return status;
}

/* Lists the groups of a split, those of train where it is there (for train they are the same), and all classes. */
static enum sco_status open_groups(struct sco_ilsvrc_list *list, struct sco_ilsvrc_list *train,
                                   struct sco_ilsvrc_list *classes, const char *path, enum sco_split split,
                                   char root[PATH_MAX])
{
    struct sco_ilsvrc_list given = {.fd = -1}, val = {.fd = -1};
    char at[PATH_MAX];
    bool is_tar;
    enum sco_status status = find_root(root, path, &is_tar);
    if (status == SCO_OK && is_tar)
        status = list_groups(&given, path);
    if (status == SCO_OK && is_tar && !is_flat(&given)) {
        move(train, &given);
    } else if (status == SCO_OK) {
        status = split_path(at, root, SCO_TRAIN);
        if (status == SCO_OK && (of_train(split) || exists(at)))
            status = list_groups(train, at);
    }
    if (status == SCO_OK && is_flat(train))
        status =
            sco_fail(SCO_FORMAT, "%s: holds images, not tar files of classes; fetch the one that does", train->path);
    if (status == SCO_OK)
        status = add_classes(classes, train);
    if (status == SCO_OK)
        status = join(at, root, "val");
    if (status == SCO_OK && is_folder(at)) {
        status = list_groups(&val, at);
        if (status == SCO_OK)
            status = add_classes(classes, &val);
    }
    if (status == SCO_OK && split == SCO_VALIDATION && given.path != NULL) {
        move(list, &given);
    } else if (status == SCO_OK && !of_train(split)) {
        status = split_path(at, root, split);
        if (status == SCO_OK)
            status = list_groups(list, at);
    }
    sco_ilsvrc_list_close(&given);
    sco_ilsvrc_list_close(&val);
    return status;
}

/* Classes that can be evaluated but not learned. */
static enum sco_status report_unlearned(const struct sco_ilsvrc_list *list, const struct sco_ilsvrc_list *train,
                                        struct sco_ilsvrc_report *report)
{
    enum sco_status status = SCO_OK;
    for (size_t g = 0; g < list->group_count && status == SCO_OK; g++) {
        const char *name = list->text + list->groups[g].name;
        if (rank_of(train, train->group_count, name, strlen(name)) < 0)
            status = sco_ilsvrc_found(report, sco_fail(SCO_FORMAT,
                                                       "%s/%s: the class is missing in %s; add it there, or "
                                                       "remove it here",
                                                       list->path, name, train->path));
    }
    return status;
}

static void sort_images(struct sco_ilsvrc_list *list, bool by_names)
{
    if (list->count > 0 && by_names)
        qsort_r(list->images, list->count, sizeof *list->images, by_name, list->text);
    else if (list->count > 0)
        qsort(list->images, list->count, sizeof *list->images, by_rank);
}

enum sco_status sco_ilsvrc_list_open(struct sco_ilsvrc_list *list, const char *path, enum sco_split split,
                                     struct sco_ilsvrc_report *report)
{
    struct sco_ilsvrc_list train = {.fd = -1}, all = {.fd = -1};
    char root[PATH_MAX];
    *list = (struct sco_ilsvrc_list){.fd = -1};
    enum sco_status status = open_groups(list, &train, &all, path, split, root);
    const struct sco_ilsvrc_list *classes = all.group_count == 0 ? NULL : &all;
    if (status == SCO_OK && report != NULL && split == SCO_VALIDATION && train.path != NULL && !is_flat(list))
        status = report_unlearned(list, &train, report);
    if (status == SCO_OK && of_train(split))
        move(list, &train);
    if (status == SCO_OK && is_flat(list)) {
        sort_images(list, true);
        status = sco_ilsvrc_found(report, read_labels(list, root, classes));
    } else if (status == SCO_OK) {
        status = label_groups(list, classes, report);
        if (status == SCO_OK)
            status = list_images(list, report);
        sort_images(list, split == SCO_VALIDATION);
    }
    if (status == SCO_OK && list->count == 0)
        status = sco_ilsvrc_found(report, sco_fail(SCO_FORMAT,
                                                   "%s: no images; folders of classes with .JPEG files, or "
                                                   "tar files of them, are expected",
                                                   list->path));
    sco_ilsvrc_list_close(&train);
    sco_ilsvrc_list_close(&all);
    if (status != SCO_OK)
        sco_ilsvrc_list_close(list);
    return status;
}

enum sco_status sco_ilsvrc_has(const char *path, enum sco_split split, bool *here)
{
    char root[PATH_MAX], at[PATH_MAX];
    struct sco_ilsvrc_list given = {.fd = -1};
    bool is_tar;
    enum sco_status status = find_root(root, path, &is_tar);
    if (status == SCO_OK)
        status = split_path(at, root, split);
    *here = status == SCO_OK && exists(at);
    /* A tar file is train's unless it is flat; what cannot be read is for the listing of one of the two to report. */
    if (status == SCO_OK && is_tar) {
        const bool flat = list_groups(&given, path) == SCO_OK && is_flat(&given);
        *here |= split == (flat ? SCO_VALIDATION : SCO_TRAIN);
        sco_ilsvrc_list_close(&given);
    }
    return status;
}

size_t sco_ilsvrc_list_bytes(const struct sco_ilsvrc_list *list)
{
    return list->text_room + list->group_room * sizeof *list->groups + list->room * sizeof *list->images;
}

void sco_ilsvrc_list_where(const struct sco_ilsvrc_list *list, const struct sco_ilsvrc_image *image, char *text,
                           size_t bytes)
{
    const char *group = list->text + list->groups[image->group].name, *name = list->text + image->name;
    if (list->fd < 0)
        snprintf(text, bytes, "%s/%s/%s", list->path, group, name);
    else if (*group == '\0')
        snprintf(text, bytes, "%s: %s", list->path, name);
    else
        snprintf(text, bytes, "%s: %s.tar: %s", list->path, group, name);
}

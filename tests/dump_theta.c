/* SPDX-License-Identifier: Apache-2.0
 * Writes the weights of the recorded case "full" back to back, in the order of a list of paths, for a checksum.
 *   dump_theta LIST OUT */
#include <stdio.h>
#include <stdlib.h>

#include "stepcost/velo.h"

int main(int argc, char **argv)
{
    if (argc != 3) {
        fprintf(stderr, "usage: dump_theta LIST OUT\n");
        return 2;
    }
    const struct sco_velo_generator generator = {512, 256, 15, 30, 1};
    struct sco_velo_theta *theta;
    if (sco_velo_theta_generate(&theta, &generator) != SCO_OK) {
        fprintf(stderr, "%s\n", sco_error_message());
        return 1;
    }
    FILE *list = fopen(argv[1], "r"), *out = fopen(argv[2], "wb");
    if (list == NULL || out == NULL) {
        fprintf(stderr, "cannot open %s or %s\n", argv[1], argv[2]);
        return 1;
    }
    char path[128];
    int failed = 0;
    while (fscanf(list, "%127s %*[^\n]", path) == 1) {
        size_t shape[3], rank, n = 1;
        const float *array = sco_velo_theta_array(theta, path, shape, &rank);
        for (size_t axis = 0; array != NULL && axis < rank; axis++)
            n *= shape[axis];
        failed |= array == NULL || fwrite(array, sizeof *array, n, out) != n;
    }
    failed |= fclose(out) != 0;
    fclose(list);
    sco_velo_theta_destroy(theta);
    return failed;
}

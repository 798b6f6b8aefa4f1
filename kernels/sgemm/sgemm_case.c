/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/case.h"
#include "kernels/sgemm/sgemm.h"
const struct sco_case_list sco_sgemm_cases = {NULL, 0};

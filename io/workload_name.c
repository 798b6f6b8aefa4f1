/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "arch/fail.h"
#include "stepcost/dataset.h"

static const char *const names[SCO_WORKLOADS] = {"resnet50", "ogbg", "dlrm", "unet"};

const char *sco_workload_name(enum sco_workload workload)
{
    return (unsigned)workload < SCO_WORKLOADS ? names[workload] : "?";
}

enum sco_status sco_workload_parse(const char *name, enum sco_workload *workload)
{
    for (size_t i = 0; i < SCO_WORKLOADS; i++)
        if (strcmp(name, names[i]) == 0) {
            *workload = (enum sco_workload)i;
            return SCO_OK;
        }
    return sco_fail(SCO_INVALID, "no workload \"%s\"; there are resnet50, ogbg, dlrm and unet", name);
}

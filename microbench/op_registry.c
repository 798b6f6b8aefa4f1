/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "arch/fail.h"
#include "microbench/op.h"

/* One line per class. */
#define SCO_OP_CLASSES(CLASS)                                                                                          \
    CLASS(conv2d) CLASS(embedding) CLASS(gemm) CLASS(graph) CLASS(interaction) CLASS(layers) CLASS(loss)

#define DECLARE(class) extern const struct sco_op_class sco_##class##_op_class;
#define ENTRY(class)   &sco_##class##_op_class,

SCO_OP_CLASSES(DECLARE)

static const struct sco_op_class *const classes[] = {SCO_OP_CLASSES(ENTRY) NULL};

const struct sco_op_class *sco_op_class_of(const char *op)
{
    for (size_t i = 0; classes[i] != NULL; i++)
        for (const char *const *name = classes[i]->ops; *name != NULL; name++)
            if (strcmp(*name, op) == 0)
                return classes[i];
    return NULL;
}

const char *sco_op_name(size_t index)
{
    for (size_t i = 0; classes[i] != NULL; i++)
        for (const char *const *name = classes[i]->ops; *name != NULL; name++)
            if (index-- == 0)
                return *name;
    return NULL;
}

const char *sco_op_case(const char *op, size_t index)
{
    const struct sco_op_class *class = sco_op_class_of(op);
    return class != NULL ? class->name(op, index) : NULL;
}

const char *sco_op_variant(const char *op, size_t index)
{
    const struct sco_op_class *class = sco_op_class_of(op);
    if (class == NULL)
        return NULL;
    const char *const *variants = class->variants(op);
    for (size_t i = 0; variants[i] != NULL; i++)
        if (i == index)
            return variants[i];
    return NULL;
}

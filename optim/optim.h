/* SPDX-License-Identifier: Apache-2.0
 * What every optimizer shares, and the table through which a kind plugs in.
 *
 * optim.c owns the calls of stepcost/optim.h: it checks arguments, copies the tensor list, plans and places the state,
 * applies the policy for NaN and Inf, counts steps, saves and loads. A kind describes its state as named planes and
 * does the arithmetic. A hook is called only after optim.c has checked what it is given. */
#ifndef SCO_OPTIM_OPTIM_H
#define SCO_OPTIM_OPTIM_H

#include <stdbool.h>

#include "stepcost/optim.h"

/* Elements of a tensor whose shape has been validated. */
static inline size_t sco_elements(const struct sco_tensor *tensor)
{
    size_t n = 1;
    for (size_t i = 0; i < tensor->rank; i++)
        n *= tensor->shape[i];
    return n;
}

/* The same of a validated list, for cost formulas. */
static inline double sco_list_elements(const struct sco_tensor_list *list)
{
    double n = 0;
    for (size_t i = 0; i < list->count; i++)
        n += (double)sco_elements(&list->tensors[i]);
    return n;
}

/* Tensors are divided between threads, and sums made of partial sums, in chunks of so many elements (the last of a
 * tensor may be shorter). 8 KiB of each operand: long enough to hide what a call costs, short enough that the shares
 * of a step that is worth a fork differ by little. */
enum { SCO_CHUNK = 2048 };

static inline size_t sco_chunks(size_t elements)
{
    return elements / SCO_CHUNK + (elements % SCO_CHUNK != 0);
}

static inline size_t sco_list_chunks(const struct sco_tensor_list *list)
{
    size_t chunks = 0;
    for (size_t i = 0; i < list->count; i++)
        chunks += sco_chunks(sco_elements(&list->tensors[i]));
    return chunks;
}

/* ---- Layout: where each piece of state lives ---- */

/* A named array of state. Planes start at 64-byte boundaries of one allocation, in the order in which they are
 * declared: declare all planes of one name before those of the next, so that the share of one thread is one range of
 * memory. */
struct sco_plane {
    const char *name; /* static; the name that sco_optim_state_get and the state file use */
    size_t tensor;    /* index in the list; SIZE_MAX for the optimizer as a whole */
    size_t count;     /* elements */
    size_t element_bytes;
    size_t offset; /* bytes from the start of the state */
};

/* Filled twice by the same code: with planes NULL to size it, then for good. Overflow sticks and is looked at once. */
struct sco_layout {
    size_t state_bytes, workspace_bytes;
    size_t plane_count;
    struct sco_plane *planes;
    bool overflow;
};

/* Declares a plane (kept, zeroed by init, saved, loaded) and returns its index. */
size_t sco_layout_plane(struct sco_layout *layout, const char *name, size_t tensor, size_t count, size_t element_bytes);

/* Declares scratch that nobody saves and returns its offset in the workspace, a multiple of 64. */
size_t sco_layout_scratch(struct sco_layout *layout, size_t count, size_t element_bytes);

/* ---- A kind ---- */

struct sco_optim;

typedef void sco_slice_fn(const struct sco_optim *optim, size_t tensor, size_t begin, size_t end, float *p,
                          const float *g);

struct sco_optim_class {
    size_t group_elements; /* of kinds that walk the list by sco_work_group: decides who touches state first; else 0 */

    /* Sets the kind's own fields of a config that holds the common defaults. */
    void (*defaults)(struct sco_optim_config *config);
    /* Refuses impossible hyper-parameters; the common ones have been checked. NULL: nothing more to check. */
    enum sco_status (*check)(const struct sco_optim_config *config);
    /* Declares planes and scratch. Must do the same on both passes. */
    void (*layout)(struct sco_layout *layout, const struct sco_ctx *ctx, const struct sco_optim_config *config,
                   const struct sco_tensor_list *list);
    /* Sets optim->data. State and workspace are allocated, contents undefined. NULL: nothing to do. */
    enum sco_status (*create)(struct sco_optim *optim);
    void (*destroy)(struct sco_optim *optim); /* also after a failed create; NULL: nothing to do */
    /* State has been zeroed and steps set to 0. NULL: nothing to do. */
    enum sco_status (*init)(struct sco_optim *optim, const float *const *p);
    /* The step's per-optimizer part, before steps advances: optim->steps is the 0-based t. Failing leaves the state as
     * it was. loss is finite unless the policy is SCO_NONFINITE_PASS. */
    enum sco_status (*prepare)(struct sco_optim *optim, float loss);
    /* Applies the prepared step, steps having advanced (it is the 1-based k). Cannot fail. Element-wise kinds have
     * slice: elements [begin, end) of a tensor, with p and g starting at begin. Others have apply for one tensor and
     * step for all of them, with the same bits. */
    sco_slice_fn *slice;
    void (*apply)(struct sco_optim *optim, size_t tensor, float *p, const float *g);
    void (*step)(struct sco_optim *optim, float *const *p, const float *const *g);

    /* Hyper-parameters and sizes that a saved state depends on, as one line of text; a file is loaded only where the
     * text is the same. Returns as snprintf. NULL: none. */
    int (*describe)(const struct sco_optim *optim, char *text, size_t bytes);
    /* Rebuilds what the kind keeps outside its planes after load, state_set and set_steps. NULL: nothing to do. */
    void (*loaded)(struct sco_optim *optim);

    /* Canonical arrays (stepcost/optim.h) that differ from the planes. state_array: name and element count of the i-th
     * array of a tensor (SIZE_MAX: of the optimizer), NULL past the end; get and set are given a name from it and a
     * matching count. All three NULL: the canonical arrays are the planes, of float or int8. */
    const char *(*state_array)(const struct sco_optim *optim, size_t tensor, size_t i, size_t *count);
    void (*state_get)(const struct sco_optim *optim, size_t tensor, const char *name, float *dst);
    void (*state_set)(struct sco_optim *optim, size_t tensor, const char *name, const float *src);

    /* Name of the i-th phase and its seconds in the last step, NULL past the last. The hook NULL: no phases. */
    const char *(*phase)(const struct sco_optim *optim, size_t i, double *seconds);
    /* Bytes asked of memory and flops of one step over the list. */
    void (*cost)(const struct sco_optim_config *config, const struct sco_tensor_list *list, double *bytes,
                 double *flops);
};

/* optim.c has their list, in the order of enum sco_optim_kind. */
extern const struct sco_optim_class sco_heavy_ball_class, sco_nesterov_class, sco_adam_class, sco_adamw_class,
    sco_nadam_class, sco_nadamw_class, sco_adafactor_class, sco_lion_class, sco_lamb_class, sco_velo_class;

/* ---- An optimizer ---- */

struct sco_finite_ops; /* kernels/finite/finite.h */

/* A boundary between the shares of two threads: everything before element of tensor belongs to lower ranks. */
struct sco_cut {
    size_t tensor, element;
};

/* First NaN or Inf that a thread met; tensor = SIZE_MAX: none. */
struct sco_hit {
    size_t tensor, element;
};

struct sco_optim {
    const struct sco_optim_class *type;
    struct sco_ctx *ctx;
    struct sco_optim_config config;
    struct sco_tensor_list list; /* own copy, names included */
    size_t *elements;            /* of each tensor */
    size_t *first_chunk;         /* [list.count + 1]: of each tensor, counted over the list */
    size_t total_elements;
    struct sco_layout layout;
    unsigned char *state, *workspace; /* SCO_ALIGN boundaries; NULL when empty */
    size_t kind_scratch;              /* workspace offset of the first scratch that the kind declared */
    void *data;                       /* the kind's own; freed with free() after the destroy hook */
    uint64_t steps;                   /* steps prepared since init; skipped ones do not count */
    uint64_t skipped;                 /* steps and tensor applications left out under SCO_NONFINITE_SKIP */
    float gscale;                     /* what apply and step multiply gradients by: the clip factor, or 1 */

    /* optim.c's own */
    bool ready;    /* the state has been set by init or load */
    bool prepared; /* apply may be called; applied[i]: it was */
    bool skipping; /* ... and does nothing, for the loss was not finite */
    bool *applied;
    struct sco_cut *cuts; /* [team size + 1] */
    struct sco_hit *hits; /* [team size] */
    const struct sco_finite_ops *finite;
    struct sco_tensor *tensors; /* behind list */
    char *names;
};

static inline void *sco_optim_plane(const struct sco_optim *optim, size_t plane)
{
    return optim->state + optim->layout.planes[plane].offset;
}

static inline void *sco_optim_scratch(const struct sco_optim *optim, size_t offset)
{
    return optim->workspace + offset;
}

/* Zeroes all planes, each page first by the thread that will use it. */
void sco_optim_zero(struct sco_optim *optim);

/* "tensor 3 (conv1/kernel)", for messages. */
char *sco_optim_label(const struct sco_optim *optim, size_t tensor, char *buffer, size_t bytes);

/* ---- Work on a range of tensors, divided between threads ---- */

/* Tensors first .. first + count, either one or the whole list; p[i] and g[i] belong to tensor first + i. */
struct sco_work {
    struct sco_optim *optim;
    size_t first, count;
    float *const *p;
    const float *const *g;
};

/* A rank's share: elements [*begin, *end) of each tensor t in [first, end), see sco_share_range; a range may be empty.
 * All boundaries inside a tensor are multiples of SCO_CHUNK. size is 1 or the team's. */
struct sco_share {
    size_t first, end;
    size_t begin;    /* in tensor first */
    size_t end_last; /* in tensor end - 1 */
};
struct sco_share sco_work_share(const struct sco_work *work, size_t rank, size_t size);

/* Kinds with several passes walk a list in groups: from tensor first, as many whole tensors as have at most elements
 * elements together, at least one. Returns the end of the group, of which sco_group_share gives a rank's share. */
size_t sco_work_group(const struct sco_work *work, size_t first, size_t elements);
struct sco_share sco_group_share(const struct sco_optim *optim, size_t first, size_t end, size_t rank, size_t size);

static inline void sco_share_range(const struct sco_optim *optim, const struct sco_share *share, size_t t,
                                   size_t *begin, size_t *end)
{
    *begin = t == share->first ? share->begin : 0;
    *end = t == share->end - 1 ? share->end_last : optim->elements[t];
}

/* Runs body(rank, size, argument) on the team, or on the caller alone as rank 0 of 1 where work on so many elements is
 * shorter than a fork-join. Inside body, sco_optim_barrier stands for sco_team_barrier in both cases. */
void sco_optim_run(const struct sco_optim *optim, size_t elements, sco_team_fn *body, void *argument);
void sco_optim_barrier(const struct sco_optim *optim, size_t rank, size_t size);

#endif

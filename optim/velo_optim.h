/* SPDX-License-Identifier: Apache-2.0
 * The VeLO optimizer: learned optimizer of "VeLO: Training Versatile Learned Optimizers by Scaling Up" (arXiv
 * 2211.09760) as released, over a list of tensors.
 *
 *   velo_optim.c     the class: configuration, state, wrappers (gradient accumulation, weight decay)
 *   velo_geometry.c  how a tensor of any rank is cut into panels, blocks and groups
 *   velo_loss.c      the loss buffer
 *   velo_network.c   LSTM input, LSTM over all tensors, hypernetwork: what a step knows before its gradients
 *   velo_sweep.c     the three sweeps over the tensors and the vectors between them
 *
 * Results do not depend on threads, grouping or the order of tensors: everything that is summed is summed per block, and
 * blocks are made from shapes alone and added in index order. */
#ifndef SCO_OPTIM_VELO_OPTIM_H
#define SCO_OPTIM_VELO_OPTIM_H

#include "kernels/gemm/gemm.h"
#include "kernels/velo/velo.h"
#include "optim/optim.h"
#include "stepcost/velo.h"

enum {
    VELO_FEATURES = 30,     /* inputs of the per-parameter MLP, and also of the LSTM */
    VELO_INPUT_STRIDE = 32, /* of a row of LSTM input */
    VELO_HORIZONS = 10
};

/* ---- Geometry ---- */

/* Which vector of a factored tensor: along the rows of its panels or along their columns. */
enum velo_side { VELO_ROWS, VELO_COLS, VELO_SIDES };

/* How a tensor is walked. A factored tensor is a batch of panels, rows x cols, one for each index of the axes other
 * than c (largest) and r (second largest). An unfactored one is a single row. */
struct velo_shape {
    size_t n;
    bool factored;
    size_t wide_axes; /* axes longer than 1 */
    size_t r, c;      /* axes */
    size_t axis[VELO_SIDES];
    size_t batch, rows, cols;
    ptrdiff_t row_stride, col_stride; /* col_stride is 1 unless the fast axis is a batch axis */
    size_t inner;                     /* that axis (and those after it), or 1: consecutive panels are interleaved */
    size_t batch_rank;
    size_t batch_axis[SCO_MAX_RANK], batch_size[SCO_MAX_RANK], batch_stride[SCO_MAX_RANK];
};

void sco_velo_shape_make(struct velo_shape *shape, const struct sco_tensor *tensor);

/* Elements from the tensor's start to panel b. */
size_t sco_velo_panel_offset(const struct velo_shape *shape, size_t b);

/* Position of an element of panel b in the tensor. */
static inline size_t sco_velo_element_index(const struct velo_shape *shape, size_t b, size_t row, size_t col)
{
    return sco_velo_panel_offset(shape, b) + row * (size_t)shape->row_stride + col * (size_t)shape->col_stride;
}

/* Position of entry i of panel b's vector along side in the reference's array: the tensor's shape without the other
 * side's axis, C order. */
size_t sco_velo_vector_index(const struct velo_shape *shape, const struct sco_tensor *tensor, enum velo_side side,
                             size_t b, size_t i);

/* The unit of work and of summation: panels b .. b + panels - 1, or a part of one panel (of every interleaved panel). */
struct velo_block {
    size_t tensor, b, panels, row, rows, col, cols;
    size_t offset; /* interleaved tensors: the block's first element in the state planes, which are in block order */
};

/* Cuts of a tensor: size of a block's part of a panel, and how many parts there are. */
struct velo_cut {
    size_t panels, rows, cols;
    size_t row_parts, col_parts;
};
enum { VELO_BLOCK_VERSION = 1 }; /* to advance with any change of the blocks: saved states are in block order */
enum velo_sweep { VELO_SUM_SWEEP, VELO_ELEMENT_SWEEP }; /* over g alone, over all planes */
struct velo_cut sco_velo_cut_make(const struct velo_shape *shape, enum velo_sweep sweep);
size_t sco_velo_cut_blocks(const struct velo_shape *shape, const struct velo_cut *cut);
void sco_velo_cut_list(const struct velo_shape *shape, const struct velo_cut *cut, size_t tensor,
                       struct velo_block *block);

/* The unit of work on vectors: entries i .. i + n - 1 of panel b, or all entries of several panels. */
struct velo_item {
    size_t tensor;
    enum velo_side side;
    size_t b, panels, i, n;
};
enum { VELO_VECTOR_MAX = 2048 }; /* entries */
struct velo_vector_cut {
    size_t panels, n, parts; /* parts of one panel's vector */
};
struct velo_vector_cut sco_velo_vector_cut_make(const struct velo_shape *shape, enum velo_side side);
size_t sco_velo_vector_items(const struct velo_shape *shape, const struct velo_vector_cut *cut);
void sco_velo_vector_list(const struct velo_shape *shape, const struct velo_vector_cut *cut, size_t tensor,
                          enum velo_side side, struct velo_item *item);

/* ---- Loss buffer ---- */

/* Means of the loss over ten horizons, and their running minima; float32 in the reference's order of operations, since
 * 1 - decay^k cancels for long runs and the network was trained on what is left. */
struct velo_loss {
    float decay[VELO_HORIZONS], mean[VELO_HORIZONS], running_min[VELO_HORIZONS];
};

void sco_velo_loss_decays(float decay[VELO_HORIZONS], uint64_t num_steps);
void sco_velo_loss_init(struct velo_loss *buffer);
/* count: updates before this one. */
void sco_velo_loss_update(struct velo_loss *buffer, uint64_t count, float loss);
/* count: updates so far. */
void sco_velo_loss_features(const struct velo_loss *buffer, uint64_t count, float features[VELO_HORIZONS - 1]);

/* ---- Moments: what the LSTM input needs of the old state ---- */

enum {
    VELO_MOMENT_P2,     /* sum p^2 */
    VELO_MOMENT_M,      /* sum m_k, three */
    VELO_MOMENT_M2 = 4, /* sum m_k^2, three */
    VELO_MOMENT_V = 7,  /* sum v */
    VELO_MOMENT_V2,     /* sum v^2 */
    VELO_MOMENTS
};

/* ---- Network ---- */

/* Units whose four gates share one packed panel, so that a thread's share of the LSTM is whole cells. */
enum { VELO_UNITS = SCO_GEMM_NR / 4 };

/* Mixed MLP of one tensor as the hypernetwork's product leaves it: [feature][4], b0, w1[4][4], b1, w2[4][2], b2[2]. */
enum {
    VELO_W0 = 0,
    VELO_B0 = VELO_FEATURES * 4,
    VELO_W1 = VELO_B0 + 4,
    VELO_B1 = VELO_W1 + 16,
    VELO_W2 = VELO_B1 + 4,
    VELO_B2 = VELO_W2 + 8,
    VELO_BANK = VELO_B2 + 2,
    VELO_BANK_STRIDE = 160
};

struct velo_network {
    size_t hidden, experts, tensors;
    size_t blocks;         /* of VELO_UNITS units */
    size_t control_stride; /* of a row of controls: experts, then the step size */
    /* Packed weights. With z = X W_2 + b_2 + pool linear in the gates, its part of the gates is X (W_2 W_top), made once
     * in double, and pool W_top, one row for all tensors. */
    float *pool_weights, *pool_bias;
    float *input_weights, *top_weights, *state_weights, *gate_bias;
    float *control_weights, *control_bias;
    float *bank;
    /* Of the step. */
    float *input, *mixed, *pool, *pool_gates, *gates, *next_h, *next_c, *controls, *mlp;
};

/* ---- Optimizer ---- */

enum velo_phase { VELO_ACCUMULATE, VELO_STATISTICS, VELO_LSTM, VELO_HYPERNETWORK, VELO_MLP, VELO_PHASES };

struct velo_tensor {
    struct velo_shape shape;
    struct velo_cut sum_cut, cut;
    struct velo_vector_cut vector_cut[VELO_SIDES];
    float *m[3], *v;
    float *d[3];             /* unfactored */
    float *a[VELO_SIDES][3]; /* factored: R and C, whichever side they are on, [batch][side] */
    float *gradient_sum;     /* with accumulation */
    /* Ranges in struct velo. */
    size_t sum_block, sum_block_count, block, block_count, item, item_count;
    /* Workspace, shared with other groups. */
    float *gradient;                /* what the sweeps read instead of the caller's g */
    float *square_part[VELO_SIDES]; /* [batch][parts of the other side][side] */
    double *sums;                   /* [block][SCO_VELO_SUMS] */
    double *a_sums;                 /* [batch][parts of R][3]: sum of R_k */
    double *vector_sums;            /* [item][6]: sums of a_k^2 and of 1 / (a_k + eps) */
    float *factor[VELO_SIDES][3];
    float *row_hidden, *col_hidden[4];
    struct sco_velo_mlp mlp;
    float wa[VELO_SIDES][3][4], wra[VELO_SIDES][3][4];
};

/* Tensors whose working set is in cache together. */
struct velo_group {
    size_t first, end;
};

struct velo {
    struct sco_optim *optim;
    const struct sco_velo_ops *ops;
    const struct sco_gemm_ops *gemm;
    size_t count;
    struct velo_tensor *tensors;
    struct velo_block *sum_blocks, *blocks;
    struct velo_item *items;
    size_t *sum_block_work, *block_work, *item_work; /* [number + 1]: work in front of each */
    double *squares;                                 /* [block]: sum p'^2 */
    size_t group_count;
    struct velo_group *groups;
    size_t tile_floats;
    float *tiles; /* two per rank, to gather interleaved panels and to add up partial vectors */
    float *lstm_h, *lstm_c, *loss_mean, *loss_running_min, *loss_sum;
    double *moments; /* [tensor][VELO_MOMENTS] */
    struct velo_network network;
    float loss_decay[VELO_HORIZONS];
    uint64_t accumulate, num_steps; /* gradients per inner step, and the inner prompt */
    bool own_gradient;              /* the sweeps do not read the caller's g */
    /* The step under way. */
    bool inner;     /* it ends in an inner step */
    float progress; /* fraction of the run that is over */
    float loss_features[VELO_HORIZONS - 1];
    uint64_t phase_ns[VELO_PHASES];
    uint64_t lap; /* rank 0: when the phase under way began */
    float **p;    /* by tensor */
    const float **g, **caller_g;
};

/* Bump allocation: with base NULL it only counts. Every piece starts at a SCO_ALIGN boundary. */
struct velo_arena {
    unsigned char *base;
    size_t used;
    bool overflow;
};
void *sco_velo_take(struct velo_arena *arena, size_t count, size_t bytes);

/* Carves the network's weights and scratch; then fills the weights from theta. */
void sco_velo_network_carve(struct velo_network *network, struct velo_arena *arena, const struct sco_velo_theta *theta,
                            size_t tensors);
enum sco_status sco_velo_network_load(struct velo_network *network, const struct sco_gemm_ops *gemm,
                                      const struct sco_velo_theta *theta);
/* Team body part: LSTM and hypernetwork of the step; ends with a barrier. */
void sco_velo_network_run(struct velo *velo, size_t rank, size_t size);

/* Geometry of a tensor. */
void sco_velo_tensor_make(struct velo_tensor *tensor, const struct sco_tensor *shape);
/* Its workspace. What the sum sweep writes has an arena of its own, since that sweep runs while other threads may be in
 * the MLP sweep of the group before. */
void sco_velo_tensor_carve(struct velo_tensor *tensor, struct velo_arena *part_arena, struct velo_arena *arena,
                           bool own_gradient);
/* Team body parts: sweeps over count groups; sum p^2 of all tensors. */
void sco_velo_sweep_run(struct velo *velo, const struct velo_group *groups, size_t count, size_t rank, size_t size);
void sco_velo_sweep_parameters(struct velo *velo, size_t rank, size_t size);
/* A tensor's moments of m and v from its planes, in double. */
void sco_velo_sweep_moments(const struct velo_tensor *tensor, double moments[VELO_MOMENTS]);

/* Rank 0 books the time since the last lap. */
void sco_velo_lap(struct velo *velo, size_t rank, enum velo_phase phase);

#endif

/* SPDX-License-Identifier: Apache-2.0
 * Body of sco_FAMILY_fill_hwy(void *ops, sco_isa isa). Highway's own dispatcher is not used: it asks the CPU, and a row
 * must obey the mask it is given. Without a target in the mask the slots stay as they are. */
#if HWY_TARGETS & HWY_AVX3
if (isa & SCO_ISA_AVX512) {
    N_AVX3::fill(ops);
    return;
}
#endif
#if HWY_TARGETS & HWY_AVX2
if (isa & SCO_ISA_AVX2) {
    N_AVX2::fill(ops);
    return;
}
#endif
#if HWY_TARGETS & HWY_NEON
if (isa & SCO_ISA_NEON) {
    N_NEON::fill(ops);
    return;
}
#endif
(void)ops;
(void)isa;

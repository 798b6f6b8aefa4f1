/* SPDX-License-Identifier: Apache-2.0
 * ops_c.cc - C-level peers for bench_ops.py's --with hook: oneDNN (letting it choose its own blocked
 * layouts, reorders not counted: its best case), OpenBLAS sgemm and libxsmm (JIT small sgemm).
 * Build (Debian: libdnnl-dev libopenblas-dev libxsmm-dev):
 *   g++ -O2 -march=native ops_c.cc -o ops_c -ldnnl -lopenblas -lxsmm -ldl -lpthread
 * Usage: ops_c --op conv_fwd|conv_bwd_data|conv_bwd_weight|gemm --case CASE --threads T --reps K
 *        [--seconds S] [--batch N]
 * Prints {"peer":..,"op":..,"case":..,"threads":..,"times_ns":[..]} lines; exit 3: not supported.
 */
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <string>
#include <vector>
#include <dnnl.hpp>
#include <cblas.h>
#include <libxsmm.h>
extern "C" void openblas_set_num_threads(int);
using namespace dnnl;
typedef memory::format_tag tag;

static std::string op, cs; static int threads = 1, reps = 3, batch = 8; static double seconds = 0.15;
static void timeit(const char *peer, const std::function<void()> &f) {
  typedef std::chrono::steady_clock C;
  f(); f();
  std::vector<double> t; auto end = C::now() + std::chrono::duration<double>(seconds);
  while ((int)t.size() < reps || (C::now() < end && t.size() < 500)) {
    auto a = C::now(); f(); t.push_back(std::chrono::duration<double, std::nano>(C::now() - a).count());
  }
  printf("{\"peer\":\"%s\",\"op\":\"%s\",\"case\":\"%s\",\"threads\":%d,\"times_ns\":[", peer, op.c_str(), cs.c_str(), threads);
  for (size_t i = 0; i < t.size(); i++) printf("%s%.0f", i ? "," : "", t[i]);
  printf("]}\n");
}
static memory filled(const memory::desc &d, const engine &e) {
  memory m(d, e); float *p = (float *)m.get_data_handle(); size_t n = d.get_size() / 4;
  for (size_t i = 0; i < n; i++) p[i] = 1e-2f * (float)((i * 7) % 13) - 0.06f;
  return m;
}
static int conv() {
  int ci, co, k, k2, s, h;
  if (sscanf(cs.c_str(), "%d_%d_%dx%d_s%d_%d", &ci, &co, &k, &k2, &s, &h) != 6) return 3;
  int pad = k / 2, ho = (h + 2 * pad - k) / s + 1;
  engine e(engine::kind::cpu, 0); stream st(e);
  auto f32 = memory::data_type::f32;
  for (int lay = 0; lay < 2; lay++) {
    tag a = lay ? tag::nhwc : tag::any;
    memory::desc x({ batch, ci, h, h }, f32, a), w({ co, ci, k, k }, f32, tag::any), y({ batch, co, ho, ho }, f32, a);
    memory::dims S { s, s }, P { pad, pad };
    auto fpd = convolution_forward::primitive_desc({ prop_kind::forward_training, algorithm::convolution_auto, x, w, y, S, P, P }, e);
    primitive p; std::unordered_map<int, memory> args; std::string impl;
    if (op == "conv_fwd") {
      p = convolution_forward(fpd); impl = fpd.impl_info_str();
      args = { { DNNL_ARG_SRC, filled(fpd.src_desc(), e) }, { DNNL_ARG_WEIGHTS, filled(fpd.weights_desc(), e) }, { DNNL_ARG_DST, filled(fpd.dst_desc(), e) } };
    } else if (op == "conv_bwd_data") {
      auto b = convolution_backward_data::primitive_desc({ algorithm::convolution_auto, x, w, y, S, P, P }, e, fpd);
      p = convolution_backward_data(b); impl = b.impl_info_str();
      args = { { DNNL_ARG_DIFF_SRC, filled(b.diff_src_desc(), e) }, { DNNL_ARG_WEIGHTS, filled(b.weights_desc(), e) }, { DNNL_ARG_DIFF_DST, filled(b.diff_dst_desc(), e) } };
    } else {
      auto b = convolution_backward_weights::primitive_desc({ algorithm::convolution_auto, x, w, y, S, P, P }, e, fpd);
      p = convolution_backward_weights(b); impl = b.impl_info_str();
      args = { { DNNL_ARG_SRC, filled(b.src_desc(), e) }, { DNNL_ARG_DIFF_WEIGHTS, filled(b.diff_weights_desc(), e) }, { DNNL_ARG_DIFF_DST, filled(b.diff_dst_desc(), e) } };
    }
    std::string name = std::string(lay ? "onednn26.nhwc[" : "onednn26.any[") + impl + "]";
    timeit(name.c_str(), [&] { p.execute(st, args); st.wait(); });
  }
  return 0;
}
static int gemm() {
  int m, n, k; if (sscanf(cs.c_str(), "%dx%dx%d", &m, &n, &k) != 3) return 3;
  std::vector<float> a((size_t)m * k, .01f), b((size_t)k * n, .02f), c((size_t)m * n);
  openblas_set_num_threads(threads);
  int in = (double)m * n * k < 1e6 ? 200 : 1;   /* small ones: time 200 calls, report one */
  auto wrap = [&](const char *nm, const std::function<void()> &f) {
    if (in == 1) { timeit(nm, f); return; }
    typedef std::chrono::steady_clock C; f(); std::vector<double> t;
    for (int r = 0; r < 200; r++) { auto s0 = C::now(); for (int i = 0; i < in; i++) f();
      t.push_back(std::chrono::duration<double, std::nano>(C::now() - s0).count() / in); }
    printf("{\"peer\":\"%s\",\"op\":\"%s\",\"case\":\"%s\",\"threads\":%d,\"times_ns\":[", nm, op.c_str(), cs.c_str(), threads);
    for (size_t i = 0; i < t.size(); i++) printf("%s%.1f", i ? "," : "", t[i]);
    printf("]}\n");
  };
  wrap("openblas0321", [&] { cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, m, n, k, 1.f, a.data(), k, b.data(), n, 0.f, c.data(), n); });
  wrap("onednn26.sgemm", [&] { dnnl_sgemm('N', 'N', m, n, k, 1.f, a.data(), k, b.data(), n, 0.f, c.data(), n); });
  if (threads == 1 && (double)m * n * k <= 256.0 * 256 * 256) {   /* column major: swap operands */
    float al = 1, be = 0; libxsmm_blasint N = n, M = m, K = k; int fl = LIBXSMM_GEMM_FLAG_NONE;
    libxsmm_smmfunction f = libxsmm_smmdispatch(N, M, K, &N, &K, &N, &al, &be, &fl, nullptr);
    if (f) wrap("libxsmm117", [&] { f(b.data(), a.data(), c.data()); });
  }
  return 0;
}
int main(int argc, char **argv) {
  for (int i = 1; i + 1 < argc; i += 2) {
    std::string k = argv[i];
    if (k == "--op") op = argv[i + 1]; else if (k == "--case") cs = argv[i + 1];
    else if (k == "--threads") threads = atoi(argv[i + 1]); else if (k == "--reps") reps = atoi(argv[i + 1]);
    else if (k == "--seconds") seconds = atof(argv[i + 1]); else if (k == "--batch") batch = atoi(argv[i + 1]);
  }
  if (op.rfind("conv_", 0) == 0) return conv();
  if (op == "gemm") return gemm();
  return 3;
}

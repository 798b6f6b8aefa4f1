#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Forward and backward ML ops of the CPU peers, interleaved (harness.py has the protocol and hooks).

  python3 bench_ops.py --threads 1,2 --ops conv_fwd,conv_bwd_data,conv_bwd_weight,emb_fwd,emb_bwd,gnn,gemm \
     --rounds 3 --out ops.jsonl --with 'c=./ops_c'

Cases (see --describe for shapes):
  conv_*   each distinct ResNet-50 layer as CIN_COUT_KxK_sS_H  (H: input height), batch --batch
  emb_*    ROWSxDIM table (--rows), 26 lookups a sample, e.g. B2048_L1_uniform, B2048_L1_zipf,
           B512_L20_zipf (bags of 20, 26 bags a sample)
           emb_fwd: gather (and sum) to [B*26, 128]; emb_bwd: gradient to the table's rows with a
           plain SGD row update (torch: sparse gradient + SGD; fbgemm: fused EXACT_SGD)
  gnn_*    512 molecule graphs, N=13312 nodes, E=28672 directed edges, hidden 256:
           gnn_gather  x[src] -> E x 256;   gnn_scatter  sum of E x 256 by dst -> N x 256;
           gnn_agg     sum over edges of relu(x[src] + e) by dst (GIN/OGB message, no E-size temporary needed);
           gnn_agg_bwd its gradient to x and e;
           gnn_mlp     one full step: relu([x_src, x_dst, e] W1 + b1) W2 + b2, then sum by dst
  gemm     MxNxK fp32
Families: torch (oneDNN/MKL/ATen), fbgemm (fbgemm-gpu-cpu), jax (XLA CPU), np (NumPy's OpenBLAS).
"""
import argparse, os, sys
import harness
from harness import Lazy
HERE = harness.HERE
BATCH, ROWS, DIM = 8, 4_000_000, 128

def resnet50_convs():
    """distinct (cin, cout, k, stride, input H) with how often they occur"""
    from collections import Counter
    c = Counter(); c[(3, 64, 7, 2, 224)] += 1
    inp, h = 64, 56
    for width, blocks, stride in ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2)):
        for b in range(blocks):
            s = stride if b == 0 else 1
            c[(inp, width, 1, 1, h)] += 1
            c[(width, width, 3, s, h)] += 1
            c[(width, 4 * width, 1, 1, h // s)] += 1
            if b == 0:
                c[(inp, 4 * width, 1, s, h)] += 1
            inp, h = 4 * width, h // s
    return c

def cases(batch, rows):
    out = []
    for (ci, co, k, s, h), cnt in resnet50_convs().items():
        ho = (h + 2 * (k // 2) - k) // s + 1
        fl = 2 * batch * co * ho * ho * ci * k * k
        by = 4 * (batch * ci * h * h + batch * co * ho * ho + co * ci * k * k)
        for op in ("conv_fwd", "conv_bwd_data", "conv_bwd_weight"):
            if op == "conv_bwd_data" and ci == 3:
                continue
            out.append(dict(op=op, case=f"{ci}_{co}_{k}x{k}_s{s}_{h}", n=fl // 2, unit="mac", bytes=by, flops=fl,
                            spec=dict(batch=batch, ci=ci, co=co, k=k, s=s, h=h, count=cnt)))
    for B, L, dist in ((2048, 1, "uniform"), (2048, 1, "zipf"), (512, 20, "uniform"), (512, 20, "zipf")):
        look, bags = B * 26 * L, B * 26
        sp = dict(B=B, L=L, dist=dist, rows=rows, dim=DIM)
        out.append(dict(op="emb_fwd", case=f"B{B}_L{L}_{dist}", n=look, unit="lookup", bytes=look * (4 * DIM + 8) + bags * 4 * DIM, flops=look * DIM, spec=sp))
        out.append(dict(op="emb_bwd", case=f"B{B}_L{L}_{dist}", n=look, unit="lookup", bytes=look * (8 * DIM + 8) + bags * 4 * DIM, flops=2 * look * DIM, spec=sp))
    N, E, H = 13312, 28672, 256
    sp = dict(graphs=512, N=N, E=E, H=H)
    for op, by, fl in (("gnn_gather", 4 * H * (N + E) + 8 * E, 0), ("gnn_scatter", 4 * H * (N + E) + 8 * E, E * H),
                       ("gnn_agg", 4 * H * (2 * N + E) + 16 * E, 3 * E * H), ("gnn_agg_bwd", 4 * H * (3 * N + 2 * E) + 16 * E, 3 * E * H),
                       ("gnn_mlp", 4 * H * (2 * N + E), 2 * E * (3 * H * H + H * H) + E * H)):
        out.append(dict(op=op, case="molpcba512", n=E, unit="edge", bytes=by, flops=fl, spec=sp))
    for m, n, k in ((256, 256, 256), (1024, 1024, 1024), (2048, 2048, 2048), (28672, 256, 768), (64, 3136, 64), (512, 49, 4608), (16, 16, 16), (32, 32, 32)):
        out.append(dict(op="gemm", case=f"{m}x{n}x{k}", n=m * n * k, unit="mac", bytes=4 * (m * n + m * k + n * k), flops=2 * m * n * k, spec=dict(m=m, n=n, k=k)))
    return out

def indices(sp):
    import numpy as np
    r = np.random.default_rng(1); n = sp["B"] * 26 * sp["L"]
    if sp["dist"] == "uniform":
        return r.integers(0, sp["rows"], n)
    # zipf(1.05) by inverse transform over the rows, then scrambled so hot rows are not neighbours
    u = r.random(n); a = 1.05; R = sp["rows"]
    x = (1 - u * (1 - R ** (1 - a))) ** (1 / (1 - a))
    return (x.astype(np.int64) * 2654435761) % R

def graph(sp):
    import numpy as np
    r = np.random.default_rng(2); g, N, E = sp["graphs"], sp["N"], sp["E"]
    base = np.repeat(np.arange(g) * (N // g), E // g)
    return base + r.integers(0, N // g, E), base + r.integers(0, N // g, E)

# ---- workers
def serve_torch(threads):
    import torch, numpy as np
    torch.set_num_threads(threads)
    F = torch.nn.functional
    tabs = {}
    def prepare(q):
        op, sp = q["op"], q["spec"]
        torch.manual_seed(0)
        if op.startswith("conv"):
            x = torch.randn(sp["batch"], sp["ci"], sp["h"], sp["h"]); w = torch.randn(sp["co"], sp["ci"], sp["k"], sp["k"]) * .05
            pad = sp["k"] // 2
            with torch.no_grad():
                gy = torch.randn_like(F.conv2d(x, w, None, sp["s"], pad))
            def mk(fmt):
                X, W, G = x.contiguous(memory_format=fmt), w.contiguous(memory_format=fmt), gy.contiguous(memory_format=fmt)
                if op == "conv_fwd":
                    def f():
                        with torch.inference_mode():
                            F.conv2d(X, W, None, sp["s"], pad)
                else:
                    mask = [op == "conv_bwd_data", op == "conv_bwd_weight", False]
                    def f():
                        with torch.no_grad():
                            torch.ops.aten.convolution_backward(G, X, W, None, [sp["s"]] * 2, [pad] * 2, [1, 1], False, [0, 0], 1, mask)
                return f
            v = {"nchw": mk(torch.contiguous_format), "nhwc": mk(torch.channels_last)}
            if op == "conv_fwd":   # weights prepacked by oneDNN, blocked activations: inference-style best case
                try:
                    Xm, Wm = x.to_mkldnn(), torch._C._nn.mkldnn_reorder_conv2d_weight(w.to_mkldnn(), [pad] * 2, [sp["s"]] * 2, [1, 1], 1, list(x.shape))
                    def fm():
                        with torch.inference_mode():
                            torch.mkldnn_convolution(Xm, Wm, None, [pad] * 2, [sp["s"]] * 2, [1, 1], 1)
                    fm(); v["mkldnn_packed"] = fm
                except Exception:
                    import traceback; traceback.print_exc()
            return v
        if op.startswith("emb"):
            R, D = sp["rows"], sp["dim"]
            if R not in tabs:
                tabs[R] = torch.nn.Parameter(torch.empty(R, D).uniform_(-.01, .01))
            W = tabs[R]; idx = torch.from_numpy(indices(sp)); off = torch.arange(0, idx.numel(), sp["L"])
            if op == "emb_fwd":
                def bag():
                    with torch.no_grad():
                        F.embedding_bag(idx, W, off, mode="sum")
                v = {"embedding_bag": bag}
                if sp["L"] == 1:
                    def emb():
                        with torch.no_grad():
                            F.embedding(idx, W)
                    v["embedding"] = emb
                return v
            gy = torch.randn(off.numel(), D)
            def bwd():
                y = F.embedding_bag(idx, W, off, mode="sum", sparse=True)
                W.grad = None; y.backward(gy)
                with torch.no_grad():
                    W.add_(W.grad, alpha=-1e-3)
                W.grad = None
            def bwd_coal():
                y = F.embedding_bag(idx, W, off, mode="sum", sparse=True)
                W.grad = None; y.backward(gy)
                g = W.grad.coalesce()
                with torch.no_grad():
                    W.index_add_(0, g.indices()[0], g.values(), alpha=-1e-3)
                W.grad = None
            return {"fwd+sparse_grad+sgd": bwd, "fwd+coalesce+sgd": bwd_coal}
        if op.startswith("gnn"):
            N, E, H = sp["N"], sp["E"], sp["H"]
            src, dst = map(torch.from_numpy, graph(sp))
            x, e, m = torch.randn(N, H), torch.randn(E, H), torch.randn(E, H)
            di = dst[:, None].expand(E, H)
            order = torch.argsort(dst); rp = torch.zeros(N + 1, dtype=torch.long); rp[1:] = torch.bincount(dst, minlength=N).cumsum(0)
            ng = torch.no_grad()
            def no(f):
                def g():
                    with torch.no_grad():
                        f()
                return g
            if op == "gnn_gather":
                return {"index_select": no(lambda: x.index_select(0, src)), "x[src]": no(lambda: x[src])}
            if op == "gnn_scatter":
                ms = m[order].contiguous(); lens = rp[1:] - rp[:-1]
                return {"index_add_": no(lambda: torch.zeros(N, H).index_add_(0, dst, m)),
                        "scatter_add_": no(lambda: torch.zeros(N, H).scatter_add_(0, di, m)),
                        "scatter_reduce_": no(lambda: torch.zeros(N, H).scatter_reduce_(0, di, m, "sum")),
                        "segment_reduce(sorted)": no(lambda: torch.segment_reduce(ms, "sum", lengths=lens, initial=0, axis=0, unsafe=True)),
                        "sparse_csr_mm": (lambda A: no(lambda: A @ m))(torch.sparse_csr_tensor(rp, order, torch.ones(E), (N, E)))}
            if op == "gnn_agg":
                def eager():
                    torch.zeros(N, H).index_add_(0, dst, torch.relu(x.index_select(0, src) + e))
                v = {"eager": no(eager)}
                def mkc():
                    torch._dynamo.reset()
                    f = torch.compile(lambda x, e, s, d: torch.zeros(N, H).index_add_(0, d, torch.relu(x.index_select(0, s) + e)))
                    return no(lambda: f(x, e, src, dst))
                v["compile"] = Lazy(mkc)
                return v
            if op == "gnn_agg_bwd":
                xr, er = x.clone().requires_grad_(), e.clone().requires_grad_(); gy = torch.randn(N, H)
                def f():
                    y = torch.zeros(N, H).index_add(0, dst, torch.relu(xr.index_select(0, src) + er))
                    torch.autograd.grad(y, (xr, er), gy)
                return {"eager(fwd+bwd)": f}
            W1, b1, W2, b2 = torch.randn(H, 3 * H) * .05, torch.zeros(H), torch.randn(H, H) * .05, torch.zeros(H)
            def f():
                h = torch.cat([x.index_select(0, src), x.index_select(0, dst), e], 1)
                torch.zeros(N, H).index_add_(0, dst, F.linear(torch.relu(F.linear(h, W1, b1)), W2, b2))
            return {"eager": no(f)}
        if op == "gemm":
            a, b = torch.randn(sp["m"], sp["k"]), torch.randn(sp["k"], sp["n"]); o = torch.empty(sp["m"], sp["n"])
            return {"mm(mkl)": lambda: torch.mm(a, b, out=o)}
        raise ValueError("unsupported")
    harness.serve(prepare, threads)

def serve_fbgemm(threads):
    import torch, fbgemm_gpu
    torch.set_num_threads(threads)
    from fbgemm_gpu.split_table_batched_embeddings_ops_common import EmbeddingLocation
    from fbgemm_gpu.split_table_batched_embeddings_ops_training import SplitTableBatchedEmbeddingBagsCodegen, ComputeDevice
    from fbgemm_gpu.split_embedding_configs import EmbOptimType
    cache = {}
    def prepare(q):
        op, sp = q["op"], q["spec"]
        if not op.startswith("emb"):
            raise ValueError("unsupported")
        if "t" not in cache:
            cache["t"] = SplitTableBatchedEmbeddingBagsCodegen([(sp["rows"], sp["dim"], EmbeddingLocation.HOST, ComputeDevice.CPU)],
                                                              optimizer=EmbOptimType.EXACT_SGD, learning_rate=1e-3, device=torch.device("cpu"))
        t = cache["t"]; idx = torch.from_numpy(indices(sp)); off = torch.arange(0, idx.numel() + 1, sp["L"]); gy = torch.randn(off.numel() - 1, sp["dim"])
        if op == "emb_fwd":
            def f():
                with torch.no_grad():
                    t(idx, off)
            return {"tbe": f}
        return {"tbe(fwd+fused_sgd)": lambda: t(idx, off).backward(gy)}
    harness.serve(prepare, threads)

def serve_jax(threads):
    import jax, jax.numpy as jnp, numpy as np
    def prepare(q):
        op, sp = q["op"], q["spec"]
        def blk(f, *a):
            g = jax.jit(f); return lambda: jax.block_until_ready(g(*a))
        r = np.random.default_rng(0); rn = lambda *s: jnp.asarray(r.standard_normal(s, dtype=np.float32))
        if op.startswith("gnn"):
            N, E, H = sp["N"], sp["E"], sp["H"]; s, d = (jnp.asarray(v.astype(np.int32)) for v in graph(sp))
            x, e, m = rn(N, H), rn(E, H), rn(E, H)
            agg = lambda x, e: jax.ops.segment_sum(jax.nn.relu(x[s] + e), d, N)
            if op == "gnn_gather": return {"jit": blk(lambda x, s: x[s], x, s)}
            if op == "gnn_scatter": return {"segment_sum": blk(lambda m, d: jax.ops.segment_sum(m, d, N), m, d)}
            if op == "gnn_agg": return {"jit": blk(agg, x, e)}
            if op == "gnn_agg_bwd":
                gy = rn(N, H); return {"jit(fwd+bwd)": blk(lambda x, e, g: jax.vjp(agg, x, e)[1](g), x, e, gy)}
            W1, W2 = rn(3 * H, H) * .05, rn(H, H) * .05
            return {"jit": blk(lambda x, e: jax.ops.segment_sum(jax.nn.relu(jnp.concatenate([x[s], x[d], e], 1) @ W1) @ W2, d, N), x, e)}
        if op == "gemm":
            return {"jit": blk(lambda a, b: a @ b, rn(sp["m"], sp["k"]), rn(sp["k"], sp["n"]))}
        if op == "conv_fwd" and not os.environ.get("PEERS_NO_JAX_CONV"):
            p = sp["k"] // 2; x = rn(sp["batch"], sp["h"], sp["h"], sp["ci"]); w = rn(sp["k"], sp["k"], sp["ci"], sp["co"])
            return {"nhwc": blk(lambda x, w: jax.lax.conv_general_dilated(x, w, (sp["s"],) * 2, [(p, p)] * 2, dimension_numbers=("NHWC", "HWIO", "NHWC")), x, w)}
        raise ValueError("unsupported")
    harness.serve(prepare, threads)

def serve_np(threads):
    import numpy as np
    def prepare(q):
        if q["op"] != "gemm":
            raise ValueError("unsupported")
        sp = q["spec"]; r = np.random.default_rng(0)
        a = r.standard_normal((sp["m"], sp["k"]), dtype=np.float32); b = r.standard_normal((sp["k"], sp["n"]), dtype=np.float32); o = np.empty((sp["m"], sp["n"]), np.float32)
        return {"openblas": lambda: np.matmul(a, b, out=o)}
    harness.serve(prepare, threads)

PY = os.path.join(HERE, "venv", "bin", "python"); JPY = os.path.join(HERE, "jvenv", "bin", "python"); FPY = os.path.join(HERE, "fvenv", "bin", "python"); ME = os.path.abspath(__file__)
def fam(py, name):
    return lambda T: ([py, ME, "--serve", name, "--threads", str(T)], {"JAX_PLATFORMS": "cpu", "CUDA_VISIBLE_DEVICES": ""})
FAMILIES = {"torch": fam(PY, "torch"), "fbgemm": fam(FPY, "fbgemm"), "jax": fam(JPY, "jax"), "np": fam(PY, "np")}

def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    harness.add_args(ap)
    ap.add_argument("--batch", type=int, default=BATCH, help="conv batch")
    ap.add_argument("--rows", type=int, default=ROWS, help="embedding rows (4M x 128 fp32 = 2 GB per peer)")
    a = ap.parse_args()
    if a.serve:
        return globals()["serve_" + a.serve](a.threads[0])
    cs = harness.pick(cases(a.batch, a.rows), a)
    if a.describe:
        import json
        for c in cs:
            print(json.dumps(c))
        return
    want = [x for x in a.families.split(",") if x]
    fams = {k: v for k, v in FAMILIES.items() if not want or k in want}
    if not any(c["op"].startswith("emb") for c in cs):
        fams.pop("fbgemm", None)
    if not any(c["op"] == "gemm" for c in cs):
        fams.pop("np", None)
    harness.run("ops", cs, fams, a)

if __name__ == "__main__":
    main()

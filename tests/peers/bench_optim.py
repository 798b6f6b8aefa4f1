#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Optimizer step cost of the CPU peers, interleaved (see harness.py for the protocol and hooks).

  python3 bench_optim.py --threads 1,2 --ops adam,adamw,nadam,nadamw,sgdm,nesterov,velo \
     --cases 10k,1M,resnet50,100M --rounds 5 --limits --out optim.jsonl \
     --with 'cloop=./naive_optim' \
     --with-serve 'stepcost=../../build/stepcost bench --peer --serve'

Families: torch (torch.optim: for/foreach/fused/compile), optax (jitted, donated), deepspeed (DeepSpeedCPUAdam).
None of them has VeLO; stepcost's own Adam, in the same rounds, is what its VeLO is set against.

Steps are timed alone, with gradients already there.  bytes per parameter (fp32) for the best known
schedule: adam family 28 (read p g m v, write p m v), sgdm/nesterov 20 (read p g m, write p m),
velo 44 (read p g, m x3, rms; write p, m x3, rms; factored rows and columns not counted).
"""
import argparse, os, sys
import harness
from harness import Lazy
HERE = harness.HERE


def resnet50_shapes():
    s = [(64, 3, 7, 7), (64,), (64,)]
    inp = 64
    for width, blocks in ((64, 3), (128, 4), (256, 6), (512, 3)):
        for b in range(blocks):
            s += [(width, inp, 1, 1), (width,), (width,), (width, width, 3, 3), (width,), (width,),
                  (4 * width, width, 1, 1), (4 * width,), (4 * width,)]
            if b == 0:
                s += [(4 * width, inp, 1, 1), (4 * width,), (4 * width,)]
            inp = 4 * width
    return s + [(1000, 2048), (1000,)]

SHAPES = {
    "10k": [(64, 128), (128,), (128, 13), (13,)],
    "1M": [(512, 512)] * 4,
    "1M-flat": [(1048576,)],
    "resnet50": resnet50_shapes(),
    "resnet50-flat": [(25557032,)],
    "100M": [(2048, 2048)] * 24,
}
OPS = ["adam", "adamw", "nadam", "nadamw", "sgdm", "nesterov", "velo"]
BYTES = {"sgdm": 20, "nesterov": 20, "velo": 44}
FLOPS = {"sgdm": 4, "nesterov": 6, "velo": 400}   # nominal, per parameter


def prod(t):
    r = 1
    for x in t:
        r *= x
    return r

def cases():
    out = []
    for op in OPS:
        for c, sh in SHAPES.items():
            if op == "velo" and c in ("resnet50-flat", "1M-flat"):
                continue
            n = sum(prod(s) for s in sh); b = BYTES.get(op, 28)
            out.append(dict(op=op, case=c, n=n, unit="param", bytes=b * n, flops=FLOPS.get(op, 12) * n, spec={"shapes": sh},
                            limit_kernel="rw32" if b == 20 else "rw43", limit_bytes=(12 if b == 20 else 16) * n))
    return out

HYP = dict(lr=1e-4, betas=(0.9, 0.999), eps=1e-8, wd=1e-2, momentum=0.9)

# ---- workers -----------------------------------------------------------------------------------
def torch_params(q):
    import torch
    g = torch.Generator().manual_seed(0)
    ps = []
    for s in q["spec"]["shapes"]:
        p = torch.nn.Parameter(torch.randn(*s, generator=g) * 0.02)
        p.grad = torch.randn(*s, generator=g) * 1e-3
        ps.append(p)
    return ps

def serve_torch(threads):
    import torch
    torch.set_num_threads(threads)
    O, H = torch.optim, HYP
    def mk(cls, kw, ps, compiled=False):
        o = cls(ps, **kw)
        if not compiled:
            return o.step
        torch._dynamo.reset()
        f = torch.compile(lambda: o.step())
        def step():
            with torch.no_grad():
                f()
        step(); step(); step()
        return step
    def prepare(q):
        op = q["op"]
        if op == "velo":
            raise ValueError("unsupported")
        ps = torch_params(q)
        adam = dict(lr=H["lr"], betas=H["betas"], eps=H["eps"])
        sg = dict(lr=H["lr"], momentum=H["momentum"])
        cls, kw, fused = {
            "adam": (O.Adam, adam, 1), "adamw": (O.AdamW, dict(adam, weight_decay=H["wd"]), 1),
            "nadam": (O.NAdam, adam, 0), "nadamw": (O.NAdam, dict(adam, weight_decay=H["wd"], decoupled_weight_decay=True), 0),
            "sgdm": (O.SGD, sg, 1), "nesterov": (O.SGD, dict(sg, nesterov=True), 1)}[op]
        v = {"for": Lazy(lambda: mk(cls, dict(kw, foreach=False), ps)), "foreach": Lazy(lambda: mk(cls, dict(kw, foreach=True), ps))}
        if fused:
            v["fused"] = Lazy(lambda: mk(cls, dict(kw, fused=True), ps))
        if not os.environ.get("PEERS_NO_COMPILE") and not (q["case"] == "resnet50" and not os.environ.get("PEERS_COMPILE_BIG")):
            v["compile"] = Lazy(lambda: mk(cls, dict(kw, foreach=True), ps, True))
        return v
    harness.serve(prepare, threads)

def serve_optax(threads):
    import jax, jax.numpy as jnp, optax
    H = HYP
    def prepare(q):
        op = q["op"]
        a = dict(b1=H["betas"][0], b2=H["betas"][1], eps=H["eps"])
        mk = {"adam": lambda: optax.adam(H["lr"], **a), "adamw": lambda: optax.adamw(H["lr"], weight_decay=H["wd"], **a),
              "nadam": lambda: optax.nadam(H["lr"], **a), "nadamw": lambda: optax.nadamw(H["lr"], weight_decay=H["wd"], **a),
              "sgdm": lambda: optax.sgd(H["lr"], momentum=0.9), "nesterov": lambda: optax.sgd(H["lr"], momentum=0.9, nesterov=True)}.get(op)
        if mk is None:
            raise ValueError("unsupported")
        def make():
            tx = mk()
            key = jax.random.PRNGKey(0)
            p = [0.02 * jax.random.normal(key, tuple(s)) for s in q["spec"]["shapes"]]
            g = [1e-3 * jax.random.normal(key, tuple(s)) for s in q["spec"]["shapes"]]
            def step(p, s, g):
                u, s = tx.update(g, s, p)
                return optax.apply_updates(p, u), s
            f = jax.jit(step, donate_argnums=(0, 1))
            st = {"p": p, "s": tx.init(p)}
            def one():
                st["p"], st["s"] = f(st["p"], st["s"], g)
                jax.block_until_ready(st["p"])
            return one
        return {"jit": Lazy(make)}
    harness.serve(prepare, threads)

def serve_deepspeed(threads):
    os.environ.setdefault("DS_ACCELERATOR", "cpu")
    os.environ.setdefault("TORCH_EXTENSIONS_DIR", os.path.join(HERE, "torch_ext"))
    os.environ["PATH"] = os.path.dirname(sys.executable) + ":" + os.environ["PATH"]
    import torch
    torch.set_num_threads(threads)
    def prepare(q):
        if q["op"] not in ("adam", "adamw"):
            raise ValueError("unsupported")
        ps = torch_params(q)
        from deepspeed.ops.adam import DeepSpeedCPUAdam
        def make():
            o = DeepSpeedCPUAdam(ps, lr=HYP["lr"], betas=HYP["betas"], eps=HYP["eps"], adamw_mode=q["op"] == "adamw",
                                 weight_decay=HYP["wd"] if q["op"] == "adamw" else 0.0)
            return lambda: o.step()
        return {"cpuadam": Lazy(make)}
    harness.serve(prepare, threads)

PY = os.path.join(HERE, "venv", "bin", "python")
JPY = os.path.join(HERE, "jvenv", "bin", "python")
ME = os.path.abspath(__file__)
def fam(py, name):
    return lambda T: ([py, ME, "--serve", name, "--threads", str(T)], {"JAX_PLATFORMS": "cpu", "CUDA_VISIBLE_DEVICES": ""})
FAMILIES = {"torch": fam(PY, "torch"), "optax": fam(JPY, "optax"), "deepspeed": fam(PY, "deepspeed")}

def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    harness.add_args(ap)
    a = ap.parse_args()
    if a.serve:
        return globals()["serve_" + a.serve](a.threads[0])
    cs = harness.pick(cases(), a)
    if a.describe:
        import json
        for c in cs:
            print(json.dumps(c))
        return
    want = [x for x in a.families.split(",") if x]
    fams = {k: v for k, v in FAMILIES.items() if not want or k in want}
    if all(c["op"] == "velo" for c in cs):
        fams = {}
    harness.run("optim", cs, fams, a)

if __name__ == "__main__":
    main()

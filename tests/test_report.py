# SPDX-License-Identifier: Apache-2.0
"""The page of a report, read back: test_report.py STEPCOST

Well-formed, self-contained, escaped, reproducible and bounded in size; what its tables and plots say is compared with the
numbers of the JSON it was made from, positions in the plots through the labels of their axes. The comparison itself is
tested with a number that was changed."""

import copy
import html.parser
import json
import math
import os
import re
import subprocess
import sys
import tempfile
import urllib.parse
import xml.etree.ElementTree as ElementTree

STEPCOST = sys.argv[1]
XHTML, SVG = "{http://www.w3.org/1999/xhtml}", "{http://www.w3.org/2000/svg}"
LARGEST = 1_000_000  # bytes of a page
HOSTILE = "\"><script>alert(1)</script>&amp;'</svg></style>\u0001]]>"
passed = failed = 0


def check(ok, what):
    global passed, failed
    if ok:
        passed += 1
    else:
        failed += 1
        print("FAIL", what)


# ---- Reports to draw ----


def stat(median, rounds=10):
    return {"min": 0.97 * median, "median": median, "ci95": [0.98 * median, 1.03 * median],
            "confidence": 0.978 if rounds > 5 else 0.75, "spread": 0.01, "rounds": rounds}


KINDS = {  # bytes and flops per parameter, bytes of state
    "heavy_ball": (20, 7, 4), "nesterov": (20, 9, 4), "adam": (28, 15, 8), "adamw": (28, 17, 8), "nadam": (28, 17, 8),
    "nadamw": (28, 19, 8), "adafactor": (24.1, 17, 0.06), "lion": (20, 12, 4), "lamb": (40, 28, 8),
    "velo": (68.4, 345.5, 16.1)}


def row(workload, optimizer, params, ns, adam, samples=10):
    moved, flops, state = KINDS[optimizer]
    phases = {}
    if optimizer == "velo":
        for name, part in (("accumulate", 0.1), ("statistics", 0.3), ("lstm", 0.04), ("hypernetwork", 0.002), ("mlp", 0.558)):
            phases[name] = stat(part * ns)
    fraction = max(moved / 117.3, flops / 534.2) / ns
    return {"workload": workload, "optimizer": optimizer, "threads": 2,
            "weights": "generated (cost only)" if optimizer == "velo" else None, "tensors": 161, "params": params,
            "full_params": params, "shortened": False, "ns_per_param": stat(ns), "ms_per_step": stat(ns * params * 1e-6),
            "ratio_to_adam": ns / adam, "ratio_to_adam_ci95": [0.99 * ns / adam, 1.02 * ns / adam], "ratio_paired": True,
            "state_bytes": int(state * params), "workspace_bytes": 0, "state_bytes_per_param": state,
            "model_bytes_per_param": moved, "model_flops_per_param": flops, "gbs": moved / ns, "gflops": flops / ns,
            "roof": {"pattern": "rw43", "pattern_bytes": 28.0, "gbs": 117.3, "gflops": 534.2}, "roof_fraction": fraction,
            "limit": "memory", "phases": phases, "stop": "budget", "resets": 0, "steps_per_sample": 1,
            "samples_per_round": 1, "samples": [ns * params * (1 + 0.001 * i) for i in range(samples)]}


def report(workloads=4, samples=10, sweep=True):
    names = ["resnet50", "ogbg", "dlrm", "unet"][:workloads]
    rows, sizes = [], []
    for w, name in enumerate(names):
        adam = 0.2137 * (1 + 0.13 * w)
        for k, kind in enumerate(KINDS):
            ns = 5.127 * adam if kind == "velo" else adam * (1 if kind == "adam" else 0.6 + 0.0917 * k)
            rows.append(row(name, kind, 25557032 // (w + 1), ns, adam, samples))
    if sweep:
        for exponent in range(0, 17):
            params = round(10 ** (exponent / 2))
            adam, velo = 0.39 + 34.7 / params, 1.36 + 44868.06 / params
            sizes += [row("sweep", "adam", params, adam, adam, samples), row("sweep", "velo", params, velo, adam, samples)]
    return saved({
            "schema": 1, "report": "cost",
            "context": {"version": "0.1.0", "commit": "abc", "compiler": "gcc", "flags": "-O2", "date": "2026-01-02T03:04:05Z",
                        "cpu": "Some CPU", "system": "Linux", "isa": "avx2,hwy",
                        "rows": {"adam.adam": "avx2", "gemm.pack": "scalar", "velo.mlp": "avx2"},
                        "caches": [{"core_kind": 0, "level": i + 1, "bytes": b, "line_bytes": 64, "cpus": c}
                                   for i, (b, c) in enumerate([(32768, 1), (1048576, 1), (33554432, 8)])],
                        "threads": 2, "pinned_cpus": [0, 1], "packages": 1, "numa_nodes": 1, "cores": 2, "allowed_cpus": 2,
                        "governor": "performance", "ghz_estimate": 3.9, "clock_overhead_ns": 21.3,
                        "clock_resolution_ns": 20.0, "huge_pages": "madvise", "memory_bytes": 2 ** 34,
                        "memory_available_bytes": 2 ** 33, "load_average": 0.1},
            "counters": [{"name": "PAPI_TOT_CYC", "available": False, "source": "absent", "reason": "not here"},
                         {"name": "clock::WALL-NS", "available": True, "source": "clock", "reason": ""}],
            "weights": "generated (cost only)", "nonfinite": "pass", "elapsed_seconds": 61.5,
            "peak": {"gflops": 534.2, "row": "avx2", "threads": 2}, "rows": rows, "sweep": sizes, "roofs": [],
            "refused": [], "command": "stepcost cost --html page.html"})


def saved(value):
    """Numbers as a file holds them: nine significant digits."""
    if isinstance(value, dict):
        return {key: saved(item) for key, item in value.items()}
    if isinstance(value, list):
        return [saved(item) for item in value]
    return float(f"{value:.9g}") if isinstance(value, float) else value


def render(data, code=0, text=None):
    """Bytes of the page, None when the command fails as it should."""
    with tempfile.TemporaryDirectory() as folder:
        source, page = os.path.join(folder, "report.json"), os.path.join(folder, "page.html")
        with open(source, "w", encoding="utf-8") as file:
            file.write(text if text is not None else json.dumps(data))
        run = subprocess.run([STEPCOST, "report", source, "--html", page], capture_output=True, check=False)
        check(run.returncode == code, f"exit code {run.returncode}, expected {code}: {run.stderr.decode()}")
        check(os.path.exists(page) == (code == 0), "a page is there exactly when the command succeeds")
        if not os.path.exists(page):
            return None
        with open(page, "rb") as file:
            return file.read()


# ---- What every page must be ----


class Reader(html.parser.HTMLParser):
    """As a browser reads it: elements that stay open, and everything that could fetch or run."""
    VOID = {"meta", "br"}

    def __init__(self):
        super().__init__()
        self.open, self.problems, self.ids, self.references, self.scripts = [], [], [], [], []

    def handle_starttag(self, tag, attrs):
        if tag not in self.VOID:
            self.open.append(tag)
        self.visit(tag, dict(attrs))

    def handle_startendtag(self, tag, attrs):
        self.visit(tag, dict(attrs))

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.problems.append(f"</{tag}> closes nothing")

    def visit(self, tag, attrs):
        if tag in {"img", "iframe", "link", "object", "embed", "form", "video", "audio", "base", "image", "foreignobject"}:
            self.problems.append(f"<{tag}>")
        if tag == "script":
            self.scripts.append(attrs)
        for name, value in attrs.items():
            if name.startswith("on") or name in {"src", "srcset", "action", "style", "xlink:href", "formaction"}:
                self.problems.append(f"<{tag} {name}>")
            if name == "id":
                self.ids.append(value)
            if name == "href":
                if value.startswith("#"):
                    self.references.append(value[1:])
                elif not value.startswith("data:text/csv;charset=utf-8,"):
                    self.problems.append(f"href={value[:40]}")
            if name == "aria-labelledby":
                self.references += value.split()
            for target in re.findall(r"url\(([^)]*)\)", value or ""):
                self.references.append(target.lstrip("#"))
                if not target.startswith("#"):
                    self.problems.append(f"url({target})")


def check_page(page, name):
    text = page.decode("utf-8")
    check(len(page) <= LARGEST, f"{name}: {len(page)} bytes")
    try:
        tree = ElementTree.fromstring(page)
    except ElementTree.ParseError as error:
        check(False, f"{name}: not well-formed: {error}")
        raise SystemExit(1) from error
    reader = Reader()
    reader.feed(text)
    check(not reader.open and not reader.problems, f"{name}: {reader.open} {reader.problems[:5]}")
    check(len(set(reader.ids)) == len(reader.ids), f"{name}: an id stands twice")
    check(set(reader.references) <= set(reader.ids), f"{name}: nothing has ids {set(reader.references) - set(reader.ids)}")
    check(reader.scripts == [{"type": "application/json", "id": "stepcost-json"}], f"{name}: scripts {reader.scripts}")
    check("default-src 'none'" in text, f"{name}: no content security policy")
    rest = text.replace("http://www.w3.org/2000/svg", "").replace("http://www.w3.org/1999/xhtml", "")
    check(re.search(r"https?:|//[a-z]|@import", rest[:rest.index("<script")]) is None, f"{name}: an address in the page")
    visible = text[:text.index("<script")].replace("hypernetwork", "")
    check(re.search(r"[>\s\"](-?nan|-?inf)[<\s,%\"]", visible) is None, f"{name}: a number that is none")
    for svg in tree.iter(SVG + "svg"):
        check(svg.get("viewBox") and svg.get("role") == "img" and len(svg.findall(SVG + "title")) == 1
              and svg.findtext(SVG + "desc"), f"{name}: a plot lacks viewBox, role, title or description")
        for element in svg.iter():
            for key in ("x", "y", "width", "height", "d", "transform"):
                check(re.search("nan|inf", element.get(key) or "") is None, f"{name}: {key}={element.get(key)}")
    return tree


# ---- Numbers read back ----


def digits(value):
    """Three significant digits, as a table writes them."""
    if value is None:
        return "\u2013"
    if value == 0:
        return "0"
    exponent = int(f"{value:.2e}".split("e")[1])
    if exponent <= 2:
        return f"{value:.{2 - exponent}f}"
    return f"{float(f'{value:.2e}'):,.0f}".replace(",", "\u202f")


def percent(value):
    return "\u2013" if value is None else digits(100 * value) + "\u00a0%"


def cell(element):
    small = element.find(XHTML + "small")
    return (element.text or "").rstrip("*!"), (small.text if small is not None else None)


def interval(ends):
    return None if ends is None else f"{digits(ends[0])}\u2013{digits(ends[1])}"


def compare_table(tree, section, rows, columns):
    """columns: position to function of a row, giving (value, interval). Yields what differs."""
    found = 0
    for line in tree.find(f".//{XHTML}section[@id='{section}']").iter(XHTML + "tr"):
        if line.get("data-row") is None:
            continue
        data = rows[int(line.get("data-row"))]
        found += 1
        cells = line.findall(XHTML + "td")
        for position, expected in columns.items():
            if cell(cells[position]) != expected(data):
                yield f"{section} row {line.get('data-row')} column {position}: {cell(cells[position])} is not {expected(data)}"
    if found == 0:
        yield f"{section}: no rows"


def ns_cell(r):
    return digits(r["ns_per_param"]["median"]), interval(r["ns_per_param"]["ci95"])


def ratio_cell(r):
    return digits(r["ratio_to_adam"]), None if r["optimizer"] == "adam" else interval(r["ratio_to_adam_ci95"])


def plain(value):
    return lambda r: (digits(value(r)), None)


def fraction_cell(r):
    return percent(r["roof_fraction"]), None


UNITS = {"": 1, "k": 1e3, "M": 1e6, "G": 1e9, "ns": 1, "\u00b5s": 1e3, "ms": 1e6, "s": 1e9}


def tick_value(text):
    number, _, unit = text.replace("\u202f", "").partition("\u00a0")
    return float(number) * UNITS[unit]


def scale(svg, kind, position, logarithmic):
    """From the labels of an axis: a function from positions to values."""
    ticks = [(float(t.get(position)), tick_value(t.text)) for t in svg.iter(SVG + "text") if kind(t.get("class").split())]
    (a, va), (b, vb) = ticks[0], ticks[-1]
    if logarithmic:
        return lambda p: math.exp(math.log(va) + (p - a) / (b - a) * (math.log(vb) - math.log(va)))
    return lambda p: va + (p - a) / (b - a) * (vb - va)


def near(drawn, value, tolerance):
    return abs(drawn - value) <= tolerance * value


def plots(tree, prefix):
    return [svg for svg in tree.iter(SVG + "svg") if svg.get("aria-labelledby").startswith(prefix)]


def compare_plots(tree, data):
    """Yields what is drawn at another place than its number. Positions have two decimals."""
    drawn = 0
    for svg in plots(tree, "bars-"):
        x = scale(svg, lambda c: "mid" in c, "x", False)
        end = max(float(r.get("x")) + float(r.get("width")) for r in svg.iter(SVG + "rect"))
        for bar in svg.iter(SVG + "rect"):
            r = data["rows"][int(bar.get("data-row"))]
            length = x(float(bar.get("x")) + float(bar.get("width")))
            drawn += 1
            if abs(length - r["ns_per_param"]["median"]) > 0.001 * x(end):
                yield f"bar of {r['workload']} {r['optimizer']}: {length}"
        values = [t.text for t in svg.iter(SVG + "text") if "value" in t.get("class").split()]
        group = [data["rows"][int(b.get("data-row"))] for b in svg.iter(SVG + "rect")]
        if values != [v for r in group for v in (digits(r["ns_per_param"]["median"]), digits(r["ratio_to_adam"]))]:
            yield f"numbers beside the bars: {values}"
    if drawn != len(data["rows"]):
        yield f"{drawn} bars for {len(data['rows'])} rows"

    for svg in plots(tree, "phases-plot"):
        x = scale(svg, lambda c: "tick" in c and "mid" in c, "x", False)
        parts = [part for part in svg.iter(SVG + "rect") if part.get("data-row") is not None]
        end = max(float(part.get("x")) + float(part.get("width")) for part in parts)
        for part in parts:
            r = data["rows"][int(part.get("data-row"))]
            left = float(part.get("x"))
            width = x(left + float(part.get("width"))) - x(left)
            if abs(width - r["phases"][part.get("data-phase")]["median"]) > 0.001 * x(end):
                yield f"phase {part.get('data-phase')} of {r['workload']}: {width}"

    def marks(svg):
        x = scale(svg, lambda c: "x" in c, "x", True)
        y = scale(svg, lambda c: "y" in c, "y", True)
        for mark in svg.iter(SVG + "path"):
            if mark.get("data-row") is not None:
                px, py = re.match(r"translate\((\S+) (\S+)\)", mark.get("transform")).groups()
                # Labels of the horizontal lines stand 4 units below them, for the eye.
                yield int(mark.get("data-row")), x(float(px)), y(float(py) + 4)

    for svg in plots(tree, "sweep-"):
        whole = svg.get("aria-labelledby").startswith("sweep-step")
        points = list(marks(svg))
        if len(points) != len(data["sweep"]):
            yield f"{len(points)} points for {len(data['sweep'])} sizes"
        for index, px, py in points:
            r = data["sweep"][index]
            ns = r["ns_per_param"]["median"] * (r["params"] if whole else 1)
            if not near(px, r["params"], 0.005) or not near(py, ns, 0.005):
                yield f"sweep {r['optimizer']} {r['params']}: {px} {py}"
    points = [p for svg in plots(tree, "roofline-") for p in marks(svg)]
    if len(points) != len(data["rows"]):
        yield f"{len(points)} points under roofs for {len(data['rows'])} rows"
    for index, px, py in points:
        r = data["rows"][index]
        if not near(px, r["model_flops_per_param"] / r["model_bytes_per_param"], 0.002) or not near(py, r["gflops"], 0.005):
            yield f"roofline {r['workload']} {r['optimizer']}: {px} {py}"


def compare(tree, data):
    yield from compare_table(tree, "table", data["rows"], {
        0: ns_cell, 1: plain(lambda r: r["ns_per_param"]["min"]), 2: plain(lambda r: r["ms_per_step"]["median"]),
        3: ratio_cell, 4: plain(lambda r: r["state_bytes_per_param"]), 5: plain(lambda r: r["model_bytes_per_param"]),
        6: plain(lambda r: r["model_flops_per_param"]), 7: plain(lambda r: r["gbs"]), 8: plain(lambda r: r["gflops"]),
        9: plain(lambda r: r["roof"]["gbs"]), 10: fraction_cell})
    if data["sweep"]:
        yield from compare_table(tree, "size", data["sweep"], {1: ns_cell, 3: ratio_cell, 4: fraction_cell})
    if any(r["phases"] for r in data["rows"]):
        names = next(list(r["phases"]) for r in data["rows"] if r["phases"])
        yield from compare_table(tree, "phases", data["rows"], {
            i: lambda r, n=name: (digits(r["phases"][n]["median"]), interval(r["phases"][n]["ci95"]))
            for i, name in enumerate(names)})
    yield from compare_plots(tree, data)


def embedded(page):
    """The report in a page, as its text says to take it out."""
    return json.loads(re.search(r"stepcost-json.>(.*?)\x3c/script", page.decode(), re.S)[1])


def labels_apart(tree):
    """No two labels of one roofline cover each other."""
    for svg in plots(tree, "roofline-"):
        boxes = [(float(t.get("x")), float(t.get("y")), t.text) for t in svg.iter(SVG + "text")
                 if "name" in t.get("class").split()]
        for i, (ax, ay, a) in enumerate(boxes):
            for bx, by, b in boxes[:i]:
                if abs(ay - by) < 11 and ax < bx + 6.5 * len(b) and bx < ax + 6.5 * len(a):
                    yield f"{a} covers {b}"


# ---- The tests ----

full = report()
page = render(full)
tree = check_page(page, "four workloads")
differences = list(compare(tree, full))
check(not differences, f"numbers: {differences[:3]}")
check(embedded(page) == full, "the report in the page is the report")
check(not list(labels_apart(tree)), f"labels: {list(labels_apart(tree))[:3]}")
answer = "".join(tree.find(f".//{XHTML}p[@class='answer']").itertext())
velo = next(r for r in full["rows"] if r["optimizer"] == "velo")
for part in (digits(velo["ns_per_param"]["median"]), digits(velo["ratio_to_adam"]), percent(velo["roof_fraction"]), "VeLO"):
    check(part in answer, f"the answer lacks {part}: {answer}")
check("generated (cost only)" in "".join(tree.itertext()), "the weights are not named")

# The comparison finds a number that is not the one in the page.
for path in (("rows", 3, "ns_per_param", "median"), ("rows", 9, "gflops"), ("sweep", 5, "ns_per_param", "median"),
             ("rows", 9, "phases", "mlp", "median"), ("rows", 19, "ratio_to_adam")):
    other = copy.deepcopy(full)
    spot = other
    for key in path[:-1]:
        spot = spot[key]
    spot[path[-1]] *= 1.02
    check(list(compare(tree, other)), f"a change of {path} goes unseen")

# Same report, same bytes; spaces between tokens are not part of it.
check(render(full) == page, "two pages of one report differ")
check(render(None, text=json.dumps(full, indent=3)) == page, "the layout of the JSON shows in the page")

# Downloads hold the values in full.
links = [a for a in tree.iter(XHTML + "a") if a.get("download")]
csv = {a.get("download"): urllib.parse.unquote(a.get("href").split(",", 1)[1]).splitlines() for a in links}
check(len(csv["stepcost-cost.csv"]) == 1 + len(full["rows"]), "lines of the table as CSV")
header, first = csv["stepcost-cost.csv"][0].split(","), csv["stepcost-cost.csv"][1].split(",")
check(near(float(first[header.index("ns_per_param")]), full["rows"][0]["ns_per_param"]["median"], 1e-8), "CSV value")
check(len(csv["stepcost-sweep.csv"]) == 1 + len(full["sweep"]), "lines of the sweep as CSV")

# Many samples: they stay out of the page, and nothing else does.
large = report(samples=4000)
page = render(large)
check_page(page, "many samples")
kept = embedded(page)
for r in large["rows"] + large["sweep"]:
    del r["samples"]
check(kept == large, "without samples the report in the page is the report")

# Every text is hostile.
def poison(value):
    if isinstance(value, dict):
        return {key: poison(item) for key, item in value.items()}
    if isinstance(value, list):
        return [poison(item) for item in value]
    return HOSTILE if isinstance(value, str) else value


hostile = poison(report(workloads=1))
hostile["report"] = "cost"
hostile["context"]["rows"] = {HOSTILE: HOSTILE}
hostile["refused"] = [{"workload": HOSTILE, "optimizer": HOSTILE, "needed_bytes": 1, "available_bytes": 1, "why": HOSTILE}]
for r in hostile["rows"] + hostile["sweep"]:
    r["phases"] = {HOSTILE: stat(1.0)} if r["phases"] else {}
page = render(hostile)
tree = check_page(page, "hostile texts")
check(embedded(page) == hostile, "hostile texts arrive unchanged in the JSON")
check("<script>alert(1)</script>" in "".join(tree.itertext()), "hostile texts are shown")
formula = report(workloads=1, sweep=False)
for r in formula["rows"]:
    r["workload"] = "=1+1"
check(urllib.parse.quote("\"'=1+1\"", safe="").encode() in render(formula), "a formula in CSV is defused")

# Missing values: dashes, no numbers.
gaps = report(workloads=2)
for r in gaps["rows"]:
    r.update(roof={"pattern": None, "gbs": None, "gflops": None}, roof_fraction=None, limit=None, ratio_to_adam=None,
             ratio_to_adam_ci95=None, phases={})
    r["ns_per_param"]["ci95"] = None
gaps["peak"] = None
tree = check_page(render(gaps), "no roofs, no Adam")
differences = list(compare(tree, gaps))
check(not differences, f"numbers with gaps: {differences[:3]}")
for key in list(gaps["rows"][0]):
    gaps["rows"][0][key] = None
check_page(render(gaps), "a row of nothing")
for name, change in {"no VeLO": lambda d: d.update(rows=[r for r in d["rows"] if r["optimizer"] != "velo"], sweep=[]),
                     "no rows": lambda d: d.update(rows=[], sweep=[]),
                     "bare": lambda d: [d.pop(key) for key in list(d) if key not in ("schema", "report")],
                     "empty context": lambda d: d.update(context={"caches": [{}, 7], "pinned_cpus": ["x"], "rows": 3},
                                                         counters=[{}, None], refused=[{}])}.items():
    other = report(workloads=1)
    change(other)
    check_page(render(other), name)
short = report(workloads=1)
for r in short["rows"]:
    r.update(shortened=True, full_params=539_000_000, workload="/data/" + 40 * "a-long-name/")
tree = check_page(render(short), "shortened")
check("shortened from 539" in "".join(tree.itertext()), "a shortened list is labelled")

# Zeros and huge values are drawn or left out, never written as text that is no number.
for value in (0, -1, 1e-300, 1e300):
    odd = report(workloads=1)
    for r in odd["rows"] + odd["sweep"]:
        r.update(ns_per_param=stat(value), gflops=value, model_bytes_per_param=value)
        r["roof"]["gbs"] = r["roof"]["gflops"] = value
    check_page(render(odd), f"values of {value}")

# What is no report is refused.
render(None, 4, text="{")
render(None, 4, text="[]")
render(None, 4, text='{"schema": 1, "report": "bench"}')
render(None, 4, text='{"schema": 2, "report": "cost"}')
for arguments, code in ((["absent.json", "--html", "-"], 5), ([], 2), (["a", "b", "--html", "-"], 2), (["absent.json"], 2)):
    run = subprocess.run([STEPCOST, "report", *arguments], capture_output=True, check=False)
    check(run.returncode == code and run.stderr, f"report {arguments}: exit code {run.returncode}, expected {code}")

# A measurement writes both forms, and the saved one gives the same page.
with tempfile.TemporaryDirectory() as folder:
    shapes = os.path.join(folder, "<b>&.json")
    with open(shapes, "w", encoding="utf-8") as file:
        json.dump([{"name": "<script>alert(1)</script>", "shape": [40, 30]}, {"name": "b", "shape": [7]}], file)
    run = subprocess.run([STEPCOST, "cost", "-w", shapes, "-o", "adam,velo", "--no-sweep", "--seconds", "0.2", "--json", "c.json",
                          "--html", "c.html"], cwd=folder, capture_output=True, check=False)
    check(run.returncode == 0, f"cost --html: exit code {run.returncode}: {run.stderr.decode()}")
    subprocess.run([STEPCOST, "report", "c.json", "--html", "again.html"], cwd=folder, check=False)
    with open(os.path.join(folder, "c.html"), "rb") as one, open(os.path.join(folder, "again.html"), "rb") as two, \
            open(os.path.join(folder, "c.json"), encoding="utf-8") as file:
        page, data = one.read(), json.load(file)
        check(page == two.read(), "the page of a measurement and that of its saved JSON differ")
    tree = check_page(page, "a measurement")
    differences = list(compare(tree, data))
    check(not differences, f"numbers of a measurement: {differences[:3]}")
    check(embedded(page) == data, "the page holds the saved JSON")
    check(data["command"].startswith("stepcost cost -w '") and data["command"] in "".join(tree.itertext()), "the command")

print(f"{passed} passed, {failed} failed")
sys.exit(failed != 0)

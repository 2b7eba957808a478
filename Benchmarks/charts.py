#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Draws the charts of docs/performance.md, docs/images/*.svg, from docs/images/figures.json.

    Benchmarks/charts.py                      writes the charts
    Benchmarks/charts.py --update FILE …      first takes new figures from hub.json and streams.json, which the benchmarks
                                              write into their scratch folders
    Benchmarks/charts.py --check              fails if a chart is out of date, or if a figure, a CPU or a command is not in
                                              docs/performance.md

In figures.json a bar has a label, the figure as docs/performance.md shows it, the beginning of its row or list item there,
and its variant in the benchmark's results. Its group has the run, the scenario and key of these results, and the variant
that is 1 if the figures are ratios.
"""
import argparse, json, os, re, statistics, sys, textwrap
from xml.sax.saxutils import escape

root = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
folder = os.path.join(root, "docs", "images")
figures = os.path.join(folder, "figures.json")
WIDTH, MARGIN, LEFT, RIGHT, PITCH, BAR = 760, 20, 224, 86, 21, 14
STYLE = """
svg { color-scheme: light dark }
svg { font: 12px -apple-system, BlinkMacSystemFont, "Segoe UI", "Noto Sans", Helvetica, Arial, sans-serif }
text { fill: #1f2328 } .page { fill: #ffffff; stroke: #d1d9e0 } .axis { stroke: #818b98 }
.title { font-size: 16px; font-weight: 600 } .group, .plinth { font-weight: 600 }
.unit, .small { fill: #59636e } .small { font-size: 11px }
.value { stroke: #ffffff; stroke-width: 4; paint-order: stroke }
rect.plinth { fill: #2e6f5b } rect.peer { fill: #9aa4af } rect.floor { fill: #d1d9e0; stroke: #818b98 }
@media (prefers-color-scheme: dark) {
text { fill: #f0f6fc } .page { fill: #0d1117; stroke: #3d444d } .axis { stroke: #9198a1 }
.unit, .small { fill: #9198a1 } .value { stroke: #0d1117 }
rect.plinth { fill: #56b394 } rect.peer { fill: #6e7681 } rect.floor { fill: #262c36; stroke: #9198a1 }
}"""


def number(shown):
    return float(shown.replace(",", ""))


def groups_of(chart):
    return [group for panel in chart["panels"] for group in panel["groups"]]


def small_print(chart, runs):
    """The CPU and command of each run; if there are several, with the names of its groups, or “the others” for the last."""
    of = {}
    for group in groups_of(chart):
        of.setdefault(group["run"], []).append(group["title"])
    for n, (name, titles) in enumerate(of.items(), 1):
        which = "" if len(of) == 1 else "The others: " if n == len(of) else "; ".join(titles) + ": "
        yield which + runs[name]["cpu"] + ". " + runs[name]["command"]
    yield from chart["notes"]


def svg(chart, runs):
    out, y, said = [], 31, []

    def text(x, y, words, kind, anchor="start"):
        out.append(f'<text x="{x}" y="{y}" class="{kind}" text-anchor="{anchor}">{escape(words)}</text>')
    text(MARGIN, y, chart["title"], "title")
    for panel in chart["panels"]:
        y += 22
        text(MARGIN, y, panel["unit"], "unit")
        said.append(panel["unit"] + ".")
        most = max(number(bar["figure"]) for group in panel["groups"] for bar in group["bars"])
        for group in panel["groups"]:
            y += 26
            text(MARGIN, y, group["title"], "group")
            said.append(group["title"] + ": " + ", ".join(f"{bar['label']} {bar['figure']}" for bar in group["bars"]) + ".")
            y += 9
            below = y + len(group["bars"]) * PITCH - 1
            if "mark" in panel:
                x = LEFT + (WIDTH - LEFT - RIGHT) * panel["mark"] / most
                out.append(f'<path d="M{x:.1f} {y}V{below}" class="axis" stroke-dasharray="2 3"/>')
            for n, bar in enumerate(group["bars"]):
                kind = "plinth" if bar["label"].startswith("Plinth") else "floor" if "floor" in bar["label"] else "peer"
                top, long = y + n * PITCH + 3, (WIDTH - LEFT - RIGHT) * number(bar["figure"]) / most
                text(LEFT - 10, top + 11, bar["label"], kind, "end")
                out.append(f'<rect x="{LEFT}" y="{top}" width="{long:.1f}" height="{BAR}" class="{kind}"/>')
                text(f"{LEFT + long + 6:.1f}", top + 11, bar["figure"], kind + " value")
            out.append(f'<path d="M{LEFT} {y}V{below}" class="axis"/>')
            y = below
        y += 8
    y += 4
    for line in small_print(chart, runs):
        for part in textwrap.wrap(line, 122):
            y += 16
            text(MARGIN, y, part, "small")
    height = y + 16
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}" '
        'role="img" aria-labelledby="title desc">',
        "<!-- SPDX-License-Identifier: Apache-2.0. Written by Benchmarks/charts.py. -->",
        f'<title id="title">{escape(chart["title"])}</title>', f'<desc id="desc">{escape(" ".join(said))}</desc>',
        f"<style>{STYLE}\n</style>",
        f'<rect x=".5" y=".5" width="{WIDTH - 1}" height="{height - 1}" rx="6" class="page"/>', *out, "</svg>\n"])


def update(data, path):
    """Takes the medians of a benchmark's results, or of each round's ratio to a base, and the CPU they were measured on."""
    with open(path) as f:
        new = json.load(f)
    if new.get("small"):
        sys.exit(f"{path}: the figures of --small are meaningless")
    for group in sum(map(groups_of, data["charts"]), []):
        scenario = new["results"].get(group["scenario"], {})
        for bar in group["bars"]:
            values = [r[group["key"]] / (scenario[group["base"]][n][group["key"]] if "base" in group else 1)
                      for n, r in scenario.get(bar["variant"], {}).items() if group["key"] in r]
            if values:
                digits = len(bar["figure"].partition(".")[2])
                bar["figure"] = f"{statistics.median(values):,.{digits}f}"
                if new.get("cpu"):
                    name = re.sub(r"\((R|TM)\)| Processor| CPU| \d+-Core", "", new["cpu"])
                    data["runs"][group["run"]]["cpu"] = f"{name}, {new['cores']} cores"
    # A bar and a run on one line each.
    text = re.sub(r"\{[^{}\[\]]+\}", lambda m: re.sub(r"\n *", " ", m[0]), json.dumps(data, indent=1, ensure_ascii=False))
    with open(figures, "w") as f:
        f.write(text + "\n")


def missing(data):
    """What the charts show and docs/performance.md does not."""
    with open(os.path.join(root, "docs", "performance.md")) as f:
        document = f.read()
    sections = dict(part.partition("\n")[::2] for part in document.split("\n## ")[1:])
    for run in data["runs"].values():
        for words in (run["cpu"], run["command"]):
            if words not in " ".join(document.split()):
                yield words
    for group in sum(map(groups_of, data["charts"]), []):
        section = data["runs"][group["run"]]["section"]
        blocks = [" ".join(block.split()) for block in re.split(r"\n(?=[|\n-])", sections.get(section, ""))]
        for bar in group["bars"]:
            whole = re.compile(r"(?<![\d.,])" + re.escape(bar["figure"]) + r"(?!\d|[.,]\d)")
            if not any(block.lstrip("|*- ").startswith(bar["row"]) and whole.search(block) for block in blocks):
                yield f"{bar['figure']} in a row that begins with “{bar['row']}”, section “{section}”"


ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
ap.add_argument("--update", nargs="+", default=[], metavar="FILE")
ap.add_argument("--check", action="store_true")
a = ap.parse_args()
with open(figures) as f:
    data = json.load(f)
for path in a.update:
    update(data, path)
bad = [f"docs/performance.md: error: a chart shows {what}, which is not here" for what in missing(data)]
for chart in data["charts"]:
    path, text = os.path.join(folder, chart["file"]), svg(chart, data["runs"])
    if not a.check:
        with open(path, "w") as f:
            f.write(text)
    elif not os.path.exists(path) or open(path).read() != text:
        bad.append(f"docs/images/{chart['file']}: error: out of date, run Benchmarks/charts.py")
print("\n".join(bad) or f"charts: {len(data['charts'])} are up to date, with the figures of docs/performance.md")
sys.exit(1 if bad else 0)

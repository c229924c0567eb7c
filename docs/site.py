"""Build the documentation site from the pages of the repository and a run's executed notebooks.

This file is also mkdocs' hook. It draws the Mermaid diagrams as SVG and formulas as MathML, since
scripts that draw them would have to come from another server. It points links between notebooks to
their pages, and numbers headings of the same name, as the tables of contents do.
"""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections import Counter
from html import escape
from pathlib import Path
from typing import Any

from latex2mathml.converter import convert

from vital_lib.figures import held_back_in_words
from vital_lib.privacy import ClearanceLog
from vital_lib.report import write_report
from vital_lib.tables import Workspace, is_path, without_folders

ROOT = Path(__file__).parents[1]
PAGES = ("*.md", "docs/*.md", "docs/*.png", "docs/*.css", "data/README.md")
WIDTH, HEIGHT, GAP = 190, 32, 30  # of a box, and below it, in pixels

_DIAGRAM = re.compile(r"```mermaid\nflowchart TD\n(.*?)```", re.S)
_NODE = r'(\w+)(?:\[(\()?"([^"]*)"\)?\])?'
_EDGE = re.compile(rf'\s*{_NODE} --(?: "([^"]*)" --)?> {_NODE}')
_WIDGET = "<p><em>Here a running notebook shows a widget: open it with make lab.</em></p>"
_FORMULA = re.compile(r"\$\$(.+?)\$\$|(?<![\\\w$])\$([^\s$](?:[^$\n]*[^\s$])?)\$(?!\d)", re.S)
_BAR = re.compile(r":\s+\d+%\|")
_LINK = re.compile(r'href="(?!https?:)[^"#]*?/?(\d\d_\w+)\.ipynb(?=["#])')
_PAGE_OF_DOCS = re.compile(r'href="(\.\./docs/\w+)\.md(?=["#])')
_COUNT = re.compile(r"\s*(?:\d+ records \[[^\]]*\]\s*)*")  # a bar of tqdm without an end
_REPORT = re.compile(r'href="[^"]*/report\.html"')
_HEADING = re.compile(r'<(h[1-6]) id="([^"]+)"(.*?</\1>)', re.S)
_REJECTED = (
    "notebook 01 shows why {:,} records were rejected, with names of files and parts of texts that "
    "nobody has cleared: take these records out of the figure set, and run the notebooks again"
)
_OLDER = (
    "{} were executed before the last decision about a figure, and show figures as they were then: "
    "run them again, as with make demo"
)
_VIEW = "application/vnd.jupyter.widget-view+json"


def main(run: str = "data/runs/demo", build_folder: str | Path = ROOT / "build") -> int:
    """Build the site from the executed notebooks of `run`; return an exit code.

    Args:
        build_folder: the site becomes its folder `site`, the pages that it is made from `docs`.
    """
    from mkdocs.commands.build import build
    from mkdocs.config import load_config

    executed = sorted((ROOT / run / "executed").glob("*.ipynb"))
    names = [path.name for path in sorted((ROOT / "notebooks").glob("*.ipynb"))]
    if missing := set(names) - {path.name for path in executed}:
        print(f"{run}/executed lacks {', '.join(sorted(missing))}: run make demo first, or give")
        print("a finished run, as in make docs RUN=data/runs/mine")
        return 2
    if why := _why_not_shown(ROOT / run):
        print(f"{run} is not shown: {why}")
        return 2
    pages, site = Path(build_folder, "docs"), Path(build_folder, "site")
    shutil.rmtree(pages, ignore_errors=True)
    for path in (path for pattern in PAGES for path in ROOT.glob(pattern)):
        _copy(path, pages / path.relative_to(ROOT))
    (pages / "notebooks").mkdir()
    if (report := ROOT / run / "report.html").is_file():
        if len(ClearanceLog(ROOT / run).decisions()):
            write_report(Workspace(ROOT / run))  # it may show what was refused since
        _copy(report, pages / "report.html")
    for path in executed:
        (pages / "notebooks" / path.name).write_text(_readable(path.read_text("utf-8")), "utf-8")
    config = str(ROOT / "docs" / "mkdocs.yml")
    build(load_config(config, docs_dir=str(pages), site_dir=str(site)))
    print(f"the site is in {site / 'index.html'}")
    return 0


def _why_not_shown(run: Path) -> str:
    """Return why the notebooks of `run` may not be published: they show figures and their texts."""
    workspace = Workspace(run)
    if not workspace.has("figures"):
        return "it has no table figures, which says whether they are cleared"
    names = [name for name in ("figures", "questions") if workspace.has(name)]
    told = [held_back_in_words(workspace.read(name), name) for name in names]
    if workspace.has("figures_rejected"):
        own = (workspace.read("figures_rejected")["source"] != "clinic").sum()
        told += [_REJECTED.format(own)] if own else []
    older = _older_copies(run)
    told += [_OLDER.format(", ".join(older))] if older else []
    return "; ".join(filter(None, told))


def _older_copies(run: Path) -> list[str]:
    """Return the executed notebooks that may show a figure as it was before a decision about it."""
    decided = ClearanceLog(run).decisions()["at"]
    if decided.empty:
        return []
    return [
        path.name
        for path in sorted((run / "executed").glob("*.ipynb"))
        if (_parameters_of(path.read_text("utf-8")).get("start_time") or "") <= decided.max()
    ]


def _parameters_of(notebook: str) -> dict[str, Any]:
    """Return what papermill noted in an executed notebook; times are in UTC."""
    return json.loads(notebook)["metadata"].get("papermill", {})


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)


def _readable(notebook: str) -> str:
    """Replace formulas by MathML, and panels by their static form.

    Bars that only showed how far a cell had come are left out, and so are the folders in paths
    among the parameters, which may name a person or a machine.
    """
    given = _parameters_of(notebook).get("parameters", {})
    for path in sorted(_paths_in(list(given.values())), key=len, reverse=True):
        shown = without_folders(path)
        shown = f"../data/runs/{shown}" if path == given.get("run") else shown
        for ascii_only in (False, True):
            old, new = (json.dumps(text, ensure_ascii=ascii_only)[1:-1] for text in (path, shown))
            notebook = notebook.replace(old, new)
    content = json.loads(notebook)
    content["metadata"].pop("widgets", None)
    for cell in content["cells"]:
        if cell["cell_type"] == "markdown":
            cell["source"] = _FORMULA.sub(_mathml, "".join(cell["source"]))
        outputs = [one for one in cell.pop("outputs", []) if not _is_bar(one)]
        if cell["cell_type"] == "code":
            cell["outputs"] = outputs
        for output in outputs:
            if output.get("data", {}).pop(_VIEW, None):
                output["data"].setdefault("text/html", _WIDGET)
    return json.dumps(content)


def _paths_in(value: Any) -> set[str]:
    """Return the paths among parameters, also in lists and dicts."""
    if isinstance(value, dict):
        value = [*value, *value.values()]
    if isinstance(value, list):
        return set().union(*map(_paths_in, value))
    return {value} if is_path(value) else set()


def _is_bar(output: dict[str, Any]) -> bool:
    """Return whether an output is a bar of tqdm, which shows nothing once its cell has run."""
    if output.get("name") == "stderr":
        return bool(_COUNT.fullmatch("".join(output.get("text", ""))))
    data = output.get("data", {})
    return _VIEW in data and bool(_BAR.search("".join(data.get("text/plain", ""))))


def _mathml(found: re.Match[str]) -> str:
    return convert(found[1] or found[2], display="block" if found[1] else "inline")


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Draw the diagrams of a page (called by mkdocs)."""
    return _DIAGRAM.sub(lambda found: _drawn(found[1]), markdown)


def on_post_page(output: str, page: Any, **_: Any) -> str:
    """Point a notebook's links to pages of the site, and give each heading its own id.

    Called by mkdocs. Links to executed copies lead to the same pages.
    """
    if not page.file.src_path.endswith(".ipynb"):
        return output
    seen: Counter[str] = Counter()

    def numbered(found: re.Match[str]) -> str:
        tag, name, rest = found.groups()
        own = f"{name}_{seen[name]}" if seen[name] else name
        seen[name] += 1
        return f'<{tag} id="{own}"' + rest.replace(f'"#{name}"', f'"#{own}"')

    output = _HEADING.sub(numbered, output)
    output = _REPORT.sub('href="../report.html"', output)
    output = _PAGE_OF_DOCS.sub(r'href="\1.html', output)
    return _LINK.sub(r'href="\1.html', output)


def _drawn(diagram: str) -> str:
    """Return a flowchart, from top to bottom, as SVG; a node stands below all that lead to it."""
    names: dict[str, tuple[str, bool]] = {}
    edges: list[tuple[str, str, str]] = []
    for line in diagram.splitlines():
        one, log_one, text_one, label, two, log_two, text_two = _EDGE.match(line).groups()
        names |= {one: (text_one, bool(log_one))} if text_one else {}
        names |= {two: (text_two, bool(log_two))} if text_two else {}
        edges.append((one, two, label or ""))
    level = dict.fromkeys(names, 0)
    for _ in names:
        for one, two, _label in edges:
            level[two] = max(level[two], level[one] + 1)
    rows = [[name for name in names if level[name] == n] for n in range(max(level.values()) + 1)]
    across = (WIDTH + GAP) * max(map(len, rows)) - GAP
    centre = {
        name: (across / 2 + (WIDTH + GAP) * (place - (len(row) - 1) / 2), n * (HEIGHT + GAP))
        for n, row in enumerate(rows)
        for place, name in enumerate(row)
    }
    parts = [_arrow(centre[one], centre[two], label) for one, two, label in edges]
    parts += [_box(*centre[name], *named) for name, named in names.items()]
    down = len(rows) * (HEIGHT + GAP) - GAP
    return (
        f'<svg viewBox="-2 -2 {across + 4} {down + 4}" width="{across + 4}" role="img" '
        'fill="none" stroke="currentColor" font-size="13" style="max-width:100%">'
        f"{''.join(parts)}</svg>\n"
    )


def _box(x: float, y: float, text: str, log: bool) -> str:
    corner = HEIGHT / 2 if log else 4
    return (
        f'<rect x="{x - WIDTH / 2}" y="{y}" width="{WIDTH}" height="{HEIGHT}" rx="{corner}"/>'
        f'<text x="{x}" y="{y + HEIGHT / 2 + 5}" text-anchor="middle" stroke="none" '
        f'fill="currentColor">{escape(text)}</text>'
    )


def _arrow(start: tuple[float, float], end: tuple[float, float], label: str) -> str:
    (x, y), (to_x, to_y) = (start[0], start[1] + HEIGHT), end
    line = f"M{x} {y} L{to_x} {to_y - 2} m-4 -7 l4 7 l4 -7"
    middle = f'x="{(x + to_x) / 2 + 8}" y="{(y + to_y) / 2 + 4}"'
    text = f'<text {middle} stroke="none" fill="currentColor">{escape(label)}</text>'
    return f'<path d="{line}"/>{text if label else ""}'


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))

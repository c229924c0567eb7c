"""What holds for every panel: what is sent, what can be called, what is shipped."""

from __future__ import annotations

import inspect
import io
import json
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
from panel_rows import FIGURES, HOSTILE, picture_of
from PIL import Image

from vital_lib import panels
from vital_lib.figures import open_image
from vital_lib.panels import FigureBrowser, _panel

pytest_plugins = ("panel_rows", "every_panel")

FOLDER = Path(panels.__file__).parent
OFFERED = [name for name, value in vars(panels).items() if isinstance(value, type)]


def _press(panel, name: str, *args, item: object = "as shown") -> None:
    """What the browser sends for a button pressed."""
    if item == "as shown":
        item = panel.widget.state.get("item")
    panel._heard(panel.widget, {"call": name, "args": list(args), "item": item}, [])


# --- every panel


def test_every_panel_of_the_package_is_among_those_tested(every_panel):
    names = [type(panel).__name__ for panel in every_panel]
    # The map is a scatter of another library with a panel of ours beside it.
    names[names.index("_Conversations")] = "ClusterMap"
    assert sorted(names) == sorted(OFFERED)


def test_what_goes_to_the_browser_is_plain_json_and_no_image(every_panel):
    for panel in every_panel:
        text = json.dumps(panel.widget.state, allow_nan=False)
        assert len(text) < 10_000, type(panel).__name__


def test_text_is_sent_as_it_is_and_never_made_into_markup(every_panel):
    for panel in every_panel:
        source = str(panel.widget._esm)
        for way in (
            "innerHTML",
            "outerHTML",
            "insertAdjacent",
            "document.write",
            "eval(",
            "srcdoc",
        ):
            assert way not in source, (type(panel).__name__, way)
    browser = FigureBrowser(FIGURES, picture_of)
    browser.jump("f2")
    assert browser.widget.state["figure"]["caption"] == HOSTILE


def test_every_button_calls_a_public_method(every_panel):
    named = [(panel, name) for panel in every_panel for name in panel._actions]
    assert len({type(panel) for panel, _ in named}) > 5
    for panel, name in named:
        assert callable(getattr(panel, name)) and not name.startswith("_")


def test_the_browser_can_call_nothing_but_the_buttons_methods():
    browser = FigureBrowser(FIGURES, picture_of)
    for name in ("_show", "__init__", "widget", "nothing"):
        _press(browser, name, "f2")
    assert browser.figure_id == "f1"


def test_an_image_is_sent_as_bytes_of_the_size_asked_for(wide_image):
    panel, sent = FigureBrowser(FIGURES, lambda figure: wide_image), []
    panel.widget.send = lambda content, buffers=(): sent.append((content, buffers))
    panel._heard(panel.widget, {"image": "f1", "side": 90}, [])
    _panel._painter.submit(lambda: None).result(20)  # images come from a thread of their own
    content, (data,) = sent[0]
    assert content == {"image": "f1", "side": 90}
    assert Image.open(io.BytesIO(data)).size == (90, 60)


def test_an_image_that_cannot_be_read_is_reported_in_its_place(tmp_path):
    panel, sent = FigureBrowser(FIGURES, lambda figure: open_image(tmp_path / figure)), []
    panel.widget.send = lambda content, buffers=(): sent.append((content, list(buffers)))
    panel._heard(panel.widget, {"image": "f1", "side": 90}, [])
    _panel._painter.submit(lambda: None).result(20)  # images come from a thread of their own
    assert "cannot be shown" in sent[0][0]["missing"]
    assert sent[0][1] == []


# --- the package


IMPORT = re.compile(r'^import \{ (.+) \} from "(.+)";$', re.M)


TOP_LEVEL = re.compile(r"^(?:export )?(?:const|let|function|class) (\w+)", re.M)


def test_every_panel_draws_with_the_script_beside_it(every_panel):
    used = set()
    for panel in every_panel:
        source = str(panel.widget._esm)
        drawn_by = next(kind for kind in type(panel).__mro__ if "_script" in vars(kind))
        for script in pieces(Path(inspect.getfile(drawn_by)).with_suffix(".js")):
            used.add(script)
            text = re.sub(
                r"^export (?!default)", "", IMPORT.sub("", script.read_text()), flags=re.M
            )
            assert source.count(text.strip()) == 1, script.name
        assert re.findall(r"^(?:import|export) .*", source, re.M)[1:] == []
    assert used == set(FOLDER.rglob("*.js"))


def pieces(script: Path) -> set[Path]:
    imported = [script.parent / other for _, other in IMPORT.findall(script.read_text())]
    return {script, *(piece for path in imported for piece in pieces(path.resolve()))}


def test_every_script_imports_what_others_export_and_joined_names_differ(every_panel):
    for path in FOLDER.rglob("*.js"):
        source = path.read_text()
        assert len(IMPORT.findall(source)) == source.count("import ")
        for names, other in IMPORT.findall(source):
            exported = re.findall(
                r"^export (?:const|function|class) (.+)", (path.parent / other).read_text(), re.M
            )
            for name in names.split(", "):
                assert any(re.search(rf"\b{name}\b", line) for line in exported), (path.name, name)
    for panel in every_panel:
        names = TOP_LEVEL.findall(str(panel.widget._esm))
        assert len(names) == len(set(names))


@pytest.mark.skipif(not shutil.which("node"), reason="needs Node.js on the path")
def test_every_script_loads_alone_and_joined(every_panel, tmp_path):
    joined = []
    for number, panel in enumerate(every_panel):
        joined.append(tmp_path / f"{number}.mjs")
        joined[-1].write_text(str(panel.widget._esm))
    urls = [path.resolve().as_uri() for path in [*FOLDER.rglob("*.js"), *joined]]
    script = f"for (const url of {json.dumps(urls)}) await import(url);"
    command = ["node", "--experimental-default-type=module", "--input-type=module", "-e", script]
    subprocess.run(command, check=True)


def test_whatever_a_panel_loads_is_shipped_with_the_package():
    project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())
    patterns = project["tool"]["setuptools"]["package-data"]["vital_lib.panels"]
    shipped = {path for pattern in patterns for path in FOLDER.glob(pattern)}
    files = {path for path in FOLDER.rglob("*") if path.is_file() and path.suffix[:3] != ".py"}
    assert FOLDER / "style.css" in shipped and shipped == files


def test_no_panel_reads_or_writes_a_file_but_its_script_and_style():
    own = ("Path(module)", 'Path(__file__).with_name("style.css")')
    modules = list(FOLDER.rglob("*.py"))
    assert len(modules) > len(OFFERED)
    for path in modules:
        source = path.read_text()
        for asset in own:
            source = source.replace(asset, "")
        assert not [word for word in ("open(", "Path(", "to_parquet", "sqlite") if word in source]

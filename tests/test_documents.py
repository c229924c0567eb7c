"""Claims about the pages for developers: they name the code that there is, and no earlier names."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
_DATA = "*tokenizer.json"  # a vocabulary
_NOT_SEARCHED = [f":!{name}" for name in ("CHANGELOG.md", "tests/test_documents.py", _DATA)]
OTHER_MEANINGS = {  # old names that are also words, or names of something else
    "vlm": "a vision-language model, in tuning",
    "passes": "English; epochs of a mix",
    "planted": "English; identifiers that tests look for",
    "Rejected": "English",
    "Claims": "what the tests of a file claim",
    "Request": "what the client sends, in `client.entries`",
    "rows": "rows",
    "wording": "a block of the selector's features",
    "views": "English; parts of the score explorer",
    "fixed": "English; a reply of the test server",
    "ARMS": "arms of generation, in `tables.words`",
    "queue_arm": "logs of format 1, which are converted",
    "label_claims": "logs of format 1, which are converted",
    "_pairs": "the pairs of a card; a helper of `labels.order` and `selector.pairs`",
    "MODALITY_NAMES": "names in prompts; plots have `MODALITY_LABELS`",
    "frame": "English; a DataFrame",
    "apart": "English",
    "resolve": "Path.resolve; promises in JavaScript",
    "_draw": "drawing of demonstrations, pairs and phantoms; no panel has it",
    "choose": "English",
    "tick": "an accepted response",
    "cannot_judge": "a column of label events",
    "unsafe": "a column of label events",
    "select": "English; SQL",
    "auc": "a metric of `selector.alignment_metrics`",
    "mean_rank": "a metric of `selector.alignment_metrics`",
    "average_precision": "a metric of `selector.alignment_metrics`",
    "control": "what a model is shown in place of an image; a job's control",
    "in_flight": "requests that are not answered yet",
    "config": "settings of a model",
    "losses": "losses",
    "settle": "English: to decide a disagreement",
}


def _text(*parts: str) -> str:
    return ROOT.joinpath(*parts).read_text(encoding="utf-8")


def _old_names() -> set[str]:
    """The identifiers in the left column of the change log's list that are not on the right."""
    rows = _text("CHANGELOG.md").split("### Names that changed", 1)[1].splitlines()
    found = set()
    for row in rows:
        old, new, *_ = [*row.strip("| ").split(" | "), ""]
        if "`" not in old or "the same names" in new:
            continue
        for part in old.split(": ")[-1].split("; "):
            if not re.search(r"parameter|` of `", part):
                code = re.findall(r"`([^`]+)`", part.split(" (")[0])
                names = {name.split(".")[-1] for name in code if "(" not in name}
                found |= names - set(re.findall(r"\w+", new))
    return found


def test_an_old_name_is_in_the_change_log_alone():
    old = _old_names()
    assert {"VLM", "WrongTable", "ticks_of", "shelf", "CutPanel", "apart"} <= old
    left = {}
    for name in sorted(old - OTHER_MEANINGS.keys()):
        search = ["git", "grep", "-lwF", "-e", name, "--", ".", *_NOT_SEARCHED]
        done = subprocess.run(search, cwd=ROOT, capture_output=True, text=True)
        assert done.returncode in (0, 1), done.stderr
        left |= {name: done.stdout.split()} if done.stdout else {}
    assert not left


def test_what_is_excepted_is_an_old_name():
    assert not OTHER_MEANINGS.keys() - _old_names()


def test_the_layers_are_those_of_the_contract():
    contract = tomllib.loads(_text("pyproject.toml"))["tool"]["importlinter"]["contracts"][0]
    wanted = [set(re.findall(r"vital_lib\.(\w+)", line)) for line in contract["layers"]]
    block = re.search(r"```text\n(study.*?)```", _text("CONTRIBUTING.md"), re.S)[1]
    lines = [line.split("  ")[0] for line in block.splitlines()]
    assert [set(line.split(", ")) for line in lines] == wanted


def _packages_and_modules() -> list[str]:
    """The names in `vital_lib`, sorted; packages end in a slash, modules in .py."""
    paths = [path for path in (ROOT / "vital_lib").iterdir() if path.suffix in ("", ".py")]
    names = {path.name if path.suffix else f"{path.name}/" for path in paths}
    return sorted(names - {"__init__.py", "__pycache__/"})


def test_the_architecture_names_every_package_once():
    table = re.search(r"\| package or module .*?\n\n", _text("docs", "architecture.md"), re.S)[0]
    named = re.findall(r"^\| \[?`(\w+)`", table, re.M)
    assert sorted(named) == sorted(
        name.removesuffix("/").removesuffix(".py") for name in _packages_and_modules()
    )


def test_the_tree_in_the_readme_names_every_package_once():
    tree = re.search(r"^vital_lib/ .*?\n(.*?)^data/", _text("README.md"), re.M | re.S)[1]
    assert sorted(re.findall(r"^  (\S+)", tree, re.M)) == _packages_and_modules()


def test_the_walks_find_their_code_in_the_files_that_they_name():
    text = re.sub(r"\s+", " ", _text("docs", "architecture.md"))
    named = re.findall(r"`([\w.]+)`(?: in| \() ?`([\w/]+\.(?:py|js))`", text)
    tree = [path for path in (ROOT / "vital_lib").rglob("*.*") if path.suffix in (".py", ".js")]
    lost = []
    for name, file in named:
        word = re.escape(name.rsplit(".", 1)[-1])
        defined = rf"\b(?:def|class|function) {word}\b|^ *{word}\(|\b{word}\b(?:: \w+)? = "
        sources = [path.read_text() for path in tree if path.as_posix().endswith(f"/{file}")]
        if not any(re.search(defined, source, re.M) for source in sources):
            lost.append((name, file))
    assert len(named) > 40 and not lost

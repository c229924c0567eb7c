"""What an export holds back, how it names images, and what it leaves if it fails."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from export_rows import conversation_rows, figure_rows
from PIL import Image

from vital_lib import exports
from vital_lib.exports import NothingToExport, export, forms, pictures
from vital_lib.figures import open_image
from vital_lib.tables import FolderInUse, alone_in


def _written(folder: Path) -> list[str]:
    records = json.loads((folder / "conversations.json").read_text(encoding="utf-8"))
    return [record["id"] for record in records]


def _files(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture
def figures(tmp_path):
    return figure_rows(tmp_path / "originals")


# -- clearance, licence, split -------------------------------------------------------------------


def test_figures_without_clearance_or_licence_are_held_back_and_named(figures, tmp_path):
    figures["cleared"] = [True, False, None, True, True]
    figures["licence"] = ["CC0", "CC0", "CC BY-NC 4.0", None, " "]
    figures["cleared_reason"] = ["", "a name in the image", "not checked", "", ""]
    made = export(conversation_rows(), figures, tmp_path / "out", form="llava")
    assert _written(made.folder) == ["F0-c"] and (made.rows, made.given) == (1, 5)
    assert made.held_back.values.tolist() == [
        ["F1-c", "F1", "not cleared", "a name in the image"],
        ["F2-c", "F2", "not cleared", "not checked"],
        ["F3-c", "F3", "without a stated licence", ""],
        ["F4-c", "F4", "without a stated licence", ""],
    ]
    assert str(made) == (
        "1 of 5 conversations in out/; held back: 2 not cleared (first 'F1-c'), "
        "2 without a stated licence (first 'F3-c')"
    )
    assert "| without a stated licence | 2 |" in (made.folder / "README.md").read_text()
    assert sorted(path.name for path in (made.folder / "images").iterdir()) == ["F0.png"]


@pytest.mark.parametrize("no", [False, np.False_, 0])
def test_no_option_exports_a_figure_that_is_not_cleared(no, figures, tmp_path):
    figures["cleared"] = pd.Series([no, None, True, True, True], dtype=object)
    figures["licence"] = ["CC0", "CC0", None, "CC0", "CC0"]
    wide = {"licences": "any", "split": None}
    made = export(conversation_rows(), figures, tmp_path / "out", form="llava", **wide)
    assert _written(made.folder) == ["F2-c", "F3-c", "F4-c"]
    assert made.held_back["reason"].tolist() == ["not cleared"] * 2
    with pytest.raises(NothingToExport, match="1 not cleared"):
        export(conversation_rows(1), figures, tmp_path / "other", form="llava", **wide)


@pytest.mark.parametrize("odd", ["false", "true", "", 2])
def test_a_clearance_that_is_not_true_is_none(odd, figures, tmp_path):
    with pytest.raises(NothingToExport, match="5 not cleared"):
        figures["cleared"] = pd.Series([odd] * 5, dtype=object)
        export(conversation_rows(), figures, tmp_path / "out", form="llava", licences="any")


def test_a_licence_needs_a_letter(figures, tmp_path):
    figures["licence"] = ["CC0", "-", "\u200b", "", "?"]
    made = export(conversation_rows(), figures, tmp_path / "out", form="llava")
    assert made.rows == 1 and set(made.held_back["reason"]) == {"without a stated licence"}


@pytest.mark.parametrize("unstated", ["cleared", "sha256"])
def test_figures_that_state_no_clearance_or_hash_are_held_back(unstated, figures, tmp_path):
    with pytest.raises(NothingToExport, match="5 not cleared .*Clear figures in notebook 01"):
        export(
            conversation_rows(), figures.drop(columns=unstated), tmp_path / "out",
            form="llava", licences="any",
        )  # fmt: skip


def test_without_licences_nothing_is_exported_unless_asked(figures, tmp_path):
    bare = figures[["figure_id", "image", "sha256", "cleared"]]
    with pytest.raises(NothingToExport, match="5 without a stated licence .*licences = .any."):
        export(conversation_rows(), bare, tmp_path / "bare", form="llava")
    done = export(conversation_rows(), bare, tmp_path / "bare", form="llava", licences="any")
    assert done.rows == 5


def test_figures_of_other_splits_are_held_back(figures, tmp_path):
    figures["split"] = ["test", "train", "validation", "train", "train"]
    made = export(conversation_rows(), figures, tmp_path / "out", form="llava")
    assert _written(made.folder) == ["F1-c", "F3-c", "F4-c"]
    assert made.held_back["reason"].tolist() == ["not of the train split"] * 2
    made = export(conversation_rows(), figures, tmp_path / "test", form="llava", split="test")
    assert _written(made.folder) == ["F0-c"]
    made = export(conversation_rows(), figures, tmp_path / "all", form="llava", split=None)
    text = (made.folder / "README.md").read_text()
    assert made.rows == 5 and "3 of the train split" in text and "1 of the test split" in text


def test_an_export_of_nothing_says_why_and_leaves_nothing(figures, tmp_path):
    with pytest.raises(NothingToExport, match="nothing to export: no conversations are given"):
        export(conversation_rows(0).assign(conversation_id=[], figure_id=[], turns=[]),
               figures, tmp_path / "out", form="llava")  # fmt: skip
    held = figures.assign(cleared=False)
    with pytest.raises(NothingToExport, match=r"5 of 5 conversations .* 5 not cleared .*'F0-c'"):
        export(conversation_rows(), held, tmp_path / "out", form="dataset")
    assert not (tmp_path / "out").exists()


# -- images --------------------------------------------------------------------------------------


def test_an_image_that_is_missing_broken_or_changed_holds_its_row_back(figures, tmp_path):
    Path(figures["image"][0]).unlink()
    Path(figures["image"][1]).write_bytes(b"another picture")
    unknown = figures.assign(sha256=[*figures["sha256"][:2], None, *figures["sha256"][3:]])
    Path(figures["image"][2]).write_bytes(Path(figures["image"][2]).read_bytes()[:200])
    unknown.loc[3, "image"] = "\0.png"
    for form in ("llava", "dataset"):
        made = export(conversation_rows(), unknown, tmp_path / form, form=form)
        assert made.rows == 1
        unusable = "with an unusable image"
        assert made.held_back["reason"].tolist() == [unusable, unusable, "not cleared", unusable]
        details = made.held_back["detail"].tolist()
        assert "'original-0.png' cannot be read" in details[0]
        assert details[1] == "'original-1.png' has changed since notebook 01 read it"
        assert details[2] == "no hash of its file is known" and "cannot be read" in details[3]


@pytest.mark.parametrize("how", ["copy", "link"])
def test_images_lie_beside_the_file(how, figures, tmp_path):
    rows = conversation_rows()
    for form in ("llava", "ms-swift", "llama-factory"):
        made = export(rows, figures, tmp_path / form, form=form, images=how)
        for name, original in zip(figures["figure_id"], figures["image"], strict=True):
            placed = made.folder / "images" / f"{name}.png"
            assert placed.is_symlink() == (how == "link")
            assert placed.read_bytes() == Path(original).read_bytes()


def test_a_figures_name_gives_a_safe_file_name_that_no_other_has(tmp_path):
    names = ["../../up", "a/b", "a b", "A_b", "a_b", "...", "con", "nul\n", "x" * 300, "é", "è"]
    figures = figure_rows(tmp_path / "originals", len(names)).assign(figure_id=names)
    rows = conversation_rows(len(names)).assign(figure_id=names)
    made = export(rows, figures, tmp_path / "out", form="llava")
    records = json.loads((made.folder / "conversations.json").read_text())
    found = [record["image"] for record in records]
    assert all(re.fullmatch(r"images/[A-Za-z0-9_.-]{1,110}\.png", image) for image in found)
    assert len({image.lower() for image in found}) == len(names)
    for image, original in zip(found, figures["image"], strict=True):
        assert (made.folder / image).read_bytes() == Path(original).read_bytes()


def _odd_images(folder: Path) -> dict[str, Path]:
    """Images that readers do not show as the workbench does."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    colours = rng.integers(0, 256, (20, 30, 4), dtype=np.uint8)
    grey = Image.fromarray(rng.integers(0, 4000, (20, 30), dtype=np.uint16))
    turned = Image.Exif()
    turned[274] = 6
    rgb = Image.fromarray(colours[..., :3])
    rgb.save(folder / "turned.jpg", exif=turned)
    rgb.save(folder / "turned.png", exif=turned)
    rgb.convert("CMYK").save(folder / "inks.jpg")
    rgb.save(folder / "page.gif")
    grey.save(folder / "grey16.png")
    grey.save(folder / "grey16.tif")
    Image.fromarray(colours).save(folder / "clear.png")
    palette = rgb.quantize(8)
    palette.save(folder / "palette.png", transparency=0)
    return {path.stem + path.suffix[1:]: path for path in sorted(folder.iterdir())}


def test_an_image_that_others_would_show_otherwise_becomes_what_the_workbench_shows(tmp_path):
    images = _odd_images(tmp_path / "odd")
    figures = figure_rows(tmp_path / "originals", len(images))
    figures["image"] = [str(path) for path in images.values()]
    figures["sha256"] = [open_image(path).sha256 for path in images.values()]
    rows = conversation_rows(len(images))
    made = export(rows, figures, tmp_path / "out", form="llava", images="link")
    assert made.rows == len(images) == 8
    for name, path in zip(figures["figure_id"], images.values(), strict=True):
        placed = made.folder / "images" / f"{name}.png"
        assert not placed.is_symlink(), path.name
        with Image.open(placed) as shown:
            assert shown.mode == "RGB"
            assert np.array_equal(np.asarray(shown), np.asarray(open_image(path).pixels()))


@pytest.mark.parametrize("mode", ["L", "RGB", "P"])
def test_a_plain_image_is_exported_as_its_file(mode, tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    for suffix in (".png", *([".jpg"] if mode != "P" else [])):
        path = tmp_path / f"a{suffix}"
        Image.fromarray(pixels).convert(mode).save(path)
        content, found, as_it_is = pictures.read_picture(str(path), None)
        assert (content, found, as_it_is) == (path.read_bytes(), suffix, True)


# -- the folder ----------------------------------------------------------------------------------


def test_an_export_replaces_an_earlier_one_whole(figures, tmp_path):
    folder = tmp_path / "out"
    export(conversation_rows(), figures, folder, form="ms-swift")
    export(conversation_rows(2), figures, folder, form="llava")
    assert sorted(path.name for path in folder.iterdir()) == [
        ".export", "CREDITS.md", "README.md", "conversations.json", "images",
    ]  # fmt: skip
    assert len(list((folder / "images").iterdir())) == 2
    assert {path.name for path in tmp_path.iterdir()} == {"originals", "out", ".out.lock"}


def test_an_export_never_replaces_what_no_export_wrote(figures, tmp_path):
    folder = tmp_path / "out"
    export(conversation_rows(), figures, folder, form="llava")
    (folder / "thesis.tex").write_text("x")
    (folder / "images" / "mine.png").write_bytes(b"x")
    with pytest.raises(FileExistsError, match="2 of 11 names, first 'images/mine.png'"):
        export(conversation_rows(), figures, folder, form="llava")
    with pytest.raises(NotADirectoryError, match="original-0.png is a file"):
        export(conversation_rows(), figures, figures["image"][0], form="llava")
    (tmp_path / "empty").mkdir()
    assert export(conversation_rows(), figures, tmp_path / "empty", form="llava").rows == 5


@pytest.mark.parametrize("images", ["copy", "link"])
def test_an_export_does_not_replace_the_images_that_it_reads(images, figures, tmp_path):
    made = export(conversation_rows(), figures, tmp_path / "out", form="llava")
    figures["image"] = [str(made.folder / "images" / f"F{k}.png") for k in range(5)]
    with pytest.raises(FileExistsError, match="holds images that are to be exported"):
        export(conversation_rows(), figures, made.folder, form="llava", images=images)
    assert export(conversation_rows(), figures, tmp_path / "other", form="llava").rows == 5


def test_a_failed_export_keeps_the_former_one(figures, tmp_path, monkeypatch):
    folder = tmp_path / "out"
    export(conversation_rows(), figures, folder, form="llava")
    before = _files(folder)
    with pytest.raises(NothingToExport, match="The earlier export in out/ stays"):
        export(conversation_rows(), figures.assign(cleared=False), folder, form="llava")

    def full_disk(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(forms.JsonFile, "add", full_disk)
    with pytest.raises(OSError, match="out cannot be written: No space left on device. Give"):
        export(conversation_rows(), figures, folder, form="ms-swift")
    assert _files(folder) == before
    assert {path.name for path in tmp_path.iterdir()} == {"originals", "out", ".out.lock"}


def test_two_exports_into_one_folder_are_one_line(figures, tmp_path):
    with (
        alone_in(tmp_path / "out", "exporting into"),
        pytest.raises(FolderInUse, match="another process is exporting into .*out: wait for it"),
    ):
        export(conversation_rows(), figures, tmp_path / "out", form="llava")
    assert export(conversation_rows(), figures, tmp_path / "out", form="llava").rows == 5


DYING = """
import os, signal, sys
import pandas as pd
from vital_lib.exports import export, forms
rows, figures = (pd.read_json(name, orient="records") for name in sys.argv[1:3])
add, count = forms.JsonFile.add, 0
def stop(self, record):
    global count
    count += 1
    if count == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    add(self, record)
forms.JsonFile.add = stop
export(rows, figures, sys.argv[3], form="llava")
"""


def test_a_killed_export_leaves_the_former_one_and_the_next_one_cleans_up(figures, tmp_path):
    rows, folder = conversation_rows(), tmp_path / "out"
    export(rows, figures, folder, form="ms-swift")
    before = _files(folder)
    names = [tmp_path / "rows.json", tmp_path / "figures.json"]
    for frame, name in zip((rows, figures), names, strict=True):
        frame.to_json(name, orient="records")
    done = subprocess.run([sys.executable, "-c", DYING, *map(str, names), str(folder)])
    assert done.returncode == -signal.SIGKILL
    assert _files(folder) == before
    assert [path for path in tmp_path.iterdir() if ".exporting-" in path.name]
    export(rows, figures, folder, form="llava")
    assert _written(folder) == rows["conversation_id"].tolist()
    assert not [path for path in tmp_path.iterdir() if ".exporting-" in path.name]


def test_an_export_killed_before_its_last_step_gives_the_former_one_back(figures, tmp_path):
    export(conversation_rows(), figures, tmp_path / "out", form="ms-swift")
    before = _files(tmp_path / "out")
    (tmp_path / "out").rename(tmp_path / ".out.exporting-abc-old")
    (tmp_path / ".out.exporting-abc").mkdir()
    with pytest.raises(NothingToExport):
        export(conversation_rows().head(0), figures, tmp_path / "out", form="llava")
    assert _files(tmp_path / "out") == before
    assert {path.name for path in tmp_path.iterdir()} == {"originals", "out", ".out.lock"}


def test_what_the_package_needs_is_there_without_torch():
    code = "import sys, vital_lib.exports; print('torch' in sys.modules, 'datasets' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ
    )
    assert done.stdout.split() == ["False", "False"] and exports.FORMS

"""The export of selected conversations in LLaVA's format, with their images."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pandas as pd
import pytest
from selection_rows import candidate_rows, scores_for, select

from vital_lib.selection import export_llava
from vital_lib.tables import Workspace


@pytest.fixture
def export(tmp_path):
    figures = pd.DataFrame(
        {
            "figure_id": [f"F{c}" for c in range(5)],
            "image": [str(tmp_path / f"images/F{c}.png") for c in range(5)],
        }
    )
    candidates = candidate_rows()
    return select(candidates, scores_for(candidates), share=0.6), figures, Workspace(tmp_path)


def test_the_export_has_every_round_in_llava_format(export):
    selected, figures, workspace = export
    path = workspace.path / "selected_llava.json"
    assert export_llava(selected, figures, path) == len(selected) > 0
    records = json.loads(path.read_text(encoding="utf-8"))
    for record, row in zip(records, selected.to_dict("records"), strict=True):
        assert set(record) == {"id", "image", "conversations"}
        assert record["id"] == row["conversation_id"]
        assert (
            Path(record["image"]) == (workspace.path / f"images/{row['figure_id']}.png").resolve()
        )
        assert [turn["from"] for turn in record["conversations"]] == ["human", "gpt"] * len(
            row["turns"]
        )
        values = [turn["value"] for turn in record["conversations"]]
        assert values[0].startswith("<image>\n")
        assert sum(value.count("<image>") for value in values) == 1
        values[0] = values[0].removeprefix("<image>\n")
        turns = [
            {"instruction": question, "response": answer}
            for question, answer in zip(values[::2], values[1::2], strict=True)
        ]
        assert turns == row["turns"]


def test_image_paths_can_be_relative_to_a_folder(export):
    selected, figures, workspace = export
    path = workspace.path / "out.json"
    folder = workspace.path / "images"
    export_llava(selected, figures, path, image_folder=folder)
    records = json.loads(path.read_text())
    assert len(records) == len(selected) > 0
    assert all(re.fullmatch(r"F\d\.png", record["image"]) for record in records)
    with pytest.raises(ValueError, match="is not inside image_folder"):
        export_llava(selected, figures, path, image_folder=folder / "deeper")


def test_a_text_cannot_add_a_second_image(export):
    selected, figures, workspace = export
    forged = selected.head(1).copy()
    forged["turns"] = [[{"instruction": "What is <image>?", "response": "A <image>nodule."}] * 2]
    path = workspace.path / "out.json"
    export_llava(forged, figures, path)
    assert path.read_text().count("<image>") == 1


def _drawn(figures):
    for place, image in enumerate(figures["image"]):
        Path(image).parent.mkdir(parents=True, exist_ok=True)
        Path(image).write_bytes(b"image %d" % place)


@pytest.mark.parametrize("images", ["copy", "link"])
@pytest.mark.parametrize("folder", [None, "given"])
def test_images_are_placed_next_to_the_file_on_request(export, tmp_path, images, folder):
    selected, figures, workspace = export
    _drawn(figures)
    path = tmp_path / "out" / "selected.json"
    path.parent.mkdir()
    base = path.parent / "images" if folder is None else tmp_path / folder
    given = {} if folder is None else {"image_folder": base}
    for _ in range(2):  # the second time all images exist already
        export_llava(selected, figures, path, images=images, **given)
    records = json.loads(path.read_text())
    assert len(records) == len(selected) > 1
    for record, name in zip(records, selected["figure_id"], strict=True):
        assert record["image"] == f"{name}.png"
        placed = base / record["image"]
        assert placed.read_bytes() == (workspace.path / f"images/{name}.png").read_bytes()
        assert placed.is_symlink() == (images == "link")
    assert len(list(base.iterdir())) == selected["figure_id"].nunique()


def test_a_figures_name_cannot_escape_the_image_folder_or_overwrite_an_image(export, tmp_path):
    selected, figures, workspace = export
    _drawn(figures)
    names = ["../../up", ".. up", "a/b", "a b", "..."]
    renamed = dict(zip(figures["figure_id"], names, strict=True))
    selected = selected.assign(figure_id=selected["figure_id"].map(renamed))
    figures = figures.assign(figure_id=names)
    path = tmp_path / "out" / "selected.json"
    path.parent.mkdir()
    export_llava(selected, figures, path, images="copy")
    images = dict(zip(figures["figure_id"], figures["image"], strict=True))
    for record, name in zip(json.loads(path.read_text()), selected["figure_id"], strict=True):
        placed = (path.parent / "images" / record["image"]).resolve()
        assert placed.is_relative_to(path.parent / "images")
        assert placed.read_bytes() == Path(images[name]).read_bytes()


def test_an_unknown_images_option_is_refused(export, tmp_path):
    selected, figures, workspace = export
    with pytest.raises(ValueError, match="images='move'"):
        export_llava(selected, figures, tmp_path / "o.json", images="move")


def test_a_round_with_only_an_image_tag_is_dropped_and_counted(export, caplog):
    selected, figures, workspace = export
    good = {"instruction": "<image>Where?", "response": "Left."}
    rounds = [{**good, "instruction": "<image>\n"}, good, {**good, "response": " <image> "}]
    forged = selected.head(2).copy()
    forged["turns"] = [rounds, rounds[:1]]
    path = workspace.path / "out.json"
    assert export_llava(forged, figures, path) == 1
    (record,) = json.loads(path.read_text())
    assert [turn["value"] for turn in record["conversations"]] == ["<image>\nWhere?", "Left."]
    assert "left out 3 rounds with only <image>, and 1 of 2 conversations" in caplog.text


def test_a_failed_export_keeps_the_former_file(export):
    selected, figures, workspace = export
    path = workspace.path / "out.json"
    export_llava(selected, figures, path)
    before = path.read_bytes()
    with pytest.raises(
        ValueError, match="1 of .* conversations are about figures that are not given"
    ):
        export_llava(
            selected,
            figures[figures["figure_id"] != selected["figure_id"].iloc[0]],
            path,
        )
    empty = selected.assign(turns=[[] for _ in range(len(selected))])
    with pytest.raises(ValueError, match="has no rounds"):
        export_llava(empty, figures, path)
    assert path.read_bytes() == before

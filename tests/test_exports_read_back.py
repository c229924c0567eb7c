"""Exports read back by TRL 1.16.0 and datasets 5.2.0, installed in a folder of their own."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from export_rows import (
    candidate_rows,
    conversation_rows,
    figure_rows,
    pair_rows,
    tools_beside,
)
from PIL import Image
from tiny_models import make_llava

from vital_lib.exports import export, parquet

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def tools():
    return tools_beside()


def _run(tools: Path, root: Path, script: str, *words: object) -> str:
    paths = [str(root), str(root / "tests"), str(tools)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(
        [sys.executable, str(root / "tests" / script), *map(str, words)],
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def _loaded(tools: Path, root: Path, folder: Path, tmp_path: Path) -> dict:
    result = tmp_path / "rows.json"
    _run(tools, root, "with_datasets.py", folder, tmp_path / f"cache-{folder.name}", result)
    return json.loads(result.read_text())


def _image(path: str) -> list:
    with Image.open(path) as image:
        pixels = image.convert("RGB")
    return ["RGB", *pixels.size, hashlib.sha256(pixels.tobytes()).hexdigest()]


def _messages(turns: list[dict]) -> list[dict]:
    return [
        {"role": role, "content": turn[name]}
        for turn in turns
        for role, name in (("user", "instruction"), ("assistant", "response"))
    ]


def test_a_data_set_is_loaded_row_for_row_with_its_pixels(tools, root, tmp_path, monkeypatch):
    monkeypatch.setattr(parquet, "SHARD_BYTES", 5_000)  # several files
    figures, rows = figure_rows(tmp_path / "originals", 12), conversation_rows(12)
    folder = tmp_path / "a stress test" / "skin-test"
    export(rows, figures, folder, form="dataset")
    assert len(list((folder / "data").iterdir())) > 1
    found = _loaded(tools, root, folder, tmp_path)
    assert found["splits"] == ["train"]
    assert "Image(" in found["features"]["image"] and len(found["rows"]) == 12
    images = dict(zip(figures["figure_id"], figures["image"], strict=True))
    for row, wanted in zip(found["rows"], rows.to_dict("records"), strict=True):
        assert row["id"] == wanted["conversation_id"] and row["figure_id"] == wanted["figure_id"]
        credit = {name: row[name] for name in ("source", "licence", "credit")}
        assert credit == {"source": "PMC", "licence": "CC BY 4.0", "credit": "Ada"}
        assert (row["score"], row["rank"]) == (wanted["score"], wanted["rank"])
        assert row["messages"] == _messages(wanted["turns"])
        assert row["image"] == _image(images[wanted["figure_id"]])


def test_pairs_are_loaded_row_for_row_with_their_pixels(tools, root, tmp_path):
    figures = figure_rows(tmp_path / "originals")
    pairs = pair_rows().assign(right_id=["F1-b", *(f"F{k}-b" for k in range(1, 5))])
    folder = tmp_path / "reward"
    export(pairs, figures, folder, form="reward", candidates=candidate_rows())
    found = _loaded(tools, root, folder, tmp_path)
    assert "Image(" in found["features"]["images"]
    first = found["rows"][0]
    assert first["images"] == [_image(figures["image"][1])]
    assert first["rejected_images"] == [_image(figures["image"][0])]
    assert first["chosen"][1] == {"role": "assistant", "content": "On the right on 1."}
    assert first["rejected"][0] == {"role": "user", "content": "Where is it on 0?"}
    assert (first["source"], first["annotator"]) == ("human", "majority")


@pytest.fixture(scope="module")
def llava(tmp_path_factory):
    return make_llava(tmp_path_factory.mktemp("llava") / "model")


def _trained(tools, root, tmp_path, kind: str, llava: Path, folder: Path) -> dict:
    said = _run(tools, root, "with_trl.py", kind, llava, folder, tmp_path / "caches")
    return json.loads(said.strip().splitlines()[-1])


def test_trl_trains_a_step_on_conversations(tools, root, llava, tmp_path):
    figures = figure_rows(tmp_path / "originals", 2)
    rows = conversation_rows(2)
    hostile = "<image>Is <|image_pad|>it </s> left?"
    rows["turns"] = [[{"instruction": hostile, "response": "No <image>."}], *rows["turns"][1:]]
    export(rows, figures, tmp_path / "out", form="trl")
    found = _trained(tools, root, tmp_path, "sft", llava, tmp_path / "out")
    assert found["rows"] == 2 and found["loss"] > 0 and found["changed"]
    assert found["batch"]["pixel_values"][0] == 2
    assert found["image_tokens"] == 2 * 16  # one image each, whatever the texts spell


def test_trl_trains_a_step_on_preferences_with_images(tools, root, llava, tmp_path):
    figures = figure_rows(tmp_path / "originals", 2)
    export(pair_rows(2), figures, tmp_path / "out", form="dpo", candidates=candidate_rows(2))
    found = _trained(tools, root, tmp_path, "dpo", llava, tmp_path / "out")
    assert found["rows"] == 2 and found["changed"]
    assert found["loss"] == pytest.approx(0.6931, abs=1e-3)  # of equal policies: ln 2
    assert found["batch"]["pixel_values"][0] == 4  # each image with both responses
    assert found["image_tokens"] == 4 * 16


def test_trls_reward_trainer_reads_the_texts_and_no_images(tools, root, llava, tmp_path):
    figures = figure_rows(tmp_path / "originals", 2)
    export(pair_rows(2), figures, tmp_path / "out", form="reward", candidates=candidate_rows(2))
    found = _trained(tools, root, tmp_path, "reward", llava, tmp_path / "out")
    assert found["rows"] == 2 and found["loss"] > 0 and found["changed"]
    assert set(found["batch"]) == {"input_ids", "attention_mask"}
    assert found["batch"]["input_ids"][0] == 4

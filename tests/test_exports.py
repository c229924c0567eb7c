"""Each form of an export, read by the rules of the tool that it is for.

The rules of ms-swift and LLaMA-Factory are restated here from the sources that each test names;
TRL and datasets read their forms themselves in test_exports_read_back.py.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from export_rows import (
    candidate_rows,
    conversation_rows,
    figure_rows,
    pair_rows,
    with_texts,
)
from PIL import Image

from vital_lib.exports import FORMS, export
from vital_lib.parameters import EXPORTED_FORMS
from vital_lib.tuning import read_llava

SWIFT_TAGS = ["<image>", "<video>", "<audio>", "<bbox>", "<ref-object>", "<cot-process>"]
SWIFT_TAGS += ["<start-image>"]


@pytest.fixture
def figures(tmp_path):
    return figure_rows(tmp_path / "originals")


def _pairs_exported(figures, folder, form, pairs=None, **how):
    pairs = pair_rows() if pairs is None else pairs
    return export(pairs, figures, folder, form=form, candidates=candidate_rows(), **how)


def _lines(path: Path) -> list[dict]:
    """The records as datasets' JSON reader sees them: one per line feed, no other line ends."""
    text = path.read_text(encoding="utf-8")
    assert text.endswith("\n")
    return [json.loads(line) for line in text.removesuffix("\n").split("\n")]


def _same_pixels(path: Path, original: str) -> bool:
    with Image.open(path) as one, Image.open(original) as other:
        return np.array_equal(np.asarray(one.convert("RGB")), np.asarray(other.convert("RGB")))


def test_the_notebook_offers_every_form_of_conversations():
    of_conversations = [name for name, form in FORMS.items() if form.rows == "conversations"]
    assert list(EXPORTED_FORMS) == of_conversations


def test_llava_gets_every_round_and_the_image_in_the_first_question(figures, tmp_path):
    rows = conversation_rows()
    made = export(rows, figures, tmp_path / "out", form="llava")
    assert (made.rows, made.given, len(made.held_back)) == (5, 5, 0)
    records = json.loads((tmp_path / "out" / "conversations.json").read_text(encoding="utf-8"))
    for record, row in zip(records, rows.to_dict("records"), strict=True):
        assert set(record) == {"id", "image", "conversations"}
        assert record["id"] == row["conversation_id"]
        assert record["image"] == f"images/{row['figure_id']}.png"
        assert [turn["from"] for turn in record["conversations"]] == ["human", "gpt"] * 2
        values = [turn["value"] for turn in record["conversations"]]
        assert values[0].startswith("<image>\n") and "".join(values).count("<image>") == 1
        values[0] = values[0].removeprefix("<image>\n")
        texts = [text for turn in row["turns"] for text in turn.values()]
        assert values == texts


def test_notebook_08_reads_the_llava_form_as_a_mix(figures, tmp_path):
    rows = conversation_rows()
    export(rows, figures, tmp_path / "out", form="llava")
    mixed, shown = read_llava(tmp_path / "out" / "conversations.json")
    assert mixed["turns"].tolist() == rows["turns"].tolist()
    for image, original in zip(shown["image"], figures["image"], strict=True):
        assert _same_pixels(Path(image), original)


def _read_by_swift(record: dict, base: Path) -> list[tuple[str, list[str], list[Path]]]:
    """Restates what ms-swift 4.5.2 demands of a record and makes of it: its conversations.

    swift/dataset/preprocessor/core.py (`_check_messages`, `_check_rejected_response`,
    `_cast_mm_data`), swift/template/template_inputs.py (`_compat_rejected_response`, rejected
    fields beside `rejected_messages`), swift/template/base.py (`special_tokens` are replaced
    wherever they stand) and swift/template/vision_utils.py (`_check_path`: relative to
    ROOT_IMAGE_DIR). Returns the roles, texts and images of each side.
    """
    standard = {"messages", "images", "rejected_messages", "rejected_images", "rejected_response"}
    assert set(record) - standard == {"id"}  # other columns are removed
    sides = [(record["messages"], record["images"])]
    if "rejected_response" in record:
        rejected = record["rejected_response"]
        assert rejected is not None and rejected != record["messages"][-1]["content"]
        last = max(k for k, one in enumerate(record["messages"]) if one["role"] == "user")
        answer = {"role": "assistant", "content": rejected}
        sides.append(([*record["messages"][: last + 1], answer], record["images"]))
    elif "rejected_messages" in record:
        sides.append((record["rejected_messages"], record["rejected_images"]))
    read = []
    for messages, images in sides:
        assert messages and all(set(one) == {"role", "content"} for one in messages)
        assert [one["role"] for one in messages] == ["user", "assistant"] * (len(messages) // 2)
        assert all(isinstance(one["content"], str) and one["content"] for one in messages)
        whole = "".join(one["content"] for one in messages)
        assert [whole.count(tag) for tag in SWIFT_TAGS] == [len(images)] + [0] * 6
        assert all(isinstance(image, str) for image in images)
        paths = [base / image for image in images]
        assert all(path.is_file() and path.resolve().is_relative_to(base) for path in paths)
        texts = [one["content"].removeprefix("<image>") for one in messages]
        read.append((messages[0]["content"][:7], texts, paths))
    return read


def test_ms_swift_reads_its_form(figures, tmp_path):
    rows = conversation_rows()
    export(rows, figures, tmp_path / "out", form="ms-swift")
    records = _lines(tmp_path / "out" / "conversations.jsonl")
    for record, row in zip(records, rows.to_dict("records"), strict=True):
        [(opening, texts, [image])] = _read_by_swift(record, tmp_path / "out")
        assert opening == "<image>"
        assert texts == [text for turn in row["turns"] for text in turn.values()]
        original = figures.set_index("figure_id")["image"][row["figure_id"]]
        assert _same_pixels(image, original)


@pytest.mark.parametrize("form", ["dpo", "reward"])
def test_ms_swift_reads_the_pairs(form, figures, tmp_path):
    _pairs_exported(figures, tmp_path / "out", form)
    records = _lines(tmp_path / "out" / "pairs.jsonl")
    assert len(records) == 5
    for k, record in enumerate(records):
        (_, chosen, images), (_, rejected, others) = _read_by_swift(record, tmp_path / "out")
        left, right = f"On the left on {k}.", f"On the right on {k}."
        assert (chosen[1], rejected[1]) == ((left, right) if k % 2 else (right, left))
        assert chosen[0] == rejected[0] == f"Where is it on {k}?"
        assert images == others == [tmp_path / "out" / "images" / f"F{k}.png"]


def _read_by_llama_factory(folder: Path, name: str) -> list[list[dict]]:
    """Restates what LLaMA-Factory 0.9.5 demands of a data set in `dataset_dir`, and reads it.

    src/llamafactory/data/parser.py (`get_dataset_list`, `DatasetAttr.join`: tags that an entry
    leaves out become null), loader.py (`file_name` within the folder, json), converter.py
    (`SharegptDatasetConverter`: turns alternate, an even number; `_find_medias`: within media_dir,
    which is dataset_dir) and mm_plugin.py (`_validate_messages`: as many placeholders as images).
    """
    entry = json.loads((folder / "dataset_info.json").read_text())[name]
    assert set(entry) == {"file_name", "formatting", "columns", "tags"}
    assert entry["formatting"] == "sharegpt" and entry["file_name"].endswith(".json")
    tags, columns, read = entry["tags"], entry["columns"], []
    for record in json.loads((folder / entry["file_name"]).read_text(encoding="utf-8")):
        messages, images = record[columns["messages"]], record[columns["images"]]
        roles = [one[tags["role_tag"]] for one in messages]
        assert roles == [tags["user_tag"], tags["assistant_tag"]] * (len(messages) // 2) and roles
        texts = [one[tags["content_tag"]] for one in messages]
        whole = "".join(texts)
        assert whole.count("<image>") == len(images) == 1
        assert not any(mark in whole for mark in ("<video>", "<audio>", "{{image}}"))
        assert all((folder / image).is_file() for image in images)
        read.append([text.removeprefix("<image>") for text in texts])
    return read


def test_llama_factory_reads_its_form_by_the_entry_beside_it(figures, tmp_path):
    rows = conversation_rows()
    export(rows, figures, tmp_path / "out", form="llama-factory")
    wanted = [[text for turn in turns for text in turn.values()] for turns in rows["turns"]]
    assert _read_by_llama_factory(tmp_path / "out", "vital") == wanted


def test_a_pair_of_two_figures_is_for_a_reward_model_alone(figures, tmp_path):
    pairs = pair_rows().assign(right_id=["F1-b", *(f"F{k}-b" for k in range(1, 5))])
    made = _pairs_exported(figures, tmp_path / "dpo", "dpo", pairs)
    assert made.held_back.values.tolist() == [["F1-b > F0-a", "F1", "about two questions", ""]]
    made = _pairs_exported(figures, tmp_path / "reward", "reward", pairs)
    first, *_ = _lines(tmp_path / "reward" / "pairs.jsonl")
    assert made.rows == 5 and first["id"] == "F1-b > F0-a"
    assert "5 of 5 figures" in (made.folder / "README.md").read_text()
    assert (first["images"], first["rejected_images"]) == (["images/F1.png"], ["images/F0.png"])
    assert first["messages"][0]["content"] == "<image>Where is it on 1?"
    assert first["rejected_messages"][0]["content"] == "<image>Where is it on 0?"


def test_ties_and_equal_texts_make_no_pair(figures, tmp_path):
    pairs = pair_rows().assign(preferred=[0.5, 1.0, 1.0, float("nan"), 0.0])
    candidates = candidate_rows()
    candidates.loc[candidates["candidate_id"] == "F1-b", "response"] = "On the left on 1.\n"
    candidates = candidates[candidates["candidate_id"] != "F2-b"]
    made = export(pairs, figures, tmp_path / "out", form="dpo", candidates=candidates)
    assert made.rows == 1
    assert made.held_back["reason"].tolist() == [
        "tied", "with two equal responses", "of candidates that are not given", "tied",
    ]  # fmt: skip
    with pytest.raises(ValueError, match="form = 'dpo': give the candidates of the pairs"):
        export(pairs, figures, tmp_path / "out", form="dpo")


TOKENS = [
    *(
        "<image>",
        "<video>",
        "<|image_pad|>",
        "<|im_end|>",
        "<start_of_image>",
        "<image_soft_token>",
    ),
    *("</s>", "<end_of_turn>", "[/INST]", "{{image}}", "<img>", "</img>", "<｜end▁of▁sentence｜>"),
    *("<fake_token_around_image>", "<row_1_col_2>", "<bbox>", "<im_patch>"),
]


@pytest.mark.parametrize("token", TOKENS)
def test_a_text_cannot_show_a_second_image_or_end_its_turn(token, figures, tmp_path):
    half = len(token) // 2
    nested = f"{token[:half]}{token}{token[half:]}"
    rows = with_texts((f"{token}Where?", f"A{token}nodule."), (nested, f"Left {token}"))
    for form in ("llava", "trl", "ms-swift", "llama-factory", "dataset"):
        made = export(rows, figures, tmp_path / "out", form=form)
        if form in ("trl", "dataset"):
            [path] = (tmp_path / "out" / "data").glob("*.parquet")
            texts = [one["content"] for one in pq.read_table(path)["messages"][0].as_py()]
        else:
            [path] = (tmp_path / "out").glob("conversations.*")
            [record] = json.loads(path.read_text()) if form != "ms-swift" else _lines(path)
            messages = record.get("messages") or record["conversations"]
            texts = [one.get("content") or one["value"] for one in messages]
            assert texts[0].startswith("<image>")
            texts[0] = texts[0].removeprefix("<image>").strip()
        assert not any(token in text for text in texts)
        assert texts[:2] == ["Where?", "A nodule."] and texts[3] == "Left"
        assert made.texts_changed == 1 and "control tokens" in str(made)


def test_texts_that_only_look_like_markup_stay(figures, tmp_path):
    text = "p < 0.05 | n > 3, size <2 mm>, [R], {{x}}, <b>bold</b> \u2028 日本語 \U0001fac0"
    made = export(with_texts((text, text)), figures, tmp_path / "out", form="ms-swift")
    [record] = _lines(tmp_path / "out" / "conversations.jsonl")
    assert [one["content"] for one in record["messages"]] == [f"<image>{text}", text]
    assert made.texts_changed == 0


def test_a_text_that_no_file_can_hold_is_written_without_its_odd_half(figures, tmp_path):
    rows = with_texts(("Is \ud800it?", "Yes\0."))
    for form in ("ms-swift", "trl"):
        assert export(rows, figures, tmp_path / "out", form=form).rows == 1
    [path] = (tmp_path / "out" / "data").glob("*.parquet")
    messages = pq.read_table(path)["messages"][0].as_py()
    assert [one["content"] for one in messages] == ["Is \ufffdit?", "Yes\0."]


def test_rounds_without_text_are_left_out_and_counted(figures, tmp_path):
    good = ("Where?", "Left.")
    rows = conversation_rows(4)
    turns = [
        dict(zip(("instruction", "response"), one, strict=True)) for one in (good, ("Why?", " "))
    ]
    tagged = {"instruction": "<image>\n", "response": "Right."}
    rows["turns"] = [[*turns, tagged], [turns[1]], [], np.array([{"instruction": 3}], object)]
    made = export(rows, figures, tmp_path / "out", form="llava")
    [record] = json.loads((tmp_path / "out" / "conversations.json").read_text())
    assert [one["value"] for one in record["conversations"]] == ["<image>\nWhere?", "Left."]
    assert made.rounds_left_out == 2
    assert made.held_back["reason"].tolist() == ["without text"] * 3
    assert "2 rounds without a question or an answer left out" in str(made)


def test_the_card_names_the_form_its_command_and_the_licences(figures, tmp_path):
    for form in FORMS:
        if FORMS[form].rows == "pairs":
            made = _pairs_exported(figures, tmp_path / "my set", form)
        else:
            made = export(conversation_rows(), figures, tmp_path / "my set", form=form)
        text = (made.folder / "README.md").read_text()
        assert FORMS[form].reader.split(",")[0] in text and "my set" in text
        assert "Not for clinical use" in text and "| 5 | PMC | CC BY 4.0 | Ada |" in text
        assert ("data/*.parquet" in text) == (made.folder / "data").is_dir()
        assert ("Simulated" in text) == (FORMS[form].rows == "pairs")  # the generator of the pairs


def test_an_unknown_form_or_way_is_refused(figures, tmp_path):
    rows = conversation_rows()
    with pytest.raises(ValueError, match="form = 'alpaca': give one of 'llava', 'trl'"):
        export(rows, figures, tmp_path / "o", form="alpaca")
    with pytest.raises(ValueError, match="images = 'move': give 'copy' or 'link'"):
        export(rows, figures, tmp_path / "o", form="llava", images="move")
    with pytest.raises(ValueError, match="1 of 6 conversations occur twice, first .*F0-c"):
        export(pd.concat([rows, rows.head(1)]), figures, tmp_path / "o", form="llava")
    with pytest.raises(ValueError, match="1 of 5 conversations are about figures that are not"):
        export(rows, figures.tail(4), tmp_path / "o", form="llava")
    assert not (tmp_path / "o").exists()


@pytest.mark.parametrize(
    ("form", "rows", "wanted"),
    [
        ("llava", pair_rows(), "conversations: wanted a table with conversation_id"),
        ("dpo", conversation_rows(), "pairs: wanted a table with left_id"),
        ("llava", conversation_rows().to_dict("records"), "this list has no conversation_id"),
        ("llava", conversation_rows().assign(conversation_id=range(5)), "5 of 5 values of conv"),
    ],
)
def test_another_table_is_refused_in_one_line(form, rows, wanted, figures, tmp_path):
    with pytest.raises(ValueError, match=wanted):
        export(rows, figures, tmp_path / "out", form=form, candidates=candidate_rows())
    with pytest.raises(ValueError, match="figures: wanted a table with figure_id, image"):
        export(rows, figures.drop(columns="image"), tmp_path / "out", form=form)


def test_a_value_that_is_not_known_stops_no_row_beside_it(figures, tmp_path):
    rows = conversation_rows().assign(rank=[1, None, 3, 4, 5])
    rows["score"] = pd.array([1, 2, None, 4, 5], "Float64")
    made = export(rows, figures.assign(group_id=range(5)), tmp_path / "data", form="dataset")
    written = pq.read_table(made.folder / "data").to_pandas()
    assert written["group_id"].tolist() == list("01234")
    assert written[["score", "rank"]].isna().sum().tolist() == [1, 1]
    pairs = pair_rows().assign(preferred=pd.array([1, 0, None, 1, 0], "Float64"))
    made = export(pairs, figures, tmp_path / "dpo", form="dpo", candidates=candidate_rows())
    assert made.rows == 4 and made.held_back["reason"].tolist() == ["tied"]

"""Claims about what is found in texts, the log of clearances, decisions and bare image files."""

from __future__ import annotations

import io
import re
import sqlite3
from contextlib import closing

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin
from planted_identifiers import HARMLESS, PLANTED, planted
from privacy_rows import SECRET, write_run

from vital_lib import privacy
from vital_lib.figures import (
    NotCleared,
    UnreadableImage,
    clearance_of,
    held_back_in_words,
    image_opener,
    is_cleared,
    open_figure,
    picture_hashes,
    read_figures,
)
from vital_lib.figures.bare import without_metadata
from vital_lib.privacy import ClearanceLog, find_identifiers

FOUND = {"name": 12, "date": 12, "record number": 11, "telephone": 7, "e-mail": 3, "address": 7}
FOUND |= {"age over 89": 8}
"""Of the planted identifiers; docs/privacy.md states them."""


# --- texts


def _is_found(sentence: str) -> bool:
    text, word = planted(sentence)
    begin = text.index(word)
    wanted = {n for n in range(begin, begin + len(word)) if text[n].isalnum()}
    return wanted <= {n for one in find_identifiers(text) for n in range(one.begin, one.end)}


def test_planted_identifiers_are_found_as_often_as_the_page_says(root):
    found = {kind: sum(map(_is_found, sentences)) for kind, sentences in PLANTED.items()}
    assert found == FOUND
    page = (root / "docs" / "privacy.md").read_text()
    for kind, n in FOUND.items():
        assert f"| {kind} | {n} of {len(PLANTED[kind])} |" in page
    assert f"{sum(FOUND.values())} of {sum(map(len, PLANTED.values()))}" in page


def test_harmless_sentences_give_one_false_alarm():
    alarms = [text[one.begin : one.end] for text in HARMLESS for one in find_identifiers(text)]
    assert alarms == ["patient Satisfaction Questionnaire"]


def test_real_captions_give_few_false_alarms(realdata, tmp_path):
    figures, _ = read_figures(str(realdata / "figures"), run=tmp_path)
    found = privacy.find_in_texts(figures)
    assert set(found["kind"]) <= {"date"}
    assert found["figure_id"].nunique() == 4  # each a real date


@settings(max_examples=200)
@given(st.text(max_size=300))
def test_any_text_is_scanned_and_what_is_found_lies_inside_it_apart(text):
    found = find_identifiers(text)
    ends = [0, *(one.end for one in found)]
    assert all(one.begin >= end for one, end in zip(found, ends, strict=False))
    assert all(one.begin < one.end <= len(text) for one in found)


# --- clearance by reading


def test_a_source_is_cleared_in_one_line(tmp_path):
    _write_set(tmp_path, {"name": "PMC-OA"}, {"name": "ward"})
    why = {"PMC-OA": "CC BY, published"}
    figures, _ = read_figures(str(tmp_path), run=tmp_path / "run", cleared_sources=why)
    assert list(is_cleared(figures)) == [True, False]
    assert figures["cleared_reason"][0] == "CC BY, published"
    assert figures["cleared_by"].fillna("").tolist() == ["(source)", ""]


def test_a_cleared_source_that_no_figure_has_is_an_error(tmp_path):
    _write_set(tmp_path, {"name": "ward"})
    with pytest.raises(ValueError, match=r"names \['PMC'\]; the figures' sources are 'ward'"):
        read_figures(str(tmp_path), run=tmp_path / "run", cleared_sources={"PMC": "published"})


@pytest.mark.parametrize(
    "stated",
    [
        {"cleared": False},
        {"cleared": None, "cleared_reason": "DICOM: pixels not checked"},
        {"cleared_reason": "may hold burnt-in text"},
    ],
)
@pytest.mark.parametrize("sources", [{}, {"ward": "published"}])
def test_a_record_holds_itself_back_whatever_its_licence_and_source(stated, sources, tmp_path):
    _write_set(tmp_path, {"name": "ward", "licence": "CC BY 4.0"}, **stated)
    figures, _ = read_figures(str(tmp_path), run=tmp_path / "run", cleared_sources=sources)
    assert not is_cleared(figures).any()
    assert figures["cleared_reason"][0] == stated.get("cleared_reason", "its record says so")


def test_a_record_cannot_clear_itself(tmp_path):
    _write_set(tmp_path, {"name": "ward"}, cleared=True, cleared_reason="trust me")
    figures, _ = read_figures(str(tmp_path), run=tmp_path / "run")
    assert not is_cleared(figures).any()


def _write_set(folder, *sources, **stated) -> None:
    (folder / "images").mkdir()
    rows = []
    for n, source in enumerate(sources):
        Image.new("RGB", (20, 20), (40 * n, 9, 9)).save(folder / "images" / f"f{n}.png")
        record = {"pair_id": f"f{n}", "fig_caption": "A film.", "image": f"f{n}.png"}
        record |= {"source": source, **stated}
        rows.append(pd.Series(record).to_json())
    (folder / "figures.jsonl").write_text("\n".join(rows))


def test_what_is_held_back_is_counted_by_the_three_commonest_reasons():
    reasons = ["a", "a", "b", "b", "c", "c", "d"]
    rows = pd.DataFrame({"figure_id": reasons, "cleared": None, "cleared_reason": reasons})
    said = held_back_in_words(rows)
    assert said.startswith(
        "7 of 7 figures are not cleared: held back (2: a; 2: b; 2: c; 1: other r"
    )
    assert "other" not in held_back_in_words(rows[:6]) and not held_back_in_words(rows[:0])


@pytest.mark.parametrize("value", [None, np.nan, pd.NA, False, 0, 1, 1.0, "true", "yes", [True]])
def test_only_a_true_value_clears(value):
    assert not clearance_of({"figure_id": "f", "cleared": value}).cleared
    assert clearance_of({"figure_id": "f", "cleared": np.True_}).cleared


# --- decisions


@pytest.fixture
def held(tmp_path):
    """A run, and its figure that is not cleared, with its image."""
    workspace = write_run(tmp_path / "run")
    figures = workspace.read("figures")
    row = figures[figures["figure_id"] == SECRET].iloc[0].to_dict()
    return workspace, row, open_figure(row)


def _now(workspace) -> dict:
    figures = privacy.with_decisions(workspace.read("figures"), workspace.path)
    return figures[figures["figure_id"] == SECRET].iloc[0].to_dict()


def test_a_person_clears_a_figure_and_the_log_says_who_why_and_when(held):
    workspace, row, image = held
    privacy.clear(workspace.path, row, image, person="Ada", reason="a phantom")
    now = _now(workspace)
    assert open_figure(now).clearance.cleared
    assert (now["cleared_by"], now["cleared_reason"]) == ("Ada", "a phantom")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", now["cleared_at"])
    (event,) = ClearanceLog(workspace.path).decisions().to_dict("records")
    assert event["sha256"] == row["sha256"] and event["boxes"] == [] and event["cleared"]


def test_a_rejected_figure_stays_here_whatever_cleared_it(held):
    workspace, row, image = held
    privacy.clear(workspace.path, row, image, person="Ada", reason="fine")
    privacy.reject(workspace.path, row, image, person="Bob", reason="a face")
    assert not open_figure(_now(workspace)).clearance.cleared
    figures = workspace.read("figures")
    licensed = figures[figures["figure_id"] == "open"].iloc[0].to_dict()
    opened = open_figure(licensed)
    assert opened.clearance.cleared
    privacy.reject(workspace.path, licensed, opened, person="Bob", reason="a face")
    assert not is_cleared(privacy.with_decisions(figures, workspace.path)).any()


def test_a_decision_holds_for_the_bytes_and_texts_it_was_made_about(held):
    workspace, row, image = held
    privacy.clear(workspace.path, row, image, person="Ada", reason="fine")
    figures = workspace.read("figures")
    for changed in ({"caption": "Another caption."}, {"sha256": "0" * 64}):
        again = privacy.with_decisions(figures.assign(**changed), workspace.path)
        assert not is_cleared(again[again["figure_id"] == SECRET]).any()


def test_a_box_makes_a_new_file_without_what_was_there(held):
    workspace, row, _ = held
    with Image.open(row["image"]) as first:
        second = Image.new("RGB", first.size, (250, 250, 250))
        file = workspace.path / "two.gif"
        first.save(file, save_all=True, append_images=[second])
    row |= {"image": str(file), "sha256": open_figure({**row, "image": str(file)}).sha256}
    figures = pd.DataFrame([row])
    image = image_opener(figures)(SECRET)
    before = np.asarray(image.pixels())
    boxes = [(4, 6, 20, 10)]
    privacy.clear(workspace.path, row, image, person="Ada", reason="no name", boxes=boxes)
    (now,) = privacy.with_decisions(figures, workspace.path).to_dict("records")
    assert now["sha256"] != row["sha256"] and now["cleared"]
    shown = open_figure(now)
    assert shown.clearance.cleared
    after = np.asarray(shown.pixels())
    assert (after[6:16, 4:24] == 0).all()
    after = after.copy()
    after[6:16, 4:24] = before[6:16, 4:24]
    assert (after == before).all()
    with Image.open(now["image"]) as written:  # neither frames nor metadata came along
        assert getattr(written, "n_frames", 1) == 1 and not written.info
    (event,) = ClearanceLog(workspace.path).decisions().to_dict("records")
    assert event["boxes"] == [[4, 6, 20, 10]] and event["redacted_sha256"] == now["sha256"]


def test_a_redacted_file_that_was_changed_or_lost_is_not_cleared(held):
    workspace, row, image = held
    how = {"person": "Ada", "reason": "fine", "boxes": [(0, 0, 5, 5)]}
    privacy.clear(workspace.path, row, image, **how)
    now = _now(workspace)
    Image.new("RGB", (64, 48), (9, 9, 9)).save(now["image"])
    assert not open_figure(_now(workspace)).clearance.cleared
    with open(now["image"], "wb") as file:
        file.write(b"nothing")
    assert not clearance_of(_now(workspace)).cleared


def test_removed_words_are_in_no_text_afterwards_and_not_in_the_log(held):
    workspace, row, image = held
    spans = [
        (place, match.start(), match.end())
        for place, text in privacy.texts_of(row).items()
        for match in re.finditer(SECRET, text)
    ]
    privacy.clear(workspace.path, row, image, person="Ada", reason="fine", spans=spans)
    now = _now(workspace)
    assert now["caption"] == "A film of [removed]." and now["mentions"] == ["See [removed]."]
    assert clearance_of(now).cleared


def test_decisions_with_and_without_boxes_stand_beside_each_other(held):
    workspace, row, image = held
    figures = workspace.read("figures")
    other = figures[figures["figure_id"] == "open"].iloc[0].to_dict()
    how = {"person": "Ada", "reason": "fine"}
    privacy.clear(workspace.path, row, image, **how, boxes=[(0, 0, 5, 5)])
    privacy.clear(workspace.path, other, open_figure(other), **how)
    now = privacy.with_decisions(figures.assign(cleared=None), workspace.path)
    assert is_cleared(now).all()
    assert all(open_figure(one).clearance.cleared for one in now.to_dict("records"))


def test_a_redacted_figure_can_be_rejected_later(held):
    workspace, row, image = held
    how = {"person": "Ada", "reason": "fine", "boxes": [(0, 0, 5, 5)]}
    privacy.clear(workspace.path, row, image, **how)
    now = _now(workspace)
    privacy.reject(workspace.path, now, open_figure(now), person="Bob", reason="a scar")
    assert not clearance_of(_now(workspace)).cleared
    privacy.clear(workspace.path, row, image, **how)  # later, from the original again
    assert clearance_of(_now(workspace)).cleared


@pytest.mark.parametrize(
    "wrong",
    [
        {"person": " "},
        {"reason": ""},
        {"boxes": [(0, 0, 65, 4)]},
        {"boxes": [(-1, 0, 4, 4)]},
        {"boxes": [(0, 0, 0, 4)]},
        {"spans": [("caption", 3, 999)]},
        {"spans": [("mention 9", 0, 1)]},
    ],
)
def test_a_decision_that_cannot_be_meant_is_refused_and_not_logged(wrong, held):
    workspace, row, image = held
    with pytest.raises(ValueError):
        privacy.clear(workspace.path, row, image, **{"person": "Ada", "reason": "fine", **wrong})
    assert not clearance_of(_now(workspace)).cleared
    assert ClearanceLog(workspace.path).decisions().empty


def test_an_image_that_changed_while_it_was_looked_at_is_not_cleared(held):
    workspace, row, image = held
    Image.new("RGB", (64, 48), (9, 9, 9)).save(row["image"])
    how = {"person": "Ada", "reason": "fine"}
    with pytest.raises(privacy.OtherFigure):
        privacy.clear(workspace.path, row, open_figure(row), **how)
    with pytest.raises(UnreadableImage):
        privacy.clear(workspace.path, row, image, **how, boxes=[(0, 0, 4, 4)])


@pytest.mark.parametrize("act", ["UPDATE clearances SET cleared = 1", "DELETE FROM clearances"])
def test_the_log_is_append_only(act, held):
    workspace, row, image = held
    privacy.reject(workspace.path, row, image, person="Ada", reason="a face")
    log = sqlite3.connect(ClearanceLog(workspace.path).path)
    with pytest.raises(sqlite3.IntegrityError, match="append-only"):
        log.execute(act)
    log.close()


@pytest.mark.parametrize("damage", ["cut", "text", "list"])
def test_a_damaged_log_says_so_and_clears_nothing(damage, held):
    workspace, row, image = held
    privacy.clear(workspace.path, row, image, person="Ada", reason="fine")
    file = ClearanceLog(workspace.path).path
    if damage == "list":
        _edit(file, "UPDATE clearances SET boxes = '{'")
    else:
        file.write_bytes(file.read_bytes()[:5000] if damage == "cut" else b"no database" * 500)
    with pytest.raises(privacy.DamagedLog, match="clearances.sqlite.*put a copy of it back"):
        privacy.with_decisions(workspace.read("figures"), workspace.path)
    if damage == "text":
        with pytest.raises(privacy.DamagedLog):
            privacy.clear(workspace.path, row, image, person="Ada", reason="fine")


@pytest.mark.parametrize(
    "edit", ["cleared = 'no'", "cleared = 2", "spans = '[[\"mention 9\", 0, 4]]'", "spans = '[3]'"]
)
def test_an_edited_entry_of_the_log_clears_nothing(edit, held):
    workspace, row, image = held
    privacy.clear(workspace.path, row, image, person="Ada", reason="fine")
    _edit(ClearanceLog(workspace.path).path, f"UPDATE clearances SET {edit}")
    assert not open_figure(_now(workspace)).clearance.cleared


def _edit(file, act: str) -> None:
    with closing(sqlite3.connect(file)) as log, log:
        log.execute("DROP TRIGGER never_changed")
        log.execute(act)


def test_a_log_that_lost_decisions_says_so_as_a_licence_would_clear_what_was_rejected(held):
    workspace, *_ = held
    figures = workspace.read("figures")
    licensed = figures[figures["figure_id"] == "open"].iloc[0].to_dict()
    privacy.reject(workspace.path, licensed, open_figure(licensed), person="Bob", reason="a face")
    workspace.write("figures", privacy.with_decisions(figures, workspace.path))
    assert not is_cleared(privacy.with_decisions(figures, workspace.path)).any()
    file = ClearanceLog(workspace.path).path
    for content in (None, b""):
        file.unlink()
        if content is not None:
            file.write_bytes(content)
        with pytest.raises(privacy.DamagedLog, match="lacks 1 decisions.*put a copy of it back"):
            privacy.with_decisions(figures, workspace.path)
        file.touch()


def test_a_damaged_table_figures_does_not_stop_the_notebook_that_writes_it(held):
    workspace, *_ = held
    figures = workspace.read("figures")
    (workspace.path / "figures.parquet").write_bytes(b"PAR1 cut")
    assert len(privacy.with_decisions(figures, workspace.path)) == len(figures)


@pytest.mark.parametrize(
    "wrong", [{"spans": [("caption", 0.5, 3.5)]}, {"person": "\u200b"}, {"reason": "-"}]
)
def test_half_a_letter_and_an_empty_name_are_refused(wrong, held):
    workspace, row, image = held
    with pytest.raises((TypeError, ValueError)):
        privacy.clear(workspace.path, row, image, **{"person": "Ada", "reason": "fine", **wrong})
    assert ClearanceLog(workspace.path).decisions().empty


def test_spans_that_overlap_leave_nothing_of_what_they_cover(held):
    workspace, row, image = held
    row["caption"] = "Film of Ann Quillfeather of the ward."
    spans = [("caption", 8, 24), ("caption", 8, 11), ("caption", 10, 14)]
    privacy.clear(workspace.path, row, image, person="Ada", reason="fine", spans=spans)
    figures = privacy.with_decisions(pd.DataFrame([row]), workspace.path)
    assert figures["caption"].tolist() == ["Film of [removed] of the ward."]


def test_a_box_between_pixels_covers_each_that_it_touches(held):
    workspace, row, image = held
    how = {"person": "Ada", "reason": "fine"}
    privacy.clear(workspace.path, row, image, **how, boxes=[(10.6, 4.2, 5.5, 3)])
    now = _now(workspace)
    pixels = np.asarray(open_figure(now).pixels())
    assert (pixels[4:8, 10:17] == 0).all() and (pixels[3, :] != 0).any(axis=1).all()
    assert now["phash_inner"] == picture_hashes(open_figure(now).pixels())[1]
    with pytest.raises(ValueError, match="box"):
        privacy.clear(workspace.path, row, image, **how, boxes=[(float("nan"), 0, 4, 4)])


def test_an_image_that_is_not_cleared_is_not_opened_for_others(held):
    from vital_lib.figures import cleared_opener

    workspace, _, _ = held
    with pytest.raises(NotCleared):
        cleared_opener(workspace.read("figures"))(SECRET)


# --- metadata

MARK = b"Zephyrine"


def _marked(form: str, mode: str = "RGB", **options) -> bytes:
    """A file of noise in which MARK stands in every kind of metadata that Pillow writes."""
    noise = np.random.default_rng(1).integers(0, 255, (40, 50, 3), dtype=np.uint8)
    image = Image.fromarray(noise).convert(mode)
    exif = Image.Exif()
    exif[270], exif[315] = MARK.decode(), MARK.decode()  # description, artist
    exif.get_ifd(0x8825)[29] = MARK.decode()  # GPS
    buffer = io.BytesIO()
    icc = b"\0" * 128 + MARK
    if form == "PNG":
        texts = PngImagePlugin.PngInfo()
        texts.add_text("Comment", MARK.decode())
        texts.add_text("Author", MARK.decode(), zip=True)
        texts.add_itxt("XML:com.adobe.xmp", MARK.decode())
        options["pnginfo"] = texts
    else:
        options |= {"comment": MARK, "xmp": MARK}
        iptc = b"Photoshop 3.0\0" + b"8BIM\x04\x04\0\0\0\0\0\x0e\x1c\x02\x78\0\x09" + MARK
        options["extra"] = b"\xff\xed" + (len(iptc) + 2).to_bytes(2, "big") + iptc
    image.save(buffer, form, exif=exif, icc_profile=icc, **options)
    return buffer.getvalue() + MARK  # and after the end


def _pixels(content: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(content)) as image:
        return np.asarray(image.convert("RGB"))


@pytest.mark.parametrize(
    ("form", "mode", "options"),
    [
        ("PNG", "RGB", {}),
        ("PNG", "P", {}),
        ("PNG", "L", {}),
        ("JPEG", "RGB", {"quality": 95}),
        ("JPEG", "RGB", {"progressive": True}),
        ("JPEG", "L", {"optimize": True}),
        ("JPEG", "RGB", {"restart_marker_blocks": 3}),
        ("JPEG", "CMYK", {}),
        ("JPEG", "RGB", {"keep_rgb": True}),
    ],
)
def test_a_bare_file_has_the_same_pixels_and_no_metadata(form, mode, options):
    content = _marked(form, mode, **options)
    bare = without_metadata(content)
    assert MARK in content and MARK not in bare
    for other in (b"Exif", b"GPS", b"xmp", b"8BIM", b"ICC_PROFILE", b"iCCP", b"tEXt", b"zTXt"):
        assert other not in bare
    assert (_pixels(bare) == _pixels(content)).all()
    assert without_metadata(bare) == bare


@settings(max_examples=200)
@given(st.data())
def test_a_damaged_file_is_bare_or_refused(data):
    content = bytearray(data.draw(st.sampled_from([_marked("PNG"), _marked("JPEG")])))
    for _ in range(data.draw(st.integers(1, 6))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(content)))
    bare = without_metadata(bytes(content[:cut]))
    assert bare is None or isinstance(bare, bytes)


def test_other_formats_have_no_bare_form():
    assert without_metadata(b"GIF89a") is None and without_metadata(b"") is None

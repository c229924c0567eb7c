"""The proof: planted identifiers are in nothing that a run wrote for others or sent.

Captions, mentions, names of files and folders, EXIF, GPS, PNG texts and pixels hold words that no
other thing holds. Every byte is searched, in files also after decompression.
"""

from __future__ import annotations

import io
import json
import zlib
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from beside import OCR, installed_beside
from dicom_rows import options, write
from loopback import Loopback
from PIL import Image, ImageDraw, ImageFont, PngImagePlugin
from privacy_rows import whatever

from vital_lib import exports, figures, generation, judging, labels, privacy
from vital_lib.client import ChatClient
from vital_lib.demonstrations import random_demonstrations
from vital_lib.figures import image_opener, open_figure, read_figures
from vital_lib.labelling import open_card
from vital_lib.report import write_report
from vital_lib.tables import Workspace, frame_of

WORDS = {
    "caption": "Quillfeather", "mention": "Abernathwaite", "file": "Ozymandrel",
    "folder": "Thistlewick", "exif": "Zephyrine", "gps": "Bramblecourt", "png text": "Fennimorel",
    "removed": "Hollingshade", "refused record": "Marchbanksia",
}  # fmt: skip
"""What is planted, by place."""

BURNT = "WOLVERTON 1931"


def _figure_set(folder: Path) -> Path:
    """A figure set in which every word is planted: f0 is cleared, f1 is not, f2 is redacted."""
    home = folder / WORDS["folder"]
    (home / "images").mkdir(parents=True)
    exif = Image.Exif()
    exif[270] = WORDS["exif"]
    exif.get_ifd(0x8825)[29] = WORDS["gps"]
    texts = PngImagePlugin.PngInfo()
    texts.add_text("Comment", WORDS["png text"], zip=True)
    names = [f"{WORDS['file']}_{n}.{end}" for n, end in enumerate(("jpg", "png", "png"))]
    for shade, name in enumerate(names):
        image = Image.new("RGB", (320, 200), (60 + 50 * shade, 90, 80))
        if shade:
            font = ImageFont.load_default(size=24)
            ImageDraw.Draw(image).text((20, 30), BURNT, fill=(255, 255, 255), font=font)
        more = {"pnginfo": texts} if name.endswith("png") else {"comment": WORDS["exif"].encode()}
        image.save(home / "images" / name, exif=exif, **more)
    ward = {"name": "ward", "url": "https://example.org/1"}
    free = {**ward, "licence": "CC BY 4.0"}
    records = [
        {"pair_id": "a_F1", "fig_caption": "A film.", "image": names[0], "source": free},
        {"pair_id": "b_F1", "fig_caption": f"Film of {WORDS['caption']}.", "image": names[1],
         "in_text_mention": [f"{WORDS['mention']} is seen."], "source": ward},
        {"pair_id": "c_F1", "fig_caption": f"Film of Mr. {WORDS['removed']}.", "image": names[2],
         "source": ward, "licence": "CC BY 4.0"},
        {"pair_id": "d_F1", "fig_caption": 7, "image": f"{WORDS['refused record']}.png"},
    ]  # fmt: skip
    (home / "figures.jsonl").write_text("\n".join(map(json.dumps, records)))
    return home


def _run_of(folder: Path) -> tuple[Workspace, Path]:
    """A run as notebook 01 writes it: f2 is cleared without a box and without its found name."""
    home, run = _figure_set(folder), folder / "run"
    workspace = Workspace(run)
    frame, rejected = read_figures(str(home), run=run)
    row = frame[frame["figure_id"] == "c_F1"].iloc[0].to_dict()
    spans = privacy.find_in_texts(pd.DataFrame([row]))[["place", "begin", "end"]]
    privacy.clear(
        run, row, open_figure(row), person="Ada", reason="removed",
        boxes=[(10, 20, 260, 50)], spans=spans.itertuples(index=False, name=None),
    )  # fmt: skip
    frame = privacy.with_decisions(frame, run).assign(split="train")
    workspace.write("figures", frame)
    workspace.write("figures_rejected", rejected)
    return workspace, home


def _work(workspace: Workspace, url: str) -> None:
    """Every stage that sends or writes for others, with all figures."""
    frame = workspace.read("figures")
    client = ChatClient("gpt-4o", base_url=url, ledger=workspace.ledger)
    drafts, _ = generation.draft_candidates(frame, client)
    workspace.write("drafts", drafts)
    pool = random_demonstrations(drafts, frame, n=5, seed=0)
    workspace.write("demonstrations", pool)
    opener = {"image_of": image_opener(frame)}
    made, _ = generation.generate_candidates(frame, pool, client, arm="random", **opener)
    workspace.write("candidates", made)
    ratings = judging.rate_candidates(made, frame, client)
    workspace.write("ratings", ratings)
    grey = judging.blanked(frame, workspace.path / "blank_images")
    judging.rate_candidates(made, grey, client)
    turns = [{"instruction": "Which side?", "response": "Left."}]
    rows = [
        {"conversation_id": f"{name}-c", "figure_id": name, "turns": turns, "score": 1.0, "rank": n}
        for n, name in enumerate(frame["figure_id"])
    ]
    workspace.write("selected", frame_of("selected", rows))
    for form in ("llava", "trl", "ms-swift", "llama-factory", "dataset"):
        exports.export(
            workspace.read("selected"), frame, workspace.path / "exports" / form, form=form,
            licences="any", split=None, workspace=workspace,
        )  # fmt: skip
    write_report(workspace)
    card = open_card(workspace.path, "ann")
    state = json.dumps(card.widget.state)
    (workspace.path / "card.json").write_text(state)
    log = labels.LabelLog(workspace.label_url)
    file = workspace.path / "exports" / "tasks.json"
    labels.export_label_studio(log.history(), drafts, frame, file)
    log.close()


def _bytes_of(path: Path) -> bytes:
    """The bytes of a file, and of what is compressed in it."""
    content = path.read_bytes()
    if path.suffix == ".parquet":
        table = pq.read_table(path)
        content += str(table.to_pydict()).encode() + str(table.schema.metadata).encode()
    place = 0
    while path.suffix == ".png" and (place := content.find(b"zTXt", place + 1)) > 0:
        content += zlib.decompress(content[place + 4 :].split(b"\0", 2)[2])
    return content


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run after all work, and what the server received."""
    workspace, home = _run_of(tmp_path_factory.mktemp("proof"))
    with Loopback(whatever) as server:
        _work(workspace, server.base_url)
        received = json.dumps(server.bodies, ensure_ascii=False)
    return workspace, home, received


ONLY_HERE = ("figures.parquet", "figures_rejected.parquet")
"""Tables of the user's own set: its captions, and the paths of its files."""


@pytest.mark.parametrize("place", WORDS)
def test_a_planted_word_is_in_nothing_that_was_sent_or_written(place, finished):
    workspace, home, received = finished
    word = WORDS[place]
    planted = [p for p in home.rglob("*") if p.is_file()]
    assert any(word.encode() in _bytes_of(p) or word in str(p) for p in planted)  # it was there
    assert word not in received
    written = [p for p in workspace.path.rglob("*") if p.is_file() and p.name not in ONLY_HERE]
    assert len(written) > 20
    holding = [
        str(path.relative_to(workspace.path))
        for path in written
        if word.encode() in _bytes_of(path) or word in str(path.relative_to(workspace.path))
    ]
    assert not holding


def test_the_good_figures_went_out_all_the_same(finished):
    workspace, _, received = finished
    assert "A film." in received and "Film of [removed]." in received
    assert set(workspace.read("drafts")["figure_id"]) == {"a_F1", "c_F1"}
    for form in ("llava", "dataset"):
        assert any((workspace.path / "exports" / form).iterdir())


def test_removed_words_are_not_even_in_the_table(finished):
    workspace, *_ = finished
    assert WORDS["removed"].encode() not in _bytes_of(workspace.path / "figures.parquet")


def test_the_pixels_in_a_box_left_on_no_road(finished):
    workspace, home, _ = finished
    original = np.asarray(Image.open(next((home / "images").glob("*_2.png"))).convert("L"))
    assert original[20:70, 10:270].max() > 200  # white letters
    pictures = [p for p in (workspace.path / "exports").rglob("c_F1*") if p.suffix == ".png"]
    assert pictures
    for path in pictures:
        assert np.asarray(Image.open(path).convert("L"))[20:70, 10:270].max() == 0


def test_a_dicom_figure_is_held_back_until_a_person_clears_it(tmp_path):
    word = WORDS["caption"]
    place = write(tmp_path / word / f"{word}.dcm", PatientName=f"{word}^A", PatientComments=word)
    workspace = Workspace(tmp_path / "run")
    frame, _ = read_figures(str(place.parent), run=workspace.path, dicom=options(tmp_path))
    row = frame.iloc[0].to_dict()
    with Loopback(whatever) as server:
        client = ChatClient("gpt-4o", base_url=server.base_url, ledger=workspace.ledger)
        drafts, unread = generation.draft_candidates(frame, client)
        assert drafts.empty and not server.bodies
        assert unread["reason"][0].endswith("is not cleared: DICOM: pixels not checked")
        privacy.clear(workspace.path, row, open_figure(row), person="Ada", reason="a phantom")
        frame = privacy.with_decisions(frame, workspace.path)
        drafts, _ = generation.draft_candidates(frame, client)
        assert len(server.bodies) == 1 and len(drafts)
        assert word not in json.dumps(server.bodies)
    workspace.write("figures", frame)
    workspace.write("drafts", drafts)
    files = [path for path in workspace.path.rglob("*") if path.is_file()]
    assert not [p.name for p in files if word.encode() in _bytes_of(p) or word in p.name]


@pytest.mark.slow
def test_ocr_finds_the_burnt_in_text_and_nothing_after_its_box(finished, monkeypatch):
    monkeypatch.syspath_prepend(str(installed_beside("ocr-1.4.4", OCR)))
    workspace, home, _ = finished
    frame, _ = read_figures(str(home), run=workspace.path / "again")
    opened = image_opener(frame)
    (found,) = privacy.find_burnt_in(opened("b_F1"))
    assert found.text.replace(" ", "") == BURNT.replace(" ", "")
    assert 10 <= found.box.x <= 22 and 25 <= found.box.y <= 40
    row = workspace.read("figures").set_index("figure_id", drop=False).loc["c_F1"].to_dict()
    assert privacy.find_burnt_in(open_figure(row)) == []
    assert privacy.find_burnt_in(opened("a_F1")) == []


@pytest.mark.slow
@pytest.mark.parametrize("marker", ["L", "R", "H"])
def test_a_single_character_is_no_text(marker, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(installed_beside("ocr-1.4.4", OCR)))
    image = Image.new("RGB", (400, 400))
    ImageDraw.Draw(image).text(
        (30, 30), marker, fill=(255, 255, 255), font=ImageFont.load_default(size=40)
    )
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    (tmp_path / "m.png").write_bytes(buffer.getvalue())
    assert privacy.find_burnt_in(figures.open_image(tmp_path / "m.png")) == []


def test_without_ocr_the_extra_is_named(tmp_path):
    try:
        import rapidocr_onnxruntime  # noqa: F401
    except ImportError:
        pass
    else:
        pytest.skip("the extra is installed")
    Image.new("RGB", (40, 40)).save(tmp_path / "a.png")
    with pytest.raises(ImportError, match=r"pip install 'vital-workbench\[ocr\]'"):
        privacy.find_burnt_in(figures.open_image(tmp_path / "a.png"))

"""Claims about the written figure set, its benchmark and the real pictures."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from vital_lib import clinic
from vital_lib.clinic import figure_set
from vital_lib.clinic.figure_set import BENCHMARK_FIGURES, RESERVED_SEED, make_figure_set
from vital_lib.clinic.lexicon import Truth, facts_in
from vital_lib.clinic.real import real_figures
from vital_lib.figures import read_figures
from vital_lib.modalities import MODALITIES
from vital_lib.tables import TABLES, Workspace

ARTICLES = 30


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("run")
    path = make_figure_set(folder / "clinic", articles=ARTICLES, seed=3)
    assert path == folder / "clinic" / "figures.jsonl"
    return folder


@pytest.fixture(scope="module")
def records(run) -> list[dict]:
    return lines(run / "clinic" / "figures.jsonl")


@pytest.fixture(scope="module")
def questions(run) -> list[dict]:
    return lines(run / "clinic" / "benchmark.jsonl")


@pytest.fixture(scope="module")
def truths(run) -> dict[str, Truth]:
    frame = Workspace(run).read("clinic_truth")
    rows = frame.astype(object).where(frame.notna(), None).to_dict("records")
    return {row.pop("figure_id"): Truth(**row) for row in rows}


def lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_every_record_becomes_a_figure(run, records):
    figures, rejected = read_figures(str(run / "clinic"), run=run)
    assert len(rejected) == 0
    assert list(figures["figure_id"]) == [record["pair_id"] for record in records]
    assert len(figures) == pytest.approx(2 * ARTICLES + len(real_figures()), rel=0.25)
    assert figures["sha256"].is_unique


def test_only_phantoms_have_a_truth_and_each_has_one(records, questions, truths):
    drawn = {r["pair_id"] for r in records if r["source"]["name"] == "clinic"}
    asked = {Path(question["image"]).stem for question in questions}
    assert set(truths) == drawn | asked
    assert drawn and asked and not drawn & asked


def test_captions_and_mentions_contradict_no_truth(records, truths):
    phantoms = [record for record in records if record["pair_id"] in truths]
    assert len(phantoms) >= ARTICLES
    for record in phantoms:
        told = [record["fig_caption"], *(m["tokens"] for m in record["in_text_mention"])]
        stated = facts_in(told)
        facts = truths[record["pair_id"]].facts()
        assert stated and {name: facts[name] for name in stated} == stated


def test_figures_of_one_article_share_its_id(records):
    phantoms = [record for record in records if record["source"]["name"] == "clinic"]
    assert len({record["pmid"] for record in phantoms}) == ARTICLES
    for record in phantoms:
        assert record["pair_id"].startswith(record["pmid"] + "_F")
        assert sum(record["domain"].values()) == 1


def test_the_same_seed_writes_the_same_files(run, records, tmp_path):
    make_figure_set(tmp_path / "clinic", articles=ARTICLES, seed=3)
    for name in ("figures.jsonl", "benchmark.jsonl"):
        assert (tmp_path / "clinic" / name).read_bytes() == (run / "clinic" / name).read_bytes()
    first = Path("clinic", "images", records[0]["image"])
    assert (tmp_path / first).read_bytes() == (run / first).read_bytes()
    assert Workspace(tmp_path).fingerprint("clinic_truth") == Workspace(run).fingerprint(
        "clinic_truth"
    )


def test_a_longer_set_starts_with_the_shorter_one(records, tmp_path):
    path = make_figure_set(tmp_path / "clinic", articles=3, seed=3)
    short = [record for record in lines(path) if record["source"]["name"] == "clinic"]
    assert len({record["pmid"] for record in short}) == 3
    assert short == records[: len(short)]


def test_another_seed_gives_other_articles(records, tmp_path):
    other = lines(make_figure_set(tmp_path / "clinic", articles=3, seed=4))
    drawn = {record["pmid"] for record in other if record["source"]["name"] == "clinic"}
    assert len(drawn) == 3
    assert not drawn & {record["pmid"] for record in records}


def test_benchmark_rows_fit_the_questions_table_and_their_images_open(run, questions):
    frame = pd.DataFrame(questions)
    frame = frame.assign(sha256=None, cleared=None, cleared_reason=None)  # known when they are read
    assert sorted(frame.columns) == sorted(TABLES["questions"].columns)
    assert Workspace(run).write("questions", frame) == len(questions)
    assert frame["image"].nunique() == BENCHMARK_FIGURES
    assert set(frame["kind"]) == {"open", "closed", "chat"}
    assert set(frame["modality"].value_counts().index) == set(MODALITIES)
    for image in Workspace(run).read("questions")["image"].unique()[:10]:
        with Image.open(image) as picture:
            assert picture.size == (224, 224)


def test_no_benchmark_article_is_in_the_figure_set(records, questions):
    groups = {question["group_id"] for question in questions}
    assert groups
    assert not groups & {record["pmid"] for record in records}


@pytest.mark.parametrize(
    "wrong", [{"articles": 0, "seed": 1}, {"articles": 1, "seed": RESERVED_SEED}]
)
def test_no_articles_and_reserved_seeds_are_refused(wrong, tmp_path):
    with pytest.raises(ValueError, match="wanted"):
        make_figure_set(tmp_path / "clinic", **wrong)


def test_real_pictures_have_several_modalities_or_none():
    flags = [sum(record["domain"].values()) for _, record in real_figures()]
    assert {0, 1, 2} <= set(flags)


def test_real_pictures_are_whole_and_credited():
    pictures = real_figures()
    assert len(pictures) >= 6
    for image, record in pictures:
        assert image.mode == "RGB" and min(image.size) >= 64
        assert image.getextrema() != ((0, 0), (0, 0), (0, 0))
        assert all(record["source"][name] for name in ("name", "licence", "credit"))
        assert set(record["domain"]) == set(MODALITIES)


def test_the_clinic_exports_what_it_says():
    assert clinic.make_figure_set is make_figure_set
    assert set(clinic.__all__) <= set(dir(clinic))
    with pytest.raises(AttributeError, match="ward"):
        _ = clinic.ward


def test_the_clinic_has_two_models_only():
    with pytest.raises(ValueError, match=r"'gpt'.*encoder and llava"):
        clinic.model_folder("gpt")


def test_a_set_drawn_by_two_processes_is_the_one_drawn_by_one(tmp_path, monkeypatch):
    alone = make_figure_set(tmp_path / "one" / "clinic", articles=5, seed=3).parent
    monkeypatch.setattr(figure_set, "_FEW_ARTICLES", 1)
    monkeypatch.setattr(figure_set, "available_cores", lambda: 2)
    shared = make_figure_set(tmp_path / "two" / "clinic", articles=5, seed=3).parent
    files = sorted(path.relative_to(alone) for path in alone.rglob("*") if path.is_file())
    assert files == sorted(p.relative_to(shared) for p in shared.rglob("*") if p.is_file())
    assert all((alone / name).read_bytes() == (shared / name).read_bytes() for name in files)
    tables = [Workspace(folder.parent).read("clinic_truth") for folder in (alone, shared)]
    assert tables[0].equals(tables[1])

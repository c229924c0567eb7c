"""Claims about decontamination: what benchmarks show is found, dropped and listed; little else."""

from __future__ import annotations

import json

import pandas as pd
import pytest
from copied_pictures import COPIES, NO_COPIES, scene
from export_rows import candidate_rows, conversation_rows, pair_rows

from vital_lib.contamination import dropped_figures, shared_images, shared_texts
from vital_lib.evaluation import known_questions, not_compared, read_questions
from vital_lib.exports import NothingToExport, export
from vital_lib.figures import CLINIC, DRAWN, read_figures
from vital_lib.tables import TABLES, Workspace, empty_frame, frame_of


def benchmark(folder, pictures: dict) -> str:
    """A benchmark of one question about each picture."""
    (folder / "images").mkdir(parents=True)
    rows = []
    for name, picture in pictures.items():
        picture.save(folder / "images" / name)
        rows.append({"question": f"What does {name} show?", "answer": "A mass.", "image": name})
    (folder / "test.json").write_text(json.dumps(rows))
    return str(folder)


def figure_set(folder, pictures: dict) -> pd.DataFrame:
    (folder / "images").mkdir(parents=True)
    lines = []
    for name, picture in pictures.items():
        picture.save(folder / "images" / f"{name}.png")
        source = {"name": "a set", "licence": "CC BY 4.0"}
        lines.append({"pair_id": name, "image": f"{name}.png", "fig_caption": "A CT."})
        lines[-1] |= {"source": source, "group_id": f"article {name}"}
    (folder / "figures.jsonl").write_text("\n".join(map(json.dumps, lines)))
    return read_figures(str(folder), run=folder)[0]


@pytest.fixture
def leaked(tmp_path) -> tuple[pd.DataFrame, str]:
    """Figures of which F1 shows a benchmark's image, as a JPEG of another size."""
    planted = COPIES["JPEG of half the size"](scene(7))
    pictures = {"F0": scene(0), "F1": planted, "F2": NO_COPIES["mirrored"](scene(7))}
    source = benchmark(tmp_path / "mine-vqa", {"x.png": scene(7), "y.png": scene(8)})
    return figure_set(tmp_path / "set", pictures), source


def test_a_planted_leak_is_found_and_a_mirrored_picture_is_not(leaked, tmp_path):
    figures, source = leaked
    shared = shared_images(figures, read_questions(source, run=tmp_path))
    assert list(shared.dropped) == ["F1"] and shared.dropped["F1"].endswith("x.png")
    [row] = shared.found.to_dict("records")
    assert (row["item"], row["reason"], row["dropped"]) == ("x.png", "the same picture", True)
    assert row["likeness"] > 0.96 and row["benchmark"] in str(shared)
    assert str(shared).startswith("1 of 3 figures show one of the 2 images of ")
    assert list(shared.found) == TABLES["contaminated"].columns


def test_figures_without_hashes_and_images_that_do_not_open_stop_nothing(leaked, tmp_path):
    figures, source = leaked
    questions = read_questions(source, run=tmp_path)
    plain = figures[["figure_id", "image"]]
    assert list(shared_images(plain, questions).dropped) == ["F1"]
    lost = pd.concat([plain, pd.DataFrame({"figure_id": ["F9"], "image": ["/no/such.png"]})])
    assert list(shared_images(lost, questions).dropped) == ["F1"]
    (tmp_path / "mine-vqa" / "images" / "y.png").write_bytes(b"no image")
    shared = shared_images(figures, questions)
    assert list(shared.dropped) == ["F1"] and (shared.images, shared.unread) == (1, 1)
    assert str(shared).endswith("; 1 images cannot be opened")


def test_a_phantom_that_looks_like_one_of_the_clinics_benchmark_is_kept(leaked, tmp_path):
    figures, source = leaked
    questions = read_questions(source, run=tmp_path)
    drawn = shared_images(figures.assign(source=DRAWN), questions.assign(cleared_reason=CLINIC))
    assert not drawn.dropped and list(drawn.found["reason"]) == ["a similar picture"]
    assert list(shared_images(figures.assign(source=DRAWN), questions).dropped) == ["F1"]
    old = questions.assign(cleared_reason=CLINIC).drop(columns="cleared_reason")
    assert list(shared_images(figures, old).dropped) == ["F1"]


def test_without_a_benchmark_nothing_is_dropped_and_it_is_said(leaked):
    shared = shared_images(leaked[0], empty_frame("questions"))
    assert not shared.dropped and str(shared) == "no benchmark to compare with"
    assert shared_texts(conversation_rows(2), empty_frame("questions")).empty


def test_texts_of_a_benchmark_are_listed_and_never_dropped():
    asked = [
        *(("Is there a mass?", "Yes"), ("Where is the mass in this image?", "In the left lobe.")),
        ("What does the image show?", "A large mass in the upper lobe of the right lung."),
    ]
    questions = pd.DataFrame(asked, columns=["question", "reference"])
    questions = questions.assign(question_id=["q0", "q1", "q2"], benchmark="vqa")
    said = [
        *(("is  there a mass", "yes."), ("Where is the mass in this image?", "In the right lobe.")),
        ("What does this image show?", "A large mass in the upper lobe of the right lung."),
        *(("Is there a nodule?", "Yes"), ("A null", None)),
    ]
    turns = [[{"instruction": one, "response": other}] for one, other in said]
    turns[0].append(None)
    rows = pd.DataFrame({"conversation_id": list("abcde"), "figure_id": "F", "turns": turns})
    found = shared_texts(rows, questions)
    assert found[["conversation_id", "question_id", "reason"]].values.tolist() == [
        ["a", "q0", "the same text"],
        ["c", "q2", "nearly the same text"],
    ]
    assert not found["dropped"].any() and found["likeness"].between(0.85, 1).all()
    assert found["item"][0] == "Is there a mass? Yes"


def test_an_export_holds_back_what_its_benchmark_shows(leaked, tmp_path):
    figures, source = leaked
    figures = figures.assign(split="train")
    questions = read_questions(source, run=tmp_path)
    rows = conversation_rows(3)
    rows.at[2, "turns"] = [{"instruction": "What does x.png show?", "response": "A mass."}]
    made = export(rows, figures, tmp_path / "out", form="llava", questions=questions)
    assert made.held_back[["id", "reason"]].values.tolist() == [
        ["F1-c", "with an image of a benchmark"]
    ]
    assert made.held_back["detail"][0].endswith("x.png")
    card = (made.folder / "README.md").read_text()
    assert "1 of 3 figures show one of the 2 images of" in card
    assert "1 conversations contain a question and answer of a benchmark" in card
    assert "| F2-c |" in card.replace("\\", "") and "the same text" in card
    none = export(rows, figures, tmp_path / "all", form="llava", questions=questions[:0])
    assert none.rows == 3 and "Not compared" in (none.folder / "README.md").read_text()
    with pytest.raises(NothingToExport, match="1 with an image of a benchmark"):
        export(rows[1:2], figures, tmp_path / "none", form="llava", questions=questions)


@pytest.mark.parametrize("form", ["dpo", "reward"])
def test_pairs_about_a_benchmarks_image_are_held_back(form, leaked, tmp_path):
    figures, source = leaked
    asked = {"questions": read_questions(source, run=tmp_path), "split": None}
    given = {"candidates": candidate_rows(3), "form": form, **asked}
    made = export(pair_rows(3), figures, tmp_path / "out", **given)
    assert made.held_back["figure_id"].tolist() == ["F1"] and made.rows == 2


def test_an_export_takes_the_runs_questions_by_itself(leaked, tmp_path):
    figures, source = leaked
    workspace = Workspace(tmp_path / "run")
    workspace.write("figures", figures)
    workspace.write("questions", read_questions(source, run=workspace.path))
    figures = workspace.read("figures").assign(split="train")
    made = export(
        conversation_rows(3), figures, tmp_path / "o", form="dataset", workspace=workspace
    )
    assert made.held_back["id"].tolist() == ["F1-c"]


def test_a_run_knows_the_questions_of_all_its_benchmarks(leaked, tmp_path, caplog):
    figures, source = leaked
    workspace = Workspace(tmp_path / "run")
    workspace.write("figures", figures, parameters={"figures": "mine"})
    other = benchmark(tmp_path / "earlier-vqa", {"z.png": scene(9)})
    workspace.write("questions", read_questions(other, run=workspace.path))
    known = known_questions(workspace, ["clinic", source, source])
    assert [image.rpartition("/")[2] for image in known["image"]] == ["x.png", "y.png", "z.png"]
    assert "is not compared with the clinic's" in caplog.text
    assert known_questions(workspace, []).empty
    with pytest.raises(FileNotFoundError):
        known_questions(workspace, [str(tmp_path / "nowhere")])


def test_a_benchmark_that_was_not_compared_is_named(leaked, tmp_path):
    questions = read_questions(leaked[1], run=tmp_path)
    workspace = Workspace(tmp_path / "own")
    assert not_compared(workspace, questions) == ""  # nothing is selected
    workspace.write("selected", empty_frame("selected"))
    (name,) = questions["benchmark"].unique()
    assert f"not compared with {name}:" in not_compared(workspace, questions)
    for benchmarks, said in (([], True), ([name], False), (["other"], True)):
        how = {"parameters": {"benchmarks": benchmarks}}
        workspace.write("contaminated", empty_frame("contaminated"), **how)
        assert bool(not_compared(workspace, questions)) == said


def test_what_was_dropped_is_kept_for_the_controls(tmp_path):
    workspace = Workspace(tmp_path)
    assert dropped_figures(workspace) == set()
    row = {"benchmark": "vqa", "question_id": "q", "item": "x.png", "likeness": 1.0}
    rows = [
        {**row, "figure_id": "F1", "reason": "the same picture", "dropped": True},
        {**row, "figure_id": "F2", "reason": "a similar picture", "dropped": False},
    ]
    workspace.write("contaminated", frame_of("contaminated", rows))
    assert dropped_figures(workspace) == {"F1"}


@pytest.mark.realdata
@pytest.mark.slow
def test_real_leaks_are_found_and_no_real_figure_is_dropped_by_mistake(tmp_path, realdata, capsys):
    """VQA-RAD's 203 test images against 60 other figures, then with every fifth planted."""
    questions = read_questions(realdata / "vqa_rad", run=tmp_path)
    figures, _ = read_figures(str(realdata / "figures"), run=tmp_path)
    clean = shared_images(figures, questions)
    assert clean.images == 203 and clean.found.empty
    from PIL import Image

    images = list(questions["image"].unique())[::5]
    change = COPIES["JPEG of half the size"]
    pictures = {f"P{k}": change(Image.open(path).convert("RGB")) for k, path in enumerate(images)}
    planted = shared_images(figure_set(tmp_path / "planted", pictures), questions)
    with capsys.disabled():
        print(f"\nclean: {clean}; planted: {planted}")
    assert len(planted.dropped) == len(images)
    found = planted.found[planted.found["dropped"]]
    assert found["item"].tolist() and set(found["item"]) == {
        path.rpartition("/")[2] for path in images
    }

"""Claims about the paths in records: checked as written, and links followed where they stay."""

import json
from pathlib import Path

import nbformat
import pandas as pd
import pytest
from figure_rows import picture, record, write_set

from vital_lib.evaluation import read_questions
from vital_lib.exports import export
from vital_lib.figures import ImageFolder, UnreadableImage, open_image, read_figures
from vital_lib.tables import Workspace


def linked(folder: Path, name: str, target: Path) -> Path:
    """`folder / images / name` as a link to a picture that is made at `target`."""
    target.parent.mkdir(parents=True, exist_ok=True)
    picture(5).save(target, "PNG")
    link = folder / "images" / name
    link.unlink(missing_ok=True)
    link.symlink_to(target)
    return link


def in_the_hubs_cache(cache: Path, files: dict[str, bytes]) -> Path:
    """A snapshot as huggingface_hub lays it out: relative links into blobs/."""
    snapshot = cache / "datasets--org--set" / "snapshots" / "0f3a"
    blobs = cache / "datasets--org--set" / "blobs"
    blobs.mkdir(parents=True)
    for number, (name, content) in enumerate(files.items()):
        (blobs / f"b{number}").write_bytes(content)
        file = snapshot / name
        file.parent.mkdir(parents=True, exist_ok=True)
        up = "../" * len(file.relative_to(snapshot.parents[1]).parents[:-1])
        file.symlink_to(f"{up}blobs/b{number}")
    return snapshot


def content(tmp_path: Path) -> bytes:
    picture().save(tmp_path / "made.png")
    return (tmp_path / "made.png").read_bytes()


def test_a_link_that_ends_inside_the_figure_set_is_followed(tmp_path):
    folder = write_set(tmp_path / "set", [record("1_F1"), record("2_F1")])
    linked(folder, "2_F1.png", folder / "originals" / "x.tmp")
    frame, rejected = read_figures(str(folder), run=tmp_path)
    assert frame["figure_id"].tolist() == ["1_F1", "2_F1"] and rejected.empty
    assert Path(frame["image"][1]).name == "2_F1.png"


def test_a_figure_set_in_the_hubs_cache_is_read(tmp_path):
    lines = "\n".join(json.dumps(record(name)) for name in ("1_F1", "2_F1")).encode()
    one = content(tmp_path)
    files = {"figures.jsonl": lines, "images/1_F1.png": one, "images/2_F1.png": one}
    snapshot = in_the_hubs_cache(tmp_path / "hub", files)
    for source in (snapshot, snapshot / "figures.jsonl"):
        frame, rejected = read_figures(str(source), run=tmp_path / "run")
        assert frame["figure_id"].tolist() == ["1_F1", "2_F1"] and rejected.empty
        workspace = Workspace(tmp_path / "run")
        workspace.write("figures", frame)
        stored = workspace.read("figures")
        assert open_image(stored["image"][0]).sha256 == frame["sha256"][0]


def test_a_benchmark_in_the_hubs_cache_is_read(tmp_path):
    question = {"question_id": "q", "image": "1.png", "question": "Is it?", "answer": "yes",
                "answer_type": "closed"}  # fmt: skip
    files = {"test.jsonl": json.dumps(question).encode(), "images/1.png": content(tmp_path)}
    snapshot = in_the_hubs_cache(tmp_path / "hub", files)
    questions = read_questions(snapshot, run=tmp_path)
    assert open_image(questions["image"][0]).width == 24


@pytest.mark.parametrize("where", ["file", "folder"])
def test_a_link_that_ends_elsewhere_is_refused_by_a_sentence_with_the_way_out(tmp_path, where):
    folder = write_set(tmp_path / "set", [record("1_F1"), record("2_F1")])
    if where == "file":
        linked(folder, "2_F1.png", tmp_path / "secret.png")
    else:
        (folder / "images" / "2_F1.png").rename(tmp_path / "2_F1.png")
        (folder / "images" / "deep").symlink_to(tmp_path)
        lines = [record("1_F1"), record("2_F1", image="deep/2_F1.png")]
        write_set(folder, lines, images=False)
    frame, rejected = read_figures(str(folder), run=tmp_path)
    assert frame["figure_id"].tolist() == ["1_F1"]
    assert "leaves the image folder by a link" in rejected["reason"][0]
    assert "follow_links=True" in rejected["reason"][0]
    assert str(tmp_path) not in rejected["reason"][0]
    frame, rejected = read_figures(str(folder), run=tmp_path, follow_links=True)
    assert frame["figure_id"].tolist() == ["1_F1", "2_F1"] and rejected.empty


def test_an_image_folder_that_is_itself_a_link_elsewhere_wants_to_be_followed(tmp_path):
    folder = write_set(tmp_path / "set", [record("1_F1")])
    (folder / "images").rename(tmp_path / "storage")
    (folder / "images").symlink_to(tmp_path / "storage")
    with pytest.raises(ValueError, match="follow_links=True"):
        read_figures(str(folder), run=tmp_path)
    frame, _ = read_figures(str(folder), run=tmp_path, follow_links=True)
    assert len(frame) == 1


def test_the_folder_that_the_user_names_may_be_a_link(tmp_path):
    write_set(tmp_path / "set", [record("1_F1")])
    (tmp_path / "link").symlink_to(tmp_path / "set")
    frame, _ = read_figures(str(tmp_path / "link"), run=tmp_path)
    assert frame["image"].tolist() == [str(tmp_path / "set" / "images" / "1_F1.png")]
    whole = record("1_F1", image=str(tmp_path / "link" / "images" / "1_F1.png"))
    write_set(tmp_path / "set", [whole], images=False)
    frame, _ = read_figures(str(tmp_path / "link"), run=tmp_path)
    assert frame["image"].tolist() == [str(tmp_path / "set" / "images" / "1_F1.png")]


def test_a_records_path_may_not_leave_its_folder_even_where_links_are_followed(tmp_path):
    picture().save(tmp_path / "secret.png")
    names = ["../../secret.png", str(tmp_path / "secret.png"), "a/../../../secret.png"]
    bad = [record(f"{n}_F1", image=name) for n, name in enumerate(names, start=2)]
    folder = write_set(tmp_path / "set", [record("1_F1"), *bad])
    frame, rejected = read_figures(str(folder), run=tmp_path, follow_links=True)
    assert frame["figure_id"].tolist() == ["1_F1"] and len(rejected) == 3
    assert all("leaves the image folder" in reason for reason in rejected["reason"])


def test_snapshots_without_blobs_are_no_cache(tmp_path):
    folder = write_set(tmp_path / "snapshots" / "set", [record("1_F1"), record("2_F1")])
    linked(folder, "2_F1.png", tmp_path / "x.png")
    _, rejected = read_figures(str(folder), run=tmp_path)
    assert "follow_links=True" in rejected["reason"][0]


def test_a_link_out_of_the_hubs_repository_folder_is_refused(tmp_path):
    lines = "\n".join(json.dumps(record(name)) for name in ("1_F1", "2_F1")).encode()
    one = content(tmp_path)
    files = {"figures.jsonl": lines, "images/1_F1.png": one, "images/2_F1.png": one}
    snapshot = in_the_hubs_cache(tmp_path / "hub", files)
    linked(snapshot, "2_F1.png", tmp_path / "hub" / "datasets--org--other" / "blobs" / "x")
    frame, rejected = read_figures(str(snapshot), run=tmp_path)
    assert len(frame) == 1 and "follow_links=True" in rejected["reason"][0]


@pytest.mark.parametrize("target", ["nowhere.png", "2_F1.png"])
def test_a_link_to_nothing_or_to_itself_is_one_rejected_row(tmp_path, target):
    folder = write_set(tmp_path / "set", [record("1_F1"), record("2_F1")])
    (folder / "images" / "2_F1.png").unlink()
    (folder / "images" / "2_F1.png").symlink_to(folder / "images" / target)
    frame, rejected = read_figures(str(folder), run=tmp_path)
    assert len(frame) == 1 and rejected["field"].tolist() == ["image"]


def test_a_benchmarks_link_elsewhere_is_refused_and_followed_on_request(tmp_path):
    folder = tmp_path / "own"
    (folder / "images").mkdir(parents=True)
    linked(folder, "1.png", tmp_path / "secret.png")
    question = {"question_id": "q", "image": "1.png", "question": "Is it?", "answer": "yes",
                "answer_type": "closed"}  # fmt: skip
    (folder / "test.jsonl").write_text(json.dumps(question))
    with pytest.raises(ValueError, match="leaves the benchmark's folder by a link.*follow_links"):
        read_questions(folder, run=tmp_path)
    questions = read_questions(folder, run=tmp_path, follow_links=True)
    assert open_image(questions["image"][0]).width == 24


def test_an_image_folder_follows_links_out_of_itself_only_on_request(tmp_path):
    (tmp_path / "images").mkdir()
    link = linked(tmp_path, "a.png", tmp_path / "secret.png")
    with pytest.raises(UnreadableImage, match="follow_links=True"):
        ImageFolder(tmp_path / "images").find("a.png")
    assert ImageFolder(tmp_path / "images", follow_links=True).find("a.png") == link
    assert open_image(link).path == link


@pytest.mark.parametrize("how", ["copy", "link"])
def test_an_export_takes_images_of_the_hubs_cache(how, tmp_path):
    lines = json.dumps(record("1_F1")).encode()
    files = {"figures.jsonl": lines, "images/1_F1.png": content(tmp_path)}
    snapshot = in_the_hubs_cache(tmp_path / "hub", files)
    cleared = {snapshot.name: "drawn by this test"}
    frame, _ = read_figures(str(snapshot), run=tmp_path / "run", cleared_sources=cleared)
    turn = {"instruction": "Is it?", "response": "Yes."}
    selected = pd.DataFrame({"conversation_id": ["c"], "figure_id": ["1_F1"], "turns": [[turn]]})
    how_to = {"form": "llava", "images": how, "split": None, "licences": "any"}
    export(selected, frame, tmp_path / "out", **how_to)
    placed = tmp_path / "out" / "images" / "1_F1.png"
    assert placed.read_bytes() == files["images/1_F1.png"]
    assert placed.is_symlink() == (how == "link")
    if how == "link":  # to the name in the set, not to the file that the cache calls by its hash
        assert placed.readlink() == snapshot.resolve() / "images" / "1_F1.png"


@pytest.mark.parametrize("book", ["01_explore_figures", "09_evaluate_model"])
def test_the_notebooks_that_read_images_of_others_have_the_parameter(root, book):
    cells = nbformat.read(root / "notebooks" / f"{book}.ipynb", as_version=4).cells
    parameters = next(c.source for c in cells if "parameters" in c.metadata.get("tags", []))
    assert "follow_links = False" in parameters
    passed = ("follow_links=follow_links", '"follow_links": follow_links')
    assert any(form in cell.source for cell in cells for form in passed)

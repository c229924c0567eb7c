"""Claims about remote places and about lists of links, against servers on 127.0.0.1."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import fsspec
import pytest
from article_rows import png, write_tar
from file_server import FileServer

from vital_lib.figures import NoUsableFigures, read_figures
from vital_lib.records import UnreadableFile
from vital_lib.sources import downloads
from vital_lib.sources.downloads import LOG, Link, download
from vital_lib.sources.remote import local_copy


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch):
    monkeypatch.setattr(downloads, "_PAUSE_SECONDS", 0.0)


def fetched(server: FileServer, folder: Path, *paths: str, **options) -> list:
    links = [Link(path if "://" in path else f"{server.url}{path}") for path in paths]
    return [found for _, found in download(links, folder, **options)]


def test_a_list_of_links_becomes_figures_and_dead_links_are_listed(tmp_path):
    page = (200, {"content-type": "text/html"}, b"<html>not any more</html>")
    with FileServer({"/a.png": png(0), "/b": png(1), "/page": page}) as server:
        rows = [
            {"pair_id": "1_F1", "caption": "A CT.", "image": f"{server.url}/a.png"},
            {"pair_id": "2_F1", "caption": "Gone.", "image": f"{server.url}/gone.png"},
            {"pair_id": "3_F1", "caption": "An MRI.", "url": f"{server.url}/b", "license": "CC0"},
            {"pair_id": "4_F1", "caption": "A page.", "image_url": f"{server.url}/page"},
            {"pair_id": "5_F1", "caption": "None.", "image": "local.png"},
            {"pair_id": "6_F1", "caption": "FTP.", "image": "ftp://127.0.0.1/a.png"},
        ]
        (tmp_path / "links.jsonl").write_text("\n".join(map(json.dumps, rows)))
        source = f"download:{tmp_path / 'links.jsonl'}"
        figures, rejected = read_figures(source, run=tmp_path / "run")
        asked = len(server.asked)
        again, _ = read_figures(source, run=tmp_path / "run")
    assert figures["figure_id"].tolist() == again["figure_id"].tolist() == ["1_F1", "3_F1"]
    assert figures["sha256"].tolist()[0] == hashlib.sha256(png(0)).hexdigest()
    assert figures["licence"].tolist()[1] == "CC0"
    reasons = dict(zip(rejected["place"].str[-1], rejected["reason"], strict=True))
    assert "dead link: 404" in reasons["2"] and "is no image" in reasons["4"]
    assert "no address" in reasons["5"] and "no http or https" in reasons["6"]
    assert asked == len(server.asked) == 4  # nothing was asked for twice


def test_a_list_may_be_plain_addresses_with_captions_from_elsewhere(tmp_path):
    with FileServer({"/a.png": png(0)}) as server:
        (tmp_path / "links.txt").write_text(f"{server.url}/a.png\n{server.url}/b.png\n")
        with pytest.raises(NoUsableFigures, match="fig_caption"):
            read_figures(f"download:{tmp_path / 'links.txt'}", run=tmp_path / "run")
    assert len(list((tmp_path / "run" / "sources" / "downloads").glob("*.png"))) == 1


def test_llava_meds_links_name_an_image_within_a_package(tmp_path):
    package = write_tar(tmp_path / "p.tar.gz", {"PMC1/a.jpg": png(0), "PMC1/b.jpg": png(1)}, "w:gz")
    with FileServer({"/PMC1.tar.gz": package.read_bytes()}) as server:
        url = f"{server.url}/PMC1.tar.gz"
        links = [Link(url, "PMC1/b.jpg"), Link(url, "PMC1/c.jpg")]
        (good, lost) = [found for _, found in download(links, tmp_path / "out")]
    assert good.sha256 == hashlib.sha256(png(1)).hexdigest()
    assert "has no member 'PMC1/c.jpg'" in lost.reason


def test_redirects_lead_to_http_alone(tmp_path):
    def to(place: str):
        return 302, {"location": place}, b""

    answers = {"/a": to("/b"), "/b": to("/c.png"), "/c.png": png(), "/loop": to("/loop"),
               "/file": to("file:///etc/passwd"), "/ftp": to("ftp://127.0.0.1/x")}  # fmt: skip
    with FileServer(answers) as server:
        good, loop, file, ftp = fetched(server, tmp_path, "/a", "/loop", "/file", "/ftp")
    assert good.size == len(png()) and "over 5 redirects" in loop.reason
    assert all("no http or https address" in one.reason for one in (file, ftp))
    assert b"root:" not in b"".join(path.read_bytes() for path in tmp_path.iterdir())


def test_sizes_and_times_are_bounded(tmp_path, monkeypatch):
    with FileServer({"/large": png() + bytes(10_000), "/a.png": png(), "/empty": b""}) as server:
        monkeypatch.setattr(downloads, "MAX_BYTES", 5_000)
        large, empty, small = fetched(server, tmp_path, "/large", "/empty", "/a.png")
        monkeypatch.setattr(downloads, "MAX_SECONDS", -1.0)
        (late,) = fetched(server, tmp_path / "late", "/a.png")
    assert "over 5,000 bytes" in large.reason and "empty" in empty.reason and small.file
    assert "not complete after" in late.reason
    assert {path.suffix for path in tmp_path.glob("*")} == {".png", ".jsonl", ""}


def test_a_busy_server_is_asked_again_and_a_dead_link_only_on_request(tmp_path):
    answers = iter([(503, {}, b""), (429, {}, b""), (200, {}, png()), (404, {}, b"")])
    back = iter([(404, {}, b""), (200, {}, png(1))])
    with FileServer({"/a": lambda: next(answers), "/b": lambda: next(back)}) as server:
        busy, dead = fetched(server, tmp_path, "/a", "/b")
        assert busy.file and "404" in dead.reason
        (still,) = fetched(server, tmp_path, "/b")
        (found,) = fetched(server, tmp_path, "/b", again=True)
        assert still == dead and found.file and len(server.asked) == 5


def test_a_lost_or_cut_file_is_fetched_again(tmp_path):
    with FileServer({"/a.png": png(), "/b.png": png(1)}) as server:
        one, two = fetched(server, tmp_path, "/a.png", "/b.png")
        (tmp_path / one.file).unlink()
        (tmp_path / two.file).write_bytes(png(1)[:-10])
        log = (tmp_path / LOG).read_bytes()
        (tmp_path / LOG).write_bytes(log + b'{"key": "http')  # as a kill leaves it
        assert fetched(server, tmp_path, "/a.png", "/b.png") == [one, two]
        assert (tmp_path / two.file).read_bytes() == png(1)
        assert fetched(server, tmp_path, "/a.png") == [one] and len(server.asked) == 4


def test_a_link_that_a_list_names_twice_is_fetched_once(tmp_path):
    with FileServer({"/a.png": png()}) as server:
        found = fetched(server, tmp_path, *["/a.png"] * 20)
        assert len(set(found)) == 1 and server.asked == ["/a.png"]


KILLED = """
import sys
from pathlib import Path
from vital_lib.sources.downloads import Link, download
for _, found in download((Link(f"{sys.argv[1]}/{n}.png") for n in range(40)), Path(sys.argv[2])):
    print(found.file, flush=True)
"""


def test_a_killed_download_goes_on_and_fetches_nothing_twice(tmp_path, root):
    gate, served = threading.Event(), []

    def answer(n: int):
        def made():
            served.append(n)
            if len(served) > 20:
                gate.wait(20)
            return 200, {}, png(n)

        return made

    with FileServer({f"/{n}.png": answer(n) for n in range(40)}) as server:
        command = [sys.executable, "-c", KILLED, server.url, str(tmp_path / "out")]
        env = {**os.environ, "PYTHONPATH": str(root)}
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=env)
        done = [process.stdout.readline().strip() for _ in range(10)]
        process.send_signal(signal.SIGKILL)
        process.wait()
        gate.set()
        before = len(server.asked)
        links = [Link(f"{server.url}/{n}.png") for n in range(40)]
        found = [one for _, one in download(links, tmp_path / "out")]
        asked = server.asked[before:]
    assert [one.file for one in found[:10]] == done
    assert not set(asked) & {f"/{n}.png" for n in range(10)}
    hashes = [hashlib.sha256(png(n)).hexdigest() for n in range(40)]
    assert [one.sha256 for one in found] == hashes and not list(tmp_path.rglob("*.part"))


@pytest.fixture
def memory():
    system = fsspec.filesystem("memory")
    yield system
    system.rm("/", recursive=True) if system.ls("/") else None


def test_a_remote_folder_is_copied_once_and_read(tmp_path, memory):
    row = {"pair_id": "1_F1", "fig_caption": "A CT.", "image": "a.png"}
    memory.pipe({"/set/figures.jsonl": json.dumps(row).encode(), "/set/images/a.png": png()})
    figures, rejected = read_figures("memory://set", run=tmp_path / "run")
    assert figures["figure_id"].tolist() == ["1_F1"] and rejected.empty
    copies = tmp_path / "run" / "sources" / "copies"
    times = {path: path.stat().st_mtime_ns for path in copies.rglob("*.*")}
    read_figures("memory://set", run=tmp_path / "run")
    assert times == {path: path.stat().st_mtime_ns for path in copies.rglob("*.*")}
    memory.pipe("/set/figures.jsonl", json.dumps({**row, "fig_caption": "An MRI."}).encode())
    figures, _ = read_figures("memory://set", run=tmp_path / "run")
    assert figures["caption"].tolist() == ["An MRI."]


def test_a_shard_on_a_web_server_is_read(tmp_path):
    shard = write_tar(tmp_path / "a.tar", {"1.png": png(), "1.txt": b"A CT."})
    with FileServer({"/sets/a.tar": shard.read_bytes()}) as server:
        figures, _ = read_figures(f"{server.url}/sets/a.tar", run=tmp_path / "run")
    assert figures["caption"].tolist() == ["A CT."]


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("file:///etc/passwd", "give a path"),
        ("zip::memory://x", "give a path"),
        ("nothing://x/y", "Protocol not known"),
        ("http://127.0.0.1:9/x.tar", "cannot be read|nothing is there"),
    ],
)
def test_a_place_that_cannot_be_read_is_told(tmp_path, source, reason):
    with pytest.raises((NoUsableFigures, FileNotFoundError), match=reason):
        read_figures(source, run=tmp_path)


def test_a_remote_place_is_bounded_and_names_cannot_leave_it(tmp_path, memory, monkeypatch):
    memory.pipe({"/set/a.txt": b"x" * 100, "/set/.hidden": b"x"})
    copy = local_copy("memory://set", tmp_path)
    assert [path.name for path in copy.rglob("*") if not path.name.startswith(".")] == ["a.txt"]
    monkeypatch.setattr("vital_lib.sources.remote.MAX_COPY_BYTES", 50)
    with pytest.raises(UnreadableFile, match="over 50 bytes"):
        local_copy("memory://set", tmp_path / "other")
    with pytest.raises(FileNotFoundError, match="nothing is there"):
        local_copy("memory://none", tmp_path)

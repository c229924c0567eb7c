"""Claims about archives: shards of samples, and hostile archives that never open."""

from __future__ import annotations

import gzip
import json
import tarfile

import fsspec
import pytest
from article_rows import article, fig, png, with_lxml, write_tar
from file_server import FileServer

from vital_lib.figures import NoUsableFigures, open_image, read_figures
from vital_lib.records import InvalidRecord
from vital_lib.sources import archives, open_source
from vital_lib.sources.archives import member_names, members, unpack
from vital_lib.sources.samples import split_key


def read(path, tmp_path, **options) -> list:
    return list(open_source(str(path), work=tmp_path / "work", **options).records)


def test_a_shard_becomes_figures_with_their_images(tmp_path):
    record = {"caption": "An MRI.", "license": "CC BY", "pmcid": "PMC1234567"}
    parts = {
        "000.jpg": png(0), "000.txt": b"A CT.\n",
        "001.json": json.dumps(record).encode(), "001.png": png(1),
        "002.png": png(2), "notes.md": b"no part",
        "003.txt": b"no image", "004.png": png(4), "004.json": b"{",
    }  # fmt: skip
    shard = write_tar(tmp_path / "shards" / "train-0000.tar", parts)
    for source in (shard, shard.parent):
        figures, rejected = read_figures(str(source), run=tmp_path / "run")
        assert figures["figure_id"].tolist() == ["000", "001"]
        assert figures["caption"].tolist() == ["A CT.", "An MRI."]
        assert figures["licence"].tolist()[1] == "CC BY"
        assert figures["group_id"].tolist()[1] == "PMC1234567"
        assert open_image(figures["image"][0]).width == 24
        assert rejected["place"].tolist() == [f"train-0000.tar:{n}" for n in ("002", "003", "004")]
        assert rejected["field"].tolist() == ["fig_caption", "image", "json"]


@pytest.mark.parametrize(
    ("name", "key", "ending"),
    [
        ("000.jpg", "000", "jpg"),
        ("a/b.c/000.seg.png", "a/b.c/000", "seg.png"),
        ("12-PMC1-0-x_1471-2105.g001.jpg", "12-PMC1-0-x_1471-2105", "g001.jpg"),
        ("none", "none", ""),
    ],
)
def test_a_key_ends_at_the_first_dot_of_the_base_name(name, key, ending):
    assert split_key(name) == (key, ending)


def test_further_images_of_a_sample_belong_to_it(tmp_path):
    parts = {"1.jpg": png(0), "1.seg.png": png(1), "1.txt": b"A CT."}
    ((place, found),) = read(write_tar(tmp_path / "a.tar", parts), tmp_path)
    assert place == "a.tar:1" and found["image"]["bytes"] == png(0)
    assert found["pair_id"] == "1" and found["fig_caption"] == "A CT."


@pytest.mark.parametrize("inner", [("g001",), ("g001", "g002"), ("", "g002")])
def test_keys_that_hold_dots_are_samples_of_their_own(tmp_path, inner):
    parts = {}
    for number, one in enumerate(inner):
        stem = f"b-PMC1-0-x_1471{'.' if one else ''}{one}"
        parts |= {f"{stem}.jpg": png(number), f"{stem}.txt": f"Scan {number}.".encode()}
    found = read(write_tar(tmp_path / "a.tar", parts), tmp_path)
    assert [one["fig_caption"] for _, one in found] == [f"Scan {n}." for n in range(len(inner))]
    assert [one["image"]["bytes"] for _, one in found] == [png(n) for n in range(len(inner))]
    assert len({one["pair_id"] for _, one in found}) == len(inner)


def test_biomedicas_samples_are_read_as_they_are_published(tmp_path):
    about = {
        "image_file_name": "x.jpg", "image_cluster_id": "F1", "image_hash": "0",
        "image_primary_label": ["Clinical Imaging"],
        "image_secondary_label": ["computerized tomography"],
        "image_context": {"F1": ["See Fig. 1.", "It grew."], "F2": ["Not this."]},
        "article_accession_id": "PMC7654321", "article_license": "CC BY",
        "article_citation": "Doe 2020", "article_title": "On scans",
    }  # fmt: skip
    key = "7-PMC7654321-0-1471-2105-9-1.g001"
    parts = {f"{key}.jpg": png(), f"{key}.json": json.dumps(about).encode(), f"{key}.txt": b"A CT."}
    write_tar(tmp_path / "set" / "0_100000000.tar", parts)
    figures, rejected = read_figures(str(tmp_path / "set"), run=tmp_path / "run")
    row = figures.iloc[0]
    assert rejected.empty and row["figure_id"] == key and row["caption"] == "A CT."
    assert row["mentions"] == ["See Fig. 1.", "It grew."] and row["modalities"] == ["ct_scan"]
    assert (row["group_id"], row["licence"], row["credit"]) == ("PMC7654321", "CC BY", "Doe 2020")


def test_open_pmcs_samples_are_read_as_they_are_published(tmp_path):
    about = {"PMC_ID": "PMC9474956", "image": "train-0000-000000.jpg", "sub_caption": "(A) MRI.",
             "full_caption": "Two scans. (A) MRI. (B) CT.", "intext_refs": ["Fig 2 shows it."],
             "intext_refs_summary": "It is shown."}  # fmt: skip
    parts = {"train-0000-000000.jpg": png(), "train-0000-000000.jsonl": json.dumps(about).encode()}
    write_tar(tmp_path / "set" / "train-0000.tar", parts)
    figures, _ = read_figures(str(tmp_path / "set"), run=tmp_path / "run")
    row = figures.iloc[0]
    assert (row["figure_id"], row["caption"]) == ("train-0000-000000", "(A) MRI.")
    assert row["mentions"] == ["Fig 2 shows it."] and row["group_id"] == "PMC9474956"


def test_columns_name_the_fields_of_a_samples_object(tmp_path):
    parts = {"1.png": png(), "1.json": json.dumps({"Befund": "A CT."}).encode()}
    shard = write_tar(tmp_path / "a.tar", parts)
    ((_, found),) = read(shard, tmp_path, columns={"fig_caption": "Befund"})
    assert found["fig_caption"] == "A CT."


def special(name: str, kind: bytes, target: str = "") -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info, b""


HOSTILE = {
    "escape": ("../../evil.png", b""),
    "absolute": ("/tmp/evil.png", b""),
    "backslashes": ("..\\..\\evil.png", b""),
    "drive": ("C:\\evil.png", b""),
    "symlink": special("a.png", tarfile.SYMTYPE, "/etc/passwd"),
    "hard link": special("a.png", tarfile.LNKTYPE, "../x"),
    "device": special("a.png", tarfile.CHRTYPE),
    "fifo": special("a.png", tarfile.FIFOTYPE),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_member_is_refused_and_its_neighbours_are_read(tmp_path, kind):
    good = [("1.png", png()), ("1.txt", b"A CT.")]
    bad = HOSTILE[kind]
    shard = write_tar(tmp_path / "x" / "a.tar", [good[0], (bad[0], bad[1] or png()), good[1]])
    found = read(shard, tmp_path)
    refused = [one for _, one in found if isinstance(one, InvalidRecord)]
    assert len(refused) == 1 and "member refused" in refused[0].reason
    assert [one["pair_id"] for _, one in found if isinstance(one, dict)] == ["1"]
    folder, told = unpack(shard, tmp_path / "out", lambda name: True)
    assert sorted(path.name for path in folder.rglob("*")) == ["1.png", "1.txt"]
    assert len(told) == 1 and not (tmp_path / "evil.png").exists()


@pytest.mark.parametrize("name", ["bomb.tar.gz", "bomb.tgz"])
def test_a_bomb_ends_where_it_unpacks_to_too_much(tmp_path, monkeypatch, name):
    monkeypatch.setattr(archives, "_FLOOR", 1_000_000)
    parts = {"1.png": png(), "1.txt": b"A CT.", "2.png": bytes(30_000_000), "3.txt": b"x"}
    bomb = write_tar(tmp_path / name, parts, "w:gz")
    assert bomb.stat().st_size * archives.MAX_RATIO < 30_000_000
    found = read(bomb, tmp_path)
    assert [one["pair_id"] for _, one in found if isinstance(one, dict)] == ["1"]
    (wrong,) = (one for _, one in found if isinstance(one, InvalidRecord))
    assert "it unpacks to over" in wrong.reason


def test_too_many_members_and_too_large_ones_are_refused(tmp_path, monkeypatch):
    parts = {f"{n}.txt": b"x" * n for n in range(1, 30)}
    shard = write_tar(tmp_path / "a.tar", parts)
    monkeypatch.setattr(archives, "MAX_MEMBER_BYTES", 20)
    monkeypatch.setattr(archives, "MAX_MEMBERS", 25)
    found = dict(members(shard, lambda name: True))
    large = [name for name, one in found.items() if isinstance(one, InvalidRecord)]
    assert large == [f"{n}.txt" for n in range(21, 27)] and "members" in found["26.txt"].reason


def test_an_extended_header_of_a_gigabyte_is_refused(tmp_path):
    info = tarfile.TarInfo("x")
    info.type, info.size = tarfile.XHDTYPE, 2**30
    (tmp_path / "a.tar").write_bytes(info.tobuf(tarfile.USTAR_FORMAT) + bytes(2048))
    ((_, wrong),) = members(tmp_path / "a.tar", lambda name: True)
    assert "extended header" in wrong.reason


@pytest.mark.parametrize("packed", [False, True])
def test_an_archive_cut_at_any_place_says_so(tmp_path, packed):
    parts = {f"{n}.png": png(n) for n in range(3)} | {f"{n}.txt": b"A CT." for n in range(3)}
    whole = write_tar(tmp_path / "a.tar", dict(sorted(parts.items()))).read_bytes()
    whole = whole[: 512 * (sum(1 + -(-len(one) // 512) for one in parts.values()) + 2)]
    content = gzip.compress(whole) if packed else whole
    for cut in (len(content) // 3, len(content) // 2, len(content) - 1100 if not packed else -40):
        (tmp_path / "cut.tar").write_bytes(content[:cut])
        found = read(tmp_path / "cut.tar", tmp_path)
        assert any(isinstance(one, InvalidRecord) for _, one in found)


@pytest.mark.parametrize("mode", ["w", "w:gz"])
@pytest.mark.parametrize("number", range(1, 6))
def test_a_damaged_header_is_told_though_tarfile_ends_there_silently(tmp_path, number, mode):
    parts = {f"{n // 2}.{'txt' if n % 2 else 'png'}": (png(n), b"A CT.")[n % 2] for n in range(6)}
    whole = bytearray(write_tar(tmp_path / "a.tar", parts).read_bytes())
    sizes = [1 + -(-len(one) // 512) for one in parts.values()]
    whole[512 * sum(sizes[:number])] ^= 1
    (tmp_path / "bad.tar").write_bytes(bytes(whole) if mode == "w" else gzip.compress(bytes(whole)))
    found = read(tmp_path / "bad.tar", tmp_path)
    wrong = [one.reason for _, one in found if isinstance(one, InvalidRecord)]
    assert any("is damaged after this member" in reason for reason in wrong)
    usable = [one for _, one in found if isinstance(one, dict) and "fig_caption" in one]
    assert [one["pair_id"] for one in usable] == ["0", "1", "2"][: number // 2]


@pytest.mark.parametrize("parts_each", [2, 3])
def test_uids_of_one_root_are_samples_of_their_own_however_many(tmp_path, parts_each):
    root, parts = "1.2.826.0.1.3680043.8.498", {}
    for n in range(400):
        parts[f"{root}.{n}.png"] = png(n % 7)
        parts[f"{root}.{n}.txt"] = f"Scan {n}.".encode()
        if parts_each == 3:
            parts[f"{root}.{n}.json"] = b"{}"
    found = read(write_tar(tmp_path / "a.tar", parts), tmp_path)
    assert [one["pair_id"] for _, one in found] == [f"{root}.{n}" for n in range(400)]
    assert [one["fig_caption"] for _, one in found] == [f"Scan {n}." for n in range(400)]


@pytest.mark.parametrize("content", [b"", b"no tar", b"\x1f\x8bno gzip", bytes(1000)])
def test_what_is_no_archive_is_told(tmp_path, content):
    (tmp_path / "a.tar").write_bytes(content)
    with pytest.raises(NoUsableFigures, match="0 of "):
        read_figures(str(tmp_path / "a.tar"), run=tmp_path / "run")


def test_a_package_with_a_hostile_member_gives_its_good_figures(tmp_path):
    with_lxml()
    parts = [("P/a.nxml", article(fig())), ("P/x-f1.png", png()), HOSTILE["symlink"],
             ("../evil.nxml", article(fig("F9")))]  # fmt: skip
    package = write_tar(tmp_path / "P.tar.gz", parts, "w:gz")
    figures, rejected = read_figures(str(package), run=tmp_path / "run")
    assert figures["figure_id"].tolist() == ["PMC7654321_F1"]
    assert rejected["place"].tolist() == ["P.tar.gz:a.png", "P.tar.gz:../evil.nxml"]
    assert not list(tmp_path.rglob("evil*"))


def test_dicom_that_is_called_a_picture_is_stored_nowhere(tmp_path):
    """Its header may name a patient: in a shard, a package, a remote place or behind a link."""
    with_lxml()
    dicom = (b"\x89PNG" + bytes(124) + b"DICM" + b"DOE^ANN").ljust(400, b"\0")
    shard = write_tar(tmp_path / "s.tar", {"1.png": dicom, "1.txt": b"A CT."})
    package = write_tar(tmp_path / "P.tar", {"a.nxml": article(fig()), "x-f1.png": dicom})
    fsspec.filesystem("memory").pipe("/dicom/a.dcm", dicom)
    with FileServer({"/a.png": dicom}) as server:
        (tmp_path / "links.txt").write_text(f"{server.url}/a.png\n")
        links = f"download:{tmp_path / 'links.txt'}"
        for source in (str(shard), str(package), "memory://dicom", links):
            with pytest.raises(NoUsableFigures):
                read_figures(source, run=tmp_path / "run")
    files = [path for path in (tmp_path / "run").rglob("*") if path.is_file()]
    assert files and not [path for path in files if b"DOE^ANN" in path.read_bytes()]


def test_the_names_of_an_archive_are_listed_without_its_contents(tmp_path):
    shard = write_tar(tmp_path / "a.tar", [("1.png", png()), HOSTILE["escape"], ("2.txt", b"x")])
    assert list(member_names(shard)) == ["1.png", "2.txt"]


def test_a_shard_of_a_whole_folder_has_the_keys_of_its_files(tmp_path):
    parts = {"./a.png": png(0), "./a.txt": b"A CT."}
    figures, _ = read_figures(str(write_tar(tmp_path / "s.tar", parts)), run=tmp_path / "run")
    assert figures["figure_id"].tolist() == ["a"]


@pytest.mark.parametrize("packer", ["bz2", "xz"])
def test_another_packer_is_named(tmp_path, packer):
    file = write_tar(tmp_path / "s.tar", {"a.png": png(0)}, f"w:{packer}")
    with pytest.raises(NoUsableFigures, match="compressed by (bzip2|xz): unpack it"):
        read_figures(str(file), run=tmp_path / "run")

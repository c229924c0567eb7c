"""Tests of rows by key in shards: several writers, kills, cut files, full and read-only disks."""

from __future__ import annotations

import multiprocessing
import shutil
import signal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from shard_acts import (
    BATCH,
    WIDTH,
    found,
    keys_of,
    marks_of,
    rows_of,
    write,
    write_until_killed,
    write_with_others,
)

from vital_lib.shards import RowShards, ShardsUnwritable

SPAWN = multiprocessing.get_context("spawn")


def run(*processes) -> list[int]:
    """Start processes, wait for them, and return how they ended."""
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    return [process.exitcode for process in processes]


def only(folder, pattern):
    [path] = folder.glob(pattern)
    return path


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "features" / "text"


@pytest.mark.parametrize("in_memory", [False, True])
def test_rows_come_back_bit_for_bit_with_their_marks_in_any_order(folder, in_memory):
    store = RowShards(None if in_memory else folder, WIDTH)
    assert found(store, range(50)) == []
    write(store, range(100))
    asked = np.random.default_rng(0).permutation(150)
    assert found(store, asked) == [number for number in asked if number < 100]
    assert len(store) == 100
    assert found(store, [7, 7, 200, 7]) == [7, 7, 7] and found(store, []) == []


def test_rows_are_float32_in_files_of_their_own_size_and_35_bytes_at_most_beside(folder):
    write(RowShards(folder, WIDTH), range(100))
    assert only(folder, "*.rows").read_bytes() == rows_of(keys_of(range(100))).tobytes()
    assert only(folder, "*.keys").stat().st_size <= 35 * 100


def test_nothing_is_created_before_the_first_row(folder):
    assert len(RowShards(folder, WIDTH)) == 0
    assert not folder.parent.exists()


@given(st.data())
def test_keys_that_begin_alike_are_told_apart_and_the_first_row_counts(tmp_path_factory, data):
    """Compared with a dict, also after the folder is opened again."""
    folder = tmp_path_factory.mktemp("shards")
    prefix, rest = st.sampled_from([bytes(8), b"\xff" * 8, b"12345678"]), st.integers(0, 5)
    key = st.builds(lambda a, b: a + bytes([b]) * 24, prefix, rest)
    store, known, number = RowShards(folder, 2), {}, 0
    for batch in data.draw(st.lists(st.lists(key, min_size=1, max_size=6), max_size=6)):
        keys = np.frombuffer(b"".join(batch), np.uint8).reshape(-1, 32)
        rows = number + np.arange(2 * len(batch), dtype=np.float32).reshape(-1, 2)
        marked = rows[:, 0] % 4 == 0
        for one, row, mark in zip(batch, rows.tolist(), marked.tolist(), strict=True):
            known.setdefault(one, (row, mark))
        store.write(keys, rows, marked)
        number += 2 * len(batch)
        if data.draw(st.booleans()):
            store = RowShards(folder, 2)
        asked = data.draw(st.lists(key, max_size=8))
        rows = np.zeros((len(asked), 2), np.float32)
        there, marks = store.read(np.frombuffer(b"".join(asked), np.uint8).reshape(-1, 32), rows)
        assert there.tolist() == [one in known for one in asked]
        got = [
            (row, mark)
            for row, mark, is_there in zip(rows.tolist(), marks, there, strict=True)
            if is_there
        ]
        assert got == [known[one] for one in asked if one in known]


def test_what_another_process_writes_is_found_without_opening_again(folder):
    mine, other = RowShards(folder, WIDTH), RowShards(folder, WIDTH)
    for first in range(0, 100, 20):
        write(other, range(first, first + 20))
        assert found(mine, range(120)) == list(range(first + 20))
    write(mine, range(100, 120))
    assert found(other, range(120)) == list(range(120))
    assert len(list(folder.glob("*.keys"))) == 2


def test_two_processes_write_at_once_and_nothing_is_lost_or_mixed_up(folder):
    start = SPAWN.Barrier(3)
    numbers = [list(range(0, 480)), list(range(320, 800)), list(range(400, 640))]  # some in common
    writers = [
        SPAWN.Process(target=write_with_others, args=(folder, own, start)) for own in numbers
    ]
    assert run(*writers) == [0, 0, 0]
    store = RowShards(folder, WIDTH)
    assert found(store, range(1000)) == list(range(800))
    assert len(store) == sum(map(len, numbers))
    assert {path.suffix for path in folder.iterdir()} == {".keys", ".rows"}  # no lock is left


def test_a_fork_does_not_write_to_the_shard_of_its_parent(folder):
    store = RowShards(folder, WIDTH)
    write(store, range(20))
    fork = multiprocessing.get_context("fork").Process(target=write, args=(store, range(20, 60)))
    assert run(fork) == [0]
    write(store, range(60, 80))
    assert found(RowShards(folder, WIDTH), range(80)) == list(range(80))
    assert len(list(folder.glob("*.keys"))) == 2


@pytest.mark.parametrize(
    ("end", "share", "lost"),
    [
        (".rows", 0.0, BATCH),
        (".rows", 0.3, BATCH),
        (".rows", 1.0, BATCH),
        (".keys", 0.0, BATCH),
        (".keys", 0.4, BATCH - 6),  # six keys are whole
        (".keys", 1.0, 0),
    ],
)
def test_a_kill_loses_at_most_its_open_batch(folder, end, share, lost):
    write(RowShards(folder, WIDTH), range(1000, 1040))  # an earlier process
    done = 5 * BATCH
    dying = SPAWN.Process(target=write_until_killed, args=(folder, range(200), 5, end, share))
    assert run(dying) == [-signal.SIGKILL]
    kept = list(range(done + BATCH - lost))
    store = RowShards(folder, WIDTH)
    assert found(store, range(1040)) == kept + list(range(1000, 1040))
    write(store, [number for number in range(200) if number not in kept])
    assert found(RowShards(folder, WIDTH), range(200)) == list(range(200))
    assert len(RowShards(folder, WIDTH)) == 240  # nothing was written twice


@pytest.mark.parametrize("left", [0, 1, 4 * WIDTH * 30, 4 * WIDTH * 30 + 5])
def test_of_a_shard_that_was_cut_short_only_its_lost_rows_are_missing(folder, left, caplog):
    write(RowShards(folder, WIDTH), range(40))
    rows = only(folder, "*.rows")
    write(RowShards(folder, WIDTH), range(40, 80))
    opened = RowShards(folder, WIDTH)
    assert found(opened, range(80)) == list(range(80))
    with open(rows, "r+b") as file:
        file.truncate(left)
    store, whole = RowShards(folder, WIDTH), left // (4 * WIDTH)
    expected = [*range(whole), *range(40, 80)]
    assert found(store, range(80)) == found(store, range(80)) == expected
    [said] = caplog.messages
    assert said == f"{rows} was cut short: {40 - whole} of 40 rows are lost"
    assert found(opened, range(80)) == expected
    write(store, range(whole, 40))
    for one in (opened, RowShards(folder, WIDTH)):
        assert found(one, range(80)) == list(range(80))


def test_without_its_rows_or_with_half_its_keys_a_shard_gives_what_is_left(folder):
    write(RowShards(folder, WIDTH), range(40))
    keys = only(folder, "*.keys")
    content = keys.read_bytes()
    keys.write_bytes(content[: len(content) // 2 + 1])
    assert found(RowShards(folder, WIDTH), range(40)) == list(range(20))
    only(folder, "*.rows").unlink()
    assert found(RowShards(folder, WIDTH), range(40)) == []


def test_a_folder_that_is_deleted_meanwhile_is_begun_again(folder):
    store = RowShards(folder, WIDTH)
    write(store, range(40))
    assert found(store, range(60)) == list(range(40))
    shutil.rmtree(folder)
    assert found(store, range(60)) == []
    write(store, range(20, 60))
    assert found(RowShards(folder, WIDTH), range(60)) == list(range(20, 60))


def test_a_full_disk_is_one_clear_line_and_what_was_written_stays(small_disk):
    filler = small_disk / "filler"
    filler.write_bytes(bytes(900_000))
    store = RowShards(small_disk / "features", WIDTH)
    with pytest.raises(ShardsUnwritable, match="features cannot be written: No space left.*free"):
        write(store, range(2000))
    kept = found(RowShards(small_disk / "features", WIDTH), range(2000))
    assert BATCH <= len(kept) < 2000 and kept == list(range(len(kept)))
    assert set(kept) >= set(found(store, range(2000)))
    filler.unlink()
    write(store, range(len(kept), 2000))
    for one in (store, RowShards(small_disk / "features", WIDTH)):
        assert found(one, range(2000)) == list(range(2000))


def test_a_read_only_folder_is_read_and_new_rows_are_kept_in_memory(folder, read_only, caplog):
    write(RowShards(folder, WIDTH), range(40))
    disk = read_only(folder)
    for place, before in ((disk, list(range(40))), (disk / "new", [])):
        store = RowShards(place, WIDTH)
        assert found(store, range(60)) == before
        write(store, range(40, 60))
        assert found(store, range(60)) == before + list(range(40, 60))
    assert len(caplog.messages) == 2 and "Read-only file system" in caplog.messages[0]
    assert len(RowShards(folder, WIDTH)) == 40


def test_what_is_no_shard_stops_no_shard_beside_it(folder):
    write(RowShards(folder, WIDTH), range(20))
    (folder / "backup.keys").mkdir()
    (folder / "lost.keys").symlink_to("nowhere")
    (folder / "notes.keys").write_text("a diary without rows, longer than one key")
    assert found(RowShards(folder, WIDTH), range(20)) == list(range(20))


@pytest.mark.parametrize("inside", ["", "text", "a/b"])
def test_a_file_is_no_folder_of_shards(tmp_path, inside):
    (tmp_path / "features").write_text("a diary")
    with pytest.raises(NotADirectoryError, match="features is a file: give the name of a folder"):
        RowShards(tmp_path / "features" / inside, WIDTH)


@pytest.mark.slow
def test_a_million_rows_of_many_writers_are_all_found(folder):
    n, width = 1_000_000, 256
    keys = keys_of(np.arange(n))
    for first in range(0, n, 20_000):  # fifty writers
        store = RowShards(folder, width)
        for start in range(first, first + 20_000, 4_000):
            part = keys[start : start + 4_000]
            store.write(part, np.repeat(rows_of(part)[:, :16], 16, axis=1), marks_of(part))
    store, asked = RowShards(folder, width), np.random.default_rng(0).permutation(n)[:20_000]
    rows = np.zeros((len(asked), width), np.float32)
    there, marked = store.read(keys[asked], rows)
    assert there.all() and np.array_equal(marked, marks_of(keys[asked]))
    assert np.array_equal(rows[:, ::16], rows_of(keys[asked])[:, :16])
    assert len(store) == n
    assert sum(path.stat().st_size for path in folder.iterdir()) < 1.05 * 4 * width * n

"""Claims about the engines that need no Ray: the choice between them, and work shard by shard."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from pathlib import Path
from threading import Thread
from types import SimpleNamespace

import fsspec
import httpx2
import numpy as np
import openai
import pandas as pd
import pytest
from loopback import save_image
from ray_acts import Shouting, ray_site

from vital_lib import scale
from vital_lib.client import ChatClient
from vital_lib.client.faults import is_slow, is_transient, may_cost
from vital_lib.encoders import Encoder, load_encoder
from vital_lib.figures import open_image
from vital_lib.parameters import WrongParameter, check_parameters
from vital_lib.scale import cluster
from vital_lib.scale.client import _connection_error
from vital_lib.scale.cluster import _check_address, _start
from vital_lib.scale.encoding import shard_size
from vital_lib.scale.shards import sole_use
from vital_lib.tables import FolderInUse

ROOT = Path(__file__).parents[1]


def rows_of(*texts):
    return pd.DataFrame({"id": range(len(texts)), "text": texts})


def run(source, target, **options):
    return sorted(scale.run_shards(Shouting, source, target, engine="local", **options))


def all_rows(folder):
    return pd.concat(
        [scale.read_shard(folder, name) for name in scale.shard_names(folder)], ignore_index=True
    )


@pytest.fixture
def source(tmp_path):
    """Five rows in three shards; the fourth row is bad."""
    scale.write_shards(rows_of("a", "b", "c", None, "e"), tmp_path / "in", size=2)
    return tmp_path / "in"


def test_the_engine_is_local_unless_ray_is_asked_for(tmp_path):
    assert type(scale.open_client("clinic")) is ChatClient
    assert type(scale.load_encoder(cache=tmp_path / "features")) is Encoder


@pytest.mark.parametrize("open_it", [scale.open_client, scale.load_encoder])
def test_an_unknown_engine_is_refused(open_it):
    with pytest.raises(ValueError, match="engine='spark': give one of 'local', 'ray'"):
        open_it(engine="spark")


def test_the_parameter_engine_has_a_rule():
    assert check_parameters({"engine": "ray"}) == "parameters checked: 1"
    with pytest.raises(WrongParameter, match="engine = 'dask': give one of 'local', 'ray'"):
        check_parameters({"engine": "dask"})


def test_without_ray_the_error_says_how_to_install_it():
    code = "from vital_lib import scale; scale.open_client('clinic', engine='ray')"
    blocked = f"import sys; sys.modules['ray'] = None; {code}"
    done = subprocess.run([sys.executable, "-c", blocked], capture_output=True, text=True)
    assert "ImportError: engine='ray' needs Ray: pip install 'vital-workbench[ray]'" in done.stderr


@pytest.mark.parametrize("options", [{"workers": 0}, {"replay": "replies.jsonl"}])
def test_a_client_that_cannot_be_shared_is_refused_before_ray_starts(options):
    with pytest.raises(ValueError, match="workers=0|replay works in one process"):
        scale.open_client("clinic", engine="ray", **options)


def test_every_shard_has_a_result_and_a_bad_row_a_reason(source, tmp_path):
    done = run(source, tmp_path / "out")
    assert [(shard.rows, shard.bad, shard.kept) for shard in done] == [
        (2, 0, False),
        (2, 1, False),
        (1, 0, False),
    ]
    found = all_rows(tmp_path / "out")
    assert found["id"].tolist() == [0, 1, 2, 3, 4]
    assert found["reason"].dropna().to_dict() == {3: "no text"}


def test_a_second_run_keeps_what_the_first_has_done(source, tmp_path):
    run(source, tmp_path / "out")
    assert all(shard.kept for shard in run(source, tmp_path / "out"))


def test_changed_rows_and_another_computation_are_computed_again(source, tmp_path, monkeypatch):
    run(source, tmp_path / "out")
    scale.write_shards(rows_of("A", "b"), source, size=2)  # the first shard
    assert [shard.kept for shard in run(source, tmp_path / "out")] == [False, True, True]
    assert all_rows(tmp_path / "out")["text"].iloc[0] == "A"
    monkeypatch.setattr(Shouting, "made_by", "shouting louder")
    assert not any(shard.kept for shard in run(source, tmp_path / "out"))


def test_a_result_cut_short_is_computed_again(source, tmp_path):
    [first, *_] = run(source, tmp_path / "out")
    path = tmp_path / "out" / first.name
    path.write_bytes(path.read_bytes()[:-20])
    assert [shard.kept for shard in run(source, tmp_path / "out")] == [False, True, True]
    assert len(all_rows(tmp_path / "out")) == 5


def test_a_shard_of_rows_cut_short_is_named_and_the_others_are_computed(source, tmp_path):
    path = source / "000001.parquet"
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(scale.ShardsFailed, match="1 of 3 shards in .* first 000001.parquet: Arrow"):
        run(source, tmp_path / "out")
    assert all_rows(tmp_path / "out")["id"].tolist() == [0, 1, 4]


def test_a_task_that_cannot_be_opened_is_the_reason_of_every_shard(source, tmp_path):
    with pytest.raises(scale.ShardsFailed, match="3 of 3 shards .* FileNotFoundError: encoder"):
        scale.encode_folder(source, tmp_path / "out", column="text", encoder="./no", engine="local")


def test_an_empty_folder_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="no Parquet file in"):
        run(tmp_path, tmp_path / "out")


def test_two_runs_into_one_folder_are_refused(source, tmp_path):
    with (
        sole_use(tmp_path / "out"),
        pytest.raises(FolderInUse, match="another process is writing to .*out: wait for it"),
    ):
        run(source, tmp_path / "out")
    assert len(run(source, tmp_path / "out")) == 3


def test_a_file_that_is_being_written_is_no_shard(source, tmp_path):
    (source / ".000003.parquet-x1").write_bytes(b"half")
    assert len(run(source, tmp_path / "out")) == 3


def test_folders_may_be_urls():
    scale.write_shards(rows_of("a", "b", "c"), "memory://scale/in", size=2)
    assert [shard.rows for shard in run("memory://scale/in", "memory://scale/out")] == [2, 1]
    assert all_rows("memory://scale/out")["text"].tolist() == ["A", "B", "C"]


def test_images_in_a_folder_of_rows_have_the_features_of_the_encoder(tmp_path):
    paths = [str(save_image(tmp_path / f"{number}.png", number)) for number in range(5)]
    with fsspec.open("memory://scale/5.png", "wb") as file:
        file.write((tmp_path / "0.png").read_bytes())
    (tmp_path / "damaged.png").write_bytes(b"no image")
    urls = ["memory://scale/5.png", "memory://scale/gone.png", "nowhere://6.png"]
    images = [*paths, *urls, str(tmp_path / "damaged.png"), None]
    rows = pd.DataFrame({"id": [f"f{n}" for n in range(10)], "image": images})
    scale.write_shards(rows, tmp_path / "in", size=4)
    folders = tmp_path / "in", tmp_path / "out"
    done = scale.encode_folder(*folders, column="image", engine="local")
    assert (done["rows"].sum(), done["bad"].sum()) == (10, 4)
    found = all_rows(tmp_path / "out")
    assert found["id"].tolist() == rows["id"].tolist()
    good = found[found["reason"].isna()]
    assert good["id"].tolist() == ["f0", "f1", "f2", "f3", "f4", "f5"]
    expected = load_encoder().images([open_image(path) for path in [*paths, paths[0]]])
    assert np.allclose(np.stack(good["vector"]), expected, atol=1e-5)
    assert found["vector"][9] is None
    told = dict(zip(found["id"], found["reason"], strict=True))
    assert "gone.png" in told["f6"] and "nowhere" in told["f7"]
    assert "is not an image" in told["f8"] and told["f9"] == "no image: the row has none"


def test_texts_in_a_folder_of_rows_have_the_features_of_the_encoder(tmp_path):
    texts = ["CT of the head.", "word " * 500, "", "MRI of the knee."]
    scale.write_shards(rows_of(*texts), tmp_path / "in", size=10)
    scale.encode_folder(tmp_path / "in", tmp_path / "out", column="text", engine="local")
    found, encoder = all_rows(tmp_path / "out"), load_encoder()
    assert np.allclose(np.stack(found["vector"]), encoder.texts(texts), atol=1e-5)
    assert found["truncated"].tolist() == [False, True, False, False]


def test_another_column_than_image_and_text_is_refused(tmp_path):
    with pytest.raises(ValueError, match="column='caption': give 'image' or 'text'"):
        scale.encode_folder(tmp_path, tmp_path, column="caption", engine="local")


@pytest.mark.parametrize(("slow", "charged"), [(True, True), (False, True), (False, False)])
def test_a_fault_in_a_worker_is_classified_as_it_was_there(slow, charged):
    address = httpx2.Request("POST", "http://127.0.0.1/v1")
    error = _connection_error("Connection error.", slow, charged, address)
    assert isinstance(error, openai.APIConnectionError) and is_transient(error)
    assert (is_slow(error), may_cost(error)) == (slow, charged)


def test_results_do_not_go_into_the_folder_of_the_rows(source):
    before = {path.name: path.read_bytes() for path in source.iterdir()}
    for target in (source, f"{source}/../in"):
        with pytest.raises(ValueError, match="holds the rows: give another folder"):
            run(source, target)
    assert {path.name: path.read_bytes() for path in source.iterdir()} == before


def test_rows_without_the_column_are_named(source, tmp_path):
    with pytest.raises(scale.ShardsFailed, match="wanted a table with id, image; .* has no image"):
        scale.encode_folder(source, tmp_path / "out", column="image", engine="local")


@pytest.mark.parametrize("workers", [0, -1, 1.5, "2"])
def test_a_number_of_workers_below_one_is_refused(workers, source, tmp_path):
    for engine in ("local", "ray"):
        for act in (
            lambda engine=engine: scale.open_client("clinic", engine=engine, workers=workers),
            lambda engine=engine: scale.load_encoder(engine=engine, workers=workers),
            lambda engine=engine: list(
                scale.run_shards(Shouting, source, tmp_path, engine=engine, workers=workers)
            ),
        ):
            with pytest.raises(ValueError, match="workers=.*: give 1 or more, or None"):
                act()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"RAY_ADDRESS": "127.0.0.1:9"}, r"no cluster at RAY_ADDRESS=127.0.0.1:9 \(.* refused\)"),
        ({"RAY_ADDRESS": "nonsense"}, r"no cluster at RAY_ADDRESS=nonsense \(.*: nonsense\)"),
        ({"RAY_TMPDIR": __file__}, r"Ray cannot start here \(.*\): engine='local' works"),
    ],
)
def test_without_a_connection_to_ray_one_line_says_why_at_once(variables, said):
    environment = {k: v for k, v in os.environ.items() if k != "RAY_ADDRESS"} | variables
    environment["PYTHONPATH"] = f"{ROOT}{os.pathsep}{ray_site()}"
    done = subprocess.run(
        [sys.executable, "-c", "from vital_lib import scale; scale.connected()"],
        **{"env": environment, "capture_output": True, "text": True, "timeout": 180},
    )
    assert re.search(rf"\nConnectionError: {said}.*\n$", done.stderr), done.stderr


@pytest.mark.parametrize("said", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"", None])
def test_another_server_at_the_address_is_told_at_once(said, monkeypatch):
    """A web server, one that closes, and one that never answers."""
    monkeypatch.setattr(cluster, "_SECONDS", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(100)
                connection.sendall(said) if said is not None else connection.recv(1)

        Thread(target=answer, daemon=True).start()
        with pytest.raises(OSError, match=r"not Ray|timed out|reset"):
            _check_address(f"127.0.0.1:{server.getsockname()[1]}")


@pytest.mark.parametrize(
    ("outcomes", "started"),
    [
        (["The current node timed out during startup.", None], True),
        (["The current node timed out during startup."] * 4, False),
        (["another reason", None], False),
    ],
)
def test_ray_is_started_again_if_it_did_not_come_up_in_time(outcomes, started):
    left = iter(outcomes)

    def init(address, **how):
        if (why := next(left)) is not None:
            raise RuntimeError(why)

    ray = SimpleNamespace(init=init, shutdown=lambda: None)
    if started:
        _start(ray, "local", {})
    else:
        with pytest.raises(RuntimeError, match=r"timed out|another"):
            _start(ray, "local", {})
    assert list(left) == ([] if "timed out" in outcomes[0] else [None])


@pytest.mark.parametrize("rows", [1, 40, 1012, 9999, 10**6])
@pytest.mark.parametrize("batch", [32, 128])
def test_a_shard_holds_whole_batches(rows, batch):
    size = shard_size(rows, batch)
    assert size % batch == 0 and 32 <= size <= 4096

"""What checking figures costs."""

from __future__ import annotations

import hashlib
import io
import json
from functools import partial
from itertools import cycle
from multiprocessing import get_context
from pathlib import Path

import pytest
from copied_pictures import scene
from imagehash import phash
from loopback import save_image
from measuring import median_seconds
from PIL import Image

from vital_lib.figures import ahead, open_image, read_figures

pytestmark = pytest.mark.slow


def _figure_set(folder: Path, number: int) -> Path:
    """A folder of `number` figures, each with an image of its own."""
    (folder / "images").mkdir(parents=True)
    lines = []
    for k in range(number):
        name = save_image(folder / "images" / f"A{k}_F1.png", seed=k).name
        lines.append(json.dumps({"pair_id": f"A{k}_F1", "fig_caption": f"CT {k}.", "image": name}))
    (folder / "figures.jsonl").write_text("\n".join(lines))
    return folder


def test_a_record_of_a_set_four_times_as_long_costs_no_more_to_read(tmp_path, report):
    n = 300
    short, long = (_figure_set(tmp_path / str(size), size) for size in (n, 4 * n))

    def read(folder: Path) -> None:
        figures, rejected = read_figures(str(folder), run=tmp_path)
        assert len(figures) in (n, 4 * n) and rejected.empty

    few, many = median_seconds(partial(read, short), partial(read, long))
    growth = many / (4 * few)
    report("figures", records_per_second=4 * n / many, record_of_4n_over_record_of_n=growth)
    assert growth < 2


def _hashed_and_thumbnailed(path: Path) -> tuple[str, str, bytes]:
    """The yardstick: what a figure set needs to know of an image, by Pillow and imagehash alone."""
    content = path.read_bytes()
    picture = Image.open(io.BytesIO(content)).convert("RGB")
    small = picture.convert("L").resize((96, 96), Image.Resampling.BOX)
    return hashlib.sha256(content).hexdigest(), str(phash(picture)), small.tobytes()


def test_a_set_is_hashed_nearly_as_fast_as_by_bare_pillow_on_two_processes(
    tmp_path, report, monkeypatch
):
    """Images of real size; ours also checks records, groups articles and finds hostile files."""
    n, folder = 100, tmp_path / "set"
    (folder / "images").mkdir(parents=True)
    paths = [folder / "images" / f"A{k}_F1.jpg" for k in range(n)]
    for k, path in enumerate(paths):
        scene(k, (1000, 1000)).save(path, quality=85)
    records = [{"pair_id": path.stem, "fig_caption": "CT.", "image": path.name} for path in paths]
    (folder / "figures.jsonl").write_text("\n".join(map(json.dumps, records)))
    monkeypatch.setattr(ahead, "available_cores", lambda: 2)

    def ours() -> None:
        figures, rejected = read_figures(str(folder), run=tmp_path)
        assert len(figures) == n and rejected.empty

    with get_context("forkserver").Pool(2) as pool:

        def bare() -> None:
            assert len(pool.map(_hashed_and_thumbnailed, paths, chunksize=5)) == n

        seconds, least = median_seconds(ours, bare)
    speed = least / seconds
    report("figures", images_per_second=n / seconds, speed_over_pillow_on_two_processes=speed)
    assert speed > 0.8


@pytest.mark.parametrize(("kind", "side"), [("png", 224), ("jpeg", 1000)])
def test_checking_an_image_costs_little_beside_decoding_it(kind, side, tmp_path, report):
    """The yardstick decodes the same file with Pillow and checks nothing."""
    # Two in turn: the image opened last is not decoded again.
    paths = [save_image(tmp_path / f"{seed}.{kind}", seed=seed, side=side) for seed in (0, 1)]
    opened, decoded = cycle(paths), cycle(paths)

    def decode() -> None:
        with Image.open(next(decoded)) as image:
            image.load()

    ours, bare = median_seconds(lambda: open_image(next(opened)), decode, times=51)
    report("figures", **{f"open_{kind}_seconds": ours, f"open_{kind}_over_decode": ours / bare})
    assert ours < 3 * bare

"""What checking figures costs."""

from __future__ import annotations

import json
from functools import partial
from itertools import cycle
from pathlib import Path

import pytest
from loopback import save_image
from measuring import median_seconds
from PIL import Image

from vital_lib.figures import open_image, read_figures

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

"""Run by test_sources_datasets.py where datasets 5.2 is installed.

    python with_saved_sets.py <folder with shards/> <folder for caches>

It saves data sets as `datasets` does, reads the shards as it reads those of the hub, and prints
the figures of each.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import datasets
from article_rows import png

from vital_lib.figures import read_figures
from vital_lib.sources import open_source


def _rows(number: int) -> datasets.Dataset:
    rows = [
        {"image": {"bytes": png(n), "path": None}, "caption": f"CT {n}.", "image_id": f"r{n}"}
        for n in range(number)
    ]
    return datasets.Dataset.from_list(rows).cast_column("image", datasets.Image())


def main(name: str, caches: str) -> None:
    """Print the ids of the figures of each source, and the reason of one that is not there."""
    datasets.config.HF_DATASETS_CACHE = caches
    folder, found = Path(name), {}
    _rows(30).filter(lambda row: row["image_id"] != "r3").save_to_disk(folder / "one", num_shards=2)
    both = datasets.DatasetDict({"train": _rows(2), "test": _rows(3).select([2])})
    both.save_to_disk(folder / "both")
    for one in ("one", "both"):
        figures, rejected = read_figures(str(folder / one), run=folder / f"run-{one}")
        found[one] = [figures["figure_id"].tolist(), len(rejected)]
    figures, rejected = read_figures(f"hf:{folder / 'shards'}", run=folder / "run-hub")
    found["hub"] = [figures["figure_id"].tolist(), figures["caption"].tolist(), len(rejected)]
    try:
        list(open_source("hf:nobody/none", work=folder).records)
    except ValueError as error:
        found["none"] = str(error)
    print(json.dumps(found))


if __name__ == "__main__":
    main(*sys.argv[1:])

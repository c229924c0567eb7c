"""Pictures, records and figure sets on disk for the tests that read them."""

import json
import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

from vital_lib.figures import read_figures
from vital_lib.modalities import MODALITIES


def picture(seed: int = 0, size: tuple[int, int] = (24, 16)) -> Image.Image:
    """Noise; each `seed` gives a different image."""
    values = np.random.default_rng(seed).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    return Image.fromarray(values)


def record(pair_id: str, **changes) -> dict:
    """A record as LLaVA-Med's sets have it, of an MRI."""
    plain = {
        "pair_id": pair_id,
        "pmid": pair_id.split("_")[0],
        "image": f"{pair_id}.png",
        "fig_caption": f"Caption of {pair_id}.",
        "in_text_mention": [{"tokens": "See the figure .", "entities": []}],
        "domain": {name: name == "mri" for name in MODALITIES},
    }
    return {**plain, **changes}


def write_set(folder: Path, records: list, images: bool = True) -> Path:
    """A figure folder; an entry that is text is written as a line as it is."""
    (folder / "images").mkdir(parents=True, exist_ok=True)
    lines = [entry if isinstance(entry, str) else json.dumps(entry) for entry in records]
    (folder / "figures.jsonl").write_text("\n".join(lines) + "\n")
    for number, entry in enumerate(records):
        if images and isinstance(entry, dict) and isinstance(entry.get("pair_id"), str):
            picture(number).save(folder / "images" / f"{entry['pair_id']}.png")
    return folder


def read_one_bad(tmp_path: Path, bad) -> dict:
    """The row that `bad` makes on line 2, after checking that its neighbours were read."""
    folder = write_set(tmp_path / "set", [record("1_F1"), bad, record("3_F1")])
    frame, rejected = read_figures(str(folder), run=tmp_path)
    assert frame["figure_id"].tolist() == ["1_F1", "3_F1"]
    assert rejected["place"].tolist() == ["figures.jsonl:2"]
    return rejected.iloc[0].to_dict()


def png_header(width: int, height: int) -> bytes:
    """A PNG that states its size and holds no pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    size = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    start = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", size)
    return start + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")

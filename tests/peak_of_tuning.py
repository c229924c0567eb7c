"""Tune in this process, and print what memory it took beside what was estimated, in MiB.

Run as ``python peak_of_tuning.py FOLDER SETTINGS``: FOLDER holds the base model ``base``; SETTINGS
is a JSON object of `TuningConfig`. A process of its own, as peaks only rise.
"""

from __future__ import annotations

import ctypes
import gc
import json
import re
import sys
import threading
from pathlib import Path

import pandas as pd
from PIL import Image

from vital_lib.models import load_model
from vital_lib.tuning import IGNORED, FigureTensors, encode_conversations, tune
from vital_lib.tuning.estimating import estimate

ANSWER = "It lies in the left upper lung, and there are two small ones on the right. " * 4


class Peak(threading.Thread):
    """The most memory of this process's own, in MiB, while the block runs; files do not count."""

    def __enter__(self):
        self.most, self._ended = 0.0, threading.Event()
        self.start()
        return self

    def __exit__(self, *raised):
        self._ended.set()
        self.join()

    def run(self):
        while not self._ended.wait(0.002):
            self.most = max(self.most, own_memory())


def own_memory() -> float:
    """MiB of this process without pages of files, which the system can drop at any time."""
    status = Path("/proc/self/status").read_text()
    return int(re.search(r"RssAnon:\s+(\d+) kB", status)[1]) / 1024


def main(folder: Path, settings: dict) -> None:
    """Print estimated and measured MiB as a JSON object."""
    names = [f"F{k}" for k in range(2 * settings["batch_size"])]
    for name in names:
        Image.effect_noise((64, 64), 40).convert("RGB").save(folder / f"{name}.png")
    figures = pd.DataFrame({"figure_id": names, "image": [str(folder / f"{n}.png") for n in names]})
    turns = [{"instruction": "On which side is the nodule?", "response": ANSWER}]
    rows = pd.DataFrame(
        {"conversation_id": names, "figure_id": names, "turns": [turns] * len(names)}
    )
    # What libraries allocate once, at a first step, belongs to none of the models. What they have
    # freed goes back to the system: used again, it would not show in the peak.
    tune(folder / "warm", rows, figures, folder / "warmed", epochs=1, **settings)
    gc.collect()
    ctypes.CDLL("libc.so.6").malloc_trim(0)
    before = own_memory()
    with Peak() as peak:
        tune(folder / "base", rows, figures, folder / "adapter", epochs=1, **settings)
    files = {name: folder / f"{name}.png" for name in names}
    vlm = load_model(folder / "base")
    examples, _ = encode_conversations(vlm, rows, FigureTensors(vlm, files), 4096)
    graded = sum(label != IGNORED for label in examples[0]["labels"])
    tokens = len(examples[0]["input_ids"])
    found = estimate(folder / "base", tokens, graded=graded, device="cpu", **settings)
    print(json.dumps({"estimated": found.memory / 2**20, "measured": peak.most - before}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), json.loads(sys.argv[2]))

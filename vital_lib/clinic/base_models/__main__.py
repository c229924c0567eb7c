"""Command line: ``python -m vital_lib.clinic.base_models [folder]``."""

from __future__ import annotations

import argparse
import logging
from pathlib import Path

import torch

from vital_lib.clinic.base_models import MODELS_FOLDER, make_base_models

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Train the clinic's base models on phantoms.")
    parser.add_argument("folder", nargs="?", type=Path, default=MODELS_FOLDER)
    parser.add_argument("--only", choices=("encoder", "llava"), help="train only this model")
    given = parser.parse_args()
    names = (given.only,) if given.only else ("encoder", "llava")
    torch.set_num_threads(1)  # more threads sum in another order and give other weights
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    for name, measured in make_base_models(given.folder, names=names).items():
        logging.info("%s %s", name, measured)

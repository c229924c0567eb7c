"""The labelling service in a process of its own, on loopback, and a small run for it to serve.

It is started as a user starts it, and is ended by the process that started it. This module knows
nothing of the card.
"""

from __future__ import annotations

import re
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import psutil
from PIL import Image
from processes import free_port, jupyter_environment, running_process, status

from vital_lib.figures import open_image
from vital_lib.tables import TABLES, Workspace


@dataclass(frozen=True)
class Labelling:
    """A running service: where it listens, its process, what it printed, its links."""

    port: int
    process: psutil.Process
    printed: str
    log: Path
    links: dict[str, str]

    def url(self, path: str) -> str:
        """The address of `path` on the service."""
        return f"http://127.0.0.1:{self.port}{path}"

    def kernels(self) -> set[int]:
        """Process ids of the kernels that run now."""
        children = self.process.children(recursive=True)
        return {
            child.pid
            for child in children
            if child.is_running() and any("ipykernel" in word for word in _words(child))
        }

    def get(self, path: str, **headers: str) -> tuple[int, str]:
        """Status and text of the reply to a GET of `path`, redirects followed."""
        return self.send("GET", path, **headers)

    def send(self, method: str, path: str, **headers: str) -> tuple[int, str]:
        """Status and text of the reply to a request without a body."""
        request = urllib.request.Request(self.url(path), method=method, headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=30) as reply:
                return reply.status, reply.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()


def write_run(folder: Path, items: int = 24) -> Workspace:
    """A run of as many figures as `items`, one question and two drafted answers to each."""
    workspace = Workspace(folder)
    names = [f"f{number:02d}" for number in range(items)]
    for place, name in enumerate(names):
        shade = 40 + 8 * place % 200
        Image.new("RGB", (96, 96), (shade, 90, 120)).save(folder / f"{name}.png")
    workspace.write("figures", _table("figures", [_figure(folder, name) for name in names]))
    drafts = [_draft(name, which) for name in names for which in "ab"]
    workspace.write("drafts", _table("drafts", drafts))
    return workspace


def _table(name: str, rows: list[dict]) -> pd.DataFrame:
    return pd.DataFrame(rows).reindex(columns=TABLES[name].columns)


def _figure(folder: Path, name: str) -> dict:
    texts = {"figure_id": name, "image": f"{name}.png", "caption": f"Caption of {name}."}
    image = open_image(folder / f"{name}.png")
    return {
        **texts,
        **{"mentions": ["A mention."], "modalities": ["mri"], "group_id": name, "split": "train"},
        **{"sha256": image.sha256, "phash": "0" * 16, "source": "test", "cleared": True},
    }


def _draft(figure: str, which: str) -> dict:
    return {
        **{"candidate_id": f"{figure}-r1-{which}", "instruction_id": f"{figure}-r1"},
        **{"conversation_id": figure, "figure_id": figure, "group_id": figure},
        **{"split": "train", "stage": "draft", "arm": "none"},
        **{"round": 1, "instruction": f"What does {figure} show?", "response": f"Answer {which}."},
        **{"question_type": "finding", "demonstration_ids": [], "generator": "test"},
        **{"prompt_version": "v1", "seed": 0, "reply_id": "r", "flags": []},
    }


@contextmanager
def labelling(
    run: Path, annotators: Sequence[str], private: Path, *options: str
) -> Iterator[Labelling]:
    """Serve the card of `run` until the block ends.

    Args:
        private: an empty folder for Jupyter's own configuration and data, and the service's log.
        options: further words of the command line.
    """
    port = free_port()
    command = [sys.executable, "-m", "vital_lib.labelling", f"--run={run}", f"--port={port}"]
    command += [f"--annotators={','.join(annotators)}", *options]
    out, log = private / "printed.txt", private / "log.txt"
    places = {"environment": jupyter_environment(private), "log": log, "printed": out}
    with running_process(command, lambda: _refuses(port), **places) as process:
        links = dict(re.findall(r"^  (\w+): (http\S+)$", out.read_text(), re.M))
        yield Labelling(port, psutil.Process(process.pid), out.read_text(), log, links)


def _refuses(port: int) -> bool:
    """Whether it listens: it refuses who has no link."""
    return (status(f"http://127.0.0.1:{port}/") or 0) >= 400


def _words(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.NoSuchProcess:
        return []

"""The origins of tables, models and metrics, and whether their inputs have changed since.

An **origin** holds an artefact's parameters, the fingerprints of its inputs, and its settings. The
settings are those parameters of the artefact and of its inputs that identify what was measured.
This module opens no files.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import PurePath
from typing import Any

Origin = Mapping[str, Any]
"""Keys written_by, made_from (input -> fingerprint), parameters, settings (name -> values), votes
(input -> `VotesRead.how`, for inputs that are votes in a label log)."""

SETTINGS = (
    *("figures", "annotators", "generator", "encoder", "judge"),
    *("base_model", "benchmark", "second_judge"),
)
"""Parameters that identify what was measured. An artefact inherits them from its inputs."""

_OLDER = "older than "
UNKNOWN = "origin not known; run its notebook again"


class NotReadable(RuntimeError):
    """The present state of an input cannot be read; the message says why."""


@dataclass(frozen=True)
class VotesRead:
    """Votes read from a label log: an input of an artefact that is not a table.

    Attributes:
        on: the items of the votes, "drafts" or "pairs".
        fingerprint: fingerprint of the votes that were read.
        annotators: the annotators whose votes count, "clinic" or "people".
        label_log: URL of the log without its password; None for the run's own.
        items: ids of the items; None for the instructions of the table `on`.
    """

    on: str
    fingerprint: str
    annotators: str
    label_log: str | None = None
    items: tuple[str, ...] | None = None

    @property
    def name(self) -> str:
        """Name of the input, such as "votes on drafts"."""
        return f"votes on {self.on}"

    @property
    def how(self) -> dict[str, Any]:
        """The arguments for reading the votes again, as JSON values."""
        kept = asdict(self)
        del kept["fingerprint"]
        return kept


def settings_of(parameters: Mapping[str, Any], inputs: Iterable[Origin]) -> dict[str, list[str]]:
    """Return each setting of an artefact from its own `parameters`, else from its `inputs`."""
    found: dict[str, dict[str, None]] = {}
    for origin in inputs:
        for name, values in origin.get("settings", {}).items():
            found.setdefault(name, {}).update(dict.fromkeys(values))
    own = {name: {str(parameters[name]): None} for name in SETTINGS if parameters.get(name)}
    return {name: list(values) for name, values in {**found, **own}.items()}


def in_words(settings: Mapping[str, Iterable[str]]) -> str:
    """Return settings as text, such as "figures clinic, judge clinic", without folders of paths."""
    return ", ".join(
        f"{name.replace('_', ' ')} {' and '.join(map(without_folders, settings[name]))}"
        for name in SETTINGS
        if name in settings
    )


def contradicts(old: Origin, new: Origin) -> bool:
    """Return whether `new` has another value for an input, parameter or setting of `old`."""
    return any(
        value != old.get(part, {}).get(name, value)
        for part in ("made_from", "parameters", "settings")
        for name, value in new[part].items()
    )


class Standing:
    """Finds artefacts that are older than their inputs, directly or through another artefact.

    Args:
        fingerprint: returns the present fingerprint of an artefact by its name and, for votes,
            their `VotesRead.how`; None if it no longer exists. May raise `NotReadable`.
        origin: returns the origin of an artefact; empty if none is stored.
    """

    def __init__(
        self,
        fingerprint: Callable[[str, Mapping[str, Any] | None], str | None],
        origin: Callable[[str], Origin],
    ) -> None:
        self._fingerprint, self._origin = fingerprint, origin
        self._present: dict[str, tuple[str | None, str]] = {}
        self._found: dict[str, list[tuple[str, str]]] = {}

    def stale(self, origin: Origin) -> str | None:
        """Return why an artefact with this origin is stale and which notebook to run, or None.

        If several notebooks must run, only the reasons for the first one are given. If the first is
        the artefact's own notebook, only the artefact's own reason is given.
        """
        found = self._of(origin, "")
        if not found:
            return None
        first = min(notebook for notebook, _ in found)
        reasons = list(dict.fromkeys(why for notebook, why in found if notebook == first))
        own = [why for why in reasons if why.startswith(_OLDER)]
        then = "" if first == origin.get("written_by") else " and what follows"
        return f"{'; '.join(own or reasons)}: run {first}{then}"

    def _of(self, origin: Origin, name: str) -> list[tuple[str, str]]:
        """Return (notebook to run, reason) for an artefact and its inputs.

        Args:
            name: the artefact in the reasons, "" for the one that `stale` received.
        """
        made_from, votes = origin.get("made_from", {}), origin.get("votes", {})
        made = [source for source in made_from if source not in votes]
        found = [entry for source in made for entry in self._of_input(source)]
        changed = [self._changed(*entry, votes.get(entry[0])) for entry in made_from.items()]
        if changed := list(filter(None, changed)):
            why = f"{_OLDER}{', '.join(changed)}"
            notebook = origin.get("written_by") or "its notebook"
            found.append((notebook, f"{name} is {why}" if name else why))
        return found

    def _of_input(self, source: str) -> list[tuple[str, str]]:
        if source not in self._found:
            self._found[source] = []  # ends a cycle
            self._found[source] = self._of(self._origin(source), source)
        return self._found[source]

    def _changed(self, source: str, kept: str, how: Mapping[str, Any] | None) -> str | None:
        key = source if how is None else json.dumps(how, sort_keys=True)
        if key not in self._present:
            self._present[key] = self._present_fingerprint(source, how)
        now, remark = self._present[key]
        return None if now == kept else f"{source}{remark}"

    def _present_fingerprint(
        self, source: str, how: Mapping[str, Any] | None
    ) -> tuple[str | None, str]:
        """Return the present fingerprint, and a remark for an input without one."""
        try:
            now = self._fingerprint(source, how)
        except NotReadable as error:
            return None, f", which cannot be checked: {error}"
        return now, "" if now else ", which is missing"


_PATH = re.compile(r"[~./\\]|[A-Za-z]:[\\/]|[^/]+://|[^/]*\\|[^/]+/[^/]+/")
"""How a path or an address begins; a hub's id, such as org/model, has one slash only."""


def is_path(value: Any) -> bool:
    """Return whether a parameter is a path or an address, and not the id of a model on a hub."""
    return bool(_PATH.match(str(value))) if isinstance(value, str | PurePath) else False


def without_folders(value: Any) -> Any:
    """Return a parameter with each path in it, also in a list or dict, cut to its last part.

    The folders above may name a patient, a person or a machine.
    """
    if isinstance(value, Mapping):
        return {without_folders(key): without_folders(own) for key, own in value.items()}
    if isinstance(value, list | tuple):
        return [without_folders(own) for own in value]
    if not is_path(value):
        return value
    path = str(value)
    path = re.split(r"[?#]", path)[0] if "://" in path else path  # may hold a key
    return re.split(r"[\\/]", path.rstrip("\\/"))[-1]

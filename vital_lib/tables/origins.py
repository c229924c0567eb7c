"""What tables, models and metrics were made from, and whether that still lies in the run.

An **origin** holds the fingerprints of the inputs, the parameters, and the settings that say what
was measured: an artefact's own and those of its inputs. Opens no files.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import PurePath
from typing import Any

Origin = Mapping[str, Any]
"""Keys written_by, made_from (input -> fingerprint), parameters, settings (name -> values), votes
(input -> `VotesRead.how`, of those inputs that are votes of a label log)."""

SETTINGS = (
    *("figures", "annotators", "generator", "encoder", "judge"),
    *("base_model", "benchmark", "second_judge"),
)
"""The parameters that say what was measured. They pass from an input to what is made from it."""

_OLDER = "older than "
UNKNOWN = "not known what it was measured on; run its notebook again"


class NotReadable(RuntimeError):
    """What an input is now cannot be told from here; the message says why."""


@dataclass(frozen=True)
class VotesRead:
    """The votes of a label log that something was made from: an input that is no table.

    Attributes:
        on: what was voted on, "drafts" or "pairs".
        fingerprint: of those that were read.
        annotators: whose count, "clinic" or "people".
        label_log: URL of the log, without its password; None is the run's own.
        items: ids of what could be voted on; None: the instructions of the table `on`.
    """

    on: str
    fingerprint: str
    annotators: str
    label_log: str | None = None
    items: tuple[str, ...] | None = None

    @property
    def name(self) -> str:
        """What the input is called, such as "votes on drafts"."""
        return f"votes on {self.on}"

    @property
    def how(self) -> dict[str, Any]:
        """How to read them again, as JSON values."""
        kept = asdict(self)
        del kept["fingerprint"]
        return kept


def settings_of(parameters: Mapping[str, Any], inputs: Iterable[Origin]) -> dict[str, list[str]]:
    """The settings behind an artefact: its own `parameters`, else all that its `inputs` had."""
    found: dict[str, dict[str, None]] = {}
    for origin in inputs:
        for name, values in origin.get("settings", {}).items():
            found.setdefault(name, {}).update(dict.fromkeys(values))
    own = {name: {str(parameters[name]): None} for name in SETTINGS if parameters.get(name)}
    return {name: list(values) for name, values in {**found, **own}.items()}


def in_words(settings: Mapping[str, Iterable[str]]) -> str:
    """Settings as text, such as "figures clinic, judge clinic"; a path is cut to its end."""
    return ", ".join(
        f"{name.replace('_', ' ')} {' and '.join(map(_end_of_path, settings[name]))}"
        for name in SETTINGS
        if name in settings
    )


def contradicts(old: Origin, new: Origin) -> bool:
    """Whether an input, a parameter or a setting that both name is another one in `new`."""
    return any(
        value != old.get(part, {}).get(name, value)
        for part in ("made_from", "parameters", "settings")
        for name, value in new[part].items()
    )


class Standing:
    """Says which artefacts are older than their inputs, or were made from such.

    Args:
        fingerprint: of an artefact now, by its name and, of votes, how to read them; None where it
            is gone. May raise `NotReadable`.
        origin: of an artefact; empty where none was kept.
    """

    def __init__(
        self,
        fingerprint: Callable[[str, Mapping[str, Any] | None], str | None],
        origin: Callable[[str], Origin],
    ) -> None:
        self._fingerprint, self._origin = fingerprint, origin
        self._prints: dict[str, tuple[str | None, str]] = {}
        self._found: dict[str, list[tuple[str, str]]] = {}

    def stale(self, origin: Origin) -> str | None:
        """Why what has this origin is out of date, and the notebook to run; None where it is not.

        Of several reasons those that the first notebook to run does away with; where that is the
        artefact's own notebook, the artefact's own reason.
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
        """(notebook to run, reason) of artefact `name` ("" is the one asked for) and its inputs."""
        made_from, votes = origin.get("made_from", {}), origin.get("votes", {})
        made = [source for source in made_from if source not in votes]
        found = [one for source in made for one in self._of_input(source)]
        changed = [self._changed(*one, votes.get(one[0])) for one in made_from.items()]
        if changed := list(filter(None, changed)):
            why = f"{_OLDER}{', '.join(changed)}"
            notebook = origin.get("written_by") or "its notebook"
            found.append((notebook, f"{name} is {why}" if name else why))
        return found

    def _of_input(self, source: str) -> list[tuple[str, str]]:
        if source not in self._found:
            self._found[source] = []  # a circle ends here
            self._found[source] = self._of(self._origin(source), source)
        return self._found[source]

    def _changed(self, source: str, kept: str, how: Mapping[str, Any] | None) -> str | None:
        key = source if how is None else json.dumps(how, sort_keys=True)
        if key not in self._prints:
            self._prints[key] = self._print_of(source, how)
        now, told = self._prints[key]
        return None if now == kept else f"{source}{told}"

    def _print_of(self, source: str, how: Mapping[str, Any] | None) -> tuple[str | None, str]:
        """The fingerprint now, and what is said of an input that has none."""
        try:
            now = self._fingerprint(source, how)
        except NotReadable as error:
            return None, f", or not: {error}"
        return now, "" if now else ", which is gone"


def _end_of_path(value: str) -> str:
    return "/".join(PurePath(value).parts[-2:]) if "/" in value else value

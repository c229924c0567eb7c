"""What tables, models and metrics were made from, and whether that still lies in the run.

An **origin** holds the fingerprints of the inputs, the parameters, and the settings that say what
was measured: an artefact's own and those of its inputs. Opens no files.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import PurePath
from typing import Any

Origin = Mapping[str, Any]
"""Keys written_by, made_from (input -> fingerprint), parameters, settings (name -> values)."""

SETTINGS = (
    *("figures", "annotators", "generator", "encoder", "judge"),
    *("base_model", "benchmark", "second_judge"),
)
"""The parameters that say what was measured. They pass from an input to what is made from it."""

UNKNOWN = "not known what it was measured on; run its notebook again"


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
        fingerprint: of an artefact now; None where it is gone.
        origin: of an artefact; empty where none was kept.
    """

    def __init__(
        self, fingerprint: Callable[[str], str | None], origin: Callable[[str], Origin]
    ) -> None:
        self._fingerprint, self._origin = fingerprint, origin
        self._prints: dict[str, str | None] = {}
        self._found: dict[str, tuple[list[str], set[str]]] = {}

    def stale(self, origin: Origin) -> str | None:
        """Why what has this origin is out of date, and the notebook to run; None where it is not.

        Inputs that are out of date themselves come first: their notebook is the one to run.
        """
        reasons, notebooks = self._of(origin, "")
        if not reasons:
            return None
        first = min(notebooks)
        then = "" if first == origin.get("written_by") else " and what follows"
        return f"{'; '.join(reasons)}: run {first}{then}"

    def _of(self, origin: Origin, name: str) -> tuple[list[str], set[str]]:
        """Reasons, upper ones first, and the notebooks to run, for artefact `name` ("": itself)."""
        reasons: list[str] = []
        notebooks: set[str] = set()
        for source in origin.get("made_from", {}):
            above, books = self._of_input(source)
            reasons += [reason for reason in above if reason not in reasons]
            notebooks |= books
        own = [self._changed(source, kept) for source, kept in origin.get("made_from", {}).items()]
        if changed := list(filter(None, own)):
            reasons.append(f"{name} is older than {', '.join(changed)}".removeprefix(" is "))
        if reasons:
            notebooks.add(origin.get("written_by") or "its notebook")
        return reasons, notebooks

    def _of_input(self, source: str) -> tuple[list[str], set[str]]:
        if source not in self._found:
            self._found[source] = [], set()  # a circle ends here
            self._found[source] = self._of(self._origin(source), source)
        return self._found[source]

    def _changed(self, source: str, kept: str) -> str | None:
        if source not in self._prints:
            self._prints[source] = self._fingerprint(source)
        now = self._prints[source]
        return None if now == kept else source if now else f"{source}, which is gone"


def _end_of_path(value: str) -> str:
    return "/".join(PurePath(value).parts[-2:]) if "/" in value else value

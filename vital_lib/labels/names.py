"""Whose name is whose: annotators' names as people type them and as Label Studio keeps them.

Label Studio writes e-mail addresses in small letters and names its users by number, or by a record
of number and address. This module compares names and opens nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any, NamedTuple


def folded(name: str) -> str:
    """A name without what people type one way today and another tomorrow: case and blanks."""
    return " ".join(name.split()).casefold()


def alike(name: str, known: Iterable[str]) -> list[str]:
    """Names of `known` that differ from `name` by case or blanks alone; none where it is known."""
    known = set(known)
    return [] if name in known else sorted(one for one in known if folded(one) == folded(name))


def check_names(names: Collection[str], known: Iterable[str]) -> None:
    """Ask, before anything is judged, about names that differ from others by case or blanks alone.

    Args:
        names: the annotators who are about to judge.
        known: those who have judged.

    Raises:
        ValueError: names each of which may be a person who is known, or another of `names`.
    """
    known = set(known)
    asked = [(name, alike(name, {*known, *list(names)[:n]})) for n, name in enumerate(names)]
    if unclear := [f"{name!r} is not {others[0]!r}" for name, others in asked if others]:
        raise ValueError(
            f"the same person, or another? {', '.join(unclear)}: write a name as it stands in the "
            "log, or give another person a name that differs by more than case or blanks"
        )


class Unclear(NamedTuple):
    """A name of Label Studio that may be another's but for case or blanks."""

    name: str
    key: int | str  # of `people`, by which to say whose it is
    known: list[str]  # how the log and `people` spell it
    here: list[str]  # how else the file does, where they do not have it


class LabelStudioUsers:
    """Who the users are that a file of Label Studio names.

    Args:
        people: user's number or name -> annotator, as the importer was given it; a name as the
            file writes it goes before one of other case. A name given as its own
            (`{"ann ": "ann "}`) is that of another person than "Ann".
        known: the annotators of the log, and of the events in the file.
        users: every user as the file gives her: a number, an address, or a record of both.
    """

    def __init__(
        self, people: Mapping[int | str, str], known: Iterable[str], users: Iterable[Any]
    ) -> None:
        self._written = {user: name for user, name in people.items() if isinstance(user, str)}
        given: dict[Any, set[str]] = {}
        for user, name in people.items():
            if user != name or "@" in name:  # "ann" said to be "ann" says nothing of "Ann"
                given.setdefault(_key(user), set()).add(name)
        self._people = {key: next(iter(names)) for key, names in given.items() if len(names) == 1}
        self._judged = set(known)
        self._known = self._judged | {name for user, name in people.items() if user == name}
        self._addresses: dict[Any, str] = {}
        for user in users:
            number, address = _number(user), _address(user)
            if number is not None and address:
                self._addresses[number] = address

    def name(self, user: Any) -> str | None:
        """The annotator who is that user, as the log spells her; None where no one says."""
        found = self._named(user)
        if found is None or found in self._known:
            return found
        same = self._same(found)
        if not same:
            self._known.add(found)  # the first way in which a file writes an address
        return same[0] if same else found

    def same(self, one: Any, other: Any) -> bool:
        """Whether two fields mean one user: by number, by address, or by who she is."""
        pairs = [(part(one), part(other)) for part in (_number, self._address_of, self.name)]
        return any(first is not None and first == second for first, second in pairs)

    def unclear(self, users: Iterable[Any]) -> list[Unclear]:
        """Names that may be those of the log's annotators, or of others whom the file names."""
        keys: dict[str, int | str] = {}  # name: by what `people` says whose it is
        for user in users:
            if (name := self._named(user)) is not None:
                number = _number(user)
                keys.setdefault(name, name if number is None else number)
        asked, found = [name for name in sorted(keys) if name not in self._known], []
        for n, name in enumerate(asked):
            same = len(self._same(name))
            if same == 1:
                continue
            # What `people` alone names is said to be of other persons than all that is alike.
            others = alike(name, self._known) if same or alike(name, self._judged) else []
            here = [] if others or "@" in name else alike(name, asked[:n])
            if others or here:
                found.append(Unclear(name, keys[name], others, here))
        return found

    def _named(self, user: Any) -> str | None:
        number, written = _number(user), self._address_of(user, as_written=True)
        found = self._people.get(number) or self._written.get(written)
        return found or self._people.get(_key(written)) or written

    def _same(self, name: str) -> list[str]:
        """How the log spells an e-mail address, whose case and outer blanks mean nothing."""
        return [one for one in self._known if "@" in name and folded(one) == folded(name)]

    def _address_of(self, user: Any, as_written: bool = False) -> str | None:
        address = _address(user) or self._addresses.get(_number(user))
        return address if as_written or address is None else _key(address)


def _record(user: Any) -> Any:
    return user[0] if isinstance(user, list) and len(user) == 1 else user


def _number(user: Any) -> int | None:
    user = _record(user)
    if isinstance(user, Mapping):
        user = next((user[name] for name in ("id", "user_id", "pk") if user.get(name)), None)
    key = _key(user)
    return key if isinstance(key, int) else None


def _address(user: Any) -> str | None:
    user = _record(user)
    if isinstance(user, Mapping):
        user = user.get("email") or user.get("username")
    return user if isinstance(user, str) and isinstance(_key(user), str) and user.strip() else None


def _key(user: Any) -> Any:
    """A user's number as a number, whatever wrote it, and an address in small letters."""
    if isinstance(user, bool) or user is None:
        return None
    if isinstance(user, str):
        return int(user) if user.strip().isdecimal() else user.strip().lower()
    return user

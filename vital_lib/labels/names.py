"""Whose name is whose: annotators' names as people type them and as Label Studio keeps them.

Label Studio writes e-mail addresses in small letters and names its users by number, or by a record
of number and address. This module compares names and opens nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any


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


class LabelStudioUsers:
    """Who the users are that a file of Label Studio names.

    Args:
        people: user's number or e-mail address -> annotator, as the importer was given it. A name
            given as its own (`{"ann ": "ann "}`) is that of another person than "Ann".
        known: the annotators of the log, and of the events in the file.
        users: every user as the file gives her: a number, an address, or a record of both.
    """

    def __init__(
        self, people: Mapping[int | str, str], known: Iterable[str], users: Iterable[Any]
    ) -> None:
        self._people = {_key(user): name for user, name in people.items()}
        self._known = set(known) | {name for user, name in people.items() if user == name}
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

    def unclear(self, users: Iterable[Any]) -> dict[str, list[str]]:
        """Names that may be those of known annotators: name -> what the log has."""
        names = {name for user in users if (name := self._named(user)) is not None}
        found = {name: alike(name, self._known) for name in sorted(names)}
        certain = {name for name in found if len(self._same(name)) == 1}
        return {name: others for name, others in found.items() if others and name not in certain}

    def _named(self, user: Any) -> str | None:
        keys = [key for key in (_number(user), self._address_of(user)) if key is not None]
        return next((self._people[key] for key in keys if key in self._people), None) or (
            self._address_of(user, as_written=True)
        )

    def _same(self, name: str) -> list[str]:
        """How the log spells an e-mail address, whose case means nothing."""
        return [one for one in self._known if "@" in name and one.lower() == name.lower()]

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

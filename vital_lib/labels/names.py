"""Annotators' names: spellings that differ by case or blanks, and Label Studio's users.

Label Studio writes e-mail addresses in lower case and gives a user as a number, or as a record of
number and address. This module only compares names; it opens no file and no log.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any, NamedTuple


def folded(name: str) -> str:
    """Return `name` for comparison: case-folded, with single blanks."""
    return " ".join(name.split()).casefold()


def alike(name: str, known: Iterable[str]) -> list[str]:
    """Return the names in `known` that differ from `name` only by case or blanks.

    Return none if `name` itself is in `known`.
    """
    known = set(known)
    return [] if name in known else sorted(k for k in known if folded(k) == folded(name))


def check_names(names: Collection[str], known: Iterable[str]) -> None:
    """Refuse names that differ from other names only by case or blanks.

    Args:
        names: annotators who are about to judge.
        known: annotators who have judged.

    Raises:
        ValueError: a name may be another spelling of a known name or of another name in `names`.
    """
    known = set(known)
    found = [(name, alike(name, {*known, *list(names)[:n]})) for n, name in enumerate(names)]
    if unclear := [f"{name!r} and {others[0]!r}" for name, others in found if others]:
        raise ValueError(
            f"annotators {', '.join(unclear)} differ only by case or blanks: use the spelling in "
            "the log, or give another person a name that differs more"
        )


class Unclear(NamedTuple):
    """A name in Label Studio that differs from other names only by case or blanks."""

    name: str
    key: int | str  # key of `people` that maps the user to an annotator
    others: list[str]  # the other spellings
    where: str  # "log" (which includes `people`), or "file, too"


class LabelStudioUsers:
    """The users in a Label Studio file, mapped to annotators.

    Args:
        people: user number or name -> annotator, as given to the importer. The file's spelling of
            a name takes precedence over one in another case. A name mapped to itself
            (`{"ann ": "ann "}`) is another person than "Ann".
        known: the annotators in the log and in the events of the file.
        users: the users as the file gives them: a number, an address, or a record of both.
    """

    def __init__(
        self, people: Mapping[int | str, str], known: Iterable[str], users: Iterable[Any]
    ) -> None:
        self._written = {user: name for user, name in people.items() if isinstance(user, str)}
        given: dict[Any, set[str]] = {}
        for user, name in people.items():
            if user != name or "@" in name:  # mapping "ann" to "ann" does not map "Ann"
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
        """Return the annotator of a user, in the log's spelling; None if unknown."""
        found = self._named(user)
        if found is None or found in self._known:
            return found
        same = self._same(found)
        if not same:
            self._known.add(found)  # keep the file's first spelling of an address
        return same[0] if same else found

    def same(self, one: Any, other: Any) -> bool:
        """Whether two fields give the same user: by number, by address, or by annotator."""
        pairs = [(part(one), part(other)) for part in (_number, self._address_of, self.name)]
        return any(first is not None and first == second for first, second in pairs)

    def unclear(self, users: Iterable[Any]) -> list[Unclear]:
        """Return names that may be other spellings of an annotator or of another user."""
        keys: dict[str, int | str] = {}  # name -> key of `people`
        for user in users:
            if (name := self._named(user)) is not None:
                number = _number(user)
                keys.setdefault(name, name if number is None else number)
        unknown, found = [name for name in sorted(keys) if name not in self._known], []
        for n, name in enumerate(unknown):
            same = len(self._same(name))
            if same == 1:
                continue
            # A name that only `people` has is declared to be another person than all similar names.
            where, others = "log", []
            if same or alike(name, self._judged):
                others = alike(name, self._known)
            if not others and "@" not in name:
                where, others = "file, too", alike(name, unknown[:n])
            if others:
                found.append(Unclear(name, keys[name], others, where))
        return found

    def _named(self, user: Any) -> str | None:
        number, written = _number(user), self._address_of(user, as_written=True)
        found = self._people.get(number) or self._written.get(written)
        return found or self._people.get(_key(written)) or written

    def _same(self, name: str) -> list[str]:
        """Return the log's spellings of an e-mail address; case and outer blanks are ignored."""
        return [known for known in self._known if "@" in name and folded(known) == folded(name)]

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
    """Return a user's number as int, or an address in lower case."""
    if isinstance(user, bool) or user is None:
        return None
    if isinstance(user, str):
        return int(user) if user.strip().isdecimal() else user.strip().lower()
    return user

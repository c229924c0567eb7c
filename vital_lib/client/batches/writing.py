"""Write the input file of a batch, within the endpoint's limits, and record its requests.

Memory holds a few requests at a time, whatever the number of requests.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator
from typing import TYPE_CHECKING, Any, BinaryIO

from vital_lib.client import wire
from vital_lib.client.batches import files
from vital_lib.client.entries import Request
from vital_lib.figures import UnreadableImage
from vital_lib.prompts import Prompt

if TYPE_CHECKING:
    from vital_lib.client import ChatClient

_CHUNK = 200  # requests that are recorded in one transaction
_AHEAD = 8  # requests whose images are encoded ahead of their lines
_Item = tuple[Request, Prompt, float]  # with the estimated cost


def write_file(
    name: str,
    file: BinaryIO,
    waiting: Iterable[_Item],
    client: ChatClient,
    *,
    most_lines: int,
    without: Collection[str],
    ended: Callable[[], bool],
) -> tuple[list[str], dict[str, str]]:
    """Write the first of `waiting`, as many as fit, and record them under `name`.

    Images reach the limit of bytes long before that of lines: 2,000 images of 100 kB do.

    Args:
        most_lines: the limit of lines.
        without: fields to omit.
        ended: whether to stop writing.

    Returns:
        the keys written, and by key why a request cannot be sent; both in order.
    """
    written: list[str] = []
    unreadable: dict[str, str] = {}
    recorded, size = [], 0
    for request, prompt, usd in _encoding_ahead(waiting, client):
        if len(written) == most_lines or ended():
            break
        try:
            body = wire.make_body(request, prompt, client.images, without=without)
        except UnreadableImage as error:
            unreadable[request.key] = f"not sent: {error}"
            continue
        line = files.line_of(request.key, body)
        if len(line) > files.MOST_BYTES:
            why = f"not sent: {len(line):,} bytes; a batch takes {files.MOST_BYTES:,} at most"
            unreadable[request.key] = why
            continue
        if size + len(line) > files.MOST_BYTES:
            break
        size += file.write(line)
        written.append(request.key)
        recorded.append((request, wire.receipts_of(body), usd))
        if len(recorded) == _CHUNK:
            client.pending.add(name, recorded)
            recorded = []
    client.pending.add(name, recorded)
    return written, unreadable


def _encoding_ahead(waiting: Iterable[_Item], client: ChatClient) -> Iterator[_Item]:
    """Yield what waits, while the images of the next ones are encoded in other threads."""
    ready: deque[tuple[_Item, list[Any]]] = deque()
    for asked in waiting:
        held = [client.images.encoded(figure) for figure in wire.figures_of(asked[1])]
        ready.append((asked, held))
        if len(ready) > _AHEAD:
            yield ready.popleft()[0]
    while ready:
        yield ready.popleft()[0]

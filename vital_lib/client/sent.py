"""Which images were sent with requests, by the receipts in the ledger.

It reads what the bodies of the requests held, and compares it with what they should have held. It
does not depend on prompts, or on what a request asks.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

import pandas as pd

from vital_lib.figures import UnreadableImage, open_image
from vital_lib.receipts import ImageNotSeen, Receipt

if TYPE_CHECKING:
    from vital_lib.client import ChatClient

OWN, OTHER, NO_IMAGE, NOT_COMPARED, UNKNOWN = (
    "own image", "another image", "no image", "image not compared", "no receipt"
)  # fmt: skip
"""What a request carried; one that was not sent, or by an earlier release, has no receipt."""


def sent_images(
    client: ChatClient, reply_ids: Sequence[str], images: Sequence[str], *, compared: int = 200
) -> pd.DataFrame:
    """Return the receipt of each request, and whether it carried the image that it should have.

    Args:
        client: the client that sent the requests, with its ledger.
        reply_ids: the requests, as in the column `reply_id` of ratings, chat_scores and verdicts.
        images: the path of each request's image. In a prompt with demonstrations it is the last.
        compared: encode so many images anew, spread evenly, to compare them with what was sent.

    Returns:
        reply_id, image_sha256 (of the file in the request), image_width, image_height,
        image_tokens (null if the endpoint does not report them), carried (own image, another image,
        no image, image not compared, or no receipt), in the order of `reply_ids`.
    """
    distinct = sorted(set(images))
    some = set(distinct[:: max(1, -(-len(distinct) // compared))])
    wanted = {image: _expected(client, image) for image in some}
    history = client.ledger.history(["reply_id", "receipts"]).dropna()
    known = dict(history.itertuples(index=False))
    rows = []
    for reply_id, image in zip(reply_ids, images, strict=True):
        kept = json.loads(known.get(reply_id, "[]"))
        receipt = Receipt(*kept[-1]) if kept else Receipt()
        carried = _carried(receipt, wanted.get(image)) if kept else UNKNOWN
        rows.append((reply_id, *receipt, carried))
    columns = ["reply_id", *(f"image_{name.removeprefix('image_')}" for name in Receipt._fields)]
    whole = dict.fromkeys(["image_width", "image_height", "image_tokens"], "Int64")
    return pd.DataFrame(rows, columns=[*columns, "carried"]).astype(whole)


def check_images(sent: pd.DataFrame) -> str:
    """Return a sentence on the images that requests carried.

    Args:
        sent: from `sent_images`.

    Raises:
        ImageNotSeen: requests carried no image or another one; the message counts them.
    """
    if sent.empty:
        return "no requests"
    counts = sent["carried"].value_counts()
    told = ", ".join(f"{carried}: {n:,}" for carried, n in counts.items())
    wrong = sent[sent["carried"].isin([OTHER, NO_IMAGE])]
    if len(wrong):
        raise ImageNotSeen(
            f"{len(wrong)} of {len(sent)} requests did not carry their own image ({told}), first "
            f"{wrong['reply_id'].iloc[0]!r}: their replies say nothing about it"
        )
    tokens = sent["image_tokens"].dropna()
    counted = f"{int(tokens.median()):,} image tokens (median)" if len(tokens) else "not reported"
    return f"of {len(sent):,} requests, {told}; image tokens: {counted}"


def _expected(client: ChatClient, image: str) -> str | None:
    try:
        return client.images.expected(open_image(image).pixels())
    except UnreadableImage:
        return None


def _carried(receipt: Receipt, wanted: str | None) -> str:
    if receipt.sha256 is None:
        return NO_IMAGE
    if wanted is None:
        return NOT_COMPARED
    return OWN if receipt.sha256 == wanted else OTHER

"""Parts of a reply that are not its answer: thoughts, answer marks, the ends of turns.

Reasoning models mark their thoughts, and some mark their answers; each model family has its own
marks. Servers remove some of these marks, or only the opening one. This module does not depend on
schemas. Every function takes time linear in the text's length.
"""

from __future__ import annotations

import re
from collections import Counter


class UnreadableReply(ValueError):
    """A reply that does not fit its prompt's schema; the message says where and why."""


# Other families' spellings of <think> and </think>.
_OPENED = re.compile(
    r"(?-i:\[THINK(?:ING)?\])|◁think(?:ing)?▷|<unused94>(?:thought\b)?|<\|inner_prefix\|>|"
    r"<\|?channel>\s?(?:thought|analysis)\b",
    re.I,
)
_FOLDED = re.compile(r"<details\s[^<>]{0,80}\b(?:reasoning|thinking)\b[^<>]{0,80}>", re.I)
_SHUT = re.compile(
    r"(?-i:\[/THINK(?:ING)?\])|◁/think(?:ing)?▷|<unused95>|<\|inner_suffix\|>|<channel\|>", re.I
)
_THOUGHT = re.compile(
    r"(?:<|&lt;|＜)\|?\s?(?P<shut>/\|?\s?|end_(?:of_)?)?(?:(?:begin|start)_(?:of_)?)?"
    r"(?:[^\W_]{1,20}[:_])?(?P<name>think(?:ing)?|thoughts?(?:_process)?|reason(?:ing)?|"
    r"reflect(?:ion)?|scratch_?pad|analysis|chain_of_thought|(?:inner_)?monologue|deliberation)"
    r"(?P<ended>_end)?(?:\s+[\w-]{1,20}=[^<>]{0,200})?\s?\|?(?:>|&gt;|＞)",
    re.I,
)
# OpenAI's open models: <|channel|>analysis<|message|>...<|end|>...<|channel|>final<|message|>...
_CHANNEL = re.compile(
    r"<\|channel\|>\s*(\w+)[^<]{0,80}(?:<\|constrain\|>[^<]{0,40})?(?:<\|message\|>)?"
)
_BARE_FINAL = re.compile(r"assistantfinal(?:json)?")  # the same without its marks
_BARE_THOUGHT = re.compile(r"(?:assistant)?(?:analysis|commentary)(?=[A-Z\"'])")
_TURN_BEGUN = re.compile(
    r"\s*(?:<\|(?:start|im_start|assistant|begin_of_text|start_header_id)\|>|<start_of_turn>|<s>)"
    r"\s*(?:assistant|model)?\s*(?:<\|(?:end_header_id|message)\|>)?",
    re.I,
)
_TURN_ENDED = re.compile(
    r"<\|(?:im_end|eot_id|eom_id|end_of_text|endoftext|end|return|call|eos|end_of_turn(?:_token)?)\|>|"
    r"</s>|<(?:eos|end_of_turn|turn\|)>|<｜end▁of▁sentence｜>",
    re.I,
)
_HEADED = re.compile(
    r"\W{0,6}(?:(?:my |internal |here is my )?(?:thinking|thoughts?)(?: process| steps)?)"
    r"[^\w\n]{0,6}(?:\n|$)",
    re.I,
)
_FINAL_HEAD = re.compile(
    r"^[^\w\n]{0,6}(?:(?:my )?final (?:response|answer|output|verdict|rating|scores?|judge?ment)|"
    r"here is my (?:final )?(?:response|answer)|response|answer|output|conclusion)[^\w\n]{0,6}$",
    re.I | re.M,
)
_ANSWER = re.compile(
    r"<(?P<shut>/?)(?:final_?|your_?)?(?:answer|final|output|result|solution|conclusion|response)>|"
    r"<\|(?:(?P<ended>end_)|begin_|start_)(?:of_)?(?:box|solution|response|answer)\|>|"
    r"\[(?P<closed>/?)(?:final )?answer\]",
    re.I,
)
_BOXED = re.compile(
    r"\$?\\(?:boxed|fbox)\s?\{(?P<inside>(?:[^{}]++|\{(?:[^{}]++|\{[^{}]*+\})*+\})*+)\}\$?"
)
_STYLED = re.compile(r"\\(?:text|mathrm|textbf|mathbf)\s?\{([^{}]*)\}")
_BREAKS_OFF = "the reply breaks off while the model is thinking"


_SIGNS = ("<", "◁", "＜", "&lt;", "\\boxed", "\\fbox", "assistantfinal")
_BRACKETED = re.compile(r"\[/?(?:think|final|answer)", re.I)


def has_marks(text: str) -> bool:
    """Return whether a text may hold marks of thoughts or answers."""
    return any(sign in text for sign in _SIGNS) or bool(_BRACKETED.search(text))


def cleaned(text: str) -> str:
    """Remove byte order marks and surrounding whitespace; a lone surrogate becomes "?"."""
    return text.encode(errors="replace").decode().replace("\ufeff", "").strip(" \n\r\t\f\v\u200b")


def without_thoughts(body: str) -> str:
    """Return the text of the model's turn outside its thoughts.

    Everything before a closing mark without an opening mark is a thought.

    Raises:
        UnreadableReply: the text ends inside a thought.
    """
    if not has_marks(body) and not _BARE_THOUGHT.match(body):
        return body
    body = _last_channel(body)
    body = _SHUT.sub("</think>", _OPENED.sub("<think>", body))
    if _FOLDED.search(body):
        body = _FOLDED.sub("<think>", body).replace("</details>", "</think>")
    begun = _TURN_BEGUN.match(body)
    body = _outside(body[begun.end() :] if begun else body)
    return _TURN_ENDED.split(body, maxsplit=1)[0].strip()


def after_headings(body: str) -> str:
    """Return the text under the last answer heading if `body` begins with a thought heading."""
    heads = list(_FINAL_HEAD.finditer(body)) if _HEADED.match(body) else []
    return body[heads[-1].end() :].strip() if heads else body


def answers_in(body: str) -> tuple[list[str], str]:
    """Return the texts inside answer marks (<answer>, a box) and the text outside them."""
    answers, outside, depth, place = [], [], 0, 0
    for mark in _ANSWER.finditer(body):
        shuts = bool(mark["shut"] or mark["ended"] or mark["closed"])
        if depth > 1 or (depth == 1 and not shuts):
            depth += -1 if shuts else 1  # nested inside an answer
            continue
        # A closing mark without an opening mark also ends an answer.
        (answers if shuts else outside).append(body[place : mark.start()])
        depth, place = int(not shuts), mark.end()
    (answers if depth else outside).append(body[place:])
    rest = "\n".join(outside)
    boxes = [found["inside"] for found in _BOXED.finditer(rest)]
    answers = [_BOXED.sub(r"\g<inside>", _ANSWER.sub("", text)) for text in answers]
    found = [_STYLED.sub(r"\1", text).strip() for text in (*answers, *boxes)]
    return [text for text in found if text], _BOXED.sub("\n", rest).strip()


def _last_channel(body: str) -> str:
    """Return the last final channel of a model that thinks and answers in channels."""
    channels = list(_CHANNEL.finditer(body))
    if channels:
        final = [channel for channel in channels if channel[1].lower() == "final"]
        if not final:
            raise UnreadableReply(_BREAKS_OFF)
        return body[final[-1].end() :]
    bare = list(_BARE_FINAL.finditer(body))
    if not bare and _BARE_THOUGHT.match(body):
        raise UnreadableReply(_BREAKS_OFF)
    return body[bare[-1].end() :] if bare else body


def _outside(body: str) -> str:
    marks = [
        (bool(mark["shut"] or mark["ended"]), mark["name"][:2].lower(), mark)
        for mark in _THOUGHT.finditer(body)
    ]
    if not marks:
        return body
    to_come = Counter(name for shuts, name, _ in marks if shuts)
    kept: list[str] = []
    inside, place = "", 0
    for shuts, name, mark in marks:
        to_come[name] -= shuts
        if not inside:
            kept.append(body[place : mark.start()])
            if shuts:
                kept.clear()
            inside, place = "" if shuts else name, mark.end()
        elif shuts and (name == inside or to_come[inside] <= 0):
            inside, place = "", mark.end()
    if inside:
        raise UnreadableReply(_BREAKS_OFF)
    return "\n".join([*kept, body[place:]])

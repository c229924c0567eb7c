"""Check whether the text around a JSON object contradicts or retracts it.

An explanation may mention numbers and answers. What counts is a claimed rating or winner, a
sentence that begins by retracting, an example, or a refusal. A doubtful reply counts as unread: an
unread reply costs less than a misread one.
"""

from __future__ import annotations

import re

from pydantic import BaseModel

from vital_lib.prompts._turns import begins_a_turn
from vital_lib.prompts._words import CRITERIA, is_template, winner_in
from vital_lib.prompts.schemas import ChatScores, Rating, Verdict

_CANNOT = (
    r"(?:can(?:no|['’]?)t|can not|am (?:unable|not able)|['’]m (?:unable|not able)|"
    r"(?:do not|don['’]t) have (?:the ability|access|any way)|won['’]t|will not|(?:must )?decline)"
)
_DO = (
    r"(?:directly |actually |really |currently )?(?:see|view|access|open|display|load|analy[sz]e|"
    r"interpret|process|examine|inspect|assist|help|provide|offer|give|comply|fulfill?|answer|"
    r"evaluate|assess|rate|judge|score|compare|diagnose|make|comment|identify|determine|continue|"
    r"perform|engage|discuss|do (?:that|this))"
)
_REFUSAL = re.compile(
    r"\W*(?:unfortunately,? |however,? |but )?(?:"
    r"(?:i['’]?m|i am|we['’]?re|we are)? ?(?:very |so |really |truly )?sorry\b(?! state)|"
    r"(?:i |my )?(?:sincere(?:ly)? )?apolog(?:i[sz]e|ies)\b|"
    r"(?:as an? [^.,\n]{1,60}, ?)?(?:i|we)(?: simply| just)? ?"
    rf"{_CANNOT}(?: to)? {_DO}\b|"
    r"as an? (?:ai\b|artificial intelligence|(?:large )?language model)|"
    r"(?:there (?:is|was) )?no image (?:is |was |has been )?(?:provided|attached|included|visible)|"
    r"(?:the|this) image (?:is|was|has)(?: not|n['’]t) (?:been )?"
    r"(?:provided|attached|visible|loaded|available|displayed|included|shared)|"
    r"(?:please|kindly) (?:provide|upload|share|attach|send) )",
    re.I,
)
_SENTENCE = re.compile(r"(?<=[.!?])\s+|\n+")
_EXAMPLE = re.compile(
    r"\b(?:(?:for|an?) (?:example|instance)|e\.?g|looks? like|would be|such as|not)\b[^.!?]{0,80}$",
    re.I,
)
_BACK = re.compile(
    r"\W*(?:(?:but|however|hmm*|oh|no)\b[, ]*)?(?:wait|hold on|actually,|correction|"
    r"scratch (?:that|this)|on (?:reflection|second thoughts?)|i (?:must |have to |should |would )?"
    r"(?:correct|reconsider|revise|change)\b|let me (?:correct|reconsider|revise|change|redo)|"
    r"i (?:was|am) (?:wrong|mistaken)|i made a mistake|my mistake|oops|rather,|"
    r"(?:but|however),? (?:answer|the (?:first|second|other)|i)\b|"
    r"(?:the (?:above|json|object|rating|verdict)|this|that|it) (?:above )?(?:is|was) (?:wrong|not|"
    r"only|just|merely|an? (?:example|template|placeholder|mistake))|ignore (?:this|that|the))",
    re.I,
)
_BACK_IN_WORDS = re.compile(
    r"\W*(?:no,|(?:no, |hmm*,? |oh,? )?(?:wait\b|hold on|actually,|correction\b"
    r"|scratch (?:that|this)|on (?:reflection|second thoughts?)\b"
    r"|i (?:was|am) (?:wrong|mistaken)|my mistake|oops))",
    re.I,
)
_ANYWHERE = re.compile(
    r"\b(?:second thoughts?|on reflection|reconsider\w*|scratch that|my mistake|"
    r"revised (?:rating|score|verdict|answer)|"
    r"chang(?:e|ed|ing) my|not my (?:rating|score|verdict|answer|final)|i meant)\b",
    re.I,
)
_NUMBER = (
    r"(?P<number>[0-9]{1,2}(?:\.[0-9]{1,3})?)"
    r"(?=\s*(?:$|[,;:!?)\]*\n]|\.(?![0-9])|/\s*10|out of|points?\b|"
    r"(?:for me|because|since|as|and|but|overall|instead|rather|at most|now|in total)\b))"
)
_RATED = re.compile(
    r"\b(?:ratings?|scores?|scored|overall|marks?|grades?|rated?|give|gave|giving|deserves?|award|"
    r"assign|it is|it['’]s|make (?:it|that|this)|settle|rather|say|points?)"
    rf"(?:[^\w.!?\n]+(?![0-9])[a-z]+){{0,4}}[^\w.!?\n]+{_NUMBER}",
    re.I,
)
_OF_TEN = re.compile(
    r"(?<![\w.])(?P<number>[0-9]{1,2}(?:\.[0-9]{1,3})?)\s*(?:/|out of)\s*10\b", re.I
)
_WHICH = (
    r"(?:the )?(?P<{}>(?:answer|assistant|response) [12ab]\b|first\b|second\b|a tie\b|tie\b|draw\b)"
)
_NOUN = r"(?: (?:answer|response|one))?"
_WINS = re.compile(
    rf"\b{_WHICH.format('one')}{_NOUN}(?: (?:clearly|slightly|therefore|still|thus|also|overall))? "
    r"(?:wins|is (?:(?:the|clearly|slightly|much|still|overall|a bit) ){0,2}"
    r"(?:better|best|winner|stronger|superior|preferred|preferable)"
    r"(?=\s*(?:$|[.,;:!)]|than\b|overall\b|because\b|since\b|as\b|and\b|here\b|one\b|answer\b)))|"
    r"\b(?:prefer|choose|pick|favou?r|go (?:with|for)|winner is|verdict is|vote for|side with|"
    rf"say|it is|it['’]s|be) {_WHICH.format('other')}",
    re.I,
)


def refuses(text: str) -> bool:
    """Return whether a text begins as a refusal or by saying that no image was provided."""
    return bool(_REFUSAL.match(text))


def refuses_somewhere(text: str) -> bool:
    """Return whether any sentence of a text begins as a refusal."""
    return any(map(_REFUSAL.match, _SENTENCE.split(text)))


def is_example(before: str) -> bool:
    """Return whether the text before a JSON object marks it as an example or negates it."""
    return bool(_EXAMPLE.search(before.strip()[-200:]))


def ends_by_taking_back(body: str) -> bool:
    """Return whether the last line retracts the lines before it and holds no "[[answer]]"."""
    *before, last = body.strip().splitlines() or [""]
    return bool(before and _BACK_IN_WORDS.match(last)) and "[[" not in last


def is_taken_back(value: BaseModel, after: str) -> bool:
    """Return whether the text after a JSON object retracts it or claims a different answer."""
    sentences = [part for part in _SENTENCE.split(after) if part.strip("` \n~")]
    if not sentences:
        return False
    signs = (is_template, _BACK.match, _REFUSAL.match, _ANYWHERE.search)
    if any(sign(sentence) for sign in signs for sentence in sentences):
        return True
    if isinstance(value, Verdict):
        named = [winner_in(found["one"] or found["other"]) for found in _WINS.finditer(after)]
        return any(winner != value.winner for winner in named)
    if isinstance(value, Rating | ChatScores):
        return any(not _is_given(value, sentence) for sentence in sentences)
    return begins_a_turn(after)


def _is_given(value: Rating | ChatScores, sentence: str) -> bool:
    """Return whether `value` holds every number that a sentence claims.

    A criterion's rating counts only if the sentence names the criterion.
    """
    claimed = [*_RATED.finditer(sentence), *_OF_TEN.finditer(sentence)]
    if not claimed:
        return True
    if isinstance(value, Rating):
        own = value.criteria.model_dump()
        lower = sentence.lower()
        given = {value.overall, *(own[field] for field, name in CRITERIA.items() if name in lower)}
    else:
        given = {value.first, value.second}
    return all(float(number["number"]) in given for number in claimed)

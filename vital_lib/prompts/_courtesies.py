"""Closing courtesies of a model, such as "Let me know if you need more!".

Only whole sentences at the end of a text are removed, and never the whole text. Advice to a
patient ("do not hesitate to see a doctor") is not a courtesy.
"""

from __future__ import annotations

import re

_ASK = (
    r"(?:ask|reach out|let me know|let us know|tell me|contact (?:me|us)|request|share|"
    r"provide|upload|modify|adjust|edit|use (?:this|it|them)|expand|customi[sz]e|continue)\b"
)
_ME = r"(?:me|us)\b"
_HELP = (
    r"(?:help|assist|answer|provide|write|generate|create|adjust|revise|continue|clarify|explain|"
    r"elaborate|expand|modify|support|discuss|do (?:so|that|more))\b"
)
_OFFER = (
    rf"(?:(?:please|just|and|so|also|then)[, ]+)*(?:let {_ME} know\b|"
    rf"feel free to {_ASK}|(?:do not|don['’]t|never) hesitate to {_ASK}|"
    rf"(?:i|we)(?:['’](?:m|d|ll|re)| am| are| would| will)(?: be)?(?: always| more than| very)? "
    rf"(?:here|happy|glad|available|able|ready|pleased)(?: to (?:further )?{_HELP}|\W*$)|"
    rf"(?:just )?(?:ask|tell|message) {_ME}|(?:just|simply) ask\b|reach out\b)"
)
_COURTESY = re.compile(
    r"\W*(?:"
    rf"{_OFFER}|"
    r"(?:if you|should you|in case you)(?:['’]d)? (?:have|need|want|would like|like|wish|require|"
    r"prefer|are interested)"
    rf"\b[^.!?]{{0,160}}?, ?{_OFFER}|"
    r"(?:i |we )?(?:really |sincerely )?hope (?:this|that|these|it|the (?:above|conversation|"
    r"dialogue|answers?|questions?|rounds?|information|explanation))\b[^.!?]{0,60}?\b"
    r"(?:helps?|helped|helpful|useful|meets?|clear|clarif\w+|answers?|satisf\w+|suits?|works?|"
    r"assists?|serves?|expectations|what you)\b|"
    r"(?:would|do) you (?:like|want|need|prefer|wish|have)(?: for)? (?:me|us|another|more|"
    r"additional|further|other|to (?:see|know|have|continue|explore|discuss|add|change|go|proceed)|"
    r"any (?:more|other|further|additional|questions?|changes?)|"
    r"a (?:different|longer|shorter|second|follow))\b|"
    r"(?:if (?:you(?:['’]d| would)? (?:like|prefer|want|wish)|needed)),? (?:i|we) "
    r"(?:can|could|will|would)\b|"
    rf"(?:i|we) can (?:also )?{_HELP}[^.!?]{{0,120}}\b(?:if (?:you|needed)|(?:up)?on request)\b|"
    rf"(?:shall|should|can|could|may) (?:i|we) {_HELP}|"
    r"(?:is|was) there (?:anything|something) else\b|anything else (?:i|you|that)\b|"
    rf"(?:always )?(?:happy|glad|here) to {_HELP}|"
    r"(?:this|that) (?:concludes|completes|ends|is the end of) (?:the|our|this) "
    r"(?:conversation|dialogue|exchange|discussion|session)\b|"
    r"(?:end of (?:the )?(?:conversation|dialogue)|enjoy|good luck|thank you(?: for your time)?|"
    r"thanks|you(?:['’]re| are)(?: very| most)? welcome|best regards|"
    r"have a (?:great|good|nice|wonderful) (?:day|one|time))\W*$"
    r")",
    re.I,
)
_SENTENCE_ENDS = re.compile(r"[.!?][*_\"”')\]]?\s+|\n+")
_RULE, _WORD = re.compile(r"[\s*_=—-]*"), re.compile(r"\w")


def without_courtesy(text: str) -> str:
    """Return the text without closing courtesies; a text of courtesies alone is unchanged."""
    end, cut = len(text), None
    for place in reversed([gap.end() for gap in _SENTENCE_ENDS.finditer(text)]):
        last = text[place:end]
        if _COURTESY.match(last) or (cut is not None and _RULE.fullmatch(last)):
            cut = place
        elif cut is not None or _WORD.search(last):
            return text[:cut].rstrip() if cut else text
        end = place
    whole = _COURTESY.match(text[:end]) or not _WORD.search(text[:end])
    return text if whole or not cut else text[:cut].rstrip()


def ends_in_courtesy(text: str) -> bool:
    """Return whether the text ends in a courtesy or consists of one."""
    places = [0, *(gap.end() for gap in _SENTENCE_ENDS.finditer(text.rstrip()))]
    last = next((place for place in reversed(places) if _WORD.search(text, place)), 0)
    return bool(_COURTESY.match(text, last))

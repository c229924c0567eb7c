"""Read whether an answer says yes or no to its question, or neither.

The answer is split into clauses. A clause that only says "yes", "no", "true" or "it is not" is an
answer on its own. Any other clause counts only if it affirms or negates the subject of the
question. Refusals, hedges, echoes of the question or of its choices, file names and notices count
as neither. The rules are for English and use no model; an answer that they do not cover is left
unread.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from vital_lib.english import NEGATORS, OTHER_SIDE, said, stem, words
from vital_lib.evaluation.yes_no import lexicon as lex
from vital_lib.evaluation.yes_no.general import affirms_another, is_generic, without_headings
from vital_lib.evaluation.yes_no.question import Asked, plainly, read_question, telling
from vital_lib.prompts import UnreadableReply, without_thoughts

_GENERAL = {stem(word) for word in lex.GENERAL}


class _Vote(NamedTuple):
    says: str
    covers: int  # number of topic words in the clause


def read_yes_no(question: str, answer: str) -> str | None:
    """Return "yes", "no", or None if the answer commits itself to neither.

    A separate "yes", "no", "true", "correct", "negative" or "it is not" decides; the first counts
    ("No, ..."), but two plain verdicts that contradict each other give None. Without a verdict,
    every clause about the subject of the question votes, with its negations ("free of", "unlikely",
    "no evidence of"): "No fracture; the heart is enlarged" is a yes to "Is the heart enlarged?".
    The clauses that cover most of the subject decide, if they agree. "Normal" is a no to a question
    about a finding.

    These count as neither: a refusal and all that follows it, a hedge ("may be"), an echo of the
    question or of its choices, a statement that is true of any image (a definition, an instruction,
    a history), and a statement about the image file or another subject.
    """
    asked = read_question(question)
    marks: list[tuple[str, bool]] = []
    votes: list[_Vote] = []
    for sentence, ends in _statements(question, without_headings(answer, asked)):
        if ends:
            if marks:
                break  # the next question begins
            continue
        refused = _refusal(sentence, asked)
        kept = sentence if refused is None else sentence[:refused]
        if lex.HELPLESS.search(sentence):
            marks, kept, refused = [], "", 0
        marks += _marks(kept, asked, whole=refused is None)
        votes += _votes(kept, asked, whole=refused is None)
        if refused is not None:
            break
    if marks:
        plain = {says for says, is_plain in marks if is_plain}
        return marks[0][0] if len(plain) < 2 else None
    return _decided(votes, asked)


def _decided(votes: list[_Vote], asked: Asked) -> str | None:
    most = max((vote.covers for vote in votes), default=0)
    found = {vote.says for vote in votes if vote.covers == most}
    if len(found) != 1 or asked.unclear:
        return None
    only = found.pop()
    return lex.OTHER[only] if asked.inverted else only


def _statements(question: str, answer: str) -> Iterator[tuple[str, bool]]:
    """Yield (sentence, is a question) for the answer; an echo of the question is a question."""
    text = lex.ASKED_FOR.sub("possibly ", said(_outside_thoughts(answer)))
    echo = re.findall(r"\w+", said(question))
    if len(echo) > 2:
        again = r"\W+".join(map(re.escape, echo))
        text = re.sub(rf"(?:^|(?<=[.;:!?\n\"'(\[*>]))\s*(?:{again}\b\W*)+", " ? ", text)
    text = re.sub(r"\bno\.\s*\d+", " ", lex.EITHER.sub(" ? ", text))  # a number, as in "case no. 4"
    text = lex.ASIDE.sub(" ", text)
    wanted, topic = lex.ASKS_FOR_IMAGE.search(text), read_question(question).topic
    if wanted and not telling(words(text[: wanted.start()])) & topic:
        return
    for match in lex.SENTENCE.finditer(text):
        sentence = lex.OFFERS.sub("", match[1])
        is_question = "?" in match[2] or bool(lex.QUESTION.match(sentence)) or "or not" in sentence
        yield sentence, is_question or _begins(echo, re.findall(r"\w+", sentence))


def _outside_thoughts(answer: str) -> str:
    try:
        return without_thoughts(answer)
    except UnreadableReply:
        return ""  # cut off inside a thought, before any answer


def _begins(echo: list[str], sentence: list[str]) -> bool:
    """Whether the sentence is the beginning of the question, cut off anywhere."""
    whole, cut = sentence[:-1], (sentence or [""])[-1]
    same = len(sentence) > 1 and whole == echo[: len(whole)] and len(echo) >= len(sentence)
    return same and echo[len(whole)].startswith(cut)


def statements(question: str, answer: str) -> str:
    """Return an answer's statements in lower case: no questions or file names, up to a refusal."""
    asked, kept = read_question(question), []
    for sentence, is_question in _statements(question, answer):
        refused = None if is_question else _refusal(sentence, asked)
        kept.append("" if is_question else sentence[:refused])
        if refused is not None:
            break
    return ". ".join(kept)


def _refusal(sentence: str, asked: Asked) -> int | None:
    """Return the position at which a sentence begins to refuse, or None."""
    refusals = (lex.UNSURE, lex.NO_IMAGE)
    found = [match.start() for pattern in refusals for match in pattern.finditer(sentence)]
    for match in lex.REFUSES.finditer(sentence):
        verb = match[1]
        bare = verb is None and "you" in asked.words and "can" not in match[0]
        if verb not in lex.PERCEIVES and not bare:
            found.append(match.start())
    return min(found, default=None)


# -- clauses that are an answer on their own ----------------------------------------------------
def _marks(sentence: str, asked: Asked, *, whole: bool) -> Iterator[tuple[str, bool]]:
    """Yield (verdict, is plain) for each fragment that answers without naming the topic."""
    fragments = lex.FRAGMENT.split(plainly(sentence))
    elsewhere = affirms_another(sentence, asked)
    for place, fragment in enumerate(fragments, start=1):
        bare = words(lex.EMBEDDED.sub("", fragment))
        if not bare or (set(bare) & lex.HEDGES) - asked.words:
            continue
        plain = [says for says in _plain_words(bare) if says == "no" or not elsewhere]
        yield from ((says, True) for says in plain)
        if not plain and (whole or place < len(fragments)):
            short = _ellipsis(fragment, asked)
            yield from [(short, False)] if short else []


def _plain_words(bare: list[str]) -> Iterator[str]:
    for place, word in enumerate(bare):
        before, after = bare[:place], bare[place + 1 : place + 2]
        framed = set(before) <= lex.FRAME | lex.YES | lex.NO
        if word in lex.YES and before[-1:] != ["not"]:
            yield "yes"
        elif word in lex.NO and framed and (not after or after[0] in lex.AFTER_NO or word != "no"):
            yield "no"
    left = [word for word in bare if word not in lex.FRAME]
    verdict = [lex.VERDICTS.get(word) for word in left if word != "not"]
    of_input = re.search(
        r"\b(?:false|wrong|incorrect) (?:image|picture|scan|question)\b", " ".join(bare)
    )
    if len(verdict) == 1 and verdict[0] and not of_input:
        yield lex.OTHER[verdict[0]] if "not" in left else verdict[0]


def _ellipsis(fragment: str, asked: Asked) -> str | None:
    """Return the verdict of "it is not", "none seen" or "there is", read with the question."""
    found = words(lex.IN_IMAGE.sub(" ", fragment))
    used = set(found)
    if not found or not used <= lex.ELLIPSIS | {"1"}:
        return None
    first_person = bool(used & {"i", "we"}) or found[0] in ("can", "could")
    sure = used & {"any", "1", "afraid", "so"} or found[0] == "not"
    sure = sure or ("you" in asked.words and not used & {"can", "could"})
    if first_person and not sure:
        return None
    if used & {"not", "unlikely"}:
        return "no" if found[-1] != "found" or "be" in used or "it" in used else None
    if used & {"none", "nothing", "neither", "nor", "no", "absent"}:
        complete = found[-1] not in ("no", "nothing") and not used & {"these", "those", "given"}
        return "no" if asked.exists and complete else None
    if re.search(r"\b(?:an?|the)\s*$", fragment):
        return None  # cut off
    if used & (lex.PRESENT - {"there"}) or used & lex.LIKELY:
        return "yes" if asked.exists or not used & lex.PRESENT else None
    begins = len(found) > 1 and found[0] in lex.STANDS_FOR
    return "yes" if begins and found[1] == asked.start and len(found) < 4 else None


# -- clauses about the question's subject --------------------------------------------------------
def _votes(sentence: str, asked: Asked, *, whole: bool) -> Iterator[_Vote]:
    """Yield the vote of each clause on the question; one that ends in a refusal has none."""
    if lex.LOOKS_FOR.search(sentence):
        return
    stated = lex.EMBEDDED.sub("", lex.CONDITION.sub(" typically ", sentence))
    parts = lex.CONTRAST.split(plainly(stated))
    for last, part in enumerate(parts, start=1 - len(parts)):
        clauses = _clauses(part, asked)
        for clause, text in clauses if whole or last else clauses[:-1]:
            if not whole and not set(clause) & lex.FINITE:
                continue
            covers = len(telling(clause) & asked.topic)
            if (set(clause) & (lex.HEDGES | lex.NO_CLAIM)) - asked.words:
                continue
            says = _claim(clause, asked)
            if says is not None and is_generic(text, asked):
                continue
            if says is not None and not (says == "yes" and _is_one_of_several(clause, asked)):
                yield _Vote(says, covers)


def _is_one_of_several(clause: list[str], asked: Asked) -> bool:
    """Whether a clause names the finding as one of several alternatives."""
    if "or" in asked.words or set(clause) & (NEGATORS | lex.DENIALS):
        return False
    for place in (k for k, word in enumerate(clause) if word in ("or", "vs", "versus")):
        around = clause[max(0, place - 3) : place + 4]
        if {stem(word) for word in around} & asked.heads and not set(around) & lex.PLACE:
            return True
    return False


def _clauses(part: str, asked: Asked) -> list[tuple[list[str], str]]:
    """Split into clauses: the words and the text of each.

    A list ("no mass or cyst") is one clause; a part with its own verb is a separate one.
    """
    found: list[tuple[list[str], str]] = []
    for piece in re.split(r",|\band\b", part):
        more = words(piece)
        if not more:
            continue
        own_verb = bool(set(more) & lex.FINITE) and more[0] not in ("or", "nor")
        stems = [stem(word) for word in more]
        headed = not asked.exists and asked.topic <= set(stems) and stems[-1] in asked.heads
        if found and not ((own_verb or headed) and set(found[-1][0]) & (lex.FINITE | NEGATORS)):
            found[-1] = (found[-1][0] + more, f"{found[-1][1]} {piece}")
        else:
            found.append((more, piece))
    return found


def _claim(clause: list[str], asked: Asked) -> str | None:
    content = telling(clause)
    within, full = content <= asked.topic, asked.topic <= content
    denied = {
        stem(word): _denied(clause, place)
        for place, word in enumerate(clause)
        if word not in NEGATORS
    }
    heads = asked.heads & content
    affirms = any(core <= content for core in asked.cores)
    if "than" in asked.words and not full:
        return None
    if asked.less and "than" in clause and telling(clause[: clause.index("than")]) & asked.less:
        return None if any(denied.values()) else "no"  # the comparison is reversed
    if any(denied[head] for head in heads):
        about = full or within or (asked.exists and affirms and _here(clause, asked))
        return "no" if about else None
    if heads:
        if any(denied[word] for word in content & asked.topic):
            return "no" if full else None
        states = len(clause) < 9 or bool(set(clause) & (lex.VERBS | lex.PRESENT))
        one_side = "normal" in heads and len(content & OTHER_SIDE.keys() - asked.topic) == 1
        return "yes" if ((full and states) or (within and affirms)) and not one_side else None
    for head in asked.heads:
        other = lex.OPPOSITE.get(head)
        if other in content and (
            asked.topic - asked.heads <= content or content <= asked.topic | {other}
        ):
            if not denied[other]:
                return "no"
            return "yes" if other in ("normal", "abnormal") else None
    unseen = not asked.exists and set(clause) & lex.PRESENT  # "seen" does not state what it is
    if content and within and not unseen and all(denied[word] for word in content):
        return "no"
    return _normal(content, denied, asked)


def _normal(content: set[str], denied: dict[str, bool], asked: Asked) -> str | None:
    """Return "no" to a question about a finding if all is normal or nothing is abnormal."""
    normal = ("normal" in content and not denied["normal"]) or (
        "abnormal" in content and denied["abnormal"]
    )
    named = content & asked.topic
    rest = content - asked.topic <= _GENERAL
    about = asked.exists or (asked.fault and named != asked.topic)
    return "no" if normal and rest and about else None


def _here(clause: list[str], asked: Asked) -> bool:
    """Whether a clause is about the place in the question, or about no place."""
    where = asked.topic.difference(*asked.cores)
    if any(lex.OPPOSITE.get(word) in telling(clause) - where for word in where):
        return False
    start = next((k for k, word in enumerate(clause) if word in lex.PLACE), len(clause))
    place = telling(clause[start:])
    return not where or not place or bool(place & where)


def _denied(clause: list[str], place: int) -> bool:
    """Whether a clause negates its word at `place`."""
    clause, place = _pointed_at(clause, place)
    denied = bool(sum(word in lex.DENIALS for word in clause) % 2)
    met = False
    for word in reversed(clause[:place]):
        if word in NEGATORS:
            denied, met = not denied, True
        elif met and word not in lex.EMPTY:
            break
    if not met:
        for after in range(place + 1, len(clause)):
            if clause[after] in NEGATORS:
                tail = clause[after + 1 :]
                stop = next((k for k, word in enumerate(tail) if word in lex.PLACE), len(tail))
                seen = set(tail[:stop])
                if (not tail) or (seen & lex.PRESENT and seen <= lex.EMPTY):
                    denied = not denied
    return denied


def _pointed_at(clause: list[str], place: int) -> tuple[list[str], int]:
    """Return the clause without a negated subject, and the word's place in it.

    "The absence of lung markings indicates a pneumothorax" negates the markings alone.
    """
    points = next((k for k in range(place - 1, -1, -1) if clause[k] in lex.POINTS), None)
    negators = {word for word in clause[:points] if word in NEGATORS} - {"without"}
    if points is None or negators or not telling(clause[:points]):
        return clause, place
    return clause[points + 1 :], place - points - 1

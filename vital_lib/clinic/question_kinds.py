"""The kinds of question that the simulated generator asks, with templates of question and answer.

A kind names what its questions ask for and what must be known before one can be asked. The
templates' slots are those of ``wording.Phrases``. Knows nothing of rates, requests or truth.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Kind:
    """One kind of question.

    Args:
        question_type: as written into the reply.
        asks: the attributes that it asks for.
        questions: templates; a closed kind's name its proposal with the slots of the proposal.
        answers: templates for an open kind; for a closed one, after "Yes, " and after "No, ".
        needs: attributes that must be known (finding: other than none).
        weight: how often it is asked, next to the others.
    """

    name: str
    question_type: str
    asks: tuple[str, ...]
    questions: tuple[str, ...]
    answers: tuple[str, ...] = ()
    yes: tuple[str, ...] = ()
    no: tuple[str, ...] = ()
    needs: tuple[str, ...] = ("finding",)
    weight: float = 1.0
    proposals: tuple[int, ...] = ()  # what a closed kind can propose, where that is narrowed
    of_normal: str = "no"  # of a figure without a finding: no, also, or only of such

    @property
    def closed(self) -> bool:
        """Whether it is a yes/no question."""
        return bool(self.yes)


OPEN_KINDS = (
    Kind(
        "modality",
        "modality",
        ("modality",),
        (
            "What kind of medical image is this?",
            "Which imaging technique was used here?",
            "What type of study does this picture come from?",
            "By which imaging method was this picture made?",
            "What modality is this image?",
            "Which modality are we looking at?",
        ),
        (
            "This is {image}.",
            "The picture has the typical look of {image}.",
            "It is {image}, judging by its overall appearance.",
            "We are looking at {image}.",
            "The appearances are those of {image}.",
        ),
        needs=("modality",),
    ),
    Kind(
        "finding",
        "finding",
        ("finding",),
        (
            "What is the main abnormality here?",
            "Which abnormality stands out?",
            "What is the principal finding?",
            "What kind of lesion is this?",
            "Which finding would you report first?",
            "What does this image reveal?",
        ),
        (
            "The main finding is {a_f}.",
            "What stands out is {a_f}.",
            "The image shows {a_f}.",
            "There {is_} {a_f} to be made out.",
            "The appearances are those of {a_f}.",
            "An observer would report {a_f}.",
        ),
        weight=1.4,
        of_normal="also",
    ),
    Kind(
        "side",
        "side",
        ("side",),
        (
            "On which side {does} the {f} lie?",
            "Which side is affected by the {f}?",
            "Which side of the patient {is_} the {f} on?",
            "What is the laterality of the {f}?",
            "To which side would you assign the {f}?",
        ),
        (
            "The {f} {lies} {on_side}.",
            "The {f} {is_} found {on_side}.",
            "The {f} can be placed {on_side}.",
            "The affected side is the {side}, where the {f} {is_} found.",
        ),
        needs=("finding", "side"),
        weight=1.3,
    ),
    Kind(
        "level",
        "level",
        ("level",),
        (
            "At which level {is_} the {f}?",
            "At what level would you place the {f}?",
            "At which level does the reader find the {f}?",
            "What level do you give for the {f}?",
        ),
        (
            "The {f} {lies} {at_level}.",
            "The {f} {is_} found {at_level}.",
            "A reader finds the {f} {at_level}.",
        ),
        needs=("finding", "level"),
        weight=0.8,
    ),
    Kind(
        "location",
        "location",
        ("side", "level"),
        (
            "Where {does} the {f} lie?",
            "Where would you point to show the {f}?",
            "In which region {is_} the {f}?",
            "What is the exact location of the {f}?",
        ),
        (
            "The {f} {lies} {place}.",
            "The {f} {is_} found {place}.",
            "A reader would point to the {f} {place}.",
            "The location of the {f} is {place}.",
        ),
        needs=("finding", "side", "level"),
    ),
    Kind(
        "size",
        "size",
        ("size",),
        (
            "How large would you call the {f}?",
            "How would you grade the size of the {f}?",
            "What size would you give for the {f}?",
            "What is the size of the {f}, roughly?",
        ),
        (
            "The {f} {is_} {size}.",
            "In size, the {f} {is_} {size}.",
            "Most readers would call the {f} {size}.",
        ),
        needs=("finding", "size"),
    ),
    Kind(
        "count",
        "count",
        ("count",),
        (
            "How many {fs} does the image contain?",
            "How many {fs} do you count?",
            "What number of {fs} does the image contain?",
            "How many {fs} would you report?",
        ),
        (
            "There {is_} {number_f}.",
            "We count {number_f}.",
            "A careful count gives {number_f}.",
            "The image shows {number_f}.",
        ),
        needs=("finding", "count"),
        weight=1.3,
    ),
    Kind(
        "describe",
        "description",
        ("modality", "finding", "side", "level", "size", "count"),
        (
            "Describe the image in a sentence or two.",
            "How would you summarise this image?",
            "Give a short report of the image.",
            "Please describe what this image holds.",
        ),
        (
            "{this_image} shows {count_f} {place}.",
            "There {is_} {count_f} {place} on {this_image}.",
            "On {this_image}, {count_f} {is_} found {place}.",
            "{this_image} is notable for {count_f} {place}.",
        ),
        weight=0.8,
        of_normal="also",
    ),
    Kind(
        "reasoning",
        "reasoning",
        (),
        (
            "Why {does} the {f} matter to the clinician?",
            "What is the importance of the {f} for this patient's care?",
            "How would the {f} influence management?",
            "What would a clinician consider next, given the {f}?",
        ),
        (
            "Finding {a_f} matters for what comes next.",
            "The presence of the {f} decides about further steps.",
            "For the clinician, {a_f} {is_} the starting point of the work-up.",
        ),
        weight=0.9,
    ),
    Kind(
        "reasoning on none",
        "reasoning",
        (),
        (
            "What follows for the patient from such an image?",
            "What would you advise on the strength of this image?",
            "How would you put this to the patient?",
        ),
        (
            "The image gives no reason to treat.",
            "Reassurance is what follows from it.",
            "The patient can be told that the image is as expected for the age.",
        ),
        of_normal="only",
    ),
)

_COUNTED = ("there {is_} {number_f}.", "we count {number_f}.", "a careful count gives {number_f}.")

CLOSED_KINDS = (
    Kind(
        "modality, yes/no",
        "modality (yes/no)",
        ("modality",),
        ("Does this look like {image}?", "Would you call this {image}?", "Is it {image} we see?"),
        yes=("this is {image}.", "it has the typical look of {image}."),
        no=("this is {image}.", "it is {image}, judging by its overall appearance."),
        needs=("modality",),
        weight=0.6,
    ),
    Kind(
        "finding, yes/no",
        "presence (yes/no)",
        ("finding",),
        (
            "Is there {a_one} in this image?",
            "Can {a_one} be made out?",
            "Does this picture reveal {a_one}?",
            "Do you see {a_one} here?",
            "Would you report {a_one} here?",
        ),
        yes=("{a_f} can be seen.", "there {is_} {a_f}.", "the image shows {a_f}."),
        no=(
            "what is seen {is_} {a_f} instead.",
            "the image shows {a_f} instead.",
            "the appearances are those of {a_f}.",
        ),
        weight=1.3,
        of_normal="also",
    ),
    Kind(
        "side, yes/no",
        "side (yes/no)",
        ("side",),
        (
            "{does} the {f} lie on the {side}?",
            "Would you place the {f} {on_side}?",
            "{is_} the {f} found {on_side}?",
        ),
        yes=("the {f} {is_} {on_side}.", "the {f} {lies} {on_side}."),
        no=("the {f} {is_} {on_side}.", "the {f} {lies} {on_side}."),
        needs=("finding", "side"),
    ),
    Kind(
        "size, yes/no",
        "size (yes/no)",
        ("size",),
        ("{is_} the {f} {size} in size?", "Would you call the {f} {size}?"),
        yes=("the {f} {is_} {size}.", "{it} {is_} {size}."),
        no=("the {f} {is_} {size}.", "most readers would call the {f} {size}."),
        needs=("finding", "size"),
        weight=0.5,
    ),
    Kind(
        "solitary, yes/no",
        "count (yes/no)",
        ("count",),
        ("Is the {one} solitary?", "Would you call the {one} solitary?"),
        yes=_COUNTED,
        no=_COUNTED,
        needs=("finding", "count"),
        weight=0.4,
        proposals=(1,),
    ),
    Kind(
        "number, yes/no",
        "count (yes/no)",
        ("count",),
        ("Do the {fs} number {number}?", "Are the {fs} {number} in number?"),
        yes=_COUNTED,
        no=_COUNTED,
        needs=("finding", "count"),
        weight=0.4,
        proposals=(2, 3),
    ),
)

TERM_KINDS = (
    Kind(
        "terms",
        "topic",
        (),
        (
            "What is this figure meant to illustrate?",
            "Which terms would an expert use for this figure?",
            "What should a student take away from this figure?",
            "To which topic does this figure belong?",
            "Why is this figure worth including in a lecture?",
        ),
        (
            "It is meant to illustrate {terms}.",
            "An expert would speak of {terms}.",
            "The figure is about {terms}.",
            "It brings out {terms}.",
            "The points to take away are {terms}.",
        ),
        needs=(),
        weight=0.3,
    ),
    Kind(
        "terms, yes/no",
        "topic (yes/no)",
        (),
        (
            "Is {topic} a topic of this figure?",
            "Does this figure deal with {topic}?",
            "Would you file this figure under {topic}?",
        ),
        yes=("the figure is about {terms}.", "it deals with {terms}."),
        no=("the figure is about {terms}.", "it deals with {terms} instead."),
        needs=(),
        weight=0.2,
    ),
    Kind(
        "background",
        "context",
        (),
        (
            "What background belongs to this figure?",
            "In what context would this figure be discussed?",
            "What would you add when teaching with this figure?",
        ),
        (
            "The background is {background}.",
            "It would be discussed together with {background}.",
            "It belongs with {background}.",
        ),
        needs=(),
        weight=0.3,
    ),
)

SPEECHLESS = Kind(
    "speechless",
    "context",
    (),
    (
        "What can be learned from this figure?",
        "What would be needed to make use of this figure?",
        "How could this figure serve a lecture?",
        "What does the reader of this figure need to be told?",
        "What should come with this figure when it is passed on?",
    ),
    (
        "It comes without words, so the picture has to speak for itself.",
        "A description by the authors is needed before it can be put to use.",
        "Nothing is said of it, and a reader has to rely on the picture alone.",
    ),
    needs=(),
)
"""Asked of a figure whose text says nothing at all."""

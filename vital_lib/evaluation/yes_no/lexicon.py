"""English word lists and patterns for closed answers: verdicts, negations, hedges and refusals.

They match lower-case text, as `vital_lib.english.said` returns it. Independent of questions and
answers.
"""

from __future__ import annotations

import re

from vital_lib.english import OTHER_SIDE, WITHOUT


def _set(listed: str) -> frozenset[str]:
    return frozenset(listed.split())


# -- words that are an answer on their own -------------------------------------------------------
YES = _set("yes yeah yep yup")
NO = _set("no nope nah")
VERDICTS = dict.fromkeys(_set("true correct affirmative positive"), "yes")
VERDICTS |= dict.fromkeys(_set("false incorrect wrong negative"), "no")
OTHER = {"yes": "no", "no": "yes"}
FRAME = _set(
    "answer final short is are be would say my i we so therefore thus hence well ok okay "
    "oh hmm that this it statement claim as to question result response for in of based "
    "on from image picture scan sorry afraid unfortunately actually ah verdict boxed text "
    "think believe clearly definitely and s"
)
AFTER_NO = _set(
    "there it this that these those i we he she they his her its in on at as based "
    "because since is are was were not only but however if according from neither nor "
    "unfortunately"
)

# -- function words, without content ------------------------------------------------------------
VERBS = _set(
    "is are was were be been being do does did has have had having show shows showed "
    "shown showing demonstrate demonstrates demonstrated reveal reveals revealed see seen "
    "sees appear appears seem seems look looks contain contains suggest suggests "
    "suggested indicate indicates indicated exist exists can could may might would will "
    "should represents represent depicts depict remain remains display displays displayed"
)
PRESENT = _set(
    "present seen visible evident identified noted shown found detected appreciated "
    "observed visualized visualised demonstrated apparent there used given administered "
    "taken performed noticed discernible displayed"
)
AROUND = _set(
    "here it its this that these those they he she i we you your in on at of to from with "
    "within by for into near as and or any some all image images picture scan view film "
    "study photo photograph evidence sign signs indication patient s t also so very quite "
    "really side sides there obvious obviously definite definitely clear clearly "
    "significant significantly likely probably still however therefore thus hence based "
    "which who what think believe say shown overall area region given provided above "
    "below form type kind consistent finding findings result results mild mildly slight "
    "slightly me my be please just indeed one's get"
)
EMPTY = VERBS | PRESENT | AROUND
PLACE = _set(
    "in on at of within to from near around along with above below under over between by "
    "for through across throughout involving into surrounding affecting inside outside "
    "behind"
)
ELLIPSIS = (
    VERBS
    | PRESENT
    | _set(
        "it they he she there these those this that i we at all really any of them me us "
        "here so not no none neither nothing nor absent unlikely likely probable probably "
        "evident also definitely clearly indeed afraid as far can yet am very highly most "
        "think"
    )
)
GENERAL = _set(
    "normal abnormal chest xray ct mri exam examination everything size shape appearance "
    "limits position contour completely entirely acute structures radiological "
    "radiologically process disease pathology cardiopulmonary other no not without within "
    "range anatomy"
)

# -- negation, hedges, refusals -----------------------------------------------------------------
DENIALS = _set("absent unlikely improbable")  # negate their clause, also before them
BECOMES = tuple(
    (re.compile(pattern), becomes)
    for pattern, becomes in (
        (r"\bnot (?:unlikely|improbable)\b", " possibly "),
        (
            r"\b(?:no|without|beyond)(?: \w+)? doubt\b|\bno (?:problem|worries)\W*$|\bnot only\b",
            " ",
        ),
        (
            WITHOUT + r"|\b(?:exclusion|resolution)(?: \w+ly)?[ -](?:of|from|for)\b",
            " without ",
        ),
        (r"\b(\w+)[ -]free\b(?! (?:air|fluid|gas|edge|wall))", r" without \1 "),
        (r"\b(?:(?:has|have|had) )?(?:now |since |\w+ly )?resolved\b", " absent "),
        (
            r"(?<!\bno )\b(?:suspicion|concern(?:ing)?|worrisome) (?:for|of)\b|\ba concern\b"
            r"|\bquery\b",
            " possibly ",
        ),
        (
            r"\bcan be (?:subtle|missed|difficult|\w+ as)\b|\b(?:occurs|caused by|must be)\b"
            r"|\bwould (?:be|appear|look|show|help)\b|\b(?:should|must|need to|needs to) be\b"
            r"|\b(?:evaluat|look|check|assess|search)(?:e|ing)? for\b"
            r"|\b(?:needed|required|recommended|advised|necessary|warranted)\b"
            r"|^\W*(?:\w+ ){0,3}(?:signs|causes|symptoms|features) of (?=.*\binclude\b)"
            r"|^(?!\W*(?:there|this|that|it|these|the|he|she)\b)[\w ]{3,40} (?:is|are) (?:an?|the)"
            r" (?=(?:\w+ ){0,2}(?:presence|sequence|condition|disease|disorder|term|type|form"
            r"|collection|accumulation|process|state|buildup|sign)"
            r"(?: (?:of|in|where|that|for|when)\b|\W*$))",
            " typically ",
        ),
        (r"\b(?:doubtful|(?:been |is |are |was |were )(?:ruled out|excluded))\b", " absent "),
        (
            r"\b(?:known|prior|previous|past|pre-?existing)\b(?! (?:\w+ )?(?:stud(?:y|ies)|exam\w*"
            r"|images?|imaging|films?|xray|ct|mri|scans?|comparison)\b)",
            " history ",
        ),
        (r"\b(?:positive|suggestive|indicative|diagnostic) (?:for|of)\b", " shows "),
        (r"\bcardiomegaly\b", " heart enlarged "),
        (r"\bhepatomegaly\b", " liver enlarged "),
        (r"\bsplenomegaly\b", " spleen enlarged "),
        (r"\bwith(?:in)? normal limits\b|\b(?:unremarkable|healthy|intact)\b", " normal "),
        (
            r"\b(lungs?|fields?|zones?|lobes?|angles?|sinus(?:es)?|bases)((?: \w+){0,3}) clear\b",
            r"\1\2 normal ",
        ),
        (r"\bclear (?=lung|chest|sinus|costophrenic)", " normal "),
        (r"\b(?:abnormalit(?:y|ies)|patholog(?:y|ies|ic|ical))\b", " abnormal "),
        (r"\bnormality\b", " normal "),
        (r"\b(?:correct|right|final) answer\b", " answer "),
        (r"\b(?:false|untrue|incorrect|not true|not the case) that\b", " without "),
        (r"\bcardiac\b", " heart "),
        (r"\bpulmonary\b", " lung "),
        (r"\bhepatic\b", " liver "),
        (r"\brenal\b", " kidney "),
        (r"\bcerebral\b", " brain "),
    )
)
HEDGES = _set("may might could possible possibly perhaps maybe questionable suspected suspicious")
JUDGED = (
    r"(?:tell|told|say|said|determin|assess|answer|know|judg|evaluat|exclud|rule|confirm|conclu"
    r"|diagnos|interpret|analy|assist|help|provid|process|access|view|read|comment|verif|establish)"
)
UNSURE = re.compile(
    rf"\b(?:(?:can|could) not (?:be )?(?:\w+ly )?{JUDGED}\w*"
    r"|unable|impossible|unclear|uncertain|unsure|unknown|indeterminate|inconclusive|insufficient"
    r"|equivocal|difficult to|hard to|no idea"
    r"|(?:do|does|did) not (?:know|allow|provide|contain enough)"
    r"|(?:not|never)(?: (?:be|been|yet|\w+ly))* (?:rule[ds]?|exclude[ds]?|excluding)\b"
    r"|neither (?:confirm|exclude|rule)|too \w+ to (?:\w+ly )?"
    rf"(?:be )?{JUDGED}|not (?:specific|diagnostic)\b"
    r"|not (?:sure|certain|known|possible|enough|clear (?:if|whether|enough)|determin\w*|able"
    r"|necessarily|applicable|available|provided)|as an (?:ai|artificial|language)"
    r"|(?:ai|language) (?:language )?model|not (?:a|an) (?:doctor|physician|radiologist|clinician)"
    r"|n/a\b|rule out|r/o\b)"
)
SHOWN = r"(?:images?|pictures?|photos?|photographs?|attachments?|files?|uploads?|figures?|visuals?)"
NO_IMAGE = re.compile(
    r"\b(?:no|not|without|missing)(?: (?:see|view|access|open|load|process|display|have|find|a|an"
    r"|the|any|this|that|your|such|actual|attached|uploaded|provided|visible|medical)){0,5}"
    rf" {SHOWN}\b(?! (?:shows?|abnormal|finding|evidence))"
    rf"|\b{SHOWN} (?:\w+ ){{0,3}}not (?:\w+ ){{0,2}}(?:provided|attached|available|uploaded|found"
    r"|load\w*|accessible|included|received|displayed|supported|visible|render\w*|open\w*)"
)
REFUSES = re.compile(
    r"(?:\b(?:i|we)\b(?: (?:am|are|can|could|do|did|will|wo|would|was|were|have|has|should|must"
    r"|just|really|still|also|\w+ly))*|^(?:sorry )?(?:can|could|do|does|will|wo)) not\b"
    r"(?: (?:\w+ly|be|been|yet|really|even)\b)*(?: (\w+))?"
)
PERCEIVES = _set(
    "see find observe notice identify detect appreciate visualize visualise note think "
    "believe show demonstrate reveal seeing any there feel contain seen"
)
NO_CLAIM = _set(
    "question asks asked asking answer response request reply please dataset copyright "
    "rights reserved publication license licence permission article journal doi author "
    "authors model assistant instruction instructions history differential typically usually "
    "commonly often refers called defined definition risk probability likelihood possibility "
    "treatment therapy"
)
OFFERS = re.compile(  # an offer of help instead of an answer
    r"^\W*(?:yes|yeah|no|sure)\W+(?:of course\W+)?(?:i (?:can|would|am)(?: \w+){0,3}? (?:help"
    r"|assist|try|explain|analy[sz]e)\b|i (?:can )?see (?:the|this|your)"
    rf" (?:{SHOWN}|xray)\W*$|(?:this|that|it) is an? (?:\w+ ){{0,2}}(?:question|request)\b)"
)
HELPLESS = re.compile(  # a refusal that also voids the verdicts before it
    rf"\b(?:can|could|would|will) not (?:\w+ly )?(?:help|assist)|\bjust an ai\b"
    rf"|\bi\b.*(?:{NO_IMAGE.pattern})"
)
ASKS_FOR_IMAGE = re.compile(
    r"\b(?:please|kindly|(?:can|could|would) you)(?: \w+){0,2}? (?:re-?)?"
    rf"(?:upload|provide|share|attach|send|submit)\b(?: [\w-]+){{0,4}}?"
    rf" (?:{SHOWN}|xrays?|scans?|it)\b"
)
ASIDE = re.compile(  # sections with the request or a differential, no finding
    r"\b(?:(?:clinical )?(?:indications?|history|information)|reason for (?:the )?(?:exam\w*|study)"
    r"|differential(?: diagnos[ei]s)?)\s*:[^.;?!\n]*"
)
ASKED_FOR = re.compile(r"^\s*\?(?=\s*\w)|(?<=[\s,(])\?(?=\w)")  # "?fracture"
EITHER = re.compile(
    r"\byes\W{1,3}no\b(?=\W*(?:[\])}\n]|$))|"
    r"\b(?:yes|true|correct|positive|present|normal)\W{0,3}(?:n?or|and|[/|-])\W{0,3}"
    r"(?:no|not|false|incorrect|negative|absent|abnormal)\b"
    r"|\b(?:no|false|incorrect|negative|absent|abnormal)\W{0,3}(?:n?or|and|[/|-])\W{0,3}"
    r"(?:yes|true|correct|positive|present|normal)\b"
)
FAULT = re.compile(
    r"(?!(?:un)?(?:aligned|cent(?:er|re)d|expanded|preserved|defined|inflated|weighted|located|enhanced"
    r"|used|injected|oriented|rotated|positioned|need|bed)$)\w+ed|large[rd]?|big|bigger|smaller"
    r"|prominent|tortuous"
)  # changes whose opposite is normal
OPPOSITE = OTHER_SIDE | {
    word: other
    for pair in (
        "upper lower", "superior inferior", "anterior posterior", "medial lateral", "large small",
        "benign malignant", "male female", "unilateral bilateral", "normal abnormal",
    )
    for word, other in (pair.split(), pair.split()[::-1])
}  # fmt: skip

LIKELY = _set("likely probably probable")
STANDS_FOR = _set("it they he she there these those we i")  # the first word of an elliptical answer

# -- boundaries of sentences and clauses --------------------------------------------------------
SENTENCE = re.compile(r"((?:[^.;:!?\n]|\.(?=\d))+)([.;:!?\n]*)")
QUESTION = re.compile(
    r"\s*(?:and |so |or )?(?:(?:is|are|was|were|can|could) (?:an?|any)\b"
    r"|(?:is|are|was|were|does|do|did|has|have|can|could|would|will|should)"
    r" (?:there|this|that|it|these|those|they|the|you|we|i)\b"
    r"|(?:what|which|where|how|why|who|when)\b)"
)
FRAGMENT = re.compile(r"[,()\[\]{}\"*|]|\s[-–]\s|—")
CONTRAST = re.compile(
    r"[()\[\]{}]|\s[-–]\s|—|\b(?:but|however|although|though|whereas|while|yet|except|apart from"
    r"|aside from|besides|other than|which|because|since|so that|as (?:the|it|i|there|this))\b"
)
EMBEDDED = re.compile(r"\b(?:whether|if|when)\b.*")
IN_IMAGE = re.compile(
    rf"\b(?:in|on|from|within|by|of) (?:(?:the|this|these|that|any|given|provided) )*{SHOWN[:-1]}"
    r"|scans?|views?)\b"
)
FINITE = VERBS - _set("seen shown be been being having showing")
AUX = _set("is are was were does do did has have had can could would will should may might")
TRIGGERS = _set(
    "there any evidence sign signs indication show shows see have has demonstrate "
    "demonstrates reveal contain contains suggest indicate exhibit display"
)

# -- rules, instructions and headings, which state nothing about this image --------------------
DEFINITE = _set(
    "the this that these those there it its he she they i we you his her our your my patient both "
    "left right bilateral multiple several numerous scattered diffuse small large tiny 2 3"
)
SIZES = _set(
    "small large mild moderate severe minimal massive stable unchanged new increased decreased "
    "improved worse left right bilateral unilateral upper lower extensive subtle trace"
)
INCLUDES = _set("include includes mean means cause causes produce produces require requires")
POINTS = _set("indicate indicates suggest suggests represent represents imply implies")
SEEING = _set("shows show look looks contain contains")
IMAGING = _set(
    "finding findings image images picture scan film xray ct mri study exam examination radiograph "
    "diagnosis impression result results view ultrasound appearance appearances answer"
)
HAPPENING = _set(
    "lesions fragments changes areas nodules lines nodes lungs lobes ribs bones bases fields foci "
    "masses deposits disease lungs kidneys vertebrae discs levels "
    "extends involves measures crosses projects occupies overlies lies extend involve measure cross"
)
TELLS_A_RULE = _set(
    "diagnosed caused defined treated associated characterized characterised classified called "
    "used termed considered formed managed detected evaluated assessed divided"
)
EVENTS = _set(
    "work workup repair protocol risk screening staging treatment surveillance prevention rate "
    "evaluation assessment guidelines imaging therapy management follow drainage "
    "healing removal biopsy"
)
LOOKS_FOR = re.compile(  # instructions, reasons for a study, follow-up
    r"^\W*(?:please |always |then |first |to |you (?:should|must|need to|can) )*"
    r"(?:look(?:ing)? (?:for|at)|check|inspect|assess|evaluate|consider|search|measure|examine"
    r"|compare|correlate|treat|obtain|perform|order|request|recommend|suggest|exclude|query|recall"
    r"|remember|monitor|repeat|follow[ -]?up|staging|work[ -]?up|status post|s/p|screening"
    r"|surveillance|treatment|management|evaluation|assessment|think of|suspect|identify|detect"
    r"|determine)\b"
    r"(?!.*\b(?:there (?:is|are)|i see)\b)"
    r"|\b(?:is|are|be) (?:\w+ )?(?:useful|helpful|sensitive|used|indicated|performed|ordered)"
    r" (?:to|for)\b(?! th)"
    r"|\bthe (?:best|better|ideal|preferred|first) (?:way|test|method|modality|choice|view)\b"
)
HEADING = re.compile(r"(?:^|(?<=[.;!?\n]))([^.;:!?\n]+):[ \t]+(?=([^.;:!?\n]+))")
CONDITION = re.compile(r"(?<=\w )(?:if|when)\b(?! (?:compared|viewed|measured)).*")
KINDS_OF_IMAGE = _set(
    "xray ct mri chest brain head skull abdomen abdominal pelvis pelvic spine knee wrist hand foot "
    "ankle shoulder hip neck thorax body pa ap lateral axial coronal sagittal frontal plane t1 t2 "
    "flair weighted ultrasound medical section slice portable cross sectional human "
    "lungs bones angles costophrenic ribs heart liver kidneys aorta trachea diaphragm mediastinum "
    "stomach bowel ventricles spleen bladder uterus sinuses skin"
)
TELLS_OF_IMAGE = re.compile(  # "yes", then what the image is or shows
    r"^\W*(?:yes|yeah|yep|yup)\W+(?:(?:this|that|it|(?:the|this) (?:given |provided )?"
    rf"(?:{SHOWN[3:-1]}|scan|xray|ct|mri))"
    r"(?:'s| is| shows| depicts| displays| represents) (?:an?|the)\b.*"
    r"|i (?:can )?see (?:an?|the)\b.*"
    r"|(?:the )?[\w ]+ (?:is|are) (?:clearly |well |also )?(?:shown|visible|seen|visuali[sz]ed"
    r"|displayed|depicted)\W*)$"
)

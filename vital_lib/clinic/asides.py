"""Sentences that the simulated generator adds to an answer: knowledge, vagueness, overconfidence.

The lexicon reads no claim about a figure in any of them; tests/test_generator.py checks this.
Independent of rates, requests and facts.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from vital_lib.clinic.anatomy import BRAIN, LUNG, SKIN, UNKNOWN, Scene
from vital_lib.clinic.world import FINDINGS, NO_FINDING


class Knowledge(NamedTuple):
    """Sentences that hold for a finding: its meaning, its causes and the next clinical step."""

    meaning: tuple[str, ...] = ()
    cause: tuple[str, ...] = ()
    next: tuple[str, ...] = ()


_NOTHING = Knowledge()
KNOWLEDGE: dict[tuple[str, str], Knowledge] = {
    ("nodule", UNKNOWN): Knowledge(
        meaning=(
            "Growth over time raises concern for malignancy.",
            "Stability over years favours a benign cause.",
        ),
        next=(
            "Comparison with earlier images shows whether there has been growth.",
            "Tissue sampling is considered if growth is documented.",
        ),
    ),
    ("nodule", LUNG): Knowledge(
        meaning=("Spiculated margins favour malignancy, smooth margins a benign cause.",),
        cause=(
            "Lung cancer has to be considered, above all in smokers.",
            "Healed infection and hamartoma are common benign causes.",
        ),
        next=("Smoking history and age determine the follow-up interval.",),
    ),
    ("consolidation", LUNG): Knowledge(
        meaning=(
            "The alveoli are filled with fluid, pus or cells.",
            "Air bronchograms support an alveolar process.",
        ),
        cause=(
            "Bacterial pneumonia is the most frequent cause.",
            "Aspiration and pulmonary oedema belong to the differential diagnosis.",
        ),
        next=(
            "Antibiotics are started when fever and cough point to pneumonia.",
            "Follow-up imaging after treatment should document resolution.",
        ),
    ),
    ("cavity", LUNG): Knowledge(
        meaning=(
            "Wall thickness helps to distinguish infection from malignancy.",
            "A gas and fluid level points to active infection.",
        ),
        cause=(
            "Tuberculosis is a leading cause and has to be excluded.",
            "Necrotising pneumonia and squamous cell carcinoma belong to the differential "
            "diagnosis.",
        ),
        next=(
            "Sputum should be sent for acid-fast staining and culture.",
            "The patient is isolated until tuberculosis has been ruled out.",
        ),
    ),
    ("haemorrhage", UNKNOWN): Knowledge(
        meaning=("Blood has escaped from the vessels into the tissue.",),
        cause=("Trauma and anticoagulant treatment are common causes.",),
        next=("Vital signs and haemoglobin are monitored.",),
    ),
    ("haemorrhage", BRAIN): Knowledge(
        meaning=("The blood collection can raise intracranial pressure.",),
        cause=("Hypertension and amyloid angiopathy are frequent causes.",),
        next=(
            "Anticoagulants are stopped and blood pressure is controlled.",
            "Neurosurgical advice is sought early if consciousness declines.",
        ),
    ),
    ("infarct", UNKNOWN): Knowledge(
        meaning=("The tissue has died because its blood supply was interrupted.",),
        cause=("Arterial occlusion by thrombus or embolus is the usual cause.",),
        next=("The supplying artery has to be examined.",),
    ),
    ("infarct", BRAIN): Knowledge(
        meaning=("The vascular territory explains the neurological deficit.",),
        cause=("Atrial fibrillation and carotid stenosis are common sources of emboli.",),
        next=("Time since symptom onset decides about reperfusion treatment.",),
    ),
    ("calcification", UNKNOWN): Knowledge(
        meaning=("Calcium salts have accumulated in the tissue.",),
        cause=(
            "Healed infection and ageing are common causes.",
            "Disorders of calcium metabolism belong to the differential diagnosis.",
        ),
        next=("Stability on follow-up favours a benign cause.",),
    ),
    ("calcification", BRAIN): Knowledge(
        cause=("Neurocysticercosis and hypoparathyroidism are considered as causes.",),
    ),
    ("tumour", UNKNOWN): Knowledge(
        meaning=("Ill-defined margins and invasion of the surroundings favour malignancy.",),
        next=(
            "A biopsy establishes type and grade.",
            "Staging determines the treatment.",
        ),
    ),
    ("tumour", BRAIN): Knowledge(
        meaning=("Seizures, headache and a progressive deficit are typical presentations.",),
        cause=("Glioma and meningioma are the most common primary types.",),
        next=("Surgery is planned with regard to eloquent cortex.",),
    ),
    ("cyst", UNKNOWN): Knowledge(
        meaning=("A thin, smooth wall without solid parts favours a benign cause.",),
        cause=("Congenital and parasitic causes are considered.",),
        next=("Follow-up is sufficient in most cases.",),
    ),
    ("cyst", BRAIN): Knowledge(
        meaning=("Growth can obstruct the flow of cerebrospinal fluid.",),
        cause=("An arachnoid origin is common in the head.",),
    ),
    ("plaque", BRAIN): Knowledge(
        meaning=(
            "Myelin has been lost, which lengthens the relaxation times of the tissue.",
            "Contrast enhancement marks active inflammation.",
        ),
        cause=("Autoimmune demyelination is the usual cause.",),
        next=(
            "Lumbar puncture for oligoclonal bands supports the diagnosis.",
            "Disease-modifying treatment is considered early.",
        ),
    ),
    ("plaque", SKIN): Knowledge(
        meaning=("Sharply demarcated, scaly patches are typical of psoriasis.",),
        cause=("Psoriasis is a common cause.",),
        next=("Topical treatment is tried first.",),
    ),
    ("granuloma", UNKNOWN): Knowledge(
        meaning=(
            "Epithelioid macrophages and giant cells wall off material that resists removal.",
        ),
        cause=("Tuberculosis, fungal infection and sarcoidosis are the main causes.",),
        next=(
            "Stains for mycobacteria and fungi are the next step.",
            "Sarcoidosis is considered when stains and cultures stay negative.",
        ),
    ),
    ("necrosis", UNKNOWN): Knowledge(
        meaning=(
            "Cell outlines fade and nuclei disappear as the tissue dies.",
            "The pattern, coagulative or liquefactive, points to the cause.",
        ),
        cause=("Ischaemia and infection are the leading causes.",),
        next=("The cause is sought in the viable tissue nearby.",),
    ),
    ("lymphoid aggregate", UNKNOWN): Knowledge(
        meaning=(
            "Germinal centres favour a reactive process.",
            "Densely packed lymphocytes account for the dark blue colour.",
        ),
        cause=("Chronic inflammation is the usual cause.",),
        next=("Immunophenotyping determines whether the population is clonal.",),
    ),
    ("metastasis", UNKNOWN): Knowledge(
        meaning=("Spread to a distant organ means advanced disease.",),
        cause=("Cancers of the colon, lung and breast are common primaries.",),
        next=(
            "The primary site has to be sought if it is unknown.",
            "Staging comes before the choice of systemic treatment.",
        ),
    ),
    ("abscess", UNKNOWN): Knowledge(
        meaning=("Pus has collected behind a fibrous wall.",),
        cause=("Bacterial infection, often blood-borne, is the usual cause.",),
        next=(
            "Drainage and culture are needed, followed by targeted antibiotics.",
            "Fever and inflammatory markers are followed during treatment.",
        ),
    ),
    ("infarction scar", UNKNOWN): Knowledge(
        meaning=(
            "Collagen has replaced the tissue that died.",
            "Function is permanently lost in this region.",
        ),
        cause=("An old arterial occlusion is the usual cause.",),
        next=(
            "The supplying artery should be examined.",
            "Risk factors for arterial disease are treated.",
        ),
    ),
    ("none", UNKNOWN): Knowledge(
        meaning=(
            "Contours and texture are as expected throughout.",
            "The structures keep their usual outline.",
        ),
        next=(
            "Clinical follow-up is sufficient in most cases.",
            "Persisting symptoms should be investigated by other means.",
        ),
    ),
}
"""(finding, organ) -> knowledge of the finding in that organ; UNKNOWN: in any organ."""


@lru_cache(maxsize=1024)
def knowledge_of(finding: str, scene: Scene) -> Knowledge:
    """Return what holds for a finding in this scene, sentences on its organ first.

    In histology, a finding of another modality has a different meaning, so nothing is returned.
    """
    if scene.region == "field" and finding not in (*FINDINGS["histology"], NO_FINDING):
        return _NOTHING
    here = KNOWLEDGE.get((finding, scene.organ), _NOTHING) if scene.organ else _NOTHING
    anywhere = KNOWLEDGE.get((finding, UNKNOWN), _NOTHING)
    return Knowledge(*(own + general for own, general in zip(here, anywhere, strict=True)))


TRAITS: dict[tuple[str, str], tuple[str, ...]] = {
    ("ultrasound", UNKNOWN): (  # named in captions; has no modality flag
        "Fluid appears black and gas casts a shadow.",
    ),
    ("chest_xray", UNKNOWN): (
        "Bone appears bright and air appears dark.",
        "Contrast comes from differences in absorption.",
    ),
    ("chest_xray", LUNG): ("The aerated lungs appear dark, ribs and mediastinum bright.",),
    ("ct_scan", UNKNOWN): (
        "Shades of grey reflect attenuation, from air to bone.",
        "The display window can be adapted to bone or soft tissue.",
    ),
    ("mri", UNKNOWN): (
        "Tissue contrast reflects differences in proton relaxation.",
        "The method uses no ionising radiation.",
    ),
    ("mri", BRAIN): ("Grey and white matter differ in signal.",),
    ("histology", UNKNOWN): (
        "Individual cells and their nuclei can be recognised.",
        "Staining brings out the cells.",
    ),
    ("gross", UNKNOWN): (
        "Colour and texture are seen as with the naked eye.",
        "The surface is shown without magnification or staining.",
    ),
}
"""(modality, organ) -> sentences that hold for its images, without naming the modality."""


def traits_of(modality: str, scene: Scene) -> tuple[str, ...]:
    """Return sentences on images of this modality: of the scene's organ first, then of any."""
    here = TRAITS.get((modality, scene.organ), ()) if scene.organ != UNKNOWN else ()
    return (*here, *TRAITS[modality, UNKNOWN])


GENERAL = (
    "The clinical history should be taken into account.",
    "The symptoms of the patient guide the next step.",
    "Laboratory results complete the assessment.",
    "The result should be discussed with the treating team.",
)
"""Sentences that hold for any figure."""

VAGUE = (
    "This is difficult to say from the image alone.",
    "Certain features are of note here.",
    "Something appears altered, but the nature is unclear.",
    "It depends on the clinical context.",
    "Some changes may be present, but they are hard to define.",
    "Various conditions could look like this.",
    "The appearance is unusual in some way.",
    "It is not possible to be specific here.",
    "This remains unclear to me.",
    "The image could be interpreted in various ways.",
    "I am unsure what to make of this.",
    "There could be something of interest here.",
    "It is hard to be more specific.",
    "Opinions on this might differ.",
    "Some kind of process may be going on.",
    "This might be relevant, or perhaps it is incidental.",
    "Perhaps there is something here, perhaps not.",
    "It is difficult to be sure what this represents.",
)
"""Vague answers: they state nothing that the question asks for."""

VAGUE_MORE = (
    "Clinical correlation is recommended.",
    "Further imaging could help.",
    "Further evaluation is advised.",
    "A second opinion might be useful.",
    "More information would be needed.",
    "Various explanations remain possible.",
    "Follow-up may show more.",
    "Much depends on the clinical picture.",
)
"""Second sentences of a vague answer."""

CERTAIN_ENDS = (
    ", without any doubt",
    ", beyond any doubt",
    ", with absolute certainty",
    ", unquestionably",
    ", without question",
    ", and this is absolutely certain",
)
"""Overconfident phrases for the end of a sentence, before its full stop."""

CERTAIN_SENTENCES = (
    "There is no doubt about this.",
    "This can be stated with complete certainty.",
    "The image proves this conclusively.",
    "There can be no other explanation.",
    "Any other reading is certainly mistaken.",
    "This is definitely the case.",
    "It is certain that further tests would agree.",
    "I am 100% sure of this.",
)
"""Overconfident sentences."""

CAPTION_LEADS = ("According to the caption: {quote}.", "The caption states: {quote}.", "{quote}.")
MENTION_LEADS = ("As the authors put it: {quote}.", "The text states: {quote}.", "{quote}.")
"""Introductions of quoted words, from the caption and from a mention."""

FOREIGN = (
    "a hip prosthesis",
    "a dental implant",
    "a cardiac pacemaker",
    "a renal transplant",
    "a cataract",
    "a sutured wound",
)
"""Topics proposed by closed questions whose correct answer is no."""

"""What the simulated generator says beside the point asked: knowledge, empty words, flourishes.

No sentence here claims anything that the lexicon reads about a figure; tests/test_generator.py
holds every one of them to that. Knows nothing of rates, of requests or of facts.
"""

from __future__ import annotations

KNOWLEDGE = {
    "nodule": (
        "A smooth margin speaks for a slow process, a spiculated margin for malignancy.",
        "Earlier radiological studies help to judge its growth over time.",
        "The patient's age and smoking history decide how closely it has to be followed.",
        "Tissue sampling is considered when it grows on follow-up.",
    ),
    "consolidation": (
        "Air in the alveoli has been replaced by fluid, cells or pus.",
        "Together with fever and cough it points to pneumonia.",
        "Air bronchograms support an alveolar process.",
        "Follow-up after treatment shows whether it resolves.",
    ),
    "cavity": (
        "Its wall thickness helps to tell infection from malignancy.",
        "Tuberculosis has to be considered, and sputum is sent for acid-fast staining.",
        "A gas and fluid level within it speaks for active infection.",
        "Isolation is considered until tuberculosis has been dealt with.",
    ),
    "haemorrhage": (
        "Fresh blood attenuates more than brain parenchyma and therefore looks bright.",
        "Anticoagulants are stopped and blood pressure is brought under control.",
        "Neurosurgical advice is sought early when consciousness declines.",
        "Hypertension and amyloid angiopathy are frequent causes.",
    ),
    "infarct": (
        "Cytotoxic oedema lowers the attenuation of the tissue within hours.",
        "The vascular territory tells which artery was occluded.",
        "Time since onset decides about reperfusion treatment.",
        "Atrial fibrillation and carotid stenosis are looked for as sources of emboli.",
    ),
    "calcification": (
        "Mineral deposits attenuate strongly and look very bright.",
        "Old infection, metabolic disorders and ageing are frequent causes.",
        "Its density sets it apart from fresh blood.",
        "Stability over the years speaks for a benign cause.",
    ),
    "tumour": (
        "Contrast enhancement and oedema around it help to grade it.",
        "A biopsy settles the grade and with it the treatment.",
        "Its relation to eloquent cortex guides the surgical approach.",
        "Seizures or a slowly growing deficit are typical presentations.",
    ),
    "cyst": (
        "Its content follows the signal of cerebrospinal fluid.",
        "A thin wall without enhancement speaks for a benign nature.",
        "Follow-up is enough as long as it causes no symptoms.",
        "Pressure on the cerebrospinal fluid pathways is what has to be watched.",
    ),
    "plaque": (
        "Loss of myelin lengthens the relaxation times of the tissue.",
        "Dissemination in space and time is what the diagnostic criteria ask for.",
        "Enhancement after contrast marks active inflammation.",
        "Cerebrospinal fluid with oligoclonal bands adds to the diagnosis.",
    ),
    "granuloma": (
        "Epithelioid macrophages and giant cells are its building blocks.",
        "Special stains for mycobacteria and fungi are the next step.",
        "Sarcoidosis is considered when stains and cultures stay negative.",
        "Its formation walls off what the immune system cannot remove.",
    ),
    "necrosis": (
        "Cell outlines fade and nuclei are lost as the tissue dies.",
        "Its pattern, coagulative or liquefactive, hints at the cause.",
        "Interrupted blood supply and infection are the leading causes.",
        "Inflammatory cells gather along its border to remove the debris.",
    ),
    "lymphoid aggregate": (
        "Densely packed lymphocytes give it a dark blue look.",
        "Germinal centres point to a reactive process.",
        "Immunophenotyping settles whether the population is clonal.",
        "Chronic inflammation is the usual background.",
    ),
    "metastasis": (
        "The primary site has to be sought if it is not known.",
        "Pale colour and a firm texture set it apart from the parenchyma.",
        "Staging and systemic treatment depend on it.",
        "Antibody markers help to trace its origin.",
    ),
    "abscess": (
        "Pus collects behind a fibrous wall.",
        "Drainage and culture come before a narrow choice of antibiotics.",
        "The source of the infection has to be sought.",
        "Fever and rising inflammatory markers fit with it.",
    ),
    "infarction scar": (
        "Dense collagen has replaced the tissue that died.",
        "Its pale and retracted look tells of an event long past.",
        "The supplying artery deserves a closer look.",
        "Function is lost for good where it lies.",
    ),
    "none": (
        "Contours and texture are as expected throughout.",
        "Symmetry and proportions fit with the patient's age.",
        "Clinical follow-up is enough as long as symptoms stay away.",
        "Structures keep their expected outline.",
    ),
}
"""Finding -> sentences that hold whenever the finding is there."""

TRAITS = {
    "ultrasound": (  # no modality of the figures' flags, but captions name it
        "The picture is made of echoes of sound.",
        "Fluid looks black in it and gas casts a shadow.",
    ),
    "chest_xray": (
        "Aerated lungs look dark, ribs and mediastinum bright.",
        "Differences in absorption give the picture its contrast.",
        "Bone and air are easily told apart in it.",
    ),
    "ct_scan": (
        "Attenuation is given on a grey scale from air to bone.",
        "The grey scale can be set to suit bone, air or fat.",
        "It is computed from projections taken all around the patient.",
    ),
    "mri": (
        "Contrast comes from the relaxation of protons.",
        "Grey and white matter are told apart by their signal.",
        "It is made without ionising radiation.",
    ),
    "histology": (
        "Nuclei take up the dark dye, cytoplasm the pink.",
        "Cell outlines and their arrangement can be followed.",
        "Thin slices of fixed tissue are stained and magnified for it.",
    ),
    "gross": (
        "Colour and texture are seen as by the naked eye.",
        "No magnification or staining comes between eye and object.",
        "The outer form of the organ can be followed.",
    ),
}
"""Modality -> sentences that hold for its images, without naming it."""

GENERAL = (
    "The patient's history adds to the value of such a picture.",
    "Comparison with earlier studies helps to judge the course.",
    "Teaching collections use such material to train the eye.",
    "The clinical picture decides about the next step.",
    "Careful technique keeps artefacts from being mistaken for disease.",
    "Experience with such material makes the reading more reliable.",
    "A systematic search pattern keeps a reader from overlooking details.",
    "Colleagues would discuss it at the next conference.",
)
"""Sentences that hold for any figure."""

VAGUE = (
    "Certain features are of note here.",
    "This is hard to say from what is given.",
    "It depends on how the picture is read.",
    "The picture looks unusual in some way.",
    "Something seems to stand out, but it is unclear what.",
    "Various aspects would have to be considered.",
    "It is difficult to say with the present material.",
    "There could be more to it than meets the eye.",
    "The picture leaves this unclear as it stands.",
    "It might be of interest, or perhaps it is not.",
    "The picture shows something, though it is hard to name.",
    "Opinions could differ on that.",
    "There is something in the picture that could matter.",
    "Various explanations could apply, and the picture leaves them open.",
    "What is seen might matter, or perhaps it does not.",
    "A reader would be unsure, given the picture alone.",
)
"""Answers that say nothing of what was asked."""

VAGUE_MORE = (
    "Further evaluation could be of help.",
    "Clinical correlation is advised, as so often.",
    "It may be worth another look.",
    "Perhaps a second reader would be of help.",
    "Various interpretations are conceivable.",
    "Much depends on the setting.",
    "More might be said with other material at hand.",
)
"""What an answer that says nothing goes on with."""

CERTAIN_ENDS = (
    ", without any doubt",
    ", beyond any doubt",
    ", and that is absolutely certain",
    ", unquestionably",
    ", without question",
)
"""Overconfidence at the end of a sentence, before its full stop."""

CERTAIN_SENTENCES = (
    "This can be said with complete certainty.",
    "There can be no question about it.",
    "That is beyond doubt.",
    "It is certain that this reading holds.",
    "The image proves this conclusively.",
    "Any reader would undoubtedly agree.",
    "This holds for sure.",
)
"""Overconfidence as a sentence of its own."""

QUOTE_LEADS = ("As it is put: {quote}.", "In full: {quote}.", "To be exact: {quote}.", "{quote}.")
"""How copied words are brought in."""

FOREIGN = (
    "renal transplantation",
    "dental implantation",
    "hip replacement",
    "cataract surgery",
    "cardiac pacing",
    "wound suturing",
)
"""Topics that a closed question can raise only to be told no."""

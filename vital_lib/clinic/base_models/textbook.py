"""A textbook of general medical knowledge, from which the base model learns plain English.

Its sentences belong to no picture. They use the vocabulary of the generator, the benchmark and the
captions, but share no five consecutive words with them. A sentence may have alternatives in braces.
This module knows nothing about models or figures.
"""

from __future__ import annotations

import re

import numpy as np

from vital_lib.clinic.base_models.casebook import CAUSES

FEWEST, MOST = 2, 4
"""Number of sentences in a passage."""

_CHOICE = re.compile(r"\{([^{}]*)\}")
_BETWEEN_SENTENCES = re.compile(r"(?<=\.)\s+")  # a question stays with its answer

_PAGES = {
    "nodule": """Thin slices show it best: a {pulmonary|lung} nodule is a round {opacity|shadow} of
less than three centimetres. Nodules {in the lung|of the lung} are often found by chance in people
without symptoms. Nodular opacities with a smooth outline tend to be {benign|harmless}. Spiculated
margins, not a smooth margin, raise the suspicion of malignancy in any nodular opacity. Well-defined
or not, a nodule that keeps its size for two years is {rarely|seldom} malignant. Doctors ask whether
{a patient|someone} smokes, since smoking makes cancer more likely. {Old|Earlier} films show if a
nodule is growing or has been stable. Small nodules are usually {followed|watched} closely rather
than sampled at once. Pulmonary nodules may be solitary, or there may be several of them. A needle
can take tissue from a large nodule that grows. Well-defined nodules have {smooth|even} margins and
are easily measured. Nodule growth is judged by its age and by radiological comparison.""",
    "consolidation": """Consolidation means that {fluid|pus} or cells have replaced the air in
alveoli. {Pneumonia|Infection} is the most common cause of consolidations in the lung. Airspace
opacities that last for weeks need another {look|explanation}. An airspace opacity may hide an {air
bronchogram|open airway} within it. Air bronchograms are branching dark tubes inside a patchy
consolidation. Pus {resolves|clears} slowly after treatment, and patchy consolidations fade with it.
Patchy {shadows|opacities} without fever deserve a second film. Loss of air is what all foci of
consolidation share, and foci may {merge|join} until a whole lobe is filled. A focus of
consolidation near the {border|edge} of the heart blurs its outline. Fever, cough and shortness of
breath together {suggest|support} pneumonia. Areas of consolidation that never resolve may be
{malignant|due to cancer}. Together the alveolar walls stay in their places while the content
changes.""",
    "cavity": """A cavity is a gas filled space {inside|within} diseased lung. Cavities
{form|appear} when dead tissue is coughed up through the airways. Tuberculosis is a
{classic|typical} cause of a cavitary lesion near the lung apex. Cavitary lesions with thick walls
may be {infected|malignant}. A thick-walled cavity deserves a closer look by an {expert|experienced
reader}. Thick-walled cavities are measured at the point of {greatest|most} wall thickness. The
level of fluid under gas shows that pus {is draining|collects} there. {Sputum|Morning sputum} is
stained for acid-fast mycobacteria and then cultured. Cough, night sweats and weight loss are
{common|frequent} complaints in tuberculosis. Active infection, the leading danger, may spread from
one cavity to {healthy|normal} lung. Cavity walls may be thin, and fungi can {settle|grow} within
them. Isolation ends as soon as no {germs|organisms} are coughed up.""",
    "haemorrhage": """A haemorrhage is blood that has {escaped|leaked} from a torn vessel.
Intracerebral haemorrhage {often|commonly} follows years of hypertension. An intracerebral
hemorrhage causes headache, confusion and slurred speech. Fresh blood attenuates rays more than
brain, so haematomas look {bright|white}. A hyperdense haematoma turns {grey|dark} as the weeks
pass. Further bleeding counts, since the hematoma presses on brain tissue and {raises|increases}
pressure in the skull. Haemorrhage deep in the brain, or haemorrhages at many places, {point
to|suggest} high blood pressure. Hypertension set aside, amyloid angiopathy makes small cerebral
vessels {weak|fragile} in old age. Pressure builds up when the brain bleeds, so treatment must be
{quick|early}. Anticoagulants thin the blood, and they are {stopped|reversed} at once. Haemorrhages
are looked for with CT, looking first at the {deep|central} grey matter. Hemorrhages in the
posterior fossa may need {urgent|immediate} surgery. A haemorrhagic focus can grow during the first
hours, so consciousness is checked often. {Hemorrhagic|Haemorrhagic} stroke and hemorrhagic foci are
treated in a stroke unit. Hyperdense hematoma is the American spelling, and some hematomas are
{drained|removed}.""",
    "infarct": """An infarct is tissue that died when its {artery|blood supply} was blocked.
Hypodense infarcts {look|appear} darker than normal brain on CT. A hypodense infarct follows the
{territory|field} of one vascular branch. Ischaemic lesions of the brain {increase|become more
common} with age. An ischemic lesion may be {silent|without symptoms} and found years later.
Ischemic lesions and ischaemic stroke call for {rapid|early} treatment. Reperfusion {opens|restores}
the occluded vessel and is given within hours of onset. Atrial {fibrillation|flutter} sends emboli
from the heart to the brain. Infarct sources are sought in the neck, where carotid stenosis makes
the main artery {narrow|tight}. Cytotoxic oedema means that {dying|starved} cells take up water.
Infarcts and areas of infarction {shrink|heal} and leave a fluid space. An area of infarction is
{slightly|barely} dark at first, and then its attenuation lowers further.""",
    "calcification": """Calcification is the {deposit|laying down} of calcium in tissue. Contrast is
strong here: calcifications are {bright|dense} because calcium stops so many rays. Calcified tissue
is hard, and a calcified focus is {usually|mostly} a trace of an old infection. Calcifications and
calcified foci in the brain can follow metabolic {disorders|disease}. Dense calcifications
{stay|remain} the same for years, and this stability is typical. A dense calcification must not be
{mistaken|taken} for fresh blood. Certain disorders and ageing bring mineral into the {walls of
arteries|central grey matter}. Much fine calcification is {easily|often} missed on an MRI scan. The
density of bone and calcification is {much the same|similar}. Very bright deposits that attenuate
strongly are {mineral|calcified}. Mineral in the pineal gland is a normal {finding|sight} in
adults.""",
    "tumour": """Tumour means swelling, and a tumour is a growth of {abnormal|clonal} cells that
obeys no control. A brain tumor may {first show|announce} itself by a seizure. Brain tumours are
{graded|ranked} by how fast their cells divide. Enhancing tumours take up contrast because their
vessels {leak|are leaky}. Note that neoplasms {arise|start} in one kind of cell and keep some of its
features. Neoplasms differ: a neoplasm near eloquent cortex {makes|renders} surgery difficult.
{Biopsy|Surgical sampling} tells the grade of the neoplasm. Seizures, headache and a {slow|growing}
deficit lead to scans that reveal brain tumors. Surgeons choose the approach that {spares|keeps}
speech and movement. A brain tumour is {discussed|reviewed} by the whole team before treatment.
Tumours that look alike may {differ|vary} in their genes. Tumors grow slowly or fast, and a tumor
{grade|stage} is no small matter.""",
    "cyst": """A cyst is a {closed|round} space with a wall and fluid content. Cysts in the brain
are {often|mostly} present from birth. A thin-walled cyst without enhancement is almost always
{benign|harmless}. Thin-walled cysts need no treatment if they cause no {symptoms|complaints}.
Cystic lesions with a thick wall may be {tumours|abscesses} instead. A cystic lesion has the signal
of {fluid|water}. Cerebrospinal fluid {flows|passes} through narrow pathways that a cyst can block.
{Headache|Dizziness} may result when fluid cannot drain. The content of {cysts|a cyst} is clear,
thick or bloody. Cyst growth is {watched|checked} from time to time. Clinical signs are few, and
thin membranes may {divide|split} a cyst into several rooms.""",
    "plaque": """A plaque in multiple sclerosis is a {patch|spot} of lost myelin. Plaque after
plaque may be {scattered|spread} through the white matter of the brain. A demyelinating plaque may
be {active|fresh} or old. Demyelinating plaques {gather|lie} around the ventricles. Hyperintense
plaques are brighter than the {tissue|matter} around them. A hyperintense plaque {slows|blocks} the
signals of nerve fibres. Dissemination means that lesions {differ|are spread} in place and in age.
Oligoclonal bands in the fluid {support|add to} the diagnosis. Gait disturbance and dizziness are
{early|frequent} complaints. Diagnostic criteria {suit|serve} most doctors, and whoever meets them
all has the disease. Plaques mark lost myelin, and myelin is the fatty {cover|sheath} of nerve
fibres. Enhancement shows inflammation that is active, and {old|quiet} plaques lack it.""",
    "granuloma": """A granuloma is a {small ball|tight cluster} of macrophages. Granulomas form
around an invader that the {body|immune system} cannot kill. An epithelioid granuloma is built of
{large|plump} pale macrophages. Epithelioid granulomas may {hold|contain} giant cells with many
nuclei. Well-formed means compact: a well-formed granuloma has a {clear|sharp} border. Granuloma
walls differ, and well-formed granulomas without dead centres {suggest|fit with} sarcoidosis.
Special stains {search|look} for mycobacteria, fungi and other organisms. Cultures {take|need} weeks
before they can be called negative. Sarcoidosis {affects|involves} lymph nodes, lungs and skin.
Giant cells {arise|are formed} when macrophages join together. The formation of a wall of cells
{seals|walls} off the infection.""",
    "necrosis": """Necrosis is the death of {cells|tissue} in a living body. With its cells gone, a
focus of necrosis is {pink|pale} and has lost its nuclei. Foci of necrosis may {join|merge} into a
large field of debris. A necrotic focus draws inflammatory cells {to|towards} its border. Necrotic
foci in a tumour tell of {rapid|fast} growth. Coagulative necrosis {keeps|leaves} the outlines of
dead cells for days. Liquefactive necrosis {turns|softens} tissue into fluid. An area of necrosis is
a {sign|mark} of interrupted blood flow or infection. Areas of necrosis {heal|close} by scar.
Interrupted blood flow leaves a necrotic area with no {living|intact} cells, and tissue dies.
Necrotic areas are {removed|cut away} before a wound can heal. In the end all debris is
{cleared|eaten} by macrophages.""",
    "lymphoid aggregate": """A lymphoid aggregate is a {crowd|cluster} of small dark cells. Lymphoid
aggregates {gather|appear} where inflammation is chronic. A lymphoid follicle with a germinal
{centre|center} is a reactive structure. Lymphoid follicles {belong|are at home} in lymph nodes and
in the gut. Aggregates of lymphocytes are {densely|tightly} packed and look blue. Densely packed as
they are, the cells leave {little|no} space between them. An aggregate of lymphocytes may be
reactive or {clonal|malignant}. Immunophenotyping {sorts|separates} cells by the markers on their
surface. Lymphocytes {have|show} round nuclei and little cytoplasm. Germinal centres {grow|swell}
when the immune system is at work. A clonal population {comes|stems} from a single cell. Nuclei that
are densely packed give {follicles|a follicle} a dark rim.""",
    "metastasis": """A metastasis is a {deposit|colony} of cancer far from its primary site.
Metastasis is spread, and metastases {reach|travel to} the liver in the blood. Metastases or
metastatic deposits are often {pale|white} and firm. Pale at times, a metastatic deposit may be
{soft|firm} in texture or hard to the knife. A metastatic nodule stands {out|apart} from the
parenchyma by its colour. Metastatic nodules under the surface {bulge|push up} like small hills.
Antibody markers {trace|link} a metastasis to its origin. Staging tells how far {a cancer|the
disease} has spread. Systemic treatment reaches {all|even hidden} deposits in the body. Primary
tumours of the {bowel|lung} are frequent origins of metastasis. Weight loss and jaundice may be the
first {signs|complaints}.""",
    "abscess": """Something to drain, an abscess is a {pocket|pool} of pus with a wall around it.
Abscesses {hurt|are painful} and make patients feverish. A pyogenic abscess is {caused|filled} by
bacteria that make pus. Pyogenic abscesses are {drained|opened}, and the pus is sent for culture.
The pus-filled abscess {must|has to} be emptied before it bursts. Pus-filled abscesses of the liver
may follow {bowel|bile duct} infection. Antibiotics alone {seldom|rarely} cure a large abscess.
Abscess culture {guides|narrows} the choice of antibiotics. Drainage can be {done|carried out} with
a needle under local anaesthesia. Inflammatory markers {fall|decline} as soon as pus is let out. The
fibrous wall of an abscess keeps {germs|infection} in and antibiotics out. A hidden source of
{rising fever|infection} should always be sought.""",
    "infarction scar": """An infarction scar is {firm|dense} collagen where muscle has died.
Infarction scars {are pale|look white} and thinner than the wall around them. A scar marks the
heart: a post-infarction scar {cannot|does not} contract with the heart. Post-infarction scars may
{stretch|bulge} over the years. A healed infarct scar is {retracted|sunken} below the surface.
Healed infarct scars {mark|show} the territory of one artery. An old infarct leaves a scar, the
{trace|sign} of a long past event. Scars of the kidney after old infarcts are {shaped|formed} like
wedges. Collagen {replaces|takes over from} dead muscle within weeks. Function that is lost in a
scar does not {return|come back}. The {supplying|narrowed} artery may be opened so that the next
infarct is prevented.""",
    "none": """Reassurance for the patient is the {strength|value} of a normal image. Contours and
structures count: normal {contours|outlines} are smooth and even on both sides. Symmetry of the two
{sides|halves} speaks against disease. The second observer detected {nothing|no abnormality} either.
Where nothing is found, {reassurance|plain reassurance} is the best treatment. The appearances of
healthy tissue {change|differ} with age. Structures, colour and proportions were as expected
throughout. A picture can be normal {though|while} the patient feels ill. Neither reader {saw|noted}
any focal lesion that day. Unremarkable studies do not {rule out|exclude} early disease. There is no
{reason|need} to treat a healthy organ. Evidence of focal disease was {not found|absent} in the
control group.""",
    "chest_xray": """A chest radiograph is the {first|initial} imaging test for cough and fever.
Posteroanterior chest radiographs are {taken|made} while the patient holds a breath. A plain chest
radiograph {takes|needs} little time and a low dose. Initial chest X-ray films {serve|are kept} for
comparison and have often served well. Posteroanterior means that the {rays|beams} pass from back to
front. Aerated lungs are dark: the heart and mediastinum {lie|stand} between the aerated lungs. Ribs
{cross|cover} the lung fields and may hide small shadows. Absorption of rays {differs|varies}
between bone, soft tissue and air. {Frontal|Plain} views of the thorax are easily made at the
bedside. Chest film, plain film and chest radiographs are {names|words} for one test. Imaging was
{unremarkable|done in the ward}, the initial chest film included. Thoracic halves are alike, so each
hemithorax has {an upper zone|a middle zone}, and lung zones are no lobes.""",
    "ct_scan": """Computed tomography {builds|makes} slices of the body from many projections. Head
scans by CT {take|last} only seconds. A CT is read {slice by slice|from top to base} on a screen.
Non-contrast CT {comes|is done} first when a stroke is suspected. At admission a head CT is
{quick|easily obtained}. Cranial CT scan is {another|an older} name for a head CT. Attenuation is
the {weakening|loss} of rays on their way through tissue. An axial computed tomography scan
{cuts|slices} the brain from ear to ear. A computed tomography slice has a grey scale with
{settings|a window} for bone or fat. Axial CT is {quicker|cheaper} than MRI and more widely at hand.
An axial slice of the {head|brain} may hold both hemispheres. Differences show when projections
{around|about} the patient are computed into one picture.""",
    "mri": """Neuroimaging by magnetic resonance uses a {strong|powerful} magnet and radio waves. An
MRI scan {uses|needs} no ionising radiation at all. A brain MRI {takes|lasts} half an hour and is
noisy. T2-weighted MRI makes {fluid|water} and oedema bright. Axial FLAIR image means that the
signal of free {fluid|water} is put out. Free water lengthens the relaxation of protons, which is
{measured|timed} after each pulse. Protons {behave|act} like tiny magnets in the scanner. A magnetic
resonance image is {rich|strong} in soft tissue contrast. Axial MRI and MR imaging are
{preferred|used} in multiple sclerosis. An MR image may be {spoilt|blurred} when the patient moves.
The relaxation times of {fat|water} differ from those of {brain|muscle}. Magnetic resonance imaging
{answers|settles} what CT leaves open.""",
    "histology": """Histology is the study of tissue under {a light microscope|the microscope}.
Haematoxylin {colours|stains} nuclei blue, and eosin turns the cytoplasm pink. Photomicrograph is a
long word for a {photograph|picture} taken through a microscope. Light passes the slide, and a
micrograph {shows|holds} only a small field of a section. Tissue is {fixed|kept} in formalin
overnight before it is sliced. Core biopsy {removes|takes} a thin rod of tissue with a needle.
Hematoxylin and eosin are the {usual|routine} dyes. Medium-power views help the eye, and a
medium-power field {shows|covers} the arrangement that tissue architecture has. Histopathology
{gives|provides} the final diagnosis in many disorders. Histological slides and each histological
section are stained, {covered|dried} and magnified. Micrograph, microscopy report, light micrograph
and the histology slide are {stored|filed} for years. Representative fields are {chosen|picked} by
the pathologist for microscopy.""",
    "gross": """A gross specimen is {described|examined} before any slice is cut for microscopy.
Gross pathology looks at organs with the {naked|unaided} eye. Photographs of the gross specimen
{record|keep} colour and form. Microscopy comes later; the cut surface {reveals|shows} what the
outer surface hides. Colour matters: a macroscopic view needs no magnification and no
{staining|dye}. The resected organ is {weighed|washed}, measured and photographed as received.
Material at autopsy is {sampled|taken} from several organs. Tissue blocks are {labelled|numbered}
for further study. Photograph on photograph needs even {light|lighting} and a scale. The gross
pathology image and the gross photograph are {part|parts} of the report. Macroscopic photographs
show the {texture|surface} of the specimen. Operative notes tell that the operative material
{came|arrived} in one piece after sectioning.""",
    "anatomy": """The brain has a left and a right {hemisphere|half}. Each cerebral hemisphere
{controls|moves} the opposite hand. Grey in colour, the cortex is the {outer|folded} layer of the
brain. White matter {lies|runs} below the cortex and carries signals. Anterior parts of the brain
{plan|guide} what a person does. Posterior regions of the cortex {deal|work} with sight, and each
region has its task. Central parts of the brain {contain|hold} the ventricles. The skull
{protects|guards} the brain like a case of bone. The right lung has three lobes and the left lung
has {two|only two}. Lower down, the lower zone of {either|each} lung rests on the diaphragm. Alveoli
are {tiny|small} sacs where oxygen enters the blood. The mediastinum {contains|holds} the heart and
the great vessels. The liver {weighs|has a weight of} about 1450 g in adults. Lymph nodes
{filter|clean} fluid and swell during infection. Arteries {carry|bring} blood from the heart, and
each artery serves its own territory. Parenchyma is the {working|main} tissue of an organ. A
ventricle of the brain is {filled with|full of} cerebrospinal fluid. The thorax {reaches|extends}
from the neck to the diaphragm. An organ is {made|built} of tissues, and a tissue is made of cells.
Bone, fat, muscle and air are {found|present} in every body. The form of a healthy {organ|heart} is
smooth and firm. Vascular walls {thicken|harden} in old age. Middle parts lie {between|amid} the
upper and the lower. The population of cells in a lymph node {changes|shifts} over time. Cell
outlines, nuclei and cytoplasm are seen at medium or high {power|magnification}.""",
    "reading": """Left and right are always {those|the sides} of the patient. The side of a lesion
is given {first|before its level}. On the screen lesions are counted one by one, {building|making} a
full list. Several lesions {may lie|may be located} on one side or on different sides. A lesion is
called solitary when there is {only|just} one. Time and again two lesions are {counted|reported} as
two even if they touch. Three in number, they are {rather|roughly} of the same size. Its size is
graded by eye: large is {more|bigger} than most, and small is less. Tiny means {very|really} small,
and not just {small|little}. Sizeable is {much|nearly} the same as large. Upper, middle and lower
{zones|thirds} divide the lung by height. For a slice of {brain|head}, anterior is at the top and
posterior at the bottom. With the eye on a projecting rib or other object, a reader {starts|begins}
at one border and follows the contours all around. A visible arrow {points|is drawn} towards the
lesion. Overall, what stands out is {named|described} first, and then the background. The location
of a finding {is told|is given} by side and level. Size is {judged|graded} with a scale, in relation
to the organ. Readers assign sides, so a finding can be {placed in|assigned to} one half of the
field. Two is more than one, and one finds that a large focus can {lie|sit} next to several small
foci. The observer {counts|numbers} the lesions twice to be exact. Right and left are
{mistaken|confused} more easily than one would think. Artefacts from {motion|poor technique} may
look like disease. Comparison helps: careful readers {compare|look at} both sides before they
decide. Careful and systematic, a reader {keeps|follows} the same search pattern each time. The
affected side {is marked|is noted} together with the laterality. Most readers {agree|differ little}
on number, but less so on size. Either half of a specimen is {opened|searched} from the top third to
the bottom. Anterior or posterior, the upper third, the middle portion and the lower part are
{roughly|about} equal.""",
    "clinic": """Clinical sense comes first, so a clinician {asks|listens} and only then examines.
The history of the patient {guides|decides} the choice of tests. Complaints such as chest pain or
abdominal pain are {written|noted} down. She was {admitted|referred} with cough and fever and lay in
the respiratory ward. This 60-year-old teacher came with headache, dizziness and a {gait
disturbance|first seizure}. A woman of sixty had enlarged {lymph nodes|nodes} and night sweats.
Neurosurgical advice was sought when a man came with confusion and a {persistent|new} swelling. The
patient had a slowly growing {lump|swelling} and chronic diarrhoea. Chronic {diarrhea|diarrhoea} and
weight loss led to a biopsy. Presentations vary, but jaundice, fever and a sudden collapse are
{urgent|worrying} signs. Oxygen saturation on arrival was {94%|low}, so oxygen was given. Local
{anaesthesia|anesthesia} is enough for a small operation. Written consent was {given|signed} by the
family, and the next of kin agreed. Reproduced pictures need permission, and consent for publication
{is asked|was obtained} before a picture is printed. Symptoms {improved|had improved} within six
months of the treatment. Surgeons could remove the lump, and the uneventful operation {lasted|took}
about 3 hours. Therefore the starting point is {clear|plain}: treatment begins early when an
infection is active. Follow-up {shows|tells} whether the treatment has worked. Cardiac pacing
{helps|supports} a heart that beats too slowly. Renal transplantation {gives|brings} new function to
patients on dialysis. Hip replacement and cataract surgery are {common|frequent} operations in old
age. Dental implantation {replaces|restores} a lost tooth behind the lip. Wound suturing is
{learned|taught} in the first year. The referring physician {wanted|needed} advice on management.
The medical work-up {is planned|should be planned} in one room, step by step. The neurosurgical team
{decides|advises} when an operation is worth the risk. Neurological signs change, so the examination
is {repeated|documented} every day. The principal steps {depend|rest} on age, symptoms and the
course of disease. Prepared sputum, blood and tissue were sent for {culture|study} on the same
day.""",
    "reports": """Colleagues consider many factors, and a detailed report is {exact|complete}.
Undoubtedly is a strong word, and {careful|good} readers seldom write it. Nothing proves a reader
right: little is absolutely certain {in|in daily} medicine. Certainly not {every|each} shadow is a
disease. Unquestionably the history {matters|counts} as much as the image. Stability helps, yet few
findings {prove|show} a diagnosis conclusively. Doubt should be {stated|written} plainly, and so
should certainty. A tumour may be present, and it {cannot be|can hardly be} excluded. Perhaps this
might be an artefact, or perhaps {an early sign|it is real}. Correlation with the clinical picture
is {often|always} advised. A second reader {could|would} add something to this evaluation. Opinions
differ where various interpretations are possible and {several|some} are likely. It is {unclear|hard
to tell} whether the change is old or new. The features are unusual, and opinions on their nature
{vary|differ}. More than one interpretation is {conceivable|possible}. It {depends|may depend} on
the setting and on the question asked. The radiologist was unsure and {said|wrote} so. Beyond all
this, a report {names|should name} what was not seen. Overlooking details is human, but vague words
{leave|keep} the clinician in the dark. The conclusion was put {briefly|clearly} and without any
flourish. Finding something of note is a {reason|ground} to put it in the first line. Such an
appearance, hardly pathological, is {unremarkable|notable} for the age. Its presence is
{considered|thought} to be of great interest and importance. Reports with doubt in them are still
more reliable than {guesses|loud claims}. Various readings exist, and there could be {other|better}
explanations, difficult as they seem. Judging is a skill, and a complete reading {holds|stands} even
when another physician reviews it. Sure of {their|the} judgement, both readers signed. Central
aspects also count, and an aspect that {seems|looks} minor today could matter in the end.""",
    "questions": """What {kind of|type of} study was done? It was an ultrasound of the liver. Which
imaging modality uses sound? An ultrasound image is {made|built up} from echoes. What is a sonogram?
{It is|That is} a picture made of sound, in which gas casts a shadow. Where is the heart? The heart
{lies|sits} between the lungs, mostly on the left. How many lungs do people have? Yes, people have
{two|two of them}. Is a cyst the same as an abscess? No, a cyst {contains|holds} clear fluid. Does
the patient smoke? Yes, he has {smoked|been smoking} for years. Do ribs hide nodules? Yes, they
{may|can}, and then another view helps. Are both kidneys affected? No, only the left one is
{affected|involved}. Can a scan be normal in early stroke? Yes, it can {be so|look so} for hours.
Why was the biopsy taken? It was {taken|done} because the lump kept growing. Would you treat her?
No, I would {wait|watch} and see. At which level would one draw the navel? It {is|lies} near the
middle. To which organ does bile belong? It {belongs|goes} with the liver. By which route do emboli
travel? They {travel|go} along the arteries. Which side is the liver on? It {is|lies} under the
right ribs. In what way does age matter? Older people {heal|mend} more slowly, and sight declines.
Is there any doubt? None, since both tests {agree|meet} in one answer. Please describe the wound:
the wound is {clean|dry}, and its border is smooth. Give a short answer: is it large or small?
{Small|Large}. What is the main influence on a student, and what should one learn? A student should
{learn|come} to look twice. Could this be cancer? It {could|might}, and so we must look further. How
would one find a name for it? One would {call|name} it a harmless spot. How big is the spleen? It is
{as large as|about the size of} a fist. What would you advise instead? We would {summarise|file} the
case and ask an expert to judge. Describe the gait: it is slow, and the left leg {is weak|drags}.
Was there pain? No pain, the patient {said|told us}.""",
    "quoting": """As the text puts it, {time|early care} is brain. Figure and text agree: the
authors {write|say} that all of their patients gave consent. The paper {speaks|tells} of two
observers who worked independently. In full, the {sentence|line} is longer than what we give here.
To be exact, the {article|journal} speaks of patients and not of cases. Colleagues liked how it was
put in the lecture, {a film|one image} is worth many words. The figure is meant to {illustrate|show}
the method. Figures illustrate what the {text|author} describes in words. The picture was reproduced
{with|after} consent and is shown without names. Demonstrated above, the {results|data} were
displayed in a table. The authors {disclosed|revealed} how the images were obtained. Demonstrating
little new, an earlier paper {demonstrated|showed} the same in children. Being exact, they
{documented|recorded} that the study had been reviewed. The detail illustrates the text, a caption
gives a description, and an arrow {brings|points} out details. An expert {may use|would choose}
other terms than a student. Teaching sets {collect|gather} typical material, and a set may span many
years. Three topics were {brought|taken} to the conference, and colleagues came to discuss them.
Under this {topic|heading} belong both diagnosis and care. Experience teaches, and the lecture
{deals|dealt} with context, background and experience. The rules apply to all, and points to take
home are {given|listed} at the end. Large collections and a patient's story {hint|lead} at much, and
hints train the eye. The book {adds|includes|is worth including for} pictures from the ward. He
looked up and was depicted {demonstrating|explaining} the cut surface to students. The image
{disclosed|confirmed} what the physician had thought. Any photograph {revealing|showing} a face is
not printed. At presentation the disease was {identified|observed} on the very first visit, before
the time for treatment came. A control patient, {presenting with|a man with} a cough, was seen
before treatment. They speak of the process as well known, and the review {suggests|judges} that
this is known and well described.""",
    "causes": CAUSES,
}

SENTENCES: dict[str, tuple[str, ...]] = {
    subject: tuple(_BETWEEN_SENTENCES.split(" ".join(page.split())))
    for subject, page in _PAGES.items()
}
"""Subject (kind of finding, "none", modality or theme) -> its sentences, with alternatives.

A question with its answer counts as one sentence.
"""


def write_passage(rng: np.random.Generator, subject: str | None = None) -> str:
    """Two to four different sentences on one subject, in random order and wording.

    Args:
        subject: a key of SENTENCES, or None for a random subject.

    Raises:
        ValueError: `subject` is not in the textbook.
    """
    if subject is None:
        subject = tuple(SENTENCES)[int(rng.integers(len(SENTENCES)))]
    if subject not in SENTENCES:
        raise ValueError(f"subject={subject!r} is not in the textbook; it has {list(SENTENCES)}")
    page = SENTENCES[subject]
    chosen = rng.permutation(len(page))[: rng.integers(FEWEST, MOST + 1)]
    return " ".join(_worded(page[k], rng) for k in chosen)


def _worded(sentence: str, rng: np.random.Generator) -> str:
    """`sentence` with one alternative of each "{first|second}", drawn at random."""

    def choose(found: re.Match[str]) -> str:
        options = found.group(1).split("|")
        return options[int(rng.integers(len(options)))]

    return _CHOICE.sub(choose, sentence)

"""One more page of the textbook: causes, evidence and care of all findings.

Same format as the textbook: its own wording, with alternatives in braces.
"""

from __future__ import annotations

CAUSES = """Persisting fever is investigated with {blood tests|cultures} before any treatment is
started. Laboratory results {alone|by themselves} are seldom sufficient, and a colleague may read
them in other ways. Bacterial, fungal and parasitic germs each leave {traces|marks} that microscopic
study can distinguish. Calcium salts are {laid|left} down where metabolism is altered, as in
hypoparathyroidism. Roughly {half|a third} of all incidental nodules in smokers are harmless, and a
hamartoma is among them. Some conditions disappear {by themselves|untreated}, and what remains is a
small scar. Ill-defined {edges|borders} with invasion of nearby surroundings cause concern about
squamous carcinoma. Autoimmune disease means that the body {attacks|harms} itself, and demyelination
can be one result. Myelin is lost for good in progressive {forms|cases} unless a disease-modifying
drug slows the process. Spread to distant organs makes {a cancer|the disease} advanced, wherever the
primaries may be. Neurocysticercosis is a worm's {work|doing}, and it favours the brain. Disorders
of clotting and an anticoagulant drug both favour {bleeding|bruises} after trauma. Stains in the
laboratory {tell|show} which organism produced the damage. Individual red cells hold haemoglobin,
which is {vital|needed} to carry oxygen. Growth over an interval of months helps to determine the
{true|real} significance of a solid lesion. According to most {experts|authors}, information is
useful only if it answers a specific question. Staining {rests|depends} on dyes that reflect what
each cell contains. Shades of grey on a display are {adapted|fitted} to the eye, and resolution sets
a limit. Cancers of the colon and the breast are of many {types|kinds}, and doctors classify them
all. Risk and gain are {weighed|compared} before the removal of an isolated focus. Disease-modifying
drugs do not {cure|heal}, yet relapses are better controlled. Lumbar puncture gives fluid that is
{collected|caught} in small tubes. Glioma and meningioma are intracranial {tumours|masses}, while an
arachnoid pouch may be congenital. Arterial occlusion by a thrombus or an embolus can obstruct
{vessels|flow} until no cell is viable. Ischaemia that lasts for hours {harms|damages} nerve cells
permanently. Surgery is recommended when {tablets|drugs} fail, and I am told that patients manage
well. Blood that has accumulated is {drawn|let} out, and the patient is monitored and later
reassured. Smoking explains most of these {deaths|cases}, though the cause of some is unknown. Wall
thickness and content {define|decide} what a differential must account for. Lung disease after
{choking|drowning} is managed with targeted antibiotics. Aspiration of a collection establishes
{quickly|early} whether germs are blood-borne. Congenital spots are recognised {early|at once} and
are not going to change. Necrotising infection demonstrates how fast tissue dies, and treating it
{cannot|must not} wait. Trauma must be ruled out {first|early}, so let me explain the reason. Vital
signs are what nurses document {first|at once} in any assessment. A proton in {water|fat} reflects
the field around it, and brightness represents the answer. To localise {pain|weakness} comes first,
then we demonstrate its source with regard to each symptom. A letter states what is relevant, what
appears definitely {new|odd}, and what was interpreted clinically. We recommend rest, since this
illness may involve joints and resists {all|most} tablets. In my opinion {nothing|no test} is
absolute, and one blood count determines little."""

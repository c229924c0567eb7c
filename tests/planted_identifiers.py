"""Made-up sentences with one planted identifier each, between « and », by kind.

They were written before their recall was measured, in the manner of notes, captions and letters;
names in running text, without a title or a label, are among them.
"""

from __future__ import annotations

PLANTED: dict[str, list[str]] = {
    "name": [
        "Chest radiograph of «Mr. Albert Quill», taken in bed.",
        "«Mrs Jane O'Connor-Lee» complained of chest pain.",
        "The scan was requested by «Dr. Weber».",
        "Reported by: «Sarah Connolly»",
        "Patient name: «Hollis, Margaret»",
        "Name: «DOE JOHN»",
        "PatientName «QUILL^ALBERT^J»",
        "CT of the abdomen of patient «Maria Gonzalez».",
        "«Frau Müller» wurde am Knie operiert.",
        "«Prof. van der Berg» interpreted the biopsy.",
        "The patient, «Liam Murphy», recovered well.",
        "«Anna Kowalska» underwent resection of the left lobe.",
        "A boy named «Tomas Novak» with a fracture.",
        "We thank «Miss Adeyemi» for permission to publish.",
        "Biopsy of «J. Fernandez», right breast.",
    ],
    "date": [
        "Radiograph of «12/03/2019» shows an infiltrate.",
        "Taken on «2019-03-12» at admission.",
        "Surgery was on «March 12, 2019».",
        "Seen again on «3rd of April 2020».",
        "Born «07.11.1948», admitted with dyspnoea.",
        "DOB «1948/11/07»",
        "Study date «20190312»",
        "The image from «12-Mar-2019» is normal.",
        "Follow-up in «June 2018» showed no change.",
        "On «5 May» she was discharged.",
        "Died «Dec 24th, 2011» of sepsis.",
        "Examined «14.2.19» in the outpatient clinic.",
        "The lesion was first seen in the «summer of 2016».",
    ],
    "record number": [
        "«MRN 00482913», portable chest film.",
        "«MRN: A-448291»",
        "Hospital no. «H1234567» is on the film.",
        "«Patient ID: 83-22-914»",
        "«Accession number 20193312-7»",
        "Social security number «078-05-1120».",
        "«NHS number 943 476 5919»",
        "«ID: 7733921» is printed at the top.",
        "Record number «RX/2019/4481» of the archive.",
        "Case «#448-19», slide 3.",
        "Specimen «S19-04482», level 2.",
    ],
    "telephone": [
        "Call «555-201-3345» for the originals.",
        "Phone: «(617) 555-0142»",
        "Tel. «+44 20 7946 0958»",
        "«+49 30 901820» was given as a contact.",
        "Mobile «07700 900123»",
        "Fax «617.555.0199»",
        "Her daughter's number is «0151 496 0231».",
    ],
    "e-mail": [
        "Write to «a.quill@example.org» for the film.",
        "«jane_doe+scans@mail.example.co.uk»",
        "Contact: «QUILL@EXAMPLE.COM».",
    ],
    "address": [
        "Lives at «12 Elm Street», with her son.",
        "«221B Baker Street», London",
        "Home: «4500 North Lake Shore Drive»",
        "«Boston, MA 02115»",
        "«Lindenstraße 14» in Berlin",
        "Postcode «SW1A 1AA»",
        "«17, rue de la Paix», Paris",
        "He lives in «Little Snoring, Norfolk».",
    ],
    "age over 89": [
        "A «92-year-old» woman with a cough.",
        "A man «aged 97» with a fracture.",
        "«101 years old» at the time of the scan.",
        "This «94 yo» male was admitted.",
        "A «nonagenarian» with delirium.",
        "Woman, «93 years», hip fracture.",
        "Age: «90»",
        "At the «age of 99» she fell.",
        "A «ninety-three-year-old» retired miner.",
        "«91F», chest pain.",
    ],
}
"""By kind of `privacy.RULES`."""

HARMLESS = [
    "An 89-year-old man; a 7-year-old girl; aged 45 to 62 years.",
    "Magnification x400, scale bar 50 µm, 1.5 T, slice 5 mm, kVp 120, 2019 guidelines.",
    "Stage III disease by the 2018 FIGO system; grade 2/3; T2N0M0; L4-L5; C5/C6.",
    "May-Grünwald stain; the lesion may be benign. March fracture. Dr-positive cells.",
    "Figure 2 of 12; panel A-C; arrows 1-3; 95 % of 120 patients; p = 0.001; 90 days.",
    "Parkinson's disease, Hodgkin lymphoma, Hounsfield units, the Mayo Clinic, Paris criteria.",
    "The patient Satisfaction Questionnaire was filled in; patient 12 of group B.",
]
"""Sentences of captions in which nothing identifies anybody."""


def planted(sentence: str) -> tuple[str, str]:
    """Return a sentence without its marks, and what is planted in it."""
    before, _, rest = sentence.partition("«")
    word, _, after = rest.partition("»")
    return before + word + after, word

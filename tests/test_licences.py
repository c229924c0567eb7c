"""Claims about licences: one name for many spellings, and none for what is not certain."""

from __future__ import annotations

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vital_lib.licences import (
    PUBLIC_DOMAIN,
    allowed,
    figures_under,
    is_open,
    spdx,
    terms,
    wanted_names,
)

NAMES = {
    "CC-BY-4.0": [
        *("CC BY 4.0", "CC-BY-4.0", "cc_by_4.0", "cc by 4", "CCBY 4.0", "CC BY4.0", "CC-BY 4-0"),
        *("https://creativecommons.org/licenses/by/4.0/", "creativecommons.org/licenses/by/4.0"),
        *("http://www.creativecommons.org/licenses/by/4.0/legalcode.en", "Attribution 4.0"),
        "https://creativecommons.org/licenses/by/4.0/deed.en",
        "Creative Commons Attribution 4.0 International",
        "Creative Commons Attribution 4.0 International License",
        "Creative Commons Attribution License 4.0",
        "Attribution 4.0 International (CC BY 4.0)",
        "CC BY 4.0 (https://creativecommons.org/licenses/by/4.0/)",
    ],
    "CC-BY": ["CC BY", "cc-by", "Creative Commons Attribution", "CC BY license"],
    "CC-BY-SA-3.0": ["CC BY-SA 3.0", "CC BY-SA 3.0 Unported", "Attribution-ShareAlike 3.0"],
    "CC-BY-3.0-US": ["https://creativecommons.org/licenses/by/3.0/us/", "CC BY 3.0 US"],
    "CC-BY-NC-4.0": [
        *("CC BY-NC 4.0", "cc-by-nc-4.0", "https://creativecommons.org/licenses/by-nc/4.0/"),
        *("Creative Commons Attribution-NonCommercial 4.0", "Attribution Non-Commercial 4.0"),
    ],
    "CC-BY-NC-ND-4.0": [
        *(
            "CC BY-NC-ND 4.0",
            "https://creativecommons.org/licenses/by-nc-nd/4.0/",
            "cc by nd nc 4.0",
        ),
        *("Attribution-NonCommercial-NoDerivatives 4.0 International", "CC BY-NC-ND 4.0 DEED"),
    ],
    "CC-BY-ND-2.0": ["CC BY-ND 2.0", "Attribution-NoDerivs 2.0 Generic"],
    "CC0-1.0": [
        *("CC0", "CC0 1.0", "cc-zero", "CC0-1.0", "CC0 1.0 Universal"),
        *("CC0 1.0 Universal Public Domain Dedication", "Creative Commons Zero"),
        "https://creativecommons.org/publicdomain/zero/1.0/",
    ],
    "CC-PDM-1.0": ["https://creativecommons.org/publicdomain/mark/1.0/"],
    PUBLIC_DOMAIN: ["Public domain", "public domain (US NIH)", "PUBLIC DOMAIN"],
    "MIT": ["MIT", "MIT License"],
    "Apache-2.0": ["Apache 2.0", "Apache-2.0", "Apache License 2.0"],
}
UNKNOWN = [
    *(None, "", " ", "-", "unknown", "see paper", "all rights reserved", "by", "by 4.0", "4.0"),
    *("not CC BY", "CC BY 4.0 except figure 3", "CC BY 4.0 or CC BY-NC 4.0", "CC", "CC SA"),
    *("NO-CC CODE", "CC BY-ND-SA 4.0", "CC BY BY", "CC NC 4.0", "not in the public domain"),
    "https://example.org/licenses/by/4.0/",
    "https://creativecommons.org.example.org/licenses/by/4.0/",
    "https://creativecommons.org/licenses/by/4.0/ except figure 3",
    "https://creativecommons.org/licenses/",
    "Distributed under CC BY 4.0, which permits use; figure 2 by permission of the publisher",
    "CC BY 4.0 (CC BY-NC 4.0)",
    "http://[",
]


@pytest.mark.parametrize(
    ("name", "text"), [(n, text) for n, texts in NAMES.items() for text in texts]
)
def test_each_spelling_has_its_spdx_name(name, text):
    assert spdx(text) == name


@pytest.mark.parametrize("text", UNKNOWN)
def test_what_is_not_certain_is_unknown_and_not_open(text):
    assert spdx(text) is None and not is_open(text)
    assert not allowed(text, wanted_names(["CC BY", "CC0", "Public domain"]))


@given(st.text(max_size=60))
def test_any_text_is_read_without_an_error(text):
    name = spdx(text)
    assert name is None or spdx(name) == name


def test_open_licences_allow_changes_and_commercial_use():
    opened = {name for name in NAMES if is_open(name)}
    assert opened == {
        *("CC-BY-4.0", "CC-BY", "CC-BY-SA-3.0", "CC-BY-3.0-US", "CC0-1.0", "CC-PDM-1.0"),
        PUBLIC_DOMAIN,
    }
    assert terms("CC BY-NC-ND 4.0") == ["credit", "no commercial use", "no changes"]
    assert terms("cc by-sa") == ["credit", "same licence"] and terms("CC0") == []
    assert terms("unknown") == []


def test_a_wanted_name_stands_for_its_versions_and_for_nothing_narrower():
    names = wanted_names(["CC BY", "CC0"])
    for text in ("CC BY 2.0", "https://creativecommons.org/licenses/by/3.0/us/", "CC0", "CC0 1.0"):
        assert allowed(text, names), text
    for text in ("CC BY-NC 4.0", "CC BY-SA 4.0", "CC BY-ND 4.0", "Public domain", "MIT", None):
        assert not allowed(text, names), text
    assert allowed("CC BY 4.0", wanted_names(["CC BY 4.0"]))
    assert not allowed("CC BY 3.0", wanted_names(["CC BY 4.0"]))


def test_figures_under_a_licence_are_those_that_surely_are():
    stated = ["CC BY 4.0", "CC BY-NC 4.0", None, "see paper"]
    figures = pd.DataFrame({"figure_id": list("abcd"), "licence": stated})
    assert figures_under(figures, ["CC BY", "CC0"]) == {"a"}
    assert figures_under(figures, "stated") == figures_under(figures, "any") == set("abcd")
    with pytest.raises(ValueError, match="0 of 4 figures are under these; stated are CC BY 4.0,"):
        figures_under(figures, ["MIT"])


@pytest.mark.parametrize("wanted", [["CC BY", "free"], [], "CC BY"])
def test_a_wanted_licence_that_is_not_known_is_refused(wanted):
    with pytest.raises(ValueError, match='give a list of names such as "CC0"'):
        wanted_names(wanted)

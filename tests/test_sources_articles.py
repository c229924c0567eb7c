"""Claims about articles in JATS: figures wherever they stand, their words, licences and images."""

from __future__ import annotations

import sys

import pytest
from article_rows import BY, article, fig, png, with_lxml, write_article, write_tar

from vital_lib.figures import NoUsableFigures, read_figures
from vital_lib.records import InvalidRecord
from vital_lib.sources import open_source
from vital_lib.sources.licences import licence_of


@pytest.fixture(autouse=True)
def _lxml():
    with_lxml()


def records(source, tmp_path) -> dict:
    """Each record of a source by its pair_id or, for a rejected one, by its place."""
    found = {}
    for place, one in open_source(str(source), work=tmp_path / "work").records:
        found[place if isinstance(one, InvalidRecord) else one["pair_id"]] = one
    return found


def read(tmp_path, content: bytes) -> dict:
    found = records(write_article(tmp_path / "set", content), tmp_path)
    return {name.removeprefix("PMC7654321_"): one for name, one in found.items()}


def mentions(record: dict) -> list[str]:
    return [one["tokens"] for one in record["in_text_mention"]]


def test_a_folder_of_articles_becomes_figures_with_group_licence_and_credit(tmp_path):
    body = f'<sec><p>See <xref ref-type="fig" rid="F1">Fig. 1</xref>.</p>{fig()}</sec>'
    write_article(tmp_path / "set" / "PMC7654321", article(body), ("x-f1.jpg", "x-f1.gif"))
    write_article(tmp_path / "set" / "other", article(fig(), ids="<article-id/>", licence=" "))
    figures, rejected = read_figures(str(tmp_path / "set"), run=tmp_path / "run")
    row = figures.iloc[0]
    assert (row["figure_id"], row["caption"]) == ("PMC7654321_F1", "Figure 1. A scan.")
    assert row["mentions"] == ["See Fig. 1."] and row["group_id"] == "31234567"
    assert row["image"].endswith("set/PMC7654321/x-f1.jpg")
    assert (row["source"], row["licence"], row["cleared"]) == ("PMC-OA", "CC BY 4.0", True)
    assert row["credit"] == "Doe Ann. On scans. Journal of Scans 2020."
    (lost,) = rejected.to_dict("records")
    assert lost["place"] == "other/article.nxml#F1" and "no such image file" in lost["reason"]


def test_a_figure_is_found_wherever_jats_allows_it(tmp_path):
    body = (
        f"<sec><sec>{fig('F1')}</sec><boxed-text><p>Box</p>{fig('F2')}</boxed-text></sec>"
        f"<p>In a paragraph {fig('F3')} too.</p><fig-group id='G'><label>Figure 4</label><caption>"
        f"<title>Both</title></caption>{fig('F4', label='', caption='<p>(A) left</p>')}"
        "<fig id='F5'><graphic xlink:href='x-f5'/></fig></fig-group>"
    )
    back = f"<app-group><app>{fig('F6', label='Figure A1')}</app></app-group>"
    found = read(tmp_path, article(body, floats=fig("F7"), back=back))
    assert list(found) == [f"F{n}" for n in range(1, 8)]
    assert found["F4"]["fig_caption"] == "Figure 4. Both. (A) left"
    assert found["F5"]["fig_caption"] == "Figure 4. Both."
    assert found["F6"]["fig_label"] == "Figure A1"


def test_a_caption_keeps_its_title_paragraphs_and_panels_as_text(tmp_path):
    caption = (
        "<title>Liver</title><p><bold>(A)</bold> Axial CT, 5&#160;mm;\n <bold>(B)</bold> "
        "<italic>T<sub>2</sub></italic>&nbsp;MRI <xref ref-type='bibr' rid='B1'>[1]</xref>"
        "<inline-formula><tex-math>\\documentclass{x}</tex-math></inline-formula>.</p>"
        "<p>Bar: 1.</p>"
    )
    found = read(tmp_path, article(fig(caption=caption)))
    assert found["F1"]["fig_caption"] == (
        "Figure 1. Liver. (A) Axial CT, 5 mm; (B) T2 MRI [1]. Bar: 1."
    )


def xref(rid: str, text: str) -> str:
    return f'<xref ref-type="fig" rid="{rid}">{text}</xref>'


def test_a_mention_is_the_sentence_with_a_reference_to_the_figure(tmp_path):
    body = (
        f"<p>It was seen by Doe et al. in {xref('F1', 'Fig. 1')} (see p. 3). It grew, <bold>as "
        f"{xref('F1 F2', 'Figs. 1 and 2')}</bold> show! Nothing here. {xref('F2', '2A')} is CT.</p>"
        f"<p>Not this: <xref ref-type='table' rid='F1'>Table 1</xref>.</p>"
        + fig("F1", caption=f"<p>Compare {xref('F2', 'Figure 2')}.</p>")
        + fig("F2", label="Figure 2")
    )
    found = read(tmp_path, article(body))
    first = "It was seen by Doe et al. in Fig. 1 (see p. 3)."
    assert mentions(found["F1"]) == [first, "It grew, as Figs. 1 and 2 show!"]
    assert mentions(found["F2"]) == ["It grew, as Figs. 1 and 2 show!", "2A is CT."]


def test_a_reference_without_a_type_means_what_its_target_is(tmp_path):
    body = "<p>Seen in <xref rid='F1'>Fig. 1</xref>. As <xref rid='B1 T1'>others</xref> say.</p>"
    found = read(tmp_path, article(body + fig("F1")))
    assert mentions(found["F1"]) == ["Seen in Fig. 1."]


@pytest.mark.parametrize(
    "text",
    [
        f"Figures {xref('F1', '1')}–{xref('F4', '4')} show it.",
        f"{xref('F1', 'Fig. 1')} to {xref('F4', 'Fig. 4')} show it.",
        f"{xref('F1 F2 F3 F4', 'Figs 1-4')} show it.",
        f"{xref('F1', 'Figs 1–4')} show it.",
    ],
)
def test_a_range_mentions_the_figures_between_its_ends(tmp_path, text):
    body = f"<p>{text}</p>" + "".join(fig(f"F{n}", label=f"Fig. {n}") for n in range(1, 6))
    found = read(tmp_path, article(body))
    told = [bool(mentions(found[f"F{n}"])) for n in range(1, 6)]
    assert told == [True] * 4 + [False]


def test_two_references_without_a_range_mention_nothing_between(tmp_path):
    body = f"<p>{xref('F1', '1')} and {xref('F3', '3')} differ.</p>"
    found = read(tmp_path, article(body + "".join(fig(f"F{n}") for n in (1, 2, 3))))
    assert [len(mentions(found[f"F{n}"])) for n in (1, 2, 3)] == [1, 0, 1]


@pytest.mark.parametrize(
    ("licence", "name"),
    [
        (f'<license xlink:href="{BY}"><license-p>x</license-p></license>', "CC BY 4.0"),
        ('<license xlink:href="http://creativecommons.org/licenses/by-nc-nd/3.0"/>',
         "CC BY-NC-ND 3.0"),
        (f'<license><license-p>See <ext-link xlink:href="{BY}">x</ext-link>.</license-p></license>',
         "CC BY 4.0"),
        ("<license><license-p>Creative Commons Attribution-NonCommercial 4.0 International License"
         "</license-p></license>", "CC BY-NC 4.0"),
        ("<license><license-p>under the terms of the Creative Commons Attribution License (CC BY)."
         "</license-p></license>", "CC BY"),
        ('<license license-type="open-access"><license-p>Free to read.</license-p></license>',
         "Free to read."),
        ('<license xlink:href="https://creativecommons.org/publicdomain/zero/1.0/"/>', "CC0 1.0"),
        ("<copyright-statement>(c) 2020</copyright-statement>", None),
        ("<copyright-statement>Doe. This is an open-access article distributed under the terms of "
         "the Creative Commons Attribution License.</copyright-statement>", "CC BY"),
    ],
)  # fmt: skip
def test_a_licence_is_named_by_its_address_or_its_words(tmp_path, licence, name):
    found = read(tmp_path, article(fig(), licence=licence))
    assert found["F1"]["source"]["licence"] == name


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("CC-BY-NC-SA 4.0", "CC BY-NC-SA 4.0"),
        ("Creative Commons Attribution Non-Commercial No Derivatives", "CC BY-NC-ND"),
        ("Attribution only, no commons", "Attribution only, no commons"),
        ("Creative Commons Attribution Non Commercial License", "CC BY-NC"),
        (
            "Creative Commons Attribution License, for non-commercial use",
            "Creative Commons Attribution License, for non-commercial use",
        ),
        (" ", None),
        ("CC BY 4.0 except figure 1", "CC BY 4.0 except figure 1"),
        (f"{BY}, excluding images", f"{BY}, excluding images"),
        ("CC BY 4.0, except where otherwise noted", "CC BY 4.0"),
        (f"{BY} and {BY.replace('/by/', '/by-nc/')}", "CC BY 4.0 / CC BY-NC 4.0"),
    ],
)
def test_no_licence_is_guessed(text, name):
    assert licence_of([text]) == name


def test_an_article_with_an_exception_clears_no_figure(tmp_path):
    licence = (
        f'<license xlink:href="{BY}"><license-p>CC BY 4.0 except figure 1.</license-p></license>'
    )
    write_article(tmp_path / "set", article(fig(), licence=licence), ("x-f1.jpg",))
    figures, _ = read_figures(str(tmp_path / "set"), run=tmp_path / "run")
    assert figures["cleared"].isna().all() and "except figure 1" in figures["licence"][0]


@pytest.mark.parametrize(
    "changes",
    [
        {"caption": "<p>A scan. Reproduced with permission from Elsevier.</p>"},
        {"inside": "<attrib>Courtesy of Dr. Doe</attrib>"},
        {"inside": "<permissions><copyright-statement>Other</copyright-statement></permissions>"},
    ],
)
def test_a_figure_of_somebody_else_has_not_the_licence_of_the_article(tmp_path, changes):
    found = read(tmp_path, article(fig(**changes) + fig("F2")))
    assert found["F1"]["source"]["licence"] is None
    assert found["F2"]["source"]["licence"] == "CC BY 4.0"


def test_a_figure_with_a_licence_of_its_own_has_that_one(tmp_path):
    own = f'<permissions><license xlink:href="{BY.replace("/by/", "/by-nc/")}"/></permissions>'
    found = read(tmp_path, article(fig(inside=own)))
    assert found["F1"]["source"]["licence"] == "CC BY-NC 4.0"


@pytest.mark.parametrize(
    ("href", "beside", "taken"),
    [
        ("1471-2105-9-1-1", ("1471-2105-9-1-1.gif", "1471-2105-9-1-1.jpg"), "1471-2105-9-1-1.jpg"),
        ("a.g001", ("a.g001.jpg",), "a.g001.jpg"),
        ("a.tif", ("a.jpg", "a.gif"), "a.jpg"),
        ("a.TIF", ("a.tif",), "a.tif"),
        ("A.jpg", ("a.jpg",), "a.jpg"),
    ],
)
def test_the_image_is_found_beside_under_the_endings_that_packages_have(
    tmp_path, href, beside, taken
):
    file = write_article(tmp_path / "set", article(fig(href=href)), beside)
    (found,) = records(file, tmp_path).values()
    assert found["image"] == taken


def test_of_alternatives_the_best_image_is_taken_and_several_graphics_are_several_figures(tmp_path):
    two = "<alternatives><graphic xlink:href='b.gif'/><graphic xlink:href='b.tif'/></alternatives>"
    body = fig("F1", href="", inside=two) + fig("F2", inside="<graphic xlink:href='second'/>")
    found = read(tmp_path, article(body))
    images = {name: one["image"] for name, one in found.items()}
    assert images == {"F1": "b.tif", "F2-1": "x-f2.jpg", "F2-2": "second.jpg"}


def test_a_figure_without_a_graphic_stops_no_other(tmp_path):
    found = read(tmp_path, article(fig("F1", href="") + fig("F2")))
    assert isinstance(found["article.nxml#F1"], InvalidRecord) and found["F2"]["image"]


def test_a_set_of_articles_in_one_file_is_read_article_by_article(tmp_path):
    each = [article(fig(), ids=f'<article-id pub-id-type="pmc">{n}</article-id>') for n in (11, 12)]
    inside = b"".join(one[one.index(b"<article ") :] for one in each)
    (tmp_path / "many.xml").write_bytes(b"<pmc-articleset>" + inside + b"</pmc-articleset>")
    assert list(records(tmp_path / "many.xml", tmp_path)) == ["PMC11_F1", "PMC12_F1"]


def test_a_package_is_read_with_its_images(tmp_path):
    parts = {"PMC7654321/a.nxml": article(fig()), "PMC7654321/x-f1.png": png(), "x.pdf": b"%PDF"}
    package = write_tar(tmp_path / "set" / "PMC7654321.tar.gz", parts, "w:gz")
    for source in (package, package.parent):
        figures, rejected = read_figures(str(source), run=tmp_path / "run")
        assert figures["figure_id"].tolist() == ["PMC7654321_F1"] and rejected.empty
    assert not list((tmp_path / "run").rglob("*.pdf"))


HOSTILE = {
    "bomb": '<!ENTITY a "ha"><!ENTITY b "&a;&a;">',
    "file": '<!ENTITY a SYSTEM "file:///etc/passwd">',
    "parameter": '<!ENTITY % a SYSTEM "http://127.0.0.1:1/x.dtd"> %a;',
}


@pytest.mark.parametrize("kind", HOSTILE)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_an_article_that_declares_entities_is_refused_and_its_neighbour_read(
    tmp_path, kind, encoding
):
    text = article(fig(caption="<p>x &a;</p>")).decode()
    start, end = text.index("<!DOCTYPE"), text.index("<article ")
    text = f"{text[:start]}<!DOCTYPE article [{HOSTILE[kind]}]>{text[end:]}"
    bad = text.replace("UTF-8", encoding.upper()).encode(encoding)
    write_article(tmp_path / "set" / "a", bad)
    write_article(tmp_path / "set" / "b", article(fig()), ("x-f1.jpg",))
    figures, rejected = read_figures(str(tmp_path / "set"), run=tmp_path / "run")
    assert figures["figure_id"].tolist() == ["PMC7654321_F1"]
    assert "declares entities" in rejected["reason"][0] and "root:" not in str(rejected)


@pytest.mark.parametrize("content", [b"", b"<article", b"<html/>", b"\0\1", b"<a>\xff</a>"])
def test_what_is_no_article_is_told_with_its_reason(tmp_path, content):
    (tmp_path / "a.nxml").write_bytes(content)
    with pytest.raises(NoUsableFigures, match="0 of 1 .*(not XML|no JATS article)"):
        read_figures(str(tmp_path / "a.nxml"), run=tmp_path / "run")


@pytest.mark.parametrize("href", ["../../secret", "/etc/passwd", "..\\..\\secret", "a\x0bb"])
def test_an_image_outside_the_folder_is_never_taken(tmp_path, href):
    (tmp_path / "secret.jpg").write_bytes(png())
    file = write_article(tmp_path / "x" / "set", article(fig(href=href.replace("\x0b", ""))))
    with pytest.raises(NoUsableFigures, match="leaves the image folder|no such image file"):
        read_figures(str(file.parent), run=tmp_path / "run")


def test_without_lxml_the_extra_is_named(tmp_path, monkeypatch):
    write_article(tmp_path / "set", article(fig()))
    monkeypatch.setitem(sys.modules, "lxml", None)
    with pytest.raises(ImportError, match=r"pip install 'vital-workbench\[articles\]'"):
        read_figures(str(tmp_path / "set"), run=tmp_path / "run")


def test_a_linked_article_outside_the_folder_is_not_read(tmp_path):
    secret = write_article(tmp_path / "secret", article(fig()))
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "a.nxml").symlink_to(secret)
    (found,) = records(tmp_path / "set", tmp_path).values()
    assert "a link that leaves the folder" in found.reason


def test_the_credit_names_groups_and_whole_names_and_no_editor(tmp_path):
    name = "<name><surname>{}</surname><given-names>B</given-names></name>"
    members = f"<contrib-group><contrib>{name.format('Inner')}</contrib></contrib-group>"
    people = (
        f'<contrib contrib-type="editor">{name.format("Ed")}</contrib>'
        f'<contrib contrib-type="author"><collab>The Scan Group{members}</collab></contrib>'
        "<contrib><string-name>Cy Roe</string-name></contrib>"
        f"<contrib><name-alternatives>{name.format('Li')}</name-alternatives></contrib></contrib-group>"
    )
    content = article(fig()).replace(b"</contrib-group>", people.encode(), 1)
    found = read(tmp_path, content)["F1"]["source"]["credit"]
    assert found == "Doe Ann, The Scan Group, Cy Roe et al. On scans. Journal of Scans 2020."

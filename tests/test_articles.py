"""Claims about articles: which one a record belongs to, and what is joined into one group."""

import json
import logging
from pathlib import Path

import pandas as pd
import pytest
from figure_rows import picture, record, write_set

from vital_lib.evaluation import read_questions
from vital_lib.figures import (
    article_ids,
    article_of,
    combine,
    group_sizes,
    group_warnings,
    join_twins,
    joined_groups,
    read_figures,
    split_of,
)
from vital_lib.figures.groups import group_names
from vital_lib.tables import Workspace

DOI = "10.1186/s12941-020-00358-y"
PLOS = "10.1371/journal.pone.0012345"


def bare(pair_id: str, **changes) -> dict:
    """A record that states no article but by what `changes` say."""
    return {**record(pair_id, pmid=None), **changes}


def at(pair_id: str, url: str) -> dict:
    return bare(pair_id, source={"name": "site", "url": url})


def group_ids(records: list[dict]) -> list[str]:
    return group_names([article_of(entry, entry["pair_id"]) for entry in records])


def read(folder: Path, records: list[dict], **options) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Read a set of records whose images are those of their number, or of `seed` in the record."""
    (folder / "images").mkdir(parents=True, exist_ok=True)
    lines = []
    for number, entry in enumerate(records):
        seed = entry.pop("seed", number)
        entry["image"] = f"{number}.png"
        picture(seed).save(folder / "images" / f"{number}.png")
        lines.append(json.dumps(entry))
    (folder / "figures.jsonl").write_text("\n".join(lines))
    return read_figures(str(folder), run=folder.parent, **options)


@pytest.mark.parametrize(
    ("text", "kind", "found"),
    [
        ("https://www.ncbi.nlm.nih.gov/pmc/articles/PMC7095448/figure/F1/", "pmcid", "PMC7095448"),
        ("https://pmc.ncbi.nlm.nih.gov/articles/PMC7095448/?report=x", "pmcid", "PMC7095448"),
        ("https://www.ncbi.nlm.nih.gov/pmc/articles/7095448/", "pmcid", "PMC7095448"),
        ("https://openi.nlm.nih.gov/detailedresult?img=PMC3056785_gr2&req=4", "pmcid",
         "PMC3056785"),
        ("https://europepmc.org/article/PMC/pmc7095448", "pmcid", "PMC7095448"),
        ("https://x.org/show?pmcid=7095448&fig=2", "pmcid", "PMC7095448"),
        ("https://arxiv.org/abs/2306.00890v2#F1", "doi", "10.48550/arxiv.2306.00890"),
        ("https://arxiv.org/html/2306.00890v1/x3.png", "doi", "10.48550/arxiv.2306.00890"),
        ("https://ar5iv.labs.arxiv.org/html/2306.00890#F2", "doi", "10.48550/arxiv.2306.00890"),
        ("arXiv:2306.00890v3", "doi", "10.48550/arxiv.2306.00890"),
        ("https://doi.org/10.48550/arXiv.2306.00890v1", "doi", "10.48550/arxiv.2306.00890"),
        ("https://arxiv.org/pdf/eess/0611123.pdf", "doi", "10.48550/arxiv.eess/0611123"),
        ("PMC4083729_AJHR-7-84-g002.jpg", "pmcid", "PMC4083729"),
        ("pmc-15m/images/PMC1064097_F1.jpg", "pmcid", "PMC1064097"),
        ("oa_comm/PMC007xxxxxx/PMC7095448.tar.gz", "pmcid", "PMC7095448"),
        ("https://pubmed.ncbi.nlm.nih.gov/28104940/", "pmid", "28104940"),
        ("https://www.ncbi.nlm.nih.gov/pubmed/28104940?dopt=Abstract", "pmid", "28104940"),
        ("https://www.ncbi.nlm.nih.gov/entrez/query.fcgi?db=PubMed&list_uids=28104940", "pmid",
         "28104940"),
        ("https://europepmc.org/article/MED/28104940", "pmid", "28104940"),
        ("https://x.org/a?pmid=28104940&f=2", "pmid", "28104940"),
        ("PMID: 28104940", "pmid", "28104940"),
        ("https://identifiers.org/pubmed:28104940", "pmid", "28104940"),
        ("https://pubmed.gov/28104940#fig", "pmid", "28104940"),
        ("http://europepmc.org/abstract/MED/28104940", "pmid", "28104940"),
        ("pubmed_28104940_2", "pmid", "28104940"),
        ("10.1186-s12941-020-00358-y_F1", "doi", DOI),
        (f"https://doi.org/{DOI.upper()}", "doi", DOI),
        (f"https://site.org/articles/{DOI}/figures/1#top", "doi", DOI),
        (f"https://x.org/show?fig=2&doi={DOI}", "doi", DOI),
        ("https://x.org/show?doi=10.1186%2Fs12941-020-00358-y&fig=3", "doi", DOI),
        ("https://media.x.com/lw685/art%253A10.1186%252Fs12941-020-00358-y/MediaObjects/1_Fig1.png",
         "doi", DOI),
        (f"https://journals.plos.org/plosone/article/figure?id={PLOS}.g001", "doi", PLOS),
        (f"https://journals.plos.org/x/image?size=large&id=info:doi/{PLOS}.g002", "doi", PLOS),
        ("10.1371_journal.pone.0012345_g001.jpg", "doi", PLOS),
        ("images/10.1186_s12941-020-00358-y/1.png", "doi", DOI),
        ("images/10.1186/s12941-020-00358-y/fig1.jpg", "doi", DOI),
        ("10.1186_s12941-020-00358-y_2.jpg", "doi", DOI),
        ("https://www.medrxiv.org/content/10.1101/2020.02.11.20021493v2.full.pdf", "doi",
         "10.1101/2020.02.11.20021493"),
        ("https://elifesciences.org/articles/13#10.7554/eLife.00013.003", "doi",
         "10.7554/elife.00013"),
        ("(doi:10.1016/S0140-6736(20)30183-5).", "doi", "10.1016/s0140-6736(20)30183-5"),
        ("https://iopscience.iop.org/article/10.1088/0031-9155/55/1/001/pdf", "doi",
         "10.1088/0031-9155/55/1/001"),
        ("https://pubs.x.org/cms/10.1148/rg.2020432/asset/images/large/rg.2020432.fig1.jpeg", "doi",
         "10.1148/rg.2020432"),
        ("10.4103_ijri.IJRI_34_18_F1.jpg", "doi", "10.4103/ijri.ijri_34_18"),
        ("10.1007/978-3-030-00928-1_23_Fig1_HTML.png", "doi", "10.1007/978-3-030-00928-1_23"),
        ("10.1016/j.image.2020.115821", "doi", "10.1016/j.image.2020.115821"),
    ],
)  # fmt: skip
def test_an_identifier_is_found_wherever_it_stands(text, kind, found):
    assert article_ids(text) == {kind: found}


@pytest.mark.parametrize(
    "text", ["S0A00001_F1", "real-head-mr_F1", "CXR_41182_2020_203_Fig3_HTML", "PMC-15M_F1",
             "pmc_1/a.jpg", "v10.1/x", "images/2020/10.11.2020/5.png", "12941_2020_358_Fig1"],
)  # fmt: skip
def test_what_only_looks_like_an_identifier_is_none(text):
    assert article_ids(text) == {}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (at("a", f"https://x.org/{DOI}/figures/1"), at("b", f"https://y.org/?doi={DOI}&fig=9")),
        (bare("PMC7095448_F1"), at("b", "https://www.ncbi.nlm.nih.gov/pmc/articles/PMC7095448/")),
        (bare("PMC7095448_1"), bare("b", image="sets/PMC7095448/fig2.jpg")),
        (bare("28104940_F1"), at("b", "https://pubmed.ncbi.nlm.nih.gov/28104940")),
        (bare("28104940_F1"), bare("x", pmid=28104940)),
        (bare("a", image="set/28104940/F1.jpg"), bare("b", image="28104940_F2.jpg")),
        (bare("a", pmid=28104940.0), bare("b", pmid="PMID 28104940")),
        (bare("a", pmcid="PMC7095448"), bare("b", source={"pmcid": 7095448})),
        (bare("a", doi=f"https://doi.org/{DOI}"), bare("b", source={"doi": DOI.upper()})),
        (bare("a", source=f"https://doi.org/{DOI}"), bare("b", doi=DOI)),
        (at("a", "http://www.x.org/case/12/"), at("b", "https://x.org/case/12#fig2")),
        (at("a", "https://x.org/article?id=12&fig=1"), at("b", "https://x.org/article?fig=2&id=12")),
        (at("a", "https://x.org/12/3/45/F1.large.jpg"), at("b", "https://x.org/12/3/45/F2")),
        (at("a", "https://x.org/a1/figure/F1/"), at("b", "https://x.org/a1/figures/fig-0002")),
        (at("a", "https://x.org/v?case=7&page=1"), at("b", "https://x.org/v?page=2&case=7&w=300")),
        (bare("a", pmid=1), bare("b", pmid="1")),
        (bare("a", pdf_hash="3f2a"), bare("b", pdf_hash="3f2a")),
    ],
)  # fmt: skip
def test_two_figures_of_one_article_are_one_group(one, other):
    assert len(set(group_ids([one, other]))) == 1


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (at("a", "https://x.org/article?id=12"), at("b", "https://x.org/article?id=13")),
        (at("a", "https://x.org/?p=12"), at("b", "https://x.org/?p=13")),
        (at("a", "https://x.org/#/article/12"), at("b", "https://x.org/#/article/13")),
        (at("a", "https://x.org/images/a.png"), at("b", "https://x.org/images/b.png")),
        (at("a", "https://x.org/figures/1.png"), at("b", "https://x.org/figures/2.png")),
        (at("a", "https://x.org/db/figures/12345"), at("b", "https://x.org/db/figures/12346")),
        (at("a", "https://x.org/articles/t2020001"), at("b", "https://x.org/articles/t2020002")),
        (at("a", "https://x.org/show?img=MPX1234_synpic5"), at("b", "https://x.org/show?img=MPX9")),
        (at("a", "https://x.org/show?fig=12345"), at("b", "https://x.org/show?fig=12346")),
        (bare("a_F1", pmid=0), bare("b_F1", pmid=0)),
        (bare("a", image="20200115/1.jpg"), bare("b", image="20200115/2.jpg")),
        (at("a", f"https://x.org/show?doi={DOI}"), at("b", "https://x.org/show?doi=10.1186/x-1")),
        (bare("10.4103/ijri.IJRI_34_18_F1"), bare("10.4103/ijri.IJRI_35_18_F1")),
        (bare("a", doi="10.1207/s15516709cog2801_1"), bare("b", doi="10.1207/s15516709cog2801_2")),
        (bare("PMC7095448_F1"), bare("PMC7095449_F1")),
        (at("a", "https://www.ncbi.nlm.nih.gov/pmc/articles/PMC7095448/"),
         at("b", "https://www.ncbi.nlm.nih.gov/pmc/articles/PMC7095449/")),
    ],
)  # fmt: skip
def test_two_articles_of_one_site_are_two_groups(one, other):
    assert len(set(group_ids([one, other]))) == 2


def test_a_record_with_two_identifiers_says_that_they_name_one_article():
    both = bare("c", pmcid="PMC7095448", doi=DOI)
    groups = group_ids([bare("a", doi=DOI), bare("PMC7095448_F2"), both, bare("PMC7095449_F1")])
    assert groups == ["PMC7095448"] * 3 + ["PMC7095449"]


def test_an_identifier_beside_many_articles_is_a_collections_and_joins_none():
    dataset = {"url": "https://doi.org/10.5281/zenodo.3757476"}
    records = [bare(f"PMC709544{n}_F1", source=dataset) for n in range(3)]
    assert group_ids(records) == ["PMC7095440", "PMC7095441", "PMC7095442"]


def test_what_the_record_states_as_group_or_patient_comes_first():
    assert group_ids([bare("PMC7095448_F1", group_id=7, doi=DOI)]) == ["7"]
    assert group_ids([bare("PMC7095448_F1", patient_id="p1", pmid=5)]) == ["p1"]
    assert group_ids([bare("S0A00001_F1", pmid="S0A00001")]) == ["S0A00001"]


@pytest.mark.parametrize("value", [float("nan"), "", "  ", None])
def test_an_empty_cell_states_no_group(value):
    assert group_ids([bare("PMC7095448_F1", group_id=value, pmid=value)]) == ["PMC7095448"]


def test_captions_and_licences_name_no_article():
    entry = bare("a_F1", fig_caption=f"As in doi:{DOI}.", licence=f"see https://doi.org/{DOI}")
    assert group_ids([entry]) == ["a"]


def test_the_same_bytes_under_two_articles_join_them_and_that_is_said(tmp_path, caplog):
    records = [bare("PMC111_F1", seed=9), bare("PMC222_F1"), bare("PMC333_F1", seed=9),
               bare("PMC333_F2")]  # fmt: skip
    with caplog.at_level(logging.WARNING):
        frame, rejected = read(tmp_path / "set", records)
    assert rejected.empty
    assert frame["group_id"].tolist() == ["PMC111", "PMC222", "PMC111", "PMC111"]
    assert frame["split"].tolist() == [split_of(group) for group in frame["group_id"]]
    said = joined_groups(frame)
    assert said[["group_id", "was", "reason"]].values.tolist() == [
        ["PMC111", "PMC333", "the same image file"]
    ]
    assert said[["figure_id", "twin_id"]].values.tolist() == [["PMC111_F1", "PMC333_F1"]]
    assert "'PMC333' is joined to 'PMC111'" in caplog.text
    assert Workspace(tmp_path).write("figures", frame) == 4


def test_a_joined_article_that_changes_its_split_says_so(tmp_path):
    names = [f"PMC{n}" for n in range(100, 140)]
    train = next(name for name in names if split_of(name) == "train")
    test = next(name for name in names if split_of(name) == "test" and name > train)
    frame, _ = read(tmp_path / "set", [bare(f"{train}_F1", seed=1), bare(f"{test}_F1", seed=1)])
    assert frame["split"].tolist() == ["train", "train"]
    assert any("moves it from test to train" in said for said in group_warnings(frame))


def test_the_same_bytes_within_one_article_join_nothing(tmp_path):
    frame, _ = read(tmp_path / "set", [bare("PMC111_F1", seed=9), bare("PMC111_F2", seed=9)])
    assert frame["group_id"].tolist() == ["PMC111"] * 2
    assert joined_groups(frame).empty


def test_a_chain_of_same_images_is_one_group_whatever_the_order(tmp_path):
    seeds = {"PMC111_F1": 1, "PMC222_F1": 1, "PMC222_F2": 2, "PMC333_F1": 2, "PMC444_F1": 4}
    for number, names in enumerate([list(seeds), list(seeds)[::-1]]):
        records = [bare(name, seed=seeds[name]) for name in names]
        frame, _ = read(tmp_path / f"set{number}", records)
        groups = frame.set_index("figure_id")["group_id"]
        assert set(groups.drop("PMC444_F1")) == {"PMC111"} and groups["PMC444_F1"] == "PMC444"
        assert len(joined_groups(frame)) == 2


def test_group_sizes_are_counted_and_a_large_group_is_a_warning(tmp_path, caplog):
    records = [bare(f"PMC{n}_F1") for n in range(100, 138)]
    records += [bare(f"PMC999_F{n}") for n in range(3)]
    with caplog.at_level(logging.WARNING):
        frame, _ = read(tmp_path / "set", records)
    sizes = group_sizes(frame)
    assert sizes["figures"].tolist() == [3] + [1] * 38
    assert sizes["group_id"][0] == "PMC999" and sizes["large"].tolist() == [True] + [False] * 38
    assert "'PMC999' holds 3 of 41 figures (7%)" in caplog.text


def test_a_group_of_exactly_a_twentieth_is_no_warning_nor_is_one_figure_alone():
    frame = pd.DataFrame({"figure_id": range(20), "group_id": list("abcdefghijklmnopqrst"),
                          "split": "train"})  # fmt: skip
    assert group_warnings(frame) == [] and group_warnings(frame[:3]) == []
    forty = pd.concat([frame, frame.assign(group_id=[f"g{n}" for n in range(20)])])
    forty["group_id"] = forty["group_id"].replace("b", "a")
    assert group_warnings(forty) == []


TWINS = pd.DataFrame(
    {
        "figure_id": ["f0", "f1", "f2", "f3"],
        "group_id": ["PMC111", "PMC222", "PMC333", "PMC333"],
        "split": [split_of(name) for name in ("PMC111", "PMC222", "PMC333", "PMC333")],
        "phash": ["ff00ff00ff00ff00", "ff00ff00ff00ff01", "ff00ff00ff00ff03", None],
    }
)


def test_one_call_joins_twins_and_a_row_left_out_joins_nothing():
    twins = pd.DataFrame({"figure_id": ["f0"], "twin_id": ["f1"]})
    joined = join_twins(TWINS, twins)
    assert joined["group_id"].tolist() == ["PMC111", "PMC111", "PMC333", "PMC333"]
    assert joined["split"].tolist() == [split_of(name) for name in joined["group_id"]]
    assert joined_groups(joined)["reason"].tolist() == ["nearly the same picture"]
    assert TWINS["group_id"][1] == "PMC222" and joined_groups(TWINS).empty
    assert join_twins(TWINS, twins[:0])["group_id"].equals(TWINS["group_id"])


def test_two_sets_become_one_and_share_the_groups_of_equal_files(tmp_path):
    sets = []
    for name, pair_id in (("one", "111_F1"), ("two", "222_F1")):
        folder = write_set(tmp_path / name, [record(pair_id)])  # the same image in both
        sets.append(read_figures(str(folder), run=tmp_path)[0])
    both = combine(*sets)
    assert both["source"].tolist() == ["one", "two"] and set(both["group_id"]) == {"111"}
    assert joined_groups(both)[["was", "reason"]].values.tolist() == [
        ["222", "the same image file"]
    ]
    with pytest.raises(ValueError, match="111_F1"):
        combine(sets[0], sets[0])


def test_joining_again_keeps_what_was_said_before():
    first = join_twins(TWINS, pd.DataFrame({"figure_id": ["f2"], "twin_id": ["f1"]}))
    again = join_twins(first, pd.DataFrame({"figure_id": ["f0"], "twin_id": ["f3"]}))
    assert set(again["group_id"]) == {"PMC111"}
    assert joined_groups(again)[["group_id", "was"]].values.tolist() == [
        ["PMC111", "PMC333"], ["PMC111", "PMC222"]
    ]  # fmt: skip


def test_the_clinics_groups_and_splits_stand_as_they_stood(tmp_path):
    frame, rejected = read_figures("clinic", run=tmp_path, articles=30, seed=0)
    file = tmp_path / "clinic" / "figures.jsonl"
    stated = [json.loads(line) for line in file.read_text().splitlines()]
    assert rejected.empty and frame["figure_id"].tolist() == [r["pair_id"] for r in stated]
    assert frame["group_id"].tolist() == [entry["pmid"] for entry in stated]
    assert frame["split"].tolist() == [split_of(entry["pmid"]) for entry in stated]
    assert joined_groups(frame).empty and not frame.attrs


@pytest.mark.realdata
def test_real_figures_are_grouped_by_their_articles_doi(tmp_path, realdata):
    frame, _ = read_figures(str(realdata / "figures"), run=tmp_path)
    groups = frame.set_index("figure_id")["group_id"]
    assert groups["CXR_12941_2020_358_Fig1_HTML"] == DOI
    assert (groups == "10.1186/s41182-020-00203-0").sum() == 3
    assert groups.filter(like="WMC_").is_unique and not group_sizes(frame)["large"].any()


def test_a_benchmarks_questions_are_grouped_by_their_article(tmp_path):
    common = {"question": "Is it?", "answer": "yes", "answer_type": "closed"}
    images = [
        "PMC111_F1.jpg",
        "PMC111_F2.jpg",
        "a.jpg",
        "b.jpg",
        "x1/source.jpg",
        "28104940_F3.jpg",
    ]
    more = [{}, {}, {"doi": DOI}, {"url": f"https://x.org/?doi={DOI}&fig=2"}, {}, {}]
    records = [
        {"question_id": f"q{n}", "image": image, **common, **other}
        for n, (image, other) in enumerate(zip(images, more, strict=True))
    ]
    (tmp_path / "own.json").write_text(json.dumps(records))
    questions = read_questions(tmp_path / "own.json", run=tmp_path)
    assert questions["group_id"].tolist() == [
        "PMC111", "PMC111", DOI, DOI, "x1/source", "28104940"
    ]  # fmt: skip


def test_an_address_as_id_is_grouped_by_its_page():
    page = "https://www.example.org/case/17345"
    assert (
        group_ids([bare(f"{page}#F1"), bare(f"{page}/figure/2")])
        == ["https://example.org/case/17345"] * 2
    )

"""Claims about DICOM files as records: places, pseudonyms, series, modalities, and what is held."""

from __future__ import annotations

import logging
import os
from datetime import date
from pathlib import Path

import numpy as np
import pytest
from dicom_rows import RAMP, item, options, picture_file, read, write
from pydicom.fileset import FileSet
from pydicom.uid import (
    BasicTextSRStorage,
    ComputedRadiographyImageStorage,
    EnhancedMRImageStorage,
    SecondaryCaptureImageStorage,
    UltrasoundImageStorage,
)

from vital_lib.dicom import (
    DicomOptions,
    PatientKey,
    UnsafeKey,
    default_key_file,
    find_file,
    kept_headers,
    open_key,
    reads_as_dicom,
)
from vital_lib.dicom.files import quiet
from vital_lib.figures import NoUsableFigures, image_notes, image_opener, read_figures


def one(tmp_path, **tags) -> dict:
    """The record of one file."""
    [record], wrong = read(write(tmp_path / "set" / "a.dcm", **tags), tmp_path)
    assert not wrong
    return record


# --- what is read


def test_a_folder_is_read_with_its_damaged_and_its_other_files(tmp_path, caplog):
    folder = tmp_path / "set"
    write(folder / "b" / "2.dcm")
    write(folder / "a" / "1", PatientID="P2")
    (folder / "c.dcm").write_bytes(b"no DICOM at all")
    (folder / "README.txt").write_text("Notes")
    records, wrong = read(folder, tmp_path)
    assert [record["group_id"] for record in records] != [records[0]["group_id"]] * 2
    [(place, error)] = wrong
    assert place == "file 4 of 4" and error.field == "header"
    assert find_file(folder, place) == folder / "c.dcm"
    assert "1 of 4 files are no DICOM and were left out" in caplog.text


def test_a_folder_becomes_figures(tmp_path):
    folder = tmp_path / "set"
    tags = {"WindowCenter": 500, "WindowWidth": 900}
    for n in range(3):
        write(folder / f"{n}.dcm", RAMP + np.uint16(n), PatientID=f"P{n % 2}", **tags)
    write(folder / "x.dcm", Modality="SR", SOPClassUID=BasicTextSRStorage, Rows=None)
    figures, rejected = read_figures(str(folder), run=tmp_path / "run", dicom=options(tmp_path))
    assert figures["group_id"].nunique() == 2 and len(figures) == 3
    assert figures["modalities"].tolist() == [["ct_scan"]] * 3
    assert figures["source"].unique().tolist() == ["DICOM"]
    assert figures["cleared"].isna().all()
    assert figures["cleared_reason"].unique().tolist() == ["DICOM: pixels not checked"]
    assert rejected.to_dict("records") == [
        {"source": "DICOM", "place": "file 4 of 4", "field": "Rows",
         "reason": "0 rows and 8 columns: there is no image"}
    ]  # fmt: skip
    assert image_notes(figures)["note"].str.startswith("greys shown in the window").all()
    assert image_opener(figures)(figures["figure_id"][0]).pixels().size == (8, 8)


def test_no_record_of_a_file_can_clear_itself(tmp_path):
    from figure_rows import record, write_set

    claims = record("1_F1", cleared=True, cleared_reason="trust me")
    folder = write_set(tmp_path / "set", [claims])
    figures, _ = read_figures(str(folder), run=tmp_path)
    assert figures["cleared"].isna().all() and "trust" not in figures["cleared_reason"][0]


def test_the_files_of_a_dicomdir_are_read_and_missing_ones_are_told(tmp_path):
    made = FileSet()
    for n in range(3):
        ids = {"PatientName": "A", "StudyDate": "20200101", "StudyTime": "10", "StudyID": "1"}
        made.add(write(tmp_path / f"{n}.dcm", **ids, SeriesNumber=1, InstanceNumber=n))
    made.write(tmp_path / "disc")
    stray = write(tmp_path / "disc" / "stray.dcm")
    records, wrong = read(tmp_path / "disc" / "DICOMDIR", tmp_path)
    assert len(records) == 3 and not wrong
    records, wrong = read(tmp_path / "disc", tmp_path)
    assert len(records) == 4 and not wrong  # the folder, with the stray file
    find_file(tmp_path / "disc" / "DICOMDIR", "file 2 of 3").unlink()
    records, wrong = read(tmp_path / "disc" / "DICOMDIR", tmp_path)
    assert len(records) == 2
    assert [(place, error.reason) for place, error in wrong] == [
        ("file 2 of 3", "does not exist or cannot be opened")
    ]
    assert stray.exists()


def test_a_dicomdir_cannot_refer_to_files_outside(tmp_path):
    write(tmp_path / "secret.dcm")
    folder = tmp_path / "disc"
    records = [item(ReferencedFileID=["..", "secret.dcm"]), item(ReferencedFileID="..\\secret.dcm")]
    write(folder / "DICOMDIR", DirectoryRecordSequence=records)
    found, [(_, error)] = read(folder / "DICOMDIR", tmp_path)
    assert not found and error.reason == "the DICOMDIR refers to no file"


def test_a_link_out_of_the_folder_is_refused(tmp_path):
    other = write(tmp_path / "other" / "b.dcm")
    write(tmp_path / "set" / "a.dcm")
    (tmp_path / "set" / "b.dcm").symlink_to(other)
    (tmp_path / "set" / "c.dcm").symlink_to("c.dcm")
    records, wrong = read(tmp_path / "set", tmp_path)
    assert len(records) == 1 and len(wrong) == 2
    assert "follow_links=True" in wrong[0][1].reason
    figures, rejected = read_figures(
        str(tmp_path / "set"), run=tmp_path / "run", dicom=options(tmp_path), follow_links=True
    )
    assert len(figures) == 2 and rejected["place"].tolist() == ["file 3 of 3"]


def test_one_image_in_two_files_is_read_once(tmp_path):
    for n in range(2):
        write(tmp_path / "set" / f"{n}.dcm", RAMP + np.uint16(n), SOPInstanceUID="1.2.3.9")
    [record], [(place, error)] = read(tmp_path / "set", tmp_path)
    assert (place, error.field) == ("file 2 of 2", "SOPInstanceUID")
    assert "file 1 of 2" in error.reason
    assert picture_file(tmp_path, record).is_file()


def test_a_good_copy_of_a_damaged_file_is_read(tmp_path):
    good = write(tmp_path / "set" / "b.dcm", SOPInstanceUID="1.2.3.9")
    (tmp_path / "set" / "a.dcm").write_bytes(good.read_bytes()[:-40])
    [record], [(place, error)] = read(tmp_path / "set", tmp_path)
    assert (place, error.field) == ("file 1 of 2", "PixelData")
    assert picture_file(tmp_path, record).is_file()


def test_what_reads_as_dicom(tmp_path):
    write(tmp_path / "a" / "b" / "c" / "x")
    (tmp_path / "a" / "list.csv").write_text("file")
    assert reads_as_dicom(str(tmp_path / "a")) and reads_as_dicom(str(tmp_path / "a/b/c/x"))
    (tmp_path / "a" / "a.png").write_bytes(b"")
    assert not reads_as_dicom(str(tmp_path / "a")) and not reads_as_dicom("clinic")
    assert reads_as_dicom(f"dicom:{tmp_path / 'a'}")
    records, _ = read(f"dicom:{tmp_path / 'a'}", tmp_path)
    assert len(records) == 1
    (tmp_path / "a" / "a.png").unlink()
    (tmp_path / "a" / "figures.jsonl").write_text("")
    assert not reads_as_dicom(str(tmp_path / "a"))


def test_a_folder_without_a_usable_file_is_named_without_its_path(tmp_path):
    write(tmp_path / "Smith" / "a.dcm", Rows=0)
    with pytest.raises(NoUsableFigures, match="0 of 1 records of 'DICOM'") as caught:
        read_figures(str(tmp_path / "Smith"), run=tmp_path / "run", dicom=options(tmp_path))
    assert "Smith" not in str(caught.value)


# --- pseudonyms


def test_a_patient_has_one_pseudonym_by_the_key_alone(tmp_path):
    same = [one(tmp_path, PatientID=name)["group_id"] for name in ("p 7", "P 7 ", "P 7")]
    assert len(set(same)) == 1 and same[0].startswith("patient-")
    assert one(tmp_path, PatientID="P 8")["group_id"] != same[0]
    (tmp_path / "patients.key").unlink()
    assert one(tmp_path, PatientID="P 7")["group_id"] != same[0]


def test_without_an_id_the_patient_is_a_name_and_a_birth_date_then_a_study(tmp_path):
    def group(**tags) -> str:
        return one(tmp_path, PatientID="", **tags)["group_id"]

    named = {"PatientName": "Doe^Jane", "PatientBirthDate": "19700101"}
    assert group(**named, StudyInstanceUID="1.2") == group(**named, StudyInstanceUID="1.3")
    assert group(StudyInstanceUID="1.2") == group(StudyInstanceUID="1.2")
    assert group(StudyInstanceUID="1.2") != group(StudyInstanceUID="1.3")
    nothing = {"StudyInstanceUID": "", "SeriesInstanceUID": ""}
    assert group(**nothing) != group(**nothing, Rows=4, Columns=16)


def test_the_key_is_made_once_for_its_owner_alone_and_that_is_said(tmp_path, caplog):
    file = tmp_path / "keys" / "patients.key"
    key = open_key(file, tmp_path / "run")
    assert "a new one was made" in caplog.text and "new pseudonyms" in caplog.text
    assert file.stat().st_mode & 0o777 == 0o600
    caplog.clear()
    assert open_key(file, tmp_path / "run") == key and not caplog.text
    assert key.secret.hex() not in repr(key)


def test_a_key_that_is_not_safe_is_refused(tmp_path):
    with pytest.raises(UnsafeKey, match="lies in the run"):
        open_key(tmp_path / "run" / "a" / "key", tmp_path / "run")
    file = tmp_path / "key"
    file.write_text("ab" * 32)
    file.chmod(0o640)
    with pytest.raises(UnsafeKey, match="chmod 600"):
        open_key(file, tmp_path / "run")
    file.chmod(0o600)
    file.write_text("secret")
    with pytest.raises(UnsafeKey, match="64 hexadecimal digits, received 6 characters"):
        open_key(file, tmp_path / "run")


def test_another_key_in_one_run_is_told(tmp_path, caplog):
    one(tmp_path)
    (tmp_path / "patients.key").unlink()
    one(tmp_path)
    assert "named by another patient key" in caplog.text


def test_the_key_lies_among_the_users_settings(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert default_key_file() == tmp_path / "vital-workbench" / "patients.key"
    monkeypatch.delenv("XDG_CONFIG_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert default_key_file() == tmp_path / "home/.config/vital-workbench/patients.key"


def test_dates_move_by_whole_days_alike_for_a_patient_and_differently_for_others(tmp_path):
    key = PatientKey(b"k" * 32)
    days = [date(2020, 2, 28), date(2020, 3, 14)]
    moved = {name: [key.shifted(day, name) for day in days] for name in ("a", "b", "c")}
    assert all(second - first == days[1] - days[0] for first, second in moved.values())
    assert len({first for first, _ in moved.values()}) == 3
    assert all(date(2010, 2, 1) < first < days[0] for first, _ in moved.values())
    assert key.shifted(date(1, 1, 5), "a") >= date.min


def test_dates_are_kept_only_if_they_are_asked_for(tmp_path):
    one(tmp_path, StudyDate="20200228")
    assert "date" not in kept_headers(tmp_path / "run")
    write(tmp_path / "b.dcm", StudyDate="20200228")
    read(tmp_path / "b.dcm", tmp_path, dates=True)
    [moved] = kept_headers(tmp_path / "run")["date"].dropna()
    assert date(2010, 2, 1) < date.fromisoformat(moved) < date(2020, 2, 28)


# --- series


def slices(tmp_path, **changes) -> tuple[list[dict], list]:
    """Records of a series of 9 slices, written in another order, and of a view of its own."""
    for n in (4, 0, 8, 2, 6, 1, 3, 5, 7):
        place = {"ImagePositionPatient": [0, 0, 5.0 * n], "InstanceNumber": 9 - n}
        turn = {"ImageOrientationPatient": [1, 0, 0, 0, 1, 0]}
        pixels = RAMP.copy()
        pixels[0, 0] = n
        write(tmp_path / "set" / f"{(n * 4) % 9}.dcm", pixels, **place, **turn)
    write(tmp_path / "set" / "x.dcm", Modality="CR", SeriesInstanceUID="1.2.3.4")
    return read(tmp_path / "set", tmp_path, **changes)


def first_greys(tmp_path, records) -> list[int]:
    from vital_lib.figures import open_image

    files = [picture_file(tmp_path, record) for record in records]
    return [int(open_image(file).stored_greys()[0][0, 0]) for file in files]


@pytest.mark.parametrize(("wanted", "found"), [("middle", [4]), (3, [1, 4, 7]), (1, [4]),
                                               (50, list(range(9)))])  # fmt: skip
def test_slices_of_a_series_are_chosen_by_their_place_in_space(tmp_path, wanted, found):
    records, wrong = slices(tmp_path, series=wanted)
    assert not wrong and len(records) == len(found) + 1
    of_ct = [record for record in records if record["domain"]]
    assert first_greys(tmp_path, of_ct) == found


def test_a_series_becomes_one_contact_sheet(tmp_path):
    records, wrong = slices(tmp_path, series="sheet")
    assert not wrong and len(records) == 2
    [caption] = [record["fig_caption"] for record in records if record["domain"]]
    assert caption == "A CT image, contact sheet of 9 of 9 slices."


def test_all_slices_are_figures_by_default_and_their_series_is_kept(tmp_path):
    records, _ = slices(tmp_path)
    assert len(records) == 10
    kept = kept_headers(tmp_path / "run")
    assert kept["series"].nunique() == 1 and kept["series"][0].startswith("series-")


def test_a_damaged_slice_leaves_the_others_on_the_sheet(tmp_path):
    slices(tmp_path)
    damaged = sorted((tmp_path / "set").iterdir())[3]
    damaged.write_bytes(damaged.read_bytes()[:-60])
    records, wrong = read(tmp_path / "set", tmp_path, series="sheet")
    assert len(records) == 2 and [place for place, _ in wrong] == ["file 4 of 10"]


@pytest.mark.parametrize("wrong", [{"frames": 0}, {"frames": "first"}, {"series": True}])
def test_an_unknown_choice_says_what_is_wanted(wrong):
    with pytest.raises(ValueError, match="received"):
        DicomOptions(**wrong)


# --- modality, caption and clearance

CHEST = [item(CodeValue="51185008")]


@pytest.mark.parametrize(
    ("tags", "flags"),
    [
        ({"Modality": "CT"}, ["ct_scan"]),
        ({"Modality": "MR"}, ["mri"]),
        ({"Modality": "SM"}, ["histology"]),
        ({"Modality": "DX", "BodyPartExamined": "CHEST"}, ["chest_xray"]),
        ({"Modality": "CR", "BodyPartExamined": "HAND"}, []),
        ({"Modality": "DX", "BodyPartExamined": "HAND", "AnatomicRegionSequence": CHEST}, []),
        ({"Modality": "DX", "AnatomicRegionSequence": CHEST}, ["chest_xray"]),
        ({"Modality": "XC"}, []),
        ({"Modality": "XC", "SpecimenDescriptionSequence": [item()]}, ["gross"]),
        ({"Modality": "US", "BodyPartExamined": "CHEST"}, []),
        ({"Modality": None}, []),
    ],
)  # fmt: skip
def test_the_modality_follows_from_the_tags(tmp_path, tags, flags):
    assert list(one(tmp_path, **tags)["domain"]) == flags


@pytest.mark.parametrize(
    ("tags", "why"),
    [
        ({"Modality": "US", "SOPClassUID": UltrasoundImageStorage}, "ultrasound"),
        ({"SOPClassUID": SecondaryCaptureImageStorage}, "secondary capture"),
        ({"ConversionType": "WSD"}, "secondary capture"),
        ({"Modality": "OT"}, "of another kind"),
        ({"BurnedInAnnotation": "YES"}, "the header says so"),
        ({"pixels": np.zeros((4, 4, 3), np.uint8)}, "colours, as in a screenshot"),
    ],
)
def test_what_may_hold_burnt_in_text_says_so(tmp_path, tags, why):
    reason = one(tmp_path, **tags)["cleared_reason"]
    assert reason == f"DICOM: pixels not checked; may hold burnt-in text ({why})"


def test_a_published_set_is_cleared_but_for_what_may_hold_burnt_in_text(tmp_path):
    write(tmp_path / "set" / "a.dcm", PatientID="1")
    write(tmp_path / "set" / "b.dcm", PatientID="2", Modality="US")
    why = {"DICOM": "CC BY 3.0, published"}
    figures, _ = read_figures(
        str(tmp_path / "set"), run=tmp_path / "run", dicom=options(tmp_path), cleared_sources=why
    )
    figures = figures.set_index(figures["cleared"].fillna(False).astype(bool))
    assert figures.loc[True, ["cleared_reason", "cleared_by"]].tolist() == [
        *why.values(),
        "(source)",
    ]
    assert figures.loc[False, "cleared_reason"].endswith("may hold burnt-in text (ultrasound)")


@pytest.mark.parametrize(
    "tags",
    [
        {"Modality": "CT", "BurnedInAnnotation": "NO"},
        {"Modality": "MR", "SOPClassUID": EnhancedMRImageStorage},
    ],
)
def test_other_images_are_not_cleared_either(tmp_path, tags):
    record = one(tmp_path, **tags)
    assert record["cleared_reason"] == "DICOM: pixels not checked" and record["cleared"] is None
    kept = kept_headers(tmp_path / "run").iloc[0]
    assert kept.get("burned_in_annotation", "") == tags.get("BurnedInAnnotation", "")


def test_the_caption_has_terms_of_the_standard_alone(tmp_path):
    tags = {"SOPClassUID": ComputedRadiographyImageStorage, "Modality": "CR", "ViewPosition": "PA"}
    texts = {"StudyDescription": "Chest of Jane Doe", "SeriesDescription": "PA"}
    record = one(tmp_path, BodyPartExamined="CHEST", ImageLaterality="L", **tags, **texts)
    assert record["fig_caption"] == "A radiograph of the chest, left, view PA."
    other = one(tmp_path, BodyPartExamined="JANE DOE", **{**tags, "ViewPosition": "Dr. No"})
    assert other["fig_caption"] == "A radiograph."


def test_the_headers_texts_come_only_if_they_are_asked_for(tmp_path):
    write(tmp_path / "a.dcm", StudyDescription="CT  head", SeriesDescription="CT  head",
          ImageComments="bleed?")  # fmt: skip
    [record], _ = read(tmp_path / "a.dcm", tmp_path, header_text=True)
    assert record["fig_caption"] == "A CT image. CT head bleed?"
    assert record["cleared_reason"].endswith("the caption holds the header's free text")


def test_nothing_of_pydicoms_own_log_is_passed_on(tmp_path, caplog):
    """Its decoders log whole tracebacks by loggers of their own, which inherit their level."""
    from pydicom.data import get_testdata_file

    within = logging.getLogger("pydicom.pixels.decoders.base")
    with quiet():
        within.error("of Jane Doe")
    within.error("as before")
    assert caplog.messages == ["as before"]
    damaged = get_testdata_file("GDCMJ2K_TextGBR.dcm", download=False)
    assert not read(Path(damaged), tmp_path)[0] and "Traceback" not in caplog.text


def test_a_file_that_cannot_be_opened_is_one_rejected_row(tmp_path):
    os.mkfifo(tmp_path / "a.dcm")
    records, [(_, error)] = read(tmp_path / "a.dcm", tmp_path)
    assert not records and error.reason == "is no regular file"
    with pytest.raises(FileNotFoundError):
        read(Path(tmp_path / "missing"), tmp_path)

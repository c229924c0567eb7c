"""DICOM as figures: pixels and a few technical terms, and nothing else of the header.

``files`` finds and reads files, ``header`` says which tags are read and what of them is kept,
``pixels`` makes pictures, ``sheets`` knows the frames of contact sheets, ``windows`` shows 16-bit
greys, ``keys`` makes pseudonyms, and ``records`` joins them. The package knows no groups, splits or
tables.
"""

from vital_lib.dicom.files import find_file, reads_as_dicom
from vital_lib.dicom.keys import PatientKey, UnsafeKey, default_key_file, open_key
from vital_lib.dicom.pixels import Picture
from vital_lib.dicom.records import DicomOptions, dicom_records, kept_headers, write_picture
from vital_lib.dicom.sheets import Tiles, tiles_beside
from vital_lib.dicom.windows import Greys, Window, greys_beside

"""A file that ends before its picture does is refused in every common transfer syntax; a whole one never."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
import pytest
from cryoneuro.imaging import read_ct, read_ct_files
from cryoneuro.imaging.dicom_whole import is_cut_short
from cryoneuro.model import ImageError
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    RLELossless,
)


@pytest.fixture
def series(tmp_path: Path, shared: Path) -> list[Path]:
    """Three slices of a real series."""
    folder = shared / "data" / "dicom" / "ts_example_ct_dicom"
    if not folder.is_dir():
        pytest.skip("the DICOM series is not there")
    files = [p for p in folder.rglob("*") if p.is_file() and pydicom.misc.is_dicom(p)]
    heights = {
        p: float(pydicom.dcmread(p, specific_tags=["ImagePositionPatient"]).ImagePositionPatient[2]) for p in files
    }
    sources = sorted(files, key=heights.__getitem__)[5:8]
    target = tmp_path / "series"
    target.mkdir()
    files = []
    for path in sources:
        files.append(target / path.name)
        files[-1].write_bytes(path.read_bytes())
    return files


@pytest.mark.parametrize(
    "syntax",
    [ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian, RLELossless],
)
def test_whole_files_are_read_and_cut_ones_refused(series: list[Path], syntax: pydicom.uid.UID) -> None:
    want = read_ct(series[0].parent).array_kji
    for path in series:
        data = pydicom.dcmread(path)
        if data.file_meta.TransferSyntaxUID.is_compressed:
            data.decompress()
        if syntax == RLELossless:
            data.compress(RLELossless)
        elif syntax == ExplicitVRBigEndian:
            data.PixelData = np.frombuffer(data.PixelData, "<i2").astype(">i2").tobytes()
        data.file_meta.TransferSyntaxUID = syntax
        pydicom.dcmwrite(path, data, enforce_file_format=True, little_endian=syntax != ExplicitVRBigEndian)
    np.testing.assert_array_equal(read_ct(series[0].parent).array_kji, want)
    whole = series[1].read_bytes()
    for part in (0.99, 0.5):
        series[1].write_bytes(whole[: int(part * len(whole))])
        with pytest.raises(ImageError):
            read_ct_files(series)
        # Of a folder the rest is read where the reader does not even see the file as an image; the file is named.
        try:
            warnings = " ".join(read_ct(series[0].parent).warnings)
        except ImageError as error:
            warnings = str(error)
        assert series[1].name in warnings


def test_a_file_that_is_cut_where_the_reader_does_not_notice(series: list[Path]) -> None:
    content = series[1].read_bytes()
    picture = 2 * pydicom.dcmread(series[1]).Rows * pydicom.dcmread(series[1]).Columns
    cut = [len(content) - n for n in (1, 2, 100, len(content) // 2)]
    path = series[1].with_name("cut")
    path.write_bytes(content)
    assert not is_cut_short(path, picture)
    for end in cut:
        path.write_bytes(content[:end])
        assert is_cut_short(path, picture)

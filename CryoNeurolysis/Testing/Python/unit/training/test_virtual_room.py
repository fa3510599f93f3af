"""The virtual room's scans: the patient where it says, ice of the right depth, files that read back the same."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from cryoneuro.guidance import ice_drop_hu
from cryoneuro.imaging import read_ct
from cryoneuro.model import Case, GuidanceError, VolumeGeometry, moved
from cryoneuro.training import (
    IceShape,
    ScanSettings,
    Shaft,
    room_truth,
    scan_geometry,
    virtual_room_scan,
    virtual_scan,
    write_dicom_series,
)

PLAIN = ScanSettings(slice_mm=2.0, slices=10, size=96, pixel_mm=1.5, noise_hu=0.01, blur_mm=0.01, streaks=False)


def test_the_patient_lies_where_it_was_moved(phantom_case_ct: Case) -> None:
    ct = phantom_case_ct.ct
    center = ct.geometry.center_ras_mm
    turn = np.eye(4)
    turn[:3, 3] = [7.0, -4.0, 2.0]
    still = virtual_scan(ct, scan_geometry(center, PLAIN), PLAIN)
    shifted = virtual_scan(ct, scan_geometry(moved(turn, center), PLAIN), PLAIN, turn)
    # A scan that moves with the patient shows the same.
    assert np.abs(still.array_kji.astype(int) - shifted.array_kji).max() <= 1


def test_ice_is_dark_by_what_tissue_says_and_metal_is_where_the_shaft_is(phantom_case_ct: Case) -> None:
    ct = phantom_case_ct.ct
    center = np.array(ct.geometry.center_ras_mm)
    geometry = scan_geometry(center, PLAIN)
    plain = virtual_scan(ct, geometry, PLAIN).array_kji.astype(float)
    matrix = np.diag([2.0, 2.0, 2.0, 1.0])
    matrix[:3, 3] = center - 20.0
    cold = IceShape(np.full((21, 21, 21), -10.0, np.float32), VolumeGeometry((21, 21, 21), matrix))
    frozen = virtual_scan(ct, geometry, PLAIN, None, (), cold).array_kji.astype(float)
    fell = plain - frozen
    middle = fell[5, 48, 48]
    assert middle == pytest.approx(float(ice_drop_hu(plain[5:6, 48, 48].astype(np.float32))[0]), abs=3.0)
    assert abs(fell[5, 4, 4]) < 1.0
    shaft = Shaft(center - [0, 60.0, 0], center, 2.4)
    metal = virtual_scan(ct, geometry, PLAIN, None, (shaft,)).array_kji
    k, j, i = np.nonzero(metal > 1500)
    along = geometry.ijk_to_ras_mm(np.stack([i, j, k], axis=1)) - center
    assert len(k) and np.hypot(along[:, 0], along[:, 2]).max() < 3.0 and along[:, 1].max() < 1.6


def test_ice_drop_is_none_in_gas_and_bone() -> None:
    fall = ice_drop_hu(np.array([-1000.0, -100.0, 50.0, 700.0], np.float32))
    assert fall[0] == 0 and fall[3] == 0 and fall[1] == pytest.approx(10.0) and fall[2] == pytest.approx(60.0)


def test_files_read_back_as_the_same_scan(tmp_path: Path, planned_case: Case) -> None:
    assert planned_case.plan is not None and planned_case.anatomy is not None
    truth = room_truth(planned_case.plan)
    scan = virtual_room_scan(planned_case.ct, planned_case.anatomy, truth, replace(PLAIN, noise_hu=10.0))
    files = write_dicom_series(scan, tmp_path / "files", header={"PatientID": "X1"})
    assert len(files) == PLAIN.slices
    back = read_ct(tmp_path / "files")
    np.testing.assert_array_equal(back.array_kji, scan.array_kji)
    np.testing.assert_allclose(back.geometry.ijk_to_ras, scan.geometry.ijk_to_ras, atol=1e-4)
    assert back.acquisition.patient_key and back.acquisition.acquired
    with pytest.raises(GuidanceError):
        virtual_room_scan(planned_case.ct, planned_case.anatomy, truth, PLAIN, frozen_s=-1.0)


@pytest.fixture(scope="module")
def phantom_case_ct(planned_case: Case) -> Case:
    return planned_case

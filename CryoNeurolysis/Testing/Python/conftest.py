"""What tests share: the phantom and its case, made once, and the real data where they lie."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from cryoneuro.anatomy import segment
from cryoneuro.imaging import Phantom, make_phantom
from cryoneuro.model import Anatomy, Case
from cryoneuro.pipeline import Request, new_case, plan_step, simulate_step

REPOSITORY = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="session")
def repository() -> Path:
    """Root of the source tree."""
    return REPOSITORY


@pytest.fixture(scope="session")
def shared() -> Path:
    """Folder of the real test data, beside the repository or where CRYONEURO_SHARED says."""
    folder = Path(os.environ.get("CRYONEURO_SHARED", REPOSITORY.parent / "shared"))
    if not (folder / "data").is_dir():
        pytest.skip(f"the real test data are not there ({folder}/data)")
    return folder


@pytest.fixture(scope="session")
def phantom() -> Phantom:
    """The synthetic body at 2 mm."""
    return make_phantom(2.0)


@pytest.fixture(scope="session")
def phantom_anatomy(phantom: Phantom) -> Anatomy:
    """What the classical segmentation makes of it."""
    return segment(phantom.ct, grid_mm=2.0)


@pytest.fixture(scope="session")
def planned_case(phantom: Phantom, phantom_anatomy: Anatomy) -> Case:
    """The phantom with a plan to its left intercostal nerve."""
    from dataclasses import replace

    return plan_step(replace(new_case(phantom.ct), anatomy=phantom_anatomy), Request("intercostal", probe_count=1))


@pytest.fixture(scope="session")
def assessed_case(planned_case: Case) -> Case:
    """The same, frozen at 2 mm and assessed."""
    return simulate_step(planned_case, grid_mm=2.0)

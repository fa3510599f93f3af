"""What tests share: the phantom and its case, made once, and the real data where they lie."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from cryoneuro.anatomy import segment
from cryoneuro.imaging import Phantom, make_phantom
from cryoneuro.model import Anatomy, Case
from cryoneuro.pipeline import Request, new_case, plan_step, simulate_step

sys.path.insert(0, str(Path(__file__).resolve().parent))

from kept_cases import Keeper
from real_cts import RealCts

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
def kept() -> Keeper:
    """kept(name, make, *inputs): what make(*inputs) returns, made once for all workers."""
    return Keeper(REPOSITORY / ".pytest_cache" / "cases")


@pytest.fixture(scope="session")
def real_cts(shared: Path, kept: Keeper) -> RealCts:
    """The real CTs, segmented once."""
    return RealCts(shared, kept)


@pytest.fixture(scope="session")
def phantom() -> Phantom:
    """The synthetic body at 2 mm."""
    return make_phantom(2.0)


@pytest.fixture(scope="session")
def phantom_anatomy(phantom: Phantom, kept: Keeper) -> Anatomy:
    """What the classical segmentation makes of it."""

    def segmented() -> Anatomy:
        return segment(phantom.ct, grid_mm=2.0)

    return kept("phantom", segmented)


@pytest.fixture(scope="session")
def planned_case(phantom: Phantom, phantom_anatomy: Anatomy, kept: Keeper) -> Case:
    """The phantom with a plan to its left intercostal nerve."""

    def planned() -> Case:
        case = replace(new_case(phantom.ct), anatomy=phantom_anatomy)
        return plan_step(case, Request("intercostal", probe_count=1))

    return replace(kept("phantom-planned", planned), ct=phantom.ct)


@pytest.fixture(scope="session")
def assessed_case(planned_case: Case, kept: Keeper) -> Case:
    """The same, frozen at 2 mm and assessed."""

    def assessed() -> Case:
        return simulate_step(planned_case, grid_mm=2.0)

    return replace(kept("phantom-assessed", assessed), ct=planned_case.ct, anatomy=planned_case.anatomy)

"""What tests share: the phantom and its case, made once, and the real data where they lie."""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from cryoneuro.anatomy import segment
from cryoneuro.imaging import Phantom, make_phantom
from cryoneuro.model import Anatomy, Case
from cryoneuro.pipeline import Planned, Request, new_case, planned_step, simulate_step

sys.path.insert(0, str(Path(__file__).resolve().parent))

from kept_cases import Keeper
from real_cts import RealCts, remembered_finders

REPOSITORY = Path(__file__).resolve().parents[3]
LONGEST_FIRST = (
    *("test_real_anatomy", "test_real_ct", "test_thermal_exact", "test_real_paths", "test_panel", "test_cli"),
    *("test_thermal_reference", "test_thermal", "test_follow", "test_planning", "test_live", "test_hard_cts"),
    *("test_on_real_cts", "test_thermal_interfaces", "test_panel_parts", "test_live_step", "test_dicom_receiver"),
)
"""Files that take longest. Two workers end together when the last file that they begin is a short one."""

# Arrays of many megabytes come and go: memory that is given back to the system each time is cleared by it each time.
with contextlib.suppress(AttributeError, OSError, TypeError):
    mallopt = ctypes.CDLL(None).mallopt
    for parameter, value in ((-4, 0), (-1, 2_000_000_000), (-2, 1 << 26)):  # M_MMAP_MAX, M_TRIM_THRESHOLD, M_TOP_PAD
        mallopt(parameter, value)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Workers take whole files (--dist loadfile), so that what a file's tests share is made once; the longest come first."""
    rank = {name: n for n, name in enumerate(LONGEST_FIRST)}
    items.sort(key=lambda item: rank.get(item.path.stem, len(rank)))


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


@pytest.fixture
def remembered_anatomy() -> Iterator[None]:
    """A CT that is segmented again, in another command or another window, does not cost the finders' time again."""
    with remembered_finders():
        yield


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
def planned(phantom: Phantom, phantom_anatomy: Anatomy, kept: Keeper) -> Planned:
    """The phantom with a plan to its left intercostal nerve, and what the plan was chosen from."""

    def make() -> Planned:
        case = replace(new_case(phantom.ct), anatomy=phantom_anatomy)
        return planned_step(case, Request("intercostal", probe_count=1))

    found = kept("phantom-planned", make)
    return replace(found, case=replace(found.case, ct=phantom.ct))


@pytest.fixture(scope="session")
def planned_case(planned: Planned) -> Case:
    """The phantom with a plan to its left intercostal nerve."""
    return planned.case


@pytest.fixture(scope="session")
def assessed_case(planned_case: Case, kept: Keeper) -> Case:
    """The same, frozen at 2 mm and assessed."""

    def assessed() -> Case:
        return simulate_step(planned_case, grid_mm=2.0)

    return replace(kept("phantom-assessed", assessed), ct=planned_case.ct, anatomy=planned_case.anatomy)

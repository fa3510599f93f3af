"""Cases that are kept on disk are those that would be made now; what is stale or damaged is made anew."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from cryoneuro.model import Case, content_hash
from kept_cases import Keeper, Remembered

CALLS: list[int] = []


def squares(count: int, _file: Path | None = None) -> dict[str, np.ndarray]:
    """A mask and numbers, read-only as a case's arrays are; one of them twice."""
    CALLS.append(count)
    numbers = np.arange(float(count * count)).reshape(count, count).T
    mask = numbers > 3
    for array in (numbers, mask):
        array.setflags(write=False)
    return {"numbers": numbers, "mask": mask, "again": mask, "own": np.zeros(3, np.int16), "empty": np.zeros((0, 3))}


@pytest.fixture(autouse=True)
def no_calls() -> None:
    CALLS.clear()


def test_it_comes_back_as_it_was_made(tmp_path: Path) -> None:
    first = Keeper(tmp_path)("squares", squares, 5)
    keeper = Keeper(tmp_path)
    second = keeper("squares", squares, 5)
    assert CALLS == [5] and keeper("squares", squares, 5) is second
    for name, array in first.items():
        assert np.array_equal(array, second[name]) and array.dtype == second[name].dtype
        assert array.flags.writeable == second[name].flags.writeable, name
    assert second["again"] is second["mask"]
    with pytest.raises(ValueError):
        second["mask"][0] = True
    second["own"][0] = 1


def test_other_inputs_names_files_and_sources_are_made_anew(tmp_path: Path) -> None:
    cases, source, data = tmp_path / "cases", tmp_path / "source.py", tmp_path / "ct.nrrd"
    source.write_text("one = 1")
    data.write_bytes(b"one")
    Keeper(cases, (source,))("squares", squares, 3, data)
    Keeper(cases, (source,))("squares", squares, 4, data)
    Keeper(cases, (source,))("others", squares, 3, data)
    other = tmp_path / "other.nrrd"
    other.write_bytes(b"two")
    Keeper(cases, (source,))("squares", squares, 3, other)
    assert CALLS == [3, 4, 3, 3]
    before = set(cases.rglob("*.pickle"))
    source.write_text("one = 2")
    Keeper(cases, (source,))("squares", squares, 3, data)
    assert CALLS == [3, 4, 3, 3, 3]
    assert before <= set(cases.rglob("*.pickle")), "another run may still be at work with it"
    for folder in cases.iterdir():
        os.utime(folder, (0, 0))
    Keeper(cases, (source,))
    assert not before & set(cases.rglob("*.pickle")), "what another version made is removed"


@pytest.mark.parametrize("damage", ["cut", "changed", "empty", "text"])
def test_a_damaged_file_is_made_anew(tmp_path: Path, damage: str) -> None:
    Keeper(tmp_path)("squares", squares, 5)
    (path,) = tmp_path.rglob("*.pickle")
    whole = path.read_bytes()
    middle = len(whole) // 2
    flipped = whole[:middle] + bytes([whole[middle] ^ 1]) + whole[middle + 1 :]
    path.write_bytes({"cut": whole[:-9], "changed": flipped, "empty": b"", "text": b"no pickle"}[damage])
    found = Keeper(tmp_path)("squares", squares, 5)
    assert CALLS == [5, 5] and found["numbers"][1, 0] == 1.0
    assert path.read_bytes() == whole


_WORKER = """
import sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from kept_cases import Keeper
def slow():
    with Path(sys.argv[3]).open("a") as file:
        file.write("made ")
    time.sleep(0.5)
    return 7
print(Keeper(Path(sys.argv[2]), (Path(sys.argv[1]) / "kept_cases.py",))("slow", slow))
"""


def test_two_workers_do_not_make_the_same_twice(tmp_path: Path) -> None:
    (tmp_path / "worker.py").write_text(_WORKER)
    here = Path(__file__).resolve().parents[1]
    command = [sys.executable, tmp_path / "worker.py", here, tmp_path / "cases", tmp_path / "log"]
    workers = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    assert [w.communicate(timeout=60)[0] for w in workers] == ["7\n"] * 2
    assert (tmp_path / "log").read_text() == "made "


def test_a_case_from_disk_is_the_case(tmp_path: Path, assessed_case: Case) -> None:
    def given() -> Case:
        return assessed_case

    Keeper(tmp_path)("case", given)
    found = Keeper(tmp_path)("case", given)
    assert found is not assessed_case and content_hash(found) == content_hash(assessed_case)
    assert found.anatomy is not None and not found.anatomy.body_kji.flags.writeable


def test_what_is_remembered_is_nobody_elses() -> None:
    made = Remembered(lambda mask, size: CALLS.append(size) or [mask.copy(), size], most=2)
    mask = np.zeros(4, bool)
    one, other = made(mask, 3), made(mask.copy(), 3)
    assert CALLS == [3] and one[0] is not other[0]
    one[0][0] = True
    assert not made(mask, 3)[0].any(), "a caller that writes into a result changes it for nobody"
    assert made(one[0], 3)[0].any() and CALLS == [3, 3]
    made(mask, 4), made(mask, 3)
    assert CALLS == [3, 3, 4, 3], "only the last few are held"

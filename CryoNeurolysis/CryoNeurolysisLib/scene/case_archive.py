"""A whole case inside the scene, so that saving the scene saves the case and opening it brings the case back.

The CT itself is left out: it stands in the scene already, and the archive refers to its node.
"""

from __future__ import annotations

import base64
import io
import tempfile
import zipfile
from pathlib import Path
from typing import Any

from cryoneuro.model import Case, CaseError, CtVolume

NAME = "CryoNeurolysis case archive"
_FORMAT = "cryoneuro-archive/2"
_KIND = "CryoNeurolysis.Archive"
_CT = "ct"
_CT_FILE = "ct.nrrd"


def archiveNode(scene: Any, volume: Any) -> Any:
    """The archive of the case on a volume; None where there is none."""
    for number in range(scene.GetNumberOfNodesByClass("vtkMRMLTextNode")):
        node = scene.GetNthNodeByClass(number, "vtkMRMLTextNode")
        if node.GetAttribute(_KIND) and node.GetNodeReference(_CT) is volume:
            return node
    return None


def packedCase(case: Case) -> str:
    """A case without its CT as text (any thread).

    Raises:
        CaseError: the disk is full.
    """
    from cryoneuro.session import save_case

    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "case"
        save_case(case, place, without_ct=True)
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED) as archive:
            for path in sorted(p for p in place.rglob("*") if p.is_file()):
                archive.write(path, path.relative_to(place).as_posix())
    return f"{_FORMAT}\n{base64.b64encode(packed.getvalue()).decode()}"


def keepArchive(scene: Any, volume: Any, text: str) -> Any:
    """Put the text of packedCase into the archive node of a volume, which is made when it is missing (main thread)."""
    node = archiveNode(scene, volume)
    if node is None:
        node = scene.AddNewNodeByClass("vtkMRMLTextNode", NAME)
        node.SetAttribute(_KIND, "1")
        node.SetHideFromEditors(True)
        node.SetNodeReferenceID(_CT, volume.GetID())
        # A case is too large for the scene's own file.
        node.SetForceCreateStorageNode(node.CreateStorageNodeAlways)
    node.SetText(text)
    return node


def unpackedCase(text: str, ct: CtVolume) -> Case:
    """The case of an archive's text, on its CT (any thread).

    Raises:
        CaseError: the archive is damaged, was written by another version, or belongs to another CT.
    """
    from cryoneuro.imaging import write_volume
    from cryoneuro.session import load_case

    form, _, packed = text.partition("\n")
    if form != _FORMAT:
        raise CaseError(
            f"The case in this scene was written as '{form}', this program reads '{_FORMAT}'; the choices are kept, plan anew."
        )
    with tempfile.TemporaryDirectory() as folder:
        try:
            with zipfile.ZipFile(io.BytesIO(base64.b64decode(packed, validate=True))) as archive:
                for member in archive.namelist():
                    if Path(member).is_absolute() or ".." in Path(member).parts:
                        raise CaseError("The case in this scene is damaged; open the case folder instead.")
                archive.extractall(folder)
            write_volume(Path(folder) / _CT_FILE, ct.array_kji, ct.geometry)
        except (ValueError, zipfile.BadZipFile, OSError) as error:
            raise CaseError("The case in this scene is damaged; open the case folder instead.") from error
        try:
            return load_case(folder)[0]
        except CaseError as error:
            raise CaseError(
                f"The case in this scene does not fit the chosen CT, or is damaged; choose the CT it was made on. ({error})"
            ) from error

"""A whole case inside the scene, so that saving the scene saves the case and opening it brings the case back."""

from __future__ import annotations

import base64
import io
import tempfile
import zipfile
from pathlib import Path
from typing import Any

from cryoneuro.model import Case, CaseError
from cryoneuro.session import load_case, save_case

NAME = "CryoNeurolysis case archive"
_FORMAT = "cryoneuro-archive/1"


def archiveCase(scene: Any, case: Case) -> Any:
    """Write a case into the scene's archive node, which is made when it is missing (main thread)."""
    node = scene.GetFirstNodeByName(NAME)
    if node is None:
        node = scene.AddNewNodeByClass("vtkMRMLTextNode", NAME)
        node.SetHideFromEditors(True)
        # A case is too large for the scene's own file.
        node.SetForceCreateStorageNode(node.CreateStorageNodeAlways)
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "case"
        save_case(case, place)
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED) as archive:
            for path in sorted(p for p in place.rglob("*") if p.is_file()):
                archive.write(path, path.relative_to(place).as_posix())
    node.SetText(f"{_FORMAT}\n{base64.b64encode(packed.getvalue()).decode()}")
    return node


def archivedCase(scene: Any) -> Case | None:
    """The case of the scene's archive node; None where there is none.

    Raises:
        CaseError: the archive is damaged or was written by another version.
    """
    node = scene.GetFirstNodeByName(NAME)
    text = "" if node is None else node.GetText() or ""
    if not text:
        return None
    form, _, packed = text.partition("\n")
    if form != _FORMAT:
        raise CaseError(f"The case in this scene was written as '{form}', this program reads '{_FORMAT}'.")
    with tempfile.TemporaryDirectory() as folder:
        try:
            with zipfile.ZipFile(io.BytesIO(base64.b64decode(packed, validate=True))) as archive:
                for member in archive.namelist():
                    if Path(member).is_absolute() or ".." in Path(member).parts:
                        raise CaseError("The case in this scene is damaged; open the case folder instead.")
                archive.extractall(folder)
        except (ValueError, zipfile.BadZipFile, OSError) as error:
            raise CaseError("The case in this scene is damaged; open the case folder instead.") from error
        return load_case(folder)[0]

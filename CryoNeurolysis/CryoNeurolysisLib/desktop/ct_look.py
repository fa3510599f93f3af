"""What the panel knows of the chosen CT before anything is computed: size, warnings, or why it cannot be used. No qt."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from cryoneuro.model import CryoNeuroError


@dataclass(frozen=True, eq=False)
class Found:
    """What reading a CT has told.

    Attributes:
        made: the case that was saved for it, ready to be shown; None where there is none.
        error: why that case cannot be used.
    """

    ct: Any
    made: Any = None
    error: str = ""


def looked(source: Any, text: str, adopt: Callable[[str, Any], Any]) -> Found:
    """Read a CT, and the case that was saved for it (any thread).

    Args:
        source: of the CT.
        text: of the case's archive; empty where there is none.
        adopt: makes the case from text and CT.

    Raises:
        CryoNeuroError: the CT cannot be used.
    """
    ct = source.read()
    _warmUp()
    if not text:
        return Found(ct)
    try:
        return Found(ct, adopt(text, ct))
    except CryoNeuroError as error:
        return Found(ct, error=str(error))


def _warmUp() -> None:
    """Load the engine here, in a thread, so that no first click has to wait for it."""
    import cryoneuro.pipeline
    import cryoneuro.report.content  # noqa: F401

    from ..scene import case_scene  # noqa: F401


@dataclass(frozen=True)
class CtLook:
    """Sentences on the chosen CT.

    Attributes:
        key: of the voxels and their place when they were looked at.
        size: of the volume in words.
        warnings: what speaks against planning on it.
        error: why it cannot be used; empty where it can.
        isKnown: whether it has been read.
    """

    key: tuple[Any, ...] = ()
    size: str = ""
    warnings: tuple[str, ...] = ()
    error: str = ""
    isKnown: bool = False

    @staticmethod
    def of(volume: Any, source: Any = None, error: str = "") -> CtLook:
        """What a volume says without being read."""
        size = ""
        if source is not None:
            spacing = " x ".join(f"{s:.2f}" for s in source.geometry.spacing_mm)
            size = f"{' x '.join(str(n) for n in source.geometry.shape_kji[::-1])} voxels of {spacing} mm"
        warnings = (error,) if error else ()
        return CtLook(_key(volume), size, warnings, error, bool(error))

    def known(self, found: Found | None, error: str = "") -> CtLook:
        """The same with what reading it has told."""
        if found is None:
            return replace(self, warnings=(error,), error=error, isKnown=True)
        return replace(self, warnings=tuple(found.ct.warnings), isKnown=True)

    def isStale(self, volume: Any) -> bool:
        """Whether the volume is another one, or has other voxels or another place."""
        return self.key != _key(volume)


def _key(volume: Any) -> tuple[Any, ...]:
    image, transform = volume.GetImageData(), volume.GetParentTransformNode()
    return (
        volume.GetID(),
        0 if image is None else image.GetMTime(),
        "" if transform is None else transform.GetID(),
        tuple(volume.GetSpacing()),
        tuple(volume.GetOrigin()),
    )

"""CTs to try the module on: a synthetic phantom, made on this machine, and a public CT, by address and checksum."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import slicer
from slicer.i18n import tr as _

PHANTOM_NAME = "CryoNeurolysisPhantom"
PUBLIC_CT_NAME = "CryoNeurolysisPublicCt"


def registerSampleData(icons: Path) -> None:
    """Offer both in the Sample Data module.

    Args:
        icons: folder of the thumbnails.
    """
    import SampleData
    from cryoneuro.knowledge import demo_source

    public = demo_source()
    logic = SampleData.SampleDataLogic
    if hasattr(logic, "registerCustomSampleDataCategory"):  # Slicer 5.11 and later
        logic.registerCustomSampleDataCategory("CryoNeurolysis", title=_("Cryoneurolysis"))
    logic.registerCustomSampleDataSource(
        category="CryoNeurolysis",
        sampleName=PHANTOM_NAME,
        thumbnailFileName=str(icons / f"{PHANTOM_NAME}.png"),
        uris=[],
        fileNames=[],
        nodeNames=[],
        loadFiles=[],
        customDownloader=loadPhantom,
    )
    logic.registerCustomSampleDataSource(
        category="CryoNeurolysis",
        sampleName=PUBLIC_CT_NAME,
        thumbnailFileName=str(icons / f"{PUBLIC_CT_NAME}.png"),
        uris=[public.url],
        fileNames=[public.file],
        nodeNames=[PUBLIC_CT_NAME],
        loadFiles=[False],
        checksums=[f"SHA256:{public.sha256}"],
        customDownloader=loadPublicCt,
    )


def loadPhantom(source: Any = None) -> Any:
    """Make the phantom and show it, as Sample Data does with what it downloads."""
    node = makePhantom()
    slicer.util.setSliceViewerLayers(background=node, fit=True)
    return node


def loadPublicCt(source: Any) -> Any:
    """Download the public chest CT (35 MB, once), check it, unpack it and show it."""
    import SampleData

    folder = slicer.mrmlScene.GetCacheManager().GetRemoteCacheDirectory()
    logic = SampleData.SampleDataLogic()
    wheel = logic.downloadFile(source.uris[0], folder, source.fileNames[0], checksum=source.checksums[0])
    node = readPublicCt(Path(wheel))
    slicer.util.setSliceViewerLayers(background=node, fit=True)
    return node


def makePhantom() -> Any:
    """The synthetic phantom as a volume node."""
    from cryoneuro.imaging import make_phantom

    from ..scene.nodes import ctNode

    node = ctNode(slicer.mrmlScene, make_phantom().ct)
    node.SetName(PHANTOM_NAME)
    return node


def readPublicCt(wheel: Path) -> Any:
    """The public chest CT from its downloaded package as a volume node.

    Raises:
        ImageError: the package is not the expected one.
    """
    from cryoneuro.imaging import read_ct
    from cryoneuro.imaging.demo import demo_ct_from

    from ..scene.nodes import ctNode

    node = ctNode(slicer.mrmlScene, read_ct(demo_ct_from(wheel)[0]))
    node.SetName(PUBLIC_CT_NAME)
    return node

"""During the procedure: scans as they arrive, the plan laid over them, the probe as it lies, the ice as it grows."""

from .align import align
from .arrival import Arrival, FrameSource, TrackedPose
from .dicom_receiver import DicomReceiver, ReceiverSettings
from .find_probes import find_probes
from .folder_source import FolderSource
from .igtl_source import IgtlSource
from .series import SeriesGathering
from .spool import Spool, SpoolFull

__all__ = [
    "Arrival",
    "DicomReceiver",
    "FolderSource",
    "FrameSource",
    "IgtlSource",
    "ReceiverSettings",
    "SeriesGathering",
    "Spool",
    "SpoolFull",
    "TrackedPose",
    "align",
    "find_probes",
]

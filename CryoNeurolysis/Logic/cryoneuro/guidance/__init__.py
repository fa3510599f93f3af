"""During the procedure: scans as they arrive, the plan laid over them, the probe as it lies, the ice as it grows."""

from .align import align
from .arrival import Arrival, FrameSource, TrackedPose
from .compare_ice import compare_ice, temperature_at
from .count_down import count_down
from .dicom_receiver import DicomReceiver, ReceiverSettings
from .find_probes import find_probes
from .folder_source import FolderSource
from .follow import LivePicture, LiveSetup, LiveState, follow, follow_pose, warm_up
from .ice_drop import ice_drop_hu
from .identity import identity_questions, same_frame
from .igtl_source import IgtlSource
from .read_series import arrival_of
from .recalibrate import IceObservation, Replayed, observation, recalibrate
from .scan_clock import ScanClock
from .seen_ice import FallBlock, fall_block, seen_ice
from .series import SeriesGathering
from .spool import Spool, SpoolFullError
from .targeting import placed_plan, targeting_error

__all__ = [
    "Arrival",
    "DicomReceiver",
    "FallBlock",
    "FolderSource",
    "FrameSource",
    "IceObservation",
    "IgtlSource",
    "LivePicture",
    "LiveSetup",
    "LiveState",
    "ReceiverSettings",
    "Replayed",
    "ScanClock",
    "SeriesGathering",
    "Spool",
    "SpoolFullError",
    "TrackedPose",
    "align",
    "arrival_of",
    "compare_ice",
    "count_down",
    "fall_block",
    "find_probes",
    "follow",
    "follow_pose",
    "ice_drop_hu",
    "identity_questions",
    "observation",
    "placed_plan",
    "recalibrate",
    "same_frame",
    "seen_ice",
    "targeting_error",
    "temperature_at",
    "warm_up",
]

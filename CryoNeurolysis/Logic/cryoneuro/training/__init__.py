"""The virtual CT room: scans that were never made, of probes and ice in real CTs, for the trainee and for tests."""

from .dicom_files import write_dicom_series
from .virtual_ct import IceShape, ScanSettings, Shaft, scan_geometry, virtual_scan
from .virtual_room import RoomTruth, room_truth, virtual_room_scan

__all__ = [
    "IceShape",
    "RoomTruth",
    "ScanSettings",
    "Shaft",
    "room_truth",
    "scan_geometry",
    "virtual_room_scan",
    "virtual_scan",
    "write_dicom_series",
]

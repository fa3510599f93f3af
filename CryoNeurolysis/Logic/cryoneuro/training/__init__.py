"""The virtual CT room: scans that were never made, of probes and ice in real CTs, for the trainee and for tests."""

from .virtual_ct import IceShape, ScanSettings, Shaft, scan_geometry, virtual_scan

__all__ = ["IceShape", "ScanSettings", "Shaft", "scan_geometry", "virtual_scan"]

"""A procedure pushed over DICOM by a real sender: seconds of every part from the last byte to the picture, and what they say.

Usage: live.py [FOLDER of the real test data]. Virtual scans of 512 x 512 x 20 with a probe 3 mm off its plan and growing ice.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

from cryoneuro.anatomy import segment
from cryoneuro.guidance import DicomReceiver, ReceiverSettings
from cryoneuro.imaging import read_ct
from cryoneuro.live import LiveOptions, LiveSession
from cryoneuro.pipeline import Request, new_case, plan_step
from cryoneuro.session import save_case
from cryoneuro.thermal import simulate
from cryoneuro.training import ScanSettings, room_truth, virtual_room_scan, write_dicom_series

SHARED = Path(os.environ.get("CRYONEURO_SHARED", Path(__file__).resolve().parents[2] / "shared"))
CASES = (("thorabd-arterial-lidc", Request("intercostal", probe_count=1)),)
FROZEN_S = (0.0, 60.0, 120.0, 180.0)


def main() -> None:
    data = Path(sys.argv[1]) if len(sys.argv) > 1 else SHARED / "data" / "ct"
    sender = shutil.which("dcmsend")
    for name, request in CASES:
        ct = read_ct(data / name / "ct.nrrd")
        case = plan_step(replace(new_case(ct), anatomy=segment(ct)), request)
        assert case.plan is not None and case.anatomy is not None
        with tempfile.TemporaryDirectory() as folder:
            place = Path(folder)
            save_case(case, place / "case")
            told: list[str] = []
            truth = room_truth(case.plan)
            run = simulate(case.anatomy, truth.plan, snapshot_s=15.0)
            options = LiveOptions(same=("patient", "study", "frame", "position"))
            session = LiveSession(place / "case", options, told.append)
            receiver = DicomReceiver(place / "received", ReceiverSettings(port=0))
            rows: list[tuple[str, dict[str, float]]] = []
            for number, frozen_s in enumerate(FROZEN_S):
                scan = virtual_room_scan(ct, case.anatomy, truth, ScanSettings(seed=number), frozen_s, run=run)
                files = write_dicom_series(scan, place / f"scan{number}")
                if frozen_s:
                    session.freeze(time.time() - frozen_s)
                if sender is None:
                    raise SystemExit("This benchmark sends with DCMTK: apt-get install dcmtk")
                subprocess.run([sender, "127.0.0.1", str(receiver.port), *map(str, files)], check=True)
                picture = None
                while picture is None:
                    for arrival in receiver.poll():
                        came = time.time()
                        picture = session.take(arrival)
                    time.sleep(0.02)
                assert arrival.ct is not None
                parts = dict(picture.seconds)
                overlay = parts.get("align", 0.0)
                whole = time.time() - arrival.received_s
                parts = {
                    "complete and read": came - arrival.received_s,
                    **parts,
                    "pictures": whole - (came - arrival.received_s) - sum(parts.values()),
                }
                parts["OVERLAY"] = parts["complete and read"] + overlay
                parts["ALL"] = whole
                rows.append((f"{frozen_s:.0f} s", parts))
            names = list(dict.fromkeys(n for _, parts in rows for n in parts))
            print(f"{name}, {request.target}: seconds from the last byte, 512 x 512 x 20, {os.cpu_count()} cores")
            print(f"{'':20}" + "".join(f"{label:>9}" for label, _ in rows))
            for part in names:
                print(f"{part:20}" + "".join(f"{parts.get(part, 0.0):9.2f}" for _, parts in rows))
            print("\n".join(told))
            shutil.copytree(place / "case" / "live", Path(tempfile.gettempdir()) / "live-pictures", dirs_exist_ok=True)
            receiver.close()
            session.close()


if __name__ == "__main__":
    main()

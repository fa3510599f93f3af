"""Times `cryoneuro run` on the demo CT in a process of its own: seconds per stage, wall time, peak memory. Prints a table."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from cryoneuro.imaging import demo_ct_files

GOAL_S, GOAL_GB = 60.0, 4.0


def main() -> int:
    """Run both demo targets, with and without labels."""
    ct, labels = demo_ct_files()
    print(f"{'case':34} {'wall s':>7} {'of goal':>8} {'GB':>5}  stages, s")
    with tempfile.TemporaryDirectory() as scratch:
        for target in ("celiac_plexus", "intercostal"):
            for with_labels in (True, False):
                command = [sys.executable, "-m", "cryoneuro", "run", str(ct), "--target", target, "--json"]
                command += ["--output", str(Path(scratch) / f"{target}{with_labels}")]
                command += ["--labels", str(labels)] if with_labels else []
                start = time.perf_counter()
                done = subprocess.run(command, capture_output=True, text=True, check=True)
                wall = time.perf_counter() - start
                stages = json.loads(done.stdout)["cases"][0]["seconds"]
                # Linux counts in kB; the largest child so far.
                peak_gb = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e6
                name = f"{target}, {'labels' if with_labels else 'CT alone'}"
                parts = ", ".join(f"{key} {value:.1f}" for key, value in stages.items())
                print(f"{name:34} {wall:7.1f} {wall / GOAL_S:8.2f} {peak_gb:5.2f}  {parts}")
    print(f"Goal: {GOAL_S:.0f} s and {GOAL_GB:.0f} GB on two cores, import and rendering included.")
    return 0


if __name__ == "__main__":
    sys.exit(main())

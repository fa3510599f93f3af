"""The reference freeze written in Devito: prints seconds and the radii of 0 and -20 C. Needs: pip install devito.

Explicit enthalpy on 128 x 128 x 128 at 1 mm, 600 s in steps of 0.15 s, the probe drawn with the voxels inside it. The
compiler's time is left out.
"""

from __future__ import annotations

import json
import os
import time

os.environ.setdefault("DEVITO_LANGUAGE", "openmp")
os.environ.setdefault("DEVITO_LOGGING", "ERROR")

import numpy as np
from devito import Eq, Function, Grid, Max, Min, Operator, TimeFunction

N, H_M, STEP_S = 128, 1e-3, 0.15
KU, KF, CU, CF, LATENT, FLOW = 0.5, 2.0, 3.6e6, 1.9e6, 250e6, 3000.0
MUSHY = LATENT + 3.5 * (CU + CF)


def main() -> None:
    """Run and print JSON."""
    grid = Grid((N, N, N), extent=((N - 1) * H_M,) * 3, dtype=np.float32)
    heat = TimeFunction(name="heat", grid=grid, space_order=2, time_order=1)
    flux = Function(name="flux", grid=grid, space_order=2)
    temperature = Function(name="temperature", grid=grid, space_order=0)
    free = Function(name="free", grid=grid, space_order=0)
    x = np.arange(N) - (N - 1) / 2
    xx, yy, zz = np.meshgrid(x, x, x, indexing="ij")
    probe = (np.hypot(xx, yy) <= 0.75) & (np.abs(zz) <= 10)
    free.data[:] = 1 - probe
    heat.data[:] = 38 * CU
    heat.data[:, probe] = -MUSHY - 142 * CF
    above, mush, below = Max(heat, 0), Min(Max(heat, -MUSHY), 0) * (7 / MUSHY), Min(heat + MUSHY, 0) / CF
    warm = Max(0, Min(1, (temperature + 1) * 1e6 + 1))
    steps = [
        Eq(flux, above * (KU / CU) + KU * mush - (KF - KU) / 14 * mush * mush + KF * below),
        Eq(temperature, -1 + above / CU + mush + below),
        Eq(
            heat.forward,
            heat + free * grid.stepping_dim.spacing * (flux.laplace + warm * FLOW * (37 - temperature)),
            subdomain=grid.interior,
        ),
    ]
    operator = Operator(steps)
    operator.apply(time_m=0, time_M=1, dt=1e-9)
    start = time.perf_counter()
    operator.apply(time_m=0, time_M=int(600 / STEP_S) - 1, dt=STEP_S)
    seconds = time.perf_counter() - start
    middle = np.asarray(temperature.data)[N // 2 :, N // 2 - 1 : N // 2 + 1, N // 2 - 1 : N // 2 + 1].mean(axis=(1, 2))
    r = x[N // 2 :]
    print(json.dumps({"seconds": seconds, "radii_mm": [float(np.interp(t, middle, r)) for t in (0.0, -20.0)]}))


if __name__ == "__main__":
    main()

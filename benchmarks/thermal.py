"""Times the solver on a uniform box beside its accuracy against the axisymmetric reference. Prints a table.

The reference problem: probe 1.5 x 20 mm at -150 C, 600 s; radius of 0 / -20 C at mid-length 14.253 / 9.273 mm.
"""

from __future__ import annotations

import sys
import time

import numpy as np
from cryoneuro.thermal import Properties, near_field, solve
from cryoneuro.thermal.near_field import link_strengths
from cryoneuro.thermal.solver import ProbeLink

TRUE_MM = (14.253, 9.273)


def freeze(h: float, dt: float) -> tuple[float, float, float]:
    """Seconds, and radii of 0 and -20 C along +x."""
    n = round(84 / h)
    shape = (n, n, n)

    def full(value: float) -> np.ndarray:
        return np.full(shape, value, np.float32)

    properties = Properties(
        h, full(0.5), full(2.0), full(3.6e6), full(1.9e6), full(250e6), full(3000.0), np.ones(shape, bool),
        np.zeros(shape, bool), full(0), full(0), np.ones(shape, bool), -8.0, -1.0, 37.0, 22.0,
    )  # fmt: skip
    kji = np.indices(shape).reshape(3, -1).T
    centers = (kji[:, ::-1] - (n - 1) / 2) * h
    near = np.flatnonzero(
        (np.hypot(centers[:, 0], centers[:, 1]) < 0.75 + 4 * h) & (np.abs(centers[:, 2]) < 10 + 4 * h)
    )
    strength = link_strengths(near_field(1.5, 20.0), centers[near], np.zeros(3), np.array([0.0, 0, 1]), h)
    link = ProbeLink(near, strength.astype(np.float32))
    start = time.perf_counter()
    *_, last = solve(properties, [link], lambda i, t: -150.0, [600.0], {600.0}, dt)
    seconds = time.perf_counter() - start
    m = (n - 1) / 2
    half = np.arange(int(np.ceil(m)), n)
    middle = last.temperature[int(np.floor(m)) : int(np.ceil(m)) + 1, int(np.floor(m)) : int(np.ceil(m)) + 1, half]
    line = middle.mean(axis=(0, 1))
    x = (half - m) * h
    return seconds, float(np.interp(0.0, line, x)), float(np.interp(-20.0, line, x))


def main() -> int:
    """A row for each grid and step; ratios to the first row."""
    print(f"{'grid mm':>7} {'step s':>6} {'seconds':>8} {'ratio':>6} {'0 C error mm':>13} {'-20 C error mm':>15}")
    first = None
    for h, dt in ((1.0, 4.0), (1.0, 2.0), (1.5, 4.0), (2.0, 4.0)):
        seconds, zero, twenty = freeze(h, dt)
        first = first or seconds
        print(
            f"{h:7g} {dt:6g} {seconds:8.2f} {seconds / first:6.2f} {zero - TRUE_MM[0]:13.3f} {twenty - TRUE_MM[1]:15.3f}"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())

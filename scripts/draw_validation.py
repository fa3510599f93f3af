"""Draws the pictures of docs/validation.md. Needs matplotlib; the numbers come from the validation tests' own functions.

Usage: python scripts/draw_validation.py [folder]
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from cryoneuro.thermal import Freezing, compiled_available

ROOT = Path(__file__).resolve().parents[1]
TESTS = ROOT / "CryoNeurolysis" / "Testing" / "Python" / "validation"
PATHS = [("compiled", True, "o")] * compiled_available() + [("plain", False, "x")]


def load(name: str) -> ModuleType:
    """A test file as a module."""
    spec = importlib.util.spec_from_file_location(f"validation_{name}", TESTS / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


lab = load("conftest").Lab()
exact, reference, interfaces, measured = (
    load(f"test_thermal_{n}") for n in ("exact", "reference", "interfaces", "measured")
)


def draw_exact(axes) -> None:
    """Planar fronts, the 1-D tables, and how the error falls with the voxel."""
    one, two, three = axes
    for number, case in enumerate(exact.CASES):
        k_f, k_u, c_f, c_u, latent, wall_c, melt, start, root = exact.CASES[case]
        liquidus = min(melt + 0.05, 0.0)
        record = lab.record("rod", k_u, c_u, k_f, c_f, latent, liquidus=liquidus, solidus=liquidus - 0.1)
        medium = exact.column(lab, record, 112, 1.0, start)
        freezing = Freezing(medium, [], [0.0], links=[exact.wall(medium, 0)], power_w=[np.inf], composite=False)
        times, fronts = np.arange(20.0, 601.0, 20.0), []
        for t in times:
            freezing.advance(t, lambda s, c=wall_c: np.full((len(s), 1), c))
            line = freezing.temperature_c()[3, 3]
            n = int(np.flatnonzero(line < melt)[-1])
            fronts.append(n + (melt - line[n]) / (line[n + 1] - line[n]))
        one.plot(times, 2 * root * np.sqrt(k_f / c_f * times) * 1e3, color=f"C{number}", lw=1, label=f"{case}, exact")
        one.plot(times, fronts, ".", color=f"C{number}")
    one.set(xlabel="time, s", ylabel="front from the wall, mm", title="Neumann, voxels of 1 mm (dots)")
    one.legend(frameon=False)
    for number, (case, (kind, start, cold, flow, metabolic, *rows)) in enumerate(exact.TABLE.items()):
        values = (0.5, 3.6e6, 2.0, 1.8e6, 250e6) if kind == "gel" else (0.21, 911 * 2348.0, 0.25, 911 * 1900.0, 55e6)
        record = lab.record(kind, *values, flow, metabolic)
        medium, origin = lab.slice_medium(
            [record], lambda x, y: np.zeros(x.shape, np.uint8), 44.0, 1.0, (0.2, 0.35), start
        )
        freezing = Freezing(medium, [lab.endless(origin)], [0.0], composite=False)
        for t, radii in zip(exact.TIMES_S, rows, strict=True):
            freezing.advance(float(t), lambda s, c=cold: np.full((len(s), 1), c))
            field = freezing.temperature_c()
            for isotherm, radius in zip((0.0, -20.0, -40.0), radii, strict=True):
                rays = ((0, 0, 1), (0, 1, 0), (0, 0.6, -0.8), (0, -0.7, -0.714))
                found = np.mean([lab.crossing_mm(field, origin, d, 1.0, isotherm) or np.nan for d in rays])
                two.plot(
                    radius, found - radius, ".", color=f"C{number}", label=case if t == 60 and isotherm == 0 else None
                )
    two.axhspan(-0.1, 0.1, color="0.9")
    two.set(xlabel="converged radius, mm", ylabel="error, mm", title="Endless probe, 60 to 600 s, 0, -20, -40 C")
    two.legend(frameon=False, fontsize=7)
    sizes = np.array([4.0, 2.0, 1.0])
    three.loglog(sizes, [exact.manufactured_error(lab, h, True) for h in sizes], "o-", label="with phase change, mean")
    three.loglog(sizes[:2], [exact.decay_error(lab, h, True) for h in sizes[:2]], "s-", label="unfrozen, largest")
    three.loglog(sizes, 0.02 * sizes**2, "k--", lw=1, label="second order")
    three.set(xlabel="voxel, mm", ylabel="error, C", title="Manufactured solutions")
    three.legend(frameon=False)


def draw_reference(axes) -> None:
    """Errors of radius and reach in twelve random media at random angles."""
    for axis, (name, compiled, mark) in zip(axes, PATHS, strict=False):
        for number, medium in enumerate(lab.reference("axisymmetric")["media"]):
            p = medium["params"]
            fields, middle, direction = reference.frozen_medium(lab, medium, number, compiled)
            for phase, field in (("freeze1", fields[0]), ("thaw", fields[1]), ("freeze2", fields[2])):
                for color, isotherm in enumerate(("0", "-20", "-40")):
                    expected = medium["results"][phase]["radius"][isotherm]
                    if expected is None or expected < 0.5 * p["diameter_mm"] + 0.7:
                        continue
                    found = reference.radius(lab, field, middle, direction, 1.0, float(isotherm))
                    label = f"{isotherm} C" if number == 1 and phase == "freeze1" else None
                    if found is not None:
                        axis.plot(expected, found - expected, mark, color=f"C{color}", ms=4, label=label)
        axis.axhspan(-0.1, 0.1, color="0.9")
        axis.set(
            xlabel="reference radius, mm", ylabel="error, mm", ylim=(-0.6, 0.6), title=f"Random media, 1 mm, {name}"
        )
        axis.legend(frameon=False)


def draw_interfaces(axis) -> None:
    """Error of the radius where tissues and probes lie side by side."""
    data = lab.reference("plane")
    names = [*data["tissues"], "vessel", "air"]
    records = [lab.record(n, t["ku"], t["Cu"], t["kf"], t["Cf"], t["L"]) for n, t in data["tissues"].items()]
    from dataclasses import replace

    vessel = replace(lab.record("vessel", 3.0, 3.8e6, 3.0, 1.9e6, 275e6, perfusion=1e8), perfusion_stops=False)
    records += [vessel, lab.record("air", 0.03, 1e3, 0.03, 1e3, 0.0, conducts=False)]
    words = {
        "UF": "fat", "UM": "muscle", "A3": "fat, muscle\n3 mm off", "A1.5": "fat, muscle\n1.5 mm off",
        "M3": "muscle, fat\n3 mm off",
        "C": "muscle, bone\n2.75 mm off", "D": "muscle, vessel\n3.75 mm off", "E": "two probes\n5 mm apart",
        "E2": "the same, one\nat -70 C", "G": "muscle, gas\n3 mm off",
    }  # fmt: skip
    for column, case in enumerate(words):
        apart, cold = (
            ((-2.5, 2.5), (-140.0, -70.0 if case == "E2" else -140.0)) if case in "E2" else ((0.0,), (-140.0,))
        )
        for angle, offset in interfaces.PLACES:
            towards = np.array([0.0, np.sin(angle), np.cos(angle)])
            across = np.array([0.0, np.cos(angle), -np.sin(angle)])

            def labels(x, y, towards=towards, across=across, case=case):
                found = interfaces.LAYOUTS[case](x * towards[2] + y * towards[1], x * across[2] + y * across[1])
                return np.vectorize(names.index)(found).astype(np.uint8)

            medium, origin = lab.slice_medium(records, labels, 40.0, 1.0, offset)
            freezing = Freezing(medium, [lab.endless(origin + s * towards) for s in apart], [0.0], composite=False)
            freezing.advance(600.0, lambda t, c=cold: np.tile(c, (len(t), 1)))
            field = freezing.temperature_c()
            for color, isotherm in enumerate(("0", "-20")):
                for name, direction in (("+x", towards), ("-x", -towards), ("+y", across)):
                    expected = data["cases"][case]["times"]["600"][isotherm][name]
                    if expected is not None:
                        found = lab.crossing_mm(field, origin, direction, 1.0, float(isotherm))
                        axis.plot(column + 0.15 * color, found - expected, ".", color=f"C{color}")
    axis.axhspan(-0.1, 0.1, color="0.9")
    axis.set_xticks(range(len(words)), words.values(), fontsize=7)
    axis.set(
        ylabel="error of a radius, mm",
        title="Side by side, 600 s, four placements on 1 mm voxels (0 C blue, -20 C orange)",
    )


def draw_measured(axis) -> None:
    """Thermocouples in saline."""
    from dataclasses import replace

    from cryoneuro.knowledge import probe, tissue, tissues
    from cryoneuro.thermal import block

    records = tuple(
        replace(t, perfusion_w_m3k=1e6, perfusion_returns=True) if t.id == "saline" else t for t in tissues()
    )
    model = replace(probe("argon_17g_long"), tip_temperature_c=-80.0, cold_offset_mm=0.0)
    points = [[0.75 + d, 0.0, 0.0] for d in (1.1, 2.0, 4.0)]
    run = measured.frozen(model, block(tissue("saline").label, (30.0, 30.0, 50.0), 0.5, records), 300.0, points, 27.0)
    for n, d in enumerate((1.1, 2.0, 4.0)):
        axis.plot(run.point_times_s, run.point_c[:, n], color=f"C{n}", label=f"{d} mm from the shaft")
        axis.plot(list(measured.TRACES), [v[n] for v in measured.TRACES.values()], "o", color=f"C{n}")
    axis.axvline(180.0, color="0.7", lw=1)
    axis.text(183.0, 20.0, "fitted here,\nheld back after", fontsize=8)
    axis.set(xlabel="time, s", ylabel="temperature, C", title="Thermocouples in saline: measured (dots), simulated")
    axis.legend(frameon=False, ncols=3, loc="upper center", bbox_to_anchor=(0.5, -0.15))


def main() -> int:
    """Write the pictures."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs" / "pictures"
    figures = {
        "validation-exact": (draw_exact, (1, 3), (13, 4)),
        "validation-random": (draw_reference, (1, 2), (10, 4)),
        "validation-interfaces": (draw_interfaces, (1, 1), (11, 4)),
        "validation-measured": (draw_measured, (1, 1), (7, 4)),
    }
    for name, (draw, grid, size) in figures.items():
        figure, axes = plt.subplots(*grid, figsize=size, layout="constrained")
        draw(axes)
        figure.savefig(folder / f"{name}.png", dpi=90)
        plt.close(figure)
        print(folder / f"{name}.png")
    return 0


if __name__ == "__main__":
    sys.exit(main())

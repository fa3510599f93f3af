"""Draws the module's icon (128 x 128) and the phantom's thumbnail with VTK, so that both can be made again."""

from pathlib import Path

import numpy as np
import vtk
from cryoneuro.imaging import make_phantom, read_ct
from cryoneuro.imaging.demo import demo_ct_files
from vtk.util.numpy_support import numpy_to_vtk

ICONS = Path(__file__).resolve().parents[1] / "CryoNeurolysis" / "Resources" / "Icons"


def write(path: Path, rgba: np.ndarray) -> None:
    """Write an RGBA array (rows from the top, columns, 4)."""
    image = vtk.vtkImageData()
    image.SetDimensions(rgba.shape[1], rgba.shape[0], 1)
    flipped = np.ascontiguousarray(rgba[::-1]).reshape(-1, rgba.shape[2])
    image.GetPointData().SetScalars(numpy_to_vtk(flipped, deep=True))
    writer = vtk.vtkPNGWriter()
    writer.SetFileName(str(path))
    writer.SetInputData(image)
    writer.Write()


def icon(size: int = 128) -> np.ndarray:
    """A nerve crossing an ice ball of three isotherms, with the probe coming in from the upper right."""
    over = 4
    n = size * over
    y, x = np.mgrid[:n, :n] / n
    rgba = np.zeros((n, n, 4))

    def paint(mask: np.ndarray, color: tuple[float, float, float]) -> None:
        rgba[mask, :3] = color
        rgba[mask, 3] = 1.0

    u = (x - 0.5) * np.cos(0.7) - (y - 0.55) * np.sin(0.7)
    v = (x - 0.5) * np.sin(0.7) + (y - 0.55) * np.cos(0.7)
    ball = np.hypot(u / 1.25, v)
    paint(ball < 0.36, (0.55, 0.85, 1.0))
    paint(ball < 0.27, (0.10, 0.45, 1.0))
    paint(ball < 0.17, (0.55, 0.10, 0.85))
    nerve = np.abs(y - 0.62 - 0.09 * np.sin(5.5 * x)) < 0.045
    paint(nerve, (1.0, 0.86, 0.20))
    shaft = (np.abs(v) < 0.022) & (u > -0.18)
    paint(shaft, (0.85, 0.88, 0.90))
    small = rgba.reshape(size, over, size, over, 4)
    alpha = small[..., 3:].mean(axis=(1, 3))
    color = (small[..., :3] * small[..., 3:]).sum(axis=(1, 3)) / np.maximum(small[..., 3:].sum(axis=(1, 3)), 1e-9)
    return (np.concatenate([color, alpha], axis=-1) * 255).round().astype(np.uint8)


def thumbnail() -> np.ndarray:
    """A slice of the phantom, 260 x 280."""
    ct = make_phantom(1.5).ct
    return _slice(ct.array_kji[ct.array_kji.shape[0] // 2 + 14].astype(float))


def public_thumbnail() -> np.ndarray:
    """A slice of the public CT of the demo, 260 x 280. Cite it as Resources/Data/sample_cts.json says."""
    ct = read_ct(demo_ct_files()[0])
    k, j, i = ct.array_kji.shape
    straight = ct.array_kji[k // 3].astype(float)
    rows, columns = (
        slice(None, None, -1 if ct.geometry.ijk_to_ras[n, n] * sign < 0 else 1) for n, sign in ((1, -1), (0, -1))
    )
    plane = straight[rows, columns]
    side = min(j, i)
    return _slice(plane[(j - side) // 2 : (j + side) // 2, (i - side) // 2 : (i + side) // 2])


def _slice(plane: np.ndarray) -> np.ndarray:
    gray = np.clip((plane + 160) / 400, 0, 1)
    rows = np.linspace(0, plane.shape[0] - 1, 260).round().astype(int)
    columns = np.linspace(0, plane.shape[1] - 1, 280).round().astype(int)
    picture = (gray[np.ix_(rows, columns)] * 255).astype(np.uint8)
    return np.stack([picture] * 3 + [np.full_like(picture, 255)], axis=-1)


if __name__ == "__main__":
    ICONS.mkdir(parents=True, exist_ok=True)
    write(ICONS / "CryoNeurolysis.png", icon())
    write(ICONS / "CryoNeurolysisPhantom.png", thumbnail())
    write(ICONS / "CryoNeurolysisPublicCt.png", public_thumbnail())

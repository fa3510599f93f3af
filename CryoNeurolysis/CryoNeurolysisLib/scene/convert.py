"""Arrays and geometries to VTK and back."""

from __future__ import annotations

import numpy as np
import vtk
from cryoneuro.model import VolumeGeometry
from vtk.util.numpy_support import numpy_to_vtk, vtk_to_numpy


def vtkMatrix(matrix: np.ndarray) -> vtk.vtkMatrix4x4:
    """4 x 4 array as a VTK matrix."""
    result = vtk.vtkMatrix4x4()
    result.DeepCopy([float(v) for v in np.asarray(matrix, dtype=float).ravel()])
    return result


def imageData(array_kji: np.ndarray) -> vtk.vtkImageData:
    """Array (k, j, i) as image data in voxel coordinates; the values are copied."""
    image = vtk.vtkImageData()
    image.SetDimensions(*array_kji.shape[::-1])
    scalars = numpy_to_vtk(np.ascontiguousarray(array_kji).ravel(), deep=True)
    scalars.SetName("ImageScalars")
    image.GetPointData().SetScalars(scalars)
    return image


def arrayOf(image: vtk.vtkImageData) -> np.ndarray:
    """Image data as an array (k, j, i)."""
    return vtk_to_numpy(image.GetPointData().GetScalars()).reshape(image.GetDimensions()[::-1])


def isosurface(array_kji: np.ndarray, geometry: VolumeGeometry, value: float) -> vtk.vtkPolyData:
    """Surface of a field at a value, in RAS mm, with normals; empty where the value is not crossed."""
    contour = vtk.vtkFlyingEdges3D()
    contour.SetInputData(imageData(np.asarray(array_kji, dtype=np.float32)))
    contour.SetValue(0, value)
    contour.ComputeNormalsOff()
    contour.ComputeGradientsOff()
    contour.ComputeScalarsOff()
    place = vtk.vtkTransform()
    place.SetMatrix(vtkMatrix(geometry.ijk_to_ras))
    toWorld = vtk.vtkTransformPolyDataFilter()
    toWorld.SetInputConnection(contour.GetOutputPort())
    toWorld.SetTransform(place)
    normals = vtk.vtkPolyDataNormals()
    normals.SetInputConnection(toWorld.GetOutputPort())
    normals.SplittingOff()
    normals.ConsistencyOn()
    normals.AutoOrientNormalsOn()
    normals.Update()
    surface = vtk.vtkPolyData()
    surface.ShallowCopy(normals.GetOutput())
    return surface


def tube(points_ras_mm: np.ndarray, radius_mm: float) -> vtk.vtkPolyData:
    """Capped tube along a line (N, 3)."""
    points = vtk.vtkPoints()
    line = vtk.vtkPolyLine()
    line.GetPointIds().SetNumberOfIds(len(points_ras_mm))
    for number, point in enumerate(points_ras_mm):
        points.InsertNextPoint(*[float(v) for v in point])
        line.GetPointIds().SetId(number, number)
    cells = vtk.vtkCellArray()
    cells.InsertNextCell(line)
    path = vtk.vtkPolyData()
    path.SetPoints(points)
    path.SetLines(cells)
    around = vtk.vtkTubeFilter()
    around.SetInputData(path)
    around.SetRadius(radius_mm)
    around.SetNumberOfSides(20)
    around.CappingOn()
    around.Update()
    surface = vtk.vtkPolyData()
    surface.ShallowCopy(around.GetOutput())
    return surface

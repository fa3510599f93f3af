"""Exit 0 when VTK can render offscreen here."""

import sys


def main() -> int:
    """Render one triangle and look whether it is there."""
    import vtk

    source = vtk.vtkConeSource()
    mapper = vtk.vtkPolyDataMapper()
    mapper.SetInputConnection(source.GetOutputPort())
    actor = vtk.vtkActor()
    actor.SetMapper(mapper)
    renderer = vtk.vtkRenderer()
    renderer.AddActor(actor)
    window = vtk.vtkRenderWindow()
    window.SetOffScreenRendering(1)
    window.SetSize(64, 64)
    window.AddRenderer(renderer)
    window.Render()
    grab = vtk.vtkWindowToImageFilter()
    grab.SetInput(window)
    grab.Update()
    low, high = grab.GetOutput().GetScalarRange()
    return 0 if high > low else 1


if __name__ == "__main__":
    sys.exit(main())

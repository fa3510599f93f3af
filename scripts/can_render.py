"""Exit 0 when VTK can render offscreen here, and Qt can open its windows without a screen."""

import importlib
import importlib.util
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
    return 0 if high > low and _qt() else 1


def _qt() -> bool:
    """Whether the Qt of the panel's tests finds its libraries; true where it is not installed."""
    if importlib.util.find_spec("PySide6") is None:
        return True
    try:
        importlib.import_module("PySide6.QtWidgets")
    except ImportError as error:
        print(error, file=sys.stderr)
        return False
    return True


if __name__ == "__main__":
    sys.exit(main())

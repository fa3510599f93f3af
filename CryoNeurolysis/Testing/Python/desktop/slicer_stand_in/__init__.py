"""A small stand-in for the Slicer application, for tests and pictures only: real MRML from slicer-core, Qt from PySide6.

What it can prove: the .ui files load, every widget that the panel uses is there, connections arrive, the panel does on real
MRML nodes what its buttons say. What it cannot prove: that PythonQt, CTK and the real qMRML widgets behave alike; properties are
attributes there and methods here, node selectors and the Segment Editor are imitated, the views are drawn offscreen.

Where the environment variable CRYONEURO_SLICER_PYTHON names the folder Base/Python of Slicer's source, Slicer's own
ScriptedLoadableModule and parameterNodeWrapper are used instead of the ones imitated here.
"""

from .window import Window

__all__ = ["Window"]

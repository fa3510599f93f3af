"""The module `qt` as Slicer offers it, flat, made of PySide6; and the MRML widgets that the panel's pages name."""

from __future__ import annotations

import sys
import types
from typing import Any


def install() -> types.ModuleType:
    """Make `import qt` work; returns the module."""
    if "qt" in sys.modules:
        return sys.modules["qt"]
    from PySide6 import QtCore, QtGui, QtUiTools, QtWidgets

    module = types.ModuleType("qt", "PySide6 under the name that Slicer uses.")
    for source in (QtCore, QtGui, QtWidgets):
        module.__dict__.update({name: getattr(source, name) for name in dir(source) if not name.startswith("_")})
    # PythonQt calls an object's name so; slicer.util finds widgets by it.
    QtCore.QObject.name = property(lambda self: self.objectName())
    widgets = _mrmlWidgets()

    class Loader(QtUiTools.QUiLoader):
        """Knows the MRML widgets, as Slicer's designer plugins make the real loader know them."""

        def __init__(self) -> None:
            super().__init__()
            for kind in widgets.values():
                self.registerCustomWidget(kind)

    module.QUiLoader = Loader
    module.mrmlWidgets = widgets
    sys.modules["qt"] = module
    return module


def _mrmlWidgets() -> dict[str, Any]:
    from PySide6.QtCore import Property, Signal
    from PySide6.QtWidgets import QComboBox, QWidget

    class qMRMLWidget(QWidget):
        """A widget that says that it has got a scene; it hands it on to nobody, as in Slicer."""

        mrmlSceneChanged = Signal(object)

        def setMRMLScene(self, scene: Any) -> None:
            self.mrmlSceneChanged.emit(scene)

    class qMRMLNodeComboBox(QComboBox):
        """Chooses a node of the scene by its class."""

        currentNodeChanged = Signal(object)

        def __init__(self, parent: Any = None) -> None:
            super().__init__(parent)
            self._scene: Any = None
            self._types: list[str] = []
            self._none = False
            self._ids: list[str] = []
            self._tags: list[int] = []
            self.currentIndexChanged.connect(lambda _n: self.currentNodeChanged.emit(self.currentNode()))

        nodeTypes = Property("QStringList", lambda self: self._types, lambda self, v: setattr(self, "_types", list(v)))
        noneEnabled = Property(bool, lambda self: self._none, lambda self, v: setattr(self, "_none", bool(v)))

        def setMRMLScene(self, scene: Any) -> None:
            for tag in self._tags:
                self._scene.RemoveObserver(tag)
            self._scene = scene
            events = () if scene is None else (scene.NodeAddedEvent, scene.NodeRemovedEvent, scene.EndCloseEvent)
            self._tags = [scene.AddObserver(event, lambda *_unused: self.refresh()) for event in events]
            self.refresh()

        def refresh(self) -> None:
            """Fill the list from the scene, keep what is chosen."""
            chosen = self.currentNodeID()
            found = []
            for kind in self._types:
                nodes = [
                    self._scene.GetNthNodeByClass(n, kind) for n in range(self._scene.GetNumberOfNodesByClass(kind))
                ]
                # A subclass such as a label map is another type in the real widget, too.
                found += [node for node in nodes if node.GetClassName() == kind and not node.GetHideFromEditors()]
            self.blockSignals(True)
            self.clear()
            self._ids = [""] if self._none or not found else []
            self.addItems(["None"] * len(self._ids))
            for node in found:
                self._ids.append(node.GetID())
                self.addItem(node.GetName())
            if chosen in self._ids:
                self.setCurrentIndex(self._ids.index(chosen))
            self.blockSignals(False)
            if self.currentNodeID() != chosen:
                self.currentNodeChanged.emit(self.currentNode())

        def currentNodeID(self) -> str:
            index = self.currentIndex()
            return self._ids[index] if 0 <= index < len(self._ids) else ""

        def currentNode(self) -> Any:
            return (
                self._scene.GetNodeByID(self.currentNodeID())
                if self._scene is not None and self.currentNodeID()
                else None
            )

        def setCurrentNode(self, node: Any) -> None:
            wanted = "" if node is None else node.GetID()
            if wanted not in self._ids:
                self.refresh()
            if wanted in self._ids:
                self.setCurrentIndex(self._ids.index(wanted))

        def setCurrentNodeID(self, identifier: str) -> None:
            self.setCurrentNode(self._scene.GetNodeByID(identifier) if identifier else None)

    return {"qMRMLWidget": qMRMLWidget, "qMRMLNodeComboBox": qMRMLNodeComboBox}

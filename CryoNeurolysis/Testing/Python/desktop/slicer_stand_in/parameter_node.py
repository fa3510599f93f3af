"""A parameter node with typed properties kept in a vtkMRMLScriptedModuleNode: what the panel uses of Slicer's own wrapper."""

from __future__ import annotations

import json
import typing
from typing import Any

import vtk

_PROPERTY = "SlicerParameterName"


def parameterNodeWrapper(kind: type) -> type:
    """Class decorator: every annotated name becomes a property that lives in the wrapped node."""
    hints = typing.get_type_hints(kind)
    defaults = {name: getattr(kind, name, None) for name in hints}
    for name, hint in hints.items():
        setattr(kind, name, property(_reader(name, hint), _writer(name, hint)))

    def init(self: Any, node: Any) -> None:
        self.parameterNode = node
        self._connected: dict[int, list[tuple[Any, Any]]] = {}
        self._tags: dict[int, int] = {}
        self._writing = False
        for name, hint in hints.items():
            if not _isNode(hint) and not node.GetParameter(name):
                setattr(self, name, defaults[name] if defaults[name] is not None else _empty(hint))

    def connect(self: Any, gui: Any) -> int:
        """As in Slicer: the widgets of the page that name a parameter follow it, and it follows them."""
        tag = len(self._connected)
        pairs = []
        for widget in vars(gui).values():
            name = widget.property(_PROPERTY)
            if not name:
                continue
            if name not in hints or not _isNode(hints[name]):
                raise ValueError(f"The stand-in connects node selectors only, not {name}.")
            slot = _setter(self, name)
            widget.currentNodeChanged.connect(slot)
            widget.setCurrentNode(getattr(self, name))
            pairs.append((widget, slot))
        self._connected[tag] = pairs
        self._tags[tag] = self.AddObserver(vtk.vtkCommand.ModifiedEvent, lambda *_unused: _show(self, tag, hints))
        return tag

    def disconnect(self: Any, tag: int) -> None:
        for widget, slot in self._connected.pop(tag, []):
            widget.currentNodeChanged.disconnect(slot)
        self.RemoveObserver(self._tags.pop(tag))

    kind.__init__ = init
    kind.connectGui = connect
    kind.disconnectGui = disconnect
    kind.AddObserver = lambda self, event, call, priority=0.0: self.parameterNode.AddObserver(event, call, priority)
    kind.RemoveObserver = lambda self, tag: self.parameterNode.RemoveObserver(tag)
    kind.StartModify = lambda self: self.parameterNode.StartModify()
    kind.EndModify = lambda self, was: self.parameterNode.EndModify(was)
    kind.Modified = lambda self: self.parameterNode.Modified()
    return kind


def _isNode(hint: Any) -> bool:
    return isinstance(hint, type) and issubclass(hint, vtk.vtkObject)


def _empty(hint: Any) -> Any:
    return (typing.get_origin(hint) or hint)()


def _reader(name: str, hint: Any) -> Any:
    if _isNode(hint):
        return lambda self: self.parameterNode.GetNodeReference(name)
    return lambda self: json.loads(self.parameterNode.GetParameter(name))


def _writer(name: str, hint: Any) -> Any:
    if _isNode(hint):
        return lambda self, node: self.parameterNode.SetNodeReferenceID(name, None if node is None else node.GetID())

    def write(self: Any, value: Any) -> None:
        wanted = typing.get_origin(hint) or hint
        if not isinstance(value, wanted):
            raise ValueError(f"{name} must be {wanted.__name__}, not {value!r}.")
        self.parameterNode.SetParameter(name, json.dumps(value))

    return write


def _setter(parameters: Any, name: str) -> Any:
    def set_(node: Any) -> None:
        if not parameters._writing:
            setattr(parameters, name, node)

    return set_


def _show(parameters: Any, tag: int, hints: dict[str, Any]) -> None:
    if parameters._writing:
        return
    parameters._writing = True
    try:
        for widget, _slot in parameters._connected.get(tag, []):
            widget.setCurrentNode(getattr(parameters, widget.property(_PROPERTY)))
    finally:
        parameters._writing = False

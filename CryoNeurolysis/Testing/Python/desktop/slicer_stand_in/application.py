"""What the `slicer` namespace has in the application and lacks in slicer-core: application, modules, base classes, i18n."""

from __future__ import annotations

import importlib
import os
import re
import sys
import types
import unittest
from pathlib import Path
from typing import Any

from . import parameter_node

MODULE_FILE = Path(__file__).resolve().parents[4] / "CryoNeurolysis.py"
SLICER_PYTHON = "CRYONEURO_SLICER_PYTHON"


def install(scene: Any, qt: types.ModuleType) -> None:
    """Complete the slicer namespace for one scene."""
    import slicer
    import slicer.util

    slicer.mrmlScene = scene
    slicer.app = _Application()
    slicer.modules = types.SimpleNamespace(cryoneurolysis=types.SimpleNamespace(path=str(MODULE_FILE)))
    for name, kind in qt.mrmlWidgets.items():
        setattr(slicer, name, kind)
    slicer.util.settingsValue = lambda key, default, converter=lambda v: v, settings=None: default
    slicer.util.selectModule = slicer.app.selected.append
    slicer.util.confirmOkCancelDisplay = lambda *_unused, **_named: False
    source = os.environ.get(SLICER_PYTHON)
    if source:
        _fromSource(Path(source))
    else:
        _imitated()


def _fromSource(folder: Path) -> None:
    """Slicer's own classes, from a checkout of its source."""
    import slicer

    sys.modules.setdefault("ctk", _Names("ctk"))
    for path in (folder / "slicer" / "parameterNodeWrapper").glob("*.py"):
        for name in re.findall(r"slicer\.(q[A-Za-z]+)", path.read_text(encoding="utf-8")):
            if not hasattr(slicer, name):
                setattr(slicer, name, type(name, (), {}))
    place = str(folder / "slicer")
    if place not in slicer.__path__:
        slicer.__path__.append(place)
    for name in ("i18n", "ScriptedLoadableModule", "parameterNodeWrapper"):
        importlib.import_module(f"slicer.{name}")


class _Names(types.ModuleType):
    """Classes that are named and never made."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        made = type(name, (), {})
        setattr(self, name, made)
        return made


def _imitated() -> None:
    import slicer

    def module(name: str, **members: Any) -> None:
        made = types.ModuleType(f"slicer.{name}")
        made.__dict__.update(members)
        sys.modules[f"slicer.{name}"] = made
        setattr(slicer, name, made)

    module("i18n", tr=lambda text: text, translate=lambda context, text: text)
    module("parameterNodeWrapper", parameterNodeWrapper=parameter_node.parameterNodeWrapper)
    module(
        "ScriptedLoadableModule",
        ScriptedLoadableModule=_Module,
        ScriptedLoadableModuleWidget=_Widget,
        ScriptedLoadableModuleLogic=_Logic,
        ScriptedLoadableModuleTest=_Test,
    )


class _Application:
    """Remembers what was asked of it."""

    def __init__(self) -> None:
        self.selected: list[str] = []
        self.connected: list[str] = []

    def connect(self, signal: str, slot: Any) -> bool:
        self.connected.append(signal)
        return True

    def moduleManager(self) -> _Application:
        return self

    def translate(self, context: str, text: str, *_unused: Any) -> str:
        return text

    def layoutManager(self) -> None:
        return None

    def processEvents(self) -> None:
        import qt

        qt.QApplication.processEvents()


class _Module:
    def __init__(self, parent: Any) -> None:
        self.parent = parent


class _Widget:
    def __init__(self, parent: Any = None) -> None:
        self.parent = parent
        self.layout = parent.layout()

    def setup(self) -> None:
        """The developer section is left out."""

    def resourcePath(self, name: str) -> str:
        return str(MODULE_FILE.parent / "Resources" / name)


class _Logic:
    def __init__(self, parent: Any = None) -> None:
        self.moduleName = type(self).__name__.removesuffix("Logic")

    def getParameterNode(self) -> Any:
        import slicer

        node = slicer.mrmlScene.GetSingletonNode(self.moduleName, "vtkMRMLScriptedModuleNode")
        if node is None:
            node = slicer.mrmlScene.CreateNodeByClass("vtkMRMLScriptedModuleNode")
            node.UnRegister(None)
            node.SetSingletonTag(self.moduleName)
            node.SetAttribute("ModuleName", self.moduleName)
            node.SetName(self.moduleName)
            node = slicer.mrmlScene.AddNode(node)
        return node


class _Test(unittest.TestCase):
    def delayDisplay(self, message: str, *_unused: Any, **_named: Any) -> None:
        """Nobody watches."""

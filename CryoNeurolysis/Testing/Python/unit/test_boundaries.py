"""The house's walls: imports flow one way, the engine is free of Slicer, what is installed is listed."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

ORDER = ["model", "knowledge", "imaging", "anatomy", "planning", "thermal", "assessment", "guidance", "training"]
MAY_USE_ALL = {
    "session",
    "report",
    "pipeline",
    "live",
    "finalists",
    "cli",
    "cli_parser",
    "console",
    "__main__",
    "__init__",
}
FORBIDDEN = {"slicer", "qt", "ctk", "trame", "vtk", "vtkmodules", "PySide6", "CryoNeurolysisLib"}


def engine(repository: Path) -> Path:
    return repository / "CryoNeurolysis" / "Logic" / "cryoneuro"


def room_of(path: Path, root: Path) -> str:
    return path.relative_to(root).parts[0].removesuffix(".py")


def imported(path: Path, root: Path) -> set[str]:
    """First-level names inside cryoneuro that a file imports, and outside packages."""
    package = ["cryoneuro", *path.relative_to(root).parts[:-1]]
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            names |= {module} | ({f"{module}.{a.name}" for a in node.names} if module == "cryoneuro" else set())
    return names


def arrows(root: Path) -> set[tuple[str, str]]:
    found = set()
    for path in root.rglob("*.py"):
        for name in imported(path, root):
            parts = name.split(".")
            if parts[0] == "cryoneuro" and len(parts) > 1:
                found.add((room_of(path, root), parts[1]))
    return found


def test_imports_follow_the_flow(repository: Path) -> None:
    wrong = []
    for source, target in sorted(arrows(engine(repository))):
        if source == target or (source in MAY_USE_ALL and target not in ("cli", "pipeline")):
            continue
        if source in ("cli", "cli_parser", "__main__", "pipeline") or target in ("__version__",):
            continue
        if source in ORDER and target in ORDER and ORDER.index(target) < ORDER.index(source):
            continue
        wrong.append(f"{source} imports {target}")
    assert not wrong


def test_the_flow_check_sees_a_wrong_arrow(tmp_path: Path) -> None:
    (tmp_path / "planning").mkdir()
    (tmp_path / "planning" / "bad.py").write_text("from ..thermal import simulate\nfrom .. import assessment\n")
    assert {("planning", "thermal"), ("planning", "assessment")} <= arrows(tmp_path)


def test_engine_names_no_user_interface(repository: Path) -> None:
    root = engine(repository)
    for path in root.rglob("*.py"):
        hits = {name.split(".")[0] for name in imported(path, root)} & FORBIDDEN
        assert not hits, f"{path.name} imports {hits}"


def test_engine_loads_without_slicer_in_a_fresh_process() -> None:
    code = (
        "import sys, cryoneuro.cli, cryoneuro.pipeline, cryoneuro.report, cryoneuro.session\n"
        f"bad = {sorted(FORBIDDEN)!r}\n"
        "print([m for m in sys.modules if m.split('.')[0] in bad])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_importing_the_package_alone_is_light() -> None:
    code = "import sys, cryoneuro; print(any(m in sys.modules for m in ('numpy', 'scipy', 'SimpleITK')))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_scene_room_has_no_qt(repository: Path) -> None:
    for path in (repository / "CryoNeurolysis" / "CryoNeurolysisLib" / "scene").glob("*.py"):
        text = path.read_text(encoding="utf-8")
        assert not re.search(r"^\s*(import|from) (qt|ctk|PySide6)\b", text, re.M), path.name
        assert "slicer.mrmlScene" not in text and "slicer.app" not in text, path.name


def test_module_imports_at_file_scope_are_slicers_own(repository: Path) -> None:
    allowed = {"slicer", "vtk", "SimpleITK", "numpy", "scipy", "cryoneuro", "CryoNeurolysisLib"} | set(
        sys.stdlib_module_names
    )
    files = [repository / "CryoNeurolysis" / "CryoNeurolysis.py"]
    files += (repository / "CryoNeurolysis" / "CryoNeurolysisLib").rglob("*.py")
    files += engine(repository).rglob("*.py")
    for path in files:
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and not node.level:
                names = [node.module or ""]
            with_slicer = {"qt", "ctk"} if "desktop" in path.parts else set()
            for name in names:
                assert name.split(".")[0] in allowed | with_slicer, f"{path.name} imports {name} at file scope"


def test_cmake_lists_every_script_and_resource(repository: Path) -> None:
    done = subprocess.run([sys.executable, str(repository / "scripts" / "list_sources.py"), "--check"], check=False)
    assert done.returncode == 0, "run: python scripts/list_sources.py"
    listed = (repository / "CryoNeurolysis" / "CMakeLists.txt").read_text(encoding="utf-8")
    module = repository / "CryoNeurolysis"
    for path in [*engine(repository).rglob("*.py"), *(module / "Resources").rglob("*.*")]:
        assert f"  {path.relative_to(module).as_posix()}\n" in listed


def cmake_values(repository: Path) -> dict[str, str]:
    text = (repository / "CMakeLists.txt").read_text(encoding="utf-8")
    values = dict(re.findall(r'^set\(EXTENSION_(\w+) "([^"]*)"\)', text, re.M))
    values |= dict(re.findall(r'^set\(EXTENSION_(\w+) "([^"]*)"\) #', text, re.M))
    values["NAME"] = re.search(r"^project\((\w+)\)", text, re.M)[1]  # type: ignore[index]
    return values


def test_catalog_entry_follows_the_index_rules(repository: Path) -> None:
    entry = json.loads((repository / "CryoNeurolysis.json").read_text(encoding="utf-8"))
    assert set(entry) <= {
        "$schema", "category", "scm_url", "scm_revision", "scm_type",
        "build_dependencies", "build_subdirectory", "enabled", "tier",
    }  # fmt: skip
    assert entry["$schema"].endswith("slicer-extension-catalog-entry-schema-v1.0.1.json#")
    assert entry["category"] == "IGT"
    repo_name = entry["scm_url"].rsplit("/", 1)[1].removesuffix(".git")
    assert repo_name.startswith("Slicer")
    assert 1 <= entry["tier"] <= 5
    values = cmake_values(repository)
    assert values["NAME"] == "CryoNeurolysis" and not values["NAME"].startswith("Slicer")
    for key in ("HOMEPAGE", "CONTRIBUTORS", "DESCRIPTION", "ICONURL", "SCREENSHOTURLS", "DEPENDS"):
        assert values.get(key), key
    assert (repository / "LICENSE.txt").read_text(encoding="utf-8").lstrip().startswith("Apache License")
    for key in ("ICONURL", "SCREENSHOTURLS"):
        file = values[key].split("/main/", 1)[1]
        assert (repository / file).is_file(), f"{key} points to {file}, which is not in the tree"


def test_s4ext_equals_cmake(repository: Path) -> None:
    lines = (repository / "CryoNeurolysis.s4ext").read_text(encoding="utf-8").splitlines()
    entry = dict(line.split(" ", 1) for line in lines if " " in line and not line.startswith("#"))
    values = cmake_values(repository)
    catalog = json.loads((repository / "CryoNeurolysis.json").read_text(encoding="utf-8"))
    for key, cmake in (
        ("homepage", "HOMEPAGE"), ("contributors", "CONTRIBUTORS"), ("description", "DESCRIPTION"),
        ("iconurl", "ICONURL"), ("screenshoturls", "SCREENSHOTURLS"), ("depends", "DEPENDS"),
    ):  # fmt: skip
        assert entry[key] == values[cmake], key
    assert entry["scmurl"] == catalog["scm_url"] and entry["category"] == catalog["category"]


def test_icons_have_the_size_slicer_wants(repository: Path) -> None:
    data = (repository / "CryoNeurolysis" / "Resources" / "Icons" / "CryoNeurolysis.png").read_bytes()
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    assert (int.from_bytes(data[16:20]), int.from_bytes(data[20:24])) == (128, 128)


def ui_trees(repository: Path) -> dict[str, ET.Element]:
    files = sorted((repository / "CryoNeurolysis" / "Resources" / "UI").glob("*.ui"))
    return {path.stem: ET.parse(path).getroot() for path in files}


def parameter_types(repository: Path) -> dict[str, str]:
    source = (repository / "CryoNeurolysis" / "CryoNeurolysis.py").read_text(encoding="utf-8")
    node = next(n for n in ast.parse(source).body if isinstance(n, ast.ClassDef) and n.name.endswith("ParameterNode"))
    return {
        n.target.id: ast.unparse(n.annotation)
        for n in node.body
        if isinstance(n, ast.AnnAssign) and isinstance(n.target, ast.Name)
    }


FITTING = {
    "qMRMLNodeComboBox": lambda kind: kind.startswith("vtkMRML"),
    "QCheckBox": lambda kind: kind == "bool",
    "QSpinBox": lambda kind: kind == "int",
    "QSlider": lambda kind: kind in ("int", "float"),
    "QLineEdit": lambda kind: kind == "str",
    "QDoubleSpinBox": lambda kind: kind == "float",
}


def test_every_parameter_named_in_a_ui_exists_and_fits(repository: Path) -> None:
    types = parameter_types(repository)
    used = 0
    for page, tree in ui_trees(repository).items():
        for widget in tree.iter("widget"):
            for item in widget.findall("property"):
                if item.get("name") != "SlicerParameterName":
                    continue
                used += 1
                name, kind = item.findtext("string"), widget.get("class")
                assert name in types, f"{page}: {name} is no parameter"
                assert kind in FITTING and FITTING[kind](types[name]), (
                    f"{page}: {kind} cannot hold {name}: {types[name]}"
                )
    assert used >= 2


def test_every_widget_the_panel_uses_is_in_its_ui(repository: Path) -> None:
    desktop = repository / "CryoNeurolysis" / "CryoNeurolysisLib" / "desktop"
    names = {page: {w.get("name") for w in tree.iter("widget")} for page, tree in ui_trees(repository).items()}
    files = {"CryoNeurolysis": desktop / "panel.py"}
    for path in (desktop / "steps").glob("*_step.py"):
        page = re.search(r'uiName = "(\w+)"', path.read_text(encoding="utf-8"))
        assert page, path.name
        files[page[1]] = path
    assert set(files) == set(names)
    for page, path in files.items():
        used = set(re.findall(r"\bui\.(\w+)\.", path.read_text(encoding="utf-8")))
        assert used and used <= names[page], f"{page}: {used - names[page]}"


def test_widgets_of_a_page_have_names_of_their_own(repository: Path) -> None:
    for page, tree in ui_trees(repository).items():
        names = [w.get("name") for w in tree.iter("widget")]
        assert len(names) == len(set(names)), f"{page}: {sorted(n for n in names if names.count(n) > 1)}"


def test_module_has_its_five_parts(repository: Path) -> None:
    source = (repository / "CryoNeurolysis" / "CryoNeurolysis.py").read_text(encoding="utf-8")
    tree = ast.parse(source)
    classes = [n.name for n in tree.body if isinstance(n, ast.ClassDef)]
    wanted = ["", "ParameterNode", "Widget", "Logic", "Test"]
    assert classes == [f"CryoNeurolysis{suffix}" for suffix in wanted]
    for node in tree.body:
        assert not isinstance(node, ast.Expr) or isinstance(node.value, ast.Constant), "code runs at file scope"


@pytest.mark.parametrize("name", ["README.md", "CHANGELOG.md", "CONTRIBUTING.md", "docs/tutorial.md"])
def test_habits_are_there(repository: Path, name: str) -> None:
    assert (repository / name).stat().st_size > 200

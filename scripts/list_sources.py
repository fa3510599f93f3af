"""Writes the lists of CryoNeurolysis/CMakeLists.txt from the tree: what is not listed is missing in Slicer.

Usage: list_sources.py [--check]
"""

import sys
from pathlib import Path

MODULE = Path(__file__).resolve().parents[1] / "CryoNeurolysis"
LIST = MODULE / "CMakeLists.txt"

TEMPLATE = """#-----------------------------------------------------------------------------
set(MODULE_NAME CryoNeurolysis)

#-----------------------------------------------------------------------------
# Written by scripts/list_sources.py
set(MODULE_PYTHON_SCRIPTS
  ${{MODULE_NAME}}.py
{scripts}
  )

set(MODULE_PYTHON_RESOURCES
{resources}
  )

#-----------------------------------------------------------------------------
slicerMacroBuildScriptedModule(
  NAME ${{MODULE_NAME}}
  SCRIPTS ${{MODULE_PYTHON_SCRIPTS}}
  RESOURCES ${{MODULE_PYTHON_RESOURCES}}
  WITH_GENERIC_TESTS
  )

#-----------------------------------------------------------------------------
if(BUILD_TESTING)

  # The test class of the main script, run inside Slicer.
  slicer_add_python_unittest(SCRIPT ${{MODULE_NAME}}.py)

  add_subdirectory(Testing)
endif()
"""


def wanted() -> str:
    """The file as it should be."""
    scripts = [
        path.relative_to(MODULE).as_posix()
        for folder in ("CryoNeurolysisLib", "Logic")
        for path in sorted((MODULE / folder).rglob("*.py"))
    ]
    resources = [path.relative_to(MODULE).as_posix() for path in sorted((MODULE / "Resources").rglob("*.*"))]
    return TEMPLATE.format(
        scripts="\n".join(f"  {s}" for s in scripts), resources="\n".join(f"  {r}" for r in resources)
    )


def main() -> int:
    """Write, or with --check only compare."""
    if "--check" in sys.argv:
        return 0 if LIST.is_file() and LIST.read_text(encoding="utf-8") == wanted() else 1
    LIST.write_text(wanted(), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())

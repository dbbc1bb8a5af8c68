"""The house keeps a map in every folder, and one name for one thing."""

import ast
from collections import defaultdict
from pathlib import Path

import pytest

import gateway

ROOT = Path(gateway.__file__).parent
PACKAGES = sorted(path.parent for path in ROOT.rglob("__init__.py"))
# What the configuration's file calls a thing, and the thing: the one place for a name twice.
SHAPES = ROOT / "config/models"


def modules_of(package: Path) -> set[str]:
    files = {path.stem for path in package.glob("*.py")} - {"__init__", "__main__"}
    return files | {path.parent.name for path in package.glob("*/__init__.py")}


def name_of(package: Path) -> str:
    return ".".join(package.relative_to(ROOT.parent).parts)


@pytest.mark.parametrize("package", PACKAGES, ids=name_of)
def test_a_package_says_what_each_of_its_modules_is_for(package):
    """Each module has a line in its package's docstring, and no line names one that is gone."""
    modules = modules_of(package)
    text = ast.get_docstring(ast.parse((package / "__init__.py").read_text())) or ""
    lines = [line for line in text.splitlines() if line[:4] == "    " and line[4:5].isalpha()]
    told = [line.split()[0] for line in lines if "──" not in line]  # which is a picture
    assert sorted(told) == sorted(modules)


@pytest.mark.parametrize("package", PACKAGES, ids=name_of)
def test_no_folder_is_a_corridor(package):
    """No folder holds more than twenty modules."""
    assert len(list(package.glob("*.py"))) - 1 <= 20


def test_a_class_has_a_name_of_its_own():
    """No public class has the name of another one."""
    found = defaultdict(list)
    for path in ROOT.rglob("*.py"):
        if SHAPES in path.parents:
            continue
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                found[node.name].append(str(path.relative_to(ROOT)))
    assert {name: paths for name, paths in found.items() if len(paths) > 1} == {}

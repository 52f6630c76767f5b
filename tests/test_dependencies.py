"""What the packages import is what pyproject.toml declares: an installation of the core alone has all that it needs."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
PACKAGES = ("torpor", "activator", "predictor", "controller")
# Which extras a folder may use beside the core; whatever else it imports must be core.
EXTRAS = {
    "predictor/runtimes": ("lightgbm", "onnx", "sklearn", "torch", "transformers", "xgboost"),
    "predictor/runtimes/triton": ("grpc",),
    "predictor/storage": ("s3",),
    "predictor/endpoints/grpc": ("grpc",),
    "torpor/protocol/grpc": ("grpc",),
}
SAME = {"xgboost-cpu": "xgboost"}
"""Other builds of the same package."""


def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def names_of(requirements: list[str]) -> set[str]:
    """Return the distributions that requirements name, spelt as PyPI compares them."""
    return {normal(re.match(r"[-\w.]+", each)[0]) for each in requirements}


def normal(distribution: str) -> str:
    name = re.sub(r"[-_.]+", "-", distribution).lower()
    return SAME.get(name, name)


def imported(path: Path) -> Iterator[str]:
    """Yield the top-level modules of others that a file imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        modules = []
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and not node.level:
            modules = [node.module or ""]
        for module in modules:
            top = module.partition(".")[0]
            if top not in sys.stdlib_module_names and top not in PACKAGES:
                yield top


def files() -> list[Path]:
    return [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]


def allowed_in(path: Path) -> set[str]:
    """Return the distributions that a file may count on."""
    place, found = path.relative_to(ROOT).as_posix(), list(project()["dependencies"])
    for folder, extras in EXTRAS.items():
        if place.startswith(f"{folder}/"):
            found += [each for extra in extras for each in project()["optional-dependencies"][extra]]
    return names_of(found)


def test_every_import_of_the_packages_is_declared() -> None:
    """A module of others is a core dependency, or of an extra that its folder may use."""
    providers = packages_distributions()
    undeclared = {
        f"{path.relative_to(ROOT)} imports {module}"
        for path in files()
        for module in imported(path)
        if not {normal(each) for each in providers.get(module, [module])} & allowed_in(path)
    }

    assert undeclared == set()


def test_every_core_dependency_is_imported() -> None:
    """Nothing is installed for users that no package uses."""
    providers = packages_distributions()
    used = {normal(each) for path in files() for module in imported(path) for each in providers.get(module, [module])}

    assert names_of(project()["dependencies"]) - used == set()


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        pytest.param("import yaml.nodes as n, os", ["yaml"], id="a module within a package, beside one of Python's"),
        pytest.param("def f():\n    from boto3.session import Session", ["boto3"], id="inside a function"),
        pytest.param("from . import torch\nfrom torpor import errors", [], id="our own"),
    ],
)
def test_imports_are_found(source: str, expected: list[str], tmp_path: Path) -> None:
    """An import counts wherever it stands; our own modules and Python's do not."""
    (tmp_path / "module.py").write_text(source)

    assert list(imported(tmp_path / "module.py")) == expected

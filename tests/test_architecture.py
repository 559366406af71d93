"""The house rules: who may import whom, what no module may import, how long a file may be."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from tinybert_tf import _MODULE_OF

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "tinybert_tf"
MAX_LINES = 320
# Lines of a function's body without its docstring: the median, and what nine in ten stay within.
MEDIAN_LINES, P90_LINES = 3, 14

# A room is a folder or a single file of the package. Imports go down: to a lower floor, or within the room.
FLOORS = {
    "__init__": 5,  # what `import tinybert_tf` offers, from every room
    "__main__": 5,
    "cli": 4,
    "pipeline": 3,
    "distillation": 2,
    "training": 2,
    "compression": 2,
    "export": 2,
    "evaluation": 2,
    "models": 1,
    "data": 1,
    "metrics": 1,
    "checkpoints": 0,
    "config": 0,
    "labels": 0,
    "input_bounds": 0,
    "slow_work": 0,
    "trainable": 0,
    "features": -1,
    "json_file": -1,
    "traced_model": -1,
    "version": -1,
    "short_repr": -1,
    "checked_model": -2,
    "errors": -3,  # the ground that every room stands on
}


@dataclass(frozen=True)
class Import:
    """One imported module, as written in one line of the package; `late` inside a function."""

    path: Path
    line: int
    module: str
    late: bool

    def __str__(self) -> str:
        return f"{self.path.relative_to(ROOT)}:{self.line} imports {self.module}"

    @property
    def source(self) -> str:
        """The room that imports."""
        return self.path.relative_to(PACKAGE).parts[0].removesuffix(".py")

    @property
    def target(self) -> str:
        """The room that is imported; empty for other packages."""
        package, *parts = self.module.split(".")
        return (parts[0] if parts else "__init__") if package == PACKAGE.name else ""

    def is_from(self, package: str) -> bool:
        """Whether it is the package or a module in it."""
        return f"{self.module}.".startswith(f"{package}.")


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


@cache
def imports() -> tuple[Import, ...]:
    return tuple(found for path in modules() for found in imports_of(path, ast.parse(path.read_bytes()), late=False))


def imports_of(path: Path, node: ast.AST, late: bool) -> Iterator[Import]:
    """The imports below a node of the syntax tree."""
    for child in ast.iter_child_nodes(node):
        for module in imported_modules(path, child):
            yield Import(path, child.lineno, module, late)  # type: ignore[attr-defined]
        yield from imports_of(path, child, late or isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef))


def imported_modules(path: Path, node: ast.AST) -> list[str]:
    """The modules that a statement imports by name, or `import_module("...")` by a literal."""
    match node:
        case ast.Import(names=names):
            return [alias.name for alias in names]
        case ast.ImportFrom(module=module, names=names, level=level):
            base = [*path.relative_to(ROOT).parts[:-level]] if level else []
            parent = ".".join([*base, module] if module else base)
            return sorted({full_name(parent, alias.name) for alias in names})
        case ast.Call(
            func=ast.Name(id="import_module" | "__import__") | ast.Attribute(attr="import_module"),
            args=[ast.Constant(value=str(module)), *_],
        ):
            return [module]
    return []


def full_name(parent: str, name: str) -> str:
    """`parent.name` where that is a module of the package, else `parent`."""
    path = ROOT.joinpath(*parent.split("."), name)
    return f"{parent}.{name}" if path.is_dir() or path.with_suffix(".py").exists() else parent


def house_imports() -> list[Import]:
    """Imports from one room of the package into another, both of them on a floor."""
    return [
        found for found in imports() if found.source != found.target and {found.source, found.target} <= FLOORS.keys()
    ]


def report(broken: list[Import], rule: str) -> str:
    return f"{rule}:\n" + "\n".join(f"  {found}" for found in broken)


def test_every_module_has_a_floor() -> None:
    rooms = {path.relative_to(PACKAGE).parts[0].removesuffix(".py") for path in modules()}
    assert rooms <= FLOORS.keys(), f"no floor for {sorted(rooms - FLOORS.keys())}; DESIGN knows {sorted(FLOORS)}"


def test_imports_go_down() -> None:
    broken = [found for found in house_imports() if FLOORS[found.target] > FLOORS[found.source]]
    assert not broken, report(broken, "a room imports from a floor above its own")


def test_rooms_on_one_floor_do_not_import_each_other() -> None:
    broken = [found for found in house_imports() if FLOORS[found.target] == FLOORS[found.source]]
    assert not broken, report(broken, "rooms on one floor import each other")


def find_circle(arrows: dict[str, set[str]]) -> list[str]:
    """A circle of a graph, its first node at both ends; empty where there is none."""
    done: set[str] = set()

    def walk(node: str, path: list[str]) -> list[str]:
        if node in path:
            return [*path[path.index(node) :], node]
        if node in done:
            return []
        done.add(node)
        return next((found for each in sorted(arrows.get(node, ())) if (found := walk(each, [*path, node]))), [])

    return next((found for node in sorted(arrows) if (found := walk(node, []))), [])


def test_no_circle_in_any_folder() -> None:
    """Files of one folder, and its rooms, import each other in one direction: late and TYPE_CHECKING imports count."""
    arrows: dict[str, dict[str, set[str]]] = {}
    for found in imports():
        source = found.path.relative_to(PACKAGE).with_suffix("").parts
        target = tuple(found.module.split(".")[1:]) if found.target else ()
        shared = next((i for i, (a, b) in enumerate(zip(source, target, strict=False)) if a != b), None)
        if shared is not None:  # the two rooms, or files, of one folder that this import joins
            folder = "/".join(source[:shared])
            arrows.setdefault(folder, {}).setdefault(source[shared], set()).add(target[shared])
    circles = {folder or ".": " -> ".join(circle) for folder, of in arrows.items() if (circle := find_circle(of))}
    assert not circles, f"imports go round in a circle: {circles}"


def test_a_circle_is_found() -> None:
    assert find_circle({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c", "b"]
    assert find_circle({"a": {"b", "c"}, "b": {"c"}}) == []


def test_distillation_knows_neither_models_nor_data() -> None:
    broken = [found for found in imports() if found.source == "distillation" and found.target in ("models", "data")]
    assert not broken, report(broken, "any two Keras models that emit the dict can be distilled, and")


def test_only_pipeline_and_cli_know_config() -> None:
    broken = [
        found for found in house_imports() if found.target == "config" and found.source not in ("pipeline", "cli")
    ]
    assert not broken, report(broken, "a class takes plain arguments, never a run configuration, and")


def test_no_torch() -> None:
    broken = [found for found in imports() if found.is_from("torch")]
    assert not broken, report(broken, "torch is no dependency, and beside TensorFlow it can crash the process")


@pytest.mark.parametrize("room", ["models", "distillation"])
def test_no_tensorflow_where_keras_is_enough(room: str) -> None:
    names = (
        "models/encoder/dropout.py",
        "models/layers/fast.py",
        "models/initializer.py",
        "models/quantization/rounding.py",
    )
    allowed = [PACKAGE / name for name in names]
    broken = [found for found in imports() if found.source == room and found.is_from("tensorflow")]
    broken = [found for found in broken if found.path not in allowed]
    assert not broken, report(broken, f"{room} runs on every Keras backend; TensorFlow has {', '.join(names)}, and")


def test_model_optimization_is_imported_late() -> None:
    broken = [found for found in imports() if found.is_from("tensorflow_model_optimization") and not found.late]
    assert not broken, report(broken, "it turns Keras 3 off for the process unless keras is imported before it")


@pytest.mark.parametrize("module", ["tinybert_tf", "tinybert_tf.cli"])
def test_import_is_cheap(module: str) -> None:
    """A verb imports what it runs in its function: `--help` and a mistyped flag are answered at once."""
    program = f"import sys, {module}; print({{'keras', 'tensorflow', 'transformers', 'numpy'}} & set(sys.modules))"
    process = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert process.stdout.strip() == "set()", f"`import {module}` imports {process.stdout}"


def test_no_file_is_called_utils() -> None:
    broken = [str(path.relative_to(ROOT)) for path in modules() if path.stem == "utils" or "utils" in path.parts]
    assert not broken, f"a file is named after the one thing it is about: {broken}"


def test_no_module_is_too_long() -> None:
    lengths = {path.relative_to(ROOT): len(path.read_bytes().splitlines()) for path in modules()}
    broken = [f"{path} has {length}" for path, length in lengths.items() if length > MAX_LINES]
    assert not broken, f"more than {MAX_LINES} lines: {', '.join(broken)}"


def test_every_module_says_what_it_is() -> None:
    broken = [str(path.relative_to(ROOT)) for path in modules() if not ast.get_docstring(ast.parse(path.read_bytes()))]
    assert not broken, f"no docstring: {broken}"


def test_tests_mirror_the_package() -> None:
    folders = {path.parent.relative_to(ROOT / "tests") for path in (ROOT / "tests").rglob("test_*.py")}
    broken = [
        f"tests/{folder}" for folder in folders if folder.parts[:1] != ("golden",) and not (PACKAGE / folder).is_dir()
    ]
    assert not broken, f"tests in a folder that the package does not have: {broken}"


def body_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of a function's body, its docstring left out."""
    body = function.body[1:] if ast.get_docstring(function) is not None else function.body
    return 0 if not body else (body[-1].end_lineno or 0) - body[0].lineno + 1


def test_functions_are_short() -> None:
    functions = [
        node
        for path in modules()
        for node in ast.walk(ast.parse(path.read_bytes()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    lengths = sorted(map(body_lines, functions))
    median, p90 = lengths[len(lengths) // 2], lengths[len(lengths) * 9 // 10]
    assert median <= MEDIAN_LINES, f"the median function has {median} lines; at most {MEDIAN_LINES}"
    assert p90 <= P90_LINES, f"a tenth of all functions has over {p90} lines; at most {P90_LINES}"


def defined_names(path: Path) -> set[str]:
    """The names that a module has at its top, imported ones included."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_bytes())):
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
                names.add(node.name)
            case ast.Import() | ast.ImportFrom():
                names.update(alias.asname or alias.name for alias in node.names)
            case ast.Name(ctx=ast.Store()):
                names.add(node.id)
    return names


def test_benchmarks_and_examples_import_what_there_is() -> None:
    missing = []
    for script in sorted([*(ROOT / "benchmarks").glob("*.py"), *(ROOT / "examples").glob("*.py")]):
        for node in ast.walk(ast.parse(script.read_bytes())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == PACKAGE.name:
                module = ROOT.joinpath(*str(node.module).split("."))
                path = module / "__init__.py" if module.is_dir() else module.with_suffix(".py")
                names = defined_names(path) if path.exists() else set()
                missing += [
                    f"{script.name}: {node.module}.{alias.name}"
                    for alias in node.names
                    if alias.name not in names and not module.joinpath(alias.name).with_suffix(".py").exists()
                ]
    assert not missing, f"imported, but not there: {missing}"


def test_what_is_public_is_tested_through_its_public_name() -> None:
    homes = {name: f"{PACKAGE.name}.{module}" for name, module in _MODULE_OF.items()}
    hidden = [
        f"{path.relative_to(ROOT)}:{node.lineno} {alias.name}"
        for path in sorted((ROOT / "tests").rglob("*.py"))
        if "golden" not in path.parts
        for node in ast.walk(ast.parse(path.read_bytes()))
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
        if f"{node.module}.".startswith(f"{homes.get(alias.name)}.")
    ]
    assert not hidden, f"expected `from {PACKAGE.name} import ...` for {hidden}"

"""Measure the size and the shape of the code: what `make measure` prints.

    python benchmarks/measure.py [CHECKOUT ...] [--check] [--details]

Each checkout is a column; without one it is this checkout. With ``--check`` the last column must
keep the limits, or the exit code is 1. Below the table stands what breaks a limit; with
``--details`` everything that counts against one. The measures are defined as follows.

code lines
    Lines that radon counts as source (`sloc`): no blank lines, comments or docstrings.
radon C or worse
    Functions and methods whose cyclomatic complexity is above 10. radon also counts `and`, `or`,
    conditional expressions and comprehensions, which ruff's C901 does not.
function lines
    From `def` to the last line, without the docstring.
longest import chain
    The most modules on a path of imports that run when a module is loaded: grimp's graph without
    imports under TYPE_CHECKING and without those inside functions. A package's `__init__` is a
    module as any other. Cycles are looked for in the whole graph, imports in functions included.
errors with a value
    Of `raise Class(...)`, the share whose arguments have something that is not a constant.
class names that stand twice
    Names that a class statement of the package gives in more than one file.
"""

from __future__ import annotations

import argparse
import ast
import statistics
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import grimp
import numpy as np
from radon.complexity import cc_visit
from radon.raw import analyze
from radon.visitors import Class

PACKAGE = "streamreplay"
MOST_LINES = 400
MAY_BE_LONGER = {"config/job.py"}  # one documented table
C_RANK = 11

LIMITS = {
    "files over 400 lines": ("at most", 0.0),
    "radon C or worse, per thousand code lines": ("under", 1.5),
    "longest import chain": ("under", 14.0),
    "import cycles": ("at most", 0.0),
    "errors with a value, %": ("over", 90.0),
    "class names that stand twice": ("at most", 0.0),
    "tests : code": ("at least", 1.1),
    "ruff's complaints": ("at most", 0.0),
}
HOLDS = {
    "at most": lambda value, limit: value <= limit,
    "under": lambda value, limit: value < limit,
    "over": lambda value, limit: value > limit,
    "at least": lambda value, limit: value >= limit,
}


@dataclass(frozen=True)
class Source:
    """A file of Python, read and parsed once."""

    name: str
    text: str
    tree: ast.Module

    @property
    def lines(self) -> int:
        return len(self.text.splitlines())


def sources(folder: Path) -> list[Source]:
    found = []
    for path in sorted(folder.rglob("*.py")):
        text = path.read_text()
        found.append(Source(str(path.relative_to(folder)), text, ast.parse(text)))
    return found


def measure(root: Path) -> tuple[dict[str, float], dict[str, list[str]]]:
    """Return the measures of a checkout, and what counts against their limits."""
    package, tests = sources(root / PACKAGE), sources(root / "tests")
    code = sum(analyze(source.text).sloc for source in package)
    in_tests = sum(analyze(source.text).sloc for source in tests)
    lines = [source.lines for source in package]
    lengths = [length for source in package for length in function_lengths(source.tree)]
    long = [s for s in package if s.lines > MOST_LINES and s.name not in MAY_BE_LONGER]
    complex_ = [name for source in package for name in complex_functions(source)]
    twice = class_names_that_stand_twice(package)
    chain, cycle = import_chain(root)
    raised = [error for source in package for error in errors(source)]
    bare = [place for place, has_value in raised if not has_value]
    measures = {
        "files": len(package),
        "code lines": code,
        "code lines of tests": in_tests,
        "tests : code": round(in_tests / code, 2),
        "lines of a file, median": statistics.median(lines),
        "lines of a file, most": max(lines),
        "files over 400 lines": len(long),
        "function lines, 95th percentile": float(np.percentile(lengths, 95)),
        "function lines, most": max(lengths),
        "radon C or worse": len(complex_),
        "radon C or worse, per thousand code lines": round(1000 * len(complex_) / code, 2),
        "longest import chain": len(chain),
        "import cycles": float(bool(cycle)),
        "errors with a value, %": round(100 * (1 - len(bare) / len(raised)), 1),
        "class names that stand twice": len(twice),
        "ruff's complaints": complaints_of_ruff(root),
    }
    details = {
        "files over 400 lines": [f"{source.name} ({source.lines})" for source in long],
        "radon C or worse, per thousand code lines": complex_,
        "longest import chain": [name.removeprefix(f"{PACKAGE}.") for name in chain],
        "import cycles": cycle,
        "errors with a value, %": [f"without: {place}" for place in bare],
        "class names that stand twice": twice,
    }
    return measures, details


def function_lengths(tree: ast.Module) -> Iterator[int]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            first = node.body[0]
            if ast.get_docstring(node) is not None:
                length -= (first.end_lineno or first.lineno) - first.lineno + 1
            yield length


def complex_functions(source: Source) -> Iterator[str]:
    for block in cc_visit(source.text):
        if not isinstance(block, Class) and block.complexity >= C_RANK:
            yield f"{source.name}:{block.lineno} {block.fullname} ({block.complexity})"


def class_names_that_stand_twice(package: list[Source]) -> list[str]:
    places: dict[str, list[str]] = {}
    for source in package:
        names = {node.name for node in ast.walk(source.tree) if isinstance(node, ast.ClassDef)}
        for name in names:
            places.setdefault(name, []).append(source.name)
    return sorted(f"{name}: {', '.join(files)}" for name, files in places.items() if len(files) > 1)


def errors(source: Source) -> Iterator[tuple[str, bool]]:
    """Yield where each error is raised, and whether it is given more than constants."""
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
            arguments = [*node.exc.args, *(keyword.value for keyword in node.exc.keywords)]
            has_value = any(not isinstance(argument, ast.Constant) for argument in arguments)
            yield f"{source.name}:{node.lineno} {ast.unparse(node.exc)[:80]}", has_value


# -- imports ---------------------------------------------------------------------------------------


def import_chain(root: Path) -> tuple[list[str], list[str]]:
    """Return the longest chain of imports that run on loading, and a cycle if there is one."""
    sys.path.insert(0, str(root))
    try:
        graph = grimp.build_graph(PACKAGE, exclude_type_checking_imports=True, cache_dir=None)
    finally:
        sys.path.pop(0)
    imports = {
        module: graph.find_modules_directly_imported_by(module) for module in sorted(graph.modules)
    }
    try:
        order = [*TopologicalSorter(imports).static_order()]
    except CycleError as error:
        return [], error.args[1]
    chains: dict[str, list[str]] = {}
    for module in order:  # what a module imports comes before it
        deferred = lines_in_functions(root, module)
        below = [
            chains[imported]
            for imported in sorted(imports[module])
            if runs_on_loading(graph, module, imported, deferred)
        ]
        chains[module] = [module, *max(below, key=len, default=[])]
    return max(chains.values(), key=len), []


def runs_on_loading(
    graph: grimp.ImportGraph, module: str, imported: str, deferred: set[int]
) -> bool:
    details = graph.get_import_details(importer=module, imported=imported)
    return any(detail["line_number"] not in deferred for detail in details)


def lines_in_functions(root: Path, module: str) -> set[int]:
    path = root.joinpath(*module.split("."))
    file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    return {
        line
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        for line in range(node.lineno, (node.end_lineno or node.lineno) + 1)
    }


# -- the table -------------------------------------------------------------------------------------


def complaints_of_ruff(root: Path) -> int:
    command = [sys.executable, "-m", "ruff", "check", "--output-format", "concise", "--quiet", "."]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    return len([line for line in done.stdout.splitlines() if ".py:" in line])


def broken(measures: dict[str, float]) -> dict[str, str]:
    """Return a line for each measure that breaks its limit."""
    return {
        name: f"{name} must be {rule} {limit:g}, got {measures[name]:g}"
        for name, (rule, limit) in LIMITS.items()
        if not HOLDS[rule](measures[name], limit)
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkouts", nargs="*", type=Path, default=[Path(__file__).parents[1]])
    parser.add_argument("--check", action="store_true", help="exit with 1 if a limit is broken")
    parser.add_argument("--details", action="store_true", help="say what counts against a limit")
    given = parser.parse_args()
    measured = [measure(root.resolve()) for root in given.checkouts]
    for name in measured[0][0]:
        rule, limit = LIMITS.get(name, ("", 0.0))
        cells = "".join(f"{measures[name]:>12,g}" for measures, _ in measured)
        print(f"{name:<44}{cells}{f'   {rule} {limit:g}' if rule else ''}")
    measures, details = measured[-1]
    faults = broken(measures)
    for name, lines in details.items():
        if lines and (given.details or name in faults):
            print(f"\n{name}:", *lines, sep="\n  ")
    print(*(f"BROKEN: {fault}" for fault in faults.values()), sep="\n", file=sys.stderr)
    return int(given.check and bool(faults))


if __name__ == "__main__":
    sys.exit(main())

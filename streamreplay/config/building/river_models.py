"""Construct River objects from text such as ``forest.ARFClassifier(n_models=10, seed=1)``.

The text is in Python's syntax, but only constructor calls are understood, and nothing is evaluated.
"""

from __future__ import annotations

import ast
import difflib
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from types import ModuleType
from typing import Any

from streamreplay.config.parsing.expressions import Expression, is_literal
from streamreplay.errors import ConfigError
from streamreplay.randomness import Seed, spawn_seed

_KEY = "learner.river"
_ALLOWED = (
    "allowed are constructors of River's classes with plain values or further constructors in "
    "their parentheses, and | and + between them"
)
_OPERATORS: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.BitOr: lambda a, b: a | b,
    ast.Add: lambda a, b: a + b,
}


def construct_river(text: str, seed: Seed) -> Any:
    """Construct the River object that a text describes.

    The text may call classes by their path inside ``river`` (``tree.HoeffdingTreeClassifier`` or
    ``river.tree.HoeffdingTreeClassifier``). Arguments are numbers, strings, True, False, None,
    lists, tuples, dicts, names of River's classes, and further calls. River's objects can be joined
    by ``a | b`` and ``a + b``, as in River's pipelines. A class that takes a ``seed`` and is given
    none gets one derived from ``seed`` and from its position in the text.

    Parameters
    ----------
    text : str
    seed : int or numpy.random.SeedSequence

    Raises
    ------
    ConfigError
        The text contains something else, a name is not one of River's classes, or River refuses
        the arguments; the message names the position of the character.

    Examples
    --------
    >>> str(construct_river("preprocessing.StandardScaler() | naive_bayes.GaussianNB()", 0))
    'StandardScaler | GaussianNB'
    >>> construct_river("open('/etc/passwd')", 0)
    Traceback (most recent call last):
    streamreplay.errors.ConfigError: learner.river, character 1: River has no class 'open'
    """
    return _build(Expression(_KEY, text.strip(), _ALLOWED), seed)


def construct_detector(key: str, text: str, seed: Seed) -> Any:
    """Construct the drift detector of River that a text describes.

    The text is that of `construct_river`, with two additions: the module of a detector may be left
    out (``ADWIN(delta=0.01)``, ``DDM()``), and so may empty parentheses.

    Parameters
    ----------
    key : str
        The job's key, for messages.
    text : str
    seed : int or numpy.random.SeedSequence

    Raises
    ------
    ConfigError
        The text contains something else, or River refuses the arguments.

    Examples
    --------
    >>> construct_detector("drift[0].detector", "ADWIN(delta=0.01)", 0).delta
    0.01
    >>> type(construct_detector("drift[0].detector", "binary.DDM", 0)).__name__
    'DDM'
    """
    return _build(Expression(key, text.strip(), _ALLOWED), seed, ("drift", "drift.binary"))


def construct_metric(key: str, text: str) -> Any:
    """Construct the metric of River that a text describes: ``MacroF1``, ``FBeta(beta=0.5)``.

    The text is that of `construct_detector`.

    Parameters
    ----------
    key : str
        The job's key, for messages.
    text : str

    Raises
    ------
    ConfigError
        The text contains something else, or River refuses the arguments.

    Examples
    --------
    >>> construct_metric("evaluator.metrics", "FBeta(beta=0.5)").beta
    0.5
    >>> construct_metric("metrics", "MacroF")
    Traceback (most recent call last):
    streamreplay.errors.ConfigError: metrics, character 1: River has no class 'MacroF', did you ...
    """
    return _build(Expression(key, text.strip(), _ALLOWED), 0, ("metrics", "metrics.multioutput"))


def _build(written: Expression, seed: Seed, within: Sequence[str] = ()) -> Any:
    """Construct what a text describes; names in the modules ``within`` need no path."""
    import river.api  # noqa: PLC0415 - slow

    tree = written.parse()
    if within and isinstance(tree, ast.Name | ast.Attribute):
        tree = ast.copy_location(ast.Call(tree, [], []), tree)
    try:
        return _Builder(written, river.api, seed, _shorter(river.api, within)).build(tree)
    except (ValueError, MemoryError, RecursionError) as error:  # too many parentheses
        raise ConfigError(f"{written.key}: cannot be read: {error}") from None


def _shorter(root: ModuleType, within: Sequence[str]) -> dict[str, list[str]]:
    """Return the path of each name in the given modules."""
    modules = {path: reduce(getattr, path.split("."), root) for path in within}
    return {
        name: [*path.split("."), name]
        for path, module in modules.items()
        for name in module.__all__
        if hasattr(module, name)  # River exports a name or two that it does not have
    }


@dataclass(frozen=True)
class _Builder:
    """Construct objects from the parts of a text."""

    text: Expression
    root: ModuleType
    seed: Seed
    shorter: Mapping[str, list[str]]

    def build(self, node: ast.expr) -> Any:
        """Construct the object that a part of the text describes."""
        made: Any
        match node:
            case _ if is_literal(node):
                made = ast.literal_eval(node)
            case ast.List():
                made = [self.build(each) for each in node.elts]
            case ast.Tuple():
                made = tuple(self.build(each) for each in node.elts)
            case ast.Dict():
                made = self._dict(node)
            case ast.Name() | ast.Attribute():
                made = self._find(node)
            case ast.Call():
                made = self._call(node)
            case ast.BinOp() if type(node.op) in _OPERATORS:
                made = self._join(node)
            case _:
                raise self.text.fault(node, f"{self.text.shown(node)} cannot be used; {_ALLOWED}")
        return made

    def _dict(self, node: ast.Dict) -> dict[Any, Any]:
        made = {}
        for key, value in zip(node.keys, node.values, strict=True):
            if not isinstance(key, ast.Constant):
                raise self.text.fault(key or value, "the keys of a dict must be numbers or strings")
            made[self.build(key)] = self.build(value)
        return made

    def _call(self, node: ast.Call) -> Any:
        kind = self._find(node.func)
        args = [self.build(arg) for arg in node.args]
        kwargs: dict[str, Any] = {}
        for keyword in node.keywords:
            if keyword.arg is None:
                raise self.text.fault(keyword.value, f"** cannot be used; {_ALLOWED}")
            kwargs[keyword.arg] = self.build(keyword.value)
        return self._run(node, lambda: kind(*args, **self._seeded(node, kind, args, kwargs)))

    def _join(self, node: ast.BinOp) -> Any:
        from river import base  # noqa: PLC0415 - slow

        sides = [self.build(node.left), self.build(node.right)]
        for part, side in zip((node.left, node.right), sides, strict=True):
            if not isinstance(side, base.Base):
                raise self.text.fault(
                    part, f"{self.text.shown(part)} is not an object of River; {_ALLOWED}"
                )
        return self._run(node, lambda: _OPERATORS[type(node.op)](*sides))

    def _run(self, node: ast.expr, make: Callable[[], Any]) -> Any:
        try:
            return make()
        except Exception as error:  # River may raise anything
            what = f"{self.text.shown(node)} cannot be made: {type(error).__name__}: {error}"
            raise self.text.fault(node, what) from error

    def _seeded(
        self, node: ast.expr, kind: type, args: list[Any], kwargs: dict[str, Any]
    ) -> dict[str, Any]:
        parameters = inspect.signature(kind).parameters
        if "seed" not in parameters or parameters["seed"].default is not None:
            return kwargs
        bound = inspect.signature(kind).bind_partial(*args, **kwargs).arguments
        if bound.get("seed") is not None:
            return kwargs
        own = spawn_seed(self.seed, f"{node.lineno}:{node.col_offset}:{node.end_col_offset}")
        return {**kwargs, "seed": int(own.generate_state(1)[0])}

    def _find(self, node: ast.expr) -> type:
        """Return the class of River that a dotted name denotes."""
        path = self._path(node)
        named = ".".join(path)
        parts = path[1:] if path[0] == "river" else path
        if parts:
            parts = [*self.shorter.get(parts[0], parts[:1]), *parts[1:]]
        found: Any = self.root
        for part in parts:
            exported = getattr(found, "__all__", ()) if isinstance(found, ModuleType) else ()
            if part not in exported or not hasattr(found, part):
                near = difflib.get_close_matches(part, {*exported, *self.shorter} - {part}, 1)
                hint = f", did you mean {near[0]}?" if near else ""
                raise self.text.fault(node, f"River has no class {named!r}{hint}")
            found = getattr(found, part)
        if not _is_constructible(found):
            raise self.text.fault(node, f"River has no class {named!r}")
        return found  # type: ignore[no-any-return]

    def _path(self, node: ast.expr) -> list[str]:
        parts: list[str] = []
        inner = node
        while isinstance(inner, ast.Attribute):
            parts.append(inner.attr)
            inner = inner.value
        if not isinstance(inner, ast.Name):
            raise self.text.fault(
                node, f"{self.text.shown(inner)} is no name of a class; {_ALLOWED}"
            )
        return [inner.id, *reversed(parts)]


def _is_constructible(found: Any) -> bool:
    """Return whether a text may name an object: not data sets and readers, which open files."""
    from river import base  # noqa: PLC0415 - slow

    river = isinstance(found, type) and found.__module__.startswith("river.")
    return river and issubclass(found, base.Base)

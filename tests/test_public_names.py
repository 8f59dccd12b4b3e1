import importlib
import pkgutil
from typing import get_origin

import streamreplay

MODULES = [
    "streamreplay",
    *(
        module.name
        for module in pkgutil.walk_packages(streamreplay.__path__, "streamreplay.")
        if not module.name.rpartition(".")[2].startswith("__")
    ),
]


def test_public_names_are_declared_sorted_and_there() -> None:
    for name in MODULES[1:]:
        module = importlib.import_module(name)
        declared = module.__all__
        capitals = [n for n in declared if n.isupper()]
        classes = [n for n in declared if n[:1].isupper() and n not in capitals]
        rest = [n for n in declared if n not in capitals and n not in classes]
        assert declared == sorted(capitals) + sorted(classes) + sorted(rest), name
        assert len(set(declared)) == len(declared), name
        for public in declared:
            assert getattr(module, public, None) is not None, f"{name}.{public}"


def test_every_module_and_public_object_is_described() -> None:
    for name in MODULES:
        module = importlib.import_module(name)
        assert module.__doc__, name
        for public in getattr(module, "__all__", ()):
            thing = getattr(module, public)
            if get_origin(thing) is not None:
                continue  # an alias such as SeedGroup[ComparedLearner] has no docstring of its own
            if getattr(thing, "__module__", "").startswith("streamreplay") and callable(thing):
                assert thing.__doc__, f"{name}.{public}"


def test_there_are_modules_to_look_at() -> None:
    assert {"streamreplay.batch", "streamreplay.buffers.sampling.keyed_reservoir"} < set(MODULES)


def test_no_class_name_stands_twice() -> None:
    places: dict[str, set[str]] = {}
    for name in MODULES:
        for thing in vars(importlib.import_module(name)).values():
            if isinstance(thing, type) and thing.__module__.startswith("streamreplay"):
                places.setdefault(thing.__name__, set()).add(thing.__module__)
    assert len(places) > 200
    assert not {name: where for name, where in places.items() if len(where) > 1}

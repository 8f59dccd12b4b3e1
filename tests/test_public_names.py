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


PACKAGES = [
    module.name
    for module in pkgutil.walk_packages(streamreplay.__path__, "streamreplay.")
    if module.ispkg
]


def test_packages_declare_what_users_import_sorted() -> None:
    declaring = [name for name in MODULES[1:] if hasattr(importlib.import_module(name), "__all__")]
    assert {*PACKAGES} < {*declaring}
    for name in declaring:
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
    described = 0
    for name in MODULES:
        module = importlib.import_module(name)
        assert module.__doc__, name
        own = [n for n, thing in vars(module).items() if getattr(thing, "__module__", "") == name]
        for public in {*own, *getattr(module, "__all__", ())}:
            thing = getattr(module, public)
            if public.startswith("_") or get_origin(thing) is not None or not callable(thing):
                continue  # an alias such as SeedGroup[ComparedLearner] has no docstring of its own
            if getattr(thing, "__module__", "").startswith("streamreplay"):
                assert thing.__doc__, f"{name}.{public}"
                described += 1
    assert described > 700


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

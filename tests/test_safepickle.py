"""What is saved comes back the same, and bytes from elsewhere run nothing."""

import collections
import datetime as dt
import functools
import os
import pickle
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from river import drift, stats
from river.drift import binary

from streamreplay import CheckpointError
from streamreplay.safepickle import check_versions, dump, live_versions, load

DETECTORS: list[tuple[Any, dict[str, Any]]] = [
    (drift.ADWIN, {}),
    (drift.KSWIN, {"seed": 1}),
    (drift.PageHinkley, {}),
    (drift.PageHinkley, {"mode": "up"}),
    (drift.DummyDriftDetector, {"seed": 1}),
    (binary.DDM, {}),
    (binary.EDDM, {}),
    (binary.FHDDM, {}),
    (binary.HDDMA, {}),
    (binary.HDDMW, {}),
]
RIVER = ["river.drift", "river.stats", "river._river_rust.drift", "river._river_rust.stats"]


def values(n: int, seed: int) -> list[Any]:
    noise = random.Random(seed)  # noqa: S311 - no secret
    return [noise.random() < 0.2 + 0.6 * (place > n // 2) for place in range(n)]


@pytest.mark.parametrize(("kind", "parameters"), DETECTORS)
def test_a_detector_goes_on_as_if_it_had_not_been_saved(
    kind: Any, parameters: dict[str, Any]
) -> None:
    live = kind(**parameters)
    for value in values(700, 0):
        live.update(value)
    saved = dump(live)
    back = load(saved, RIVER)
    assert dump(back).tobytes() == saved.tobytes()
    fired = []
    for value in values(700, 1):
        live.update(value)
        back.update(value)
        fired.append((live.drift_detected, back.drift_detected))
    assert all(mine == its for mine, its in fired)
    assert dump(back).tobytes() == dump(live).tobytes()


def test_equal_strings_need_not_be_one_object() -> None:
    one, other = (b"kept twice".decode() for _ in range(2))
    assert one is not other
    assert dump([one, one]).tobytes() == dump([one, other]).tobytes()


PLAIN: list[Any] = [
    {"a": [1, 2.5, True, None, "x", b"y", 3j], "b": {1, 2}, "c": frozenset([3]), "d": range(3)},
    collections.deque([1, 2], maxlen=3),
    collections.defaultdict(functools.partial(collections.defaultdict, float), {1: {2: 3.0}}),
    collections.Counter("abca"),
    collections.OrderedDict(a=1),
    dt.datetime(2020, 1, 2, tzinfo=dt.UTC),
    dt.timedelta(seconds=3),
    np.float64(0.1),
    np.bool_(True),
    np.str_("x"),
]


@pytest.mark.parametrize("value", PLAIN, ids=lambda value: type(value).__name__)
def test_plain_data_needs_no_leave(value: Any) -> None:
    back = load(dump(value), [])
    assert back == value
    assert type(back) is type(value)


@pytest.mark.parametrize(
    "array",
    [np.arange(6.0).reshape(2, 3), np.array(3, np.int32), np.empty((0, 2), "f4"), np.array(["ab"])],
)
def test_arrays(array: np.ndarray[Any, Any]) -> None:
    back = load(dump([array]), [])[0]
    assert isinstance(back, np.ndarray)
    assert (back.dtype, back.shape) == (array.dtype, array.shape)
    np.testing.assert_array_equal(back, array)
    assert back.flags.writeable


def test_a_random_state() -> None:
    drawn = random.Random(3)  # noqa: S311 - no secret
    drawn.gauss(0, 1)
    back = load(dump(drawn), [])
    assert [back.random(), back.gauss(0, 1)] == [drawn.random(), drawn.gauss(0, 1)]


def _text(text: str) -> bytes:
    return pickle.BINUNICODE + len(text).to_bytes(4, "little") + text.encode()


def _state(**parts: bytes) -> bytes:
    """Give what is on the stack a dict for its state."""
    return b"}" + b"".join(_text(key) + part + b"s" for key, part in parts.items()) + b"b"


_METRICS = b"criver.metrics.base\nMetrics\n"
_ARRAY = b"cstreamreplay.safepickle\n_array\n"
_MEAN = b"cstreamreplay.safepickle\n_bound\n" + pickle.dumps(stats.Mean(), 2)[2:-1]


class TestRefused:
    @pytest.mark.parametrize(
        "name",
        [
            "builtins.eval",
            "builtins.getattr",
            "builtins.type",
            "os.system",
            "subprocess.Popen",
            "operator.attrgetter",
            "numpy.load",
            "numpy.dtype",
            "river.drift.adwin.ADWIN",
            "streamreplay.safepickle._SafeUnpickler",
            "pathlib.Path",
        ],
    )
    def test_what_is_not_allowed(self, name: str) -> None:
        module, _, short = name.rpartition(".")
        with pytest.raises(CheckpointError, match=rf"^cannot be loaded: {name} is not allowed"):
            load(np.frombuffer(f"c{module}\n{short}\n.".encode(), "u1"), ["river.stats", "river.d"])

    @pytest.mark.parametrize(
        ("module", "name"),
        [
            ("river.drift.kswin", "collections"),  # a module
            ("river.drift.kswin", "stats"),
            ("river.drift", "ADWIN"),  # is of another module
            ("river.drift.adwin", "ADWIN.update"),  # a function
            ("river.drift.adwin", "ADWIN.__class__"),
            ("river.drift.adwin", "DriftDetector"),  # imported from elsewhere
            ("river.metrics.mutual_info", "_average_arithmetic"),
        ],
    )
    def test_what_is_no_class_of_an_allowed_module(self, module: str, name: str) -> None:
        pickled = (
            pickle.PROTO
            + b"\x04"
            + b"".join(
                pickle.SHORT_BINUNICODE + bytes([len(text)]) + text.encode()
                for text in (module, name)
            )
        )
        pickled += pickle.STACK_GLOBAL + pickle.STOP
        with pytest.raises(CheckpointError, match="is no class of that module"):
            load(np.frombuffer(pickled, "u1"), ["river"])

    def test_nothing_runs(self, tmp_path: Path) -> None:
        target = tmp_path / "made"

        class Evil:
            def __reduce__(self) -> tuple[Any, ...]:
                return os.mkdir, (str(target),)

        pickled = np.frombuffer(pickle.dumps(Evil()), "u1")
        with pytest.raises(CheckpointError, match=r"posix\.mkdir is not allowed"):
            load(pickled, ["river"])
        assert not target.exists()
        pickle.loads(pickled.tobytes())  # noqa: S301 - it would have run
        assert target.exists()

    def test_a_method_is_not_called_while_loading(self) -> None:
        # _bound(mean, "update")(1.0): what the first call gives is not callable yet
        mean = pickle.dumps(stats.Mean(), 2)[:-1]
        pickled = b"cstreamreplay.safepickle\n_bound\n(" + mean + b"S'update'\ntR(F1.0\ntR."
        with pytest.raises(CheckpointError, match="a _Bound is called"):
            load(np.frombuffer(pickled, "u1"), ["river.stats"])

    @pytest.mark.parametrize(
        ("pickled", "message"),
        [
            (_METRICS + _state(_call=b"N"), "a state is given to a ABCMeta"),
            (_ARRAY + b"}b", "a state is given to a _Marker"),
            (_ARRAY + b"N}\x86b", "a state is given to a _Marker"),
            (_MEAN + _text("update") + b"\x86R}b", "a state is given to a _Bound"),
            (_METRICS + b")\x81" + _state(__class__=_METRICS), "a state names '__class__'"),
            (_METRICS + b")\x81N" + _state(__call__=b"N")[:-1] + b"\x86b", "names '__call__'"),
            (_METRICS + b")\x81}(K\x01K\x02ub", "a state names 1"),
            (_METRICS + b")\x81)R", "a Metrics is called"),
            (b"cfunctools\npartial\n(cbuiltins\nlist\ntR)R", "a partial is called"),
            (
                b"cfunctools\npartial\n(cbuiltins\nlist\ntR(" + _ARRAY + b")}Ntb",
                "a partial is of something else than a class",
            ),
            (b"cfunctools\npartial\n(cbuiltins\nlist\ntR)\x81", "a partial is called"),
            (b"cfunctools\npartial\n(cbuiltins\nlist\ntR)}\x92", "a partial is called"),
            (_METRICS + b")\x81Na", "items are put into a Metrics"),
            (_METRICS + b")\x81(Ne", "items are put into a Metrics"),
            (_METRICS + b")\x81NNs", "items are put into a Metrics"),
            (_METRICS + b")\x81(NNu", "items are put into a Metrics"),
            (_METRICS + b")\x81(N\x90", "items are put into a Metrics"),
            (b"(" + _METRICS + b"o", "an instruction of old pickles"),
            (b"(ibuiltins\nlist\n", "an instruction of old pickles"),
            (b"\x82\x01", "an instruction of old pickles"),
        ],
    )
    def test_no_instruction_is_turned_against_what_is_allowed(
        self, pickled: bytes, message: str
    ) -> None:
        given = np.frombuffer(b"\x80\x05" + pickled + b".", "u1")
        with pytest.raises(CheckpointError, match=f"^cannot be loaded: .*{message}"):
            load(given, ["river.stats", "river.metrics"])

    @pytest.mark.parametrize("name", ["no_such", "__class__", "n"])
    def test_a_method_must_be_one(self, name: str) -> None:
        mean = pickle.dumps(stats.Mean(), 2)[:-1]
        pickled = b"cstreamreplay.safepickle\n_bound\n(" + mean + f"S'{name}'\ntR.".encode()
        with pytest.raises(CheckpointError, match=f"Mean has no method '{name}' of its own"):
            load(np.frombuffer(pickled, "u1"), ["river.stats"])

    def test_bytes_that_are_no_pickle(self) -> None:
        with pytest.raises(CheckpointError, match=r"^cannot be loaded: "):
            load(np.arange(9, dtype=np.uint8), [])

    @pytest.mark.parametrize(
        ("value", "what"),
        [
            (lambda: 0, "function .*<lambda> is no data"),
            ([stats.Mean().get], "method Mean.get is kept by another"),
            (np.array([object()]), "an array of object is no plain data"),
            (np.zeros(1, [("a", "f4")]), r"an array of \[\('a', '<f4'\)\] is no plain data"),
        ],
    )
    def test_what_cannot_be_saved_is_named(self, value: Any, what: str) -> None:
        with pytest.raises(CheckpointError, match=rf"cannot be saved: {what}"):
            dump(value)


def test_other_versions_are_refused() -> None:
    check_versions(live_versions())
    with pytest.raises(CheckpointError, match=r"^river: saved with 0\.1, this is "):
        check_versions({**live_versions(), "river": "0.1"})


def reduced(kind: type, *args: Any) -> bytes:
    """Return a pickle that calls a class."""

    class _Call:
        def __reduce__(self) -> tuple[Any, ...]:
            return kind, args

    return pickle.dumps(_Call(), 5)


@pytest.mark.parametrize(
    "pickled",
    [
        reduced(bytearray, 10**12),
        reduced(bytes, 10**12),
        reduced(list, range(10**12)),
        reduced(collections.deque, range(10**30)),
        reduced(set, range(10**7)),
        b"\x80\x05\x96" + (10**13).to_bytes(8, "little") + b".",  # a bytearray of that many bytes
        # a list of 1,000 items, and 3,000 copies of it
        b"\x80\x05(" + b"K\x01" * 1000 + b"l\x94" + b"(cbuiltins\nlist\nh\x00\x85R" * 3000 + b"l.",
    ],
    ids=range(7),
)
def test_bytes_do_not_become_much_larger_than_they_are(pickled: bytes) -> None:
    with pytest.raises(CheckpointError, match="cannot be loaded"):
        load(np.frombuffer(pickled, np.uint8), [])


def test_a_pickle_has_a_largest_size(monkeypatch: pytest.MonkeyPatch) -> None:
    saved = dump(b"a" * 3000)
    monkeypatch.setattr("streamreplay.safepickle._MOST_BYTES", 2000)
    with pytest.raises(CheckpointError, match="has more than 2,000 bytes"):
        load(saved, [])
    with pytest.raises(CheckpointError, match="has more than 2,000 bytes"):
        dump(b"a" * 3000)

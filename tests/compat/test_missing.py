import sys

import pytest

from streamreplay import ReservoirSamplingBuffer
from streamreplay.compat.avalanche import StoragePolicy


def test_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [n for n in sys.modules if n.partition(".")[0] == "avalanche"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "avalanche", None)
    with pytest.raises(ImportError, match=r"pip install 'streamreplay\[avalanche\]'"):
        StoragePolicy(ReservoirSamplingBuffer(10))

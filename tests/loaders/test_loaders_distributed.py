"""Each rank its share of an epoch, in a real group of two processes."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

SCRIPT = """
import json, sys
from itertools import islice
import torch, torch.distributed as group
from streamreplay.loaders import *

rank, store = int(sys.argv[1]), sys.argv[2]

def build(kind, **options):
    data, memory = torch.arange(26), torch.arange(100, 105)
    match kind:
        case "balanced":
            return GroupBalancedDataLoader([data, memory], batch_size=5, **options)
        case "cycled":
            return GroupBalancedDataLoader([data, memory], True, 4, **options)
        case "task":
            return TaskBalancedDataLoader(data, 3, task_labels=data % 3, **options)
        case "replay":
            return ReplayDataLoader(data, memory, batch_size=3, batch_size_mem=2, **options)
        case "endless":
            return GroupBalancedInfiniteDataLoader([data, memory], 3, **options)

def rows(loader, n=None):
    return [batch.tolist() for batch in islice(loader, n)]

KINDS = ["balanced", "cycled", "task", "replay"]
early = build("replay")  # what counts is whether there is a group when it is iterated
alone = {kind: [rows(build(kind))] for kind in KINDS}
group.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=2)
found = {}
for kind in KINDS:
    loader = build(kind)
    found[kind] = {"alone": alone[kind][0], "len": len(loader), "shared": rows(loader)}
    found[kind]["second"] = rows(loader)
    found[kind]["whole"] = rows(build(kind, distributed_sampling=False))
    found[kind]["workers"] = rows(build(kind, num_workers=1))
    half = build(kind)
    batches = iter(half)
    next(batches)
    states = [None, None]
    group.all_gather_object(states, half.state_dict())
    assert states[0] == states[1]
    resumed = build(kind)
    resumed.load_state_dict(states[0])
    found[kind]["resumed"] = rows(resumed)
found["early"] = rows(early)
found["endless"] = rows(build("endless"), 20)
group.destroy_process_group()
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def ranks(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    store: Path = tmp_path_factory.mktemp("group") / "store"
    environment = {**os.environ, "GLOO_SOCKET_IFNAME": "lo", "OMP_NUM_THREADS": "1"}
    started = [
        subprocess.Popen(
            [sys.executable, "-c", SCRIPT, str(rank), str(store)],
            env=environment,
            stdout=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    try:
        outputs = [process.communicate(timeout=120)[0] for process in started]
    finally:
        for process in started:
            process.kill()
    assert [process.returncode for process in started] == [0, 0]
    return [json.loads(output) for output in outputs]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["balanced", "cycled", "task", "replay"])
def test_ranks_share_an_epoch(ranks: list[dict[str, Any]], kind: str) -> None:
    one, other = (rank[kind] for rank in ranks)
    whole = one["alone"]
    assert other["alone"] == one["whole"] == other["whole"] == whole
    assert one["len"] == other["len"] == -(-len(whole) // 2)
    assert one["shared"] == whole[::2]
    missing = len(whole) % 2  # then the last takes the epoch's first batch again
    assert other["shared"] == whole[1::2] + whole[:missing]
    for rank in (one, other):
        assert rank["workers"] == rank["shared"]
        assert rank["resumed"] == rank["shared"][1:]
        assert rank["second"] != rank["shared"]
        assert len(rank["second"]) == rank["len"]


@pytest.mark.slow
def test_a_group_may_come_after_the_loader(ranks: list[dict[str, Any]]) -> None:
    assert all(rank["early"] == rank["replay"]["shared"] for rank in ranks)


@pytest.mark.slow
def test_ranks_share_what_has_no_end(ranks: list[dict[str, Any]]) -> None:
    one, other = (rank["endless"] for rank in ranks)
    seen = [row for pair in zip(one, other, strict=True) for batch in pair for row in batch]
    small = [row for row in seen if row >= 100]
    for a in range(0, 120, 5):
        assert sorted(small[a : a + 5]) == list(range(100, 105)), "passes go over both ranks"

"""What every stage promises, tried on each of them."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from streamreplay.batch import Batch
from streamreplay.checkpoint import load_checkpoint, save_checkpoint
from streamreplay.records import Report
from tests.contract.components import STAGES, AnyStage, StageCase
from tests.contract.digest import global_randomness, plain
from tests.contract.faults import Crash, Stream, until_the_crash

Inputs = Sequence[Any]
Carry = Callable[[AnyStage], AnyStage]


def tell(record: object) -> list[Any]:
    """Write a record down; the last report of a stream only if there is something in it."""
    if isinstance(record, Report) and record.scored is None and not record.metrics:
        return []
    return [plain(record)]


def drain(stage: AnyStage, stream: Iterable[Any]) -> list[Any]:
    return [told for record in stage(stream) for told in tell(record)]


def carry_over(case: StageCase, carry: Carry, size: int = 4, every: int = 1) -> None:
    """Stop after each yield that is a safe point, with the generator left open; go on elsewhere.

    Not within a round of held-out rows, which begins anew: its rows would come twice.
    """
    whole = case.make(0)
    want = drain(whole, case.inputs(size))
    safe = -1
    for cut in range(len(want) + 1):
        stage, stream = case.make(0), Stream(case.inputs(size))
        running, outputs, last = stage(stream), [], None
        for _ in range(cut):
            last = next(running)
            outputs += tell(last)
        if isinstance(last, Batch) and last.held_out:
            continue
        safe += 1
        if safe % every:
            continue
        carried = carry(stage)
        outputs += drain(carried, stream)
        assert outputs == want, f"stopped after yield {cut}"
        assert plain(carried.state_dict()) == plain(whole.state_dict()), f"after yield {cut}"
    assert safe >= 2 * every


def resume(case: StageCase, stage: AnyStage) -> AnyStage:
    """Bring a stage's state back in a fresh one, whose own seed must not matter."""
    state = copy.deepcopy(stage.state_dict())
    saved = plain(state)
    fresh = case.make(1 if case.random else 0)
    fresh.load_state_dict(state)
    assert plain(fresh.state_dict()) == saved
    return fresh


def check_resumes_at_every_cut(case: StageCase, _: Path) -> None:
    carry_over(case, lambda stage: resume(case, stage))


def check_resumes_twice_in_a_row(case: StageCase, _: Path) -> None:
    carry_over(case, lambda stage: resume(case, resume(case, stage)), every=2)


def check_resumes_between_batches_of_one(case: StageCase, _: Path) -> None:
    carry_over(case, lambda stage: resume(case, stage), size=1, every=5)


def check_one_state_starts_any_number(case: StageCase, _: Path) -> None:
    stage = case.make(0)
    inputs = case.inputs(4)
    drain(stage, inputs[:4])
    state = copy.deepcopy(stage.state_dict())
    saved, ends = plain(state), []
    for seed in (0, 0):
        fresh = case.make(seed)
        fresh.load_state_dict(state)
        ends.append((drain(fresh, inputs[4:]), plain(fresh.state_dict())))
        assert plain(state) == saved
    assert ends[0] == ends[1]


def check_survives_the_disk(case: StageCase, folder: Path) -> None:
    def carry(stage: AnyStage) -> AnyStage:
        state = copy.deepcopy(stage.state_dict())
        path = save_checkpoint(folder, {"stage": state}, position=0)
        loaded = load_checkpoint(path)[0]["stage"]
        assert plain(loaded) == plain(state)
        fresh = case.make(0)
        fresh.load_state_dict(loaded)
        return fresh

    carry_over(case, carry, every=4)


def check_a_generator_can_be_dropped(case: StageCase, _: Path) -> None:
    carry_over(case, lambda stage: stage)


def check_goes_on_after_a_crash_of_the_stream(case: StageCase, _: Path) -> None:
    want = drain(case.make(0), case.inputs(4))
    for place in range(len(case.inputs(4)) + 1):
        inputs = list(case.inputs(4))
        inputs.insert(place, Crash())
        stage, stream = case.make(0), Stream(inputs)
        # told at once: memory holds still only until the next pull
        outputs = until_the_crash(told for record in stage(stream) for told in tell(record))
        assert outputs + drain(stage, stream) == want, f"crashed at {place}"


def check_asking_for_the_state_changes_nothing(case: StageCase, _: Path) -> None:
    asked, left_alone = case.make(0), case.make(0)
    outputs = []
    for record in asked(case.inputs(4)):
        outputs += tell(record)
        state = plain(asked.state_dict())
        assert plain(asked.state_dict()) == state
    assert outputs == drain(left_alone, case.inputs(4))
    assert plain(asked.state_dict()) == plain(left_alone.state_dict())


def check_same_seed_same_result_whatever_the_global_one(case: StageCase, _: Path) -> None:
    results = []
    for seed in (1, 2):
        np.random.seed(seed)  # noqa: NPY002 - this is what must not matter
        torch.manual_seed(seed)
        stage = case.make(3)
        results.append((drain(stage, case.inputs(4)), plain(stage.state_dict())))
    assert results[0] == results[1]


def check_another_seed_gives_another_result(case: StageCase, _: Path) -> None:
    # two seeds may agree where only the odd rows of groups are drawn
    first, *others = (drain(case.make(seed), case.inputs(4)) for seed in (3, 4, 5))
    assert any(other != first for other in others) == case.random


def check_no_global_generator_is_moved(case: StageCase, _: Path) -> None:
    before = global_randomness()
    stage = case.make(0)
    drain(stage, case.inputs(4))
    resume(case, stage)
    assert global_randomness() == before


def check_inputs_are_not_written_to(case: StageCase, _: Path) -> None:
    inputs = case.inputs(4)  # read-only: writing through them is an error already
    before = plain(list(inputs))
    drain(case.make(0), inputs)
    assert plain(list(inputs)) == before


def check_an_empty_stream_changes_nothing(case: StageCase, _: Path) -> None:
    stage, other = case.make(0), case.make(0)
    before = plain(stage.state_dict())
    assert drain(stage, []) == []
    assert plain(stage.state_dict()) == before
    assert drain(stage, case.inputs(4)) == drain(other, case.inputs(4))


def check_every_row_comes_out_once_and_in_order(case: StageCase, _: Path) -> None:
    for size in (1, 4, 12):
        records = list(case.make(0)(case.inputs(size)))
        batches = [batch for record in records if (batch := incoming(record)) is not None]
        whole = [b if b.late is None else b.late.records for b in batches]
        positions = [b.t for b in whole if not b.held_out]
        assert np.concatenate(positions).tolist() == list(range(36))


def incoming(record: Any) -> Batch | None:
    """Return the batch of the stream in a record of any kind."""
    if isinstance(record, Report):
        return None if record.scored is None else record.scored.incoming
    return record if isinstance(record, Batch) else record.incoming


CHECKS = {
    name.removeprefix("check_"): check
    for name, check in list(globals().items())
    if name.startswith("check_")
}


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("check", CHECKS)
def test_stages(check: str, stage: str, tmp_path: Path) -> None:
    CHECKS[check](STAGES[stage], tmp_path)

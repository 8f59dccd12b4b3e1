"""The state of a run as lines of text, for any width of the terminal."""

from __future__ import annotations

import io
import sys
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions
from rich.text import Text

from streamreplay.log.rows_text import labels_text, latency_text, share_text, sum_text
from streamreplay.plain_text import printable, score_text, visible
from streamreplay.put_aside import reason_texts
from streamreplay.reading.live.sparkline import BLOCKS, ago, sparkline
from streamreplay.reading.live.state import LearnerState, RetentionState, StreamState
from streamreplay.reading.scores import Score, sample_name
from streamreplay.reading.status import RunPhase

_STYLES: dict[RunPhase, str] = {
    "running": "green",
    "finished": "blue",
    "stopped": "yellow",
    "failed": "red",
    "killed": "red",
}
_PLAIN_BLOCKS = "_.-=*#"  # for terminals that show ASCII only
_MARGIN = 13  # columns for a label
_WIDE = 60  # a narrower terminal has no margin
_TOP = 5  # classes named in a line


@dataclass(frozen=True)
class Heading:
    """What stands above the state of a stream.

    Attributes
    ----------
    name : str
        Of the run.
    phase : str
        What the run is doing.
    notes : sequence of str
        Sentences about it.
    command : str
        A command to copy: it is never wrapped.
    recorded : float or None
        When the last record was written, in seconds since 1970; None to leave it out.
    """

    name: str
    phase: RunPhase
    notes: Sequence[str] = ()
    command: str = ""
    recorded: float | None = None


class View:
    """A stream for `rich`, which asks for its lines at the current width of the terminal.

    Parameters
    ----------
    state : StreamState
    heading : Heading
    now : float
        Seconds since 1970.
    moving : bool
        Whether the view is replaced by another one. It then has no line that is wider than the
        terminal, and a command that is wider is only announced.
    """

    def __init__(
        self, state: StreamState, heading: Heading, now: float, *, moving: bool = False
    ) -> None:
        self._state = state
        self._heading = heading
        self._now = now
        self._moving = moving
        self._width = 80
        self._blocks = BLOCKS

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Text]:
        self._width = max(20, options.max_width)
        self._blocks = BLOCKS if options.encoding.startswith("utf") else _PLAIN_BLOCKS
        yield from self._head()
        yield from self._rows()
        if not self._state.learners:
            if not self._state.rows:
                yield Text("no record yet", style="dim")
            return
        for name, learner in self._state.learners.items():
            yield from self._scores(name, learner)
        if self._state.several:
            yield from self._shared_baselines()
        else:
            yield from self._classes(self._state.learners[""])
        yield from self._drifts()
        yield from self._buffers()
        yield from self._cost()

    def _head(self) -> Iterator[Text]:
        heading, state = self._heading, self._state
        name, style = printable(heading.name), _STYLES.get(heading.phase, "dim")
        yield Text.assemble((name, "bold"), "  ", (heading.phase, style), overflow="fold")
        for note in heading.notes:
            yield Text(printable(note), style="dim", overflow="fold")
        yield from self._command(printable(heading.command))
        of = "" if state.total is None else f" of {state.total:,}"
        parts = [f"{state.position:,}{of}"]
        if state.rows_per_s is not None and heading.phase == "running":
            parts.append(f"{state.rows_per_s:,.0f} rows/s")
        if heading.recorded is not None:
            parts.append(f"last record {ago(self._now - heading.recorded)}")
        yield from self._line("row", parts)

    def _command(self, command: str) -> Iterator[Text]:
        if not command:
            return
        if self._moving and cell_len(command) > self._width:
            yield Text("(the command is printed after Ctrl-C)", style="dim", overflow="fold")
        else:
            yield Text(command, no_wrap=True, overflow="ignore")

    def _rows(self) -> Iterator[Text]:
        record = self._state.rows
        if not record:
            return
        total, _, terms = sum_text(record, why=False).partition(" = ")
        yield from self._line("rows", [total, *terms.split(" + ")])
        if labels_text(record):
            total, _, terms = labels_text(record).partition(" = ")
            yield from self._line("late labels", [total, *terms.split(" + ")])
            if latency_text(self._state.late):
                yield from self._line("  how late", latency_text(self._state.late).split(", "))
        if record["put_aside"]:
            reasons = reason_texts(record["put_aside_by_reason"], record["first_line"])
            share = Text(share_text(record["put_aside_share"]), style="red")
            yield from self._line("put aside", [share, *map(printable, reasons)])

    def _line(self, label: str, parts: Sequence[str | Text]) -> Iterator[Text]:
        """Yield a label and parts, on as many lines as they need."""
        margin = _MARGIN if self._width >= _WIDE else 2
        line = Text(visible(label), style="bold" if self._state.several else "dim")
        line.truncate(_MARGIN - 2, overflow="ellipsis")
        line.pad_right(margin - line.cell_len)
        room = Text().append_text(line)
        if margin == 2:
            room.append("  ")
        for piece in self._pieces(parts, margin):
            if room.cell_len + piece.cell_len > self._width:
                yield self._cut(room)
                room = Text(" " * margin)
            room.append_text(piece).append("  ")
        yield self._cut(room)

    def _cut(self, line: Text) -> Text:
        line.rstrip()
        line.truncate(self._width, overflow="ellipsis")
        return line

    def _pieces(self, parts: Sequence[str | Text], margin: int) -> Iterator[Text]:
        """Yield parts, those that are wider than a line in several pieces."""
        for part in parts:
            if isinstance(part, Text):
                yield part
            else:
                width = self._width - margin
                text = visible(part)
                yield from map(Text, textwrap.wrap(text, width, break_long_words=False) or [""])

    def _spark(self, values: Sequence[float], *, is_share: bool = True) -> Text:
        width = max(10, min(40, self._width - 52))
        span = 0.05 if is_share else 0.0
        drawn = sparkline(values, width, span=span, blocks=self._blocks)
        return Text(drawn, style="cyan")

    def _scores(self, name: str, learner: LearnerState) -> Iterator[Text]:
        score, main = learner.score, learner.main_score
        parts: list[str | Text] = [
            Text.assemble((score_text(score.get(f"{main.name}_window")), "bold"), " in window"),
            self._spark(learner.curve.kept, is_share=main.share),
            f"{score_text(score.get(main.name))} so far",
        ]
        if name:
            parts += [part for each in learner.retained.values() for part in _retained(each)]
            parts.append(f"replayed {score.get('replayed', 0):,}")
            yield from self._line(printable(name), parts)
            return
        yield from self._line(main.name.replace("_", " "), parts)
        yield from self._line("  baselines", [*_baselines(score, main)])
        for sample, each in learner.retained.items():
            first, *others = _retained(each)
            spark = self._spark(each.curve.kept, is_share="mae" not in each.last)
            where = f"at row {each.last['position']:,}"
            yield from self._line(sample_name(sample), [first, spark, *others, where])

    def _shared_baselines(self) -> Iterator[Text]:
        """Yield the baselines of several learners, which are the same for all."""
        learner = next(iter(self._state.learners.values()))
        main = learner.main_score
        found = [
            f"{title} {score_text(learner.score[key].get(f'{main.name}_window'))}"
            for key, title in main.baselines_of(learner.score).items()
        ]
        if found:
            yield from self._line("baselines", found)

    def _classes(self, learner: LearnerState) -> Iterator[Text]:
        kept = learner.by_class
        if kept is not None and (found := kept.forgotten()):
            parts = [f"{printable(name)} -{fall:.2f}" for name, fall in found[:_TOP]]
            yield from self._line("forgotten", parts)
        weakest = learner.weakest()
        if len(weakest) > 1:
            parts = [f"{printable(name)} {accuracy:.2f}" for name, accuracy in weakest[:_TOP]]
            yield from self._line("weakest", parts)

    def _drifts(self) -> Iterator[Text]:
        for record in reversed(self._state.drifts):
            actions = ", ".join(map(printable, record.get("actions", ())))
            parts: list[str | Text] = [
                Text(
                    visible(record["level"]),
                    style="red" if record["level"] == "drift" else "yellow",
                ),
                f"at row {record['position']:,}",
                f"{printable(record['name'])} ({record['detector']} on {printable(record['on'])})",
            ]
            if "learner" in record:
                parts.insert(0, printable(record["learner"]))
            yield from self._line("drift", [*parts, *([f"-> {actions}"] if actions else [])])

    def _buffers(self) -> Iterator[Text]:
        shared = self._state.shared_buffer
        own = {name: each.buffer for name, each in self._state.learners.items() if each.buffer}
        for name, record in ({"": shared} if shared else own).items():
            parts = [f"{record['rows']:,} of {record['max_size']:,} rows"]
            groups = record.get("by_class") or {}  # absent if numbers are predicted
            if groups:
                parts.append(f"{len(groups)} class{'es' if len(groups) > 1 else ''}")
            rows = sorted(groups.items(), key=lambda pair: -pair[1]["rows"])
            parts += [f"{printable(key)}: {group['rows']:,}" for key, group in rows[:_TOP]]
            yield from self._line("buffer", ([printable(name)] if name else []) + parts)

    def _cost(self) -> Iterator[Text]:
        score = self._state.learners[""].score if not self._state.several else {}
        replayed, rows = score.get("replayed"), score.get("position", 0)
        if replayed is not None and rows:
            parts = [f"{replayed:,} rows", f"{replayed / rows:.2f} for each row that came"]
            yield from self._line("replay", parts)
        timing = self._state.timing
        if timing:
            latency, share = timing["latency_ms"], timing["share"]
            yield from self._line(
                "batch",
                [
                    f"p50 {latency['p50']:.1f} ms",
                    f"p99 {latency['p99']:.1f} ms",
                    *_slowest(timing.get("stages") or share),
                    f"memory {timing['resident_bytes'] / 2**20:,.0f} MiB",
                ],
            )


def _retained(each: RetentionState) -> Iterator[Text]:
    record = each.last
    yield Text.assemble((score_text(each.score), "bold"), " retained")
    for name in ("forgetting", "class_forgetting"):
        if record.get(name) is not None:
            yield Text(f"{name.replace('_', ' ')} {record[name]:.4f}")
            break


def _baselines(record: dict[str, Any], main: Score) -> Iterator[Text]:
    """Yield the scores of baselines in the window, in red if they are better."""
    model = record.get(f"{main.name}_window")
    for name, title in main.baselines_of(record).items():
        recent = record[name].get(f"{main.name}_window")
        if recent is not None:
            ahead = model is not None and main.better(recent, model)
            text = f"{title} {recent:.4f}{', better' if ahead else ''}"
            yield Text(text, style="red" if ahead else "")


def _slowest(shares: dict[str, Any]) -> Iterator[str]:
    """Yield the three stages that take most of the time."""
    found = {
        name: value["share"] if isinstance(value, dict) else value for name, value in shares.items()
    }
    for name in sorted(found, key=lambda name: -found[name])[:3]:
        if found[name] >= 0.005:
            yield f"{name} {found[name]:.0%}"


def print_view(console: Console, view: View) -> None:
    """Print a view that stays; the terminal wraps a command that is wider, not the program."""
    console.print(view, crop=False)


def open_console() -> Console:
    """Return standard output for views."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(
            errors="replace"
        )  # names of classes may have letters that the terminal cannot show
    return Console(file=sys.stdout, highlight=False, markup=False)

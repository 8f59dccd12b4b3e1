"""What is replaced in the files of both checkouts, or not compared.

It differs between any two runs of one checkout, or on purpose in a way that no rule of
`intended.py` can predict.
"""

from __future__ import annotations

from typing import NamedTuple


class Rule(NamedTuple):
    """A text that is replaced in files before they are compared."""

    files: str
    """``job/file``, as a pattern of `fnmatch`."""
    pattern: str
    put: str
    reason: str


class LeftOut(NamedTuple):
    """Files that are not compared."""

    files: str
    reason: str


ON_BOTH = (
    Rule(
        "*.stderr",
        r"\d+\.\d s \([\d,]+ rows/s\)",
        "T s (N rows/s)",
        "the summary of a run says how long it took",
    ),
    Rule(
        "*.stderr",
        r"(?m)^streamreplay: [\d,]+ rows, [\d,]+ rows/s.*\n",
        "",
        "progress is printed every ten seconds, so only in runs that take so long",
    ),
    Rule("*/events.log", r"(?m)^\S+Z ", "", "each line begins with the time of day"),
    Rule(
        "*-tail.stdout",
        r"last record \d+ \S+ ago",
        "last record N ago",
        "counts from the present time",
    ),
    Rule(
        "*.html",
        r"(?<=streamreplay )\d+\.\d+\.\w+(?=\"| from the logs)",
        "V",
        "a page says which version wrote it",
    ),
    Rule("*-inspect*", r"(?<=\"library\": \")[^\"]+", "V", "says which version wrote a checkpoint"),
    Rule("*-inspect*", r"by version \S+", "by version V", "says which version wrote a checkpoint"),
    Rule(
        "*/manifest.json",
        r'(?m)^ "library": "[^"]+"',
        ' "library": "V"',
        "says which version wrote a checkpoint",
    ),
    Rule(
        "*/manifest.json",
        r'"(sha256)": "[^"]+"|"(bytes)": \d+',
        r'"\1\2"',
        "these files are compared themselves, and the manifest contains a version",
    ),
    Rule(
        "*pipe*.safetensors",
        r"(?m)^pipeline\.source\.carry .*\n",
        "",
        "how far a pipe was read ahead of the position depends on time",
    ),
    Rule(
        "*river*.safetensors",
        r"(?m)^\S*learner\.model .*\n",
        "",
        "River's trees have generators without a seed: their pickles always differ",
    ),
    *(
        Rule(
            f"*{kind}*.safetensors",
            r', "data_offsets": [^]]+]',
            "",
            "offsets after the array that was left out depend on its size",
        )
        for kind in ("pipe", "river")
    ),
    Rule("*river*-inspect*", r'"bytes": \{[^}]*\}', "BYTES", "sizes include that of the pickle"),
    Rule(
        "*pipe*-inspect*",
        r'"bytes": \{[^}]*\}',
        "BYTES",
        "sizes include that of what was read ahead",
    ),
    Rule(
        "*-compare.stdout",
        r'(?m)^rows/s .*$|"rows_per_s": [\d.]+',
        "rows/s",
        "follows from the time elapsed, as on pages, no longer from each line's own rate",
    ),
    Rule(
        "*.html",
        r'(?s)<table aria-label="(Settings that differ|What differs between the jobs)\..*?</table>',
        "SETTINGS",
        "pages list the settings that compare lists, with defaults, in the order of the job's keys",
    ),
    Rule(
        "*.html",
        r"<figcaption>(Each row is an experience|One line for each experience)\.[^<]*",
        "EXPERIENCES",
        "the caption names the score, which the old one did not",
    ),
    Rule("texts/*", r"streamreplay \d+\.\d+\.\w+", "streamreplay V", "the version itself"),
)


NOT_COMPARED = (
    LeftOut("*/.lock", "an empty file"),
    LeftOut("*/checkpoints/*", "format 4 has other names for parts of the state than format 3"),
    LeftOut("*inspect*.stdout", "shows the state's parts and their sizes, which are format 4's"),
    LeftOut("*/across/*", "checkpoints of format 3 are refused: nothing continues from them"),
    LeftOut("texts/*.stdout", "help, comments and descriptions are in plainer words"),
    LeftOut(
        "kill-*/out/events.log",
        "from which checkpoint a run resumes depends on the moment of the kill",
    ),
)

"""What differs between the two checkouts on purpose.

Add a line here when a change alters outputs on purpose. Where the new text cannot be predicted,
such as a size that follows from it, add a rule to `rules.py`.
"""

from __future__ import annotations

from benchmarks.same_output.plain_words import PAGE_WORDS, PRINTED_WORDS
from benchmarks.same_output.rules import Rule

_ONE_WORD = "the default method's classifier has one name, in code and in jobs"
_VALUE = "the error names the value that it got"
_PLAIN = "the same in plainer words"

INTENDED: tuple[Rule, ...] = (
    *(Rule("*.html", pattern, put, _PLAIN) for pattern, put in PAGE_WORDS),
    *(Rule("*.stdout", pattern, put, _PLAIN) for pattern, put in PRINTED_WORDS),
    Rule(
        "*.stderr",
        r"test: give either path \(a file\) or share \(of the source's rows\)(?=\n)",
        r"\g<0>, got both",
        _VALUE,
    ),
    Rule(
        "*.stderr",
        r"source.target: numbers go without source.multilabel, which are labels(?=\n)",
        r"\g<0>, got multilabel = ['a']",
        _VALUE,
    ),
    Rule("*", "random_features", "slda_features", _ONE_WORD),
    Rule("*", "discriminant_(weight|margin)", r"slda_\1", _ONE_WORD),
)
"""Replaced in the files of the old checkout: what the new one writes differently."""

RENAMED: tuple[tuple[str, str, str], ...] = (
    ("random_features", "slda_features", _ONE_WORD),
    ("discriminant_(weight|margin)", r"slda_\1", _ONE_WORD),
)
"""Replaced in commands and job files of the new checkout: pattern, text, reason."""

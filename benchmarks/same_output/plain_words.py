"""Where pages of `report`, and what `compare` and `tail` print, say the same in plainer words.

Each entry is a pattern for the old text and what stands in its place now, for `intended.py`.
"""
# ruff: noqa: E501 - a text a line

from __future__ import annotations

__all__ = ["PAGE_WORDS", "PRINTED_WORDS"]

PAGE_WORDS = (
    ("were predicted right", "were predicted correctly"),
    (
        "alone would mislead here: ([^<]*?), but over all classes seen the model knows ([^<]*?) of rows that it never learned",
        r"alone is misleading here: \1, but on rows that the model never learned, its mean accuracy over the classes seen is \2",
    ),
    ("alone would mislead here", "alone is misleading here"),
    (
        "The best as rows came is not the best in what is retained:",
        "The best run as rows came is not the best in retention:",
    ),
    ("What was forgotten is not known: no rows", "Forgetting was not measured: no rows"),
    (
        r"No probe and no test set: what was forgotten is not known\.",
        "Forgetting was not measured: the job has no probe and no test set.",
    ),
    ("two rows of a hundred out of", "2 % of the rows out of"),
    (
        r"or give the job a <code>\[test\]</code> section",
        "or add a <code>[test]</code> section to the job",
    ),
    (
        ": no probe and no test set, so what it forgot is not known",
        ": forgetting was not measured, since the job has no probe and no test set",
    ),
    ("Most was forgotten of class ", "Most forgotten: class "),
    (" more by 5 points or more", " more that fell by 5 points or more"),
    (
        r"The (probe|test set) (\([\d,]+ rows\)) says ([^<:]*): ([\d.]+) points from the",
        r"On the \1 \2 its accuracy is \3, \4 points from that on the",
    ),
    ("what was known of earlier ones fell by", "the score on earlier ones fell by"),
    ("it has not come back", "it has not recovered"),
    ("it was back after", "it recovered after"),
    ("(?<=[;>] )carried out: ", "actions: "),
    (">carried out<", ">actions<"),
    ("times, warnings among them", "times, including warnings"),
    ("rows of memory were learned again, ", "memory rows were replayed, "),
    (r"It went through ([\d,]+) rows a second", r"The run processed \1 rows per second"),
    ("with a 99th percentile of typically ([^<]*?) ms", r"with a typical 99th percentile of \1 ms"),
    (
        "The model is lower by ([^<]*?) than ",
        r"The model&#39;s mean absolute error is \1 lower than that of ",
    ),
    (
        "best is ([^<]*?) with ([^<]*?), least good ([^<]*?) with",
        r"\1 is best with \2, \3 is worst with",
    ),
    (
        r"Whether such a difference may be chance, (<code>streamreplay compare</code>) tells\.",
        r"\1 tests whether such a difference may be chance.",
    ),
    (
        "The runs are not equally long: scores at their ends are of different rows",
        "The runs have different lengths: their last scores are not of the same rows",
    ),
    (
        r"curves are means, bands their 95 % intervals\. What follows is of seed",
        "curves show means, bands 95 % intervals. The sentences below describe seed",
    ),
    ("the difference to the first, of shares", "the difference from the first, for shares"),
    (
        "half the 95 % interval of the mean over seeds, by Student&#39;s t",
        "half the width of the 95 % interval of the mean over seeds (Student&#39;s t)",
    ),
    (r"What differs between the jobs\.", "Settings that differ."),
    (r"Do its probabilities mean what they say\?", "Are the probabilities reliable?"),
    (
        r"A calibrated model that says 80 % is right in 80 of 100 cases\. Both",
        "If a calibrated model gives a probability of 80 %, it is right in 80 of 100 cases. Both",
    ),
    ("Errors of its probabilities", "Errors of the probabilities"),
    (
        "These scores are of what came, when it came: they say nothing about what is no longer asked for",
        "These scores cover the rows as they came; they do not show what was forgotten of earlier rows",
    ),
    (
        "There are no scores over a window: nothing can be drawn",
        "No chart: the log has no scores over a window",
    ),
    (
        r"Blank: no rows of the class came\. On the right: over all",
        "Blank: there were no rows of the class. On the right: accuracy over all",
    ),
    (r" The (\d+) largest of ([\d,]+) classes\.", r" Only the \1 largest of \2 classes are shown."),
    ("Further scores", "Other scores"),
    (r"Over the window, where a score has one\.", "Over the window, if the score has one."),
    ("Horizontal: rows of the stream", "Horizontal axis: rows of the stream"),
    (
        "The model was asked for rows that it never learned, of all that the stream has shown so far: a test set, or a probe of rows that were kept out of learning",
        "The model was tested on rows that it never learned, of everything that the stream has shown so far: the rows of a test set, or those that a probe kept out of learning",
    ),
    (
        r"Classes and experiences are drawn of the first (\d+) only",
        r"Charts by class and by experience show the first \1 only",
    ),
    ("so far counts each of them alike", "so far gives each class the same weight"),
    ("What was known of each class at the end", "Accuracy on each class at the end"),
    (
        "One mark for each run; the mean where there are several seeds",
        "One mark for each run, or for the mean of several seeds",
    ),
    (
        r"Each row is a class\. A colour is what was known of it at the round where the colour ends; blank before the stream had shown it\. Rows are of the ([a-z ]+)\. On the right: in the last round",
        r"One line for each class. A colour shows the accuracy in the test round at its right end. Blank: the stream had not shown the class yet. The rows are those of the \1. On the right: the last round",
    ),
    ("What it knew of rows by their age", "Accuracy by age of the rows"),
    (
        r"Each row: ([^<]*?) when one had ended\. Below the outlined diagonal is what was retained, above it what was known beforehand\. Rows are of",
        r"Each line: \1, after one of them had ended. Below the outlined diagonal: experiences learned before. Above it: experiences not learned yet. The rows are those of",
    ),
    (
        "forgetting: the best at an earlier end, less the present",
        "forgetting: best score at an earlier end, minus the last score",
    ),
    (
        "backward transfer: the present, less that at",
        "backward transfer: last score, minus that at",
    ),
    (
        "forward transfer: before it was learned, over chance",
        "forward transfer: score before it was learned, above chance",
    ),
    (
        "forgetting by class: the best round, less the present",
        "forgetting by class: best score, minus the last score",
    ),
    (">lowest since its end,", ">lowest score since its end,"),
    ("drop behind the last boundary", "drop after the last boundary"),
    ("The detectors of the job found nothing", "The drift detectors of the job found nothing"),
    (
        r"Nobody watched for drift: give the job a (<code>\[\[drift\]\]</code>) section",
        r"The job has no drift detector. To watch for drift, add a \1 section to the job",
    ),
    ("of each run are listed, evenly chosen", "of each run are listed, evenly spread"),
    (
        "No row of memory was learned: nothing was replayed",
        "Nothing was replayed: no memory row was learned",
    ),
    (
        r"What the buffer held over time is not in the log\. (<code>streamreplay inspect RUN</code>) shows what it holds at",
        r"The log does not record what the buffer held. \1 shows its contents at",
    ),
    (
        "With each batch that came the model also learned from stored rows: what they were, and how many",
        "With each batch of the stream the model also learned from stored rows. The charts show how many, and which",
    ),
    ("Rows of memory learned for", "Memory rows learned for"),
    ("How old stored rows are, and", "Age of stored rows, and"),
    ("Band: the middle half of all ages", "Band: the middle half of the ages"),
    (
        r"There is no timings\.jsonl: what the run cost is not known",
        "The cost is not known: the run has no timings.jsonl",
    ),
    (
        "By the clock of the machine it ran on; learners of one run share it",
        "Measured on the machine of the run. Learners of one run share these figures",
    ),
    (
        r"Means over stretches of the stream, of memory the most\.",
        "Means over parts of the stream; for memory, the maximum.",
    ),
    (
        "own time, without what it waited for; other is writing and waiting",
        "own time, without the time it waited for other stages. Other: writing and waiting",
    ),
    (
        r"What each field of a log means is in docs/log\.md, how to read this page in docs/reading\.md",
        "docs/guides/log.md explains the logs, docs/guides/report.md explains this page",
    ),
)
"""Of pages."""

PRINTED_WORDS = (
    (
        "No difference between (.*?) and (.*?) can be told:",
        r"No significant difference between \1 and \2:",
    ),
    ("over seeds, no difference can be told", "no significant difference over seeds"),
    (
        "not paired, as the streams are not known to be the same",
        "not paired, since the streams may differ",
    ),
    ("positions and labels being the same", "since positions and labels are equal"),
    ("counts and baselines being the same", "since counts and baselines are equal"),
    ("stretches between records", "steps between records"),
    (
        r"about (\d+) stretches of ([\d,]+) rows that can be taken for independent, and",
        r"about \1 independent parts of \2 rows, and",
    ),
    (
        "how they differ changes so slowly along the stream that no stretch of it can be taken for independent of the rest",
        "their difference changes so slowly along the stream that no part of it is independent of the rest",
    ),
    ("But of what was never learned (.*?) has", r"But on rows that were never learned, \1 has"),
    ("a score of what comes now rewards", "a score on current rows rewards"),
    (
        "A difference to a group with one seed has no interval over seeds: what is said above covers the randomness of the stream alone",
        "A difference from a group with one seed has no interval over seeds: its interval covers only the randomness of the stream",
    ),
    (
        r"intervals holds for itself: that one of them errs is up to (\d+) times as likely",
        r"intervals is valid on its own; the probability that at least one of them is wrong is up to \1 times as high",
    ),
    (r"(?m)^less (?=\S+$)", "difference from "),
    (
        r"these are the last scores, and the runs are of different lengths (\(.*?\))",
        r"the runs have different lengths \1: their last scores are not of the same rows",
    ),
    ("goes on at row", "continues from row"),
)
"""Of standard output."""

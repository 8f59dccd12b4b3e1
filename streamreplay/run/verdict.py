"""Why a run that has come to its end exits with code 3, and the warning before."""

from __future__ import annotations

from streamreplay.config.job import SourceSection
from streamreplay.ingest.dead_letters import advice_on, no_usable_row
from streamreplay.log.rows_text import share_text
from streamreplay.put_aside import STRETCH, PutAside, most_common
from streamreplay.row_counts import RowCounts
from streamreplay.run.messages import nothing_learned

EXIT_CODE = 3
"""What a run exits with that has read its stream to the end, but not as it was meant."""


def fault_of_rows(job: SourceSection, name: str, counts: RowCounts) -> str:
    """Return why a run that has ended exits with code 3; "" if it exits with code 0.

    Parameters
    ----------
    job : SourceSection
    name : str
        What messages call the source.
    counts : RowCounts
        Of the whole stream.
    """
    if counts.put_aside and counts.put_aside + counts.pending == counts.rows_in:
        return no_usable_row(name, counts.why)
    if job.names_label and not counts.labelled and counts.predicted_only:
        return nothing_learned(job)
    if counts.share_put_aside > job.max_bad_share:
        return (
            f"{counts.put_aside:,} of {counts.rows_in:,} rows were put aside "
            f"({share_text(counts.share_put_aside)}), {_more_than(job, counts.why)}"
        )
    return many_put_aside(job, counts.why)


def many_put_aside(job: SourceSection, aside: PutAside) -> str:
    """Return the message that too many of some rows in a row were put aside; "" if not so."""
    if aside.worst <= job.max_bad_share * STRETCH:
        return ""
    return f"{aside.worst:,} of {STRETCH:,} rows in a row were put aside, {_more_than(job, aside)}"


def _more_than(job: SourceSection, aside: PutAside) -> str:
    reason, _ = most_common(aside.reasons)[0]
    return (
        f"more than source.max_bad_share = {job.max_bad_share:g}; most often: {reason}: "
        f"{advice_on(reason)}"
    )

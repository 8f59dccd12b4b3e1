"""A warning for a second pass over a source that has been read to its end."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator

from streamreplay.batch import Batch


class SecondPass:
    """Warn if a source is read to its end, and then read again without a row.

    Only what one object was asked for in this process counts: a run that was finished may be
    resumed, a file may have grown, and a source may go back by loading a state. None of them is
    warned about.

    Attributes
    ----------
    ended : bool
        The last pass was read to its end. Set it to False where another pass is meant.
    """

    def __init__(self) -> None:
        self.ended = False

    def over(self, batches: Iterable[Batch], name: str) -> Iterator[Batch]:
        """Yield the batches of a pass over the source of that name."""
        nothing, self.ended = self.ended, False
        for batch in batches:
            nothing = False
            yield batch
        if nothing:
            warnings.warn(
                f"{name}: has been read to its end, and this pass had no rows; make a new source, "
                "or go back with load_state_dict",
                stacklevel=3,
            )
        self.ended = True

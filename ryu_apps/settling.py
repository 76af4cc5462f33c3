"""What large pieces of work have made is left out of all later collections of Python's cycle collector.

The work itself is done while that is paused (`policy.collector`, which says why).
"""

from __future__ import annotations

import gc

# So many new values are not the work of a small change.
LARGE = 100_000
# After so many large pieces of work everything is gone through.
ALL_OVER = 100


class Settling:
    """Leaves what large pieces of work have made out of all later collections."""

    def __init__(self) -> None:
        self._times = 0

    def settle(self) -> None:
        """To be called while paused: after much was made, it is taken to be there to stay.

        What then dies in a cycle (a connection, not a flow) is not found before everything is gone through again, which
        takes long; so that is done now and then only.
        """
        if gc.get_count()[0] <= LARGE:
            return
        self._times += 1
        if self._times % ALL_OVER == 0:
            gc.unfreeze()
            gc.collect()
        gc.freeze()

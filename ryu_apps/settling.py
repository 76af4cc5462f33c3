"""What large pieces of work have made is left out of all later collections of Python's cycle collector.

The work itself is done while that is paused (`policy.collector`, which says why).
"""

from __future__ import annotations

import gc

# So many new values are not the work of a small change. Python itself would go through them, and perhaps through all
# that is not left out yet, as soon as it may: with thousands of vNICs for a third of a second.
LARGE = 10_000
# After so many values that were left out everything is gone through: a thousand bridges that are read back make that.
ALL_OVER = 100_000_000


class Settling:
    """Leaves what large pieces of work have made out of all later collections."""

    def __init__(self) -> None:
        self._left_out = 0

    def settle(self) -> None:
        """To be called while paused: after much was made, it is taken to be there to stay.

        What then dies in a cycle (a connection, not a flow) is not found before everything is gone through again, which
        takes long (with 5,000 vNICs a second); so that is done now and then only.
        """
        made = gc.get_count()[0]
        if made <= LARGE:
            return
        self._left_out += made
        if self._left_out >= ALL_OVER:
            self._left_out = 0
            gc.unfreeze()
            gc.collect()
        gc.freeze()

"""How many random examples a property gets that costs much: few in the ordinary run, many in a night (`make fuzz`)."""

import os

from hypothesis import settings

TIMES = 50 if os.environ.get("HYPOTHESIS_PROFILE") == "nightly" else 1


def examples(count: int) -> settings:
    """So many in the ordinary run."""
    return settings(max_examples=count * TIMES, deadline=None)

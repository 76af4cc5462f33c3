"""All families of attacks that are frames, in the order in which they are told and tried."""

from __future__ import annotations

from tests.attack import spoofing

FAMILIES = (spoofing.FAMILY,)

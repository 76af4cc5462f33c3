"""Who speaks in a file: the provider, or one tenant; and so what the file may say and name.

What the provider shares a tenant calls `provider/NAME`. Everything else of the provider's, and everything of other
tenants', is as if it were not there: no message tells a tenant whether it is.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from policy.problems import PROVIDED, quoted

# Keys of groups and services that have no place in a tenant's file, each with the reason. (What a helper lets through
# comes at ports that no rule names, also those that the provider denies: not for a tenant to turn on.)
_PROVIDERS_KEYS: Mapping[str, str] = MappingProxyType(
    {
        "shared": "is the provider's: a tenant's names are its own",
        "helper": "is the provider's: name a service that the provider shares",
    }
)


@dataclass(frozen=True, slots=True)
class Speaker:
    """The provider (``tenant`` None) or a tenant; ``vms`` and ``scopes`` are those that it may name."""

    tenant: str | None
    vms: Collection[str]
    scopes: Collection[str]

    def barred(self, keys: Collection[str]) -> Mapping[str, str]:
        """Those of the keys that this speaker may not use, each with the reason."""
        if self.tenant is None:
            return {}
        return {key: _PROVIDERS_KEYS[key] for key in keys if key in _PROVIDERS_KEYS}

    def keys(self, keys: Collection[str]) -> Collection[str]:
        """Those of the keys that this speaker may use."""
        return keys if self.tenant is None else [key for key in keys if key not in _PROVIDERS_KEYS]


def provided(name: str) -> str:
    """What tenants call something of the provider's."""
    return PROVIDED + name


def own_name(name: str) -> str:
    """What to tell the provider who calls something of his own as a tenant would."""
    return f"{quoted(name)}: so tenants' files call it; here it is {quoted(name.removeprefix(PROVIDED))}"

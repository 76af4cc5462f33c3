"""What one bridge can tell apart: sets of groups, cut down to the groups that its own rules ask about.

A bridge judges by few of all rules: by those that one of its own vNICs can decide by. What other rules ask makes no
difference there. So addresses that only other rules tell apart share a number, and those that are in no group asked
about have none (`NOBODY`) and need no flow: a bridge's flows grow with its own vNICs and with those whom these may talk
to, not with the network.

A rule asks two things: is the deciding vNIC, which is here, in its groups, and is the peer, wherever that is? Of
addresses elsewhere only the groups asked about as peers count. Of addresses here both do, and of destinations of
packets for many, which are judged at each vNIC as its own. A number stands for a set of groups, whichever way that
was cut down.
"""

from __future__ import annotations

from collections.abc import Mapping

from policy.flows.cookies import digest
from policy.flows.identity import EMPTY, NOBODY, Identities, Members
from policy.model import Group


class Outlook:
    """The numbers that one bridge gives to the sets of groups it tells apart; a set keeps its number."""

    def __init__(self) -> None:
        self._of_peers: Members = EMPTY
        self._of_own: Members = EMPTY
        # The names of both, and of all groups there are.
        self._names: tuple[frozenset[str], frozenset[str]] = frozenset(), frozenset()
        self._labels: Mapping[Group, str] = {}
        self._peers: dict[Members, int] = {}
        self._own: dict[Members, int] = {}
        # By the text that names a set: a group that is edited is another one, of the same name.
        self._numbers: dict[str, int] = {"": NOBODY}
        self._taken = {NOBODY}

    def turn(self, identities: Identities, near: Members, far: Members) -> Members:
        """Ask about these groups from now on: ``near`` of the deciding vNIC, ``far`` of the peer.

        Returns the groups that were not asked about so before, or are not any more. A group that was edited is asked
        about as before: who is in it is another matter.
        """
        own = near | far
        same = (own, far) == (self._of_own, self._of_peers) and self._labels is identities.labels
        many = max(len(self._own), len(self._peers)) > 2 * len(identities.numbers)
        if same and not many:
            return EMPTY
        # What has none of these groups is cut down as before.
        others = (own ^ self._of_own) | (far ^ self._of_peers)
        for known in (self._own, self._peers):
            for members in [*known] if many else [each for each in known if not others.isdisjoint(each)]:
                del known[members]
        self._of_own, self._of_peers, self._labels = own, far, identities.labels
        before = self._names
        self._names = frozenset(map(self._labels.__getitem__, own)), frozenset(map(self._labels.__getitem__, far))
        changed = (before[0] ^ self._names[0]) | (before[1] ^ self._names[1])
        return frozenset(group for group in identities.holding if self._labels[group] in changed) if changed else EMPTY

    def crowded(self, identities: Identities) -> bool:
        """True if far more sets have a number than there are now: time for a new outlook."""
        return len(self._numbers) > 1000 + 4 * len(identities.numbers)

    def of_peer(self, members: Members) -> int:
        """The number of an address elsewhere that is in these groups."""
        found = self._peers.get(members)
        if found is None:
            found = self._peers[members] = self._number(members & self._of_peers)
        return found

    def of_own(self, members: Members) -> int:
        """The number of a vNIC or an address of this bridge, or of a destination for many, that is in these groups."""
        found = self._own.get(members)
        if found is None:
            found = self._own[members] = self._number(members & self._of_own)
        return found

    def _number(self, members: Members) -> int:
        """The digest of a set of groups, as in `policy.flows.identity_book`; the next free one if that is taken."""
        text, salt = "\n".join(sorted(self._labels[group] for group in members)), 0
        found = self._numbers.get(text)
        if found is None:
            while (number := digest(text, salt)) in self._taken:
                salt += 1
            found = self._numbers[text] = number
            self._taken.add(number)
        return found

"""Stories on a live network, and the equipment to tell them: agents in guests, words, and a small laboratory.

- `agent/` runs inside a guest (a network namespace) and does what the guest's user would do;
- `guest.py` is the handle on one such agent, `words.py` the sentences that tests and scenarios are written in;
- `lab/` makes switches, guests and controllers, and takes them away again.

Nothing here is part of the firewall, and nothing here imports Ryu.
"""

"""A guest that takes as much as it can: of the place where fragments are put together, and of everybody's time.

How much its neighbours keep is measured by `bench.flood`; here only what must hold on any machine.
"""

import json
import os
import subprocess
import sys
from contextlib import contextmanager

import pytest

from mininet_scenarios.guest import ROOT
from mininet_scenarios.words import connect, many, now_cut, reaches, send_frame, sniff, still_open
from tests.attack.declare import ANN, BEN, EVIL, OUT, VIC
from tests.attack.frames import from_outside, ip4, piece4, pieces4, udp
from tests.attack.harness import battle as fought
from tests.attack.place import EVIL as ATTACKER
from tests.attack.place import OUT as OUTSIDE
from tests.attack.place import POLICY, TALK
from tests.attack.place import VIC as VICTIM

# The switch keeps 1000 fragments, of everybody together, for some 15 s each (dpctl/ipf-get-status).
FLOOD = 3000
# Sends a frame again and again with another IPv4 identification, its header checksum made good, some 5000 a second.
FLOODER = """
import socket, struct, sys, time
count, frame = int(sys.argv[1]), bytearray.fromhex(sys.argv[2])
door = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
door.bind(("eth0", 0))
for number in range(count):
    frame[18:20] = struct.pack("!H", number)
    frame[24:26] = bytes(2)
    total = sum(struct.unpack("!10H", frame[14:34]))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    frame[24:26] = struct.pack("!H", ~total & 0xFFFF)
    door.send(frame)
    if number % 20 == 0:
        time.sleep(0.004)
"""


@pytest.fixture(scope="module")
def battle(module_lab):
    with fought(module_lab) as battle:
        yield battle


def test_lone_fragments_of_one_guest_leave_room_for_others(battle):
    guests = battle.place.guests

    def fragmented(ident: int) -> int:
        """How many fragments of a packet from outside arrive at vic."""
        word = b"HONEST%02d" % ident
        with sniff(guests[VIC], contains=word) as sniffer:
            for piece in pieces4(ip4(id=ident, src=OUTSIDE.ip4) / udp() / (word * 400)):
                send_frame(guests[OUT], bytes(from_outside() / piece.payload))
            battle.control(OUT)
            return sniffer.count

    assert fragmented(1) == 3
    lone = bytes(piece4(bytes(1400), 0, True, 0)).hex()
    guests[EVIL].run("python3", "-c", FLOODER, str(FLOOD), lone)
    battle.control(EVIL)
    assert fragmented(2) == 3
    battle.undisturbed()


@contextmanager
def flooding(guest, target):
    """SYNs, UDP, fragments and ARP from a guest, as fast as one process can, for as long as this lasts."""
    command = ["ip", "netns", "exec", guest.namespace, sys.executable, "-S", "-m", "bench.flooding"]
    process = subprocess.Popen(
        [*command, guest.mac, ATTACKER.ip4, target.mac, target.ip4],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout.readline() == "{}\n"
        yield
    finally:
        said, _ = process.communicate(timeout=20)
    told = json.loads(said)
    assert told["sent"] > 1000, "no flood to speak of"


@pytest.mark.parametrize("target", [VICTIM, OUTSIDE], ids=lambda target: target.name)
def test_under_a_flood_neighbours_connect_and_a_change_comes_into_force(battle, target):
    place, (ann, ben) = battle.place, (battle.place.guests[ANN], battle.place.guests[BEN])
    with flooding(place.guests[EVIL], target):
        assert many(ann, ben, TALK, 50).connected == 50
        still_open(place.neighbours)
        place.controller.change_policy(POLICY.replace(f"allow: [{TALK}, ", "allow: ["))
        place.controller.wait_enforced()
        now_cut(place.neighbours)
        place.controller.change_policy(POLICY)
        place.controller.wait_enforced()
        reaches(ann, ben, TALK)
    place.neighbours = connect(ann, ben, TALK)
    battle.undisturbed()

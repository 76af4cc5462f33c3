"""One guest's fragments must not use up what everybody's fragments are put together in."""

import pytest

from mininet_scenarios.words import send_frame, sniff
from tests.attack.declare import EVIL, OUT, VIC
from tests.attack.frames import from_outside, ip4, piece4, pieces4, udp
from tests.attack.harness import battle as fought
from tests.attack.place import OUT as OUTSIDE

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

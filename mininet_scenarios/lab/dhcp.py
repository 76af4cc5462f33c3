"""DHCP as people run it: dnsmasq as the server in one guest's namespace, ISC's dhclient as the client in another's.

    with DhcpServer(directory, router, ["10.0.0.100,10.0.0.200"], {web.mac: "10.0.0.50"}) as server:
        with DhcpClient(directory, web) as client:
            client.get(4)
            client.give_back(4)
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping, Sequence
from ipaddress import ip_address
from pathlib import Path
from typing import Self

from mininet_scenarios.lab.guests import LiveGuest
from mininet_scenarios.lab.ovs import end_process
from mininet_scenarios.lab.shell import CommandError, check_tools, last_lines, run

# dnsmasq gives no shorter ones.
SHORTEST_LEASE = 120

# dhclient's first message comes at once, and those after it soon. Nobody is asked about names.
_CLIENT_SETTINGS = "timeout 10; initial-delay 0; initial-interval 1; backoff-cutoff 2; retry 5;\n"
# What dhclient runs: it only adds addresses and takes them away.
_CLIENT_SCRIPT = """\
#!/bin/sh
case $reason in
BOUND|RENEW|REBIND|REBOOT) ip -4 address replace "$new_ip_address/$new_subnet_mask" dev "$interface" ;;
BOUND6|RENEW6|REBIND6) ip -6 address replace "$new_ip6_address/64" dev "$interface" nodad ;;
EXPIRE|RELEASE|STOP|FAIL) ip -4 address flush dev "$interface" ;;
EXPIRE6|RELEASE6|STOP6) ip -6 address flush dev "$interface" scope global ;;
esac
exit 0
"""


class DhcpServer:
    """dnsmasq, for DHCPv4 and DHCPv6 alone. ``reserved``: by a client's MAC, the IPv4 address that it gets.

    Its IPv6 addresses come from a pool, as clients tell their own names there. ``renewal``: after so many seconds,
    three at least, clients of DHCPv4 are to renew (RFC 2132, 9.11); None: after half of a lease.
    """

    def __init__(
        self,
        directory: Path,
        host: LiveGuest,
        pools: Sequence[str],
        reserved: Mapping[str, str],
        renewal: int | None = None,
    ) -> None:
        check_tools(("dnsmasq", "dhclient"))
        self.log = directory / f"dnsmasq-{host.name}.log"
        command = [
            *("dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--port=0", "--interface=eth0"),
            *("--dhcp-authoritative", "--no-ping", "--no-hosts", "--no-resolv", "--user=root", "--log-dhcp"),
            *(f"--pid-file={directory / f'dnsmasq-{host.name}.pid'}", f"--log-facility={self.log}"),
            f"--dhcp-leasefile={directory / f'dnsmasq-{host.name}.leases'}",
            *(f"--dhcp-range={pool},{SHORTEST_LEASE}" for pool in pools),
            *(f"--dhcp-host={mac},{address}" for mac, address in reserved.items()),
            *([] if renewal is None else [f"--dhcp-option=option:T1,{renewal}"]),
        ]
        self._process = subprocess.Popen(
            ["ip", "netns", "exec", host.namespace, *command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def heard(self, what: str) -> int:
        """How many lines of its log have a word, such as a message's name and a MAC."""
        if self._process.poll() is not None:
            raise CommandError(f"dnsmasq has ended: {self._process.communicate()[1]}\n{last_lines(self.log)}")
        return self.log.read_text().count(what) if self.log.exists() else 0

    def stop(self) -> None:
        """It ends."""
        self._process.terminate()
        self._process.communicate(timeout=10)


class DhcpClient:
    """dhclient in a guest; it keeps running, and renews, until it gives the address back or is stopped."""

    def __init__(self, directory: Path, guest: LiveGuest) -> None:
        self.guest = guest
        self._directory = directory
        self._settings, self._script = directory / "dhclient.conf", directory / "dhclient-script"
        self._settings.write_text(_CLIENT_SETTINGS)
        self._script.write_text(_CLIENT_SCRIPT)
        self._script.chmod(0o755)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def get(self, family: int) -> str:
        """Ask for an address and return it; the guest knows it, too. Raises if there comes none in ten seconds."""
        self._run(family, "-1")
        address = self._address(family)
        self.guest.addresses = (*self.guest.addresses, ip_address(address))
        return address

    def give_back(self, family: int) -> None:
        """Tell the server that the address is free; dhclient ends. The guest keeps on using it, as a bad one would."""
        address = self._address(family)
        self._run(family, "-r")
        self.guest.run("ip", "address", "replace", f"{address}/{24 if family == 4 else 64}", "dev", "eth0")

    def stop(self) -> None:
        """dhclient ends, and tells nobody."""
        for family in (4, 6):
            pid = self._file(family, "pid")
            if pid.exists():
                end_process(int(pid.read_text()), str(self._directory))
                pid.unlink()

    def _address(self, family: int) -> str:
        told = json.loads(run("ip", "-n", self.guest.namespace, "-j", f"-{family}", "address", "show", "dev", "eth0"))
        found = [each["local"] for each in told[0]["addr_info"] if each["scope"] == "global"]
        if not found:
            raise CommandError(f"{self.guest.name} has no IPv{family} address")
        return str(found[0])

    def _file(self, family: int, kind: str) -> Path:
        return self._directory / f"dhclient{family}-{self.guest.name}.{kind}"

    def _run(self, family: int, *words: str) -> None:
        files = ["-cf", str(self._settings), "-sf", str(self._script)]
        files += ["-lf", str(self._file(family, "leases")), "-pf", str(self._file(family, "pid"))]
        self.guest.run("dhclient", f"-{family}", *words, *files, "eth0", timeout=15)

"""The demonstration: the firewall at work before your eyes, in a network of its own; nothing of it stays behind.

python mininet_scenarios/demo.py          plays and ends; status 0 if everything went as the policy says, else 1
python mininet_scenarios/demo.py --cli    leaves you in Mininet's prompt, with the controller running
"""

import argparse
import sys
import threading
import time
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.panel import Panel
from rich.text import Text

from mininet_scenarios import show
from mininet_scenarios.links import Link
from mininet_scenarios.matrix import measure
from mininet_scenarios.play import perform
from mininet_scenarios.prompt import Prompt
from mininet_scenarios.shop import OUTSIDE, running_shop
from mininet_scenarios.stage import Stage
from mininet_scenarios.words import connect, now_cut, reaches, still_open, stream

SERVICES = {
    "tcp/443": "https, open to customers",
    "tcp/8080": "the shop's API, from the web tier to the app tier",
    "tcp/3306": "MySQL, from the app tier to the MySQL server only",
    "udp/53": "names, from the name server",
    "tcp/22": "ssh, only by way of the bastion",
    "icmp/echo": "ping",
}

RULE = "      - {name: web-to-app, allow: shop-api, from: web, to: app}\n"


class Heartbeat:
    """Says something over an established connection all the time, and remembers when it was last answered."""

    def __init__(self, link: Link) -> None:
        self.link = link
        self.answers = 0
        self.last = time.monotonic()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._beat, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()

    def silent(self, for_seconds: float, within: float) -> bool:
        """Wait until nothing has been answered for some time."""
        deadline = time.monotonic() + within
        while time.monotonic() < deadline:
            left = self.last + for_seconds - time.monotonic()
            if left <= 0:
                return True
            time.sleep(left)
        return False

    def _beat(self) -> None:
        while not self._stop.is_set():
            text = f"beat-{self.answers}."
            heard = self.link.path.source.ask("tcp.echo", link=self.link.number, text=text, timeout=0.2)
            if heard["outcome"] == "heard":
                self.answers += 1
                self.last = time.monotonic()
            self._stop.wait(0.005)


class Demo:
    """The acts, one method each. `fine` says whether everything went as the policy says so far."""

    def __init__(self, shop: Stage, console: Console) -> None:
        self.shop = shop
        self.console = console
        self.fine = True

    def play(self) -> bool:
        """All acts."""
        self.topology()
        self.connections()
        self.live_change()
        return self.fine

    def topology(self) -> None:
        """Who is there."""
        self._act(
            "Who is there",
            "Eight virtual machines on one switch, all in one subnet, and the world outside behind its uplink. The "
            "controller knows whose port is whose from the switch's database, as libvirt writes it.",
        )
        outside = [self.shop[name] for name in OUTSIDE]
        self.console.print(show.topology(self.shop.controller.status(), list(self.shop.guests), outside))

    def connections(self) -> None:
        """Everybody to everybody, wanted and measured."""
        self._act(
            "Everybody to everybody",
            "For each service every host tries to reach every other one, with real connections over IPv4 and IPv6. "
            "What the policy wants is worked out from its files alone; what is measured comes from both ends.",
        )
        self._legend()
        legend = show.Legend(self.shop.document)
        for service, what in SERVICES.items():
            results = measure(self.shop.document, self.shop.guests, service)
            self.console.print()
            self.console.print(show.matrix(f"{service}  {what}", results, self.shop.guests, legend))
            self.console.print(show.counted(results))
            self.fine = self.fine and all(result.fine for result in results)

    def live_change(self) -> None:
        """A rule is removed while its connections are in use."""
        self._act(
            "A rule is removed",
            "Connections are established and busy; then one line of the policy goes. What it allowed stops at once, "
            "connections that exist included; what other rules allow does not lose a packet. (A tenth of a second of "
            "the time is the controller's patience: it reads a file when nobody has written to it for that long.)",
        )
        web1, web2, app1, app2, db1 = (self.shop[name] for name in ("web1", "web2", "app1", "app2", "db1"))
        doomed = [connect(web1, app1, "tcp/8080", over=4), connect(web2, app2, "tcp/8080", over=6)]
        kept = connect(app1, db1, "tcp/3306")
        with (
            Heartbeat(doomed[0]) as first,
            Heartbeat(doomed[1]) as second,
            Heartbeat(kept) as staying,
            stream(web1, app1, "udp/9000", rate=500, push=True) as feed,
        ):
            for link in (*doomed, kept):
                self._note(f"established: {link.path}")
            self._note("streaming: app1 pushes prices to web1, 500 packets a second over UDP (another rule)")
            changed = time.monotonic()
            self.shop.replace("shop.yaml", RULE, "")
            self._note(f"removed from shop.yaml: {RULE.strip(' -').strip()}")
            for beat in (first, second):
                if beat.silent(0.8, within=5.0):
                    after = max(beat.last - changed, 0.0)
                    self._note(f"cut {after:.3f} s after the file was written: {beat.link.path}", "bold green")
                else:
                    self._wrong(f"not cut: {beat.link}")
            answers = staying.answers
            still_open(kept)
            self._note(f"goes on, {answers} answers so far: {kept.path}", "green")
            lost = feed.finish().lost
        if lost:
            self._wrong(f"the price feed lost {lost} packets")
        else:
            self._note(f"the price feed lost 0 of {feed.sent} packets", "green")
        for link in doomed:
            now_cut(link)
        self._note("nothing that either end says arrives any more, in either direction", "green")
        self.shop.replace("shop.yaml", "      - {name: prices", RULE + "      - {name: prices")
        self.shop.wait_enforced()
        reaches(web1, app1, "tcp/8080")
        self._note("the rule is written again, and new connections get through", "green")

    def _legend(self) -> None:
        self.console.print(
            Text.assemble(
                ("✓", "bold green"),
                " allowed, and got through   ",
                ("✗", "red"),
                " denied, and nothing arrived   ",
                (show.NOBODY, "dim"),
                " not our business\n",
                ("BLOCKED, PASSED, LEAKED", "bold white on red"),
                " something else was measured than is wanted\n\n",
                "Rows open connections, columns are called. The letter says which rule decided. Both ends decide, and "
                "a connection needs the consent of both: two letters where they differ, the opening end's first.",
            )
        )
        self.console.print()
        self.console.print(show.Legend(self.shop.document).table())

    def _act(self, title: str, text: str) -> None:
        self.console.print()
        self.console.rule(Text(title, "bold"), align="left")
        self.console.print(Text(text, "italic"))
        self.console.print()

    def _note(self, text: str, style: str = "") -> None:
        self.console.print(Text(f"  {text}", style), soft_wrap=True)

    def _wrong(self, text: str) -> None:
        self.fine = False
        self._note(text, "bold white on red")


def main() -> int:
    """Play, or leave the user in the prompt; the exit status."""
    parser = argparse.ArgumentParser(description="Portcullis before your eyes: switch, hosts, policy, real traffic.")
    parser.add_argument("--cli", action="store_true", help="stay in Mininet's prompt with the controller running")
    chosen = parser.parse_args()
    console = show.new_console()
    return perform(console, lambda: _demonstrate(console, chosen.cli))


def _demonstrate(console: Console, cli: bool) -> int:
    began = time.monotonic()
    console.print(Panel("Portcullis: a stateful firewall at every virtual NIC of Open vSwitch", expand=False))
    console.print("Starting twelve hosts, the switch, and ryu-manager with the policy of examples/shop ...")
    with running_shop() as shop:
        console.print(f"In force after {time.monotonic() - began:.1f} s.")
        demo = Demo(shop, console)
        if cli:
            demo.topology()
            Prompt(shop, console, demo.play).run_until_exit()
            return 0
        fine = demo.play()
    console.print()
    if fine:
        console.print(f"Everything went as the policy says, in {time.monotonic() - began:.0f} s.", style="bold green")
    else:
        console.print("NOT everything went as the policy says: see above.", style="bold red")
    return 0 if fine else 1


if __name__ == "__main__":
    sys.exit(main())

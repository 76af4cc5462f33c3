"""Mininet's prompt in the running shop, with a few words of our own."""

from collections.abc import Callable

from mininet.cli import CLI  # type: ignore[import-untyped]
from rich.console import Console

from mininet_scenarios import show
from mininet_scenarios.guest import Guest, Service
from mininet_scenarios.matrix import WATCH, measure, wanted
from mininet_scenarios.stage import Stage
from mininet_scenarios.tries import attempt, paths, serve
from policy.errors import PolicyError
from policy.evaluate import SideDecision

WELCOME = """
You are in Mininet's prompt; the controller runs and watches the policy in {policy}

  try client web1 tcp/443        a real connection, over IPv4 and IPv6, and what the policy says about it
  try web1 db1 tcp/3306          ... and one that is denied
  matrix tcp/8080                everybody to everybody
  web1 ping -c 3 app1            a command on a host (denied); bastion ping -c 3 app1 is allowed
  sh {editor} {policy}/shop.yaml
                                 change the policy (here or in another terminal): in force when you have saved it
  status                         what the controller says of itself
  sh ovs-ofctl -O OpenFlow14 dump-flows s1
                                 the flows; sh ovs-vsctl show, sh ovs-appctl dpctl/dump-conntrack work too
  demo                           plays the whole demonstration
  exit                           ends everything
"""


class Prompt(CLI):  # type: ignore[misc]  # Mininet is untyped
    """The prompt. What begins with the name of a host is a command on that host, as in Mininet."""

    prompt = "portcullis> "
    # Mininet would write a history file into the user's home.
    readlineInited = True

    def __init__(self, shop: Stage, console: Console, play: Callable[[], object]) -> None:
        self.shop = shop
        self.console = console
        self.play = play
        self._ready = False
        super().__init__(shop.net)

    def run(self) -> None:
        """Mininet's constructor calls this; we wait until we are asked."""
        if self._ready:
            super().run()

    def run_until_exit(self) -> None:
        """Take commands until `exit`, or the end of the input."""
        self.console.print(WELCOME.format(policy=self.shop.policy, editor="vi"), soft_wrap=True, markup=False)
        self._ready = True
        self.run()

    def onecmd(self, line: str) -> bool | None:
        """One command; a policy that cannot be read, or a claim that does not hold, is told and not the end."""
        try:
            stop: bool | None = super().onecmd(line)
        except (PolicyError, AssertionError) as error:
            self.console.print(str(error), style="bold red", markup=False)
            return False
        return stop

    def do_try(self, line: str) -> None:
        """try FROM TO SERVICE: a real connection, and what the policy says about it."""
        words = line.split()
        if len(words) != 3 or not {*words[:2]} <= self.shop.guests.keys():
            self.console.print(f"try FROM TO SERVICE; hosts: {', '.join(self.shop.guests)}")
            return
        if not self._is_service(words[2]):
            return
        document = self.shop.document
        for path in paths(self.shop[words[0]], self.shop[words[1]], words[2], None):
            serve(path)
            decision = wanted(document, path)
            self.console.print(f"{path}")
            self.console.print(f"  measured  {attempt(path, WATCH)}")
            self.console.print(f"  wanted    {decision.verdict.value}")
            for end, side in (("opening end", decision.egress), ("called end", decision.ingress)):
                self.console.print(f"            {end}: {_said(side)}")

    def do_matrix(self, line: str) -> None:
        """matrix SERVICE: everybody to everybody, wanted and measured."""
        service = line.strip() or "tcp/443"
        if not self._is_service(service):
            return
        document = self.shop.document
        guests: dict[str, Guest] = dict(self.shop.guests)
        results = measure(document, guests, service)
        legend = show.Legend(document)
        self.console.print(legend.table())
        self.console.print(show.matrix(service, results, guests, legend))
        self.console.print(show.counted(results))

    def do_status(self, _line: str) -> None:
        """status: what the controller says of itself."""
        self.console.print_json(data=self.shop.controller.status())

    def do_demo(self, _line: str) -> None:
        """demo: plays the whole demonstration."""
        self.play()

    def _is_service(self, text: str) -> bool:
        try:
            Service.parse(text)
        except ValueError as error:
            self.console.print(str(error))
            return False
        return True


def _said(side: SideDecision | None) -> str:
    if side is None:
        return "not firewalled"
    if side.policy is None:
        return f"{side.verdict.value}, {'built in' if side.rule else 'as no rule applies'}"
    return f"{side.verdict.value}, {side.policy}/{side.rule} ({side.file}:{side.line}, tier {side.tier})"

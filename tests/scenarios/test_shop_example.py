"""The example policy by itself, without a network: it loads, and says what its comments say."""

import pytest

from mininet_scenarios.shop import OUTSIDE, POLICY
from policy.evaluate import evaluate
from policy.load import load
from policy.question import parse_question

CLIENT, BANNED, OFFICE, DNS = (addresses[0].partition("/")[0] for addresses in OUTSIDE.values())


@pytest.mark.parametrize(
    ("source", "destination", "service", "verdict"),
    [
        (CLIENT, "web1", "tcp/443", "allow"),
        (BANNED, "web1", "tcp/443", "deny"),
        (CLIENT, "bastion", "tcp/22", "deny"),
        (OFFICE, "bastion", "tcp/22", "allow"),
        ("bastion", "db1", "tcp/22", "allow"),
        ("web1", "app2", "tcp/8089", "allow"),
        ("app1", "db1", "tcp/3306", "allow"),
        ("app1", "db2", "tcp/3306", "deny"),
        ("app1", "db2", "tcp/5432", "allow"),
        ("web1", "web2", "tcp/443", "deny"),
        ("db1", "web1", "tcp/443", "deny"),
        ("db1", DNS, "udp/53", "allow"),
        ("db1", CLIENT, "tcp/443", "deny"),
    ],
)
def test_the_shop_allows_what_its_comments_say(source, destination, service, verdict):
    document = load(POLICY)
    assert evaluate(document, parse_question(document, source, destination, service)).verdict.value == verdict

"""Rules passed over, against the evaluator: the first that nothing keeps from it is the one that decides."""

from hypothesis import given
from hypothesis import strategies as st

from policy.evaluate import evaluate
from policy.load import load_texts
from policy.model import Side, Tier
from policy.passed_over import Reason, passed_over
from policy.question import parse_question
from tests.analysis.strategies import connections, documents
from tests.examples import examples


@examples(75)
@given(st.data())
def test_what_follows_the_last_one_passed_over_decides(data):
    document = data.draw(documents())
    _, connection = data.draw(connections(document))
    decision = evaluate(document, connection)
    walked = [(p, r) for tier in Tier for p in document.policies if p.tier is tier for r in p.rules]
    for side, decided in ((Side.EGRESS, decision.egress), (Side.INGRESS, decision.ingress)):
        found = passed_over(document, connection, decision, side)
        assert [(each.policy, each.rule) for each in found] == walked[: len(found)] if decided else not found
        assert all(each.reasons for each in found)
        if decided is None or decided.tier == "builtin":
            continue
        if decided.tier == "default":
            assert len(found) == len(walked)
        else:
            policy, rule = walked[len(found)]
            assert (decided.policy, decided.rule) == (policy.name, rule.name)


def test_each_reason():
    text = """\
version: 1
vms:
  a: {tenant: acme, addresses: 10.0.0.1}
  b: {addresses: 10.0.0.2}
policies:
  - name: tried
    mode: audit
    tier: emergency
    rules: [{name: audited, allow: any}]
  - name: ours
    tier: environment
    rules:
      - {name: in-only, allow: any, direction: in}
      - {name: elsewhere, allow: any, at: {vms: b}}
      - {name: other-source, allow: any, from: {vms: b}}
      - {name: other-end, allow: any, to: {vms: a}}
      - {name: other-service, allow: udp}
      - {name: on, pass: any}
      - {name: behind, deny: any}
  - {name: last, rules: [{name: here, allow: tcp}]}
"""
    document = load_texts({
        "p.yaml": text.encode(),
        "t.yaml": b"tenant: other\npolicies: [{name: t, order: 1, rules: [{name: foreign, deny: any}]}]\n",
    })  # fmt: skip
    connection = parse_question(document, "a", "b", "tcp/80")
    decision = evaluate(document, connection)
    found = {each.rule.name: each.reasons for each in passed_over(document, connection, decision, Side.EGRESS)}
    assert found == {
        "audited": (Reason.AUDIT,),
        "in-only": (Reason.DIRECTION,),
        "elsewhere": (Reason.AT,),
        "other-source": (Reason.FROM,),
        "other-end": (Reason.TO,),
        "other-service": (Reason.SERVICE,),
        "on": (Reason.PASSES,),
        "behind": (Reason.TIER_PASSED,),
        "foreign": (Reason.TENANT,),
    }
    assert decision.egress.rule == "here"

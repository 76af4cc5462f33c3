"""What the policy says about one connection, in few words."""

from policy.evaluate import evaluate
from policy.question import decision_json, parse_question


def explain(loaded, source, destination, service="tcp/80", **more):
    """The answer as `explain --json` gives it."""
    return decision_json(evaluate(loaded, parse_question(loaded, source, destination, service, **more)))


def verdict(loaded, source, destination, service="tcp/80", **more):
    return explain(loaded, source, destination, service, **more)["verdict"]


def sides(loaded, source, destination, service="tcp/80", **more):
    """The verdicts of egress and ingress; None for nobody."""
    answer = explain(loaded, source, destination, service, **more)
    return tuple(answer[side] and answer[side]["verdict"] for side in ("egress", "ingress"))


def decider(side):
    """Tier, tenant, policy and rule of a SIDE, as one word: `application acme:shop/#1`, `default`."""
    if side["tier"] in ("default", "builtin"):
        return " ".join(filter(None, (side["tier"], side["rule"])))
    tenant = f"{side['tenant']}:" if side["tenant"] else ""
    return f"{side['tier']} {tenant}{side['policy']}/{side['rule']}"

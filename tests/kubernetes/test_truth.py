"""What is imported means what the cluster meant: compared with an evaluator of its own on random clusters."""

from dataclasses import replace
from itertools import product

from hypothesis import given

from tests.examples import examples
from tests.kubernetes.clusters import NUMBERS, OUTSIDE, clusters
from tests.kubernetes.imported import imported
from tests.kubernetes.truth import Flow, allowed


def flows(cluster):
    ends = [*cluster.pods, *OUTSIDE]
    for source, destination in product(ends, ends):
        if source is not destination and not (source in OUTSIDE and destination in OUTSIDE):
            for protocol, port in [*product(["TCP"], NUMBERS), ("UDP", 53), ("UDP", 80)]:
                yield Flow(source, destination, protocol, port)


@examples(80)
@given(clusters())
def test_the_same_connections_are_allowed(cluster):
    result = imported(cluster)
    assert result.losses == []
    for flow in flows(cluster):
        assert result.allows(flow) == allowed(cluster, flow), flow


@examples(50)
@given(clusters(unknown=True))
def test_what_is_lost_is_told_and_opens_nothing(cluster):
    """Whatever nodes and domain names may have stood for, nothing is allowed that the cluster did not allow."""
    result = imported(cluster)
    text = str(cluster.policies)
    assert bool([loss for loss in result.losses if "nodes" in loss or "domainNames" in loss]) == (
        "'nodes'" in text or "'domainNames'" in text
    )
    for flow in flows(cluster):
        if result.allows(flow):
            assert allowed(replace(cluster, unknown=False), flow), flow
            assert allowed(replace(cluster, unknown=True), flow), flow

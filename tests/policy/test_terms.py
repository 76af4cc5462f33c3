"""Terms and services: what each text means, how terms merge, what is refused."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy.analysis.regions import region_of
from policy.errors import PolicyError
from policy.evaluate import Connection, Endpoint, covers
from policy.model import ALL_PORTS, ICMP, ICMPV6, SCTP, TCP, UDP, Term
from policy.terms import TermError, merge, parse_term
from tests.policy.words import document, refused

ECHO = (Term(ICMP, 4, icmp_type=8), Term(ICMPV6, 6, icmp_type=128))


@pytest.mark.parametrize(
    ("text", "terms"),
    [
        ("any", [Term()]),
        ("tcp", [Term(TCP)]),
        ("udp", [Term(UDP)]),
        ("sctp", [Term(SCTP)]),
        ("tcp/443", [Term(TCP, ports=((443, 443),))]),
        ("udp/0", [Term(UDP, ports=((0, 0),))]),
        ("sctp/65535", [Term(SCTP, ports=((65535, 65535),))]),
        ("tcp/1024-65535", [Term(TCP, ports=((1024, 65535),))]),
        ("tcp/0-65535", [Term(TCP)]),
        ("tcp/80,443,8000-8080", [Term(TCP, ports=((80, 80), (443, 443), (8000, 8080)))]),
        ("tcp/443,80,81,79-80", [Term(TCP, ports=((79, 81), (443, 443)))]),
        ("icmp", [Term(ICMP, 4), Term(ICMPV6, 6)]),
        ("icmp/echo", list(ECHO)),
        ("icmp4", [Term(ICMP, 4)]),
        ("icmp6", [Term(ICMPV6, 6)]),
        ("icmp4/3", [Term(ICMP, 4, icmp_type=3)]),
        ("icmp4/3/4", [Term(ICMP, 4, icmp_type=3, icmp_code=4)]),
        ("icmp6/1/0", [Term(ICMPV6, 6, icmp_type=1, icmp_code=0)]),
        ("proto/47", [Term(47)]),
        ("proto/0", [Term(0)]),
        ("proto/6", [Term(TCP)]),
        ("proto/17", [Term(UDP)]),
        ("proto/132", [Term(SCTP)]),
        ("proto/1", [Term(ICMP, 4)]),
        ("proto/58", [Term(ICMPV6, 6)]),
    ],
)
def test_terms(text, terms):
    assert list(parse_term(text)) == terms
    policy = f'services: {{s: "{text}", t: s}}\npolicies: [{{name: p, rules: [{{allow: "{text}"}}]}}]'
    loaded = document(policy)
    assert loaded.services["s"] == loaded.services["t"] == loaded.policies[0].rules[0].terms == tuple(terms)


@pytest.mark.parametrize(
    "text",
    [
        "tcp/",
        "tcp/65536",
        "tcp/-1",
        "tcp/80-",
        "tcp/-80",
        "tcp/90-80",
        "tcp/80,",
        "tcp/80,,81",
        "tcp/http",
        "tcp/80/81",
        "tcp/ 80",
        "tcp/0x50",
        "tcp/٨٠",
        "TCP/80",
        "tpc/80",
        "any/80",
        "icmp/8",
        "icmp/echo/0",
        "icmp4/256",
        "icmp4/8/256",
        "icmp4/8/0/0",
        "icmp6/echo",
        "proto/256",
        "proto/tcp",
        "proto",
        "proto/6/80",
        "80",
        "/",
        "",
        "tcp/" + "1" * 5000,
    ],
)
def test_no_terms(text):
    with pytest.raises(TermError):
        parse_term(text)


SOME = "any tcp udp/53 tcp/80 tcp/81-90 tcp/85,443 icmp icmp/echo icmp4/8 icmp4/8/0 icmp4/3 icmp6/1/4 icmp6 proto/47"
TERMS = st.sampled_from(SOME.split()).flatmap(lambda text: st.sampled_from(parse_term(text)))
NARROW = st.builds(
    lambda ports: Term(TCP, ports=((80, 80),), source_ports=ports), st.sampled_from([((1, 5),), ((3, 9),), ALL_PORTS])
)
NOBODY = Endpoint()
CONNECTIONS = st.one_of(
    st.builds(
        lambda family, protocol, source, destination: Connection(NOBODY, NOBODY, family, protocol, source, destination),
        st.sampled_from([4, 6]),
        st.sampled_from([TCP, UDP, SCTP]),
        st.sampled_from([1, 4, 9, 50000]),
        st.sampled_from([5, 53, 80, 81, 85, 90, 91, 443]),
    ),
    st.builds(
        lambda family, number, code: Connection(
            NOBODY, NOBODY, family, {4: ICMP, 6: ICMPV6}[family], icmp_type=number, icmp_code=code
        ),
        st.sampled_from([4, 6]),
        st.sampled_from([1, 3, 8, 128]),
        st.sampled_from([0, 4]),
    ),
    st.builds(lambda family: Connection(NOBODY, NOBODY, family, 47), st.sampled_from([4, 6])),
)


@given(st.lists(st.one_of(TERMS, NARROW)), CONNECTIONS)
def test_merging_changes_no_meaning(terms, connection):
    merged = merge(terms)
    assert any(covers(term, connection) for term in merged) == any(covers(term, connection) for term in terms)


@given(st.lists(st.one_of(TERMS, NARROW)).flatmap(lambda terms: st.tuples(st.just(terms), st.permutations(terms))))
def test_merging_knows_no_order(both):
    assert merge(both[0]) == merge(both[1]) == merge(merge(both[0]))


def test_what_merges():
    def merged(*texts):
        return merge(term for text in texts for term in parse_term(text))

    assert merged("udp/53", "tcp/443", "tcp/80-442") == (Term(TCP, ports=((80, 443),)), Term(UDP, ports=((53, 53),)))
    assert merged("tcp", "any", "icmp") == (Term(),)
    assert merged("icmp", "icmp/echo", "icmp4/8/0") == parse_term("icmp")
    assert merged("icmp4/8/0", "icmp4/8") == parse_term("icmp4/8")
    assert merge([]) == ()


FTP_21 = Term(TCP, ports=((21, 21),), helper="ftp")
FTP_2121 = Term(TCP, ports=((2121, 2121),), helper="ftp")


def test_a_term_with_a_helper_stays_as_it_is():
    """Also within a wider one, and beside one without; ports of two are not joined."""
    plain, tcp = Term(TCP, ports=((21, 21),)), Term(TCP)
    assert merge([FTP_21, FTP_21]) == (FTP_21,)
    for other in (plain, tcp, Term(), *ECHO):
        assert set(merge([FTP_21, other])) == {FTP_21, other}
    assert merge([FTP_2121, plain, FTP_21, tcp]) == (tcp, FTP_21, FTP_2121)
    side_by_side = Term(TCP, ports=((22, 22),), helper="ftp")
    assert merge([side_by_side, FTP_21]) == (FTP_21, side_by_side)


def test_helpers():
    loaded = document("""
        services:
          ftp: {protocol: tcp, port: 21, helper: ftp}
          numbered: {protocol: 6, port: 21, helper: ftp}
          two: {protocol: tcp, port: [21, 2121], helper: ftp}
          narrow: {protocol: tcp, port: 21, source_port: 1024-65535, helper: ftp}
          listed: {terms: [tcp/21, more], helper: ftp}
          more: tcp/2121
          again: {terms: ftp, helper: ftp}
          boot: {terms: udp/69, helper: tftp}
          files: [boot, ftp, tcp]
          plain: tcp/21
        policies:
          - {name: p, rules: [{allow: [files, ftp]}, {allow: [tcp/21, tcp/22]}, {deny: [ftp, any]}]}
    """)
    boot = Term(UDP, ports=((69, 69),), helper="tftp")
    assert loaded.services["ftp"] == loaded.services["numbered"] == loaded.services["again"] == (FTP_21,)
    assert loaded.services["two"] == (Term(TCP, ports=((21, 21), (2121, 2121)), helper="ftp"),)
    assert loaded.services["narrow"] == (replace(FTP_21, source_ports=((1024, 65535),)),)
    assert loaded.services["listed"] == (Term(TCP, ports=((21, 21), (2121, 2121)), helper="ftp"),)
    assert loaded.services["boot"] == (boot,)
    assert loaded.services["files"] == (Term(TCP), FTP_21, boot)
    assert loaded.services["plain"] == (Term(TCP, ports=((21, 21),)),)
    first, second, third = loaded.policies[0].rules
    assert (first.terms, first.helpers) == ((Term(TCP), FTP_21, boot), {"ftp", "tftp"})
    assert (second.terms, second.helpers) == ((Term(TCP, ports=((21, 22),)),), frozenset())
    assert third.terms == (Term(), FTP_21)


def test_a_helper_changes_nothing_about_which_connections_are_meant():
    plain = replace(FTP_21, helper=None)
    assert plain != FTP_21
    for port in (20, 21, 22):
        asked = Connection(NOBODY, NOBODY, 4, TCP, 50000, port)
        assert covers(FTP_21, asked) == covers(plain, asked) == (port == 21)
    assert region_of((FTP_21,)) == region_of((plain,)) == region_of((plain, FTP_21))
    assert region_of((Term(TCP), FTP_21)) == region_of((Term(TCP),))


def test_helpers_of_tenants_are_shared_ones():
    provider = "services: {ftp: {protocol: tcp, port: 21, helper: ftp, shared: true}}"
    rule = "policies: [{name: p, rules: [{allow: %s}]}]"
    loaded = document(provider, acme="tenant: acme\n" + rule % "[provider/ftp, tcp/22]")
    assert loaded.policies[0].rules[0].terms == (FTP_21, Term(TCP, ports=((22, 22),)))
    with pytest.raises(PolicyError) as raised:
        document(provider, acme="tenant: acme\nservices: {ftp: {terms: tcp/21, helper: ftp}}\n")
    assert str(raised.value) == "acme.yaml:2:33: 'helper' is the provider's: name a service that the provider shares"
    with pytest.raises(PolicyError, match="unknown key 'helper'"):
        document("", acme="tenant: acme\ngroups: {g: {match: all(), helper: ftp}}")


def test_services():
    services = document("""
        services:
          https: tcp/443
          web: [tcp/80, https]
          all-web: [web, icmp/echo, web]
          odd: {protocol: tcp, port: 443, source_port: 1024-65535}
          ports: {protocol: udp, port: [53, "67,68", 100-200]}
          whole: {protocol: sctp}
          both: {protocol: icmp}
          numbered: {protocol: 47}
          tcp-by-number: {protocol: 6, port: 22}
          terms: {terms: [udp/53, https]}
          term: {terms: udp/53}
    """).services
    web = Term(TCP, ports=((80, 80), (443, 443)))
    assert services["web"] == (web,)
    assert services["all-web"] == (ECHO[0], web, ECHO[1])
    assert services["odd"] == (Term(TCP, ports=((443, 443),), source_ports=((1024, 65535),)),)
    assert services["ports"] == (Term(UDP, ports=((53, 53), (67, 68), (100, 200))),)
    assert services["whole"] == (Term(SCTP),)
    assert services["both"] == (Term(ICMP, 4), Term(ICMPV6, 6))
    assert services["numbered"] == (Term(47),)
    assert services["tcp-by-number"] == (Term(TCP, ports=((22, 22),)),)
    assert services["terms"] == (Term(TCP, ports=((443, 443),)), Term(UDP, ports=((53, 53),)))
    assert services["term"] == (Term(UDP, ports=((53, 53),)),)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("services: {§tcp: tcp/80}", "like a protocol"),
        ("services: {§icmp6: tcp/80}", "like a protocol"),
        ("services: {§any: tcp/80}", "reserved"),
        ("services: {§80: tcp/80}", '"80"'),
        ("services: {a: §80}", "tcp/80"),
        ("services: {a: §[]}", "empty"),
        ("services: {a: §}", "empty"),
        ("services: {a: [tcp/80, §[tcp/81]]}", "not lists"),
        ("services: {a: [§{protocol: tcp}]}", "define this under 'services'"),
        ("services: {a: [tcp/80,§443]}", "only a number"),
        ("services: {a: §true}", "text"),
        ("services: {a: tcp/80, b: [a, §c]}", "no service is called 'c'"),
        ("services: {https: tcp/443, b: §htps}", "did you mean 'https'?"),
        ("services: {b: §tcpp}", "did you mean 'tcp'?"),
        ("services: {b: §HTTPS/443}", "is not a term"),
        ("services: {b: §provider/dns}", "here it is 'dns'"),
        ("services: {b: {protocol: tcp, shared: §on}}", "true or false"),
        ("services: {b: {terms: tcp/1, §port: 3}}", "not both"),
        ("services: {b: {terms: tcp/21, helper: §sip}}", "ftp, tftp"),
        ("services: {b: {terms: tcp/21, helper: §[ftp]}}", "text"),
        ("services: {b: {terms: tcp/21, helper: §}}", "text"),
        ("services: {b: §{helper: ftp}}", "'protocol'"),
        ("services: {b: {protocol: tcp, helper: §ftp}}", "single destination ports like 'tcp/21'"),
        ("services: {b: {protocol: tcp, port: 21-22, helper: §ftp}}", "single destination ports"),
        ("services: {b: {protocol: tcp, port: [21, 22], helper: §ftp}}", "single destination ports"),
        ("services: {b: {protocol: udp, port: 21, helper: §ftp}}", "like 'tcp/21'"),
        ("services: {b: {protocol: tcp, port: 69, helper: §tftp}}", "like 'udp/69'"),
        ("services: {b: {protocol: any, helper: §ftp}}", "single destination ports"),
        ("services: {b: {protocol: icmp, helper: §ftp}}", "single destination ports"),
        ("services: {b: {terms: [tcp/21, a], helper: §ftp}, a: sctp/21}", "single destination ports"),
        ("services: {b: {terms: a, helper: §ftp}, a: {terms: udp/69, helper: tftp}}", "single destination ports"),
        ("services: {b: [§{protocol: tcp, port: 21, helper: ftp}]}", "define this under 'services'"),
        ("policies: [{name: p, rules: [{allow: §{terms: tcp/21, helper: ftp}}]}]", "define this under 'services'"),
        ("assertions: [{name: p, never: §{terms: tcp/21, helper: ftp}}]", "define this under 'services'"),
        ("services: {b: §{port: 3}}", "'protocol'"),
        ("services: {b: §{}}", "'protocol'"),
        ("services: {b: {protocol: §tpc}}", "did you mean 'tcp'?"),
        ("services: {b: {protocol: §256}}", "0 to 255"),
        ("services: {b: {protocol: §[tcp]}}", "text"),
        ("services: {b: {protocol: icmp, §port: 3}}", "ports"),
        ("services: {b: {protocol: 47, §source_port: 3}}", "ports"),
        ("services: {b: {protocol: tcp, port: §65536}}", "65535"),
        ("services: {b: {protocol: tcp, port: [80, §90-80]}}", "80-90"),
        ("services: {b: {protocol: tcp, port: §[]}}", "empty"),
        ("services: {b: {protocol: tcp, port: §}}", "empty"),
        ("services: {b: {protocol: tcp, §ports: 3}}", "did you mean 'port'?"),
        ("services: {b: {protocol: tcp, port: 80,§443}}", "quote that value"),
        ("services: {§a: b, b: [tcp/1, c], c: a}", "a -> b -> c -> a"),
        ("services: {§a: a}", "a -> a"),
        ("services: §[tcp/80]", "mapping of names"),
        ("services:§", "no value"),
    ],
)
def test_refusals(text, word):
    refused(text, word)


def test_growth_is_bounded():
    """Each service names the one before: what they mean grows as the square of the file."""
    lines = ["services:", "  s0: tcp/1"] + [f"  s{i}: [s{i - 1}, tcp/{3 * i}]" for i in range(1, 3000)]
    with pytest.raises(PolicyError, match="port ranges"):
        document("\n".join(lines))

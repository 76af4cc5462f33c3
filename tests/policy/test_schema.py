"""docs/policy.schema.json says what the loader says: the same keys, choices and bounds, and no good policy is wrong."""

from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from policy import (
    assertion_reader,
    fields,
    groups,
    limit_reader,
    model,
    networks,
    rules,
    sections,
    selectors,
    services,
    speaker,
    terms,
    vms,
)
from policy.errors import PolicyError
from policy.load import load_texts
from policy.model import Limits, Tier
from tests.policy.schema import SCHEMA, complaints
from tests.policy.test_docs import BLOCKS, with_version
from tests.policy.test_fuzz import GOOD
from topology import inventory

ROOT = Path(__file__).parents[2]
DEFS = SCHEMA["$defs"]
(SERVICE_FORM,) = (form for form in DEFS["service"]["anyOf"] if "properties" in form)

KEYS = {
    "file": (SCHEMA, sections._KEYS),
    "builtins": (SCHEMA["properties"]["builtins"], sections.BUILTINS),
    "network": (DEFS["network"], networks._KEYS),
    "vm": (DEFS["vm"], vms._VM_KEYS),
    "vnic": (DEFS["vnic"], vms._VNIC_KEYS),
    "group": (DEFS["group"], groups._KEYS),
    "service": (SERVICE_FORM, services._FORM),
    "limit": (DEFS["limit"], limit_reader._KEYS),
    "policy": (DEFS["policy"], rules._POLICY_KEYS),
    "rule": (DEFS["rule"], rules._RULE_KEYS),
    "assertion": (DEFS["assertion"], assertion_reader._KEYS),
}


def test_the_schema_is_one():
    Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("what", KEYS)
def test_the_same_keys(what):
    form, keys = KEYS[what]
    assert set(form["properties"]) == set(keys)
    assert form["additionalProperties"] is False
    assert all(said.get("description") or "$ref" in said for said in form["properties"].values())


def test_every_mapping_of_the_schema_is_compared():
    found = [form for form in [SCHEMA, *DEFS.values(), SERVICE_FORM] if "properties" in form]
    assert len(found) == len(KEYS) - 1  # `builtins` stands within the file


def test_the_same_choices():
    policy, rule = DEFS["policy"]["properties"], DEFS["rule"]["properties"]
    assert policy["tier"]["enum"] == [tier.label for tier in Tier]
    assert policy["mode"]["enum"] == list(rules._MODES)
    assert rule["direction"]["enum"] == list(rules._DIRECTIONS)
    assert {key for one in DEFS["rule"]["oneOf"] for key in one["required"]} == set(rules._VERDICTS)
    assert {key for one in DEFS["assertion"]["oneOf"] for key in one["required"]} == set(assertion_reader._KINDS)
    assert SERVICE_FORM["properties"]["helper"]["enum"] == list(model.HELPERS)
    assert tuple(SERVICE_FORM["properties"]["protocol"]["anyOf"][0]["enum"]) == services.PROTOCOLS
    assert [key for one in DEFS["limit"]["anyOf"] for key in one["required"]] == list(limit_reader.BOUNDS)
    assert {key for one in DEFS["group"]["anyOf"] for key in one["required"]} == groups._SAYING_WHO
    assert DEFS["group"]["dependentRequired"] == {key: ["cidrs"] for key in groups._NARROWING_CIDRS}
    assert SCHEMA["properties"]["version"]["const"] == sections.VERSION
    assert DEFS["vm"]["properties"]["roles"] == DEFS["vnic"]["properties"]["roles"]
    role, roles = DEFS["vnic"]["properties"]["roles"]["anyOf"]
    assert role["enum"] == roles["items"]["enum"] == list(inventory.ROLES)
    names = SCHEMA["properties"]["services"]["propertyNames"]["allOf"][1]["not"]["enum"]
    assert tuple(names) == terms.PROTOCOL_WORDS


def test_the_same_bounds():
    assert DEFS["name"]["pattern"] == f"^{fields.NAME.pattern}$"
    assert set(DEFS["name"]["not"]["enum"]) == fields.RESERVED
    assert DEFS["network"]["properties"]["vlan"]["maximum"] == networks.MAX_VLAN
    assert DEFS["policy"]["properties"]["order"]["maximum"] == rules.MAX_ORDER
    assert DEFS["group"]["properties"]["match"]["maxLength"] == selectors.MAX_LENGTH
    assert DEFS["vm"]["properties"]["labels"]["additionalProperties"]["maxLength"] == fields.MAX_TEXT
    assert DEFS["vnic"]["properties"]["iface_id"]["maxLength"] == fields.MAX_TEXT
    limit = DEFS["limit"]["properties"]
    for name, (lowest, highest) in limit_reader.BOUNDS.items():
        assert (limit[name]["minimum"], limit[name]["maximum"]) == (lowest, highest)
        assert limit[name]["description"].endswith(f"Default: {getattr(Limits(), name)}.")


def test_a_tenants_file():
    tenants = SCHEMA["then"]["properties"]
    assert {key for key, form in tenants.items() if form is False} == set(sections._KEYS) - set(sections.TENANTS_KEYS)
    assert tenants["policies"]["items"]["properties"]["tier"]["enum"] == list(rules._TENANTS_TIERS)
    assert complaints("tenant: acme\nvms: {}") and complaints("tenant: acme\nbuiltins: {}")
    assert complaints("tenant: acme\nlimits: {}")
    assert complaints("tenant: acme\ngroups: {a: {match: a == b, shared: true}}")
    assert complaints("tenant: acme\nservices: {a: {terms: tcp, shared: true}}")
    assert complaints("tenant: acme\nservices: {a: {terms: tcp/21, helper: ftp}}")
    assert set(tenants["services"]["additionalProperties"]["properties"]) == set(speaker._PROVIDERS_KEYS)
    assert complaints("tenant: acme\npolicies: [{name: p, tier: emergency, rules: []}]")
    assert not complaints("tenant: acme\npolicies: [{name: p, tier: environment, rules: []}]")


GOOD_POLICIES = [
    *(
        pytest.param(text, id=f"policy.md, line {line}")
        for info, text, line in BLOCKS
        if info.startswith(("yaml policy", "yaml file", "yaml tenants", "yaml lease", "yaml limits"))
    ),
    *(
        pytest.param(path.read_text(), id=path.name)
        for path in sorted(ROOT.glob("examples/**/*.yaml"))
        if path.parent.name != "cases"  # test cases have a schema of their own
    ),
    pytest.param(GOOD, id="the good policy of the fuzzer"),
]


@pytest.mark.parametrize("text", GOOD_POLICIES)
def test_good_policies(text):
    assert complaints(with_version(text)) == []


@pytest.mark.parametrize(
    "text",
    [
        "zzz: 1",
        "version: 2",
        "networks: {a: {}}",
        "networks: {any: {vlan: 1}}",
        "networks: {a: {vlan: 4095}}",
        "networks: {a: {vlan: '10'}}",
        "vms: {a: {labels: {vm.name: x}}}",
        "vms: {a: {labels: {a: [b]}}}",
        "vms: {a: {vnics: [{mac: 52:54:00:00:00:01}]}}",
        "vms: {a: {vnics: [], mac: 52:54:00:00:00:01}}",
        "vms: {a: {mac: 52:54:00:00:00}}",
        "vms: {a: {addresses: []}}",
        "vms: {a: {trusted: yes}}",
        "vms: {a: {roles: dhcp}}",
        "vms: {a: {roles: []}}",
        "vms: {a: {vnics: [{iface_id: x, roles: [router, [router]]}]}}",
        "groups: {a: {}}",
        "groups: {a: {shared: true}}",
        "groups: {a: {except: 10.0.0.1, match: a == b}}",
        "groups: {a: {scope: lab, match: a == b}}",
        "groups: {a: {any_of: []}}",
        "services: {tcp: tcp/1}",
        "services: {a: [[tcp/1]]}",
        "services: {a: {port: 3}}",
        "services: {a: {protocol: tpc}}",
        "services: {a: {terms: tcp, protocol: tcp}}",
        "services: {a: {terms: tcp/21, helper: sip}}",
        "services: {a: {helper: ftp}}",
        "services: {a: [{protocol: tcp, port: 21, helper: ftp}]}",
        "policies: [{name: a, rules: [{allow: {protocol: tcp, port: 21, helper: ftp}}]}]",
        "limits: {a: {}}",
        "limits: {a: {for: any}}",
        "limits: {a: {notices: 0}}",
        "limits: {a: {connections: 1000001}}",
        "limits: {a: {broadcasts: '5'}}",
        "limits: {a: {conections: 5}}",
        "limits: {a: {for: [], notices: 1}}",
        "limits: {any: {notices: 1}}",
        "policies: {name: a}",
        "policies: [{rules: []}]",
        "policies: [{name: a}]",
        "policies: [{name: a, tier: aplication, rules: []}]",
        "policies: [{name: a, rules: [{from: any}]}]",
        "policies: [{name: a, rules: [{allow: any, deny: any}]}]",
        "policies: [{name: a, rules: [{allow: 443}]}]",
        "policies: [{name: a, rules: [{allow: any, form: a}]}]",
        "policies: [{name: a, rules: [{allow: any, direction: egress}]}]",
        "policies: [{name: a, rules: [{allow: any, log: yes}]}]",
        "assertions: [{never: any}]",
        "assertions: [{name: a}]",
        "assertions: [{name: a, never: any, always: any}]",
        "builtins: {arp: off}",
        "builtins: {dhcp-client: no}",
    ],
)
def test_mistakes_that_an_editor_shows(text):
    assert complaints(text)
    with pytest.raises(PolicyError):
        load_texts({"p.yaml": with_version(text + "\n").encode()})

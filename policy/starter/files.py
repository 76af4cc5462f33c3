"""The files of the starting policy: written to be read. What they say about the language is docs/policy.md in small.

The tests load them, check them, and run their cases: a change here that breaks them does not go unseen.
"""

from __future__ import annotations

_INVENTORY = """\
# Who is there: your networks and VMs. Portcullis finds the rest (ports, bridges, hosts) in Open vSwitch's database.
#
# A policy is all *.yaml files of this directory together. How you cut it into files, and what they are called, is up to
# you. One of them must say:
version: 1

# A network is a VLAN with a name; 0 is untagged.
networks:
  prod: {vlan: 10}
  mgmt: {vlan: 20}

vms:
  # The short form: one vNIC, whose iface-id (external_ids:iface-id of the port) is the VM's name.
  web-1: {network: prod, labels: {app: shop, role: web}, addresses: [10.0.10.11, "2001:db8:10::11"]}
  web-2: {network: prod, labels: {app: shop, role: web}, addresses: [10.0.10.12, "2001:db8:10::12"]}

  # The long form, for more vNICs, or where you know more: a port that says otherwise is shut and reported.
  db-1:
    network: prod
    labels: {app: shop, role: db}
    vnics:
      - iface_id: 7d0e2c1a-6b1f-4f0e-8a53-0c1b8f6e1d01
        mac: 52:54:00:00:10:21
        addresses: [10.0.10.21, "2001:db8:10::21"]

  bastion: {network: mgmt, labels: {role: bastion}, addresses: 10.0.20.5}
  monitor: {network: mgmt, labels: {role: monitor}, addresses: 10.0.20.6}

  # Without addresses: learned when the VM gets one by DHCP. Its labels count from the start.
  lab-laptop: {labels: {env: dev}}
"""

_GROUPS = """\
# Groups say who, for rules to use. VMs are picked by labels, not by addresses: give a new VM the label `role: web`, and
# it has the firewall of a web server at once.
groups:
  web: {match: app == shop and role == web}
  db: {match: app == shop and role == db}
  bastion: {match: role == bastion}
  monitor: {match: role == monitor}
  all-vms: {match: all()}

  # A missing label is unequal to everything, so production is whatever is not marked as development.
  dev: {match: env == dev}
  production: {match: env != dev}

  # Of the world outside only addresses are known. `except` takes some out again.
  office: {cidrs: [198.51.100.0/24, "2001:db8:100::/48"], except: 198.51.100.66}
  resolvers: {cidrs: [192.0.2.53, "2001:db8:53::53"]}

  # Addresses that have attacked you; the people on call add to this list.
  attackers: {cidrs: 203.0.113.66}
"""

_SERVICES = """\
# Services give names to ports, so that rules read like sentences. A rule may also say tcp/443 directly.
services:
  https: tcp/443
  postgresql: tcp/5432
  ssh: tcp/22
  dns: [udp/53, tcp/53]
  metrics: tcp/9100-9110
  ping: icmp/echo # IPv4 and IPv6
"""

_POLICIES = """\
# Who may open which connection to whom.
#
# - A connection between two VMs is decided twice: by the vNIC it leaves, and by the vNIC it comes to. Both must allow
#   it. One rule does for both sides, unless it says `direction: out` (leaving only) or `in` (arriving only).
# - Replies need no rule. Whatever no rule allows is denied, in both directions.
# - Tiers are walked in the order below; in a tier, policies by `order` and name; in a policy, rules from the top. The
#   first rule that applies decides.
#
# Ask what it all means:  portcullis explain . --from web-1 --to db-1 --service tcp/5432
policies:
  # 1. emergency: what nobody below can overrule. Normally almost empty.
  - name: lockout
    tier: emergency
    rules:
      - {name: attackers, deny: any, from: attackers, log: true}

  # 2. infrastructure: what every VM needs, whatever it is for.
  - name: operations
    tier: infrastructure
    rules:
      - {name: names, allow: dns, from: all-vms, to: resolvers}
      - {name: office-to-bastion, allow: ssh, from: office, to: bastion}
      - {name: bastion-to-all, allow: [ssh, ping], from: bastion, to: all-vms}
      - {name: monitoring, allow: [metrics, ping], from: monitor, to: all-vms}

  # 3. environment: walls between worlds that no application may open.
  - name: no-dev-in-prod
    tier: environment
    rules:
      - {name: wall, deny: any, from: dev, to: production}

  # 4. application: what your applications do. (The tier of policies that name none.)
  - name: shop
    rules:
      # Only about who may come: `in` does not allow our own VMs to go anywhere.
      - {name: customers, allow: https, from: any, to: web, direction: in}
      - {name: storage, allow: postgresql, from: web, to: db}

  # An application that you do not know yet? `mode: audit` decides nothing, and logs what it would have decided.
  - name: shop-cache-soon
    mode: audit
    rules:
      - {name: cache, allow: tcp/6379, from: web, to: db}

  # 5. baseline: the last word. Without a rule here the last word is `deny`, silently; this one answers instead, so
  # that a mistake in your own network shows at once, not after a timeout.
  - name: last-word
    tier: baseline
    rules:
      - {name: say-no, reject: any, from: all-vms, to: all-vms}

# What must hold whatever the rules become, for all VMs and all addresses. A policy that breaks one of these does not
# load, and you are shown a connection that proves it.
assertions:
  - {name: dev-stays-out, never: any, from: dev, to: production}
  - {name: database-is-inside, never: postgresql, from: office, to: db}
"""

_CASES = """\
# Test cases: what you expect of your policy, to be asked after each change (and by your CI):
#
#   portcullis test policy cases.yaml
#
# This file is no part of the policy, so it lies beside its directory, not in it. `from` and `to` are a VM, VM@ADDRESS,
# or an address; `verdict` is allow, deny or reject; `rule` (optional) is the rule that must decide, POLICY/RULE.
cases:
  - {name: customers get in, from: 192.0.2.200, to: web-1, service: tcp/443, verdict: allow, rule: shop/customers}
  - {name: by IPv6 too, from: "2001:db8:9::1", to: web-2, service: tcp/443, verdict: allow}
  - {name: but not to the database, from: 192.0.2.200, to: db-1, service: tcp/5432, verdict: deny, rule: default}
  - {name: the web asks the database, from: web-1, to: db-1, service: tcp/5432, verdict: allow, rule: shop/storage}
  - {name: and only that, from: web-1, to: db-1, service: tcp/22, verdict: reject, rule: last-word/say-no}
  - {name: no sideways, from: web-1, to: web-2, service: tcp/22, verdict: reject}
  - {name: attackers stay out, from: 203.0.113.66, to: web-1, service: tcp/443, verdict: deny, rule: lockout/attackers}
  - {name: the office may log in, from: 198.51.100.7, to: bastion, service: tcp/22, verdict: allow}
  - {name: not so the printer, from: 198.51.100.66, to: bastion, service: tcp/22, verdict: deny}
  - {name: dev is walled off, from: lab-laptop, to: db-1, service: tcp/5432, verdict: deny, rule: no-dev-in-prod/wall}
  - {name: names are found, from: db-1, to: 192.0.2.53, service: udp/53, verdict: allow, rule: operations/names}
  - {name: nobody surfs from the database, from: db-1, to: 192.0.2.200, service: tcp/443, verdict: deny}

  # Some connections are told apart by their source port; and some things work without a rule of yours.
  - name: addresses by DHCP
    from: web-1
    to: 192.0.2.67
    service: udp/67
    source_port: 68
    verdict: allow
    rule: builtin/dhcp-client
"""

POLICY_FOLDER = "policy"
CASES = "cases.yaml"
# By their names below the directory that the operator chose.
FILES: dict[str, str] = {
    f"{POLICY_FOLDER}/inventory.yaml": _INVENTORY,
    f"{POLICY_FOLDER}/groups.yaml": _GROUPS,
    f"{POLICY_FOLDER}/services.yaml": _SERVICES,
    f"{POLICY_FOLDER}/policies.yaml": _POLICIES,
    CASES: _CASES,
}

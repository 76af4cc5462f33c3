"""An imported cluster, and what its policy says about connections."""

import json
from ipaddress import ip_address

from policy.evaluate import Connection, Endpoint, evaluate
from policy.kubernetes.convert import convert
from policy.kubernetes.write import as_files, as_text
from policy.load import load_texts
from policy.model import PORT_PROTOCOLS, Verdict
from policy.problems import Problems
from tests.kubernetes.clusters import objects
from tests.kubernetes.truth import Pod
from topology.vnic import offline_vnics


class Imported:
    """``losses`` and ``notes`` as text; `allows` asks the loaded policy."""

    def __init__(self, files):
        problems = Problems()
        self.draft, report = convert(files, problems)
        problems.check()
        self.losses = [str(loss) for loss in report.losses]
        self.places = [loss.place for loss in report.losses]
        self.notes = [str(note) for note in report.notes]
        self.document = load_texts({name: text.encode() for name, text in as_files(self.draft).items()})
        assert load_texts({"one.yaml": as_text(self.draft).encode()}).policies
        self._vnics = {vnic.vm: vnic for vnic in offline_vnics(self.document.inventory)}

    def _end(self, end):
        vnic = self._vnics[f"{end.namespace}.{end.name}"] if isinstance(end, Pod) else None
        return Endpoint(vnic, ip_address(end.ip))

    def allows(self, flow):
        source, destination = self._end(flow.source), self._end(flow.destination)
        protocol = PORT_PROTOCOLS[flow.protocol.lower()]
        family = source.address.version
        connection = Connection(source, destination, family, protocol, 50000, flow.port)
        return evaluate(self.document, connection).verdict is Verdict.ALLOW


def imported(cluster):
    whole = {"apiVersion": "v1", "kind": "List", "items": objects(cluster)}
    return Imported({"cluster.json": json.dumps(whole).encode()})

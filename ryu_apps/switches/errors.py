"""OpenFlow errors in words."""

from __future__ import annotations

from typing import Any

from ryu.ofproto import ofproto_v1_4 as ofp

# The names of error codes, by error type (OpenFlow 1.4, 7.5.4).
_CODE_PREFIXES = {
    ofp.OFPET_BAD_REQUEST: "OFPBRC_",
    ofp.OFPET_BAD_ACTION: "OFPBAC_",
    ofp.OFPET_BAD_INSTRUCTION: "OFPBIC_",
    ofp.OFPET_BAD_MATCH: "OFPBMC_",
    ofp.OFPET_FLOW_MOD_FAILED: "OFPFMFC_",
    ofp.OFPET_BUNDLE_FAILED: "OFPBFC_",
}


def error_text(message: Any) -> str:  # noqa: ANN401 (Ryu's)
    """The name of the error that a message tells, or its numbers."""
    if message.type == ofp.OFPET_EXPERIMENTER:
        return f"OpenFlow error of vendor {message.experimenter:#x}, type {message.exp_type}"
    prefix = _CODE_PREFIXES.get(message.type)
    names = [name for name, value in vars(ofp).items() if prefix and name.startswith(prefix) and value == message.code]
    return f"OpenFlow error {names[0]}" if names else f"OpenFlow error type {message.type}, code {message.code}"

"""Multipart replies as bytes: Ryu's own decoder knows neither the conntrack tuple fields nor haste."""

from __future__ import annotations

from ryu.ofproto import ofproto_v1_4_parser as parser


class RawEntries:
    """Stands in for Ryu's class of one entry of a reply: takes all the bytes of the reply at once, unread."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.length = len(data)

    @classmethod
    def parser(cls, buf: bytes, offset: int) -> RawEntries:
        return cls(bytes(buf[offset:]))


def leave_unread() -> None:
    """From now on Ryu leaves the entries unread of every kind of reply that we read ourselves."""
    for reply in (
        parser.OFPFlowStatsReply,
        parser.OFPFlowMonitorReply,
        parser.OFPMeterStatsReply,
        parser.OFPMeterConfigStatsReply,
        parser.OFPMeterFeaturesStatsReply,
    ):
        reply.cls_stats_body_cls = RawEntries

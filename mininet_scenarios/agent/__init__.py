"""The agent: a small process inside a guest that opens connections, serves, streams, pings, scans and sniffs.

It runs with the guest's plain Python and the standard library alone, and is driven by JSON lines:

    in   {"id": 7, "do": "tcp.connect", "with": {"host": "10.0.0.21", "port": 443, "timeout": 1.0}}
    out  {"id": 7, "result": {"outcome": "connected", "link": 3, ...}}        or  {"id": 7, "error": "..."}

Requests run side by side; answers come when they are ready, in any order. What the network does to us is a *result*
(an outcome in words); an *error* is a mistake of the caller or of the agent. The agent ends when its input is closed,
and everything it opened ends with it.
"""

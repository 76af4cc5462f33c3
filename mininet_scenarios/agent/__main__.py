"""The agent's one loop: a line in, a task; the task's result, a line out."""

import asyncio
import json
import os
import resource
import sys
import traceback
from typing import Any

from mininet_scenarios.agent.frames import Frames
from mininet_scenarios.agent.icmp import Icmp
from mininet_scenarios.agent.scan import Scan
from mininet_scenarios.agent.tcp import Tcp
from mininet_scenarios.agent.udp import Udp

# A line of input carries at most one command; a long one holds a raw frame in hexadecimal.
LONGEST_LINE = 1 << 20


def say(message: dict[str, Any]) -> None:
    """One answer, whole and at once."""
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


async def carry_out(nouns: dict[str, Any], request: dict[str, Any]) -> None:
    """Do one request ("noun.verb") and answer it, whatever happens."""
    noun, _, verb = str(request["do"]).partition(".")
    try:
        if verb.startswith("_"):
            raise ValueError(f"no such command: {request['do']}")
        result = await getattr(nouns[noun], verb)(**request.get("with", {}))
    except Exception:  # the driver must hear of it: an unanswered request would only look like a slow one
        say({"id": request["id"], "error": traceback.format_exc()})
    else:
        say({"id": request["id"], "result": result})


async def serve() -> None:
    """Read requests until the input closes."""
    reader = asyncio.StreamReader(limit=LONGEST_LINE)
    loop = asyncio.get_running_loop()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    nouns = {"tcp": Tcp(), "udp": Udp(), "icmp": Icmp(), "scan": Scan(), "frames": Frames()}
    running: set[asyncio.Task[None]] = set()
    say({"id": 0, "result": {"pid": os.getpid()}})
    while line := await reader.readline():
        task = asyncio.create_task(carry_out(nouns, json.loads(line)))
        running.add(task)
        task.add_done_callback(running.discard)


def main() -> None:
    """Run until the input closes; then go at once, with all sockets."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 16384)), hard))
    asyncio.run(serve())
    # Threads and half-open servers have nothing left to say: nobody listens.
    os._exit(0)


if __name__ == "__main__":
    main()

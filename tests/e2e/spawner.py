# SPDX-License-Identifier: MIT
"""A program that has imported what a node needs and forks nodes: twenty start as one does.

It reads a JSON line for each node (environment, arguments, log) and answers with its pid; asked
for a pid, with its exit status. The child is a session of its own with its stdout in a file, and
runs `commons` from its first line on. When stdin ends, the spawner kills what it has forked and
is gone.
"""

import gc
import json
import os
import signal
import sys
from collections.abc import Mapping
from contextlib import suppress

HURRY = "--hurry"
"""Adverts live shorter and neighbours are proven sooner: what that promises can be waited for."""

OURS = (signal.SIGTERM, signal.SIGINT)
"""What ends the tests reaches the spawner as well: it must not leave without its nodes."""


def main() -> None:
    """Fork for each line."""
    if HURRY in sys.argv:
        _hurry()
    import node.main
    import node.real  # noqa: F401 - and what it needs: libp2p takes a second

    gc.freeze()  # what is shared stays shared
    for number in OURS:
        signal.signal(number, lambda *_: sys.exit(1))
    living: set[int] = set()
    try:
        _serve(living)
    finally:
        for pid in living:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def _serve(living: set[int]) -> None:
    """Fork for each line, until there is none."""
    _say("ready")
    for line in sys.stdin:
        wanted = json.loads(line)
        if "poll" in wanted:
            ended, status = os.waitpid(wanted["poll"], os.WNOHANG)
            living.discard(ended)
            _say(str(os.waitstatus_to_exitcode(status)) if ended else "runs")
            continue
        # A signal to the child waits until it is its own: the spawner's answer to one would end
        # the child with a wrong status, and all who were forked before it.
        signal.pthread_sigmask(signal.SIG_BLOCK, OURS)
        pid = os.fork()
        if pid == 0:
            _become(wanted["environ"], wanted["arguments"], wanted["out"], wanted["log"])
        living.add(pid)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, OURS)
        _say(str(pid))


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _hurry() -> None:
    """Let adverts age quicker. Who imports a constant later gets this one."""
    import protocol.limits

    protocol.limits.ADVERT_INTERVAL_S_MIN = 2
    protocol.limits.PROVEN_S = 5
    import node.work.description

    node.work.description.TTL_S = 20


def _become(environ: Mapping[str, str], arguments: list[str], out: str, log: str) -> None:
    code = 1
    try:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, OURS)
        from node.cli.main import main as commons

        os.setsid()
        os.environ.clear()
        os.environ.update(environ)
        for target, path in ((1, out), (2, log)):
            opened = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
            os.dup2(opened, target)
            os.close(opened)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        code = commons(arguments)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    main()

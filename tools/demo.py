# SPDX-License-Identifier: MIT
"""`make demo`: three real nodes on this machine, by the commands that a person types.

Each has a home of its own in a temporary folder and listens on loopback alone. What is typed is
shown; peer ids are replaced by names, so that one can read who did what.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

import onnx

from tests.models_in_code import mlp

NAMES = ("ann", "bob", "cleo")
COMMONS = (sys.executable, "-m", "node.cli.main")
READY_S = 120.0
MEET_S = 120.0


class Person:
    """Somebody with a spare machine."""

    def __init__(self, name: str, folder: Path) -> None:
        """Give the machine a home."""
        self.name = name
        self.peer = ""
        self.home = folder / name
        self.home.mkdir(mode=0o700)
        self._environ = {
            **{key: value for key, value in os.environ.items() if not key.startswith("COMMONS_")},
            "COMMONS_HOME": str(self.home),
            "COMMONS_MESH_LISTEN": "/ip4/127.0.0.1/tcp/0",
            "COMMONS_MESH_MDNS": "false",
            "COMMONS_GOVERNOR_OTHERS_PERCENT": "100",  # three nodes share this machine
        }

    def types(self, *arguments: str, shown: str = "") -> str:
        """Type a command, and show it; give what it prints."""
        _say(f"{self.name}$ commons {shown or ' '.join(arguments)}")
        return self.runs(*arguments)

    def runs(self, *arguments: str) -> str:
        """Run a command without a word."""
        done = subprocess.run(
            [*COMMONS, *arguments],
            env=self._environ,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        if done.returncode:
            sys.exit(f"commons {' '.join(arguments)} failed:\n{done.stdout}{done.stderr}")
        return done.stdout

    @contextmanager
    def lends(self) -> Iterator[None]:
        """Run the node inside the block."""
        _say(f"{self.name}$ commons run &")
        with (self.home / "log").open("wb") as log:
            process = subprocess.Popen(
                [*COMMONS, "run", "--json"], env=self._environ, stdout=subprocess.PIPE, stderr=log
            )
            assert process.stdout
            try:
                line = process.stdout.readline()
                if not line:
                    sys.exit(f"the node of {self.name} did not start: see {self.home / 'log'}")
                self.peer = str(json.loads(line)["peer"])
                yield
            finally:
                process.terminate()
                process.wait(READY_S)
                process.stdout.close()

    def waits_for(self, others: int) -> None:
        """Wait until so many others are connected."""
        end_s = time.monotonic() + MEET_S
        while len(json.loads(self.runs("peers", "--json"))["peers"]) < others:
            if time.monotonic() > end_s:
                sys.exit(f"{self.name} did not meet {others} others within {MEET_S:g} s")
            time.sleep(0.2)


def main() -> None:
    """Tell the story."""
    begin_s = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="commons-demo-") as made, ExitStack() as stack:
        folder = Path(made)
        ann, bob, cleo = people = [Person(name, folder) for name in NAMES]
        model = folder / "classifier.onnx"
        onnx.save(mlp((256, 512, 512, 16)), str(model))

        _title("Three people, three machines, one private network.")
        _show(ann.types("network", "new", "reading-room", "--private"))
        stack.enter_context(ann.lends())
        invite = ann.types("invite").strip()
        _show(f"{invite[:40]}...")
        for person in (bob, cleo):
            _show(person.types("join", invite, shown=f"join {invite[:20]}..."))
            stack.enter_context(person.lends())
        for person in people:
            person.waits_for(len(people) - 1)

        _title("bob's model runs on the machines of the others, in a sandbox, and is paid for.")
        names = {person.peer: person.name for person in people}
        for worker, items in ((ann, 200), (cleo, 100)):
            told = bob.types(
                *("try", worker.peer, str(model), "--items", str(items)),
                shown=f"try {worker.name} classifier.onnx --items {items}",
            )
            _show(_named(_only(told, "items", "result", "check", "price", "paid"), names))

        _title("Everybody's books say the same.")
        for person in people:
            status = person.types("status")
            _show(_named(_only(status, "peers", "work", "credit"), names))
        accounts = [json.loads(person.runs("status", "--json"))["credit"] for person in people]
        balances = [account["balance_cu"] for account in accounts]
        assert sum(balances) == 0, balances
        _say(f"\nThe balances {', '.join(f'{each:+,}' for each in balances)} sum to 0.")
    _say(f"It took {time.monotonic() - begin_s:.0f} s, and nothing of it is left.")


def _only(text: str, *wanted: str) -> str:
    """Keep the lines of a table that begin with these words."""
    return "\n".join(line for line in text.splitlines() if line.split(" ", 1)[0] in wanted)


def _named(text: str, names: dict[str, str]) -> str:
    for peer, name in names.items():
        text = text.replace(peer, name)
    return text


def _title(text: str) -> None:
    plain = not sys.stdout.isatty() or os.environ.get("NO_COLOR")
    _say(f"\n{text}\n" if plain else f"\n\033[1m{text}\033[0m\n")


def _show(text: str) -> None:
    for line in text.strip().splitlines():
        _say(f"  {line}")


def _say(text: str) -> None:
    print(text, flush=True)


def lines_of(text: str) -> Sequence[str]:
    """Give the lines of an output with what differs from run to run taken out of them."""
    plain = re.sub(r"[0-9][0-9.,]*( (ms|s|min))?", "N", text)
    return [re.sub(r"commons://\S+", "commons://", line).rstrip() for line in plain.splitlines()]


if __name__ == "__main__":
    main()

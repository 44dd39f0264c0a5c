# SPDX-License-Identifier: MIT
"""`commons try`: one order to one worker, by hand. The node places it; this shows how it goes."""

import argparse
import json
from pathlib import Path
from typing import Any

from node.cli.arguments import Commands
from node.cli.output import OUTPUT_VERSION, print_table, show_progress
from node.cli.peers import PEER_HELP, peer_of
from node.cli.spoken import counted, cu, lasting
from node.exits import ExitCode

#: As many as the node takes in one order of this kind; a test compares the two.
ITEMS_MAX = 1_000


def register(commands: Commands) -> None:
    """Describe `commons try`."""
    tried = commands.add(
        "try",
        run,
        summary="let another node run a model once, and pay for it",
        about="Let another node run a model once on inputs that are made up, check what comes "
        "back, and pay for it: who did what, at what price, in what time. Ctrl-C takes the order "
        "back. With --json each line is a document.",
    )
    tried.add_argument("peer", metavar="PEER", help=PEER_HELP)
    tried.add_argument("model", metavar="MODEL.onnx", type=Path, help="an ONNX file")
    tried.add_argument(
        "--items", type=_items, default=1, metavar="N", help=f"how many inputs, 1 to {ITEMS_MAX}"
    )
    tried.add_argument(
        "--dim",
        dest="sizes",
        action="append",
        default=[],
        metavar="NAME=SIZE",
        type=_size,
        help="how large a dimension without a fixed size is, as sequence=64; may be repeated",
    )


def run(parsed: argparse.Namespace) -> ExitCode:
    """Ask for it, show its steps, and print what came of it."""
    from node.cli.control import ENDED, lines
    from node.cli.failures import Failed

    if not parsed.model.exists():
        raise Failed(ExitCode.NOT_FOUND, f"there is no file {parsed.model}.")
    body = {
        "peer": peer_of(parsed.peer),
        "model": str(parsed.model.absolute()),
        "items": parsed.items,
        "sizes": dict(parsed.sizes),
    }
    with lines("POST", "try", body) as told:
        for each in told:
            if parsed.json:
                print(json.dumps({"v": OUTPUT_VERSION, **each}), flush=True)
            elif "progress" in each:
                show_progress(step(each["progress"]))
            if "tried" in each:
                if not parsed.json:
                    print_table(("what", "it was"), rows(each["tried"], parsed.model.name))
                return ExitCode.OK
    raise Failed(ExitCode.FAILED, ENDED)


def step(progress: dict[str, Any]) -> str:
    """Say one step."""
    of = f" ({progress['done']:,} of {progress['of']:,})" if progress["of"] else ""
    return f"{progress['sentence']}{of}"


def rows(tried: dict[str, Any], model: str) -> list[tuple[str, str]]:
    """Say what came of it, one thing in a line."""
    times = tried["times_s"]
    parts = ", ".join(f"{name} {lasting(took_s)}" for name, took_s in times.items())
    numbers = ", ".join(f"{each:.6g}" for each in tried["numbers"])
    sizes = ", ".join(f"{name}={size}" for name, size in tried["sizes"].items())
    return [
        ("worker", tried["worker"]),
        ("model", f"{model}, {tried['model']}"),
        ("compared", tried["why"]),
        ("items", f"{tried['items']:,}{f' of {sizes}' if sizes else ''}"),
        ("time", f"{lasting(sum(times.values()))}: {parts}"),
        ("result", f"{tried['output']}, which begins with {numbers or 'nothing to show'}"),
        ("check", _verdict(tried)),
        ("price", "a gift, from idle time" if tried["is_gift"] else cu(tried["price_cu"])),
        ("paid", _moved(tried)),
    ]


def _verdict(tried: dict[str, Any]) -> str:
    again = f"{counted(tried['checked'], 'item')} computed again here"
    if not tried["checked"]:
        return "none: the lot fell on no item this time, so they are taken as they came"
    if tried["wrong"]:
        return f"WRONG: item {tried['wrong_item']} is {tried['wrong']}; {again}; nothing is paid"
    return f"right: {again}"


def _moved(tried: dict[str, Any]) -> str:
    if not tried["paid_cu"]:
        gone = not tried["wrong"] and not tried["is_gift"]
        return (
            "not yet: the worker is gone; it is paid when the two meet again" if gone else "nothing"
        )
    books = "both have it in their books" if tried["acked"] else "the worker has not said so yet"
    owed = f"owed to this worker in all: {tried['owed_before']:,}, now {tried['owed_after']:,} CU"
    return f"{cu(tried['paid_cu'])}; {owed}; {books}"


def _items(text: str) -> int:
    if text.isascii() and text.isdecimal() and 1 <= int(text[:10]) <= ITEMS_MAX:
        return int(text)
    raise argparse.ArgumentTypeError(f"`{text}` is no whole number from 1 to {ITEMS_MAX}")


def _size(text: str) -> tuple[str, int]:
    name, equals, size = text.partition("=")
    if equals and name and size.isascii() and size.isdecimal() and 0 < int(size[:10]) < 1 << 31:
        return name, int(size)
    raise argparse.ArgumentTypeError(f"`{text}` is no NAME=SIZE, such as sequence=64")

# SPDX-License-Identifier: MIT
"""Which port a node listens on: drawn once and then kept, so that others find it again.

An address of the config that ends in port 0 leaves it to the node. One port serves all of
them. When somebody else has taken it meanwhile, another one is drawn and kept.
"""

import errno
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager

from node.clock import Clock
from node.errors import ConfigError
from node.store.settings import PORT, get, put
from node.store.store import Database

_ANY = "/tcp/0"

#: Above what services use, below what systems give to outgoing connections.
PORT_MIN, PORT_MAX = 20_000, 32_000

#: With twenty nodes on a machine the second draw is free; twenty that are not mean something else.
DRAWS_MAX = 20

Listen = Callable[[Sequence[str]], AbstractAsyncContextManager[None]]


@asynccontextmanager
async def listening(
    database: Database, clock: Clock, listen: Sequence[str], on: Listen
) -> AsyncIterator[None]:
    """Listen inside the block. A port that the owner wrote down and that is taken is an error."""
    async with AsyncExitStack() as stack:
        for port in _candidates(database, clock):
            wanted = [_with(address, port) for address in listen]
            try:
                await stack.enter_async_context(on(wanted))
            except OSError as error:
                if error.errno == errno.EADDRNOTAVAIL:
                    raise ConfigError(
                        f"{error.strerror}: choose another one as mesh.listen."
                    ) from error
                if error.errno != errno.EADDRINUSE:
                    raise
                if wanted == list(listen):
                    raise _taken(listen) from error
                continue
            if wanted != list(listen) and port != get(database, PORT):
                await database.write(put(PORT, port))
            break
        else:
            raise ConfigError(
                f"{DRAWS_MAX} ports between {PORT_MIN} and {PORT_MAX} are taken: "
                f"choose a free one yourself, as in `commons config show` under mesh.listen."
            )
        yield


def _candidates(database: Database, clock: Clock) -> Iterator[int]:
    kept = get(database, PORT)
    if kept is not None:
        yield kept
    die = clock.dice("port")
    for _ in range(DRAWS_MAX):
        yield die.randint(PORT_MIN, PORT_MAX)


def _with(address: str, port: int) -> str:
    return f"{address.removesuffix(_ANY)}/tcp/{port}" if address.endswith(_ANY) else address


def _taken(listen: Sequence[str]) -> OSError:
    detail = f"one of {', '.join(listen)} is taken by another program: change mesh.listen"
    return OSError(errno.EADDRINUSE, detail)

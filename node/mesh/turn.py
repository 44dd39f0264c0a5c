# SPDX-License-Identifier: MIT
"""A lock that costs nothing where nobody holds it: trio's own lets all others run each time.

It is for what is taken for each frame, by those who write to a stream right after: the stream
lets others run. Who waits gets it in the order of asking.
"""

from types import TracebackType

import trio


class Turn:
    """Held by one task at a time, inside ``async with``."""

    __slots__ = ("_is_held", "_waiting")

    def __init__(self) -> None:
        """Begin with nobody."""
        self._is_held = False
        self._waiting = trio.lowlevel.ParkingLot()

    def locked(self) -> bool:
        """Whether somebody holds it."""
        return self._is_held

    async def __aenter__(self) -> None:
        """Take it; being cancelled is noticed only while waiting."""
        if self._is_held:
            await self._waiting.park()  # whoever lets go hands it over, and it stays held
        self._is_held = True

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Hand it to the one that waits longest, or let go of it."""
        if self._waiting:
            self._waiting.unpark()
        else:
            self._is_held = False

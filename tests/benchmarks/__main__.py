# SPDX-License-Identifier: MIT
"""`make bench`: every figure of the project, as a ratio to a reference of the same run."""

from tests.benchmarks import (
    besieged,
    daemon,
    executor,
    frames,
    orders,
    processes,
    simulator,
    store,
    transport,
)


def main() -> None:
    """Print one line a figure."""
    for room in (
        orders,
        frames,
        executor,
        store,
        transport,
        daemon,
        processes,
        besieged,
        simulator,
    ):
        for name, ratio, meaning in room.run():
            print(f"{ratio:7.2f} x  {name:28} {meaning}")


if __name__ == "__main__":
    main()

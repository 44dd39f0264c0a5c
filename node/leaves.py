# SPDX-License-Identifier: MIT
"""What is inside a group of exceptions: trio wraps whatever leaves a nursery."""

from collections.abc import Iterator


def leaves(error: BaseException) -> Iterator[BaseException]:
    """Give the exceptions of a group, and of the groups in it; or the one that is no group."""
    if isinstance(error, BaseExceptionGroup):
        for each in error.exceptions:
            yield from leaves(each)
    else:
        yield error


def innermost(error: BaseException) -> BaseException:
    """Give the first exception of a group: one is told to a person, who can act on one thing."""
    return next(leaves(error))


def the_only(error: BaseException) -> BaseException:
    """Take an exception out of its groups when it is alone in them; else give the group."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error

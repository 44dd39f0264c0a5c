# SPDX-License-Identifier: MIT
"""What the daemon raises on purpose beside refusals, whose tree is in protocol/errors.py."""


class ConfigError(Exception):
    """What the owner has set up does not work: a key, a variable, a flag or a folder.

    The message is one or two sentences for that person: what is wrong, where it stands, and
    what would be right. Trying again does not help, so `commons` ends with exit code 10.
    """


class TakenError(ConfigError):
    """Another process of this user has what is wanted: a folder, a database, a socket.

    `commons` ends with exit code 11.
    """


class NotFound(Exception):
    """What the owner named does not exist: a network, a peer, a ban.

    The message is one sentence with the name, and says what there is; exit code 5.
    """

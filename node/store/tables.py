# SPDX-License-Identifier: MIT
"""The tables of both databases, as the scripts that made them. Who fills them is elsewhere.

A script that was in a release is never changed: a new one is added behind it. All tables are
STRICT, so that a number where a text belongs is refused when it is written. No table refers to
another one: each kind of row is forgotten by rules of its own.
"""

_NODE_1 = """
CREATE TABLE settings (
    name TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE models (
    digest BLOB NOT NULL PRIMARY KEY,
    manifest BLOB NOT NULL,
    name TEXT NOT NULL,
    origin TEXT NOT NULL,
    served INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    comparator INTEGER NOT NULL,
    tolerance INTEGER NOT NULL,
    batchable INTEGER NOT NULL,
    added_s REAL NOT NULL,
    used_s REAL NOT NULL
) STRICT;
CREATE INDEX models_by_name ON models (name);
"""

# A journal that misses an event gives wrong books. So its last number is looked at with each
# event: after a write that failed, what was built on it is refused too.
_NETWORK_1 = """
CREATE TABLE journal (
    number INTEGER NOT NULL PRIMARY KEY,
    mono_s REAL NOT NULL,
    wall_s REAL NOT NULL,
    kind TEXT NOT NULL,
    peer BLOB,
    body BLOB NOT NULL
) STRICT;
CREATE TRIGGER journal_without_holes BEFORE INSERT ON journal
WHEN NEW.number IS NOT (SELECT coalesce(max(number), 0) + 1 FROM journal)
BEGIN
    SELECT RAISE(ABORT, 'the journal would miss an event: replay it');
END;
CREATE TRIGGER journal_as_it_was BEFORE UPDATE ON journal
BEGIN
    SELECT RAISE(ABORT, 'an event is never changed');
END;

CREATE TABLE orders (
    id BLOB NOT NULL PRIMARY KEY,
    role TEXT NOT NULL,
    peer BLOB NOT NULL,
    state TEXT NOT NULL,
    model BLOB NOT NULL,
    items INTEGER NOT NULL,
    price INTEGER NOT NULL,
    placed_s REAL NOT NULL,
    updated_s REAL NOT NULL,
    order_wire BLOB NOT NULL,
    accept_wire BLOB,
    result_wire BLOB,
    reason TEXT,
    detail TEXT
) STRICT;
CREATE INDEX orders_by_peer ON orders (peer, placed_s);
CREATE INDEX orders_by_state ON orders (state, updated_s);
CREATE INDEX orders_by_time ON orders (placed_s);

CREATE TABLE peers (
    key BLOB NOT NULL PRIMARY KEY,
    first_s REAL NOT NULL,
    last_s REAL NOT NULL,
    body BLOB NOT NULL
) STRICT;
CREATE INDEX peers_by_last ON peers (last_s);

CREATE TABLE adverts (
    node BLOB NOT NULL PRIMARY KEY,
    wire BLOB NOT NULL,
    met INTEGER NOT NULL,
    place INTEGER NOT NULL
) STRICT;

CREATE TABLE bans (
    key BLOB NOT NULL PRIMARY KEY,
    until_s REAL NOT NULL,
    reason TEXT NOT NULL,
    detail TEXT NOT NULL
) STRICT;
CREATE INDEX bans_by_end ON bans (until_s);
"""

#: What belongs to the machine, whichever network it is in.
NODE = (_NODE_1,)

#: What belongs to one network: the money, and who is who.
NETWORK = (_NETWORK_1,)

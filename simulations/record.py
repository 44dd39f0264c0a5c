# SPDX-License-Identifier: MIT
"""What is known of one run of a world when it is over: the data of its report, and nothing else."""

from dataclasses import dataclass, field

from simulations.trace import Row


@dataclass(frozen=True, slots=True)
class Sample:
    """How the world was at one moment; counts are since it began."""

    at_s: float
    up: int
    """How many nodes were up."""
    known: float
    """Which part of all (node, other node) pairs that are up knew each other, 0 to 1."""
    messages: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Span:
    """A time in which something was so: a state of a host, or a trouble of the world."""

    begin_s: float
    end_s: float
    what: str
    """Of a host: `starting`, `up`, `down`, `suspended`. Of the world: the name of the trouble."""


@dataclass(frozen=True, slots=True)
class Lane:
    """The life of one host, from its first start on."""

    host: str
    kind: str
    """Its hardware profile, such as `laptop`."""
    spans: tuple[Span, ...]
    is_byzantine: bool = False
    messages: int = 0
    bytes: int = 0


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one check said at last: `trouble` is empty when all was well."""

    check: str
    trouble: str = ""
    at_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Record:
    """One run of a scenario with one seed."""

    scenario: str
    about: str
    """The sentence of its docstring."""
    seed: int
    nodes: int
    digest: str
    virtual_s: float
    wall_s: float
    events: int
    messages: int
    bytes: int
    options: dict[str, str | int | float | bool]
    """Everything that the run was given beside its seed."""
    replay: str
    """The command that repeats it."""
    versions: dict[str, str]
    """Of commons, Python and trio."""
    samples: tuple[Sample, ...] = ()
    lanes: tuple[Lane, ...] = ()
    troubles: tuple[Span, ...] = ()
    """Faults of the world, such as partitions, in the order in which they began."""
    verdicts: tuple[Verdict, ...] = ()
    figures: dict[str, float] = field(default_factory=dict)
    """Whatever else the scenario measured, by name with its unit at the end."""
    error: str = ""
    """What ended the run early, if something did."""
    rows: tuple[Row, ...] = ()

    @property
    def is_well(self) -> bool:
        """Nothing went wrong."""
        return not self.error and not any(each.trouble for each in self.verdicts)

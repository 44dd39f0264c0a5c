# SPDX-License-Identifier: MIT
"""What the doctor has before its eyes when it looks from outside. Looking is in other files."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from node.clock import Clock
from node.config import Config
from node.config_reading import Reading, read_config
from node.errors import ConfigError
from node.executor.machine import SLASH
from node.networks import Network, Networks
from node.paths import Paths


@dataclass(frozen=True, slots=True)
class Scene:
    """One machine with its folders and its config.

    `reading` is None when the config cannot be read, and `trouble` says why; the looks then go
    on with the defaults. `told` is the status of the running node, None when there is none.
    """

    paths: Paths
    clock: Clock
    reading: Reading | None = None
    trouble: str = ""
    told: Mapping[str, object] | None = None
    root: Path = field(default=SLASH)

    @property
    def config(self) -> Config:
        """The config that holds, or the defaults."""
        return self.reading.config if self.reading else Config()

    @property
    def is_running(self) -> bool:
        """Whether a node of this user runs."""
        return self.told is not None

    def networks(self) -> Networks:
        """Give the networks that are known; reading them makes nothing."""
        return Networks(self.paths, self.clock)

    def active(self) -> Network | None:
        """Give the active network; None where that cannot be read, which has a look of its own."""
        try:
            return self.networks().active()
        except ConfigError:
            return None


def scene_of(
    paths: Paths,
    clock: Clock,
    environ: Mapping[str, str],
    flags: Sequence[str] = (),
    told: Mapping[str, object] | None = None,
) -> Scene:
    """Read the config, and keep what is wrong with it."""
    try:
        return Scene(paths, clock, read_config(paths.config_file, environ, flags), "", told)
    except ConfigError as error:
        return Scene(paths, clock, None, str(error), told)

# SPDX-License-Identifier: MIT
"""The clock of a made world, by the name under which tests know it. It is in `simulations`."""

from simulations.clock import EPOCH_S as EPOCH_S
from simulations.clock import VirtualClock as VirtualClock

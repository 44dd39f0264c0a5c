# SPDX-License-Identifier: MIT
"""What holds for all tests: how Hypothesis draws its examples, and that it leaves no litter."""

import os

# Before anything can import onnxruntime or numpy: both read these once, as they are imported.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
os.environ["OPENBLAS_NUM_THREADS"] = "1"  # numpy would start a thread for each core

# ruff: isort: split
from hypothesis import HealthCheck, settings
from hypothesis.configuration import set_hypothesis_home_dir

from tests.tree import ROOT

pytest_plugins = ("pytester",)  # for the tests of our own plugin

# What it keeps between runs is a cache like the others; `make clean` knows the folder.
set_hypothesis_home_dir(ROOT / ".cache" / "hypothesis")

# The same examples each time, so that red means that the change is red. No deadline and no check
# of slowness: how long an example takes says more about the machine than about the code.
settings.register_profile(
    "default",
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
    max_examples=60,
    stateful_step_count=30,
)

# New examples each time, and many. `print_blob` prints how to have a failure again.
settings.register_profile(
    "soak",
    deadline=None,
    derandomize=False,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
    max_examples=2_000,
    stateful_step_count=100,
    print_blob=True,
)

settings.load_profile(os.environ.get("COMMONS_HYPOTHESIS_PROFILE", "default"))

# SPDX-License-Identifier: MIT
"""The real inspector on a system without a sandbox."""

import sys

from node.executor.executor import Layer
from node.executor.sandbox.confine import Confined
from node.models import inspector

if __name__ == "__main__":
    MISSING = Confined((Layer("landlock", False, "too old"), Layer("uid", True, "")), "")
    vars(inspector).update(
        confine=lambda _: MISSING, close_files=lambda: Layer("seccomp_run", False, "not here")
    )
    inspector.main(sys.argv[1:])

# SPDX-License-Identifier: MIT
"""What runs in the children: the zygote, the runners, the probe. Never imported by the daemon."""

# SPDX-License-Identifier: MIT
"""Runs models in sandboxed processes. Which models, for whom and at what price is said elsewhere.

Only this room starts processes. Of its parts only `child/` knows ONNX Runtime and numpy, and
`child/` never runs in the daemon's own process.
"""

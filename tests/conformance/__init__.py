# SPDX-License-Identifier: MIT
"""The official ONNX backend suite: in this process' children, and through an executor."""

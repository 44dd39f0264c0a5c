# SPDX-License-Identifier: MIT
"""How a model of ours or of a stranger becomes a graph, blobs and facts. Running it is not here.

Modules that import onnx say so, and run in the throw-away inspector alone.
"""

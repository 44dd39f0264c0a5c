# SPDX-License-Identifier: MIT
"""How a model of ours or of a stranger becomes a graph, blobs and facts. Running it is not here.

Modules that import onnx run in the throw-away inspector alone: `precheck`, `constants`,
`normalise`, `functions`, `inspector` and `facts`. The daemon imports `intake`, `policy`,
`dialogue` and `folder`.
"""

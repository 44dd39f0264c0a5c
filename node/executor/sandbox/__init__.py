# SPDX-License-Identifier: MIT
"""What contains a hostile model: layers of the Linux kernel, set from inside the process itself.

`confine` puts the layers on, one after another, and says of each whether it holds; `try_out`
finds out what holds on this machine. docs/design/sandbox.md says what each layer forbids.
Nothing here starts a model, and nothing here needs more than the standard library.
"""

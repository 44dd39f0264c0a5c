# SPDX-License-Identifier: MIT
"""What the protocol must know of a graph before it runs: its interface, and what it costs.

`derive.derive` is the door. Behind it, from the inside out::

    symbolic   numbers that depend on symbols
    space      the symbols of one graph, and what is known of their values
    tensors    a tensor as far as it is known; operation: a node of a graph as its rules see it
    values     small tensors of integers that shapes are computed with, followed by value
    elementwise products windows images shapes indexing reductions attention recurrent
               the rules: which shapes an operator gives; rules: all of them in one table
    costs      the operations that an operator takes, by the formulas of protocol/roofline.py
    walk       over the graph, node by node, until no two dimensions contradict each other
    ports      the interface: inputs, outputs, state pairs; export: symbols as a manifest has them
    describe   what can be said of a graph that has no price

The shapes here are found by our own rules and by nothing else. A price must be the same for
everybody, so it may not depend on the version of a library, nor on what a graph says of its
own insides. What has no rule is not priceable.
"""

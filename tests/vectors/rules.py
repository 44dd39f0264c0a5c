# SPDX-License-Identifier: MIT
"""Messages whose fields are fine one by one, and not together."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import combinations_with_replacement
from typing import Any

from protocol.canon import Message
from protocol.cheque import Payment, RefundLine
from protocol.hello import network_id
from protocol.known import Held
from protocol.model import FileBlob, StageTensor
from protocol.ports import Derived, Dimension, StatePair
from protocol.price import Cost, Term
from protocol.sealed import Statement
from protocol.shapes import ShapeRow, Shapes
from protocol.tensors import ElementType
from tests.protocol.little_decoder import DECODER, LORA
from tests.vectors.people import digest
from tests.vectors.plain import Plain
from tests.vectors.said import (
    ACCEPT,
    BARE_ADVERT,
    CHEQUE,
    EVIDENCE,
    FIRST_HELLO,
    LITTLE,
    MODELS,
    OPEN_INVITE,
    ORDER,
    REFUND,
    RESULT,
    SECOND_HELLO,
    SESSION,
    SUMMARY,
    R,
    W,
)
from tests.vectors.spell import document, signed, without_rules

OUT_OF_RANGE = "out_of_range"


def _little(**changes: Any) -> Message:
    return replace(LITTLE, **changes)


_X, _Y = LITTLE.ports
_POWERS = sorted(
    bytes(powers)
    for degree in range(7)
    for powers in combinations_with_replacement(range(3), degree)
)
_MANIFESTS: dict[str, Message] = {
    "adapter_with_a_graph": replace(LORA, graph=digest("graph"), graph_bytes=5),
    "adapter_without_tensors": replace(LORA, tensors=(), stage_tensors=()),
    "adapter_that_is_no_input": replace(LORA, ports=(replace(LORA.ports[0], optional=0),)),
    "adapter_of_a_symbol": replace(LORA, symbols=("n",), dims=(Dimension(0, 1, 0),)),
    "variant_without_base": _little(kind=2),
    "cut_without_stages": _little(kind=1, base=digest("base")),
    "graph_without_a_size": _little(graph_bytes=0),
    "size_without_a_graph": _little(graph=b""),
    "tensor_named_twice": _little(
        tensors=(LITTLE.tensors[0], replace(LITTLE.tensors[0], size_bytes=33))
    ),
    "file_named_twice": _little(
        files=(FileBlob(1, "x", digest("a"), 1), FileBlob(1, "x", digest("a"), 2))
    ),
    "tensor_of_no_stage": _little(stage_tensors=(StageTensor(1, 0),)),
    "symbol_named_twice": _little(symbols=("batch", "batch")),
    "exact_with_a_tolerance": _little(comparator=0),
    "tolerance_below_its_floor": _little(tolerance=19_999),
    "half_below_its_floor": _little(comparator=2),
    "tokens_below_their_floor": _little(comparator=3),
    "spread_too_small": _little(spread=399_999),
    "derived_from_itself": _little(derived=(Derived(1, 1, 0, 1, 0, 0, 1),)),
    "derived_names_an_unused_source": replace(DECODER, derived=(Derived(2, 1, 1, 0, 0, 0, 1),)),
    "derived_adds_and_takes_away": replace(DECODER, derived=(Derived(2, 1, 1, 1, 1, 1, 1),)),
    "outputs_before_inputs": _little(ports=(_Y, _X)),
    "port_of_no_stage": _little(ports=(_X, _Y, replace(_Y, stage=1))),
    "port_named_twice": _little(ports=(_X, _Y, _Y)),
    "optional_output": _little(ports=(_X, replace(_Y, optional=1))),
    "dimensions_out_of_order": _little(dims=LITTLE.dims[::-1]),
    "dimension_of_no_port": _little(dims=(*LITTLE.dims, Dimension(2, 0, 1))),
    "dimension_of_no_symbol": _little(dims=(*LITTLE.dims[:3], Dimension(1, 1, 1))),
    "port_of_17_dimensions": _little(dims=(*LITTLE.dims, *[Dimension(1, 0, 1)] * 15)),
    "state_of_no_port": _little(states=(StatePair(0, 2),)),
    "state_from_an_input": _little(states=(StatePair(1, 0),)),
    "state_of_another_type": _little(
        ports=(_X, replace(_Y, element=ElementType.INT8)), states=(StatePair(0, 1),)
    ),
    "state_used_twice": _little(
        ports=(_X, _Y, replace(_Y, name="z")), states=(StatePair(0, 1), StatePair(0, 2))
    ),
    "stage_takes_what_nothing_gives": replace(
        DECODER,
        ports=tuple(
            replace(p, name="lost") if p.name == "hidden" and p.output else p for p in DECODER.ports
        ),
    ),
    "output_that_no_stage_gives": replace(
        DECODER,
        ports=tuple(
            replace(p, name="lost") if p.name == "logits" and p.stage else p for p in DECODER.ports
        ),
    ),
    "nothing_comes_out": _little(ports=(_X,), dims=LITTLE.dims[:2]),
    "output_of_an_unknown_size": _little(dims=LITTLE.dims[1:], costs=(), terms=()),
    "price_of_no_cost": _little(terms=(*LITTLE.terms, Term(2, 0, b"", 1))),
    "price_of_no_stage": _little(costs=(Cost(0, 2), Cost(1, 1))),
    "cost_without_terms": _little(terms=tuple(replace(term, cost=1) for term in LITTLE.terms[:2])),
    "terms_out_of_order": _little(
        terms=(*LITTLE.terms[:2], LITTLE.terms[3], LITTLE.terms[2], LITTLE.terms[4])
    ),
    "bytes_before_flops": _little(terms=(LITTLE.terms[1], LITTLE.terms[0], *LITTLE.terms[2:])),
    "factors_out_of_order": replace(
        DECODER,
        terms=(replace(DECODER.terms[0], powers=DECODER.terms[0].powers[::-1]), *DECODER.terms[1:]),
    ),
    "costs_out_of_order": _little(
        terms=tuple(
            sorted((replace(t, cost=1 - t.cost) for t in LITTLE.terms), key=lambda t: t.cost)
        )
    ),
    "equal_costs_apart": _little(
        costs=(Cost(0, 1), Cost(0, 1)), terms=(Term(0, 0, b"", 5), Term(1, 0, b"", 5))
    ),
    "more_nodes_than_a_graph_has": _little(costs=(Cost(0, 50_000), Cost(0, 1))),
    "65_terms": _little(
        symbols=("a", "b", "c"),
        dims=(*[Dimension(0, 1, symbol) for symbol in range(3)], Dimension(1, 0, 2)),
        costs=(Cost(0, 1),),
        terms=tuple(Term(0, 0, powers, 1) for powers in _POWERS[:65]),
    ),
    "price_of_an_unknown_size": _little(terms=(*LITTLE.terms[:4], Term(1, 1, b"\1", 24))),
}

_RULES: dict[str, Message] = {
    "order_from_oneself": replace(ORDER, worker=R),
    "session_from_oneself": replace(SESSION, worker=R),
    "accept_from_oneself": replace(ACCEPT, requester=W),
    "result_of_nothing": replace(RESULT, through=0),
    "result_backwards": replace(RESULT, first=6),
    "evidence_against_oneself": replace(EVIDENCE, accused=R),
    "evidence_with_a_torn_input_path": replace(EVIDENCE, input_path=bytes(33)),
    "evidence_with_a_torn_output_path": replace(EVIDENCE, output_path=bytes(31)),
    "cheque_to_oneself": replace(CHEQUE, creditor=R),
    "cheque_names_more_than_its_total": replace(CHEQUE, total=142_699),
    "cheque_names_more_in_two_lines": replace(
        CHEQUE, total=9, payments=(Payment(digest("a"), 1, 5), Payment(digest("b"), 1, 5))
    ),
    "refund_to_oneself": replace(REFUND, creditor=W),
    "refund_names_more_than_its_total": replace(
        REFUND, total=1, refunds=(RefundLine(digest("a"), 2),)
    ),
    "advert_lists_a_model_warm_and_cold": replace(
        BARE_ADVERT, models=(replace(MODELS[0], warm=0), replace(MODELS[0], warm=1))
    ),
    "hello_speaks_backwards": replace(FIRST_HELLO, speaks_low=2),
    "hello_prices_backwards": replace(FIRST_HELLO, price_low=2),
    "hello_proof_of_nothing": replace(SECOND_HELLO, answers=b""),
    "invite_to_another_network": replace(OPEN_INVITE, network=network_id("other", bytes(16))),
    "invite_version_of_no_secret": replace(OPEN_INVITE, secret_version=1),
    "summary_tells_a_node_twice": replace(SUMMARY, held=(SUMMARY.held[0], Held(W, 5, 5, 0))),
    "shapes_equal_neighbours": Shapes((ShapeRow(1, 9, ((1,),)), ShapeRow(2, 9, ((1,),)))),
    "shapes_of_too_many_items": Shapes((ShapeRow(65_536, 9, ()), ShapeRow(1, 8, ()))),
    "shapes_of_too_high_a_price": Shapes((ShapeRow(2, 5 * 10**11 + 1, ()),)),
    **{f"manifest_{name}": value for name, value in _MANIFESTS.items()},
}


def rules() -> Iterator[Plain]:
    """Fields that are fine one by one, and not together."""
    for name, value in _RULES.items():
        body = without_rules(value)
        if isinstance(value, Statement):
            yield signed(name, OUT_OF_RANGE, value, body)
        else:
            yield document(name, OUT_OF_RANGE, value.KIND, body)

# SPDX-License-Identifier: MIT
"""What signing costs beyond the cryptography itself, and what reading statements costs."""

from collections.abc import Callable
from time import perf_counter
from typing import Any

import msgpack
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from protocol.canon import decode, domain_tag
from protocol.cheque import Ack, Cheque
from protocol.sealed import Sealed, Statement, seal, unseal
from protocol.statements import Accept, Order, Result
from tests.benchmarks.figures import Figure, ratio
from tests.protocol.trade import NETWORK, NOON, Trader, bare

ROUNDS = 300


def whole_order() -> tuple[Trader, Trader, list[Sealed[Any]]]:
    """The five statements in the life of one order, as two nodes really sign them."""
    ann, bob = Trader(1), Trader(2)
    ann.meets(bob)
    order = ann.order(bob, 4, 10)
    accept = bob.keep(bob.books.accept(order, NOON)[1])
    bob.keep(bob.books.begin(ann.me, order.id, NOON))
    result = bob.keep(bob.books.bill(bob.result(order, 4, 40), NOON))
    cheque = ann.pays(bob, result)
    (ack,) = bob.take(ann, bare(cheque))
    return ann, bob, [order, accept, result, cheque, ack]


def crypto_of_a_whole_order() -> Figure:
    """Five signs and five verifies through `seal` and `unseal`, against the bare calls."""
    ann, bob, statements = whole_order()
    keys = {ann.me: ann.key, bob.me: bob.key}
    raw = {
        trader.me: Ed25519PrivateKey.from_private_bytes(bytes([trader.seed]) * 32)
        for trader in (ann, bob)
    }
    loaded = {signer: Ed25519PublicKey.from_public_bytes(signer) for signer in raw}
    kinds: list[type[Statement]] = [Order, Accept, Result, Cheque, Ack]
    texts = [(each.value.signer, b"t" * 32 + NETWORK + each.body) for each in statements]

    def ours() -> None:
        for kind, each in zip(kinds, statements, strict=True):
            sealed = seal(keys[each.value.signer], NETWORK, each.value)
            unseal(sealed.wire, NETWORK, kind)

    def reference() -> None:
        for signer, text in texts:
            signature = raw[signer].sign(text)
            loaded[signer].verify(signature, text)

    return ratio(
        "crypto of a whole order",
        ours,
        reference,
        ROUNDS,
        "5 signs + 5 verifies with all encoding and checks / the bare calls; at most 1.3",
    )


def statements_decoded_and_checked() -> Figure:
    """Reading cheques from the wire, against msgpack and one bare verification."""
    _, _, statements = whole_order()
    cheque = statements[3]
    public = Ed25519PublicKey.from_public_bytes(cheque.value.signer)
    text = domain_tag(Cheque.KIND) + NETWORK + cheque.body

    def ours() -> None:
        for _ in range(10):
            unseal(cheque.wire, NETWORK, Cheque)

    def reference() -> None:
        for _ in range(10):
            msgpack.unpackb(cheque.body)
            public.verify(cheque.signature, text)

    figure = ratio(
        "statements decoded and checked",
        ours,
        reference,
        ROUNDS,
        "cheques read strictly and verified / msgpack.unpackb + verify",
    )
    rate = 10 / _best(ours, 20)
    return figure._replace(meaning=f"{figure.meaning}; here {rate:,.0f} a second")


def statements_decoded() -> Figure:
    """The strict schema alone, against msgpack alone: what being canonical costs."""
    _, _, statements = whole_order()
    cheque = statements[3]
    public = Ed25519PublicKey.from_public_bytes(cheque.value.signer)
    text = domain_tag(Cheque.KIND) + NETWORK + cheque.body

    def ours() -> None:
        for _ in range(200):
            decode(cheque.body, Cheque)

    def reference() -> None:
        for _ in range(200):
            msgpack.unpackb(cheque.body)

    figure = ratio(
        "statements decoded, unverified",
        ours,
        reference,
        ROUNDS,
        "strict schema and re-encode check / msgpack.unpackb",
    )

    def verification() -> None:
        for _ in range(10):
            public.verify(cheque.signature, text)

    times = (_best(verification, ROUNDS) / 10) / (_best(ours, ROUNDS) / 200)
    return figure._replace(meaning=f"{figure.meaning}; a verification costs {times:.0f} of ours")


def run() -> list[Figure]:
    """All figures of this file."""
    return [crypto_of_a_whole_order(), statements_decoded_and_checked(), statements_decoded()]


def _best(call: Callable[[], None], rounds: int) -> float:
    best = float("inf")
    for _ in range(rounds):
        begin = perf_counter()
        call()
        best = min(best, perf_counter() - begin)
    return best

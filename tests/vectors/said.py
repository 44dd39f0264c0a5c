# SPDX-License-Identifier: MIT
"""One value of every kind, as honest nodes would say it, and some at the edges of their fields."""

from dataclasses import replace

from protocol.advert import GIFT_ANYONE, REACH_DIRECT, Advert, ModelAtHand
from protocol.canon import Message
from protocol.cheque import Ack, Cheque, Payment, Receipt, Refund, RefundLine
from protocol.exchange import Summary, Wanted
from protocol.hello import DIALER, LISTENER, Hello, membership_proof
from protocol.invite import Invite
from protocol.known import Held
from protocol.limits import PRICE_MAX, TTL_S_MAX, UINT_MAX
from protocol.merkle import INPUT, OUTPUT, leaf, leaf_salt, merkle_path, merkle_root
from protocol.model import MODEL, Manifest, Publication, TensorBlob
from protocol.ports import Dimension, Port
from protocol.price import Cost, Term
from protocol.query import Answer, Query
from protocol.sealed import Sealed, Statement, StatementT, seal
from protocol.shapes import Salt, Shapes, ShapeTable, session_shapes_of, shapes_of
from protocol.statements import (
    Accept,
    Cancel,
    Dispute,
    Evidence,
    Order,
    Refuse,
    Result,
    SessionOrder,
)
from protocol.tensors import ElementType
from tests.protocol.little_decoder import DECODER, LORA
from tests.vectors.people import (
    ADDRESSES,
    HERE,
    KEYPAIR_OF,
    NETWORK,
    NETWORK_NAME,
    NETWORK_SALT,
    NOW_S,
    REQUESTER,
    SECRET,
    THERE,
    THIRD,
    WORKER,
    digest,
)

R, W, T = REQUESTER.public, WORKER.public, THIRD.public


def sealed(statement: StatementT) -> Sealed[StatementT]:
    """Sign with the key that the first field names."""
    return seal(KEYPAIR_OF[statement.signer], NETWORK, statement)


# --- an order of five items, from its table of shapes to its receipt -----------------------------

SHAPES = shapes_of([(900, ((1, 128), (1, 128)))] * 3 + [(70_000, ((1, 4096), (1, 4096)))] * 2)
CALLS = session_shapes_of([(70, ((1, 1),)), (4000, ((1, 64),)), (4000, ((1, 32), ()))])
SALT_SECRET = digest("the order's secret")
LEAVES = {
    side: [
        leaf(item, leaf_salt(SALT_SECRET, side, item), digest(f"{name} {item}"))
        for item in range(5)
    ]
    for side, name in ((INPUT, "input"), (OUTPUT, "output"))
}
ORDER = Order(
    requester=R,
    worker=W,
    incarnation=HERE,
    nonce=digest("nonce"),
    model=digest("model"),
    stage=0,
    adapter=b"",
    input_root=merkle_root(LEAVES[INPUT]),
    shape_root=ShapeTable(SHAPES).root,
    items=5,
    price=142_700,
    price_version=1,
    comparator=1,
    tolerance=20_000,
    ttl_s=600,
    placed_at_s=NOW_S,
    public=1,
)
SESSION = SessionOrder(
    requester=R,
    worker=W,
    incarnation=HERE,
    nonce=digest("another nonce"),
    model=digest("model"),
    stage=2,
    adapter=digest("adapter"),
    shape_root=ShapeTable(CALLS).root,
    window=16,
    window_price=64_000,
    memory_bytes=1 << 33,
    rent_per_s=12,
    price_version=1,
    comparator=3,
    tolerance=10_000_000,
    ttl_s=3600,
    placed_at_s=NOW_S,
    public=0,
)
ACCEPT = Accept(W, R, THERE, sealed(ORDER).id, 5, 142_700, 660, NOW_S + 1)
GIFT = replace(ACCEPT, price=0)
REFUSE = Refuse(W, R, THERE, sealed(SESSION).id, "credit_line", 30)
RESULT = Result(
    W,
    R,
    THERE,
    sealed(ORDER).id,
    0,
    5,
    142_700,
    merkle_root(LEAVES[OUTPUT]),
    "onnxruntime 1.31 AVX2 – größer",  # a text need not be ASCII
    1,
    NOW_S + 9,
)
CANCEL = Cancel(R, W, HERE, sealed(ORDER).id, 3, "deadline")
DISPUTE = Dispute(
    R, W, HERE, sealed(ORDER).id, sealed(RESULT).id, 4, digest("found"), 512_345, "result_wrong"
)
EVIDENCE = Evidence(
    R,
    W,
    HERE,
    sealed(ORDER).wire,
    sealed(ACCEPT).wire,
    sealed(RESULT).wire,
    4,
    digest("input 4"),
    leaf_salt(SALT_SECRET, INPUT, 4),
    merkle_path(LEAVES[INPUT], 4),
    digest("output 4"),
    leaf_salt(SALT_SECRET, OUTPUT, 4),
    merkle_path(LEAVES[OUTPUT], 4),
    512_345,
)

# --- money ----------------------------------------------------------------------------------------

CHEQUE = Cheque(R, W, HERE, 1_142_700, (Payment(sealed(ORDER).id, 5, 142_700),))
MANY_LINES = replace(
    CHEQUE, payments=tuple(Payment(digest(f"order {n}"), 10**n, 10 ** (n // 2)) for n in range(7))
)
REFUND = Refund(
    W, R, THERE, 900, (RefundLine(digest("order 1"), 400), RefundLine(digest("order 0"), 500))
)
ACK = Ack(W, R, THERE, sealed(CHEQUE).id, CHEQUE.total)
RECEIPT = Receipt(sealed(CHEQUE).wire, sealed(ACK).wire, ())
CITED = Receipt(sealed(CHEQUE).wire, b"", (sealed(ACCEPT).wire, sealed(RESULT).wire))

#: The largest number that each of msgpack's spellings holds, and the next one.
WIDTHS = (1, 127, 128, 255, 256, 65_535, 65_536, 2**32 - 1, 2**32, 2**53 - 1, 2**53, UINT_MAX)

# --- meeting --------------------------------------------------------------------------------------

MODELS = tuple(
    ModelAtHand(model, warm)
    for warm, model in enumerate(sorted((digest("model"), digest("another model"))))
)
ADVERT = Advert(
    W, THERE, 7, NOW_S, 3600, 8, 16_000, 100_000, "NVIDIA T4", 15_360, 52_000, 180_000, 21_000,
    1, 250_000, GIFT_ANYONE, REACH_DIRECT, ADDRESSES, MODELS, b"",
)  # fmt: skip
BARE_ADVERT = replace(
    ADVERT, accelerator="", addresses=(), models=(), extension=b"said by a later version"
)
FIRST_HELLO = Hello(
    R, W, HERE, NETWORK, DIALER, 1, 1, 1, 1, NOW_S * 1000, digest("dialer"), b"", 0, b"", 0, 0,
    b"", b"",
)  # fmt: skip
SECOND_HELLO = replace(
    FIRST_HELLO, answers=digest("listener"), secret_version=3, held_total=UINT_MAX, signed_total=5
)
SECOND_HELLO = replace(
    SECOND_HELLO, proof=membership_proof(SECRET, SECOND_HELLO, SECOND_HELLO.answers)
)
LISTENER_HELLO = replace(
    FIRST_HELLO,
    node=W,
    peer=R,
    incarnation=THERE,
    role=LISTENER,
    nonce=digest("listener"),
    answers=digest("dialer"),
    secret_version=3,
    advert=sealed(ADVERT).wire,
)
LISTENER_HELLO = replace(
    LISTENER_HELLO, proof=membership_proof(SECRET, LISTENER_HELLO, LISTENER_HELLO.answers)
)
OPEN_INVITE = Invite(NETWORK, NETWORK_NAME, NETWORK_SALT, 0, b"", 0, ADDRESSES[:1])
SECRET_INVITE = replace(
    OPEN_INVITE, secret_version=3, secret=SECRET, expires_at_s=NOW_S, bootstrap=ADDRESSES
)

# --- the view -------------------------------------------------------------------------------------

HELD = Held(W, NOW_S, 7, 1)
SUMMARY = Summary((HELD, Held(R, NOW_S - 60, 0, 0)))
WANTED = Wanted(tuple(sorted((W, R, T))))
QUERY = Query(bytes(range(16)), digest("model"), "NVIDIA T4", 8000, 0, 0, 4)
ANSWER = Answer(QUERY.id, (sealed(ADVERT).wire,), ())

# --- models ---------------------------------------------------------------------------------------

# As code points the private one comes before the face, as UTF-16 units behind it.
NAMES = ("a", "aa", "b", "é", "\ue000", "😀")
LITTLE = Manifest(
    name="little",
    kind=MODEL,
    base=b"",
    graph=digest("graph"),
    graph_bytes=321,
    symbols=("batch",),
    derived=(),
    ports=(Port(0, 0, ElementType.FLOAT, 0, "x"), Port(0, 1, ElementType.FLOAT, 0, "y")),
    dims=(Dimension(0, 1, 0), Dimension(0, 0, 4), Dimension(1, 1, 0), Dimension(1, 0, 2)),
    states=(),
    comparator=1,
    tolerance=20_000,
    spread=900_000_000,
    price_version=1,
    costs=(Cost(0, 2), Cost(0, 1)),
    terms=(
        Term(0, 0, b"", 5),
        Term(0, 1, b"\0", 24),
        Term(1, 0, b"\0", 16),
        Term(1, 0, b"\0\0", 1),
        Term(1, 1, b"\0", 24),
    ),
    tensors=tuple(TensorBlob(name, digest(name), 32) for name in NAMES),
    stages=(),
    stage_tensors=(),
    files=(),
    licence="",
    made_by="",
    source=b"",
)
PUBLICATION = Publication(T, HERE, digest("manifest"), "little", NOW_S, "Made here, in a week.")

STATEMENTS: dict[str, Statement] = {
    "order": ORDER,
    "order_of_a_stage_at_the_largest_numbers": replace(
        ORDER,
        stage=256,
        adapter=digest("adapter"),
        items=65_536,
        price=PRICE_MAX,
        price_version=UINT_MAX,
        comparator=3,
        tolerance=10**9,
        ttl_s=TTL_S_MAX,
        placed_at_s=UINT_MAX,
        public=0,
    ),
    "session": SESSION,
    "accept": ACCEPT,
    "accept_of_a_gift": GIFT,
    "refuse": REFUSE,
    "result": RESULT,
    "result_without_environment": replace(RESULT, environment="", first=4, last=0),
    "cancel": CANCEL,
    "dispute": DISPUTE,
    "evidence": EVIDENCE,
    "evidence_of_an_order_of_one_item": replace(EVIDENCE, input_path=b"", output_path=b""),
    "cheque": CHEQUE,
    "cheque_of_seven_lines": MANY_LINES,
    "refund": REFUND,
    "ack": ACK,
    **{f"ack_of_{total}": replace(ACK, total=total) for total in WIDTHS},
    "advert": ADVERT,
    "advert_of_little": BARE_ADVERT,
    "hello_first": FIRST_HELLO,
    "hello_second_of_the_dialer": SECOND_HELLO,
    "hello_second_of_the_listener": LISTENER_HELLO,
    "publication": PUBLICATION,
}

DOCUMENTS: dict[str, Message] = {
    "invite": OPEN_INVITE,
    "invite_with_a_secret": SECRET_INVITE,
    "salt": Salt(sealed(ORDER).id, digest("salt")),
    "shapes": SHAPES,
    "shapes_of_a_session": CALLS,
    "shapes_of_items_without_inputs": Shapes(shapes_of([(1, ())]).rows),
    "receipt": RECEIPT,
    "receipt_with_citations": CITED,
    "summary": SUMMARY,
    "summary_of_nothing": Summary(()),
    "wanted": WANTED,
    "query": QUERY,
    "query_for_anything": Query(bytes(16), b"", "", 0, 0, 0, 16),
    "answer": ANSWER,
    "answer_of_nobody": Answer(bytes(16), (), ()),
    "manifest": LITTLE,
    "manifest_of_a_decoder_cut_in_two": DECODER,
    "manifest_of_an_adapter": LORA,
}

# SPDX-License-Identifier: MIT
"""The one vocabulary of reasons. What a reason leads to is decided where it is used, not here.

A reason has a code, which travels in statements and stands in logs; a sentence, which
a person reads; and a next step, which that person can take. Codes are for ever: a
sentence may be improved, a code is never reused for something else.
"""

import re
from enum import StrEnum
from typing import Self

CODE_PATTERN = re.compile(r"[a-z][a-z0-9_]{1,39}")


class Reason(StrEnum):
    """Why something was refused, paused, ended or failed."""

    sentence: str
    next_step: str

    def __new__(cls, code: str, sentence: str = "", next_step: str = "") -> Self:
        """Build a member whose value is its code."""
        member = str.__new__(cls, code)
        member._value_ = code
        member.sentence = sentence
        member.next_step = next_step
        return member

    # --- bytes that no honest node sends -----------------------------------------------------
    TOO_LARGE = (
        "too_large",
        "A message or a field is longer than its cap.",
        "Send less at once; every cap is listed in the reference of limits.",
    )
    MALFORMED = (
        "malformed",
        "The bytes are not what their kind prescribes.",
        "Update the older of the two nodes; if both are current, report the peer.",
    )
    NOT_CANONICAL = (
        "not_canonical",
        "The bytes mean something, but are not the one way to write it.",
        "Encode with the canonical encoder; report the peer's software.",
    )
    UNKNOWN_KIND = (
        "unknown_kind",
        "The message is of a kind that has no place here.",
        "Update this node if the peer is newer; else report the peer.",
    )
    UNKNOWN_VERSION = (
        "unknown_version",
        "The message has a version that this node does not speak.",
        "Update the older of the two nodes.",
    )
    OUT_OF_RANGE = (
        "out_of_range",
        "A number or a combination of fields is outside what its field allows.",
        "Report the peer's software: the sender should have noticed.",
    )
    WEAK_KEY = (
        "weak_key",
        "The public key is of low order or not canonical, so its signatures prove nothing.",
        "Make a new identity.",
    )
    BAD_SIGNATURE = (
        "bad_signature",
        "The signature does not belong to this key, network and message.",
        "Check that both nodes are in the same network; else treat the message as forged.",
    )
    BAD_PROOF = (
        "bad_proof",
        "A Merkle path or a digest does not lead to the promised root.",
        "Fetch the data from another peer; this one sent wrong bytes.",
    )
    WRONG_PARTY = (
        "wrong_party",
        "The statement names other parties than the two that talk.",
        "Drop it: it was meant for somebody else.",
    )
    BROKEN_FRAME = (
        "broken_frame",
        "A frame breaks the rules of the stream.",
        "Close the stream and open a new one; report the peer if it repeats.",
    )
    WINDOW_EXCEEDED = (
        "window_exceeded",
        "The peer sent more than its window allowed.",
        "Close the stream; the peer ignores flow control.",
    )
    UNEXPECTED = (
        "unexpected",
        "The message cannot come at this point of the conversation.",
        "Close the stream and start again with hello.",
    )
    MISUSE = (
        "misuse",
        "This node used its own protocol wrongly.",
        "This is a bug here: please report it with the log.",
    )

    # --- meeting -----------------------------------------------------------------------------
    OTHER_NETWORK = (
        "other_network",
        "The peer belongs to another network.",
        "Join with an invite of the network that you want.",
    )
    NOT_A_MEMBER = (
        "not_a_member",
        "The peer did not prove that it knows the secret of this private network.",
        "Ask a member for a fresh invite; the secret may have been rotated.",
    )
    CLOCK_SKEW = (
        "clock_skew",
        "The clocks of the two nodes are more than ten minutes apart.",
        "Set the clock of the machine that is wrong.",
    )
    INVITE_BROKEN = (
        "invite_broken",
        "The invite was not copied whole, or has a typing mistake.",
        "Copy it again, from commons:// to its last character.",
    )
    EXPIRED = (
        "expired",
        "It was valid once; its time is over.",
        "Ask for a fresh one.",
    )
    STALE = (
        "stale",
        "A newer one from the same node is already known.",
        "Nothing: the newer one is in use.",
    )
    VIEW_FULL = (
        "view_full",
        "The bounded directory has no room for another node of this origin.",
        "Nothing: it will be asked about again when a place is free.",
    )
    BANNED = (
        "banned",
        "This peer was caught cheating or breaking rules, and its ban has not expired.",
        "Ask the owner of the node to look at the evidence.",
    )

    UNREACHABLE = (
        "unreachable",
        "The peer cannot be reached now, or the connection to it was lost.",
        "See whether it runs; `commons doctor` looks at this side.",
    )

    # --- what the owner asks of his node ------------------------------------------------------
    NOT_FOUND = (
        "not_found",
        "What was named does not exist here.",
        "Look at the list of what there is, and name it as it stands there.",
    )

    # --- an order that is not taken ----------------------------------------------------------
    MODEL_UNKNOWN = (
        "model_unknown",
        "The worker does not have this model at hand.",
        "Try again soon, it may fetch the model; or ask a worker whose advert lists it.",
    )
    MODEL_REFUSED = (
        "model_refused",
        "The worker's precheck found something in the model that it does not run.",
        "See the detail; run the model locally or on trusted nodes.",
    )
    NOT_CONTAINED = (
        "not_contained",
        "The machine lacks a layer of the sandbox that the work of strangers needs.",
        "Run it on a node that trusts you; on that machine, update the kernel or the system.",
    )
    NOT_PRICEABLE = (
        "not_priceable",
        "The price of this model or shape cannot be known before the work is done.",
        "Give the model static price facts: no loops, and every dimension derived from its inputs.",
    )
    PRICE_DIFFERS = (
        "price_differs",
        "The order's price is not what the price table gives for these shapes.",
        "Update the node with the older price table.",
    )
    PRICE_VERSION = (
        "price_version",
        "The two nodes do not share a version of the price table.",
        "Update the older of the two nodes.",
    )
    BELOW_RATE = (
        "below_rate",
        "The worker declines this model: it would earn less than its owner's lowest rate.",
        "Ask another worker.",
    )
    CREDIT_LINE = (
        "credit_line",
        "The order would take this requester over the line that the worker gives it.",
        "Let this machine work for that node, or ask its owner for a line.",
    )
    BUDGET_EXHAUSTED = (
        "budget_exhausted",
        "The worker has lent all that it may lend for now.",
        "Let this machine work to earn credit, wait for the refill, or ask someone for a line.",
    )
    STRANGERS_EXHAUSTED = (
        "strangers_exhausted",
        "The worker has lent all that it may lend to nodes that it does not know.",
        "Let this machine work for that node first, or ask its owner for a line.",
    )
    UNPAID = (
        "unpaid",
        "Earlier work for this requester is still to be paid.",
        "Pay the open orders; the node does so by itself when it is connected.",
    )
    WINDOW_FULL = (
        "window_full",
        "This requester has as many open orders here as it may have.",
        "Wait until one of them is settled.",
    )
    PAIR_FROZEN = (
        "pair_frozen",
        "The account with this peer is frozen because of evidence against it.",
        "The owner can look at the evidence and lift the ban.",
    )
    REPLAYED = (
        "replayed",
        "The same order was seen before, or it is dated too far from now.",
        "Place a new order; check both clocks if it happens again.",
    )
    GIFTS_CLOSED = (
        "gifts_closed",
        "The owner of this node gives no idle time to this requester.",
        "Earn credit, or ask the owner for a line.",
    )
    BUSY = (
        "busy",
        "The queue of the worker is full.",
        "Try again later or elsewhere.",
    )
    PLACEMENT = (
        "placement",
        "The job's placement does not allow this node.",
        "List the node as trusted, or choose a wider placement.",
    )

    # --- an order on its way -----------------------------------------------------------------
    INPUT_DEVIATES = (
        "input_deviates",
        "An input has another shape, type or size than the order promised.",
        "Place a new order whose table of shapes fits the inputs.",
    )
    DEADLINE = (
        "deadline",
        "The order's time to live is over.",
        "Place it again, with more time or with fewer items.",
    )
    OVER_MEMORY = (
        "over_memory",
        "The work needed more memory than its cap.",
        "Use smaller items, or a worker with more memory.",
    )
    RUN_FAILED = (
        "run_failed",
        "The model failed on these inputs.",
        "See the detail; try the item locally.",
    )
    REQUESTER_CANCELLED = (
        "requester_cancelled",
        "The requester no longer wants the result.",
        "Nothing.",
    )
    HANDED_BACK = (
        "handed_back",
        "The worker gave the rest of the order back.",
        "Nothing: the rest goes to another worker.",
    )
    PAUSED = (
        "paused",
        "The owner of the machine, or its governor, paused the work.",
        "Nothing: work goes on when the machine is free again.",
    )
    WINDOW_UNPAID = (
        "window_unpaid",
        "The session waits because its last window is not paid.",
        "Pay it; the node does so by itself when it is connected.",
    )
    IDLE = (
        "idle",
        "Nothing was said for too long.",
        "Open a new session.",
    )
    SHUTTING_DOWN = (
        "shutting_down",
        "The node is being stopped by its owner.",
        "Try again later or elsewhere.",
    )

    # --- money -------------------------------------------------------------------------------
    WRONG_AMOUNT = (
        "wrong_amount",
        "The cheque's total does not rise by exactly what it names as paid.",
        "Synchronise with hello; if it stays, report the peer.",
    )
    NOT_ORDERED = (
        "not_ordered",
        "The cheque pays for an order of which this node has no record and is shown no proof.",
        "Send the worker's own accept or result along with the cheque.",
    )
    ALREADY_SETTLED = (
        "already_settled",
        "The order is already settled as far as this line goes.",
        "Synchronise with hello.",
    )
    TOO_OLD = (
        "too_old",
        "The statement is older than the records that could tell whether it was settled.",
        "Nothing: what was open then is still shown by the books of both nodes.",
    )
    REFUND_TOO_HIGH = (
        "refund_too_high",
        "The refund is higher than what was paid for the order.",
        "Report the peer's software.",
    )

    # --- checks and evidence -----------------------------------------------------------------
    RESULT_WRONG = (
        "result_wrong",
        "A re-executed item differs from what the worker delivered.",
        "Nothing: the order is not paid and its items go to another worker.",
    )
    WRONG_FORM = (
        "wrong_form",
        "An output has another type or shape than the model declares.",
        "Nothing: the order is not paid and its items go to another worker.",
    )
    NOT_FINITE = (
        "not_finite",
        "An output has NaN or infinity where a re-execution has numbers.",
        "Nothing: the order is not paid and its items go to another worker.",
    )
    NOT_CALIBRATED = (
        "not_calibrated",
        "The outputs of this model vary too little to tell right from wrong by tolerance.",
        "Publish the model with class 0, or centre its outputs.",
    )
    NOT_CONVICTED = (
        "not_convicted",
        "The evidence does not show a cheat beyond doubt.",
        "Nothing: the accused keeps its standing here.",
    )

    # --- searching ---------------------------------------------------------------------------
    NO_WORKER = (
        "no_worker",
        "No node that was asked has what this job needs.",
        "See the nearest ones and what they lack; add the model to a node of your own.",
    )
    QUERY_SPENT = (
        "query_spent",
        "The search used up its budget.",
        "Search again later, or from a node with more neighbours.",
    )

    # --- what the governor of a machine says to its owner; others hear `paused` ---------------
    OWNER_PAUSED = (
        "owner_paused",
        "You paused this machine.",
        "Nothing, if it is for a while; `commons resume` ends it now.",
    )
    OUTSIDE_HOURS = (
        "outside_hours",
        "It is not one of the hours in which this machine may work.",
        "Nothing: work goes on when they begin. `governor.hours` says when that is.",
    )
    ON_BATTERY = (
        "on_battery",
        "The machine runs on its battery.",
        "Plug it in, or set `governor.on_battery`.",
    )
    IN_USE = (
        "in_use",
        "Somebody uses keyboard or mouse, or nobody knows whether somebody does.",
        "Nothing: work goes on when nobody does. `governor.only_idle` says whether it matters.",
    )
    MEMORY_LOW = (
        "memory_low",
        "Too little memory is left for other programs.",
        "Close what takes it, or lower `governor.memory_free_mib`.",
    )
    PROCESSORS_BUSY = (
        "processors_busy",
        "Other programs use more of the processors than they may before work stands back.",
        "Nothing: work goes on when they need less. `governor.others_percent` is the limit.",
    )
    SENSORS_SILENT = (
        "sensors_silent",
        "The machine cannot be looked at, so nobody knows whether it is free.",
        "See the log for what failed; `commons doctor` looks again.",
    )
    RECOVERING = (
        "recovering",
        "All is well again, but not yet for long enough.",
        "Nothing: work begins soon. `governor.recover_s` says how long it takes.",
    )
    DISK_LOW = (
        "disk_low",
        "Too little disk is left, or models and results take all that they may.",
        "Free some, or change `governor.disk_free_mib` or `governor.disk_mib`.",
    )
    QUOTA_SPENT = (
        "quota_spent",
        "What this machine does for others in a day without being paid is used up.",
        "Nothing: it refills all day long. The section `governor` of the config has the amounts.",
    )


def is_code(text: str) -> bool:
    """Tell whether `text` has the form of a code, known here or coined by a newer node."""
    return CODE_PATTERN.fullmatch(text) is not None


def explain(code: str) -> str:
    """Give the sentence of a code; an unknown one, from a newer node, explains itself as such."""
    try:
        return Reason(code).sentence
    except ValueError:
        return f"A reason that this version does not know yet: {code!r}."

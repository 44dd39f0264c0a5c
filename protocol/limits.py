# SPDX-License-Identifier: MIT
"""Every cap of the protocol, each with its reason. Caps of one machine (its owner's) are not here.

A cap that is only "large enough" is a cap that an attacker chooses: each one below says
what honest use needs and what the number costs a node whose peer uses all of it.
"""

# --- numbers ---------------------------------------------------------------------------------

#: A signed 64-bit integer holds it, so SQLite, JavaScript's BigInt and every msgpack reader agree.
UINT_MAX = 2**63 - 1

#: One order may cost 11 days of the reference machine: more is a job, which is made of orders.
PRICE_MAX = 10**12

#: Relative errors and tolerances are integers in units of one billionth; 1.0 accepts anything.
TOLERANCE_MAX = 10**9

# --- statements and documents ----------------------------------------------------------------

#: The largest statement (evidence with two Merkle paths) takes 3 KiB; a page of memory holds it.
STATEMENT_BYTES_MAX = 4096

#: A hello carries an advert inside, and a few hundred bytes of its own.
HELLO_BYTES_MAX = 6144

#: A table of item shapes must fit one frame; 2,000 different shapes in one order fit.
SHAPES_BYTES_MAX = 60_000

#: A manifest names each tensor blob (some 100 bytes each): 1 MiB covers 8,000 tensors.
MANIFEST_BYTES_MAX = 1 << 20

#: An exchange message of the view (summary, wanted, query, answer) fits one frame.
VIEW_MESSAGE_BYTES_MAX = 32_768

#: Room for what later versions add to hello and advert, forwarded unread by this one.
EXTENSION_BYTES_MAX = 512

#: A libp2p address with two relays and a peer id has about 200 characters.
ADDRESS_BYTES_MAX = 256

#: A node with IPv4, IPv6, LAN and relay addresses has about six.
ADDRESSES_MAX = 8

#: An advert lists what is warm now, not a library; with everything else at its cap it still fits.
MODELS_PER_ADVERT_MAX = 36

#: Names of accelerators, environments and networks are read by people in one line.
NAME_BYTES_MAX = 64

#: 64 payments of 48 bytes leave room for the rest of a cheque in its page.
PAYMENTS_PER_CHEQUE_MAX = 64

#: A refund may have to cite a whole cheque of 4 KiB per line; refunds are rare.
REFUNDS_MAX = 8

#: A cheque with 64 cited results, or a refund with 8 cited cheques, still fits one frame.
RECEIPT_BYTES_MAX = 40_000

#: A Merkle path of 16 digests; two of them fit a statement of evidence.
ITEMS_PER_ORDER_MAX = 1 << 16

#: The depth of the tree over ITEMS_PER_ORDER_MAX leaves.
MERKLE_DEPTH_MAX = 16

#: A session is paid window by window; a longer window is only more risk for the worker.
CALLS_PER_WINDOW_MAX = 4096

#: A pipeline over more stages than this spends its time on the wire.
STAGES_MAX = 256

#: A model with more inputs or outputs than this is a generated attack, not a model.
PORTS_MAX = 1024

# --- models and prices -----------------------------------------------------------------------

#: Names inside ONNX graphs are paths of modules; exporters write some 60 characters.
TENSOR_NAME_BYTES_MAX = 256

#: A manifest repeats ports at each cut: sixty layers with a cache of two tensors need 500.
STAGE_PORTS_MAX = 4096

#: Tensor blobs in one manifest: 8,000 rows of 90 bytes leave a quarter of it for the rest.
TENSORS_MAX = 8192

#: A tensor that two stages use is named by both; real cuts share an embedding, not half the model.
STAGE_TENSORS_MAX = 16_384

#: Tokenizer, template, configurations and licence are about ten files.
FILES_MAX = 64

#: An exported decoder has four free dimensions, a pipeline of vision models about ten.
SYMBOLS_MAX = 64

#: Dimensions computed from others (past + new tokens, one per stride of a convolution).
DERIVED_MAX = 192

#: A dimension above this cannot belong to a tensor under its cap, nor can a sum of two.
DIMENSION_MAX = 1 << 33

#: The price of a node is a product of few dimensions: batch, heads, two lengths, and channels.
DEGREE_MAX = 8

#: The precheck takes graphs of at most this many nodes; equal ones share one row of the facts.
NODES_MAX = 50_000

#: Different kinds of nodes in all stages: a decoder has about sixty a stage, whatever its depth.
COSTS_MAX = 8192

#: Some three terms for each kind of node; all of them take a few hundredths of a second.
TERMS_MAX = 24_576

#: Where a model comes from, in a few sentences of its publisher.
PROVENANCE_BYTES_MAX = 1024

# --- tensors and frames ----------------------------------------------------------------------

#: ONNX itself has no cap; the largest real models use 6 dimensions, einsum-heavy ones 8.
RANK_MAX = 16

#: Protobuf, which carries ONNX models, ends at 2 GiB; a bigger tensor could not be a constant.
TENSOR_BYTES_MAX = 1 << 31

#: Prices count elements, so one element must not carry a film; a long document has 64 KiB.
STRING_BYTES_MAX = 1 << 16

#: A reader takes a step for each string: a million of them cost it about a second.
STRINGS_PER_TENSOR_MAX = 1 << 20

#: One Noise record carries a frame whole; bigger writes were measured 1.5x to 2x slower.
FRAME_BYTES_MAX = 65_000

#: What a receiver lets a peer send before it has to ask again: 64 pieces in flight fill a fast LAN.
WINDOW_BYTES_DEFAULT = 4 << 20

#: More outstanding window than this lets a peer fill the memory of a small machine.
WINDOW_BYTES_MAX = 64 << 20

#: A peer that pings more often than it is answered wants to make work, not to know.
PINGS_UNANSWERED_MAX = 8

# --- time ------------------------------------------------------------------------------------

#: Orders and accepts dated further from now than this are replays or a broken clock.
CLOCK_SKEW_S_MAX = 600

#: A batch order that takes longer than a week should have been many orders.
TTL_S_MAX = 7 * 86_400

#: An advert that nobody renewed within half a day describes a machine that is gone.
ADVERT_TTL_S_MAX = 12 * 3600

#: An advert may change this often; what changes faster (load) is asked directly.
ADVERT_INTERVAL_S_MIN = 300

#: Records of settled orders are kept this long; older accepts cannot be cited for forgotten orders.
SETTLED_KEEP_S = 90 * 86_400

#: After a restart at most one day of refill is credited: the machine lent nothing while it was off.
REFILL_S_MAX = 86_400

#: An idle session holds memory of somebody else's machine: it ends.
SESSION_IDLE_S_MAX = 60

# --- money -----------------------------------------------------------------------------------

#: A stranger has one unpaid order at a time: what it can run away with is one order.
STRANGER_WINDOW = 1

#: A known peer keeps a link busy with four orders in flight.
KNOWN_WINDOW_MAX = 4

#: Open orders of all strangers together, and of all gifts: keys cost nothing, memory does.
STRANGER_ORDERS_MAX = 256

#: Accepted orders are remembered for as long as they could be fresh; beyond this many, at once.
SEEN_SWEEP_AT = 4096

#: Orders that a peer ended early and did not pay; with this many, it pays first.
CLAIMS_PER_PEER_MAX = 64

#: Credit is held this long for inputs that do not come; then nothing was lost but the hold.
HOLD_S_MAX = 60


# --- the view --------------------------------------------------------------------------------

#: A dozen neighbours keep a mesh of 100,000 connected with room for a third of them dying.
NEIGHBOURS_MAX = 12

#: Half of the neighbours are never replaced while they live: a flood cannot push them out.
STABLE_NEIGHBOURS = 6

#: A few hundred adverts of up to 4 KiB are 1 to 2 MiB: nothing for a Raspberry Pi.
DIRECTORY_MAX = 384

#: What one neighbour tells may fill this share of the directory at most: one in eight.
SOURCE_SHARE = 8

#: Adverts from one address range (/24 or /48): a school has more, but not all need be known.
RANGE_ADVERTS_MAX = 4

#: One exchange moves at most this many adverts, so that a newcomer cannot be drowned.
ADVERTS_PER_EXCHANGE_MAX = 32

#: Where each advert takes the place of another, only a few at a time: there is no hurry ...
REPLACED_PER_EXCHANGE_MAX = 4

#: ... and one more of each neighbour this often: twelve of them turn a directory over in hours.
REPLACED_REFILL_S = 300

#: Exchange with a neighbour starts at this interval when there is news ...
EXCHANGE_INTERVAL_S_MIN = 1

#: ... and backs off to this one when there is none.
EXCHANGE_INTERVAL_S_MAX = 60

#: A query reaches at most this many nodes: the whole cost that one search puts on others.
QUERY_NODES_MAX = 64

#: A node remembers this many recent queries, to answer each once.
QUERIES_REMEMBERED_MAX = 512

#: An answer names at most this many workers; the asker wants a few, not a census.
ANSWERS_MAX = 16

#: Half of the places are for strangers who dial us; the other half only we can fill.
INBOUND_NEIGHBOURS_MAX = 6

#: Of the stable ones, those that we chose: strangers can have been patient, our draws were ours.
STABLE_OUTBOUND = 4

#: One less than the places: so a mesh has room for newcomers, and a re-draw dials before it drops.
OUTBOUND_NEIGHBOURS_SOUGHT = 5

#: Neighbours that we chose out of one address range: losing a range must not cost the view.
RANGE_NEIGHBOURS_MAX = 2

#: Strangers beyond the places are told a few adverts and sent on; this many at a time ...
GUESTS_MAX = 32

#: ... for so long: two exchanges name more nodes than a newcomer dials before it has others ...
GUEST_S_MAX = 4

#: ... or, when others wait, until it got what it asked for; so long, if it asks for nothing.
GUEST_S_MIN = 2

#: Strangers who wait to be guests; each costs a connection and is told nothing ...
WAITING_MAX = 1024

#: ... and is sent away after this time: then its own list is a better place to look.
WAITING_S_MAX = 10

#: Connected for so long without a fault, a neighbour is proven: probes are over sooner.
PROVEN_S = 60

#: One random neighbour is drawn anew this often: the mesh mixes within an hour, at no cost.
REDRAW_S = 300

#: Every fourth draw tries a node that nobody vouches for: else newcomers would never be met.
FEELER_EVERY = 4

#: Noise and two round trips over a bad relay; a dial that takes longer has failed.
DIAL_S_MAX = 30

#: After a failed dial a node rests for this long, doubled with each failure ...
DIAL_REST_S_MIN = 5

#: ... up to this: a machine that was off all night is found ten minutes after it returns.
DIAL_REST_S_MAX = 600

#: A neighbour that broke rules is not met again for this long; then it may have been updated.
SHUN_S = 3600

#: Faults that an honest node could produce (late, twice) are forgiven twice, forgery never.
STRIKES_MAX = 3

#: Keys that rest, are shunned or were refused lately: what is forgotten is only tried once more.
KEYS_REMEMBERED_MAX = 256

#: Own advert, fresh news and a sample: some 2 KiB per exchange.
SUMMARY_ROWS_MAX = 48

#: Of these, the part that repeats the directory in turn, so that in time everything spreads.
SUMMARY_SAMPLE_ROWS = 16

#: Summaries that may arrive at once after a stall; on average one per shortest interval.
SUMMARIES_BURST = 16

#: Adverts or wishes that crossed a time-out on their way: a full exchange of them is forgiven.
UNASKED_BURST = 32

#: Nodes without a public address have no range to be counted in: half of a source's share.
RANGELESS_ADVERTS_MAX = 24

#: The part of the directory (one in so many) kept for nodes that we dialled and proved ourselves.
MET_SHARE = 4

#: The part of each source's share in which nodes that say they have our models come first.
FITTING_SHARE = 4

#: The part kept for the nearest nodes by measured round trip.
NEAR_SHARE = 8

#: Searches that one node runs at a time; a seventeenth is refused.
SEARCHES_MAX = 16

#: Nodes asked at the same time by one search: the first answers often make the rest needless.
QUERY_PARALLEL_MAX = 4

#: A node that has not answered by now is not waited for.
ASK_S_MAX = 10

#: A search that lasts longer than a person waits is over.
QUERY_S_MAX = 60

#: An answer names this many further nodes that the answering node has met itself.
QUERY_OTHERS_MAX = 4

#: Queries that one asker may send at once; one more every QUERY_REFILL_S.
QUERY_BURST = 8

#: 384 adverts are searched in well under a millisecond: a quarter of a query a second is nothing.
QUERY_REFILL_S = 4

#: Queries of all nodes that are no neighbours together, at once; four more each QUERY_REFILL_S.
STRANGER_QUERY_BURST = 32

# --- invites ---------------------------------------------------------------------------------

#: An invite is copied by people: eight addresses and a secret stay under one screen.
INVITE_CHARACTERS_MAX = 4096

#: A pasted invite may be wrapped and indented; twice its length is looked at, no more.
PASTED_CHARACTERS_MAX = 8192

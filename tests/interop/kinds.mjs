// SPDX-License-Identifier: MIT
// Every kind of message: its fields in order, its cap, and the rule between its fields.
// A statement is signed; its first field is the key of its signer.

import { bytes, list, malformed, text, uint } from "./canon.mjs";
import { networkId } from "./hash.mjs";
import { brokenManifest } from "./manifest.mjs";

const flag = uint(0, 1);
const key = bytes(32, 32);
const digest = bytes(32, 32);
const maybeDigest = bytes(32, 32, true);
const incarnation = bytes(8, 8);
const code = text(40, 2, /^[a-z][a-z0-9_]{1,39}$/);
const price = uint(1, 1e12);
const priceOrGift = uint(0, 1e12);
const tolerance = uint(0, 1e9);
const comparator = uint(0, 3);
const stage = uint(0, 256);
const WEEK = 7 * 86_400;
const ttl = uint(1, WEEK);
const path = bytes(0, 512);
const wire = bytes(65, 4096 + 64);
const maybeWire = bytes(65, 4096 + 64, true);
const extension = bytes(0, 512);
const name = text(64, 1);
const maybeName = text(64);
const addresses = list(text(256, 1), 0, 8);

const PORTS = 1024;
const STAGE_PORTS = 4096;
const size = uint(0, 2n ** 33n);
const once = uint(1, 2n ** 33n);
const symbolIndex = uint(0, 64 + 192 - 1);
const portIndex = uint(0, STAGE_PORTS - 1);
const element = uint(1, 28);
const tensorName = text(256, 1);

// A shape: the rank and then the dimensions of one input after the other, in one list.
const numbers = list(size, 0, PORTS * 17);
export const shape = {
  read(cell) {
    const flat = numbers.read(cell);
    const dims = [];
    for (let at = 0; at < flat.length; ) {
      const rank = Number(flat[at]);
      if (rank > 16 || at + 1 + rank > flat.length) throw malformed("a cut shape");
      dims.push(flat.slice(at + 1, at + 1 + rank));
      at += 1 + rank;
    }
    if (dims.length > PORTS) throw malformed("a shape of too many inputs");
    return dims;
  },
  write: (dims) => numbers.write(dims.flatMap((one) => [BigInt(one.length), ...one])),
  toJson: (dims) => dims.map((one) => one.map(size.toJson)),
  fromJson: (dims) => dims.map((one) => one.map(BigInt)),
};

const differ = (one, other) => (one.equals(other) ? "both parties are the same node" : "");
const sum = (rows, of) => rows.reduce((total, row) => total + of(row), 0n);
const unique = (values) => new Set(values).size === values.length;
const covered = (total, lines) => (sum(lines, (line) => line.amount) > total ? "names more" : "");

function brokenShapes({ rows }) {
  const same = (left, right) =>
    left.price === right.price && shape.write(left.shape).equals(shape.write(right.shape));
  if (rows.some((row, at) => at && same(rows[at - 1], row))) return "equal neighbours";
  if (sum(rows, (row) => row.count) > 65_536n) return "too many items";
  return sum(rows, (row) => row.count * row.price) > 10n ** 12n ? "too high a price" : "";
}

const priced = { price_version: uint(), comparator, tolerance, ttl_s: ttl, placed_at_s: uint() };
const statement = (fields, rule, most = 4096) => ({ fields, rule, most, signed: true });
const document = (fields, rule, most = 4096) => ({ fields, rule, most, signed: false });

export const KINDS = {
  order: statement(
    {
      requester: key, worker: key, incarnation, nonce: digest, model: digest, stage,
      adapter: maybeDigest, input_root: digest, shape_root: digest, items: uint(1, 65_536), price,
      ...priced, public: flag,
    },
    (it) => differ(it.requester, it.worker),
  ),
  session: statement(
    {
      requester: key, worker: key, incarnation, nonce: digest, model: digest, stage,
      adapter: maybeDigest, shape_root: digest, window: uint(1, 4096), window_price: price,
      memory_bytes: uint(), rent_per_s: priceOrGift, ...priced, public: flag,
    },
    (it) => differ(it.requester, it.worker),
  ),
  accept: statement(
    {
      worker: key, requester: key, incarnation, order: digest, items: uint(0, 65_536),
      price: priceOrGift, hold_s: ttl, accepted_at_s: uint(),
    },
    (it) => differ(it.worker, it.requester),
  ),
  refuse: statement(
    {
      worker: key, requester: key, incarnation, order: digest, reason: code,
      retry_s: uint(0, WEEK),
    },
    (it) => differ(it.worker, it.requester),
  ),
  result: statement(
    {
      worker: key, requester: key, incarnation, order: digest, first: uint(), through: uint(),
      due: priceOrGift, output_root: digest, environment: maybeName, last: flag,
      issued_at_s: uint(),
    },
    (it) =>
      differ(it.worker, it.requester) || (it.first < it.through ? "" : "covers nothing"),
  ),
  cancel: statement(
    { sender: key, peer: key, incarnation, order: digest, delivered: uint(), reason: code },
    (it) => differ(it.sender, it.peer),
  ),
  dispute: statement(
    {
      requester: key, worker: key, incarnation, order: digest, result: digest,
      item: uint(0, 65_535), found: digest, error: tolerance, reason: code,
    },
    (it) => differ(it.requester, it.worker),
  ),
  evidence: statement(
    {
      accuser: key, accused: key, incarnation, order: bytes(65, 1024), accept: bytes(65, 512),
      result: bytes(65, 512), item: uint(0, 65_535), input: digest, input_salt: digest,
      input_path: path, output: digest, output_salt: digest, output_path: path, error: tolerance,
    },
    (it) =>
      (it.input_path.length % 32 || it.output_path.length % 32 ? "a torn path" : "") ||
      differ(it.accuser, it.accused),
  ),
  cheque: statement(
    {
      debtor: key, creditor: key, incarnation, total: uint(1),
      payments: list({ order: digest, through: uint(1), amount: price }, 1, 64),
    },
    (it) => differ(it.debtor, it.creditor) || covered(it.total, it.payments),
  ),
  refund: statement(
    {
      debtor: key, creditor: key, incarnation, total: uint(1),
      refunds: list({ order: digest, amount: price }, 1, 8),
    },
    (it) => differ(it.debtor, it.creditor) || covered(it.total, it.refunds),
  ),
  ack: statement(
    { creditor: key, debtor: key, incarnation, statement: digest, total: uint(1) },
    (it) => differ(it.creditor, it.debtor),
  ),
  receipt: document(
    { statement: wire, ack: bytes(65, 512, true), citations: list(wire, 0, 64) }, undefined, 40_000,
  ),
  advert: statement(
    {
      node: key, incarnation, sequence: uint(), issued_at_s: uint(), ttl_s: uint(1, 12 * 3600),
      cores: uint(1, 65_536), memory_mib: uint(), disk_mib: uint(), accelerator: maybeName,
      accelerator_mib: uint(), fp32_mflops: uint(), int8_mops: uint(), memory_mbps: uint(),
      price_version: uint(), rate_min: uint(), gift: uint(0, 2), reach: uint(0, 3), addresses,
      models: list({ model: digest, warm: flag }, 0, 36, { ascending: true }), extension,
    },
    (it) => (unique(it.models.map((row) => row.model.toString("hex"))) ? "" : "a model twice"),
  ),
  hello: statement(
    {
      node: key, peer: key, incarnation, network: bytes(16, 16), role: flag,
      speaks_low: uint(1, 65_536), speaks_high: uint(1, 65_536), price_low: uint(),
      price_high: uint(), wall_ms: uint(), nonce: digest, answers: maybeDigest,
      secret_version: uint(), proof: maybeDigest, held_total: uint(), signed_total: uint(),
      advert: maybeWire, extension,
    },
    (it) => {
      if (it.speaks_low > it.speaks_high || it.price_low > it.price_high) return "a backward range";
      if (it.proof.length && !it.answers.length) return "a proof without a nonce";
      return differ(it.node, it.peer);
    },
    6144,
  ),
  invite: document(
    {
      network: bytes(16, 16), name, salt: bytes(16, 16), secret_version: uint(),
      secret: maybeDigest, expires_at_s: uint(), bootstrap: addresses,
    },
    (it) => {
      if (!it.network.equals(networkId(it.name, it.salt))) return "another network";
      return it.secret_version && !it.secret.length ? "a version of no secret" : "";
    },
  ),
  salt: document({ order: digest, secret: digest }),
  shapes: document(
    { rows: list({ count: uint(1, 65_536), price, shape }, 1, 65_536) }, brokenShapes, 60_000,
  ),
  summary: document(
    { held: list({ node: key, issued_at_s: uint(), sequence: uint(), met: flag }, 0, 48) },
    (it) => (unique(it.held.map((row) => row.node.toString("hex"))) ? "" : "a node twice"),
    32_768,
  ),
  wanted: document({ nodes: list(key, 1, 32, { ascending: true }) }, undefined, 32_768),
  query: document(
    {
      id: bytes(16, 16), model: maybeDigest, accelerator: maybeName, accelerator_mib: uint(),
      memory_mib: uint(), fp32_mflops: uint(), most: uint(1, 16),
    },
    undefined,
    32_768,
  ),
  answer: document(
    { id: bytes(16, 16), adverts: list(wire, 0, 16), others: list(wire, 0, 4) }, undefined, 32_768,
  ),
  manifest: document(
    {
      name, kind: uint(0, 3), base: maybeDigest, graph: maybeDigest, graph_bytes: uint(),
      symbols: list(name, 0, 64),
      derived: list(
        {
          first: symbolIndex, first_times: once, second: symbolIndex, second_times: size,
          add: size, less: size, over: once,
        },
        0, 192,
      ),
      ports: list({ stage, output: flag, element, optional: flag, name: tensorName }, 0, 4096),
      dims: list({ port: portIndex, symbolic: flag, value: size }, 0, 16 * STAGE_PORTS),
      states: list({ input: portIndex, output: portIndex }, 0, STAGE_PORTS, { ascending: true }),
      comparator, tolerance, spread: uint(), price_version: uint(),
      costs: list({ stage, count: uint(1, 50_000) }, 0, 8192),
      terms: list(
        { cost: uint(0, 8191), which: flag, powers: bytes(0, 8), coefficient: uint(1) }, 0, 24_576,
      ),
      tensors: list(
        { name: tensorName, blob: digest, size_bytes: uint() }, 0, 8192, { ascending: true },
      ),
      stages: list({ graph: digest, graph_bytes: uint(1) }, 0, 256),
      stage_tensors: list(
        { stage: uint(1, 256), tensor: uint(0, 8191) }, 0, 16_384, { ascending: true },
      ),
      files: list(
        { role: uint(0, 255), name, blob: digest, size_bytes: uint() }, 0, 64, { ascending: true },
      ),
      licence: maybeName, made_by: text(1024), source: maybeDigest,
    },
    brokenManifest,
    1 << 20,
  ),
  publication: statement({
    publisher: key, incarnation, manifest: digest, name, issued_at_s: uint(),
    provenance: text(1024),
  }),
};

// SPDX-License-Identifier: MIT
// Reads docs/vectors/*.json: takes every good one as what it says, and refuses every malformed one
// with the reason that it names. Prints what failed, then `N passed, M failed`.

import { deepStrictEqual as equal } from "node:assert";
import { readFileSync } from "node:fs";
import * as reader from "./reader.mjs";
import { keyOf, seal, writeFrame } from "./writer.mjs";

const { KINDS } = reader;
const load = (family) =>
  JSON.parse(readFileSync(new URL(`../../docs/vectors/${family}.json`, import.meta.url), "utf-8"));
const hex = (text) => Buffer.from(text, "hex");
const show = (bytes) => Buffer.from(bytes).toString("hex");

let passed = 0;
const failures = [];
function check(name, promise) {
  try {
    promise();
    passed += 1;
  } catch (error) {
    failures.push(`${name}: ${error.message.split("\n").slice(0, 6).join(" ")}`);
  }
}

// --- what is good --------------------------------------------------------------------------------

for (const one of load("statements"))
  check(`statement ${one.name}`, () => {
    const [network, wire] = [hex(one.network), hex(one.signature + one.body)];
    const read = reader.readStatement(wire, network, [one.kind]);
    equal(reader.toJson(KINDS[one.kind].fields, read.value), one.fields);
    equal(show(read.id), one.id);
    // The other way round: from its fields and the seed to the same bytes and signature.
    const value = reader.fromJson(KINDS[one.kind].fields, one.fields);
    const { secret, key } = keyOf(hex(one.seed));
    equal(show(key), Object.values(reader.toJson(KINDS[one.kind].fields, value))[0]);
    equal(show(seal(one.kind, value, network, secret)), one.signature + one.body);
  });

for (const one of load("documents"))
  check(`document ${one.name}`, () => {
    const { value } = reader.decode(hex(one.body), [one.kind], KINDS);
    equal(reader.toJson(KINDS[one.kind].fields, value), one.fields);
    const again = reader.fromJson(KINDS[one.kind].fields, one.fields);
    equal(show(reader.encode(one.kind, KINDS[one.kind], again)), one.body);
    if (one.root) equal(show(reader.shapeRoot(value.rows)), one.root);
    if (one.cid) equal(reader.formatCid(reader.sha256(hex(one.body))), one.cid);
    if (one.digest) equal(show(reader.sha256(hex(one.body))), one.digest);
  });

const { frames, streams } = load("frames");
for (const one of frames)
  check(`frame ${one.name}`, () => {
    const bytes = hex(one.frame);
    const { kind, fields, size } = reader.readFrame(bytes);
    equal({ kind, fields, size }, { kind: one.kind, fields: one.fields, size: bytes.length });
    equal(show(writeFrame(kind, bytes.subarray(4))), one.frame);
  });
for (const one of streams)
  check(`stream ${one.name}`, () =>
    equal(reader.readStream(hex(one.stream)), { kinds: one.kinds, end: one.end }));

const { tensors, items } = load("tensors");
const digests = {};
for (const one of tensors)
  check(`tensor ${one.name}`, () => {
    const { element, dims, data } = reader.readTensor(hex(one.bytes));
    equal({ element, dims: dims.map(Number), data: show(data) }, {
      element: one.element, dims: one.dims, data: one.data,
    });
    digests[one.name] = reader.tensorDigest(hex(one.bytes));
    equal(show(digests[one.name]), one.digest);
  });
for (const one of items)
  check(`item ${one.name}`, () =>
    equal(show(reader.itemDigest(one.tensors.map((name) => digests[name]))), one.digest));

for (const one of load("merkle").trees)
  check(`tree ${one.name}`, () => {
    const salts = one.items.map((_, item) => reader.leafSalt(hex(one.secret), one.side, item));
    equal(salts.map(show), one.salts);
    const leaves = one.items.map((each, item) => reader.leafOf(item, salts[item], hex(each)));
    equal(leaves.map(show), one.leaves);
    equal(show(reader.merkleRoot(leaves)), one.root);
    const [root, count] = [hex(one.root), leaves.length];
    one.paths.forEach((path, index) =>
      reader.checkPath({ root, count, index, leaf: leaves[index], path: hex(path) }));
  });

const names = load("names");
for (const { name, tag } of names.tags)
  check(`tag ${name}`, () => equal(show(reader.domainTag(name)), tag));
for (const { name, salt, id } of names.networks)
  check(`network ${name} ${salt}`, () => equal(show(reader.networkId(name, hex(salt))), id));
for (const one of names.peers)
  check(`peer ${one.peer_id}`, () => {
    equal(show(keyOf(hex(one.seed)).key), one.key);
    equal(reader.peerId(hex(one.key)), one.peer_id);
    equal(show(reader.parsePeerId(one.peer_id)), one.key);
  });
for (const { data, cid } of names.cids)
  check(`cid ${cid}`, () => {
    equal(reader.formatCid(reader.sha256(hex(data))), cid);
    equal(show(reader.parseCid(cid)), show(reader.sha256(hex(data))));
  });
for (const one of names.proofs)
  check(`proof ${one.proof}`, () => {
    const hello = reader.fromJson(KINDS.hello.fields, one.hello);
    equal(show(reader.membershipProof(hex(one.secret), hello, hex(one.peer_nonce))), one.proof);
    equal(show(hello.proof), one.proof);
  });
for (const one of names.invites)
  for (const [at, text] of [one.text, ...one.spellings].entries())
    check(`invite ${one.name} ${at}`, () => {
      const { value, body } = reader.parseInvite(text, one.now_s);
      equal(reader.toJson(KINDS.invite.fields, value), one.fields);
      equal(reader.formatInvite(body), one.text);
    });

// --- what is not ---------------------------------------------------------------------------------

const context = (one, ...keys) => Object.fromEntries(keys.map((key) => [key, hex(one[key])]));
const DOORS = {
  statement: (one, bytes) => reader.readStatement(bytes, hex(one.network), one.expected),
  document: (one, bytes) => reader.decode(bytes, one.expected, KINDS),
  stream: (one, bytes) => reader.readStream(bytes),
  tensor: (one, bytes) => reader.readTensor(bytes),
  merkle_path: (one) => reader.checkPath({ ...one, ...context(one, "root", "leaf", "path") }),
  invite: (one) => reader.parseInvite(one.text, one.now_s),
  peer_id: (one) => reader.parsePeerId(one.text),
  cid: (one) => reader.parseCid(one.text),
  hello: (one, bytes) =>
    reader.checkHello(bytes, { ...one, ...context(one, "me", "peer", "network") }),
  membership: (one, bytes) =>
    reader.checkMembership(bytes, {
      ...context(one, "network", "nonce"),
      secrets: { [one.secret_version]: hex(one.secret) },
    }),
  table: (one, bytes) => reader.checkTable(bytes, hex(one.order)),
};

for (const one of load("malformed"))
  check(`malformed ${one.name}`, () => {
    const once = Buffer.concat([hex(one.bytes ?? ""), Buffer.alloc(one.zeros ?? 0)]);
    const bytes = Buffer.concat(Array(one.times ?? 1).fill(once));
    let reason = "accepted";
    try {
      DOORS[one.feed](one, bytes);
    } catch (error) {
      if (!(error instanceof reader.Refused)) throw error;
      reason = error.reason;
    }
    equal(reason, one.reason);
  });

// --- nothing forgotten ---------------------------------------------------------------------------

check("every kind that is read has a vector", () => {
  const met = [...load("statements"), ...load("documents")].map((one) => one.kind);
  equal([...new Set(met)].sort(), Object.keys(KINDS).sort());
});
check("every frame that is read has a vector", () =>
  equal([...new Set(frames.map((one) => one.kind))].sort((a, b) => a - b), reader.FRAME_KINDS));

for (const failure of failures) console.error(failure);
console.log(`${passed} passed, ${failures.length} failed`);
process.exitCode = failures.length ? 1 : 0;

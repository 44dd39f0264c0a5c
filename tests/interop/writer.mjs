// SPDX-License-Identifier: MIT
// The writing side: keys, signed statements, frames, and what a dialer says in its hello.
// Written from docs/design/protocol.md alone, as the reader is.

import { createPrivateKey, createPublicKey, randomBytes, sign } from "node:crypto";
import { encode } from "./canon.mjs";
import { domainTag } from "./hash.mjs";
import { KINDS } from "./kinds.mjs";
import { membershipProof } from "./names.mjs";

const PKCS8_HEAD = Buffer.from("302e020100300506032b657004220420", "hex");
export const NOTHING = Buffer.alloc(0);

// Kinds of frames.
export const [STATEMENT, DOCUMENT, PING, PONG, CANCEL, END] = [1, 2, 8, 9, 10, 13];

// Both halves of the key of a seed of 32 bytes.
export function keyOf(seed) {
  const der = Buffer.concat([PKCS8_HEAD, seed]);
  const secret = createPrivateKey({ key: der, format: "der", type: "pkcs8" });
  return { secret, key: createPublicKey(secret).export({ format: "der", type: "spki" }).subarray(12) };
}

// The wire of a statement: its signature, and then its body.
export function seal(kind, value, network, secret) {
  const body = encode(kind, KINDS[kind], value);
  return Buffer.concat([sign(null, Buffer.concat([domainTag(kind), network, body]), secret), body]);
}

export function writeFrame(kind, payload) {
  const head = Buffer.alloc(4);
  head.writeUInt32BE(payload.length);
  head[0] = kind;
  return Buffer.concat([head, payload]);
}

export const statement = (wire) => writeFrame(STATEMENT, wire);
export const document = (kind, value) => writeFrame(DOCUMENT, encode(kind, KINDS[kind], value));

// --- hello ---------------------------------------------------------------------------------------

// What the dialer says first. In a private network (`version` above 0) there is no advert in it.
export function firstHello({ me, peer, network, version, advert = NOTHING, incarnation }) {
  return {
    node: me, peer, incarnation, network, role: 0n, speaks_low: 1n, speaks_high: 1n,
    price_low: 1n, price_high: 1n, wall_ms: BigInt(Date.now()), nonce: randomBytes(32),
    answers: NOTHING, secret_version: BigInt(version), proof: NOTHING, held_total: 0n,
    signed_total: 0n, advert: version ? NOTHING : advert, extension: NOTHING,
  };
}

// What the dialer says when it has heard the listener's nonce: all of the first, and the proof.
export function provenHello(first, theirs, secret, { version, advert = NOTHING }) {
  const full = { ...first, answers: theirs.nonce, secret_version: BigInt(version), advert };
  return { ...full, proof: membershipProof(secret, full, theirs.nonce) };
}

// A small machine that offers nothing, for long enough to be told of.
export function ownAdvert({ me, incarnation }) {
  return {
    node: me, incarnation, sequence: 1n, issued_at_s: BigInt(Math.floor(Date.now() / 1000)),
    ttl_s: 3600n, cores: 1n, memory_mib: 64n, disk_mib: 0n, accelerator: "", accelerator_mib: 0n,
    fp32_mflops: 0n, int8_mops: 0n, memory_mbps: 0n, price_version: 1n, rate_min: 0n, gift: 0n,
    reach: 0n, addresses: [], models: [], extension: NOTHING,
  };
}

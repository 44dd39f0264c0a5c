// SPDX-License-Identifier: MIT
// Keys, signatures, statements and the names of peers.

import { createPublicKey, verify as verifyEd25519 } from "node:crypto";
import { decode, malformed, Refused } from "./canon.mjs";
import { domainTag, sha256 } from "./hash.mjs";
import { KINDS } from "./kinds.mjs";

const P = 2n ** 255n - 19n;
const L = 2n ** 252n + 27742317777372353535851937790883648493n;
const D = mod(-121665n * inverse(121666n));
const SQRT_MINUS_1 = power(2n, (P - 1n) / 4n);

function mod(x) {
  return ((x % P) + P) % P;
}
function power(base, exponent) {
  let result = 1n;
  for (let e = exponent, b = mod(base); e; e >>= 1n, b = mod(b * b)) if (e & 1n) result = mod(result * b);
  return result;
}
function inverse(x) {
  return power(x, P - 2n);
}

export const littleEndian = (bytes) => BigInt(`0x${Buffer.from(bytes).reverse().toString("hex")}`);

// A key is weak when its y is not reduced, or when eight times its point is the neutral element.
// The point is computed here, so that no table of weak keys has to be believed.
function isWeak(key) {
  const y = littleEndian(key) & (2n ** 255n - 1n);
  if (y >= P) return true;
  const x2 = mod((y * y - 1n) * inverse(D * y * y + 1n));
  let x = power(x2, (P + 3n) / 8n);
  if (mod(x * x) !== x2) x = mod(x * SQRT_MINUS_1);
  if (mod(x * x) !== x2) return false; // no point at all: nothing verifies
  let point = [x, y];
  for (let times = 0; times < 3; times++) {
    const [a, b] = point;
    const both = mod(D * a * a * b * b);
    point = [
      mod(2n * a * b * inverse(1n + both)),
      mod((a * a + b * b) * inverse(1n - both)),
    ];
  }
  return point[0] === 0n && point[1] === 1n;
}

const strong = new Map();
export function checkKey(key) {
  if (key.length !== 32) throw malformed("a key has 32 bytes");
  const name = key.toString("hex");
  if (strong.has(name)) return;
  if (isWeak(key)) throw new Refused("weak_key", name);
  strong.set(name, true);
}

const SPKI_HEAD = Buffer.from("302a300506032b6570032100", "hex");

export function verify(key, signature, data) {
  if (littleEndian(signature.subarray(32)) >= L) throw new Refused("bad_signature", "S >= L");
  checkKey(key);
  let holds;
  try {
    const spki = Buffer.concat([SPKI_HEAD, key]);
    const loaded = createPublicKey({ key: spki, format: "der", type: "spki" });
    holds = verifyEd25519(null, data, loaded, signature);
  } catch {
    holds = false;
  }
  if (!holds) throw new Refused("bad_signature", key.toString("hex"));
}

export function readStatement(wire, network, expected) {
  if (wire.length <= 64) throw malformed("a statement without a body");
  const [signature, body] = [wire.subarray(0, 64), wire.subarray(64)];
  const { kind, value } = decode(body, expected, KINDS);
  const signed = Buffer.concat([domainTag(kind), network, body]);
  verify(Object.values(value)[0], signature, signed);
  return { kind, value, id: sha256(signed) };
}

// --- peer ids: base58 of a fixed head and the key --------------------------------------------------

const BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz";
const PEER_HEAD = Buffer.from("002408011220", "hex");

export function peerId(key) {
  let digits = "";
  for (let n = BigInt(`0x${Buffer.concat([PEER_HEAD, key]).toString("hex")}`); n; n /= 58n)
    digits = BASE58[Number(n % 58n)] + digits;
  return `1${digits}`; // one leading zero byte, always
}

export function parsePeerId(text) {
  if (text.length > 60) throw malformed("too long for a peer id");
  let number = 0n;
  for (const character of text) {
    const digit = BASE58.indexOf(character);
    if (digit < 0) throw malformed(`no ${character} in a peer id`);
    number = number * 58n + BigInt(digit);
  }
  const key = Buffer.from((number % 2n ** 256n).toString(16).padStart(64, "0"), "hex");
  if (peerId(key) !== text) throw malformed("not the peer id of an Ed25519 key");
  checkKey(key);
  return key;
}

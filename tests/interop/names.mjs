// SPDX-License-Identifier: MIT
// CIDs, invites, and what a hello proves.

import { decode, malformed, Refused } from "./canon.mjs";
import { domainTag, hmac, sha256 } from "./hash.mjs";
import { readStatement } from "./keys.mjs";
import { KINDS } from "./kinds.mjs";

// --- base32 of whole bytes, the last digit filled up with zero bits -------------------------------

const CROCKFORD = "0123456789abcdefghjkmnpqrstvwxyz";
const RFC4648 = "abcdefghijklmnopqrstuvwxyz234567";

function toBase32(data, alphabet) {
  const bits = [...data].map((byte) => byte.toString(2).padStart(8, "0")).join("");
  const groups = bits.match(/.{1,5}/g) ?? [];
  return groups.map((group) => alphabet[parseInt(group.padEnd(5, "0"), 2)]).join("");
}

// undefined when a character is foreign, when one is missing, or when a spare bit is set.
function fromBase32(text, alphabet) {
  const digits = [...text].map((character) => alphabet.indexOf(character));
  if (digits.includes(-1)) return undefined;
  const bits = digits.map((digit) => digit.toString(2).padStart(5, "0")).join("");
  const bytes = bits.match(/.{8}/g) ?? [];
  const data = Buffer.from(bytes.map((byte) => parseInt(byte, 2)));
  return toBase32(data, alphabet) === text ? data : undefined;
}

// --- CIDs ----------------------------------------------------------------------------------------

const CID_HEAD = Buffer.from([0x01, 0x55, 0x12, 0x20]); // version 1, raw, SHA-256, 32 bytes

export const formatCid = (digest) => `b${toBase32(Buffer.concat([CID_HEAD, digest]), RFC4648)}`;

export function parseCid(text) {
  const data = text.startsWith("b") ? fromBase32(text.slice(1), RFC4648) : undefined;
  const fits = data?.length === 36 && data.subarray(0, 4).equals(CID_HEAD);
  if (!fits) throw malformed("not a CID of this protocol");
  return data.subarray(4);
}

// --- invites -------------------------------------------------------------------------------------

const SCHEME = "commons://";
const checksum = (body) => sha256(domainTag("invite-text"), body).subarray(0, 5);
// Unicode's white space, and four separators that Python counts in; no byte order mark.
const WHITE = /[\p{White_Space}\u001c-\u001f]/gu;
const LOOKALIKES = { o: "0", i: "1", l: "1" };

export const formatInvite = (body) =>
  SCHEME + toBase32(Buffer.concat([body, checksum(body)]), CROCKFORD);

export function parseInvite(text, now_s) {
  if (text.length > 8192) throw new Refused("too_large", "an invite");
  const compact = text.replace(WHITE, "").replace(/[A-Z]/g, (letter) => letter.toLowerCase());
  if (!compact.startsWith(SCHEME)) throw new Refused("invite_broken", "scheme");
  const code = compact
    .slice(SCHEME.length)
    .replaceAll("-", "")
    .replace(/[oil]/g, (character) => LOOKALIKES[character]);
  const data = fromBase32(code, CROCKFORD);
  if (!data) throw new Refused("invite_broken", "characters");
  const body = data.subarray(0, Math.max(0, data.length - 5));
  if (!checksum(body).equals(data.subarray(body.length)))
    throw new Refused("invite_broken", "checksum");
  const { value } = decode(body, ["invite"], KINDS);
  if (value.expires_at_s && BigInt(now_s) >= value.expires_at_s) throw new Refused("expired", "");
  return { value, body };
}

// --- hellos --------------------------------------------------------------------------------------

const DIALER = 0n;
const SPEAKS = 1n;

export function membershipProof(secret, hello, peerNonce) {
  const ends = [
    [hello.node, hello.nonce],
    [hello.peer, peerNonce],
  ];
  const [dialer, listener] = hello.role === DIALER ? ends : ends.reverse();
  const role = Buffer.from([Number(hello.role)]);
  return hmac(
    secret, domainTag("membership"), role, dialer[0], listener[0], dialer[1], listener[1],
  );
}

export function checkHello(wire, { me, peer, role, network }) {
  const { value: hello } = readStatement(wire, network, ["hello"]);
  if (!hello.network.equals(network)) throw new Refused("other_network", "");
  const ours = hello.node.equals(peer) && hello.peer.equals(me) && hello.role === BigInt(role);
  if (!ours) throw new Refused("wrong_party", "");
  if (hello.speaks_low > SPEAKS || hello.speaks_high < SPEAKS)
    throw new Refused("unknown_version", "");
}

export function checkMembership(wire, { network, secrets, nonce }) {
  const { value: hello } = readStatement(wire, network, ["hello"]);
  const secret = secrets[Number(hello.secret_version)];
  const proves =
    secret && hello.answers.equals(nonce) && hello.proof.equals(membershipProof(secret, hello, nonce));
  if (!proves) throw new Refused("not_a_member", "");
}

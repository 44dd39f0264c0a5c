// SPDX-License-Identifier: MIT
// Tensors: header, data, and the one way to write them. Little endian throughout.

import { malformed, Refused } from "./canon.mjs";
import { taggedHash } from "./hash.mjs";

// Bits of one element by ONNX's number of its type; 0 for strings.
const BITS = [
  undefined, 32, 8, 8, 16, 16, 32, 64, 0, 8, 16, 64, 32, 64, 64, 128, 16,
  8, 8, 8, 8, 4, 4, 4, 8, 2, 2, 6, 6,
];
const STRING = 8;
const BOOL = 9;
const GIB_2 = 2n ** 31n;
const STRING_MOST = 65_536;

const product = (dims) => dims.reduce((total, dim) => total * dim, 1n);
const bytesOf = (element, count) => (count * BigInt(BITS[element]) + 7n) / 8n;

export function readHeader(bytes) {
  if (bytes.length < 2 || bytes.length !== 10 + 8 * bytes[1]) throw malformed("a cut header");
  const [element, rank] = bytes;
  if (BITS[element] === undefined) throw new Refused("out_of_range", `element type ${element}`);
  const dims = Array.from({ length: rank }, (_, at) => bytes.readBigUInt64LE(2 + 8 * at));
  const size = bytes.readBigUInt64LE(2 + 8 * rank);
  const broken = brokenHeader(element, dims, size);
  if (broken) throw new Refused("out_of_range", broken);
  return { element, dims, size };
}

function brokenHeader(element, dims, size) {
  if (dims.length > 16) return "too many dimensions";
  const count = product(dims);
  const span = product(dims.map((dim) => dim || 1n)); // strides must not overflow either
  if (element === STRING && span > 2n ** 20n) return "too many strings";
  if (size > GIB_2 || bytesOf(element, span) > GIB_2) return "too many bytes";
  if (element === STRING)
    return size < 4n * count || size > (4n + BigInt(STRING_MOST)) * count ? "size of strings" : "";
  return size === bytesOf(element, count) ? "" : "another size";
}

export function readTensor(bytes) {
  const end = bytes.length > 1 ? 10 + 8 * bytes[1] : 0;
  const header = readHeader(bytes.subarray(0, end));
  const data = bytes.subarray(end);
  if (BigInt(data.length) !== header.size) throw malformed("data of another size");
  const broken = brokenData(header, data);
  if (broken) throw malformed(broken);
  return { ...header, data };
}

function brokenData({ element, dims }, data) {
  const count = product(dims);
  if (element === BOOL) return data.some((byte) => byte > 1) ? "a bool is 0 or 1" : "";
  if (element === STRING) return brokenStrings(count, data);
  const used = (count * BigInt(BITS[element])) % 8n;
  return used && data[data.length - 1] >> Number(used) ? "padding is zero" : "";
}

function brokenStrings(count, data) {
  let at = 0;
  let strings = 0n;
  while (at < data.length) {
    if (at + 4 > data.length) return "a cut length";
    const length = data.readUInt32LE(at);
    if (length > STRING_MOST) return "a string too long";
    at += 4 + length;
    strings += 1n;
  }
  return at === data.length && strings === count ? "" : "strings and data end apart";
}

export const tensorDigest = (bytes) => taggedHash("tensor", bytes);
export const itemDigest = (digests) => taggedHash("item", ...digests);

// SPDX-License-Identifier: MIT
// Canonical messages: how cells, fields, rows and lists are read and written.
// Which kinds there are is in kinds.mjs. Numbers are BigInt throughout, bytes are Buffers.

import { Decoder, encode as writeMsgpack } from "@msgpack/msgpack";

export class Refused extends Error {
  constructor(reason, detail) {
    super(`${reason}: ${detail}`);
    this.reason = reason;
  }
}

export const malformed = (detail) => new Refused("malformed", detail);
const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

// The library takes 5.0 for 5 and broken UTF-8 for text. Here a float is a cell that no field
// takes, and a kind that is not UTF-8 is no text.
class StrictDecoder extends Decoder {
  readF32() {
    super.readF32();
    return undefined;
  }
  readF64() {
    super.readF64();
    return undefined;
  }
  decodeUtf8String(size, head) {
    utf8.decode(this.bytes.subarray(this.pos + head, this.pos + head + size));
    return super.decodeUtf8String(size, head);
  }
}

// One flat array. Cells come out as number, bigint, string, Uint8Array, or something refused later.
export function readArray(bytes, cellsMax) {
  const decoder = new StrictDecoder({
    useBigInt64: true,
    maxStrLength: 64,
    maxBinLength: bytes.length,
    maxArrayLength: cellsMax,
    maxMapLength: 0,
    maxExtLength: 0,
  });
  let cells;
  try {
    cells = decoder.decode(bytes);
  } catch (error) {
    throw malformed(`no array of this protocol (${error.message})`);
  }
  if (!Array.isArray(cells)) throw malformed("not an array");
  return cells;
}

export const writeArray = (cells) => Buffer.from(writeMsgpack(cells, { useBigInt64: true }));

// --- fields: read(cell) -> value, write(value) -> cell, and both ways to plain JSON ---------------

// The library writes a bigint in nine bytes, whatever its size, and numbers from 2^32 as floats.
const shortest = (value) => (value < 2n ** 32n ? Number(value) : value);

export const uint = (least = 0n, most = 2n ** 63n - 1n) => ({
  read(cell) {
    if (typeof cell !== "number" && typeof cell !== "bigint") throw malformed("not a number");
    const value = BigInt(cell);
    const fits = value >= BigInt(least) && value <= BigInt(most);
    if (!fits) throw new Refused("out_of_range", `${value} is out of bounds`);
    return value;
  },
  write: shortest,
  toJson: (value) => (value <= 2n ** 53n - 1n ? Number(value) : String(value)),
  fromJson: BigInt,
});

export const bytes = (least, most, orEmpty = false) => ({
  read(cell) {
    if (!(cell instanceof Uint8Array)) throw malformed("not bytes");
    const fits = (cell.length >= least && cell.length <= most) || (orEmpty && !cell.length);
    if (!fits) throw malformed(`${cell.length} bytes`);
    return Buffer.from(cell);
  },
  write: (value) => value,
  toJson: (value) => value.toString("hex"),
  fromJson: (text) => Buffer.from(text, "hex"),
});

const DECEPTIVE = /[\u0000-\u001f\u007f-\u009f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff]/u;

export const text = (most, least = 0, pattern = undefined) => ({
  read(cell) {
    const raw = bytes(least, most).read(cell);
    let value;
    try {
      value = utf8.decode(raw);
    } catch {
      throw malformed("not UTF-8");
    }
    if (DECEPTIVE.test(value)) throw malformed("a text that deceives");
    if (pattern && !pattern.test(value)) throw malformed(`${value} has another form`);
    return value;
  },
  write: (value) => Buffer.from(value, "utf-8"),
  toJson: (value) => value,
  fromJson: (value) => value,
});

// Numbers by size, bytes byte by byte, texts as their bytes; a shorter one before what it begins.
export function compare(left, right) {
  if (left instanceof Uint8Array) return Buffer.compare(left, right);
  if (!Array.isArray(left)) return left < right ? -1 : left > right ? 1 : 0;
  for (let at = 0; at < left.length && at < right.length; at++) {
    const order = compare(left[at], right[at]);
    if (order) return order;
  }
  return left.length - right.length;
}

// A list is an array of its own inside a byte string. `row` is a type, or fields by name.
export function list(row, least, most, { ascending = false } = {}) {
  const single = "read" in row;
  const columns = single ? [["", row]] : Object.entries(row);
  const width = columns.length;
  const split = (one) => columns.map(([name, type]) => type.write(single ? one : one[name]));
  const self = {
    read(cell) {
      if (!(cell instanceof Uint8Array)) throw malformed("not a list");
      const cells = readArray(cell, width * most);
      const count = cells.length / width;
      if (!Number.isInteger(count) || count < least || count > most) throw malformed("rows");
      const values = cells.map((each, at) => columns[at % width][1].read(each));
      const rows = Array.from({ length: count }, (_, at) => {
        const part = values.slice(at * width, (at + 1) * width);
        return single ? part[0] : Object.fromEntries(columns.map(([name], k) => [name, part[k]]));
      });
      if (ascending) {
        const keys = rows.map(split);
        if (keys.some((key, at) => at && compare(keys[at - 1], key) >= 0)) throw malformed("order");
      }
      if (!self.write(rows).equals(cell)) throw new Refused("not_canonical", "a long list");
      return rows;
    },
    write: (rows) => writeArray(rows.flatMap(split)),
    toJson: (rows) => rows.map((one) => (single ? row.toJson(one) : toJson(row, one))),
    fromJson: (rows) => rows.map((one) => (single ? row.fromJson(one) : fromJson(row, one))),
  };
  return self;
}

const mapped = (fields, value, how) =>
  Object.fromEntries(Object.entries(fields).map(([name, type]) => [name, type[how](value[name])]));
export const toJson = (fields, value) => mapped(fields, value, "toJson");
export const fromJson = (fields, value) => mapped(fields, value, "fromJson");

// --- messages ------------------------------------------------------------------------------------

export const VERSION = 1;

export function encode(kind, schema, value) {
  const cells = Object.entries(schema.fields).map(([name, type]) => type.write(value[name]));
  return writeArray([kind, VERSION, ...cells]);
}

// Each step can only refuse; the first one that does gives the reason.
export function decode(body, expected, kinds) {
  const most = Math.max(...expected.map((kind) => kinds[kind].most));
  if (body.length > most) throw new Refused("too_large", `${body.length} bytes`);
  const cells = readArray(body, 64);
  if (cells.length < 2 || typeof cells[0] !== "string") throw malformed("no kind and version");
  const [kind, version, ...raw] = cells;
  if (!expected.includes(kind)) throw new Refused("unknown_kind", kind);
  if (version !== VERSION) throw new Refused("unknown_version", String(version));
  const schema = kinds[kind];
  if (body.length > schema.most) throw new Refused("too_large", `${body.length} bytes`);
  const columns = Object.entries(schema.fields);
  if (raw.length !== columns.length) throw malformed(`${raw.length} fields`);
  const value = Object.fromEntries(columns.map(([name, type], at) => [name, type.read(raw[at])]));
  const broken = schema.rule?.(value);
  if (broken) throw new Refused("out_of_range", broken);
  if (!encode(kind, schema, value).equals(body)) throw new Refused("not_canonical", kind);
  return { kind, value };
}

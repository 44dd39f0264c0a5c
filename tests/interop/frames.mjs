// SPDX-License-Identifier: MIT
// Frames: one by one, and what one side may say on a stream whose other side is silent.

import { malformed, Refused } from "./canon.mjs";
import { readHeader } from "./tensors.mjs";

const MOST = 65_000 - 4;
const WEEK = 7 * 86_400;
const WINDOW = 4 * 2 ** 20;
const WINDOW_MOST = 64 * 2 ** 20;

// These begin the next order on a stream.
const BEGIN = ["order", "session", "accept"];

const hex = (bytes) => Buffer.from(bytes).toString("hex");
const plain = (value) => (value <= 2n ** 53n - 1n ? Number(value) : String(value));

// The kind of a message, read without looking at anything else of it.
function kindOf(body) {
  const at = body[0] >> 4 === 9 ? 1 : body[0] === 0xdc ? 3 : body.length;
  const size = (body[at] ?? 0) - 0xa0;
  return size > 0 && size < 32 ? body.subarray(at + 1, at + 1 + size).toString("latin1") : "";
}

function code(bytes) {
  if (bytes.some((byte) => byte > 127)) throw malformed("a reason is ASCII");
  const reason = bytes.toString("latin1");
  if (!/^[a-z][a-z0-9_]{1,39}$/.test(reason)) throw new Refused("out_of_range", "not a reason");
  return reason;
}

function inRange(holds, what) {
  if (!holds) throw new Refused("out_of_range", what);
}

const blob = (p) => ({ digest: hex(p.subarray(0, 32)), offset: plain(p.readBigUInt64BE(32)) });

// By kind: least and most bytes of the payload, and how to read it.
const FRAMES = {
  1: [65, 64 + 6144, (p) => ({ wire: hex(p) })],
  2: [1, MOST, (p) => ({ body: hex(p) })],
  3: [16, 16 + 8 * 16, (p) => {
    const header = readHeader(p.subarray(6));
    const [item, port] = [p.readUInt32BE(0), p.readUInt16BE(4)];
    inRange(port < 1024, "port");
    const { element, dims, size } = header;
    return { item, port, header: { element, dims: dims.map(plain), size_bytes: plain(size) } };
  }],
  4: [1, MOST, (p) => ({ data: hex(p) })],
  5: [41, MOST, (p) => ({ ...blob(p), data: hex(p.subarray(40)) })],
  6: [44, 44, (p) => {
    const size_bytes = p.readUInt32BE(40);
    inRange(size_bytes > 0, "wants nothing");
    return { ...blob(p), size_bytes };
  }],
  7: [4, 4, (p) => {
    const size_bytes = p.readUInt32BE(0);
    inRange(size_bytes > 0 && size_bytes <= WINDOW_MOST, "window");
    return { size_bytes };
  }],
  8: [8, 8, (p) => ({ token: plain(p.readBigUInt64BE(0)) })],
  9: [8, 8, (p) => ({ token: plain(p.readBigUInt64BE(0)) })],
  10: [2, 40, (p) => ({ reason: code(p) })],
  11: [6, 44, (p) => {
    const [retry_s, reason] = [p.readUInt32BE(0), code(p.subarray(4))];
    inRange(retry_s <= WEEK, "a long pause");
    return { retry_s, reason };
  }],
  12: [0, 0, () => ({})],
  13: [0, 0, () => ({})],
};
export const FRAME_KINDS = Object.keys(FRAMES).map(Number);

// One frame at the start of `bytes`, or undefined when it is not all there.
export function readFrame(bytes) {
  if (bytes.length < 4) return undefined;
  const [kind, length] = [bytes[0], bytes.readUIntBE(1, 3)];
  if (!(kind in FRAMES)) throw new Refused("unknown_kind", `frame ${kind}`);
  const [least, most, read] = FRAMES[kind];
  if (length > most) throw new Refused("too_large", `frame ${kind}`);
  if (length < least) throw malformed(`frame ${kind}`);
  if (bytes.length < 4 + length) return undefined;
  const fields = read(bytes.subarray(4, 4 + length));
  return { kind, fields, size: 4 + length };
}

const [STATEMENT, START, DATA, PIECE, GRANT, PING, PONG, CANCEL, PAUSED, RESUMED, END] = [
  1, 3, 4, 5, 7, 8, 9, 10, 11, 12, 13,
];

class Direction {
  room = WINDOW; // bytes of data that this side may still send
  granted = WINDOW; // ... and that it lets the other side send
  left = 0; // bytes that the tensor still lacks
  place = -1; // of the last tensor: item * 2^16 + port
  pings = 0;
  paused = this.cancelled = this.ended = false;

  say({ kind, fields }) {
    const must = (holds, reason) => {
      if (!holds) throw new Refused(reason, `frame ${kind}`);
    };
    const size = (fields.data ?? "").length / 2;
    if (kind === DATA) {
      must(size <= this.left, "broken_frame");
      must(size <= this.room, "window_exceeded");
      this.room -= size;
      this.left -= size;
    } else if (kind === GRANT) {
      this.granted += fields.size_bytes;
      must(this.granted <= WINDOW_MOST, "broken_frame");
    } else if (kind === PING) must(++this.pings <= 8, "broken_frame");
    else if (kind === PONG) must(false, "broken_frame"); // the silent side asked nothing
    else if (kind === CANCEL) {
      must(!this.cancelled, "unexpected");
      this.cancelled = true;
      this.left = 0;
    } else {
      must(!this.ended, "unexpected");
      if (kind === STATEMENT) {
        if (BEGIN.includes(kindOf(Buffer.from(fields.wire, "hex").subarray(64)))) {
          must(!this.left, "unexpected");
          this.place = -1; // the next order of this stream begins
          this.cancelled = this.paused = false;
        }
      } else if (kind === START) {
        const place = fields.item * 2 ** 16 + fields.port;
        must(!this.cancelled && !this.left && place > this.place, "unexpected");
        this.place = place;
        this.left = Number(fields.header.size_bytes);
      } else if (kind === PIECE) {
        must(!this.cancelled, "unexpected");
        must(size <= this.room, "window_exceeded");
        this.room -= size;
      } else if (kind === PAUSED) this.paused = true;
      else if (kind === RESUMED) {
        must(this.paused, "unexpected");
        this.paused = false;
      } else if (kind === END) {
        must(!this.left, "unexpected");
        this.ended = true;
      }
    }
  }
}

export function readStream(bytes) {
  const direction = new Direction();
  const kinds = [];
  let rest = bytes;
  for (let frame = readFrame(rest); frame; frame = readFrame(rest)) {
    direction.say(frame);
    kinds.push(frame.kind);
    rest = rest.subarray(frame.size);
  }
  return { kinds, end: direction.ended && !rest.length ? "closed" : "lost" };
}

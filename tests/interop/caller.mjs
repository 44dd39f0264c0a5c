// SPDX-License-Identifier: MIT
// A node of js-libp2p, and its streams as frames. What is said on them is not here.

import "./polyfill.mjs";
import { randomBytes } from "node:crypto";
import { noise } from "@chainsafe/libp2p-noise";
import { yamux } from "@chainsafe/libp2p-yamux";
import { generateKeyPairFromSeed } from "@libp2p/crypto/keys";
import { identify } from "@libp2p/identify";
import { ping } from "@libp2p/ping";
import { tcp } from "@libp2p/tcp";
import { multiaddr } from "@multiformats/multiaddr";
import { createLibp2p } from "libp2p";
import { readFrame } from "./frames.mjs";
import { keyOf, PING, PONG, writeFrame } from "./writer.mjs";

// What the daemon could open to us as well.
const OURS = ["hello", "view", "work", "books", "blob"].map((name) => `/commons/${name}/1`);

// Longer than any honest answer takes, and than the 10 s that the daemon gives to a hello.
const WAIT_MS = 15_000;

function within(promise, what) {
  const { promise: late, reject } = Promise.withResolvers();
  const timer = setTimeout(() => reject(new Error(`not within ${WAIT_MS} ms: ${what}`)), WAIT_MS);
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

// One stream. It is read all the time; whoever asks for a frame waits until it is whole.
export class Wire {
  size = 0; // bytes that came, in all
  pings = 0; // those of the other side, which were answered
  #seen = Buffer.alloc(0); // what nobody has taken yet
  #over = false;
  #inbox; // frames, once the stream is attended
  #out = [];
  #told = Promise.withResolvers();
  #due = Promise.withResolvers();

  constructor(stream) {
    stream.sink(this.#said()).catch(() => {}); // the other side let go: the reader says so
    this.#read(stream);
  }

  async #read(stream) {
    try {
      for await (const piece of stream.source) {
        this.size += piece.byteLength;
        this.#seen = Buffer.concat([this.#seen, piece.subarray()]);
        this.#tell();
      }
    } catch {
      // A reset is an end like others here: what counts is which bytes came before.
    }
    this.#over = true;
    this.#tell();
    this.end();
  }

  async *#said() {
    for (;;) {
      while (this.#out.length) {
        const bytes = this.#out.shift();
        if (!bytes) return;
        yield bytes;
      }
      await this.#due.promise;
      this.#due = Promise.withResolvers();
    }
  }

  #tell() {
    this.#told.resolve();
    this.#told = Promise.withResolvers();
  }

  send(...pieces) {
    this.#out.push(...pieces);
    this.#due.resolve();
  }

  // Nothing more is said on this side.
  end() {
    this.send(undefined);
  }

  // The next bytes as they come, without looking at them; undefined when there are no more.
  async bytes() {
    while (!this.#seen.length && !this.#over) await this.#told.promise;
    const taken = this.#seen;
    this.#seen = Buffer.alloc(0);
    return taken.length ? taken : undefined;
  }

  // The next frame that is no ping, as its kind and payload; undefined when there are no more.
  frame(what = "a frame") {
    return within(this.#inbox ? this.#next() : this.#frame(), what);
  }

  // From now on pings are answered at once, whether anybody asks for frames or not.
  async attend() {
    this.#inbox = [];
    for (let frame = await this.#frame(); frame; frame = await this.#frame()) {
      this.#inbox.push(frame);
      this.#tell();
    }
  }

  async #next() {
    while (!this.#inbox.length && !this.#over) await this.#told.promise;
    return this.#inbox.shift();
  }

  async #frame() {
    for (;;) {
      const found = readFrame(this.#seen); // checks the frame; its payload is taken as it came
      if (found) {
        const payload = this.#seen.subarray(4, found.size);
        this.#seen = this.#seen.subarray(found.size);
        if (found.kind !== PING) return { kind: found.kind, payload };
        this.pings += 1;
        this.send(writeFrame(PONG, payload));
      } else if (this.#over) return undefined;
      else await this.#told.promise;
    }
  }

  over() {
    return within(this.#ended(), "the end of a stream");
  }

  async #ended() {
    while (!this.#over) await this.#told.promise;
  }
}

// One node with a key of its own, new each time. `listen` and `serves` are for the middleman.
export class Caller {
  approached = []; // the protocols of all streams that others have opened to us

  constructor(seed, node) {
    this.node = node;
    Object.assign(this, keyOf(seed));
  }

  static async start({ listen = [], serves = {} } = {}) {
    const seed = randomBytes(32);
    const node = await createLibp2p({
      privateKey: await generateKeyPairFromSeed("Ed25519", seed),
      addresses: { listen },
      transports: [tcp()],
      connectionEncrypters: [noise()],
      streamMuxers: [yamux()],
      services: { identify: identify(), ping: ping() },
    });
    const caller = new Caller(seed, node);
    for (const protocol of OURS)
      await node.handle(protocol, ({ stream }) => {
        const wire = new Wire(stream);
        caller.approached.push(protocol);
        serves[protocol]?.(wire);
      });
    return caller;
  }

  get peer() {
    return this.node.peerId.toString();
  }

  get address() {
    return this.node.getMultiaddrs()[0].toString();
  }

  dial(address) {
    return within(this.node.dial(multiaddr(address)), "a dial");
  }

  async open(connection, protocol) {
    return new Wire(await within(connection.newStream(protocol), `a stream of ${protocol}`));
  }

  // What the next peer says in identify.
  identified() {
    const { promise, resolve } = Promise.withResolvers();
    const heard = ({ detail }) => resolve(detail);
    this.node.addEventListener("peer:identify", heard, { once: true });
    return within(promise, "what identify says");
  }

  // Waits until the other side has closed the connection.
  closed(connection) {
    const { promise, resolve } = Promise.withResolvers();
    const look = () => connection.status !== "open" && resolve();
    this.node.addEventListener("connection:close", look);
    look();
    return within(promise, "the end of a connection");
  }

  stop() {
    return this.node.stop();
  }
}

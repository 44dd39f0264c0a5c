// SPDX-License-Identifier: MIT
// A hello as a dialer says it, step by step, so that each step can be a wrong one.

import { randomBytes } from "node:crypto";
import { Refused, toJson } from "./canon.mjs";
import { parsePeerId, readStatement } from "./keys.mjs";
import { KINDS } from "./kinds.mjs";
import { checkHello, checkMembership, parseInvite } from "./names.mjs";
import { firstHello, ownAdvert, provenHello, seal, STATEMENT, statement } from "./writer.mjs";

export const HELLO = "/commons/hello/1";
export const LISTENER = 1n;

// Where a daemon is and what its invite gives, which is all that a stranger can be told.
export function placeOf({ address, invite }) {
  const { value } = parseInvite(invite, Math.floor(Date.now() / 1000));
  const { network, secret, secret_version: version } = value;
  return { address, network, secret, version, key: parsePeerId(address.split("/").pop()) };
}

// One who dials a daemon and has opened the stream of hello, but said nothing yet.
export class Greeting {
  constructor(caller, place, connection, control) {
    Object.assign(this, { caller, place, connection, control });
    const incarnation = randomBytes(8);
    this.own = ownAdvert({ me: caller.key, incarnation });
    this.advert = seal("advert", this.own, place.network, caller.secret);
    const { network, version, key: peer } = place;
    this.mine = firstHello({
      me: caller.key, peer, network, version, advert: this.advert, incarnation,
    });
  }

  static async begin(caller, place) {
    const connection = await caller.dial(place.address);
    return new Greeting(caller, place, connection, await caller.open(connection, HELLO));
  }

  // Hears one hello, and checks all that can be checked of any: the reader's own checks.
  async hear() {
    const frame = await this.control.frame("a hello");
    if (frame?.kind !== STATEMENT) throw new Error(`no hello, but ${frame && frame.kind}`);
    const { caller, place } = this;
    const ends = { me: caller.key, peer: place.key, role: LISTENER, network: place.network };
    checkHello(frame.payload, ends);
    this.heard = frame.payload;
    this.size = 4 + frame.payload.length;
    return readStatement(frame.payload, place.network, ["hello"]).value;
  }

  say(hello) {
    this.control.send(statement(this.sealed(hello)));
  }

  sealed(hello, network = this.place.network) {
    return seal("hello", hello, network, this.caller.secret);
  }

  // The second hello, by the rules: `secret` and `nonce` are what a wrong one may get wrong.
  proven({ secret = this.place.secret, nonce = this.theirs.nonce, ...change } = {}) {
    const { version } = this.place;
    const theirs = { ...this.theirs, nonce };
    return provenHello(this.mine, theirs, secret, { version, advert: this.advert, ...change });
  }

  // Both first hellos; the listener speaks without having heard anything.
  async open() {
    this.theirs = await this.hear();
    this.say(this.mine);
    return this.theirs;
  }

  // All of a good hello: what the daemon says to one who is let in.
  async complete() {
    const first = await this.open();
    if (!this.place.version) return first;
    this.say(this.proven());
    const second = await this.hear();
    const { network, version, secret } = this.place;
    checkMembership(this.heard, {
      network, secrets: { [version]: secret }, nonce: this.mine.nonce,
    });
    const same = ["nonce", "incarnation"].every((name) => second[name].equals(first[name]));
    if (!same) throw new Refused("wrong_party", "the second hello is of another node");
    return second;
  }

  // What a refused one was told: the first hello as it came, the bytes after it, and by streams
  // that the daemon would have opened.
  async refused() {
    await this.caller.closed(this.connection);
    await this.control.over();
    const left = this.control.size - this.size;
    return { bytes_after: left, approached: this.caller.approached, first: shown(this.theirs) };
  }
}

export const shown = (hello) => toJson(KINDS.hello.fields, hello);

// An advert within a hello or a frame, read and verified.
export const advertIn = (wire, network) =>
  toJson(KINDS.advert.fields, readStatement(wire, network, ["advert"]).value);

// SPDX-License-Identifier: MIT
// A node that nobody here wrote calls a daemon. Reads one wish a line from its input, as JSON, and
// answers each with a line; test_stranger.py has the wishes. What is read is checked by the reader.

import "./polyfill.mjs";
import { randomBytes } from "node:crypto";
import { createInterface } from "node:readline";
import { Caller } from "./caller.mjs";
import { decode } from "./canon.mjs";
import { advertIn, Greeting, placeOf, shown } from "./greeting.mjs";
import { peerId } from "./keys.mjs";
import { KINDS } from "./kinds.mjs";
import { relayed } from "./middleman.mjs";
import { membershipProof } from "./names.mjs";
import {
  CANCEL, document, DOCUMENT, END, NOTHING, PING, PONG, statement, STATEMENT, writeFrame,
} from "./writer.mjs";

const VIEW = "/commons/view/1";
const members = new Map(); // who was let in and stays, by peer id

function take(peer) {
  const found = members.get(peer);
  members.delete(peer);
  return found;
}

const rowOf = ({ own }) => ({
  node: own.node, issued_at_s: own.issued_at_s, sequence: own.sequence, met: 1n,
});

async function alone(work) {
  const caller = await Caller.start();
  try {
    return { peer: caller.peer, ...(await work(caller)) };
  } finally {
    await caller.stop();
  }
}

// --- what goes well ------------------------------------------------------------------------------

const asks = ({ address }) =>
  alone(async (caller) => {
    const identified = caller.identified(); // which it does by itself with each connection
    const connection = await caller.dial(address);
    const told = await identified;
    const rtt_ms = await caller.node.services.ping.ping(connection.remotePeer);
    const { protocols, agentVersion: agent, protocolVersion: speaks } = told;
    const addresses = told.listenAddrs.map(String);
    return { protocols, agent, speaks, addresses, who: told.peerId.toString(), rtt_ms };
  });

async function joins(told) {
  const caller = await Caller.start();
  const place = placeOf(told);
  const greeting = await Greeting.begin(caller, place);
  const hello = await greeting.complete();
  members.set(caller.peer, greeting);
  greeting.control.attend();
  const advert = advertIn(hello.advert, place.network);
  const bare = shown(greeting.theirs);
  return { peer: caller.peer, first: bare, hello: shown(hello), advert };
}

// Both directions of the control stream: our ping is answered, and theirs, by us, so we stay.
async function pings({ peer }) {
  const { control, connection } = members.get(peer);
  const token = randomBytes(8);
  control.send(writeFrame(PING, token));
  const frame = await control.frame("a pong");
  const answered = frame?.kind === PONG && frame.payload.equals(token);
  return { answered, asked: control.pings, status: connection.status };
}

// Tells of itself, hears of others, and wants all of these: the exchange of section 11.
async function exchanges({ peer, until }) {
  const member = members.get(peer);
  const view = await member.caller.open(member.connection, VIEW);
  view.send(document("summary", { held: [rowOf(member)] }));
  const adverts = {};
  while (until.some((each) => !(each in adverts))) {
    const frame = await view.frame("what the view says");
    if (!frame) throw new Error("the stream of the view has ended");
    if (frame.kind === STATEMENT) {
      const advert = advertIn(frame.payload, member.place.network);
      adverts[peerId(Buffer.from(advert.node, "hex"))] = advert;
    } else if (frame.kind === DOCUMENT) {
      const { kind, value } = decode(frame.payload, ["summary", "wanted"], KINDS);
      const nodes = value.held?.map((row) => row.node).sort(Buffer.compare);
      view.send(kind === "wanted" ? statement(member.advert) : document("wanted", { nodes }));
    }
  }
  return { adverts }; // the stream stays: its end would be the end of being a neighbour
}

async function leaves({ peer }) {
  const { caller, connection, control } = take(peer);
  control.send(writeFrame(END, NOTHING));
  await caller.closed(connection);
  await caller.stop();
  return {};
}

// --- what does not: the first hello --------------------------------------------------------------

const FIRST = {
  other_network: () => ({ network: randomBytes(16) }),
  other_peer: () => ({ peer: randomBytes(32) }),
  other_role: () => ({ role: 1n }),
  no_secret: () => ({ secret_version: 0n }),
  later_version: () => ({ speaks_low: 7n, speaks_high: 9n }),
  wrong_clock: ({ wall_ms }) => ({ wall_ms: wall_ms - 3_600_000n }),
};

const says = ({ wrong, ...told }) =>
  alone(async (caller) => {
    const greeting = await Greeting.begin(caller, placeOf(told));
    greeting.theirs = await greeting.hear();
    const hello = { ...greeting.mine, ...FIRST[wrong](greeting.mine) };
    // Whoever is of another network signs for that one.
    greeting.control.send(statement(greeting.sealed(hello, hello.network)));
    if (greeting.place.version) return greeting.refused();
    const frame = await greeting.control.frame("a reason");
    return { reason: frame?.kind === CANCEL ? String(frame.payload) : `frame ${frame?.kind}` };
  });

// --- what does not: the proof --------------------------------------------------------------------

const PROOFS = {
  wrong_secret: (it) => it.proven({ secret: randomBytes(32) }),
  retired_secret: (it) => it.proven(), // told is an invite from before
  unknown_version: (it) => it.proven({ version: it.place.version + 7n }),
  other_nonce: (it) => it.proven({ nonce: randomBytes(32) }),
  proof_of_other_nonce: (it) => ({
    ...it.proven({ nonce: randomBytes(32) }), answers: it.theirs.nonce,
  }),
  proof_of_listener: (it) => {
    const mirrored = { ...it.mine, role: 1n };
    return { ...it.proven(), proof: membershipProof(it.place.secret, mirrored, it.theirs.nonce) };
  },
  no_proof: (it) => ({ ...it.proven(), proof: Buffer.alloc(0) }),
  first_again: (it) => it.mine,
  new_nonce: (it) => {
    it.mine = { ...it.mine, nonce: randomBytes(32) };
    return it.proven();
  },
};

const proves = ({ wrong, ...told }) =>
  alone(async (caller) => {
    const greeting = await Greeting.begin(caller, placeOf(told));
    await greeting.open();
    greeting.say(PROOFS[wrong](greeting));
    return greeting.refused();
  });

// Says again, on a new connection, byte for byte what once was let in.
const repeats = (told) =>
  alone(async (caller) => {
    const good = await Greeting.begin(caller, placeOf(told));
    await good.complete();
    const said = [good.mine, good.proven()].map((each) => statement(good.sealed(each)));
    good.control.send(writeFrame(END, NOTHING));
    await caller.closed(good.connection);
    const again = await Greeting.begin(caller, placeOf(told));
    again.theirs = await again.hear();
    again.control.send(...said);
    return again.refused();
  });

// --- what does not: everything else --------------------------------------------------------------

// Asks for more before it is let in: what comes on these streams until the daemon ends it all.
const hurries = ({ protocols, ...told }) =>
  alone(async (caller) => {
    const greeting = await Greeting.begin(caller, placeOf(told));
    const others = [];
    for (const each of protocols) others.push(await caller.open(greeting.connection, each));
    for (const each of others) each.send(document("summary", { held: [rowOf(greeting)] }));
    await greeting.open();
    greeting.say(greeting.proven({ secret: randomBytes(32) }));
    const said = await greeting.refused();
    await Promise.all(others.map((each) => each.over()));
    return { ...said, elsewhere: others.map((each) => each.size) };
  });

const asksFor = ({ address, protocol }) =>
  alone(async (caller) => {
    const connection = await caller.dial(address);
    try {
      await caller.open(connection, protocol);
    } catch (error) {
      return { refused: error.name, status: connection.status };
    }
    return { refused: "" };
  });

const GARBAGE = {
  other_protocol: () => Buffer.from("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"),
  unknown_frame: () => writeFrame(99, randomBytes(8)),
  large_frame: () => Buffer.concat([Buffer.from([1, 0xff, 0xff, 0xff]), randomBytes(60_000)]),
  data: () => writeFrame(4, randomBytes(1000)),
  document: () => document("summary", { held: [] }),
  other_statement: (it) => statement(it.advert),
  broken_signature: (it) => {
    const wire = it.sealed(it.mine);
    wire[10] ^= 1;
    return statement(wire);
  },
};

const spoils = ({ garbage, ...told }) =>
  alone(async (caller) => {
    const greeting = await Greeting.begin(caller, placeOf(told));
    greeting.theirs = await greeting.hear();
    greeting.control.send(GARBAGE[garbage](greeting));
    const last = await greeting.control.frame("the end");
    if (!last) await caller.closed(greeting.connection); // else it waits a while for us to go
    return { kind: last?.kind, reason: last && String(last.payload) };
  });

// The same by one who was let in.
async function spoilsLater({ peer, garbage }) {
  const { caller, connection, control, ...rest } = take(peer);
  control.send(GARBAGE[garbage](rest));
  await caller.closed(connection);
  await caller.stop();
  return {};
}

// --- wishes --------------------------------------------------------------------------------------

const WISHES = {
  asks, joins, pings, exchanges, leaves, says, proves, repeats, hurries, asksFor, spoils,
  spoilsLater,
  relays: ({ how, ...told }) => relayed(how, placeOf(told)),
};

for await (const line of createInterface({ input: process.stdin })) {
  const { wish, ...told } = JSON.parse(line);
  let answer;
  try {
    answer = await WISHES[wish](told);
  } catch (error) {
    answer = { failed: error.stack };
  }
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
process.exit(0); // whoever is still connected goes with it

// SPDX-License-Identifier: MIT
// A node that nobody here wrote calls a daemon. Reads one wish a line from its input, as JSON, and
// answers each with a line; test_stranger.py has the wishes. What is read is checked by the reader.

import "./polyfill.mjs";
import { randomBytes } from "node:crypto";
import { createInterface } from "node:readline";
import { Caller } from "./caller.mjs";
import { decode, toJson } from "./canon.mjs";
import { advertIn, Greeting, HELLO, placeOf, shown } from "./greeting.mjs";
import { peerId } from "./keys.mjs";
import { KINDS } from "./kinds.mjs";
import { relayed } from "./middleman.mjs";
import { document, DOCUMENT, PING, PONG, STATEMENT, writeFrame } from "./writer.mjs";

const VIEW = "/commons/view/1";
const CANCEL = 10;
const END = 13;
const members = new Map(); // who was let in and stays, by peer id

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
    const connection = await caller.dial(address);
    const told = await caller.node.services.identify.identify(connection);
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
  const { caller, connection, mine, place } = members.get(peer);
  const view = await caller.open(connection, VIEW);
  const issued_at_s = BigInt(Math.floor(Date.now() / 1000));
  view.send(document("summary", {
    held: [{ node: caller.key, issued_at_s, sequence: 1n, met: 1n }],
  }));
  const adverts = {};
  const offered = [];
  while (until.some((each) => !(each in adverts))) {
    const frame = await view.frame("what the view says");
    if (!frame) throw new Error("the stream of the view has ended");
    if (frame.kind === STATEMENT) {
      const advert = advertIn(frame.payload, place.network);
      adverts[peerId(Buffer.from(advert.node, "hex"))] = advert;
    } else if (frame.kind === DOCUMENT) {
      const { kind, value } = decode(frame.payload, ["summary", "wanted"], KINDS);
      if (kind !== "summary") continue; // it knows us from our hello
      offered.push(...value.held.map((row) => peerId(row.node)));
      const nodes = value.held.map((row) => row.node).sort(Buffer.compare);
      view.send(document("wanted", { nodes }));
    }
  }
  view.send(writeFrame(END, Buffer.alloc(0)));
  return { adverts, offered, incarnation: mine.incarnation.toString("hex") };
}

async function leaves({ peer }) {
  const { caller, connection, control } = members.get(peer);
  members.delete(peer);
  control.send(writeFrame(END, Buffer.alloc(0)));
  await caller.closed(connection);
  await caller.stop();
  return {};
}

// --- what does not: the first hello --------------------------------------------------------------

const FIRST = {
  other_network: (it) => ({ network: randomBytes(16) }),
  other_peer: (it) => ({ peer: randomBytes(32) }),
  other_node: (it) => ({ node: randomBytes(32) }),
  other_role: (it) => ({ role: 1n }),
  no_secret: (it) => ({ secret_version: 0n }),
  later_version: (it) => ({ speaks_low: 7n, speaks_high: 9n }),
  wrong_clock: (it) => ({ wall_ms: it.wall_ms - 3_600_000n }),
};

const says = ({ wrong, ...told }) =>
  alone(async (caller) => {
    const greeting = await Greeting.begin(caller, placeOf(told));
    greeting.theirs = await greeting.hear();
    const hello = { ...greeting.mine, ...FIRST[wrong](greeting.mine) };
    // Whoever is of another network signs for that one.
    greeting.control.send(greeting.written(hello, { network: hello.network }));
    if (greeting.place.version) return greeting.refused();
    const frame = await greeting.control.frame("a reason");
    return { kind: frame?.kind, reason: frame?.kind === CANCEL && String(frame.payload) };
  });

// --- what does not: the proof --------------------------------------------------------------------

const PROOFS = {
  wrong_secret: (it) => it.proven({ secret: randomBytes(32) }),
  other_nonce: (it) => it.proven({ nonce: randomBytes(32) }),
  // Answers the right nonce, and proves another one.
  proof_of_other_nonce: (it) => ({
    ...it.proven({ nonce: randomBytes(32) }), answers: it.theirs.nonce,
  }),
  as_listener: (it) => ({
    ...it.proven(),
    proof: it.proven.call({ ...it, mine: { ...it.mine, role: 1n } }).proof,
  }),
  no_proof: (it) => ({ ...it.proven(), proof: Buffer.alloc(0) }),
  none_at_all: (it) => it.mine,
  other_nonce_of_mine: (it) => {
    it.mine = { ...it.mine, nonce: randomBytes(32) };
    return it.proven();
  },
  other_version: (it) => it.proven({ version: it.place.version + 7n }),
};

const proves = ({ wrong, ...told }) =>
  alone(async (caller) => {
    const greeting = await Greeting.begin(caller, placeOf(told));
    await greeting.open();
    greeting.say(PROOFS[wrong](greeting));
    return greeting.refused();
  });

const isHeld = ({ ...told }) =>
  alone(async (caller) => {
    const greeting = await Greeting.begin(caller, placeOf(told));
    await greeting.open();
    greeting.say(greeting.proven());
    return greeting.refused();
  });

// Says again, on a new connection, byte for byte what once was let in.
const repeats = (told) =>
  alone(async (caller) => {
    const good = await Greeting.begin(caller, placeOf(told));
    await good.complete();
    const said = [good.written(good.mine), good.written(good.proven())];
    good.control.send(writeFrame(END, Buffer.alloc(0)));
    await caller.closed(good.connection);
    const again = await Greeting.begin(caller, placeOf(told));
    again.theirs = await again.hear();
    again.control.send(...said);
    return again.refused();
  });

// --- what does not: everything else --------------------------------------------------------------

// Asks for more before it is let in: what comes on these streams until the daemon ends it all.
const hurries = (told) =>
  alone(async (caller) => {
    const greeting = await Greeting.begin(caller, placeOf(told));
    const others = [];
    for (const protocol of told.protocols)
      others.push(await caller.open(greeting.connection, protocol));
    const held = [{ node: caller.key, issued_at_s: 1n, sequence: 1n, met: 1n }];
    for (const each of others) each.send(document("summary", { held }));
    await greeting.open();
    greeting.say(greeting.proven({ secret: randomBytes(32) }));
    const told_too = await greeting.refused();
    await Promise.all(others.map((each) => each.over()));
    return { ...told_too, elsewhere: others.map((each) => each.size) };
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
  noise: () => randomBytes(5000),
  unknown_frame: () => writeFrame(99, randomBytes(8)),
  large_frame: () => Buffer.concat([Buffer.from([1, 0xff, 0xff, 0xff]), randomBytes(60_000)]),
  data: () => writeFrame(4, randomBytes(1000)),
  document: () => document("summary", { held: [] }),
  no_hello: (it) => writeFrame(STATEMENT, it.advert),
  broken_signature: (it) => {
    const bytes = it.written(it.mine);
    bytes[10] ^= 1;
    return bytes;
  },
};

const spoils = ({ garbage, ...told }) =>
  alone(async (caller) => {
    const greeting = await Greeting.begin(caller, placeOf(told));
    greeting.theirs = await greeting.hear();
    greeting.control.send(GARBAGE[garbage](greeting));
    return greeting.refused();
  });

// The same by one who was let in.
async function spoilsLater({ peer, garbage }) {
  const greeting = members.get(peer);
  members.delete(peer);
  greeting.control.send(GARBAGE[garbage](greeting));
  await greeting.caller.closed(greeting.connection);
  await greeting.caller.stop();
  return {};
}

// --- wishes --------------------------------------------------------------------------------------

const WISHES = {
  asks, joins, pings, exchanges, leaves, says, proves, isHeld, repeats, hurries, asksFor, spoils,
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

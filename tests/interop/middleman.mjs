// SPDX-License-Identifier: MIT
// A node with a key of its own stands between a member and the daemon, and passes on what the
// member says. This member is careless: it believes whom it meant to call, not whom it reached.

import "./polyfill.mjs";
import { Caller } from "./caller.mjs";
import { Greeting, HELLO, LISTENER } from "./greeting.mjs";
import { readStatement } from "./keys.mjs";
import { checkHello } from "./names.mjs";
import { statement } from "./writer.mjs";

// What the middleman makes of the member's two hellos; `own` is one under its own name and key.
const WAYS = {
  verbatim: [({ wire }) => wire, ({ wire }) => wire],
  // Its own first hello, with the member's nonce in it: so the proof fits both nonces.
  own_first: [({ hello }, own) => own(hello), ({ wire }) => wire],
  // Everything is its own, but for the proof.
  own_name: [({ hello }, own) => own(hello), ({ hello }, own) => own(hello)],
};

async function hellosOn(wire, network) {
  const { payload } = await wire.frame("a hello to pass on");
  return { wire: payload, hello: readStatement(payload, network, ["hello"]).value };
}

// Passes two hellos on and one back; whatever else the daemon says would go back as well.
async function passOn(inward, onward, how) {
  const { network } = onward.place;
  const own = (hello) => onward.sealed({ ...hello, node: onward.caller.key });
  onward.theirs = await onward.hear();
  for (const change of WAYS[how]) {
    const heard = await hellosOn(inward, network);
    if (change === WAYS[how][0]) inward.send(statement(onward.heard));
    onward.control.send(statement(change(heard, own)));
  }
  for (let more = await onward.control.bytes(); more; more = await onward.control.bytes())
    inward.send(more);
  inward.end();
}

export async function relayed(how, place) {
  const serving = Promise.withResolvers();
  const serves = { [HELLO]: serving.resolve };
  const middleman = await Caller.start({ listen: ["/ip4/127.0.0.1/tcp/0"], serves });
  const caller = await Caller.start();
  try {
    const onward = await Greeting.begin(middleman, place);
    const connection = await caller.dial(middleman.address);
    const member = new Greeting(caller, place, connection, await caller.open(connection, HELLO));
    member.say(member.mine);
    const passed = serving.promise.then((inward) => passOn(inward, onward, how));
    const { wire, hello } = await hellosOn(member.control, place.network);
    member.theirs = hello;
    member.say(member.proven());
    const told = await onward.refused();
    await passed;
    await member.control.over();
    return {
      ...told,
      approached: onward.caller.approached.filter((each) => each !== HELLO), // the member's
      peer: middleman.peer,
      member: caller.peer,
      member_bytes_after: member.control.size - 4 - wire.length,
      noticed: noticed(wire, { me: caller.key, peer: middleman.key, network: place.network }),
    };
  } finally {
    await Promise.all([caller.stop(), middleman.stop()]);
  }
}

// What a careful member would have said to the hello that came through the middleman.
function noticed(wire, ends) {
  try {
    checkHello(wire, { ...ends, role: LISTENER });
  } catch (error) {
    return error.reason;
  }
  return "";
}

// SPDX-License-Identifier: MIT
// A node with a key of its own stands between a member and the daemon, and passes on what the
// member says. The member here is careless: it believes whom it meant to call, not whom it reached.

import { Caller } from "./caller.mjs";
import { Refused } from "./canon.mjs";
import { Greeting, HELLO } from "./greeting.mjs";
import { readStatement } from "./keys.mjs";
import { checkHello } from "./names.mjs";
import { firstHello, STATEMENT } from "./writer.mjs";

async function hello(wire, network) {
  const frame = await wire.frame("a hello to pass on");
  if (frame?.kind !== STATEMENT) throw new Error(`no hello to pass on, but ${frame?.kind}`);
  return { wire: frame.payload, value: readStatement(frame.payload, network, ["hello"]).value };
}

// What the middleman says to the daemon, once for each way to try it.
const WAYS = {
  // Byte for byte, as it came.
  verbatim: {
    first: (it, mine, theirs) => mine.written(theirs.value, { secret: it.member.secret }),
  },
};

// SPDX-License-Identifier: MIT
// A second reader of the protocol. It shares no line with the Python, and where the same thing can
// be computed in another way, it is: weak keys by arithmetic, trees row by row, the order of price
// facts by comparing. It reads what two nodes may say to each other, and refuses what they may not.

export { decode, encode, fromJson, Refused, toJson } from "./canon.mjs";
export { FRAME_KINDS, readFrame, readStream } from "./frames.mjs";
export { domainTag, networkId, sha256 } from "./hash.mjs";
export { parsePeerId, peerId, readStatement, verify } from "./keys.mjs";
export { KINDS } from "./kinds.mjs";
export {
  checkHello, checkMembership, formatCid, formatInvite, membershipProof, parseCid, parseInvite,
} from "./names.mjs";
export { itemDigest, readTensor, tensorDigest } from "./tensors.mjs";
export { checkPath, checkTable, leafOf, leafSalt, merkleRoot, shapeRoot } from "./trees.mjs";

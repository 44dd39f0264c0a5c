// SPDX-License-Identifier: MIT
// SHA-256, domain tags, and numbers as bytes.

import { createHash, createHmac } from "node:crypto";

export const sha256 = (...parts) => {
  const hash = createHash("sha256");
  for (const part of parts) hash.update(part);
  return hash.digest();
};
export const domainTag = (kind) => sha256(`commons/v1/${kind}`);
export const taggedHash = (kind, ...parts) => sha256(domainTag(kind), ...parts);
export const hmac = (key, ...parts) => {
  const mac = createHmac("sha256", key);
  for (const part of parts) mac.update(part);
  return mac.digest();
};

export function u64(value) {
  const out = Buffer.alloc(8);
  out.writeBigUInt64BE(BigInt(value));
  return out;
}

export const networkId = (name, salt) =>
  taggedHash("network", salt, Buffer.from(name, "utf-8")).subarray(0, 16);

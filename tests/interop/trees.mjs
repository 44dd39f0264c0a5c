// SPDX-License-Identifier: MIT
// Merkle trees, and the table of shapes that an order commits to.

import { compare, decode, Refused } from "./canon.mjs";
import { taggedHash, u64 } from "./hash.mjs";
import { KINDS, shape } from "./kinds.mjs";

const inner = (left, right) => taggedHash("merkle-inner", left, right);
const rootOf = (count, top) => taggedHash("merkle-root", u64(count), top);

export const leafSalt = (secret, side, item) =>
  taggedHash("leaf-salt", secret, Buffer.from([side]), u64(item));
export const leafOf = (item, salt, digest) => taggedHash("leaf", u64(item), salt, digest);

// Row by row, neighbours in pairs from the left; the last one of an odd row rises as it is.
export function merkleRoot(leaves) {
  let row = leaves;
  while (row.length > 1) {
    const next = [];
    for (let at = 0; at < row.length; at += 2)
      next.push(at + 1 < row.length ? inner(row[at], row[at + 1]) : row[at]);
    row = next;
  }
  return rootOf(leaves.length, row[0]);
}

export function checkPath({ root, count, index, leaf, path }) {
  if (index < 0 || index >= count || count > 65_536) throw new Refused("bad_proof", "no such leaf");
  let top = leaf;
  let rest = path;
  for (let at = index, width = count; width > 1; at = at >> 1, width = (width + 1) >> 1) {
    const neighbour = at ^ 1;
    if (neighbour >= width) continue;
    if (rest.length < 32) throw new Refused("bad_proof", "the path is too short");
    const [digest, after] = [rest.subarray(0, 32), rest.subarray(32)];
    top = neighbour < at ? inner(digest, top) : inner(top, digest);
    rest = after;
  }
  if (rest.length) throw new Refused("bad_proof", "the path is too long");
  if (!rootOf(count, top).equals(root)) throw new Refused("bad_proof", "another root");
}

export const shapeRoot = (rows) =>
  merkleRoot(
    rows.map((row) => taggedHash("shape-row", u64(row.count), u64(row.price), shape.write(row.shape))),
  );

export function checkTable(body, orderBody) {
  const { rows } = decode(body, ["shapes"], KINDS).value;
  const { kind, value: order } = decode(orderBody, ["order", "session"], KINDS);
  if (!shapeRoot(rows).equals(order.shape_root)) throw new Refused("bad_proof", "another table");
  if (kind === "order") {
    const items = rows.reduce((total, row) => total + row.count, 0n);
    const price = rows.reduce((total, row) => total + row.count * row.price, 0n);
    if (items !== order.items) throw new Refused("out_of_range", "other items");
    if (price !== order.price) throw new Refused("price_differs", "another price");
    return;
  }
  const kinds = rows.map((row) => [-row.price, row.shape]);
  const falls = kinds.some((one, at) => at && compare(kinds[at - 1], one) > 0);
  if (falls || rows.some((row) => row.count !== 1n)) throw new Refused("out_of_range", "order");
  const shapes = rows.map((row) => shape.write(row.shape).toString("hex"));
  if (new Set(shapes).size !== shapes.length) throw new Refused("out_of_range", "two prices");
  const dearest = rows.map((row) => row.price).reduce((a, b) => (a > b ? a : b));
  if (dearest * order.window !== order.window_price) throw new Refused("price_differs", "window");
}

// SPDX-License-Identifier: MIT
// The rules between the fields of a manifest. Each gives a sentence when it is broken.

import { compare } from "./canon.mjs";

const MODEL = 0n;
const CUT = 1n;
const ADAPTER = 3n;
const FLOORS = [0n, 20_000n, 3_000_000n, 10_000_000n];

const unique = (values) => new Set(values).size === values.length;
const sorted = (values) => values.every((value, at) => !at || compare(values[at - 1], value) <= 0);
const strictly = (values) => values.every((value, at) => !at || compare(values[at - 1], value) < 0);

function* parts(m) {
  const adapter = m.kind === ADAPTER;
  yield [m.kind !== MODEL && !m.base.length, "no base"];
  yield [Boolean(m.graph.length) !== Boolean(m.graph_bytes), "half a graph"];
  yield [Boolean(m.graph.length) === adapter, "an adapter has no graph, all else has one"];
  const extra = m.stages.length || m.costs.length || m.states.length;
  yield [adapter && (extra || !m.tensors.length), "an adapter has tensors and nothing else"];
  yield [m.kind === CUT && !m.stages.length, "a cut has stages"];
  yield [!unique(m.tensors.map((row) => row.name)), "a tensor twice"];
  yield [!unique(m.files.map((row) => `${row.role} ${row.name}`)), "a file twice"];
  yield [!unique(m.symbols), "a symbol twice"];
  const lost = (row) => row.stage > m.stages.length || row.tensor >= m.tensors.length;
  yield [m.stage_tensors.some(lost), "a tensor or stage that does not exist"];
}

function* tolerance({ comparator, tolerance: t, spread }) {
  yield [comparator === 0n && t, "exact has no tolerance"];
  yield [t < FLOORS[Number(comparator)], "below its floor"];
  yield [(comparator === 1n || comparator === 2n) && t * 20n > spread, "not calibrated"];
}

function* ports(m) {
  yield [
    m.derived.some((row, at) => {
      const own = BigInt(m.symbols.length + at);
      const late = row.first >= own || row.second >= own;
      return late || (row.second && !row.second_times) || (row.add && row.less);
    }),
    "a derived symbol that is late, unused or written in two ways",
  ];
  const sides = m.ports.map((port) => [port.stage, port.output]);
  yield [!sorted(sides), "sides out of order"];
  yield [m.ports.some((port) => port.stage > m.stages.length), "a port of no stage"];
  yield [!unique(m.ports.map((p) => `${p.stage} ${p.output} ${p.name}`)), "a port twice"];
  const counts = new Map();
  for (const side of sides) counts.set(String(side), (counts.get(String(side)) ?? 0) + 1);
  yield [[...counts.values()].some((count) => count > 1024), "too many ports"];
  yield [m.ports.some((port) => port.output && port.optional), "an optional output"];
  yield [!sorted(m.dims.map((dim) => dim.port)), "dimensions out of order"];
  yield [m.dims.some((dim) => dim.port >= m.ports.length), "a dimension of no port"];
  const ranks = new Map();
  for (const dim of m.dims) ranks.set(dim.port, (ranks.get(dim.port) ?? 0) + 1);
  yield [[...ranks.values()].some((rank) => rank > 16), "too many dimensions"];
  const symbols = m.symbols.length + m.derived.length;
  yield [m.dims.some((dim) => dim.symbolic && dim.value >= symbols), "a lost symbol"];
}

function* states(m) {
  const used = new Set();
  for (const { input, output } of m.states) {
    const [into, from] = [m.ports[Number(input)], m.ports[Number(output)]];
    yield [!into || !from || used.has(input) || used.has(output), "a state lost, or used twice"];
    used.add(input).add(output);
    yield [into.output || !from.output || into.optional, "state goes from output to input"];
    yield [into.stage !== from.stage || into.element !== from.element, "state changes"];
  }
}

function* wiring({ ports: all }) {
  const wire = (port) => `${port.element} ${port.name}`;
  const there = new Set(all.filter((p) => !p.stage && !p.output).map(wire));
  for (const port of all.filter((p) => p.stage)) {
    if (port.output) there.add(wire(port));
    else yield [!there.has(wire(port)), "a stage takes what nothing gives"];
  }
  const staged = all.some((port) => port.stage);
  const lost = (port) => !port.stage && port.output && !there.has(wire(port));
  yield [staged && all.some(lost), "an output that no stage gives"];
}

// The symbols that the inputs of a stage determine: those that stand in a dimension of an input
// (optional ones too), and what is derived from known ones.
function knownSymbols(m, stage) {
  const free = BigInt(m.symbols.length);
  const ofInputs = m.dims.filter((dim) => {
    const port = m.ports[Number(dim.port)];
    return dim.symbolic && dim.value < free && port.stage === stage && !port.output;
  });
  const known = new Set(ofInputs.map((dim) => dim.value));
  m.derived.forEach((row, at) => {
    if (known.has(row.first) && (known.has(row.second) || !row.second_times))
      known.add(free + BigInt(at));
  });
  return known;
}

function* sides(m) {
  if (m.kind === ADAPTER) {
    yield [m.ports.some((port) => !port.optional), "an adapter fills optional inputs"];
    yield [m.dims.some((dim) => dim.symbolic), "an adapter has fixed dimensions"];
    return;
  }
  for (let stage = 0n; stage <= m.stages.length; stage++) {
    yield [!m.ports.some((p) => p.stage === stage && p.output), "a stage without an output"];
    const known = knownSymbols(m, stage);
    const open = (dim) =>
      dim.symbolic && m.ports[Number(dim.port)].stage === stage && !known.has(dim.value);
    yield [m.dims.some(open), "a dimension that the inputs do not determine"];
  }
}

// Costs by stage, in a stage by their terms; terms by (cost, flops or bytes, powers). So equal
// costs of a stage are one row with a count, and equal powers of a cost are one term.
function* price(m) {
  yield [m.terms.some((term) => term.cost >= m.costs.length), "a term of no cost"];
  yield [m.costs.some((cost) => cost.stage > m.stages.length), "a cost of no stage"];
  const places = m.terms.map((term) => [term.cost, term.which, term.powers]);
  yield [!strictly(places), "terms out of order"];
  const ascends = (powers) => powers.every((factor, at) => !at || powers[at - 1] <= factor);
  yield [m.terms.some((term) => !ascends(term.powers)), "factors out of order"];
  const polynomials = m.costs.map(() => [[], []]);
  for (const term of m.terms)
    polynomials[Number(term.cost)][Number(term.which)].push([term.powers, term.coefficient]);
  yield [polynomials.some(([flops, moved]) => !flops.length && !moved.length), "a free cost"];
  yield [polynomials.flat().some((terms) => terms.length > 64), "too many terms"];
  yield [!strictly(m.costs.map((cost, at) => [cost.stage, ...polynomials[at]])), "costs"];
  for (let stage = 0n; stage <= m.stages.length; stage++) {
    const counts = m.costs.filter((cost) => cost.stage === stage).map((cost) => cost.count);
    yield [counts.reduce((a, b) => a + b, 0n) > 50_000n, "too many nodes"];
    if (m.kind === ADAPTER) continue;
    const known = knownSymbols(m, stage);
    const of = m.terms.filter((term) => m.costs[Number(term.cost)].stage === stage);
    const open = (term) => term.powers.some((factor) => !known.has(BigInt(factor)));
    yield [of.some(open), "a price of an unknown size"];
  }
}

export function brokenManifest(manifest) {
  for (const rules of [parts, tolerance, ports, states, wiring, sides, price])
    for (const [broken, sentence] of rules(manifest)) if (broken) return sentence;
  return "";
}

# SPDX-License-Identifier: MIT
"""How the pages look: one style sheet, for light and dark, for screens, telephones and paper.

Colours have meanings that stay the same everywhere: blue is what nodes know, green what they
say, grey that they are there, vermilion what went wrong, purple who lies, ochre who begins.
They are told apart with any eyes, and no meaning hangs on a colour alone.
"""

STYLE = """
:root {
  color-scheme: light dark;
  --paper: #ffffff; --ink: #191d22; --soft: #59636e; --faint: #e4e7eb; --card: #f5f6f8;
  --known: #0a5fa8; --said: #0b7a5f; --there: #8291a3; --wrong: #c04a12; --lies: #8b3fa0;
  --begins: #b98400; --shade: #c04a12; --shade-part: .09; --wash: .13;
  --words: system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif;
}
@media screen and (prefers-color-scheme: dark) {
  :root {
    --paper: #13161a; --ink: #e9ebee; --soft: #9aa5b1; --faint: #2a3037; --card: #1b1f25;
    --known: #6cb4f5; --said: #4fc4a1; --there: #7d8b9b; --wrong: #f18a57; --lies: #cf8fe2;
    --begins: #e0b04a; --shade: #f18a57; --shade-part: .13; --wash: .18;
  }
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; text-size-adjust: 100%; }
body {
  margin: 0 auto; max-width: 1160px; padding: 40px 40px 56px; background: var(--paper);
  color: var(--ink); font: 15px/1.5 var(--words); font-variant-numeric: tabular-nums;
  overflow-wrap: break-word;
}
.scenario { margin: 0; color: var(--soft); font-size: 14px; }
.scenario b { color: var(--ink); font-weight: 600; }
h1 {
  margin: 2px 0 14px; max-width: 32em; font-size: 30px; line-height: 1.18; font-weight: 650;
  letter-spacing: -.018em; text-wrap: balance;
}
h2 { margin: 0 0 8px; font-size: 16px; line-height: 1.3; font-weight: 650; }
.verdict { display: flex; flex-wrap: wrap; align-items: baseline; gap: 4px 12px; margin: 0; }
.badge {
  display: inline-block; padding: 2px 12px 3px; border-radius: 99px; font-weight: 650;
  color: var(--paper); background: var(--said); print-color-adjust: exact;
}
.badge.wrong { background: var(--wrong); }
.badge.open { color: var(--ink); background: var(--faint); }
.problems { margin: 10px 0 0; padding: 0; list-style: none; }
.problems li { padding: 2px 0 2px 12px; border-left: 3px solid var(--wrong); margin: 4px 0;
  white-space: pre-line; }
.key {
  display: grid; grid-template-columns: repeat(auto-fit, minmax(108px, 1fr)); gap: 14px 16px;
  margin: 24px 0 26px; padding: 14px 0 12px; border: solid var(--faint); border-width: 1px 0;
}
.key dt { color: var(--soft); font-size: 12.5px; line-height: 1.3; }
.key dd { margin: 1px 0 0; font-size: 20px; line-height: 1.25; font-weight: 600;
  letter-spacing: -.01em; }
.key small { display: block; color: var(--soft); font: 12px/1.35 var(--words);
  letter-spacing: 0; }
figure { margin: 0 0 34px; }
figcaption { margin: 0 0 10px; }
figcaption h2 { margin: 0; }
figcaption p { margin: 0; color: var(--soft); font-size: 13.5px; }
.picture { display: block; width: 100%; height: auto; overflow: visible; }
.narrow { display: none; }
.picture text { fill: var(--ink); font-family: inherit; font-size: 12px; }
.picture .heading { font-size: 13px; font-weight: 600; }
.picture .note, .picture .tick { fill: var(--soft); }
.picture .tick { font-size: 11px; }
.picture .lane { fill: var(--soft); font-size: 11px; }
.picture .lane.small { font-size: 9px; }
.picture .lane.strange { fill: var(--lies); }
.grid { stroke: var(--faint); stroke-width: 1; }
.base { stroke: var(--soft); stroke-width: 1; opacity: .45; }
.axis { stroke: var(--soft); stroke-width: 1; }
.shade, .moment { fill: var(--shade); opacity: var(--shade-part); print-color-adjust: exact; }
.moment { opacity: .55; }
.trouble { fill: var(--wrong); print-color-adjust: exact; }
.picture .name { font-size: 11.5px; font-weight: 600; fill: var(--wrong); }
.picture .name.named { fill: var(--paper); }
.curve { fill: none; stroke-width: 1.5; stroke-linejoin: round; }
.point { fill: var(--known); stroke: var(--paper); stroke-width: 1.5; }
.picture .told { font-size: 11px; fill: var(--known); font-weight: 600; }
.area { stroke: none; opacity: var(--wash); print-color-adjust: exact; }
.curve.known { stroke: var(--known); stroke-width: 2.25; } .area.known { fill: var(--known); }
.curve.up { stroke: var(--there); } .area.up { fill: var(--there); }
.curve.messages, .curve.bytes { stroke: var(--said); }
.area.messages, .area.bytes { fill: var(--said); }
.column, .row { fill: var(--ink); opacity: 0; }
.column:hover { opacity: .1; }
g:hover > .row { opacity: .06; }
.up { fill: var(--there); print-color-adjust: exact; }
.curve.up { fill: none; }
.strange .up, .up.byzantine { fill: var(--lies); }
.byzantine { fill: var(--lies); print-color-adjust: exact; }
.starting { fill: var(--begins); print-color-adjust: exact; }
.down { fill: var(--wrong); print-color-adjust: exact; }
.suspended { fill: var(--there); opacity: .32; print-color-adjust: exact; }
.other { fill: var(--soft); opacity: .5; }
.volume { fill: var(--said); print-color-adjust: exact; }
.seed { fill: none; stroke: var(--known); stroke-width: 1; opacity: .22; }
.seed.wrong { stroke: var(--wrong); opacity: .9; stroke-width: 1.25; }
.middle { fill: none; stroke: var(--known); stroke-width: 2.5; stroke-linejoin: round; }
.spread { fill: var(--known); opacity: var(--wash); print-color-adjust: exact; }
.picture .wrong-name { fill: var(--wrong); font-weight: 600; }
.picture .middle-name { fill: var(--known); font-weight: 600; stroke: none; }
section { margin: 0 0 30px; }
.columns { columns: 2; column-gap: 48px; margin-bottom: 30px; }
.columns section { break-inside: avoid; }
table { width: 100%; border-collapse: collapse; font-size: 14px; }
th { text-align: left; font-weight: 400; color: var(--soft); }
thead th { font-size: 12.5px; vertical-align: bottom; }
th, td { padding: 5px 16px 5px 0; border-bottom: 1px solid var(--faint); vertical-align: top; }
th:last-child, td:last-child { padding-right: 0; }
td.number, th.number { text-align: right; white-space: nowrap; }
td.number + td, td.number + th { padding-left: 8px; }
.well { color: var(--said); font-weight: 600; white-space: nowrap; }
.bad { color: var(--wrong); font-weight: 600; white-space: nowrap; }
code, pre, .mono { font-family: ui-monospace, "SF Mono", "Cascadia Mono", Menlo, Consolas,
  "Liberation Mono", monospace; font-size: .92em; }
dd.mono { font-size: 17px; line-height: 1.47; }
pre { margin: 0; padding: 12px 16px; border-radius: 6px; background: var(--card);
  border: 1px solid var(--faint); overflow-x: auto; }
a { color: var(--known); }
td .spark { display: block; width: 150px; height: 26px; overflow: visible; }
.spark .curve { stroke-width: 1.5; } .spark .bad { stroke: var(--wrong); }
.columns td code { overflow-wrap: anywhere; }
.nothing { margin: 0; color: var(--soft); }
.scrolls { overflow-x: auto; }
@media (min-width: 960px) {
  .key { display: flex; justify-content: space-between; }
}
@media screen and (max-width: 640px) {
  .pointer { display: none; }
  body { padding: 22px 16px 40px; }
  h1 { font-size: 24px; }
  .seeds table { min-width: 900px; }
  .wide { display: none; } .narrow { display: block; }
  .columns { columns: 1; }
  .key { grid-template-columns: repeat(2, minmax(0, 1fr)); gap: 12px 16px; margin: 18px 0 20px; }
}
@page { size: landscape; margin: 11mm 13mm; }
@media print {
  body { max-width: none; padding: 0; font-size: 10pt; }
  h1 { max-width: none; font-size: 18pt; margin-bottom: 8px; text-wrap: wrap; }
  .pointer { display: none; }
  .key { margin: 12px 0 14px; padding: 8px 0 6px; display: flex;
    justify-content: space-between; }
  .key dd { font-size: 13pt; } dd.mono { font-size: 11pt; line-height: 1.47; }
  figure { break-inside: avoid; margin-bottom: 20px; }
  .sheet { display: flex; flex-direction: column; min-height: 184mm; }
  .curves { display: flex; flex-direction: column; flex: 1 1 88mm; margin: 0; }
  .curves .picture { flex: 1 1 0; min-height: 88mm; } .curves .narrow { display: none; }
  .lanes .picture { max-height: 170mm; }
  section, tr, pre { break-inside: avoid; } .seeds { break-inside: auto; }
  h2 { break-after: avoid; }
  pre { white-space: pre-wrap; overflow-wrap: anywhere; }
  a { color: inherit; }
}
"""

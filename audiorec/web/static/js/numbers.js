// A song's vector as a table; the more unusual a number is in this library, the stronger its colour.

import { html, useState } from "../vendor/htm-preact.js";
import { ofSong } from "./api.js";
import { useAnswer } from "./store.js";

export function Numbers({ row }) {
  const [isOpen, setOpen] = useState(false);
  return html`<details class="numbers" onToggle=${(e) => setOpen(e.target.open)}>
    <summary>The numbers behind it</summary>${isOpen && html`<${Table} row=${row} />`}</details>`;
}

function Table({ row }) {
  const [answer, error] = useAnswer(() => ofSong(row, "numbers"), [row]);
  const [at, setAt] = useState(null);
  if (error) return html`<p class="failure" role="alert">${error.message}</p>`;
  if (!answer) return html`<p class="quiet">Computing…</p>`;
  const { classes, statistics, about, values, share } = answer;
  const words = at ? sentence(answer, ...at) : `Each row is a class, each column a statistic of its scores over the
    song. Strong colours mark numbers that are unusual in this library: blue for high, orange for low.`;
  return html`<p class="moment" aria-live="polite">${words}</p>
    <div class="scroll" tabindex="0" role="region" aria-label="The numbers of this song"><table class="heat">
      <thead><tr><td></td>${statistics.map((name, s) => html`<th scope="col" title=${about[s]}>${name}</th>`)}</tr></thead>
      <tbody>${classes.map((name, c) => html`<tr><th scope="row"><bdi>${name}</bdi></th>
        ${values[c].map((value, s) => html`<td class=${shade(share[c][s])} title=${sentence(answer, c, s)}
          onPointerEnter=${() => setAt([c, s])}>${short(value)}</td>`)}</tr>`)}</tbody>
    </table></div>`;
}

// Ten steps: much-1 to much-4, little-1 to little-4, or nothing unusual.
function shade(share) {
  const far = Math.abs(share - 0.5) * 2;
  const step = far > 0.96 ? 4 : far > 0.88 ? 3 : far > 0.7 ? 2 : far > 0.4 ? 1 : 0;
  return step ? `${share > 0.5 ? "much" : "little"}-${step}` : "";
}

function sentence({ classes, statistics, values, share, about }, c, s) {
  const percent = Math.round(100 * share[c][s]);
  return `${classes[c]}, ${statistics[s]}: ${short(values[c][s])}, higher than in ${percent} % of the songs here. ${about[s]}`;
}

const short = (value) => (Math.abs(value) >= 100 ? value.toFixed(0) : Number(value.toPrecision(2)).toString());

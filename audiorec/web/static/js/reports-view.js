// Reports of `recall evaluate --json` as charts side by side.
// The files are read in the browser; nothing is uploaded.

import { html, useState } from "../vendor/htm-preact.js";
import { groupColour } from "./colours.js";
import { makeStore, use } from "./store.js";

const FORMS = /^audiorec\/recall-(evaluate|compare)\/1$/;
const NAMES = {
  recall: "Recall", capped_recall: "Recall, capped", hit_rate: "Hit rate", precision: "Precision", ndcg: "NDCG", mrr: "MRR",
};
const SPREAD = { popularity: "Mean plays of the candidates", gini: "Inequality (Gini)", coverage: "Share of the catalogue", fit_cpu_s: "CPU-s to fit" };
const LARGEST = 20_000_000; // bytes of a report
const reports = makeStore({ files: [], measure: "recall", k: "" });

export function ReportsView() {
  const { files, measure, k } = use((s) => s, reports);
  const [failure, setFailure] = useState("");
  const read = async (event) => {
    const chosen = [...event.target.files];
    event.target.value = "";
    const found = [];
    const wrong = [];
    for (const file of chosen) {
      try {
        if (file.size > LARGEST) throw new Error("too large");
        found.push(checked(file.name, JSON.parse(await file.text())));
      } catch (error) {
        wrong.push(`${file.name}: ${error instanceof SyntaxError ? "not JSON" : error.message}`);
      }
    }
    setFailure(wrong.join("; "));
    const old = reports.get().files.filter((one) => !found.some((fresh) => fresh.name === one.name));
    reports.set({ files: [...old, ...found] });
  };
  const rows = files.flatMap((file, at) => file.channels.map((channel) => ({ file, at, channel })));
  const measures = Object.keys(NAMES).filter((name) => rows.some((row) => row.channel.measures[name]));
  const sizes = [...new Set(rows.flatMap((row) => Object.keys(row.channel.measures[measure] || {})))].sort((a, b) => a - b);
  const size = sizes.includes(k) ? k : sizes[sizes.length - 1];
  return html`<div class="state reports"><h2>Reports</h2>
    <p class="quiet">Compare reports written by <code>audiorec recall evaluate … --json > report.json</code>.</p>
    <p class="buttons"><label class="file">Add reports <input type="file" accept=".json,application/json" multiple onChange=${read} /></label>
      ${files.map((file) => html`<button class="small" title=${`Remove ${file.name}`}
        onClick=${() => reports.set({ files: files.filter((one) => one !== file) })}><bdi>${file.name}</bdi> ✕</button>`)}</p>
    ${failure && html`<p class="failure" role="alert">${failure}</p>`}
    ${rows.length > 0 && html`<div class="fields">
        <label>Measure <select value=${measure} onChange=${(e) => reports.set({ measure: e.target.value })}>
          ${measures.map((name) => html`<option value=${name}>${NAMES[name]}</option>`)}</select></label>
        <label>Lists of <select value=${size} onChange=${(e) => reports.set({ k: e.target.value })}>
          ${sizes.map((one) => html`<option value=${one}>${one}</option>`)}</select></label></div>
      <${Bars} rows=${rows} measure=${measure} size=${size} several=${files.length > 1} />
      <${Details} rows=${rows} measure=${measure} size=${size} />`}
  </div>`;
}

function checked(name, document) {
  if (!FORMS.test(document?.schema)) throw new Error("not a report of recall evaluate or compare");
  const channels = document.channels || [document];
  const isGood = (one) => typeof one?.channel === "string" && typeof one.measures === "object" && one.measures !== null;
  if (!Array.isArray(channels) || !channels.every(isGood)) throw new Error("has no channels to show");
  return { name, split: String(document.split ?? ""), channels };
}

// [value, low, high] of a channel; null if the report has none.
function interval({ channel }, measure, size) {
  const found = channel.measures[measure]?.[size];
  return Array.isArray(found) && found.slice(0, 3).every(Number.isFinite) ? found : null;
}

const called = ({ file, channel }, several) => (several ? `${channel.channel} (${file.name})` : channel.channel);

function Bars({ rows, measure, size, several }) {
  const known = rows.map((row) => ({ ...row, found: interval(row, measure, size) })).filter((row) => row.found);
  const most = Math.max(1e-9, ...known.map((row) => row.found[2], 0));
  const ordered = [...known].sort((a, b) => b.found[0] - a.found[0]);
  const share = (value) => `${(100 * Math.max(0, value)) / most}%`;
  return html`<figure class="chart" aria-label=${`${NAMES[measure]} in lists of ${size}, best first`}>
    <ul>${ordered.map((row) => {
      const [value, low, high] = row.found;
      return html`<li><span class="name"><bdi>${called(row, several)}</bdi></span>
        <span class="track" aria-hidden="true"><span class="fill" style=${{ width: share(value), background: groupColour(row.at, -1) }}></span>
          <span class="whisker" style=${{ left: share(low), width: share(high - low) }}></span></span>
        <span class="value">${value.toFixed(4)} <span class="quiet">[${low.toFixed(4)}, ${high.toFixed(4)}]</span></span></li>`;
    })}</ul>
    <figcaption class="quiet">Bars: ${NAMES[measure]}@${size}. Lines: 95 % bootstrap intervals.</figcaption></figure>`;
}

function Details({ rows, measure, size }) {
  const strata = [...new Set(rows.flatMap((row) => Object.keys(row.channel.strata || {})))];
  const number = (value) => (Number.isFinite(value) ? Number(value.toPrecision(3)).toLocaleString("en") : "");
  return html`<div class="scroll" tabindex="0" role="region" aria-label="Details of the reports"><table class="failures">
    <thead><tr><th scope="col">Channel</th><th scope="col">Report</th><th scope="col">Split</th><th scope="col">Queries</th>
      <th scope="col">${NAMES[measure]}@${size}</th>
      ${Object.entries(SPREAD).map(([, words]) => html`<th scope="col">${words}</th>`)}
      ${strata.map((name) => html`<th scope="col">Recall of songs ${name}</th>`)}</tr></thead>
    <tbody>${rows.map((row) => html`<tr><td><bdi>${row.channel.channel}</bdi></td><td><bdi>${row.file.name}</bdi></td>
      <td>${row.file.split}</td><td>${number(row.channel.queries)}</td>
      <td>${number(interval(row, measure, size)?.[0])}</td>
      ${Object.keys(SPREAD).map((name) => html`<td>${number(row.channel[name])}</td>`)}
      ${strata.map((name) => html`<td>${number(row.channel.strata?.[name]?.recall)}</td>`)}</tr>`)}</tbody>
  </table></div>`;
}

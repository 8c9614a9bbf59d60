// Compare two songs: their scores one above the other, and what makes them similar or different.

import { html } from "../vendor/htm-preact.js";
import { getJson, ofSong } from "./api.js";
import { Icon } from "./icons.js";
import { play } from "./player.js";
import { Scores } from "./scores.js";
import { page, use, useAnswer } from "./store.js";

export function Compare({ first, second }) {
  const library = use((s) => s.library);
  const [answer, error] = useAnswer(() => getJson(`/api/compare/${first}/${second}`), [first, second]);
  const close = () => page.set({ other: -1 });
  return html`<section class="song compare" aria-labelledby="song-title">
    <div class="head"><div class="names"><h2 id="song-title" tabindex="-1">Two songs side by side</h2>
      ${answer && html`<p class="said">Closer than ${answer.closer} of all pairs of songs here</p>`}</div>
      <button class="icon" title="Close the comparison" onClick=${close}><${Icon} name="close" /></button></div>
    ${error && html`<p class="failure" role="alert">${error.message}</p>`}
    ${[first, second].map((row) => html`<${One} key=${row} row=${row} library=${library} />`)}
    <h3>What they have in common, and what sets them apart</h3>
    ${answer && !answer.reasons.length && html`<p class="quiet">Nothing that is certain.</p>`}
    <ul class="parts">${answer?.reasons.map((one) => html`<li>
      <span class="quiet">${one.in_common ? "in common" : "the second"}</span> <bdi>${one.words}</bdi></li>`)}</ul>
  </section>`;
}

function One({ row, library }) {
  const [song] = useAnswer(() => ofSong(row), [row]);
  return html`<div class="one">
    <p class="line"><button class="icon" disabled=${!song?.sound.url} title=${`Play ${library.title(row)}`} onClick=${() => play(row)}>
      <${Icon} name="play" /></button>
      <button class="plain title" onClick=${() => page.set({ selected: row, other: -1 })}><bdi>${library.title(row)}</bdi></button>
      <span class="quiet"><bdi>${library.artist(row)}</bdi></span></p>
    <${Scores} row=${row} song=${song} compact=${true} /></div>`;
}

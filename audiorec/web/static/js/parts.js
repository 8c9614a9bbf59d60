// Parts that several views share: a tile with a cover, a line of a song, a row of tiles.

import { html } from "../vendor/htm-preact.js";
import { Cover } from "./covers.js";
import { Icon } from "./icons.js";
import { clock } from "./library.js";
import { play, playing, toggle } from "./player.js";
import { songPath } from "./route.js";
import { use } from "./store.js";
import { Ribbon } from "./wave.js";

export function Tile({ href, rows, title, line, size = 150, round = false, onPlay }) {
  return html`<li class="tile">
    <a href=${href}><${Cover} rows=${rows} size=${size} round=${round} className="fill" /><span class="title"><bdi>${title}</bdi></span>
      <span class="quiet"><bdi>${line}</bdi></span></a>
    ${onPlay && html`<button class="icon over" title=${`Play ${title}`} onClick=${onPlay}><${Icon} name="play" /></button>`}</li>`;
}

export function SongTiles({ rows, line, at = () => undefined }) {
  const library = use((s) => s.library);
  return html`<ul class="tiles">${rows.map((row) => html`<${Tile} key=${row} rows=${[row]} href=${songPath(library, row)} title=${library.title(row)}
    line=${line ? line(row) : library.artist(row)} onPlay=${() => play(row, { queue: [...rows], at: at(row) })} />`)}</ul>`;
}

export function PlayButton({ row, isThere = true }) {
  const library = use((s) => s.library);
  const isPlaying = use((s) => s.row === row && !s.isPaused, playing);
  return html`<button class="icon play-over" disabled=${!isThere} title=${`${isPlaying ? "Pause" : "Play"} ${library.title(row)}`}
    onClick=${() => (isPlaying ? toggle() : play(row))}><${Icon} name=${isPlaying ? "pause" : "play"} /></button>`;
}

// One song in a list: its cover plays, its name opens it; `children` are more columns.
export function SongLine({ row, queue, number, children, hasRibbon = true, said }) {
  const library = use((s) => s.library);
  const isPlaying = use((s) => s.row === row, playing);
  return html`<li class=${`song-line ${isPlaying ? "plays" : ""}`}>
    ${number !== undefined && html`<span class="number quiet">${number}</span>`}
    <button class="plain cover-button" title=${`Play ${library.title(row)}`} onClick=${() => play(row, { queue })}><${Cover} rows=${[row]} size=${44} />
      <${Icon} name="play" /></button>
    <div class="names"><a class="title" href=${songPath(library, row)}><bdi>${library.title(row)}</bdi></a>
      <span class="quiet"><bdi>${said ?? library.artist(row)}</bdi></span></div>
    ${children}
    ${hasRibbon && html`<${Ribbon} row=${row} />`}
    <span class="time quiet">${clock(library.length(row))}</span></li>`;
}

export function Heading({ title, line, children }) {
  return html`<div class="above"><h2>${title} ${line && html`<span class="quiet">${line}</span>`}</h2>${children}</div>`;
}

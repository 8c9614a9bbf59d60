// Parts that several views share: a tile with a cover, a line of a song, a row of tiles.

import { html } from "../vendor/htm-preact.js";
import { Cover } from "./covers.js";
import { Icon } from "./icons.js";
import { clock } from "./library.js";
import { flipLike, isLiked, kept } from "./list-state.js";
import { play, playing } from "./player.js";
import { startRadio } from "./radio.js";
import { songPath } from "./route.js";
import { use, useLibrary } from "./store.js";
import { Ribbon } from "./wave.js";

export function Tile({ href, rows, title, line, size = 150, round = false, onPlay }) {
  return html`<li class="tile">
    <a href=${href}><${Cover} rows=${rows} size=${size} round=${round} className="fill" /><span class="title"><bdi>${title}</bdi></span>
      <span class="quiet"><bdi>${line}</bdi></span></a>
    ${onPlay && html`<button class="icon over" title=${`Play ${title}`} onClick=${onPlay}><${Icon} name="play" /></button>`}</li>`;
}

export function SongTiles({ rows, line, at = () => undefined }) {
  const library = useLibrary();
  return html`<ul class="tiles">${rows.map((row) => html`<${Tile} key=${row} rows=${[row]} href=${songPath(library, row)} title=${library.title(row)}
    line=${line ? line(row) : library.artist(row)} onPlay=${() => play(row, { queue: [...rows], at: at(row) })} />`)}</ul>`;
}

// Its cover plays a song.
export function CoverButton({ row, queue, size = 44 }) {
  const title = useLibrary().title(row);
  return html`<button class="plain cover-button" title=${`Play ${title}`} onClick=${() => play(row, { queue })}><${Cover} rows=${[row]} size=${size} /><${Icon} name="play" /></button>`;
}

// The name of a song, which opens it or something else, and below it who made it or what is said of it.
export function Names({ row, said, href, id, children }) {
  const library = useLibrary();
  return html`<div class="names"><a class="title" id=${id} href=${href || songPath(library, row)}><bdi>${library.title(row)}</bdi></a>
    <span class="quiet"><bdi>${said ?? library.artist(row)}</bdi></span>${children}</div>`;
}

// One song in a list: its cover plays, its name opens it; `children` are more columns.
export function SongLine({ row, queue, number, children, hasRibbon = true, said }) {
  const library = useLibrary();
  const isPlaying = use((s) => s.row === row, playing);
  return html`<li class=${`song-line ${isPlaying ? "plays" : ""}`}>
    ${number !== undefined && html`<span class="number quiet">${number}</span>`}
    <${CoverButton} row=${row} queue=${queue} /><${Names} row=${row} said=${said} />
    ${children}
    ${hasRibbon && html`<${Ribbon} row=${row} />`}
    <span class="time quiet">${clock(library.length(row))}</span></li>`;
}

export function Heading({ title, line, children }) {
  return html`<div class="above"><h2>${title} ${line && html`<span class="quiet">${line}</span>`}</h2>${children}</div>`;
}

export function Heart({ row }) {
  const liked = isLiked(use((s) => s.lists, kept), row);
  return html`<button class="icon heart" aria-pressed=${liked} title=${liked ? "You like it" : "Like it"} onClick=${() => flipLike(row)}><${Icon} name="heart" /></button>`;
}

export const PlayAll = ({ rows, words = "Play" }) => html`<button class="main" disabled=${!rows.length} onClick=${() => play(rows[0], { queue: [...rows] })}><${Icon} name="play" /> ${words}</button>`;

// Of several songs, a few from the whole of them lead on.
export const Radio = ({ rows, words = "Radio", ...others }) => html`<button title="Play, then songs that sound alike; a skip counts" onClick=${() => startRadio([...rows])} ...${others}><${Icon} name="radio" /> ${words}</button>`;

// An icon that is a button, with its words for those who point at it or listen.
export const IconButton = ({ name, ...others }) => html`<button class="icon" ...${others}><${Icon} name=${name} /></button>`;

export const More = ({ left, show }) => left > 0 && html`<button onClick=${show}>Show more <span class="quiet">${left.toLocaleString("en")} left</span></button>`;

export const Failed = ({ of }) => of && html`<p class="failure" role="alert"><bdi>${of.message ?? of}</bdi></p>`;

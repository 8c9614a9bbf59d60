// Albums and artists: by their tags, with covers; an album opens in place.

import { html, useEffect, useRef, useState } from "../vendor/htm-preact.js";
import { genreColour } from "./colours.js";
import { Cover } from "./covers.js";
import { count, label, tally } from "./library.js";
import { MiniMap } from "./mini-map.js";
import { Heading, IconButton, More, PlayAll, Radio, SongLine, Tile } from "./parts.js";
import { called, given, placeOf } from "./places.js";
import { play } from "./player.js";
import { albumPath, artistPath, go, route } from "./route.js";
import { use, useLibrary } from "./store.js";

const PIECE = 120; // tiles drawn at a time
const NEAR = 6; // artists beside one
const ORDERS = [["name", "By name"], ["added", "Newest first"], ["size", "Most songs first"]];

// Groups of songs by a column of text: [{ name, rows }], each with its songs in order.
const memo = new WeakMap();
export function grouped(library, column) {
  if (!memo.has(library)) memo.set(library, {});
  const kept = memo.get(library);
  if (!kept[column]) {
    const { values, codes } = library.texts[column];
    const groups = values.map((name) => ({ name, rows: [] }));
    codes.forEach((code, row) => { if (code >= 0) groups[code].rows.push(row); });
    const track = library.numbers["own:track"];
    const order = (a, b) => (track ? (track[a] || 0) - (track[b] || 0) : 0) || library.collator.compare(library.ids[a], library.ids[b]);
    for (const group of groups) group.rows.sort(order);
    kept[column] = groups.filter((one) => one.rows.length && one.name);
  }
  return kept[column];
}

const genreOf = (library, rows) => tally(rows, (row) => library.about.heads.genre?.[library.numbers["head:genre"]?.[row]])[0]?.[0];
const by = (library, rows) => {
  const names = tally(rows, (row) => library.artist(row));
  return names.length > 1 ? "Various artists" : names[0]?.[0] || "";
};

function sorted(library, groups, order) {
  const added = (one) => Math.max(...one.rows.map((row) => library.numbers.added?.[row] || 0));
  const compare = { name: (a, b) => library.collator.compare(a.name, b.name), added: (a, b) => added(b) - added(a), size: (a, b) => b.rows.length - a.rows.length }[order];
  return [...groups].sort((a, b) => compare(a, b) || library.collator.compare(a.name, b.name));
}

// Genres as a bar that one can filter by.
function GenreBar({ library, groups, chosen, choose }) {
  const most = tally(groups, (one) => genreOf(library, one.rows), (one) => one.rows.length).slice(0, 10);
  if (most.length < 2) return null;
  return html`<div class="genre-bar" role="group" aria-label="Only one genre">${most.map(([genre, n]) => html`<button key=${genre} aria-pressed=${chosen === genre} style=${{ flexGrow: n, borderBottomColor: genreColour(genre) }}
    onClick=${() => choose(chosen === genre ? "" : genre)}>${label(library.words("genre", genre))} <span class="quiet">${n}</span></button>`)}</div>`;
}

export function AlbumsView() {
  const library = useLibrary();
  const { view, rest } = use((s) => s, route);
  const [order, setOrder] = useState("name");
  const [genre, setGenre] = useState("");
  const [most, setMost] = useState(PIECE);
  const opened = useRef(null);
  const open = view === "album" ? rest[0] : "";
  const all = grouped(library, "album");
  const shown = sorted(library, all.filter((one) => !genre || genreOf(library, one.rows) === genre), order);
  const without = library.n - all.reduce((sum, one) => sum + one.rows.length, 0);
  const album = all.find((one) => one.name === open);
  useEffect(() => { opened.current?.scrollIntoView({ block: "nearest" }); }, [open]);
  return html`<div class="sheet albums"><div class="above"><h1>Albums <span class="quiet">${`${all.length.toLocaleString("en")}${without ? `, and ${count(without, "song")} without one` : ""}`}</span></h1>
      <label><span class="hidden">Order</span><select class="pill" value=${order} onChange=${(e) => setOrder(e.target.value)}>${ORDERS.map(([name, words]) => html`<option value=${name}>${words}</option>`)}</select></label></div>
    <${GenreBar} library=${library} groups=${all} chosen=${genre} choose=${setGenre} />
    ${open && !album && html`<p class="note">There is no album ${open} here.</p>`}
    ${album && html`<div ref=${opened}><${Album} album=${album} key=${open} /></div>`}
    ${!all.length && html`<p class="quiet">Your files name no albums. <a href="/artists">Artists</a>, <a href="/songs">all songs</a></p>`}
    <ul class="tiles">${shown.slice(0, most).map((one) => html`<${Tile} key=${one.name} rows=${one.rows} href=${one.name === open ? "/albums" : albumPath(one.name)} title=${one.name}
      line=${[by(library, one.rows), count(one.rows.length, "song")].filter(Boolean).join(", ")} onPlay=${() => play(one.rows[0], { queue: one.rows })} />`)}</ul>
    <${More} left=${shown.length - most} show=${() => setMost(most + PIECE)} /></div>`;
}

function Album({ album: { name, rows } }) {
  const library = useLibrary();
  use((s) => s, given);
  const who = by(library, rows);
  const [first, second] = tally(rows.slice(0, 200), (row) => placeOf(library, row));
  return html`<section class="open-album" aria-labelledby="album-title"><${Cover} rows=${rows} size=${224} />
    <div class="tracks"><div class="above"><h2 id="album-title"><bdi>${name}</bdi> <span class="quiet">${who && who !== "Various artists" ? html`<a href=${artistPath(who)}><bdi>${who}</bdi></a>, ` : who && `${who}, `}${count(rows.length, "song")}</span></h2>
      <p class="buttons"><${PlayAll} rows=${rows} /><${Radio} rows=${rows} />
        <${IconButton} name="close" title="Close the album" onClick=${() => go("/albums")} /></p></div>
      <ol class="songs lines">${rows.map((row, at) => html`<${SongLine} key=${row} row=${row} queue=${rows} number=${at + 1} said=${who === library.artist(row) ? "" : library.artist(row)} />`)}</ol></div>
    <aside><${MiniMap} rows=${rows} covers=${rows.slice(0, 8)} />${first && html`<p class="quiet">Mostly <span class="place-name">${called(first[0])}</span>${second && html`, with ${count(second[1], "step")} into <span class="place-name">${called(second[0])}</span>`}. ${rows.length < 12 && "The rings of the cover are its songs."}</p>`}</aside></section>`;
}

export function ArtistsView() {
  const library = useLibrary();
  const { view, rest } = use((s) => s, route);
  const all = sorted(library, grouped(library, "artist"), "name");
  const [most, setMost] = useState(400);
  const name = view === "artist" ? rest[0] : "";
  const artist = all.find((one) => one.name === name) || (view === "artist" ? null : sorted(library, all, "size")[0]);
  let letter = "";
  const box = useRef(null);
  useEffect(() => { box.current?.querySelector("[aria-current]")?.scrollIntoView({ block: "nearest" }); }, [name]);
  return html`<div class=${`sheet artists ${name ? "one" : ""}`}><nav class="names-list" aria-label="Artists" ref=${box}>${all.slice(0, most).map((one) => {
    const first = one.name.normalize("NFKD").slice(0, 1).toUpperCase();
    const head = first !== letter && (letter = first);
    return html`${head && html`<p class="quiet letter" aria-hidden="true">${head}</p>`}<a key=${one.name} href=${artistPath(one.name)} aria-current=${one === artist ? "page" : undefined}><${Cover} rows=${one.rows} size=${42} round=${true} /><bdi>${one.name}</bdi> <span class="quiet">${one.rows.length}</span></a>`;
  })}<${More} left=${all.length - most} show=${() => setMost(most + 400)} /></nav>
    <div class="artist-page">${artist ? html`<${Artist} artist=${artist} all=${all} key=${artist.name} />` : html`<h1 class="place-name large">${all.length ? "Nobody of this name" : "Your files name no artists"}</h1>`}</div></div>`;
}

function Artist({ artist: { name, rows }, all }) {
  const library = useLibrary();
  use((s) => s, given);
  const { x, y } = library.numbers;
  const middle = (some) => { const there = some.filter((row) => x[row] === x[row]); return [x, y].map((values) => there.reduce((sum, row) => sum + values[row], 0) / (there.length || 1)); };
  const [u, v] = middle(rows);
  const near = all.filter((one) => one.name !== name).map((one) => [one, ...middle(one.rows)]).map(([one, a, b]) => [one, (a - u) ** 2 + (b - v) ** 2]).sort((a, b) => a[1] - b[1]).slice(0, NEAR);
  const versions = library.about.heads.version || [];
  const sung = rows.filter((row) => (versions[library.numbers["head:version"]?.[row]] || "").startsWith("vocal")).length;
  const voice = sung === 0 ? "all without a voice" : sung === rows.length ? "all sung" : `${sung} sung`;
  return html`<section class="hero artist-hero" aria-labelledby="artist-title"><div class="hero-map"><${MiniMap} rows=${rows} covers=${rows.slice(0, 12)} left=${0.25} label=${`Where ${name} is on the map`} /></div>
      <div class="hero-words"><${Cover} rows=${rows} size=${140} round=${true} /><div><h1 id="artist-title"><bdi>${name}</bdi></h1><p class="quiet">${count(rows.length, "song")}${rows.length > 1 && versions.length ? `, ${voice}` : ""}${genreOf(library, rows) ? `, mostly ${library.words("genre", genreOf(library, rows))}` : ""}</p>
        <p class="buttons"><${PlayAll} rows=${rows} /><${Radio} rows=${rows} /></p></div></div></section>
    <div class="two wide-first"><section><${Heading} title="Songs" /><ol class="songs lines">${rows.slice(0, 200).map((row) => html`<${SongLine} key=${row} row=${row} queue=${rows} said=${library.text("album", row)} />`)}</ol></section>
      ${near.length > 0 && html`<section><${Heading} title="Sounds near" /><ul class="tiles round">${near.map(([one]) => html`<${Tile} key=${one.name} rows=${one.rows} round=${true} href=${artistPath(one.name)} title=${one.name} line=${`also ${library.words("genre", genreOf(library, one.rows) || "")}`} />`)}</ul></section>`}</div>`;
}

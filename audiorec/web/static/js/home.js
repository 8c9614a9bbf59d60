// Home: the living map with an evening drawn on it, what to continue, what was not heard for long, places, what is new.
// While songs are heard it says how far it is, and grows.

import { html } from "../vendor/htm-preact.js";
import { Cover } from "./covers.js";
import { clock, count } from "./library.js";
import { listOf } from "./list-state.js";
import { MiniMap } from "./mini-map.js";
import { Heading, PlayAll, SongTiles } from "./parts.js";
import { called, given, placeOf, placesOf } from "./places.js";
import { play, playing } from "./player.js";
import { played } from "./plays.js";
import { go } from "./route.js";
import { use, useAnswer, useLibrary } from "./store.js";

const LONG_AGO = 60 * 86_400_000; // milliseconds
const SHOWN = 8;

const greeting = () => { const hour = new Date().getHours(); return hour < 5 ? "Good night" : hour < 12 ? "Good morning" : hour < 18 ? "Good afternoon" : "Good evening"; };

export function HomeView() {
  const library = useLibrary();
  const growing = use((s) => s.growing);
  use((s) => s.homes);
  use((s) => s, given);
  if (!library.n) return html`<${Empty} growing=${growing} />`;
  const isYoung = growing && growing.done < growing.total;
  return html`<div class="sheet home">${isYoung ? html`<${FirstRun} growing=${growing} />` : html`<${Hero} />`}<${Shelves} /></div>`;
}

function hours(library) {
  let seconds = 0;
  for (let row = 0; row < library.n; row++) seconds += library.length(row) || 0;
  return seconds < 5400 ? count(Math.round(seconds / 60), "minute") : count(Math.round(seconds / 3600), "hour");
}

function Hero() {
  const library = useLibrary();
  const row = use((s) => s.row, playing);
  const evening = library.home?.evening;
  const place = row >= 0 ? placeOf(library, row) : null;
  const rows = evening?.rows || [];
  return html`<section class="hero" aria-labelledby="hero-title">
    <div class="hero-words"><h1 id="hero-title">${greeting()}</h1>
      <p class="quiet">${count(library.n, "song")}, ${hours(library)}.${place && html` You are in <span class="place-name">${called(place)}</span>.`}</p>
      ${rows.length > 1 ? html`<div class="tonight"><h2 class="place-name">Tonight, from calm to wild</h2><p class="quiet">${count(rows.length, "song")} along the line</p>
        <${Rise} heights=${evening.energy} />
        <p class="buttons"><${PlayAll} rows=${rows} /><button onClick=${() => listOf(rows)}>Change it</button></p></div>` : html`<p class="buttons"><a class="button" href="/songs">All songs</a></p>`}</div>
    <div class="hero-map"><${MiniMap} names=${true} way=${rows} playing=${row} covers=${row >= 0 && !rows.includes(row) ? [row] : []} label="Your library as a map, with tonight's songs on it" /></div>
  </section>`;
}

function Rise({ heights }) {
  const at = (height, place) => [4 + (place * 232) / (heights.length - 1), 44 - 38 * height];
  return html`<svg class="rise" viewBox="0 0 240 48" aria-hidden="true"><polyline points=${heights.map((one, place) => at(one, place).join(",")).join(" ")} />
    ${heights.map((one, place) => { const [x, y] = at(one, place); return html`<circle cx=${x} cy=${y} r="3.5" />`; })}</svg>`;
}

function Shelves() {
  const library = useLibrary();
  const home = library.home;
  const mine = played(library);
  const going = [...mine.filter(([, one]) => one.at > 0).map(([row]) => row), ...(home?.continue || [])];
  const started = new Map(mine.map(([row, one]) => [row, one.at]));
  const again = [...mine.filter(([, one]) => Date.now() - one.when > LONG_AGO && one.times > 1).map(([row]) => row), ...(home?.rediscover || [])];
  const unique = (rows) => [...new Set(rows)].slice(0, SHOWN);
  const places = placesOf(library);
  const left = (row) => (started.get(row) > 0 ? `${clock(library.length(row) - started.get(row))} left` : library.artist(row));
  return html`${going.length > 0 && html`<section><${Heading} title="Continue" /><${SongTiles} rows=${unique(going)} line=${left} at=${(row) => started.get(row) || undefined} /></section>`}
    ${again.length > 0 && html`<section><${Heading} title="Rediscover" line="not heard for a while" /><${SongTiles} rows=${unique(again)} /></section>`}
    ${places.length > 0 && html`<section><${Heading} title="Places to be" line="mixes from your map" /><ul class="places">${places.slice(0, library.numbers.copies?.some((n) => n > 0) ? 5 : 6).map((one) => html`<${PlaceCard} key=${one.name} place=${one} />`)}<${Twice} /></ul></section>`}
    ${home?.added?.rows.length > 0 && html`<section><${Heading} title="New here" line=${home.added.week ? `${home.added.week} this week` : ""} /><${SongTiles} rows=${home.added.rows.slice(0, SHOWN)} /></section>`}`;
}

function PlaceCard({ place }) {
  return html`<li class="place"><${MiniMap} zoom=${[place.x, place.y - 0.08, 4]} rows=${place.rows} label="" href=${`/map?at=${place.x.toFixed(2)},${place.y.toFixed(2)}&z=3`} />
    <button class="plain" title=${`Play ${called(place)}`} onClick=${() => play(place.rows[0], { queue: place.rows })}><span class="place-name">${called(place)}</span><span>${place.line}</span></button></li>`;
}

function Twice() {
  const library = useLibrary();
  const [rows] = useAnswer(() => Promise.resolve(Array.from({ length: library.n }, (_, row) => row).filter((row) => library.numbers.copies?.[row] > 0)), [library]);
  if (!rows?.length) return null;
  return html`<li class="place twice"><a href="/tidy"><${Cover} rows=${[rows[0]]} size=${44} /><strong>${count(Math.ceil(rows.length / 2), "recording")} twice</strong><span class="quiet">Tidy up</span></a></li>`;
}

// Songs that are there already, around the one that is heard now; the others are seeds.
function FirstRun({ growing }) {
  const library = useLibrary();
  const { done, total, now, left_s: left } = growing;
  const rows = Array.from({ length: library.n }, (_, row) => row);
  const wait = left > 90 ? `About ${Math.round(left / 60)} minutes to go` : left > 0 ? "About a minute to go" : "A few minutes to go";
  return html`<section class="first-run" aria-labelledby="hero-title">
    <${Seeds} n=${total} rows=${rows.slice(-24)} />
    <div><h1 id="hero-title" class="huge">${done} of ${total}</h1>
      <p class="quiet" role="status">Every song gets a face and a place. ${wait}, and you can leave: it carries on.</p>
      ${now && html`<p class="place-name">listening to ${now}</p>`}
      <div class="hero-map"><${MiniMap} names=${true} /></div>
      <p class="buttons"><${PlayAll} rows=${rows} words=${`Play these ${rows.length}`} /></p></div></section>`;
}

const GOLDEN = 2.399963;
function Seeds({ n, rows }) {
  const shown = Math.min(n, 420);
  const place = (at) => { const [far, angle] = [12 + 4.4 * Math.sqrt(at + 30) * 2, at * GOLDEN]; return [220 + far * Math.cos(angle), 220 + far * Math.sin(angle)]; };
  const last = rows.at(-1);
  return html`<div class="seeds-field" aria-hidden="true"><svg viewBox="0 0 440 440">${Array.from({ length: shown }, (_, at) => { const [x, y] = place(at); return html`<circle cx=${x} cy=${y} r=${Math.max(1.2, 3 - at / 200)} />`; })}</svg>
    ${rows.slice(0, -1).map((row, at) => { const angle = at * GOLDEN; return html`<span key=${row} style=${{ left: `${50 + 27 * Math.cos(angle)}%`, top: `${50 + 27 * Math.sin(angle)}%` }}><${Cover} rows=${[row]} size=${36} round=${true} /></span>`; })}
    ${last !== undefined && html`<span class="middle"><${Cover} rows=${[last]} size=${150} round=${true} /></span>`}</div>`;
}

function Empty({ growing }) {
  const isHearing = growing && growing.done < growing.total;
  return html`<div class="sheet empty-page"><h1 class="place-name large">No songs on the map yet</h1>
    <p class="quiet">${isHearing ? `The first of ${count(growing.total, "song")} is being heard. It appears here by itself.` : html`Show audiorec a folder, and it will listen to it: <code>audiorec start ~/Music</code>`}</p></div>`;
}


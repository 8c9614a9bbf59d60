// When the library on disk is replaced, the page shows the new one as soon as nobody touches it.

import { html } from "../vendor/htm-preact.js";
import { forget, getJson, OLD, postJson } from "./api.js";
import { forgetFaces } from "./covers.js";
import { count, loadLibrary } from "./library.js";
import { moveList } from "./list-state.js";
import { askHome } from "./places.js";
import { moveSongs } from "./player.js";
import { moveRadio } from "./radio.js";
import { page, say, use } from "./store.js";

const POLL = 10_000; // milliseconds
const POLL_GROWING = 3_000;
const STILL = 4_000; // nobody has touched the page for this long

// A correction shows at once: the library is opened anew as the owner says it is.
addEventListener("audiorec-corrected", () => showAnew().catch(() => null));

export function watchLibrary() {
  let timer = 0;
  let touched = performance.now();
  for (const name of ["pointerdown", "pointermove", "keydown", "wheel"]) {
    addEventListener(name, () => { touched = performance.now(); }, { passive: true, capture: true });
  }
  // isOld: another window has loaded the new one, so questions about this one have no answer any more.
  const look = async (isOld = false) => {
    clearTimeout(timer);
    let growing = null;
    if (document.visibilityState === "visible" && page.get().library) {
      const answer = await getJson("/api/running").catch(() => null);
      if (answer) {
        ({ growing } = answer);
        page.set({ growing });
        await followNight(answer.night);
        const isNew = answer.store && answer.store !== page.get().library.about.edition;
        if (isNew && (isOld || performance.now() - touched > STILL)) await showAnew().catch((error) => page.set({ unreadable: error.message }));
      }
    }
    clearTimeout(timer);
    timer = setTimeout(() => look(), growing ? POLL_GROWING : POLL);
  };
  look();
  document.addEventListener("visibilitychange", () => look());
  addEventListener(OLD, () => look(true));
}

// Recommendations are those of the night that is served now.
async function followNight(night) {
  const { library } = page.get();
  if (!night || night === library.about.recall?.run_id) return;
  const about = await getJson("/api/library").catch(() => null);
  if (about?.edition !== library.about.edition) return;
  library.about.recall = about.recall;
  page.set((state) => ({ nights: state.nights + 1 }));
  say("The recommendations are those of a new night");
}

// Why the library that is on disk now is not shown.
export function Unreadable() {
  const why = use((s) => s.unreadable);
  return why && html`<p class="changes failure" role="alert">The library has changed, and cannot be shown: ${why}</p>`;
}

// Keep the current, listed and selected songs under their new rows if they still exist.
async function showAnew() {
  await postJson("/api/renew", {});
  forget();
  forgetFaces();
  const old = page.get().library;
  const library = await loadLibrary();
  const moved = (row) => (row < 0 ? -1 : library.row(old.ids[row]) ?? -1);
  const { selected, colour } = page.get();
  take(library, { selected: moved(selected), colour });
  moveList(moved);
  moveRadio(moved);
  moveSongs(moved);
  say(`The library now has ${count(library.n, "song")}`);
}

export function take(library, { selected = -1, colour = "" } = {}) {
  const [first] = library.about.heads.genre ? ["head:genre"] : library.colours[0];
  const isThere = library.colours.some(([name]) => name === colour);
  document.title = `${count(library.n, "song")} · audiorec`;
  page.set({
    library, selected, unreadable: "", colour: isThere ? colour : first, lasso: null, marks: null, hidden: new Set(),
  });
  askHome(library);
  library.prepareSearch();
  library.waitForMap(() => page.set((state) => ({ maps: state.maps + 1 })));
}

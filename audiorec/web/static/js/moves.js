// Moving a song within a list: by dragging, by arrow keys on its handle, or by a tap on either half of it.

import { html, useEffect, useRef, useState } from "../vendor/htm-preact.js";
import { Icon } from "./icons.js";
import { page, say } from "./store.js";

// `move(from, to)` changes the list; `box` is for its element, `item` gives what each song's line needs.
export function useMoves(songs, move) {
  const library = page.get().library;
  const [dragged, setDragged] = useState(-1);
  const [focus, setFocus] = useState(null);
  const box = useRef(null);
  useEffect(() => {
    if (focus !== null) box.current?.querySelector(`[data-row="${focus}"] .handle`)?.focus();
  }, [songs, focus]);
  const step = (at, by) => {
    move(at, at + by);
    setFocus(songs[at]);
    say(`${library.title(songs[at])} is now number ${Math.min(songs.length, Math.max(1, at + by + 1))}`);
  };
  const onKey = (event, at) => {
    const by = { ArrowUp: -1, ArrowDown: 1 }[event.key];
    if (!by) return;
    event.preventDefault();
    step(at, by);
  };
  const onTap = (event, at) => {
    const { top, height } = event.currentTarget.getBoundingClientRect();
    if (event.detail) step(at, event.clientY < top + height / 2 ? -1 : 1); // not of a key
  };
  const item = (at) => ({
    "data-row": songs[at], draggable: "true",
    onDragStart: (e) => { setDragged(at); e.dataTransfer.setData("text/plain", String(at)); },
    onDragOver: (e) => e.preventDefault(),
    onDragEnd: () => setDragged(-1),
    onDrop: (e) => { e.preventDefault(); move(Number(e.dataTransfer.getData("text/plain")), at); setDragged(-1); },
  });
  const handle = (at) => html`<button class="icon handle" title=${`Move ${library.title(songs[at])}: arrow keys up and down`}
    onKeyDown=${(e) => onKey(e, at)} onClick=${(e) => onTap(e, at)}><${Icon} name="up" /><${Icon} name="down" /></button>`;
  return { box, dragged, item, handle };
}

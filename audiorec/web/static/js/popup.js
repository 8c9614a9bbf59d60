// What opens above the page: a click elsewhere, or Escape, closes it.

import { useEffect } from "../vendor/htm-preact.js";

export function useAway(box, isOpen, close) {
  useEffect(() => {
    if (!isOpen) return undefined;
    const away = (event) => {
      if (event.key === "Escape" || (event.type === "pointerdown" && !box.current.contains(event.target))) close();
    };
    addEventListener("pointerdown", away);
    addEventListener("keydown", away);
    return () => { removeEventListener("pointerdown", away); removeEventListener("keydown", away); };
  }, [isOpen]);
}

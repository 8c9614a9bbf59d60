// Dots as pixels of an image: a hundred thousand of them take a few milliseconds.

// Half the width of each row of a disc; -1 for an empty row.
export function makeDisc(radius) {
  const reach = Math.floor(radius);
  return Int32Array.from({ length: 2 * reach + 1 }, (_, line) => {
    const rest = radius ** 2 - (line - reach) ** 2;
    return rest < 0 ? -1 : Math.floor(Math.sqrt(rest));
  });
}

// What puts a dot into packed pixels of an image; one that would cross its edge is left out.
export const dotter = (pixels, width, height) => (left, top, colour, disc) => {
  const reach = disc.length >> 1;
  if (!(left >= reach && top >= reach && left < width - reach && top < height - reach)) return;
  for (let line = 0; line < disc.length; line++) {
    const half = disc[line];
    if (half < 0) continue;
    const start = (top + line - reach) * width + left;
    for (let at = start - half; at <= start + half; at++) pixels[at] = colour;
  }
};

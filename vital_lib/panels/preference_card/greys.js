// Paints greys of 16 bits in a window. `vital_lib/dicom/windows.py` has the same formulas.
const LEVELS = 65536;

// Return the window chosen in a view, with the level and the width that the annotator gave it.
export function adjusted({ windows }, { window, level, width }) {
  const own = windows[window % windows.length];
  if (level === null && width === null) return own;
  const next = { ...own, centre: level ?? own.centre, width: Math.max(width ?? own.width, 1e-6) };
  const straight = next.width < 1 ? "LINEAR_EXACT" : "LINEAR";  // a table has no other width
  return { ...next, function: own.function === "SIGMOID" ? "SIGMOID" : straight };
}
// Return the share of white of a rescaled value.
function share(value, { centre, width, function: kind, first, table }) {
  if (kind === "TABLE") {
    const place = Math.floor(value + 0.5) - first;
    return table[Math.min(table.length - 1, Math.max(0, place))] / (LEVELS - 1);
  }
  if (kind === "SIGMOID") return 1 / (1 + Math.exp(-4 * (value - centre) / width));
  const [middle, wide] = kind === "LINEAR" ? [centre - 0.5, width - 1] : [centre, width];
  if (!wide) return value > middle ? 1 : 0;
  return Math.min(1, Math.max(0, (value - middle) / wide + 0.5));
}
function shades({ slope, intercept, inverted }, window) {
  return Uint32Array.from({ length: LEVELS }, (_, grey) => {
    const white = share(slope * grey + intercept, window);
    return 0xff000000 + 0x10101 * Math.floor(255 * (inverted ? 1 - white : white) + 0.5);
  });
}
// Return a function that paints a canvas, unless it is painted so already.
export function painter(greys, window, figure) {
  const painted = JSON.stringify([figure, greys.width, greys.height, window.centre, window.width,
    window.function, window.name]);
  return (canvas) => {
    if (canvas.dataset.painted === painted) return;
    canvas.dataset.painted = painted;
    const context = canvas.getContext("2d"), table = shades(greys, window);
    const image = context.createImageData(greys.width, greys.height);
    const pixels = new Uint32Array(image.data.buffer);
    for (let place = 0; place < pixels.length; place += 1) pixels[place] = table[greys.stored[place]];
    context.putImageData(image, 0, 0);
  };
}

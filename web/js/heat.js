// Heat maps: an image's attention to a word, drawn over it.
//
// Contract: values are 0 to 1, as the service returns them. A map has few positions (16 by 16), so it is scaled up
// before it is coloured, and the browser scales it further. Colours and opacity are those of the service's own heat
// maps.

/** Inferno at five points, dark to bright: perceptually uniform, and readable without red or green. */
const INFERNO = [[0, 0, 4], [87, 16, 110], [188, 55, 84], [249, 142, 9], [252, 255, 164]];
/** Canvas pixels per position. */
const SCALE = 8;
/** Opacity of the coldest and of the hottest position. */
const COVER = [0.2, 0.85];

/**
 * The attention to the word under the pointer; `null` without one, or if the prompts have changed since.
 * @param {import("./types.js").State} state
 * @returns {{side: "source" | "target", map: import("./types.js").WordAttention} | null}
 */
export function pointedAt({ pointed, made, result, source, edit }) {
  if (pointed === null) return null;
  const { side, index } = pointed;
  const isSource = side === "source";
  const isCurrent = isSource ? made?.prompt === source.prompt : result?.edit.prompt === edit.prompt;
  const map = (isSource ? made?.attention : result?.attention)?.[index];
  return isCurrent && map && map.values.length > 0 ? { side, map } : null;
}

/**
 * @param {HTMLCanvasElement} canvas
 * @param {import("./types.js").WordAttention} map
 */
export function paint(canvas, { width, height, values }) {
  canvas.width = width * SCALE;
  canvas.height = height * SCALE;
  const context = canvas.getContext("2d");
  if (!context) return;
  const pixels = context.createImageData(canvas.width, canvas.height);
  const rows = stretched(values.map((row) => stretched(row, mix)), (a, b, part) => a.map((value, at) => mix(value, b[at], part)));
  rows.flat().forEach((value, at) => {
    const cover = mix(COVER[0], COVER[1], value);
    pixels.data.set([...colour(value), Math.round(cover * 255)], at * 4);
  });
  context.putImageData(pixels, 0, 0);
}

const mix = (/** @type {number} */ a, /** @type {number} */ b, /** @type {number} */ part) => a + (b - a) * part;

/**
 * `SCALE` times as many values, with smooth interpolation.
 * @template T
 * @param {T[]} values
 * @param {(a: T, b: T, part: number) => T} between
 * @returns {T[]}
 */
function stretched(values, between) {
  return Array.from({ length: values.length * SCALE }, (_, at) => {
    const place = Math.min(Math.max((at + 0.5) / SCALE - 0.5, 0), values.length - 1);
    const first = Math.floor(place);
    const part = place - first;
    return between(values[first], values[Math.min(first + 1, values.length - 1)], part * part * (3 - 2 * part));
  });
}

/** @param {number} value */
function colour(value) {
  const place = Math.min(Math.max(value, 0), 1) * (INFERNO.length - 1);
  const at = Math.min(Math.floor(place), INFERNO.length - 2);
  return INFERNO[at].map((low, part) => Math.round(mix(low, INFERNO[at + 1][part], place - at)));
}

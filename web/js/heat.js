// Heat maps: where an image attends to a word, drawn over it.
//
// Contract: values are 0 to 1 as the service answers them. A map has few positions (16 by 16), so it is scaled up before
// it is coloured, and by the browser from there. Colours and cover are those of the service's own pictures.

/** Inferno at five places, dark to bright: perceptually even, and readable without red or green. */
const INFERNO = [[0, 0, 4], [87, 16, 110], [188, 55, 84], [249, 142, 9], [252, 255, 164]];
/** Pixels of the canvas a position. */
const SCALE = 8;
/** How much of the image is covered where it is cold, and where it is hottest. */
const COVER = [0.2, 0.85];

/**
 * The attention to the word that is pointed at; `null` where none is, or where prompts were changed since.
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
 * `SCALE` times as many values, those between two of them mixed smoothly.
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

// Dragging a control by mouse, pen or touch.
//
// Contract: a mouse or pen moves the control from where it is pressed. A swipe by touch that begins on the control
// scrolls the page and moves nothing. A touch moves the control in two ways: a tap moves it to that place, and a touch
// that first rests for a moment drags it. The element needs `touch-action: pan-y`. Horizontal sliders keep the browser's
// own dragging; for them, `undecided` says when a touch may still become a swipe.

/** How long a touch rests before it drags, in milliseconds, and how far it may move until then, in pixels. */
const REST_MS = 200;
const SLACK_PX = 8;

/**
 * @param {HTMLElement} host
 * @param {(event: PointerEvent) => void} move  moves the control to the pointer
 */
export function draggable(host, move) {
  /** The pointer that is down, with where it was pressed. @type {{id: number, x: number, y: number} | null} */
  let down = null;
  let isDragging = false;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  let rest;

  const release = () => {
    clearTimeout(rest);
    down = null;
    isDragging = false;
    host.classList.remove("is-held");
  };
  const hold = () => {
    isDragging = true;
    host.classList.add("is-held");
  };

  host.addEventListener("pointerdown", (event) => {
    if (event.button !== 0 || !event.isPrimary) return;
    release();
    down = { id: event.pointerId, x: event.clientX, y: event.clientY };
    if (event.pointerType === "touch") {
      rest = setTimeout(hold, REST_MS);
      return;
    }
    host.setPointerCapture(event.pointerId);
    hold();
    move(event);
  });
  host.addEventListener("pointermove", (event) => {
    if (down?.id !== event.pointerId) return;
    if (isDragging) move(event);
    else if (Math.hypot(event.clientX - down.x, event.clientY - down.y) > SLACK_PX) release();
  });
  host.addEventListener("pointerup", (event) => {
    if (down?.id !== event.pointerId) return;
    // A tap.
    if (event.pointerType === "touch" && !isDragging) move(event);
    release();
  });
  host.addEventListener("pointercancel", release);
  // While the control is dragged, the page does not scroll.
  host.addEventListener("touchmove", (event) => isDragging && event.cancelable && event.preventDefault(), { passive: false });
  // The caller decides about focus; and a touch that rests opens no menu.
  host.addEventListener("mousedown", (event) => event.preventDefault());
  host.addEventListener("contextmenu", (event) => down !== null && event.preventDefault());
}

/**
 * Browsers move a horizontal slider as soon as it is touched, before it is known whether the page will scroll.
 * @param {HTMLElement} host  a slider, or an element around it
 * @returns {() => boolean}  whether a touch is down that has not moved sideways: what it has set is to be undone
 */
export function undecided(host) {
  /** @type {number | null} */
  let start = null;
  const forget = () => (start = null);
  host.addEventListener("pointerdown", (event) => (start = event.pointerType === "touch" ? event.clientX : null));
  host.addEventListener("pointermove", (event) => {
    if (start !== null && Math.abs(event.clientX - start) > SLACK_PX) forget();
  });
  host.addEventListener("pointerup", forget);
  host.addEventListener("pointercancel", forget);
  return () => start !== null;
}

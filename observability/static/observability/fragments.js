// Puts what the server has made anew in the place of what was there.

import { prepare } from "./sorting.js";

const shown = new Map();

// What somebody is at stays as it is until they leave it.
export function put(page, name, html) {
    const place = page.querySelector(`[data-fragment="${name}"]`);
    if (!place || place.contains(document.activeElement) || shown.get(name) === html) return;
    shown.set(name, html);
    const scrolled = [...place.querySelectorAll(".scroll")].map((box) => box.scrollTop);
    place.innerHTML = html; // made by the server, which escapes what it shows
    place.querySelectorAll(".scroll").forEach((box, index) => (box.scrollTop = scrolled[index] ?? 0));
    prepare(place);
}

// What the browser remembers between visits. In a frame without storage it is remembered as long as the page lives.

const PREFIX = "kiro-chat:";

/** @type {Map<string, string>} */
const memory = new Map();

/** @returns {Storage | null} */
function place() {
  try {
    return window.localStorage;
  } catch {
    return null;
  }
}

/**
 * @template T
 * @param {string} name
 * @param {T} otherwise
 * @returns {T}
 */
export function recall(name, otherwise) {
  try {
    const text = place()?.getItem(PREFIX + name) ?? memory.get(name);
    return text == null ? otherwise : JSON.parse(text);
  } catch {
    return otherwise;
  }
}

/**
 * Keeps a value, or forgets it when it is null.
 * @param {string} name
 * @param {unknown} value
 */
export function remember(name, value) {
  const text = JSON.stringify(value);
  if (value === null) memory.delete(name);
  else memory.set(name, text);
  try {
    if (value === null) place()?.removeItem(PREFIX + name);
    else place()?.setItem(PREFIX + name, text);
  } catch {
    // Full or forbidden: `memory` has it.
  }
}

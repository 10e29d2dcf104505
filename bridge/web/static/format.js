// Numbers and times as people read them.

/** @param {number} ms @returns {string} */
export function duration(ms) {
  const seconds = Math.max(0, ms) / 1000;
  if (seconds < 1) return seconds < 0.1 ? "" : `${seconds.toFixed(1)} s`;
  if (seconds < 60) return `${Math.round(seconds)} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min ${Math.round(seconds % 60)} s`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}

/** @param {number} bytes @returns {string} */
export function size(bytes) {
  if (bytes < 1000) return `${bytes} B`;
  const unit = Math.min(3, Math.floor(Math.log10(bytes) / 3));
  const value = bytes / 1000 ** unit;
  return `${value < 10 ? value.toFixed(1) : Math.round(value)} ${["B", "kB", "MB", "GB"][unit]}`;
}

/** @param {string} at @param {Date} [now] @returns {string} the time of day, or the day when it was another one */
export function moment(at, now = new Date()) {
  const date = new Date(at);
  if (date.toDateString() === now.toDateString()) {
    return date.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
  }
  const year = date.getFullYear() === now.getFullYear() ? undefined : "numeric";
  return date.toLocaleDateString([], { day: "numeric", month: "short", year });
}

/** @param {string} at @returns {string} */
export const fullTime = (at) => new Date(at).toLocaleString();

/** @param {string} path @returns {string} the last part */
export const baseName = (path) => path.replace(/\/+$/, "").split("/").pop() || path;

/** @param {string} text @returns {string} without what would reorder or hide what people read */
export const visible = (text) => text.replace(/[\u202a-\u202e\u2066-\u2069\u200b\u200e\u200f\ufeff]/g, "\ufffd");

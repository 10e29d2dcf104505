// What a change to a text is, line by line.

const MOST_CELLS = 250_000;

/**
 * @param {string} before
 * @param {string} after
 * @returns {{kind: "same" | "gone" | "new", text: string}[]}
 */
export function diffLines(before, after) {
  const old = before ? before.split("\n") : [];
  const now = after ? after.split("\n") : [];
  let start = 0;
  while (start < old.length && start < now.length && old[start] === now[start]) start += 1;
  let end = 0;
  while (end < old.length - start && end < now.length - start && old[old.length - 1 - end] === now[now.length - 1 - end]) end += 1;
  const same = (/** @type {string} */ text) => ({ kind: /** @type {"same"} */ ("same"), text });
  return [
    ...old.slice(0, start).map(same),
    ...middle(old.slice(start, old.length - end), now.slice(start, now.length - end)),
    ...old.slice(old.length - end).map(same),
  ];
}

/**
 * @param {string[]} old
 * @param {string[]} now
 * @returns {{kind: "same" | "gone" | "new", text: string}[]}
 */
function middle(old, now) {
  if (!old.length || !now.length || old.length * now.length > MOST_CELLS) {
    return [
      ...old.map((text) => ({ kind: /** @type {"gone"} */ ("gone"), text })),
      ...now.map((text) => ({ kind: /** @type {"new"} */ ("new"), text })),
    ];
  }
  const width = now.length + 1;
  const common = new Uint16Array((old.length + 1) * width);
  const at = (/** @type {number} */ i, /** @type {number} */ j) => common[i * width + j] ?? 0;
  for (let i = old.length - 1; i >= 0; i -= 1) {
    for (let j = now.length - 1; j >= 0; j -= 1) {
      common[i * width + j] = old[i] === now[j] ? at(i + 1, j + 1) + 1 : Math.max(at(i + 1, j), at(i, j + 1));
    }
  }
  /** @type {{kind: "same" | "gone" | "new", text: string}[]} */
  const found = [];
  let i = 0;
  let j = 0;
  while (i < old.length || j < now.length) {
    if (i < old.length && j < now.length && old[i] === now[j]) {
      found.push({ kind: "same", text: old[i] ?? "" });
      i += 1;
      j += 1;
    } else if (i < old.length && (j >= now.length || at(i + 1, j) >= at(i, j + 1))) {
      found.push({ kind: "gone", text: old[i] ?? "" });
      i += 1;
    } else {
      found.push({ kind: "new", text: now[j] ?? "" });
      j += 1;
    }
  }
  return found;
}

// Requests to the bridge, under addresses relative to the page's own.

import { t } from "./strings.js";

const base = new URL(document.documentElement.dataset.base ?? "./", document.baseURI);

/** @param {string} path @returns {URL} */
export const address = (path) => new URL(path, base);

/** @param {string} session @param {string} [rest] @returns {string} */
export const sessionPath = (session, rest = "") =>
  `api/v1/sessions/${encodeURIComponent(session)}${rest ? `/${rest}` : ""}`;

/** A request that did not do what it was for; `message` says what happened and `remedy` what to do. */
export class Refused extends Error {
  /** @param {string} message @param {{status?: number, type?: string, remedy?: string}} [told] */
  constructor(message, { status = 0, type = "", remedy = "" } = {}) {
    super(message);
    this.status = status;
    this.type = type.replace("urn:kiro-bridge:", "");
    this.remedy = remedy;
  }

  /** Whether the bridge did not answer, so that it is not known what became of the request. */
  get unanswered() {
    return this.status === 0 || this.status === 502 || this.status === 503 || this.status === 504;
  }

  /** Whether this bridge has no such route. */
  get missing() {
    return (this.status === 404 && !this.type) || this.status === 405;
  }

  /** @returns {string} */
  get words() {
    return [this.message, this.remedy].filter(Boolean).join(" ");
  }
}

/**
 * @param {Response} response
 * @returns {Promise<Refused>}
 */
export async function refusal(response) {
  const body = await response.json().catch(() => ({}));
  const problem = response.headers.get("Content-Type")?.includes("problem+json") ? body : {};
  const told = problem.errors?.[0]?.message ?? problem.detail;
  const unreachable = [502, 503, 504].includes(response.status) && !told;
  return new Refused(told ?? (unreachable ? t.unreachable : t.answered(response.status)), {
    status: response.status,
    type: problem.type === "about:blank" ? "problem" : (problem.type ?? (problem.detail ? "problem" : "")),
    remedy: problem.remedy,
  });
}

/**
 * Asks the bridge and returns the JSON it answers. Throws `Refused`.
 * @param {string} method
 * @param {string} path
 * @param {unknown} [body]
 * @returns {Promise<any>}
 */
export async function call(method, path, body) {
  /** @type {RequestInit} */
  const options = { method, cache: "no-store", credentials: "same-origin" };
  if (body !== undefined) {
    options.headers = { "Content-Type": "application/json" };
    options.body = JSON.stringify(body);
  }
  let response;
  try {
    response = await fetch(address(path), options);
  } catch {
    throw new Refused(t.unreachable);
  }
  if (!response.ok) throw await refusal(response);
  if (!response.headers.get("Content-Type")?.includes("json")) throw new Refused(t.notTheBridge, { status: 401 });
  return response.json();
}

/** @param {string} path @returns {Promise<any>} */
export const get = (path) => call("GET", path);

/**
 * Reads something that may not be there in this bridge: null then. Throws `Refused` for everything else.
 * @param {string} path
 * @returns {Promise<any>}
 */
export async function getIfThere(path) {
  try {
    return await call("GET", path);
  } catch (error) {
    if (error instanceof Refused && error.missing) return null;
    throw error;
  }
}

/**
 * Sends files with progress.
 * @param {string} path
 * @param {FormData} form
 * @param {(part: number) => void} progress
 * @returns {{done: Promise<any>, abort: () => void}}
 */
export function upload(path, form, progress) {
  const request = new XMLHttpRequest();
  const done = new Promise((resolve, reject) => {
    request.upload.onprogress = (event) => event.lengthComputable && progress(event.loaded / event.total);
    request.onerror = () => reject(new Refused(t.unreachable));
    request.onabort = () => reject(new Refused(t.uploadStopped, { type: "aborted" }));
    request.onload = () => {
      /** @type {any} */
      let body = {};
      try {
        body = JSON.parse(request.responseText);
      } catch {
        // Told by the status.
      }
      if (request.status >= 200 && request.status < 300) return resolve(body);
      const told = body.errors?.[0]?.message ?? body.detail ?? t.answered(request.status);
      reject(new Refused(told, { status: request.status, type: body.detail ? "problem" : "", remedy: body.remedy }));
    };
  });
  request.open("POST", address(path));
  request.send(form);
  return { done, abort: () => request.abort() };
}

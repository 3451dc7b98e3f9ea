// Calls relay's API. The token lives in this tab's session storage, and travels in one header; never in an address.

const STORED = "relay.token";

/**
 * Fires `token` when the token was entered or forgotten, and `unauthorized` when the relay wants one;
 * `detail.refused`: it does not accept the one that it got. Fires `answer` for each answer: `detail` has the `path` that
 * was asked for, and the `identity` of the relay that answered. */
export const access = new EventTarget();

/** A refusal of the relay: its status, and its problem document (RFC 9457) as far as there is one. */
export class Problem extends Error {
  constructor(status, problem, retryAfter) {
    super(problem.title ?? `The relay answered ${status}`);
    this.status = status;
    this.code = problem.code ?? null;
    this.detail = problem.detail ?? "";
    this.hint = problem.hint ?? "";
    this.retryAfter = retryAfter;
  }
}

/** The relay cannot be reached at all. */
export class Unreachable extends Error {
  constructor() {
    super("relay does not answer");
    this.detail = "It may have stopped, or the network may be down.";
    this.hint = "Check that relay runs and that its address is the one above.";
  }
}

export function hasToken() {
  return sessionStorage.getItem(STORED) !== null;
}

export function enterToken(token) {
  sessionStorage.setItem(STORED, token);
  access.dispatchEvent(new Event("token"));
}

export function forgetToken() {
  sessionStorage.removeItem(STORED);
  access.dispatchEvent(new Event("token"));
}

/** The response to a request. Throws `Problem` for a refusal, `Unreachable` without an answer, `AbortError`. */
export async function send(path, { method = "GET", headers = {}, signal } = {}) {
  const token = sessionStorage.getItem(STORED);
  const authorization = token === null ? {} : { Authorization: `Bearer ${token}` };
  const response = await fetch(path, {
    method,
    headers: { ...headers, ...authorization },
    signal,
    cache: "no-store",
    redirect: "error",
    referrerPolicy: "no-referrer",
  }).catch((error) => {
    throw error.name === "AbortError" ? error : new Unreachable();
  });
  if (response.ok) {
    access.dispatchEvent(new CustomEvent("answer", { detail: { path, identity: response.headers.get("X-Relay-Identity") } }));
    return response;
  }
  const problem = await problemOf(response);
  const isCurrent = token === sessionStorage.getItem(STORED); // a late answer says nothing about a token entered since
  if (problem.status === 401 && isCurrent) access.dispatchEvent(new CustomEvent("unauthorized", { detail: { refused: token !== null } }));
  throw problem;
}

/** The JSON document at a path; null where the answer has no body. */
export async function ask(path, options) {
  const response = await send(path, options);
  return response.status === 204 ? null : response.json();
}

/** A path with the parameters that have a value; one that has a list of them is repeated. */
export function withQuery(path, parameters) {
  const each = Object.entries(parameters).flatMap(([name, value]) => [value].flat().map((one) => [name, one]));
  const given = each.filter(([, value]) => value !== "" && value !== null && value !== undefined);
  return given.length ? `${path}?${new URLSearchParams(given)}` : path;
}

async function problemOf(response) {
  const problem = await response.json().catch(() => ({}));
  return new Problem(response.status, problem, Number(response.headers.get("Retry-After")) || null);
}

/**
 * The credential of the page: a token or a runtime's key, given after `#` in the address or typed in. It is stored for
 * this tab only, leaves the address bar at once, and is sent in a header, never in an address.
 */

/**
 * @typedef {{shown: string, session: string}} CredentialRecord `session`: the session of a share link; "" = none
 */

const NAME = "livereactor.credentials";

/** A token or a key, with the claims that can be read from it. The server decides; the claims only shape the page. */
export class Credential {
  /** @type {CredentialRecord} */
  record;

  /** @param {string} shown "" = none */
  constructor(shown) {
    this.record = { shown, session: "" };
  }

  /** Headers for every request. @returns {Record<string, string>} */
  get headers() {
    const { shown } = this.record;
    return shown ? { Authorization: `Bearer ${shown}` } : {};
  }

  /** The session of a share link; null: the page starts its own. */
  get session() {
    return this.record.session || null;
  }

  /** Whether the token allows watching only. */
  get watching() {
    const scopes = scopesOf(this.record.shown);
    return scopes !== null && !scopes.includes("control");
  }

  /** Whether the token allows clips; a share link does not unless its token says so. */
  get mayRecord() {
    const scopes = scopesOf(this.record.shown);
    return scopes === null || scopes.includes("record");
  }

  /** Models that the token grants; null: any, or the token does not say. */
  get models() {
    return modelsOf(this.record.shown);
  }
}

/** The credential of this tab: from the address, typed in, or stored before a reload. */
export class StoredCredential extends Credential {
  /** Read the stored credential and the address. */
  constructor() {
    super("");
    const stored = sessionStorage.getItem(NAME);
    if (stored !== null) this.record = JSON.parse(stored);
    const given = readFragment(location.hash);
    if (given === null) return;
    this.#store(given);
    // A share link names its own session: forget the previous one.
    if (given.session) sessionStorage.removeItem("livereactor.session");
    history.replaceState(history.state, "", location.pathname + location.search);
  }

  /** @param {string} shown as typed in */
  enter(shown) {
    this.#store({ shown: shown.trim(), session: this.record.session });
  }

  /** @param {CredentialRecord} record */
  #store(record) {
    this.record = record;
    sessionStorage.setItem(NAME, JSON.stringify(record));
  }
}

/**
 * Read the credential after `#` in an address: `token=…`, `key=…`, or `session=…&token=…`.
 * @param {string} hash
 * @returns {CredentialRecord | null} null: no credential
 */
export function readFragment(hash) {
  const given = new URLSearchParams(hash.replace(/^#/, ""));
  const shown = given.get("token") ?? given.get("key");
  return shown ? { shown, session: given.get("session") ?? "" } : null;
}

/**
 * Return the scopes of a token, which decide what the page offers. The server verifies them; the page does not.
 * @param {string} token
 * @returns {string[] | null} null: a key, or a token that does not say
 */
export function scopesOf(token) {
  const scope = claimsOf(token)?.scope;
  return typeof scope === "string" ? scope.split(" ") : null;
}

/**
 * Return the models that a token grants, without their owners, unverified like `scopesOf`.
 * @param {string} token
 * @returns {string[] | null} null: any, or the token does not say
 */
export function modelsOf(token) {
  const names = claimsOf(token)?.authorization_details?.[0]?.resources?.models?.match;
  return Array.isArray(names) ? names.map((name) => String(name).replace(/^.*\//, "")) : null;
}

/**
 * @param {string} token
 * @returns {any} the unverified claims; null: the token has none that can be read
 */
function claimsOf(token) {
  try {
    const binary = atob((token.split(".")[1] ?? "").replaceAll("-", "+").replaceAll("_", "/"));
    return JSON.parse(new TextDecoder().decode(Uint8Array.from(binary, (char) => char.charCodeAt(0))));
  } catch {
    return null;
  }
}

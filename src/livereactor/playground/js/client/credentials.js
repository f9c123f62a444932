/**
 * What lets the page in: a token or a runtime's key, given behind `#` in the address or typed in. It is kept for this
 * tab only, leaves the address bar at once, and is sent in a header and never in an address.
 */

/**
 * @typedef {{shown: string, session: string}} CredentialRecord `session`: the one that a share link is about; "" = none
 */

const NAME = "livereactor.credentials";

/** A token or a key, and what can be told of it. The server decides; this is for what is offered. */
export class Credential {
  /** @type {CredentialRecord} */
  kept;

  /** @param {string} shown "" = none */
  constructor(shown) {
    this.kept = { shown, session: "" };
  }

  /** For every request. @returns {Record<string, string>} */
  get headers() {
    const { shown } = this.kept;
    return shown ? { Authorization: `Bearer ${shown}` } : {};
  }

  /** The session that a share link is about; null: a new one is begun. */
  get session() {
    return this.kept.session || null;
  }

  /** Whether the token lets its holder look and nothing else. */
  get watching() {
    const scopes = scopesOf(this.kept.shown);
    return scopes !== null && !scopes.includes("control");
  }

  /** Whether its holder may have clips: who has a link to watch may not, unless it says so. */
  get mayRecord() {
    const scopes = scopesOf(this.kept.shown);
    return scopes === null || scopes.includes("record");
  }

  /** The models that the token is for; null: any, as far as can be told. */
  get models() {
    return modelsOf(this.kept.shown);
  }
}

/** What the page has: from its address, or typed in. */
export class StoredCredential extends Credential {
  /** Take what the address and this tab have. */
  constructor() {
    super("");
    const kept = sessionStorage.getItem(NAME);
    if (kept !== null) this.kept = JSON.parse(kept);
    const given = readFragment(location.hash);
    if (given === null) return;
    this.#keep(given);
    // A link is about its own session: the one of before is left to itself.
    if (given.session) sessionStorage.removeItem("livereactor.session");
    history.replaceState(history.state, "", location.pathname + location.search);
  }

  /** @param {string} shown as typed in */
  enter(shown) {
    this.#keep({ shown: shown.trim(), session: this.kept.session });
  }

  /** @param {CredentialRecord} kept */
  #keep(kept) {
    this.kept = kept;
    sessionStorage.setItem(NAME, JSON.stringify(kept));
  }
}

/**
 * What an address gives behind `#`: `token=…`, `key=…`, or `session=…&token=…`.
 * @param {string} hash
 * @returns {CredentialRecord | null} null: nothing that lets in
 */
export function readFragment(hash) {
  const given = new URLSearchParams(hash.replace(/^#/, ""));
  const shown = given.get("token") ?? given.get("key");
  return shown ? { shown, session: given.get("session") ?? "" } : null;
}

/**
 * What a token grants. The server decides; this is for what the page offers.
 * @param {string} token
 * @returns {string[] | null} null: a key, or a token that does not say
 */
export function scopesOf(token) {
  const scope = claimsOf(token)?.scope;
  return typeof scope === "string" ? scope.split(" ") : null;
}

/**
 * The models that a token is for, without their owners. As `scopesOf`: for what the page offers.
 * @param {string} token
 * @returns {string[] | null} null: any, or the token does not say
 */
export function modelsOf(token) {
  const names = claimsOf(token)?.authorization_details?.[0]?.resources?.models?.match;
  return Array.isArray(names) ? names.map((name) => String(name).replace(/^.*\//, "")) : null;
}

/**
 * @param {string} token
 * @returns {any} not verified; null: they cannot be read
 */
function claimsOf(token) {
  try {
    const binary = atob((token.split(".")[1] ?? "").replaceAll("-", "+").replaceAll("_", "/"));
    return JSON.parse(new TextDecoder().decode(Uint8Array.from(binary, (char) => char.charCodeAt(0))));
  } catch {
    return null;
  }
}

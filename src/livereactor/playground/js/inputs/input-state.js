/** What the hands on keys, gamepad and glass ask of the model: how far each is leaned on, and what that makes. Pure. */

/** @typedef {import("./bindings.js").Bound} Bound */
/** Set a parameter, or give a command where there is no value. @typedef {{name: string, value?: number | boolean}} InputAction */

export class InputState {
  #bound;
  /** @type {Map<string, Map<string, number>>} by bound name: who leans on it, and how far, -1..1 */
  #leaning = new Map();

  /** @param {readonly Bound[]} bound */
  constructor(bound) {
    this.#bound = bound;
  }

  /** @param {string} key */
  takes(key) {
    return this.#bound.some(({ keys }) => keys.includes(key));
  }

  /** @returns {Set<string>} keys that are held, and the gamepad's controls as `pad left_x` */
  get held() {
    return new Set([...this.#leaning.values()].flatMap((who) => [...who.keys()]));
  }

  /**
   * @param {string} key
   * @param {boolean} down
   * @returns {InputAction[]}
   */
  key(key, down) {
    return this.#bound
      .filter(({ keys }) => keys.includes(key))
      .flatMap((each) => this.#lean(each, key, down ? (each.kind === "axis" && key === each.keys[0] ? -1 : 1) : 0));
  }

  /**
   * @param {ReadonlyMap<string, number>} reading how far each control of the gamepad is moved; what is missing rests
   * @returns {InputAction[]}
   */
  pad(reading) {
    return this.#bound
      .filter(({ pad }) => pad)
      .flatMap((each) => this.#lean(each, `pad ${each.pad}`, reading.get(each.pad) ?? 0));
  }

  /**
   * A finger on the glass.
   * @param {string} name
   * @param {number} far -1..1
   * @returns {InputAction[]}
   */
  touch(name, far) {
    return this.#bound.filter((each) => each.name === name).flatMap((each) => this.#lean(each, "touch", far));
  }

  /** Everything is let go. @returns {InputAction[]} */
  release() {
    return this.#bound.flatMap((each) => {
      const before = this.#value(each);
      this.#leaning.delete(each.name);
      return changes(each, before, this.#value(each));
    });
  }

  /**
   * @param {Bound} each
   * @param {string} who
   * @param {number} far
   * @returns {InputAction[]}
   */
  #lean(each, who, far) {
    const before = this.#value(each);
    const leaning = this.#leaning.get(each.name) ?? new Map();
    if (far) leaning.set(who, far);
    else leaning.delete(who);
    this.#leaning.set(each.name, leaning);
    return changes(each, before, this.#value(each));
  }

  /**
   * Opposite keys cancel, and two hands push no further than one.
   * @param {Bound} each
   * @returns {number | boolean}
   */
  #value({ kind, name, low, high, rest, integer }) {
    const leaning = [...(this.#leaning.get(name)?.values() ?? [])];
    if (kind !== "axis") return leaning.length > 0;
    const far = Math.max(-1, Math.min(1, leaning.reduce((sum, each) => sum + each, 0)));
    const value = far < 0 ? rest + far * (rest - low) : rest + far * (high - rest);
    // Four digits are finer than any hand, and hide binary fractions.
    return integer ? Math.round(value) : Number(value.toPrecision(4));
  }
}

/**
 * @param {Bound} bound
 * @param {number | boolean} before
 * @param {number | boolean} now
 * @returns {InputAction[]} a command is given when its button goes down, and not when it comes up
 */
function changes({ kind, name }, before, now) {
  if (before === now) return [];
  if (kind === "press") return now ? [{ name }] : [];
  return [{ name, value: now }];
}

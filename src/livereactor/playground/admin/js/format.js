/** Format numbers and times. Pure. */

/**
 * Format a duration.
 * @param {number} seconds
 * @returns {string} "8 s", "3 min", "2 h 5 min", "4 d"
 */
export function span(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 90) return `${whole} s`;
  const minutes = Math.round(whole / 60);
  if (minutes < 90) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return minutes % 60 ? `${hours} h ${minutes % 60} min` : `${hours} h`;
  return `${Math.round(hours / 24)} d`;
}

/**
 * Format a time.
 * @param {number | undefined} at Unix seconds
 * @returns {string} "2026-11-26 15:04" in local time
 */
export function moment(at) {
  if (at === undefined) return "–";
  const date = new Date(at * 1000);
  const two = (/** @type {number} */ number) => String(number).padStart(2, "0");
  const day = `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
  return `${day} ${two(date.getHours())}:${two(date.getMinutes())}`;
}

/**
 * Format a limit.
 * @param {string} name of a limit, such as `body_bytes`
 * @param {unknown} value
 * @returns {string} the value, with a unit if the name tells it
 */
export function limit(name, value) {
  if (typeof value !== "number") return String(value ?? "none");
  if (name.endsWith("_bytes") && value >= 1024) {
    const power = Math.min(3, Math.floor(Math.log2(value) / 10));
    return `${+(value / 1024 ** power).toFixed(1)} ${["bytes", "KiB", "MiB", "GiB"][power]}`;
  }
  return value.toLocaleString("en");
}

/**
 * Format the use of a quota.
 * @param {number} limit 0 = unlimited
 * @param {number | undefined} current
 */
export function used(limit, current) {
  if (limit === 0) return current === undefined ? "unlimited" : `${current.toLocaleString("en")} (unlimited)`;
  const most = limit.toLocaleString("en");
  return current === undefined ? `up to ${most}` : `${current.toLocaleString("en")} of ${most}`;
}

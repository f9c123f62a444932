/**
 * Detect a page that loaded only in part, and reload it once. This is a classic script because no module of the page
 * runs when one of them is missing. Chromium ends every request under way when the network changes (Wi-Fi, VPN).
 */

window.addEventListener(
  "error",
  ({ target }) => {
    if (!(target instanceof HTMLScriptElement)) return;
    const [navigation] = performance.getEntriesByType("navigation");
    const isSecond = navigation instanceof PerformanceNavigationTiming && navigation.type === "reload";
    // Reload once only: more would hide a server that is gone for good behind a page that flickers.
    if (!isSecond) return location.reload();
    const text = document.createElement("p");
    text.textContent = "Part of this page failed to load. The network changed, or the server stopped. Reload the page.";
    const again = document.createElement("button");
    again.type = "button";
    again.textContent = "Reload";
    again.addEventListener("click", () => location.reload());
    const box = document.createElement("div");
    box.className = "alert";
    box.append(text, again);
    document.getElementById("alerts")?.replaceChildren(box);
  },
  true, // load errors of scripts do not bubble
);
